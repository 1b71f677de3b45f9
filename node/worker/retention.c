/* Where a trunk begins: what of it may go, and when (docs/storage.md, Retention).
 *
 * Age is the leader's to judge (judge_age()), by the trunk's clocks and by what most nodes agree the time is; it tells
 * the others up to where, with its heartbeats. No node lets anything go by its own clock.
 *
 * Only what is committed and held by every member in reach may go and, where the log is durable, only what is on this node's
 * medium. What goes by size goes a segment at a time; what goes by age or because it was asked for goes exactly, as far as it is in
 * memory; what is on disk alone goes at the places where segments began. */
#include "node/worker/retention.h"

#include <assert.h>

#include "dataplane/segment.h"
#include "node/worker/durable.h"
#include "node/worker/evict.h"
#include "node/worker/held.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

static bool
has_rules(const struct log_rules *rules)
{
    return rules->retain_bytes != 0 || rules->retain_age_ns != 0 || rules->trim_before_lsn != 0;
}

static uint64_t
limit_of(struct node_log *log)
{
    uint64_t limit;

    assert(log->ticked_lsn <= log->digest_lsn);
    if (core_role(log->core) == ROLE_LEADER)
        log->trim_lsn = core_trim_limit(log->core);
    limit = log->trim_lsn;
    if (limit > log->digest_lsn)
        limit = log->digest_lsn;
    if (limit > durable_held_lsn(log))
        limit = durable_held_lsn(log);
    /* Readers at the end have had time for what was committed at the tick before. */
    return limit < log->ticked_lsn ? limit : log->ticked_lsn;
}

/* Finds up to where the trunk is older than its rules keep: to the block in what is in memory, else to where a segment is
 * known to have begun. */
static void
judge_age(const struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    uint64_t old_before_hlc = clocks_old_before_ns(&worker->clocks, log->rules.retain_age_ns, now_ns);
    const struct log_index *index = log->durable == NULL ? NULL : &log->durable->index;
    uint64_t known_lsn = log->aged_lsn > log->base_lsn ? log->aged_lsn : log->base_lsn, lsn = known_lsn;
    struct cursor cursor;
    struct stretch stretch;

    assert(core_role(log->core) == ROLE_LEADER);
    if (old_before_hlc == 0)
        return;
    for (uint32_t i = index == NULL ? 0 : index->cuts_first; index != NULL && i < index->cuts_count; i++) {
        if (index->cuts[i].hlc_before < old_before_hlc && index->cuts[i].first_lsn > lsn + 1)
            lsn = index->cuts[i].first_lsn - 1;
    }
    cursor = (struct cursor){.position = lsn + 1};
    while (store_first(&log->trunk) <= lsn + 1 &&
           store_look(&log->trunk, &cursor, log->digest_lsn, UINT32_MAX, SIZE_MAX, &stretch) &&
           stretch.block->trunk_hlc + stretch.block->count <= old_before_hlc) {
        lsn = stretch.first + stretch.count - 1;
        store_advance(&cursor, &stretch);
    }
    assert(lsn == known_lsn || lsn <= log->digest_lsn);
    if (lsn > known_lsn)
        log->aged_lsn = lsn;
}

/* Up to where the log's rules let the trunk's first entries go: for their age, or since it was asked for. */
static uint64_t
unwanted_lsn(const struct node_log *log)
{
    uint64_t lsn = log->rules.retain_age_ns == 0 ? 0 : log->aged_lsn;

    return log->rules.trim_before_lsn > lsn + 1 ? log->rules.trim_before_lsn - 1 : lsn;
}

/* May what ends so go? bytes_behind: what would be left. */
static bool
may_go(const struct node_log *log, uint64_t last_lsn, uint64_t bytes_behind)
{
    return last_lsn <= unwanted_lsn(log) || (log->rules.retain_bytes != 0 && bytes_behind >= log->rules.retain_bytes);
}

/* The chain digest up to lsn, which is in memory and committed. */
static uint64_t
digest_at(const struct node_log *log, uint64_t lsn)
{
    struct cursor cursor = {0};
    struct stretch stretch;
    uint64_t digest;

    assert(lsn <= log->digest_lsn);
    if (lsn == log->digest_lsn)
        return log->digest;
    assert(store_first(&log->trunk) != 0 && store_first(&log->trunk) <= lsn);
    /* Where lsn ends a segment the next segment has the digest. */
    cursor.position = lsn + 1;
    if (store_look(&log->trunk, &cursor, lsn + 1, 1, SIZE_MAX, &stretch) &&
        segment_block(store_segment(&log->trunk, &stretch), 0)->first_lsn == lsn + 1)
        return store_segment(&log->trunk, &stretch)->digest_before;
    cursor = (struct cursor){.position = lsn};
    if (!store_look(&log->trunk, &cursor, lsn, 1, SIZE_MAX, &stretch))
        return log->digest;
    digest = store_segment(&log->trunk, &stretch)->digest_before;
    cursor = (struct cursor){.position = segment_block(store_segment(&log->trunk, &stretch), 0)->first_lsn};
    while (store_look(&log->trunk, &cursor, lsn, UINT32_MAX, SIZE_MAX, &stretch)) {
        digest = digest_extend(digest, &stretch);
        store_advance(&cursor, &stretch);
    }
    assert(cursor.position == lsn + 1);
    return digest;
}

