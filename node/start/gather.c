/* A start without space leaves no file behind each time.
 *
 * Such a start goes on in what was set aside for it. What the files hold that starts before it went on in, and the last
 * ones did not fill, is written there first, together: terms and votes, tails, entries of the catalog and of leaders, what
 * followers took. It is one write, and the file gets its name with that in it. Its first block says that it follows on the
 * file before those, which are superseded by it, and go: their space is set aside for the next start. A crash before the
 * file has its name leaves all as it was. */
#include "node/start/gather.h"

#include <assert.h>
#include <stdio.h>

#include "dataplane/journal_scan.h"
#include "node/state.h"
#include "node/worker/apply.h"
#include "node/worker/checkpoint.h"
#include "node/worker/durable.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/unwritten.h"
#include "node/worker/worker.h"
#include "node/worker/writes.h"

/* Of the file, what is written again may take at most so many eighths: the rest is for what comes then. */
#define EIGHTHS_MAX 5u
/* Of each log: a tail; a base with its producers. */
#define LOG_BYTES (2u << 10)
#define BASE_BYTES (8u << 10)

/* Is all of the log known for certain? What is in doubt stays where it is, as the evidence. */
static bool
is_certain(const struct node_log *log)
{
    uint64_t lsn, term;

    return !core_recovering(log->core) && !core_failed(log->core) && !core_lacks(log->core, &lsn, &term) &&
           !log->durable->doubtful && !log->durable->broken;
}

/* The first entry of the trunk that stands at the place or behind it. */
static uint64_t
first_behind(const struct node_log *log, uint64_t place)
{
    const struct log_index *index = &log->durable->index;

    assert(index->count == 0 || index->items[index->count - 1].lsn < log->durable->trunk.position);
    for (uint32_t i = index->count; i-- > 0;) {
        if (index->items[i].place < place)
            return i + 1 == index->count ? log->durable->trunk.position : index->items[i + 1].lsn;
    }
    return index->count == 0 ? log->durable->trunk.position : index->items[0].lsn;
}

/* Must the branch be written again? Not as long as it stands on the trunk, where this start has found it. */
static bool
is_branch_behind(const struct node_log *log, uint8_t origin, uint64_t place)
{
    const struct durable *durable = log->durable;

    if (log->branches[origin].entries == 0)
        return false;
    return durable->branches[origin].last_place >= place ||
           (origin == log->self && durable->acked_place >= place &&
            log->own->store.last >= durable->branches[origin].cursor.position);
}

static cairn_node_set
branches_behind(const struct node_log *log, uint64_t place)
{
    cairn_node_set origins = 0;

    for (uint8_t origin = 0; origin < CAIRN_NODES_MAX; origin++) {
        if (is_branch_behind(log, origin, place))
            origins |= (cairn_node_set)1 << origin;
    }
    return origins;
}

/* What branches take, which are written again as a whole. UINT64_MAX: one lies partly before the place. */
static uint64_t
branches_bytes(const struct node_log *log, uint64_t place)
{
    uint64_t bytes = 0;

    for (cairn_node_set left = branches_behind(log, place); left != 0; left &= left - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(left);
        const struct store *store = &log->branches[origin].store;
        uint64_t begins = log->durable->branches[origin].place;

        if (begins != 0 && begins < place)
            return UINT64_MAX;
        bytes += durable_bytes(store, store_first(store), UINT32_MAX);
    }
    return bytes;
}

static bool
has_base_behind(const struct node_log *log, uint64_t place)
{
    return log->base_lsn > 0 && (log->durable->base_place >= place || log->durable->producers_place >= place);
}

/* How much of the log would be written again, of what stands at the place and behind it. UINT64_MAX: that cannot be. */
static uint64_t
log_bytes_behind(const struct node_log *log, uint64_t place)
{
    uint64_t trunk = durable_bytes(&log->trunk, first_behind(log, place), UINT32_MAX);
    uint64_t branches = branches_bytes(log, place);

    if (trunk == UINT64_MAX || branches == UINT64_MAX || log->durable->anew_place >= place || !is_certain(log))
        return UINT64_MAX;
    return trunk + branches + LOG_BYTES + (has_base_behind(log, place) ? BASE_BYTES : 0);
}

