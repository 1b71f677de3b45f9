/* Where a node's logs stood when it was stopped, so that its next start need not read the journal to know.
 *
 * A small file beside the journal, replaced as a whole: of each durable log the state of its core at the commit lsn, and
 * where its entries are in the journal; of small logs, the catalog among them, the entries too. What the journal holds
 * from `from_place` on is then read as ever, which is nothing but the last tail after a clean stop, and all that was
 * written since after a later crash: what is committed does not change. Where files have been removed since, the
 * places may be void, and all of the journal is read. Bytes: docs/format.md. */
#include "node/worker/checkpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/journal_scan.h"
#include "node/look.h"
#include "node/state.h"
#include "node/worker/apply.h"
#include "node/worker/checkpoint_format.h"
#include "node/worker/durable.h"
#include "node/worker/held.h"
#include "node/worker/index.h"
#include "node/worker/send.h"
#include "wire/crc32c.h"

/* A log's entries are in the file where they are no more than this. */
#define CONTENT_BYTES_MAX (1u << 20)

/* What is written, growing. */
struct buffer {
    uint8_t *bytes;
    size_t used, capacity;
    bool failed;
};

static void
put(struct buffer *buffer, const void *bytes, size_t size_bytes)
{
    assert(buffer->used <= buffer->capacity);
    if (buffer->used + size_bytes > buffer->capacity) {
        size_t capacity = 2 * (buffer->used + size_bytes);
        uint8_t *grown = realloc(buffer->bytes, capacity);

        if (grown == NULL) {
            buffer->failed = true;
            return;
        }
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    if (size_bytes > 0)
        memcpy(buffer->bytes + buffer->used, bytes, size_bytes);
    buffer->used += size_bytes;
    assert(buffer->used <= buffer->capacity);
}

/* Is there nothing that only reading all of the journal could tell? */
static bool
log_settled(const struct node_log *log)
{
    uint64_t lsn, term;

    log_assert(log);
    return !core_recovering(log->core) && !core_failed(log->core) && !core_lacks(log->core, &lsn, &term) &&
           !core_producers_partial(log->core) && core_commit_lsn(log->core) <= log->durable->held_lsn &&
           log->digest_lsn == core_commit_lsn(log->core) && log->durable->tail_place != 0;
}

/* The place that reading must begin at for what this log has beyond its commit lsn: no later than *place is. */
static bool
lower_place(const struct node_log *log, uint64_t *place)
{
    const struct log_index *index = &log->durable->index;
    uint64_t lsn = core_commit_lsn(log->core) + 1;
    const uint64_t most = *place;

    if (lsn <= core_last_lsn(log->core)) {
        uint32_t item = index_find(index, lsn);

        if (item == index->count)
            return false;
        assert(index->items[item].lsn <= lsn);
        if (index->items[item].place < *place)
            *place = index->items[item].place;
    }
    *place = durable_branches_place(log, *place);
    assert(*place <= most);
    (void)most;
    return true;
}

static bool
is_whole_in_memory(const struct node_log *log)
{
    return core_commit_lsn(log->core) > log->base_lsn && store_first(&log->trunk) != 0 &&
           store_first(&log->trunk) <= log->base_lsn + 1 && log->trunk.bytes <= CONTENT_BYTES_MAX;
}

/* Blocks and records of what is committed. */
static void
put_content(struct buffer *buffer, const struct node_log *log)
{
    struct cursor cursor = {.position = log->base_lsn + 1};
    struct stretch stretch;

    /* A block that grew in its segment may be larger than one that is put into it as a whole. */
    while (store_look(&log->trunk, &cursor, core_commit_lsn(log->core), UINT32_MAX, log->trunk.pool->segment_bytes / 2,
                      &stretch)) {
        struct block block = block_part(&stretch);

        block.first_lsn = stretch.first;
        put(buffer, &block, sizeof(block));
        put(buffer, stretch.records, stretch.size_bytes);
        store_advance(&cursor, &stretch);
    }
    /* The reader takes nothing that ends elsewhere: checkpoint_read.c. */
    assert(cursor.position == core_commit_lsn(log->core) + 1);
}

/* Segments in memory will be on disk alone after the start: the trunk may begin where they did. */
static uint32_t
put_cuts(struct buffer *buffer, const struct node_log *log, bool with_segments, uint64_t *evicted_bytes)
{
    const struct log_index *index = &log->durable->index;
    struct cursor cursor = {.position = store_first(&log->trunk)};
    uint32_t count = index->cuts_count - index->cuts_first;
    struct stretch stretch;
    uint32_t last_segment = UINT32_MAX;

    assert(index->cuts_first <= index->cuts_count);
    *evicted_bytes = index->evicted_bytes;
    put(buffer, index->cuts + index->cuts_first, count * sizeof(struct cut));
    while (with_segments &&
           store_look(&log->trunk, &cursor, core_commit_lsn(log->core), UINT32_MAX, SIZE_MAX, &stretch)) {
        const struct segment *segment = store_segment(&log->trunk, &stretch);

        if (stretch.segment_id != last_segment) {
            struct cut cut = {.first_lsn = stretch.first,
                              .hlc_before = segment->hlc_before,
                              .digest_before = segment->digest_before,
                              .bytes_before = *evicted_bytes};

            assert(stretch.first == segment_block(segment, 0)->first_lsn);
            *evicted_bytes += segment->used_bytes;
            /* No start takes more: the trunk can begin at others still. */
            if (count < CUTS_MAX) {
                put(buffer, &cut, sizeof(cut));
                count++;
            }
        }
        last_segment = stretch.segment_id;
        store_advance(&cursor, &stretch);
    }
    return count;
}

static uint32_t
put_items(struct buffer *buffer, const struct node_log *log)
{
    const struct log_index *index = &log->durable->index;
    uint32_t item = index_find(index, core_commit_lsn(log->core));
    uint32_t count = item == index->count ? 0 : item + 1;

    assert(count <= index->count);
    assert(count == 0 || index->items[count - 1].lsn <= core_commit_lsn(log->core));
    put(buffer, index->items, count * sizeof(*index->items));
    return count;
}

static void
put_log(struct buffer *buffer, struct worker *worker, const struct node_log *log, struct producer_row *page)
{
    struct core_checkpoint core;
    struct checkpoint_log head = {.log = log->id, .digest = log->digest, .hlc = log->digest_hlc};
    size_t at = buffer->used, content_at;
    bool whole = is_whole_in_memory(log), last;

    core_checkpoint(log->core, &core);
    /* The digest and the clock are those of that lsn. */
    assert(core.base.lsn == log->digest_lsn && core.trunk_base_lsn == log->base_lsn);
    assert(core.base.marks_count <= MARKS_MAX);
    head.term = core.term;
    head.voted_for = core.voted_for;
    head.lsn = core.base.lsn;
    head.base_term = core.base.base_term;
    head.producer_floor = core.base.producer_floor;
    head.marks_lsn = core.base.marks_lsn;
    head.members = members_encode(&core.base.members);
    head.first_lsn_before = log->base_lsn;
    head.term_before = core.trunk_base_term;
    head.digest_before = log->base_digest;
    head.tail_place = log->durable->tail_place;
    head.base_place = log->durable->base_place;
    head.terms = core.terms_count;
    head.marks = core.base.marks_count;
    put(buffer, &head, sizeof(head));
    put(buffer, core.terms, core.terms_count * sizeof(*core.terms));
    for (uint32_t i = 0; i < core.base.marks_count; i++) {
        const struct mark *mark = &core.base.marks[i];
        struct checkpoint_mark row = {.seq = mark->seq, .incarnation = mark->incarnation, .origin = mark->origin};

        put(buffer, &row, sizeof(row));
    }
    head.producers = core_producers(log->core, 0, worker->producer_rows, page, worker->config->producers_max, &last);
    assert(last && head.producers <= worker->config->producers_max);
    put(buffer, page, head.producers * sizeof(*page));
    head.items = put_items(buffer, log);
    head.cuts = put_cuts(buffer, log, !whole, &head.evicted_bytes);
    content_at = buffer->used;
    if (whole)
        put_content(buffer, log);
    head.content_bytes = buffer->used - content_at;
    assert(buffer->failed || (head.content_bytes % 8 == 0 && (head.content_bytes > 0) == whole));
    if (!buffer->failed)
        memcpy(buffer->bytes + at, &head, sizeof(head));
}

static bool
keep_known(const struct worker *worker)
{
    char detail[256];

    return worker->config->keep == NULL ||
           worker->config->keep(worker->config->keep_context, &worker->node->introduction.lives.identity, detail,
                                sizeof(detail));
}

/* The tail of the first of its logs that the journal has: reading begins there, or before. 0: there is none, or it is not told. */
static uint64_t
first_tail(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        if (worker->logs[i]->durable != NULL)
            return worker->logs[i]->durable->tail_place;
    }
    return 0;
}