static void
begin_after(struct node_log *log, uint64_t lsn, uint64_t digest)
{
    assert(lsn > log->base_lsn && lsn <= core_commit_lsn(log->core));
    /* What goes is in the digest, and on this node's medium. */
    assert(lsn <= log->digest_lsn && lsn <= durable_held_lsn(log));
    log->base_lsn = lsn;
    log->base_digest = digest;
    core_trimmed(log->core, lsn);
    assert(core_base_lsn(log->core) == log->base_lsn);
    if (log->durable != NULL)
        log->durable->trim_due = true;
}

/* By size: whole segments, never the last. */
static void
give_segments(struct node_log *log, uint64_t limit)
{
    while (log->trunk.tail - log->trunk.head >= 2) {
        const struct segment *segment = store_front(&log->trunk);
        const struct block *last = segment_block(segment, segment->blocks - 1);
        uint64_t last_lsn = last->first_lsn + last->count - 1;

        if (last_lsn > limit || log->trunk.bytes - segment->used_bytes < log->rules.retain_bytes)
            return;
        if (last_lsn > log->base_lsn)
            begin_after(log, last_lsn, digest_at(log, last_lsn));
        store_trim_one(&log->trunk, last_lsn + 1);
    }
}

static void
retain_in_memory(struct node_log *log, uint64_t limit)
{
    uint64_t unwanted = unwanted_lsn(log);

    assert(log->durable == NULL);
    if (unwanted > limit)
        unwanted = limit;
    if (unwanted > log->base_lsn)
        begin_after(log, unwanted, digest_at(log, unwanted));
    /* All segments before the one that the trunk begins in are freed. */
    store_trim(&log->trunk, log->base_lsn);
    if (log->rules.retain_bytes != 0)
        give_segments(log, limit);
    assert(store_first(&log->trunk) <= log->base_lsn + 1);
}

static bool
front_may_go(const struct node_log *log)
{
    const struct segment *segment = store_front(&log->trunk);
    const struct block *last;

    if (segment == NULL || segment->blocks == 0)
        return false;
    last = segment_block(segment, segment->blocks - 1);
    return may_go(log, last->first_lsn + last->count - 1, log->trunk.bytes - segment->used_bytes);
}

static void
retain_on_disk(struct node_log *log, uint64_t limit)
{
    struct log_index *index = &log->durable->index;
    uint64_t total_bytes, unwanted;

    while (front_may_go(log) && evict_one(log))
        ;
    total_bytes = index->evicted_bytes + log->trunk.bytes;
    for (; index->cuts_first < index->cuts_count; index->cuts_first++) {
        const struct cut *cut = &index->cuts[index->cuts_first];

        if (cut->first_lsn > limit + 1 || !may_go(log, cut->first_lsn - 1, total_bytes - cut->bytes_before))
            break;
        if (cut->first_lsn > log->base_lsn + 1)
            begin_after(log, cut->first_lsn - 1, cut->digest_before);
    }
    assert(index->cuts_first <= index->cuts_count);
    unwanted = unwanted_lsn(log) < limit ? unwanted_lsn(log) : limit;
    if (unwanted > log->base_lsn && store_first(&log->trunk) != 0 && store_first(&log->trunk) <= unwanted)
        begin_after(log, unwanted, digest_at(log, unwanted));
}

void
retain(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    uint64_t limit;

    assert(log->worker == worker);
    /* A log that has stopped keeps all that it has: somebody has to choose from it. */
    if (!has_rules(&log->rules) || core_stopped(log->core) != STOP_NONE)
        return;
    if (log->rules.retain_age_ns != 0 && core_role(log->core) == ROLE_LEADER)
        judge_age(worker, log, now_ns);
    limit = limit_of(log);
    assert(limit <= core_commit_lsn(log->core));
    if (limit <= log->base_lsn)
        return;
    if (log->durable == NULL)
        retain_in_memory(log, limit);
    else
        retain_on_disk(log, limit);
}
