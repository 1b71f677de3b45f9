/* What of a log is durable. */
#ifndef NODE_WORKER_HELD_H
#define NODE_WORKER_HELD_H

#include "cairn/cairn.h"

struct node_log;

cairn_node_set written_branches(const struct node_log *log);
/* The place in the journal that the branches held here begin at; `none` where nothing of them is there. */
uint64_t durable_branches_place(const struct node_log *log, uint64_t none);
uint64_t durable_held_lsn(const struct node_log *log);

#endif
