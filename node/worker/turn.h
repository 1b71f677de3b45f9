/* One turn of the worker. */
#ifndef NODE_WORKER_TURN_H
#define NODE_WORKER_TURN_H

#include "wire/doorbell.h"

struct worker;

uint32_t node_turn(void *context, uint64_t now_ns, bool drained);
void adopt_snapshot(struct worker *worker, uint64_t now_ns);
uint64_t node_deadline_ns(void *context);
bool node_waits(void *context);
void node_bells(void *context, struct doorbells *out);

#endif