bool
checkpoint_write(struct worker *worker)
{
    struct checkpoint_head head = {.magic = CHECKPOINT_MAGIC,
                                   .version = CHECKPOINT_VERSION,
                                   .cluster = worker->config->cluster->id,
                                   .incarnation = worker->codec.incarnation,
                                   .oldest_number = worker->journal.oldest_number,
                                   .node = worker->self};
    struct producer_row *page;
    struct buffer buffer = {0};
    bool saved = false;

    if (worker->disk == NULL || introduction_phase(&worker->node->introduction) != PHASE_INSIDE ||
        worker->journal_damaged || worker->journal_failed ||
        atomic_load_explicit(&worker->unreadable, memory_order_relaxed))
        return false;
    head.from_place = first_tail(worker);
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        const struct node_log *log = worker->logs[i];

        if (log->durable != NULL && (!log_settled(log) || !lower_place(log, &head.from_place)))
            return false;
        /* Known by its blocks alone: the catalog has not agreed on it yet, as far as this node knows. */
        if (log->id > core_commit_lsn(catalog_of(worker)->core))
            return false;
        head.logs += log->durable != NULL;
    }
    /* What it names is still there: files go only up to what a log needs. */
    assert(head.from_place == 0 || head.from_place >> 32 >= head.oldest_number);
    if (head.from_place == 0 || !is_whole_in_memory(catalog_of(worker)))
        return false;
    page = calloc(worker->config->producers_max, sizeof(*page));
    put(&buffer, &head, sizeof(head));
    for (uint32_t i = 0; page != NULL && i < worker->logs_count; i++) {
        if (worker->logs[i]->durable != NULL)
            put_log(&buffer, worker, worker->logs[i], page);
    }
    /* What stands before it in the journal, ends of others' among it, is not read again. */
    if (page != NULL && !buffer.failed && keep_known(worker)) {
        assert(head.logs > 0 && head.logs <= worker->logs_count);
        head.size_bytes = buffer.used;
        memcpy(buffer.bytes, &head, sizeof(head));
        head.crc32c = crc32c(0, buffer.bytes + 16, buffer.used - 16);
        memcpy(buffer.bytes, &head, sizeof(head));
        saved = worker->disk->operations->save(worker->disk, CHECKPOINT_NAME, buffer.bytes, buffer.used) == CAIRN_OK;
    }
    free(page);
    free(buffer.bytes);
    if (saved)
        journal_shorten(&worker->journal);
    return saved;
}

bool
checkpoint_discard(struct worker *worker)
{
    struct disk *disk = worker->disk;

    if (!worker->checkpoint_void)
        worker->checkpoint_void = disk->operations->save(disk, CHECKPOINT_NAME, "", 0) == CAIRN_OK;
    return worker->checkpoint_void;
}
