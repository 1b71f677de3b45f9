/* How much each worker of a node has lately had to do: where a new log is put goes by it (cli/cmd_log.c). */
#ifndef NODE_WORKER_LOAD_H
#define NODE_WORKER_LOAD_H

#include <stdint.h>

#include "cairn/types.h"

struct node;

/* The control thread's. */
struct worker_load {
    uint64_t measured_ns; /* 0: not yet */
    struct {
        uint64_t entries, bytes;             /* that its logs had been given by then */
        uint64_t entries_per_s, bytes_per_s; /* averaged over the last ten seconds or so */
    } of[CAIRN_WORKERS_MAX];
};

/* Control thread, in its turn. */
void load_measure(struct node *node, uint64_t now_ns);

#endif
