/* Heartbeats to peers. */
#ifndef NODE_WORKER_HEARTBEATS_H
#define NODE_WORKER_HEARTBEATS_H

#include <stdint.h>

struct worker;

/* Worker, at each heartbeat. */
void send_heartbeats(struct worker *worker, uint64_t now_ns);

#endif
