/* Ports to peers, and room for what comes from them. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "cairn/cairn.h"

struct snapshot;
struct worker;

/* For large records on their way. false: no memory. */
bool peers_make_room(struct worker *worker);
/* A port to each, where the transport makes it. */
enum cairn_error peers_attach(struct worker *worker, char *detail, size_t detail_bytes);
/* Connects two workers of this process, of the same number, by rings. Before either is polled. */
enum cairn_error peers_link(struct worker *left, struct worker *right, char *detail, size_t detail_bytes);
/* Worker: frames go that way from now on. */
void node_attach_port(struct worker *worker, uint8_t peer);
/* Control thread: a port to a seat that was not there before, and room for what comes from it. */
enum cairn_error node_welcome(struct worker *worker, uint8_t seat, const struct snapshot *snapshot, char *detail,
                              size_t detail_bytes);

#endif
