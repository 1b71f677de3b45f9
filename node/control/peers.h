/* Ports to peers, and room for what comes from them. */
#ifndef NODE_CONTROL_PEERS_H
#define NODE_CONTROL_PEERS_H

#include "cairn/cairn.h"

struct node;
struct snapshot;

/* Ports to each, where the transport makes them. Its workers are there, and not polled yet. */
enum cairn_error peers_attach(struct node *node, char *detail, size_t detail_bytes);
/* Connects two nodes of this process by rings. Before either is polled. */
enum cairn_error peers_link(struct node *left, struct node *right, char *detail, size_t detail_bytes);
/* Nothing polls its workers any more. */
void peers_close(struct node *node);
/* Control thread: ports to a seat that was not there before, and room for what comes from it. */
enum cairn_error peers_welcome(struct node *node, uint8_t seat, const struct snapshot *snapshot, char *detail,
                               size_t detail_bytes);

#endif
