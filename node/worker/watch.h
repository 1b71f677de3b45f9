/* Which peers do not keep up. */
#ifndef NODE_WORKER_WATCH_H
#define NODE_WORKER_WATCH_H

#include "cairn/cairn.h"

struct node_log;
struct worker;

/* Who is in reach and does not keep up: watch.c. */
struct slow_peers {
    cairn_node_set peers;
    struct node_log *owes[CAIRN_NODES_MAX]; /* the log of which it owes acknowledgements; NULL: none */
    uint64_t seen_ns[CAIRN_NODES_MAX];      /* when it was slow last */
};

/* At a log's tick, and at each heartbeat. */
void watch_log(struct worker *worker, struct node_log *log, uint64_t now_ns);
void watch_peers(struct worker *worker, uint64_t now_ns);

#endif
