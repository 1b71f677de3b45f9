/* Which worker a log is given to, for good. `cairn log create` names the one that has lately had least to do (cli/log_change.c), by
 * what nodes measure here; the entry of the catalog says which one it is. The control thread's. */
#ifndef NODE_CONTROL_PLACEMENT_H
#define NODE_CONTROL_PLACEMENT_H

#include <stdint.h>

#include <jansson.h>

#include "cairn/types.h"

struct node;
struct snapshot;
struct worker;

/* How much each worker has lately had to do. */
struct worker_load {
    uint64_t measured_ns; /* 0: not yet */
    struct {
        uint64_t entries, bytes;             /* that its logs had been given by then */
        uint64_t entries_per_s, bytes_per_s; /* averaged over the last ten seconds or so */
    } of[CAIRN_WORKERS_MAX];
};

/* In each turn. */
void load_measure(struct node *node, uint64_t now_ns);

/* The worker of that number or, where the entry of the catalog names none (NULL), the one that has fewest logs: the same on every node.
 * NULL: there is none of that number, or it has as many logs as its memory lets it. */
struct worker *placement_of(const struct node *node, const struct snapshot *snapshot, const json_t *number);

#endif
