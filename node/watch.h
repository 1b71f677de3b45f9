/* Who does not keep up, and a worker that hangs. */
#ifndef NODE_WATCH_H
#define NODE_WATCH_H

#include "state.h"

/* The first two are the worker's, at a log's tick and at each heartbeat; the third the control thread's. */
void watch_log(struct worker *worker, struct node_log *log, uint64_t now_ns);
void watch_peers(struct worker *worker, uint64_t now_ns);
void watch_worker(struct worker *worker, uint64_t now_ns);

#endif
