/* What goes to peers. */
#ifndef NODE_SEND_H
#define NODE_SEND_H

#include "state.h"

/* The part of a block that a stretch is. */
struct block block_part(const struct stretch *stretch);
void send_message(struct node *node, struct node_log *log, const struct message *message);
void send_entries(struct node *node, struct node_log *log, uint64_t now_ns);
void send_lent(struct node *node, struct node_log *log);
void send_hand_offs(struct node *node, struct node_log *log, uint64_t now_ns);
void send_spreads(struct node *node, struct node_log *log, uint64_t now_ns);
void send_heartbeats(struct node *node, uint64_t now_ns);

#endif
