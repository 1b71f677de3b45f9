/* Memory is given up of what is on disk. */
#ifndef NODE_WORKER_EVICT_H
#define NODE_WORKER_EVICT_H

#include <stdbool.h>
#include <stdint.h>

struct node_log;
struct worker;

/* Gives up memory of what is on disk, while there is little left. */
void evict(struct worker *worker);
/* Gives up the oldest segment of what is committed and held. false: nothing can go. */
bool evict_one(struct node_log *log);
/* The journal's file that the log needs first; 0: not known at the moment. */
uint64_t oldest_file(const struct node_log *log, uint64_t durable_place);

#endif
