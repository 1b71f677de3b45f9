/* Does a trunk hold an entry behind some lsn? Asked of every entry of a branch whose producer is forgotten
 * (apply_holds()), and nearly always answered with no. A Bloom filter (Bloom 1970) over the part of the trunk that was
 * asked about says so without a walk; a yes is walked for. A node has a few filters, for the logs that asked last. */
#include "node/worker/seen.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "node/worker/batch.h"
#include "node/worker/log.h"
#include "node/worker/search.h"
#include "node/worker/worker.h"

/* With so many the filter says maybe of a third of all; it is begun anew where less of the trunk will do. */
#define SEEN_ENTRIES_MAX (SEEN_WORDS * 64 / 2)
/* A trunk of so few is walked where a check is worth it. */
#define WALKED_ENTRIES_MAX 8192u

static uint64_t
hash_of(const struct entry_id *id)
{
    uint64_t hash = (id->producer ^ (uint64_t)id->epoch << 32) * 0x9e3779b97f4a7c15u;

    hash = (hash ^ id->producer_seq) * 0xff51afd7ed558ccdu;
    return hash ^ hash >> 32;
}

/* Two bits for each entry. */
static uint32_t
bit_of(uint64_t hash, int which)
{
    return (uint32_t)(hash >> (which * 24)) % (SEEN_WORDS * 64);
}

static void
note(struct seen *seen, const struct entry_id *id)
{
    uint64_t hash = hash_of(id);

    for (int which = 0; which < 2; which++)
        seen->words[bit_of(hash, which) / 64] |= 1ull << bit_of(hash, which) % 64;
    seen->entries++;
}

/* Notes what stands from the cursor to last. */
static void
note_stretches(struct seen *seen, const struct store *trunk, uint64_t from, uint64_t last)
{
    struct cursor cursor = {.position = from};
    struct stretch stretch;

    assert(from > 0 && from <= last);
    while (store_look(trunk, &cursor, last, UINT32_MAX, SIZE_MAX, &stretch)) {
        const uint8_t *at = stretch.records;

        for (uint32_t i = 0; i < stretch.count; i++) {
            const struct record *record = (const struct record *)(const void *)at;
            struct entry_id id = record_id(record);

            if (id.producer != 0)
                note(seen, &id);
            at += record_size(record);
        }
        assert(at == stretch.records + stretch.size_bytes);
        store_advance(&cursor, &stretch);
    }
}

/* Makes the filter cover the trunk from there on. */
static void
cover(struct seen *seen, const struct node_log *log, uint64_t from)
{
    const struct store *trunk = &log->trunk;

    bool full = seen->entries > SEEN_ENTRIES_MAX && from > seen->first + SEEN_ENTRIES_MAX / 2;

    if (seen->log != log || full || seen->last + 1 < seen->first) {
        memset(seen, 0, sizeof(*seen));
        seen->log = log;
        seen->first = from;
        seen->last = from - 1;
    }
    if (from < seen->first)
        note_stretches(seen, trunk, from, seen->first - 1);
    if (from < seen->first)
        seen->first = from;
    if (trunk->last > seen->last) {
        note_stretches(seen, trunk, seen->last + 1, trunk->last);
        seen->last = trunk->last;
    }
    assert(seen->first <= from && seen->first <= seen->last + 1);
    assert(seen->last >= trunk->last);
}

/* The log's filter, or the one that was not used for longest. */
static struct seen *
seen_of(struct worker *worker, const struct node_log *log)
{
    struct seen *oldest = &worker->seen[0];

    for (uint32_t i = 0; i < SEEN_MAX; i++) {
        assert(worker->seen[i].used <= worker->seen_used);
        if (worker->seen[i].log == log)
            return &worker->seen[i];
        if (worker->seen[i].used < oldest->used)
            oldest = &worker->seen[i];
    }
    return oldest;
}

/* Nowhere on the trunk behind lsn, as the filter says? true also where the trunk is too long for a walk. */
static bool
is_nowhere(const struct node_log *log, const struct entry_id *id, uint64_t lsn)
{
    return log->trunk.entries > WALKED_ENTRIES_MAX || node_find_entry(&log->trunk, id, lsn + 1) == 0;
}

bool
seen_behind(struct worker *worker, const struct node_log *log, const struct entry_id *id, uint64_t lsn)
{
    struct seen *seen = seen_of(worker, log);
    uint64_t hash = hash_of(id);

    if (lsn == FORK_TRUNK)
        lsn = 0;
    assert(id->producer != 0);
    cover(seen, log, lsn + 1);
    assert(seen->log == log && seen->first <= lsn + 1);
    seen->used = ++worker->seen_used;
    for (int which = 0; which < 2; which++) {
        if (!(seen->words[bit_of(hash, which) / 64] >> bit_of(hash, which) % 64 & 1)) {
            assert_costly(is_nowhere(log, id, lsn));
            return false;
        }
    }
    return node_find_entry(&log->trunk, id, lsn + 1) != 0;
}

void
seen_truncate(struct worker *worker, const struct node_log *log, uint64_t from_lsn)
{
    struct seen *seen = seen_of(worker, log);

    /* What is agreed on stays. */
    assert(from_lsn == 0 || from_lsn > core_commit_lsn(log->core));
    if (seen->log == log && seen->last >= from_lsn)
        seen->last = from_lsn == 0 ? 0 : from_lsn - 1;
}