/* The same of all logs. */
static uint64_t
bytes_behind(const struct worker *worker, uint64_t place)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < worker->logs_count; i++) {
        uint64_t log_bytes = worker->logs[i]->durable == NULL ? 0 : log_bytes_behind(worker->logs[i], place);

        if (log_bytes == UINT64_MAX)
            return UINT64_MAX;
        bytes += log_bytes;
    }
    return bytes;
}

/* Index of the first of the last files that can be written again in the new one, not the oldest; scan->count: none. */
static uint32_t
first_gathered(const struct worker *worker, const struct journal_scan *scan)
{
    const struct journal *journal = &worker->journal;
    uint64_t room_bytes = journal->next.size_bytes / 8 * EIGHTHS_MAX;
    uint32_t end = 0, first;

    if (room_bytes > journal->config.write_bytes / 8 * 7)
        room_bytes = journal->config.write_bytes / 8 * 7;
    while (end < scan->count && scan->numbers[end] <= scan->end >> 32)
        end++;
    assert(end <= scan->count);
    first = end;
    while (first > 1 && scan->ends[first - 2] > DISK_SECTOR_BYTES &&
           bytes_behind(worker, journal_place(scan->numbers[first - 1], 0)) <= room_bytes)
        first--;
    /* The oldest stays. */
    assert(first == end || first >= 1);
    return first == end || worker->journal_damaged || worker->forgetful || worker->journal_was_empty ? scan->count
                                                                                                     : first;
}

/* What stands at the place and behind it is to be written again. */
static void
rewind_to(struct node_log *log, uint64_t place)
{
    struct durable *durable = log->durable;
    uint64_t lsn = first_behind(log, place);

    assert(lsn <= durable->trunk.position && durable->rewritten_lsn == UINT64_MAX);
    if (lsn < durable->trunk.position) {
        index_truncate(&durable->index, lsn);
        durable->trunk = (struct cursor){.position = lsn};
    }
    for (cairn_node_set left = branches_behind(log, place); left != 0; left &= left - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(left);

        durable->branches[origin].cursor = (struct cursor){.position = store_first(&log->branches[origin].store)};
        durable->branches[origin].place = 0;
    }
    assert(durable->index.count == 0 || durable->index.items[durable->index.count - 1].place < place);
    durable->trim_due |= has_base_behind(log, place);
}

/* false: there was no room for all of it. */
static bool
write_log_again(struct worker *worker, struct node_log *log, uint64_t place)
{
    cairn_node_set branches = branches_behind(log, place);

    log_assert(log);
    rewind_to(log, place);
    durable_want(worker, log);
    return durable_gather(worker, log, branches);
}

static bool
write_again(struct worker *worker, uint64_t place)
{
    bool done = true;

    assert(!worker->gathering && !worker->restoring);
    worker->gathering = true;
    for (uint32_t i = 0; i < worker->logs_count && done; i++)
        done = worker->logs[i]->durable == NULL || write_log_again(worker, worker->logs[i], place);
    worker->gathering = false;
    return done && ends_write_restored(worker);
}

enum cairn_error
gather(struct worker *worker, const struct journal_scan *scan, char *detail, size_t detail_bytes)
{
    struct disk *disk = worker->disk;
    uint32_t first = first_gathered(worker, scan);
    uint64_t former_end = scan->end;

    assert(worker->journal.next_reserved && first <= scan->count);
    /* A checkpoint may name places in what goes. */
    if (!checkpoint_discard(worker))
        first = scan->count;
    if (first < scan->count) {
        /* The next start would take a part of it for a beginning anew: nothing gets a name then. */
        if (!write_again(worker, journal_place(scan->numbers[first], 0))) {
            snprintf(detail, detail_bytes, "what the last files hold does not fit what is set aside (free some space)");
            return CAIRN_NO_SPACE;
        }
        assert(first >= 1 && scan->numbers[first - 1] < scan->numbers[first]);
        former_end = journal_place(scan->numbers[first - 1], (uint32_t)scan->ends[first - 1]);
    }
    if (!journal_name_reserve(&worker->journal, former_end)) {
        snprintf(detail, detail_bytes, "%s", disk->detail);
        return CAIRN_IO;
    }
    for (; first < scan->count && scan->numbers[first] <= scan->end >> 32; first++)
        disk->operations->remove(disk, scan->numbers[first]);
    /* What they had, and what the last file had behind its end, makes the next reserve. */
    journal_maintain(&worker->journal);
    return CAIRN_OK;
}
