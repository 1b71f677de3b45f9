/* Which files of the journal are needed no more, and what is written again so that they may go. */
#include "node/worker/files.h"

#include <assert.h>

#include "node/look.h"
#include "node/status.h"
#include "node/worker/durable.h"
#include "node/worker/evict.h"
#include "node/worker/held.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/space.h"
#include "node/worker/unwritten.h"
#include "node/worker/worker.h"
#include "node/worker/writes.h"

/* So often it is looked which files may go; what a log that rests keeps that is so many files old is moved. */
#define REVIEW_BEATS 64u
#define MOVED_FILES 4u
#define MENDED_REVIEWS 4u
#define MOVED_BYTES_MAX (1u << 20)
#define MOVED_BYTES_TIGHT (64u << 10)

/* How much of the trunk a move writes again: all of it, where that is in memory and little, else nothing. */
static uint64_t
moved_bytes(const struct node_log *log)
{
    uint64_t bytes;

    if (log->trunk.bytes > MOVED_BYTES_MAX + 2 * (uint64_t)log->trunk.pool->segment_bytes)
        return 0;
    bytes = durable_bytes(&log->trunk, log->base_lsn + 1, MOVED_BYTES_MAX);
    return bytes <= MOVED_BYTES_MAX ? bytes : 0;
}

/* Is anything else of it in that file than what a move writes again? Then a move would only take space, with each review. */
static bool
stays_in(const struct node_log *log, uint64_t file)
{
    const struct durable *durable = log->durable;
    uint32_t item = index_find(&durable->index, log->base_lsn + 1);

    return durable_branches_place(log, UINT64_MAX) >> 32 == file ||
           (moved_bytes(log) == 0 && item < durable->index.count && durable->index.items[item].place >> 32 == file);
}

/* A log that rests, or is small, is written again where the journal is now, rather than keep old files for it. */
static void
move_up(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;
    uint64_t bytes = moved_bytes(log);

    if (has_unwritten(log) || durable->held_lsn != core_last_lsn(log->core))
        return;
    assert(durable->trunk.position == durable->held_lsn + 1 && log->base_lsn <= durable->held_lsn);
    if (bytes > 0) {
        /* None of it is on disk alone, so the index loses nothing that is needed. */
        assert(store_first(&log->trunk) != 0 && store_first(&log->trunk) <= log->base_lsn + 1);
        durable_claim_some(worker, log, bytes);
        durable->rewritten_lsn = log->base_lsn;
        index_truncate(&durable->index, 0);
        durable->trunk = (struct cursor){.position = log->base_lsn + 1};
    }
    durable_assert(durable, worker->restoring);
    durable->trim_due = log->base_lsn > 0;
    durable->tail_place = 0;
    list_unwritten(worker, log);
}

/* What is damaged stays where it is, as the evidence of what this node cannot know, until every log has what it lacked:
 * for a while, since the catalog may tell of further ones yet. */
static bool
is_mended(struct worker *worker)
{
    struct log_status catalog;
    uint64_t lsn, term;
    bool whole;

    status_read(catalog_of(worker), &catalog);
    whole = catalog.commit_lsn == catalog.last_lsn && catalog.leader != CAIRN_NODE_NONE;
    for (uint32_t i = 0; i < worker->logs_count && whole; i++)
        whole = worker->logs[i]->durable == NULL ||
                (!core_recovering(worker->logs[i]->core) && !core_lacks(worker->logs[i]->core, &lsn, &term));
    worker->mended_reviews = whole ? worker->mended_reviews + 1 : 0;
    return worker->mended_reviews > MENDED_REVIEWS;
}

/* For want of space a small log is written again further on, once in each file, so that those before it may go: it would
 * be the catalog, else, that keeps the file that a trim has emptied. */
static bool
makes_space(const struct worker *worker, struct node_log *log)
{
    uint64_t current = worker->journal.file.number, bytes = moved_bytes(log);

    assert(log->durable->moved_file <= current);
    if (log->durable->moved_file == current || bytes > MOVED_BYTES_TIGHT ||
        durable_space(worker, log, 2 * bytes + sizeof(struct journal_base), USE_ORDER) != SPACE_YES)
        return false;
    log->durable->moved_file = current;
    return true;
}

/* What rests is moved out of files that are a few behind; where there is no space, out of every one, but only little. */
static bool
is_to_move(const struct worker *worker, struct node_log *log, uint64_t oldest)
{
    uint64_t current = worker->journal.file.number;

    if (oldest == 0 || oldest >= current || stays_in(log, oldest))
        return false;
    return worker->journal_full ? makes_space(worker, log) : oldest + MOVED_FILES < current;
}

/* Which files are needed no more? */
void
review_files(struct worker *worker)
{
    uint64_t current = worker->journal.file.number, keep = current;

    if (worker->beats % REVIEW_BEATS != 0 || worker->journal.file.handle < 0 || worker->journal_failed)
        return;
    if (worker->journal_damaged && !is_mended(worker))
        return;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];
        uint64_t oldest;

        if (log->durable == NULL)
            continue;
        oldest = oldest_file(log, worker->journal.durable);
        assert(oldest <= current);
        if (oldest < keep)
            keep = oldest;
        if (is_to_move(worker, log, oldest))
            move_up(worker, log);
    }
    atomic_store_explicit(&worker->journal.keep_number, keep, memory_order_release);
}

/* What was cut off, or left a branch, before it was written claims nothing any more: looked for where room is short. */
void
review_claims(struct worker *worker)
{
    if (worker->claimed_bytes == 0 || journal_space(&worker->journal, worker->claimed_bytes, USE_CLIENT) == SPACE_YES)
        return;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        assert(log->durable == NULL || log->durable->claimed_bytes <= worker->claimed_bytes);
        if (log->durable != NULL && !log->durable->listed && !has_unwritten(log))
            unclaim(worker, log, UINT64_MAX);
    }
}
