/* What durable logs have to keep. */
#ifndef NODE_WORKER_DURABLE_H
#define NODE_WORKER_DURABLE_H

#include <assert.h>

#include "dataplane/journal.h"
#include "dataplane/store.h"
#include "node/worker/index.h"
#include "node/worker/pending.h"
#include "replication/core.h"

struct node_log;
struct worker;

#define PARKED_MAX 16u
#define JOURNAL_ROWS 128u /* of producers, in a block */
#define DURABLE_PENDING 4096u

/* What a durable log has on its way to the journal, and what waits for that. */
struct durable {
    struct cursor trunk;  /* what is to be written next */
    uint64_t held_lsn;    /* of the trunk, durable up to here */
    uint64_t held_branch; /* of the own branch, by place */
    struct {
        struct cursor cursor;    /* what is to be written next */
        uint64_t place;          /* in the journal, of what was written first; 0: nothing was */
        uint64_t last_place;     /* of what was written last, as the journal was read */
        bool skipped;            /* what stood before the cursor left the branch before it was written */
    } branches[CAIRN_NODES_MAX]; /* by origin */
    /* Term and vote change, are written, are held: counted. */
    uint64_t state_wanted, state_written, state_held;
    bool base_due; /* the trunk began anew */
    bool trim_due; /* it begins later now */
    /* What its producers have on what is gone, written after either: what comes next; whether the journal has not all. */
    bool producers_due, producers_missing;
    uint64_t producers_after_id;
    uint64_t claimed_bytes; /* of the journal, by what was let in and is not written yet */
    bool tail_due;          /* something was written since the last tail */
    bool listed;            /* in worker->unwritten */
    uint64_t moved_file;    /* where it was written again last for want of space */
    /* Of a trunk that is written again what is durable so far: the places of what is behind are not known yet. UINT64_MAX: of
     * all. */
    uint64_t rewritten_lsn;
    uint64_t tail_ns;
    /* Places in the journal, of what was said last, or first: what is older may go. */
    uint64_t tail_place, base_place;
    struct message parked[PARKED_MAX]; /* until the state they speak of is held */
    uint32_t parked_count;
    struct log_index index;
    uint64_t truncations;                      /* so many: what is read meanwhile may be void */
    uint64_t handed_away_ns;                   /* when leadership was, since something could not be read */
    uint32_t branch_damages;                   /* blocks of the own branch, as the journal was read */
    uint64_t damaged_lsn;                      /* could not be read when it was last asked for */
    struct pending_ring local, branch_pending; /* acknowledged on this node's word: by lsn, by place */
    /* While the journal is read at the start: */
    bool doubtful, state_doubtful; /* something may be missing */
    bool broken;                   /* something is */
    uint64_t producers_lsn;        /* of the base that the rows just read belong to */
    uint64_t producers_place;      /* of the last rows */
    uint64_t anew_place;           /* of the last base at which the trunk began anew */
    uint64_t acked_place;          /* of the last entries that were acknowledged on this node's word alone */
    uint64_t promised_lsn, promised_term;
};

bool durable_init(const struct worker *worker, struct node_log *log);
void durable_fini(struct node_log *log);
void durable_state(struct worker *worker, struct node_log *log);
bool durable_park(struct node_log *log, const struct message *message);
void durable_truncated(struct worker *worker, struct node_log *log, uint64_t from_lsn);
void durable_rebased(struct worker *worker, struct node_log *log, uint64_t lsn);
/* What of the branch is settled, on the trunk, need not be written any more; answers that waited for that are given. */
void durable_branch_trimmed(struct worker *worker, struct node_log *log, uint8_t origin, uint64_t place);
uint32_t durable_poll(struct worker *worker, uint64_t now_ns);
void durable_tail(struct worker *worker, struct node_log *log, uint64_t now_ns);
void durable_tick(struct worker *worker, uint64_t now_ns);
/* Towards a stop: writes what is to be written, the ends last. true: all of it is held. */
bool durable_settle(struct worker *worker, uint64_t now_ns);

/* What holds between any two events. restoring: what is read is held already, and is written by nobody. */
static inline void
durable_assert(const struct durable *durable, bool restoring)
{
    const struct log_index *index = &durable->index;

    assert(durable->state_held <= durable->state_written && durable->state_written <= durable->state_wanted);
    assert(durable->parked_count <= PARKED_MAX);
    assert(durable->parked_count == 0 || durable->state_held < durable->state_wanted);
    assert(index->cuts_first <= index->cuts_count);
    assert(restoring || durable->rewritten_lsn != UINT64_MAX || durable->held_lsn < durable->trunk.position);
    assert(restoring || index->count == 0 || index->items[index->count - 1].lsn < durable->trunk.position);
}

#endif
