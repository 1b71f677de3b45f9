/* What durable logs have to keep, and what happens when it is on the journal.
 *
 * In one turn: what was accepted goes to followers and to the journal alike, and counts as held when the journal
 * says so. A term or vote that changed is written first, and what the core sends meanwhile is parked until it is
 * held. What is acknowledged on this node's word alone waits for the same. */
#include "node/worker/durable.h"

#include <stdlib.h>
#include <string.h>

#include "assert_costly.h"
#include "node/events.h"
#include "node/worker/due.h"
#include "node/worker/excerpts.h"
#include "node/worker/files.h"
#include "node/worker/index.h"
#include "node/worker/pending.h"
#include "node/worker/send.h"
#include "node/worker/space.h"
#include "node/worker/unsent.h"
#include "node/worker/unwritten.h"
#include "node/worker/worker.h"
#include "node/worker/writes.h"

/* The trunk's end and the state are said a second time, in another write, so long after they changed: if the first
 * is damaged later, the node knows what it lacks. */
#define TAIL_AFTER_NS 10000000u
#define DONE_PER_POLL 16u

bool
durable_init(const struct worker *worker, struct node_log *log)
{
    struct durable *durable = calloc(1, sizeof(*durable));

    assert(log->durable == NULL);
    log->durable = durable;
    if (durable == NULL || !index_init(&durable->index) || !pending_ring_init(&durable->local, DURABLE_PENDING) ||
        !pending_ring_init(&durable->branch_pending, DURABLE_PENDING))
        return false;
    durable->trunk.position = 1;
    durable->rewritten_lsn = UINT64_MAX;
    for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++)
        durable->branches[i].cursor.position = 1;
    /* What is lost of the journal already may have been of this log. */
    durable->doubtful = durable->state_doubtful = worker->restoring && worker->journal_damaged;
    durable_assert(durable, worker->restoring);
    return true;
}

void
durable_fini(struct node_log *log)
{
    if (log->durable == NULL)
        return;
    index_fini(&log->durable->index);
    free(log->durable->local.items);
    free(log->durable->branch_pending.items);
    free(log->durable);
}

void
durable_state(struct worker *worker, struct node_log *log)
{
    if (log->durable == NULL || worker->restoring)
        return;
    assert(log->durable->state_written <= log->durable->state_wanted);
    log->durable->state_wanted++;
    list_unwritten(worker, log);
}

/* true: the message leaves later. The network may lose one that finds no place. */
bool
durable_park(struct node_log *log, const struct message *message)
{
    struct durable *durable = log->durable;

    assert_costly(durable == NULL || durable->state_held <= durable->state_wanted);
    assert_costly(durable == NULL || durable->state_held < durable->state_wanted || durable->parked_count == 0);
    if (durable == NULL || durable->state_held == durable->state_wanted)
        return false;
    /* Nothing is held any more where the disk has failed, and what it has can be read yet: a question promises nothing. */
    if (core_failed(log->core) && message->type == MESSAGE_READ_INDEX)
        return false;
    if (durable->parked_count < PARKED_MAX)
        durable->parked[durable->parked_count++] = *message;
    return true;
}

void
durable_truncated(struct worker *worker, struct node_log *log, uint64_t from_lsn)
{
    struct durable *durable = log->durable;

    if (durable == NULL)
        return;
    assert(from_lsn > log->digest_lsn && log->trunk.last < from_lsn);
    index_truncate(&durable->index, from_lsn);
    durable->truncations++;
    if (durable->trunk.position > from_lsn)
        durable->trunk = (struct cursor){.position = from_lsn};
    if (durable->held_lsn >= from_lsn)
        durable->held_lsn = from_lsn - 1;
    durable_assert(durable, worker->restoring);
    /* What is under way there is not what will stand there. */
    if (!worker->restoring)
        journal_clamp(&worker->journal, log, from_lsn - 1);
}

void
durable_rebased(struct worker *worker, struct node_log *log, uint64_t lsn)
{
    struct durable *durable = log->durable;

    if (durable == NULL)
        return;
    assert(log->base_lsn == lsn && log->digest_lsn == lsn && log->trunk.last == lsn);
    index_truncate(&durable->index, 0);
    durable->truncations++;
    durable->trunk = (struct cursor){.position = lsn + 1};
    durable->held_lsn = lsn;
    durable->rewritten_lsn = UINT64_MAX;
    durable_assert(durable, worker->restoring);
    if (worker->restoring)
        return;
    durable->base_due = true;
    journal_clamp(&worker->journal, log, lsn);
    list_unwritten(worker, log);
}

void
durable_branch_trimmed(struct worker *worker, struct node_log *log, uint8_t origin, uint64_t place)
{
    struct durable *durable = log->durable;

    if (durable == NULL || durable->branches[origin].cursor.position > place)
        return;
    /* What is left of it stands behind the place. */
    assert(log->branches[origin].entries == 0 || log->branches[origin].store.last > place);
    durable->branches[origin].cursor = (struct cursor){.position = place + 1};
    durable->branches[origin].skipped = true;
    if (origin != log->self || durable->held_branch >= place)
        return;
    durable->held_branch = place;
    pending_held(worker, log);
}

