/* What each node says of whom it hears: the connectivity matrix, as this node knows it. */
#ifndef NODE_WORKER_SIGHT_H
#define NODE_WORKER_SIGHT_H

#include <stdatomic.h>
#include <stdint.h>

#include "cairn/types.h"
#include "dataplane/codec.h"
#include "rules/detector.h"

struct worker;

/* One node's view, as its last heartbeat told it. */
struct sight {
    uint64_t told_ns; /* when it said so; 0: it never did */
    cairn_node_set hears;
    uint16_t heard[CAIRN_NODES_MAX]; /* how long ago it heard each, in SIGHT_UNIT_NS; SIGHT_LONG: that long or longer */
    uint16_t modes[CAIRN_MODES];     /* how many of its logs are in each */
    struct wire_health health;
    int64_t clock_ns; /* its wall clock is so far ahead of the time, as this node knows it */
};

/* The views of all nodes, this one's own among them, and how long this one waits for others. The worker writes `now`, and
 * shows it; any thread reads what is shown. */
struct sights {
    struct sight now[CAIRN_NODES_MAX];
    struct detector_patience patience;
    _Atomic uint32_t sequence;
    struct sight shown[CAIRN_NODES_MAX];
    struct detector_patience patience_shown;
};

#define SIGHT_UNIT_NS 10000u
#define SIGHT_LONG UINT16_MAX

/* Worker, now and then: what this node sees now, for heartbeats and for others to read. */
void sight_review(struct worker *worker, uint64_t now_ns);
/* Worker, at each heartbeat: what it saw then; whom it hears, now. */
void sight_tell(struct worker *worker, struct wire_heartbeat *heartbeat, uint64_t now_ns);
/* Worker: what a peer's heartbeat says. */
void sight_take(struct worker *worker, uint8_t from, const struct wire_heartbeat *heartbeat, uint64_t now_ns);
/* All that is known, by node: CAIRN_NODES_MAX of them; patience: NULL, or how long this node waits. Any thread. */
void sights_read(const struct worker *worker, struct sight *out, struct detector_patience *patience);

#endif
