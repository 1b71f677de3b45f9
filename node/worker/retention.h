/* Where a trunk begins. */
#ifndef NODE_WORKER_RETENTION_H
#define NODE_WORKER_RETENTION_H

#include <stdint.h>

struct node_log;
struct worker;

/* Lets the trunk begin later, where its rules say so. */
void retain(struct worker *worker, struct node_log *log, uint64_t now_ns);

#endif