void
durable_tail(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    struct durable *durable = log->durable;

    if (durable == NULL || !durable->tail_due || worker->journal_failed || now_ns - durable->tail_ns < TAIL_AFTER_NS ||
        has_unwritten(log) || durable->held_lsn != core_last_lsn(log->core) ||
        durable->state_held != durable->state_wanted)
        return;
    /* What the tail names as the end is written, and held. */
    assert(durable->trunk.position == durable->held_lsn + 1);
    durable_assert(durable, worker->restoring);
    if (!write_tail(worker, log))
        return;
    durable->tail_due = false;
    durable->tail_ns = now_ns;
}

static void
unpark(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;

    assert(durable->state_held == durable->state_wanted && durable->parked_count <= PARKED_MAX);
    for (uint32_t i = 0; i < durable->parked_count; i++)
        send_message(worker, log, &durable->parked[i]);
    durable->parked_count = 0;
}

static void
item_held(struct worker *worker, const struct journal_item *item, uint64_t now_ns)
{
    struct node_log *log = item->owner;
    struct durable *durable = log->durable;

    /* A truncation lowers what is under way: journal_clamp(). */
    assert_costly(item->lsn <= core_last_lsn(log->core) && item->state <= durable->state_written);
    if (item->state > durable->state_held) {
        durable->state_held = item->state;
        if (durable->state_held == durable->state_wanted) {
            unpark(worker, log);
            core_state_held(log->core, now_ns, &log->sink);
        }
    }
    if (item->branch > durable->held_branch)
        durable->held_branch = item->branch;
    if (item->lsn > durable->rewritten_lsn)
        durable->rewritten_lsn = item->lsn < durable->held_lsn ? item->lsn : UINT64_MAX;
    if (item->lsn > durable->held_lsn) {
        durable->held_lsn = item->lsn;
        core_held(log->core, item->lsn, now_ns, &log->sink);
    }
    assert_costly(durable->held_lsn <= core_last_lsn(log->core));
    pending_held(worker, log);
    node_touch(worker, log);
    if (node_has_unsent(worker, log))
        node_activate(worker, log);
}

static void
journal_fails(struct worker *worker, uint64_t now_ns)
{
    assert(!worker->journal_failed && worker->journal.failure < 0);
    worker->journal_failed = true;
    node_event(worker, EVENT_DISK_FAILED, NULL, worker->self, 0, 0,
               "a write of the journal failed: %s; this node leads and acknowledges nothing durable until it is "
               "started anew",
               strerror(-worker->journal.failure));
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        if (log->durable == NULL)
            continue;
        core_fail(log->core, now_ns, &log->sink);
        pending_fail(worker, log);
        assert(core_role(log->core) == ROLE_FOLLOWER && core_failed(log->core));
        log->durable->parked_count = 0;
        node_touch(worker, log);
    }
}

uint32_t
durable_poll(struct worker *worker, uint64_t now_ns)
{
    struct disk *disk = worker->disk;
    struct disk_done done[DONE_PER_POLL];
    const struct journal_write *write;
    uint32_t count;

    if (disk == NULL)
        return 0;
    count = disk->operations->poll(disk, done, DONE_PER_POLL);
    assert_costly(count <= DONE_PER_POLL);
    for (uint32_t i = 0; i < count; i++) {
        if (done[i].token >= EXCERPT_TOKEN && done[i].token < EXCERPT_TOKEN + EXCERPTS_MAX)
            excerpt_done(worker, &done[i]);
        else
            health_wrote(worker, journal_done(&worker->journal, &done[i]), now_ns);
    }
    while ((write = journal_take(&worker->journal)) != NULL) {
        for (uint32_t i = 0; i < write->items_count; i++)
            item_held(worker, &write->items[i], now_ns);
    }
    if (worker->journal.failed && !worker->journal_failed)
        journal_fails(worker, now_ns);
    return count;
}

bool
durable_settle(struct worker *worker, uint64_t now_ns)
{
    durable_poll(worker, now_ns);
    for (uint32_t i = 0; i < worker->logs_count; i++)
        durable_want(worker, worker->logs[i]);
    durable_write(worker, now_ns);
    if (worker->unwritten_count > 0 || journal_busy(&worker->journal))
        return false;
    if (worker->ends_written)
        return true;
    /* The catalog's comes last of all: reading begins there. */
    for (uint32_t i = worker->logs_count; i-- > 0;) {
        struct durable *durable = worker->logs[i]->durable;

        if (durable == NULL || (i > 0 && !durable->tail_due))
            continue;
        assert(!has_unwritten(worker->logs[i]) && durable->held_lsn == core_last_lsn(worker->logs[i]->core));
        durable_assert(durable, worker->restoring);
        if (!write_tail(worker, worker->logs[i]))
            return false;
        durable->tail_due = false;
    }
    worker->ends_written = true;
    journal_submit(&worker->journal, detector_awake_ns(&worker->detector, now_ns));
    return !journal_busy(&worker->journal);
}

void
durable_tick(struct worker *worker, uint64_t now_ns)
{
    bool full;

    if (worker->disk == NULL)
        return;
    journal_tick(&worker->journal);
    ends_write(worker, now_ns);
    review_files(worker);
    review_claims(worker);
    full = journal_space(&worker->journal, worker->journal.config.write_bytes, USE_CLIENT) == SPACE_NONE;
    if (full == worker->journal_full)
        return;
    worker->journal_full = full;
    if (full)
        node_event(worker, EVENT_DISK_FULL, NULL, worker->self, 0, 0,
                   "no space for the journal's next file: appends are refused until some is freed (%s)",
                   worker->journal.no_space_detail);
    else
        node_event(worker, EVENT_DISK_SPACE, NULL, worker->self, 0, 0, "there is space for the journal again");
}
