/* How a log fares by who is in reach. */
#ifndef NODE_WORKER_REASSESS_H
#define NODE_WORKER_REASSESS_H

#include <stdint.h>

struct node_log;
struct worker;

/* How long the log waits before it campaigns, by how this node does. */
void set_patience(const struct worker *worker, struct node_log *log, uint64_t now_ns);
/* Tells the core that its leader lives, where a heartbeat without a row for this log says so. */
void leader_refresh(struct worker *worker, struct node_log *log, uint64_t now_ns);
void node_reassess(struct worker *worker, uint64_t now_ns);
void log_reassess(struct worker *worker, struct node_log *log);

#endif
