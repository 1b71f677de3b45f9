/* Who waits for an answer until something is settled. */
#ifndef NODE_WORKER_PENDING_H
#define NODE_WORKER_PENDING_H

#include <assert.h>

#include "cairn/cairn.h"

struct attachment;
struct node_log;
struct worker;

#define WAITS_MAX 1024u
#define WAITS_KEPT 64u  /* of them, for administrators */
#define WAITS_EACH 256u /* of one client's, of all logs together */
#define TAKEN_SHIFT 6u  /* from nanoseconds, so that a pending append stays within half a cache line */

struct pending {
    uint64_t lsn, token;
    uint32_t serial;
    uint32_t taken; /* when, in units of 64 ns; comes round after four and a half minutes */
    uint8_t attachment, ack, asked;
    bool repeated;
    bool unplaced; /* lsn is only a bound of where it stands */
    bool compared; /* repeated, and what stands there has its bytes */
};

/* Appends waiting for their commit, by lsn: a ring. */
struct pending_ring {
    struct pending *items;
    uint32_t mask, head, tail;
};

static inline bool
pending_room(const struct pending_ring *ring)
{
    return ring->tail - ring->head <= ring->mask;
}

static inline void
pending_push(struct pending_ring *ring, const struct pending *pending)
{
    assert(pending_room(ring));
    ring->items[ring->tail++ & ring->mask] = *pending;
    __builtin_prefetch(&ring->items[ring->tail & ring->mask], 1);
}

/* entries: a power of two. false: out of memory. */
bool pending_ring_init(struct pending_ring *ring, uint32_t entries);
void answer_kept(struct worker *worker, struct node_log *log, struct pending *pending, uint32_t incarnation,
                 uint64_t seq, bool repeated);
/* Up to where the trunk is settled for whoever asked for that level. */
uint64_t settled_lsn(const struct node_log *log, enum cairn_ack ack);
/* Is there a place for one more that waits, of this client? */
bool waits_room(const struct node_log *log, const struct attachment *attachment);
void waits_push(struct worker *worker, struct node_log *log, const struct pending *pending);
/* The client has left. */
void waits_drop(struct worker *worker, const struct attachment *attachment);
void pending_committed(struct worker *worker, struct node_log *log);
void pending_relax(struct worker *worker, struct node_log *log);
void pending_deposed(struct worker *worker, struct node_log *log);
void pending_held(struct worker *worker, struct node_log *log);
void pending_fail(struct worker *worker, struct node_log *log);

#endif
