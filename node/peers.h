/* Ports to peers, and room for what comes from them. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "state.h"

/* For large records on their way. false: no memory. */
bool peers_make_room(struct node *node);
/* A port to each, where the transport makes it. */
enum cairn_error peers_attach(struct node *node, char *detail, size_t detail_bytes);
/* Worker: frames go that way from now on. */
void node_attach_port(struct node *node, uint8_t peer);
/* Control thread: a port to a seat that was not there before, and room for what comes from it. */
enum cairn_error node_welcome(struct node *node, uint8_t seat, const struct snapshot *snapshot, char *detail,
                              size_t detail_bytes);

#endif
