/* What clients ask for. */
#ifndef NODE_WORKER_REQUESTS_H
#define NODE_WORKER_REQUESTS_H

#include <stdint.h>

struct worker;

uint32_t requests_turn(struct worker *worker, uint64_t now_ns);

#endif
