/* Logs that have something to do, and when the node looks again. */
#ifndef NODE_WORKER_DUE_H
#define NODE_WORKER_DUE_H

#include <stdint.h>

struct node_log;
struct worker;

void node_activate(struct worker *worker, struct node_log *log);
void node_touch(struct worker *worker, struct node_log *log);
/* It has rested: heartbeats come at their own rate again. */
void node_wake_up(struct worker *worker, uint64_t now_ns);

#endif
