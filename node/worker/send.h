/* What goes to peers. */
#ifndef NODE_WORKER_SEND_H
#define NODE_WORKER_SEND_H

#include "replication/core.h"

struct block;
struct node_log;
struct stretch;
struct worker;

/* The part of a block that a stretch is. */
struct block block_part(const struct stretch *stretch);
void send_message(struct worker *worker, struct node_log *log, const struct message *message);
void send_entries(struct worker *worker, struct node_log *log, uint64_t now_ns);
void send_lent(struct worker *worker, struct node_log *log);
void send_hand_offs(struct worker *worker, struct node_log *log, uint64_t now_ns);
void send_spreads(struct worker *worker, struct node_log *log, uint64_t now_ns);

#endif
