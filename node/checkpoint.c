/* Where a node's logs stood when it was stopped, so that its next start need not read the journal to know.
 *
 * A small file beside the journal, replaced as a whole: of each durable log the state of its core at the commit lsn, and
 * where its entries are in the journal; of small logs, the catalog among them, the entries too. What the journal holds
 * from `from_place` on is then read as ever, which is nothing but the last tail after a clean stop, and all that was
 * written since after a later crash: what is committed does not change. Where files have been removed since, the
 * places may be void, and all of the journal is read. Bytes: docs/format.md. */
#include "checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "control.h"
#include "crc32c.h"
#include "durable.h"
#include "held.h"
#include "index.h"
#include "journal_scan.h"
#include "look.h"
#include "restore_catalog.h"
#include "send.h"

#define CHECKPOINT_NAME "checkpoint"
#define CHECKPOINT_MAGIC "CAIRNCP1"
#define CHECKPOINT_VERSION 2u
/* A log's entries are in the file where they are no more than this. */
#define CONTENT_BYTES_MAX (1u << 20)
/* Less than this is read again, and so verified, at every start. */
#define SKIPPED_BYTES_MIN (32u << 20)

struct checkpoint_head {
    char magic[8];
    uint32_t version;
    uint32_t crc32c; /* over all that follows it */
    uint32_t cluster, incarnation;
    uint64_t size_bytes; /* of the file */
    uint64_t oldest_number, from_place;
    uint32_t logs, node;
};

/* Followed by its rows: terms, marks, producers, items of the index, cuts; then blocks with their records. */
struct checkpoint_log {
    uint32_t log, voted_for;
    uint64_t term;
    uint64_t lsn, base_term, producer_floor, marks_lsn, members, digest; /* what is committed */
    uint64_t first_lsn_before, term_before, digest_before;               /* of the trunk's beginning */
    uint64_t hlc, tail_place, base_place, evicted_bytes, content_bytes;
    uint32_t terms, marks, producers, items, cuts, reserved;
};

struct checkpoint_mark {
    uint64_t seq;
    uint32_t incarnation, origin;
};

_Static_assert(sizeof(struct checkpoint_head) == 56, "on disk");
_Static_assert(sizeof(struct checkpoint_log) == 152, "on disk");

/* What is written, growing. */
struct buffer {
    uint8_t *bytes;
    size_t used, capacity;
    bool failed;
};

static void
put(struct buffer *buffer, const void *bytes, size_t size_bytes)
{
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
}

/* Is there nothing that only reading all of the journal could tell? */
static bool
log_settled(const struct node_log *log)
{
    uint64_t lsn, term;

    return !core_recovering(log->core) && !core_failed(log->core) && !core_lacks(log->core, &lsn, &term) &&
           !core_producers_partial(log->core) && core_commit_lsn(log->core) <= log->durable->held_lsn &&
           log->digest_lsn == core_commit_lsn(log->core) && log->durable->tail_place != 0;
}

/* The place that reading must begin at for what this log has beyond its commit lsn; *place: at most. */
static bool
lower_place(const struct node_log *log, uint64_t *place)
{
    const struct log_index *index = &log->durable->index;
    uint64_t lsn = core_commit_lsn(log->core) + 1;

    if (lsn <= core_last_lsn(log->core)) {
        uint32_t item = index_find(index, lsn);

        if (item == index->count)
            return false;
        if (index->items[item].place < *place)
            *place = index->items[item].place;
    }
    *place = durable_branches_place(log, *place);
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

            put(buffer, &cut, sizeof(cut));
            *evicted_bytes += segment->used_bytes;
            count++;
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
    put(buffer, page, head.producers * sizeof(*page));
    head.items = put_items(buffer, log);
    head.cuts = put_cuts(buffer, log, !whole, &head.evicted_bytes);
    content_at = buffer->used;
    if (whole)
        put_content(buffer, log);
    head.content_bytes = buffer->used - content_at;
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

    if (worker->config->disk == NULL || introduction_phase(&worker->node->introduction) != PHASE_INSIDE ||
        worker->journal_damaged || worker->journal_failed ||
        atomic_load_explicit(&worker->unreadable, memory_order_relaxed))
        return false;
    head.from_place = worker->logs[0]->durable == NULL ? 0 : worker->logs[0]->durable->tail_place;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        const struct node_log *log = worker->logs[i];

        if (log->durable != NULL && (!log_settled(log) || !lower_place(log, &head.from_place)))
            return false;
        /* Known by its blocks alone: the catalog has not agreed on it yet, as far as this node knows. */
        if (log->id > core_commit_lsn(worker->logs[0]->core))
            return false;
        head.logs += log->durable != NULL;
    }
    if (head.from_place == 0 || !is_whole_in_memory(worker->logs[0]))
        return false;
    page = calloc(worker->config->producers_max, sizeof(*page));
    put(&buffer, &head, sizeof(head));
    for (uint32_t i = 0; page != NULL && i < worker->logs_count; i++) {
        if (worker->logs[i]->durable != NULL)
            put_log(&buffer, worker, worker->logs[i], page);
    }
    /* What stands before it in the journal, ends of others' among it, is not read again. */
    if (page != NULL && !buffer.failed && keep_known(worker)) {
        head.size_bytes = buffer.used;
        memcpy(buffer.bytes, &head, sizeof(head));
        head.crc32c = crc32c(0, buffer.bytes + 16, buffer.used - 16);
        memcpy(buffer.bytes, &head, sizeof(head));
        saved = worker->config->disk->operations->save(worker->config->disk, CHECKPOINT_NAME, buffer.bytes,
                                                       buffer.used) == CAIRN_OK;
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
    struct disk *disk = worker->config->disk;

    if (!worker->checkpoint_void)
        worker->checkpoint_void = disk->operations->save(disk, CHECKPOINT_NAME, "", 0) == CAIRN_OK;
    return worker->checkpoint_void;
}

/* What is read: *at moves on. NULL: there are not so many bytes. */
static const void *
take(const uint8_t **at, const uint8_t *end, uint64_t count, size_t each_bytes)
{
    const uint8_t *taken = *at;

    if (count > (uint64_t)(end - *at) / each_bytes)
        return NULL;
    *at += count * each_bytes;
    return taken;
}

/* A block of entries that follows what is there, with as many records behind it as it says, in size_bytes at most. */
static bool
block_plausible(const struct node_log *log, const struct block *block, const uint8_t *records, size_t size_bytes)
{
    const struct run run = block_run(block);
    uint32_t left_bytes = block->size_bytes;

    if (left_bytes > size_bytes || left_bytes > log->trunk.pool->segment_bytes / 2 || !trunk_run_plausible(&run) ||
        run.first_lsn != log->trunk.last + 1 || !hlc_plausible(block->hlc, block->count) ||
        !fork_plausible(block->fork_lsn))
        return false;
    for (uint32_t i = 0; i < block->count; i++) {
        size_t record_size_bytes = record_measure(records, left_bytes);

        if (record_size_bytes == 0)
            return false;
        records += record_size_bytes;
        left_bytes -= (uint32_t)record_size_bytes;
    }
    return left_bytes == 0;
}

/* The entries themselves, and with them the chain digest up to the commit lsn. */
static bool
take_content(struct node_log *log, const struct checkpoint_log *head, const uint8_t *content)
{
    const uint8_t *end = content + head->content_bytes;
    struct stretch stretch;

    store_reset(&log->trunk, head->first_lsn_before);
    while (content < end) {
        struct block block;

        if ((size_t)(end - content) < sizeof(block))
            return false;
        memcpy(&block, content, sizeof(block));
        content += sizeof(block);
        if (!block_plausible(log, &block, content, (size_t)(end - content)) ||
            !store_append(&log->trunk, &block, content))
            return false;
        content += block.size_bytes;
    }
    store_seal(&log->trunk);
    log->digest = head->digest_before;
    log->commit_cursor = (struct cursor){.position = head->first_lsn_before + 1};
    while (store_look(&log->trunk, &log->commit_cursor, head->lsn, UINT32_MAX, SIZE_MAX, &stretch))
        digest_over(log, &stretch);
    return log->digest == head->digest && log->commit_cursor.position == head->lsn + 1 && log->trunk.last == head->lsn;
}

/* What the core does not look at itself. */
static bool
numbers_plausible(const struct checkpoint_log *head, const struct producer_row *producers)
{
    if (head->term > TERM_MAX || head->term_before > TERM_MAX || head->lsn > LSN_MAX ||
        head->first_lsn_before > head->lsn || !hlc_plausible(head->hlc, 0) ||
        (head->voted_for >= CAIRN_NODES_MAX && head->voted_for != CAIRN_NODE_NONE))
        return false;
    for (uint32_t i = 0; i < head->producers; i++) {
        if (!producer_row_plausible(&producers[i]))
            return false;
    }
    return true;
}

/* false: what it says does not hold together. */
static bool
take_log(struct worker *worker, struct node_log *log, const struct checkpoint_log *head, const uint8_t *at,
         const uint8_t *end)
{
    struct log_index *index = &log->durable->index;
    const struct term_row *terms = take(&at, end, head->terms, sizeof(*terms));
    const struct checkpoint_mark *rows = take(&at, end, head->marks, sizeof(*rows));
    const struct producer_row *producers = take(&at, end, head->producers, sizeof(*producers));
    const void *items = take(&at, end, head->items, sizeof(*index->items));
    const void *cuts = take(&at, end, head->cuts, sizeof(*index->cuts));
    const uint8_t *content = take(&at, end, head->content_bytes, 1);
    struct mark marks[MARKS_MAX];
    struct core_checkpoint core = {
        .base = {.lsn = head->lsn,
                 .base_term = head->base_term,
                 .producer_floor = head->producer_floor,
                 .marks_lsn = head->marks_lsn,
                 .members = members_decode(head->members),
                 .marks = marks,
                 .marks_count = head->marks},
        .trunk_base_lsn = head->first_lsn_before,
        .trunk_base_term = head->term_before,
        .term = head->term,
        .voted_for = (uint8_t)head->voted_for,
        .terms = terms,
        .terms_count = head->terms,
    };

    if (content == NULL || cuts == NULL || items == NULL || producers == NULL || rows == NULL || terms == NULL ||
        head->marks > MARKS_MAX || !numbers_plausible(head, producers))
        return false;
    for (uint32_t i = 0; i < head->marks; i++)
        marks[i] = (struct mark){.seq = rows[i].seq,
                                 .incarnation = rows[i].incarnation,
                                 .origin = rows[i].origin < CAIRN_NODES_MAX ? (uint8_t)rows[i].origin
                                                                            : CAIRN_NODE_NONE};
    log->durable->tail_place = head->tail_place;
    log->durable->base_place = head->base_place;
    /* Of a log that has agreed on nothing yet there are but a term and a vote. */
    if (head->lsn == 0) {
        core_restore_state(log->core, head->term, (uint8_t)head->voted_for);
        return head->items + head->cuts + head->content_bytes == 0;
    }
    worker->event_digest = head->digest;
    worker->event_hlc = head->hlc;
    if (!core_restore_checkpoint(log->core, &core, &log->sink))
        return false;
    core_restore_producers(log->core, producers, head->producers, true);
    if (!index_load(index, items, head->items, cuts, head->cuts, head->lsn))
        return false;
    index->evicted_bytes = head->evicted_bytes;
    log->base_lsn = head->first_lsn_before;
    log->base_digest = head->digest_before;
    log->ticked_lsn = head->lsn;
    return head->content_bytes == 0 || take_content(log, head, content);
}

/* Of a log's head and rows, which are too few for the sum to wrap round. */
static uint64_t
rows_bytes(const struct checkpoint_log *head)
{
    return sizeof(*head) + (uint64_t)head->terms * sizeof(struct term_row) +
           (uint64_t)head->marks * sizeof(struct checkpoint_mark) +
           (uint64_t)head->producers * sizeof(struct producer_row) + (uint64_t)head->items * 2 * sizeof(uint64_t) +
           (uint64_t)head->cuts * sizeof(struct cut);
}

/* All that a log says, of what is left of the file. 0: it is not all there. */
static size_t
log_bytes(const struct checkpoint_log *head, size_t left_bytes)
{
    uint64_t rows = rows_bytes(head);

    if (rows > left_bytes || head->content_bytes > left_bytes - rows || head->content_bytes % 8 != 0)
        return 0;
    return (size_t)(rows + head->content_bytes);
}

/* A place behind all files would let go of those that are needed. */
static bool
places_plausible(const struct node_log *log, uint64_t highest_number)
{
    const struct log_index *index = &log->durable->index;

    for (uint32_t i = 0; i < index->count; i++) {
        if (index->items[i].place >> 32 > highest_number)
            return false;
    }
    return log->durable->tail_place >> 32 <= highest_number && log->durable->base_place >> 32 <= highest_number;
}

/* Are the files that it speaks of still there, and does it save more reading than it is worth? */
static bool
is_usable(const struct worker *worker, const struct journal_scan *scan, const struct checkpoint_head *head)
{
    uint64_t known = scan->count - scan->known_from, skipped_bytes;
    uint32_t index = 0;

    while (index < scan->count && scan->numbers[index] < checkpoint_file(head))
        index++;
    if (index == scan->count || scan->numbers[index] != checkpoint_file(head) ||
        scan->numbers[0] != head->oldest_number)
        return false;
    /* Files are of one size, or nearly. */
    skipped_bytes = index * (scan->total_bytes / known) + (uint32_t)head->from_place;
    return skipped_bytes >= SKIPPED_BYTES_MIN || worker->config->checkpoint_always;
}

/* Every log in turn; the catalog, which is the first, says which there are. */
static bool
take_logs(struct worker *worker, const struct checkpoint_head *head, uint64_t highest_number)
{
    const uint8_t *at = (const uint8_t *)(head + 1), *end = (const uint8_t *)head + head->size_bytes;

    for (uint32_t i = 0; i < head->logs; i++) {
        struct checkpoint_log found;
        struct node_log *log;
        size_t size_bytes;

        if ((size_t)(end - at) < sizeof(found))
            return false;
        memcpy(&found, at, sizeof(found));
        size_bytes = log_bytes(&found, (size_t)(end - at));
        log = node_find_log(worker, found.log);
        if (size_bytes == 0 || log == NULL || log->durable == NULL ||
            !take_log(worker, log, &found, at + sizeof(found), at + size_bytes) ||
            !places_plausible(log, highest_number))
            return false;
        if (log->id == CATALOG_LOG)
            restore_catalog(worker->node, found.lsn);
        at += size_bytes;
    }
    return at == end;
}

struct checkpoint_head *
checkpoint_read(const struct worker *worker)
{
    struct disk *disk = worker->config->disk;
    struct checkpoint_head *head = NULL;
    size_t size_bytes = 0;
    void *bytes = NULL;

    if (disk->operations->load(disk, CHECKPOINT_NAME, &bytes, &size_bytes) != CAIRN_OK || bytes == NULL)
        return NULL;
    head = bytes;
    if (size_bytes < sizeof(*head) || memcmp(head->magic, CHECKPOINT_MAGIC, sizeof(head->magic)) != 0 ||
        head->version != CHECKPOINT_VERSION || head->size_bytes != size_bytes ||
        head->crc32c != crc32c(0, (const uint8_t *)head + 16, size_bytes - 16) ||
        head->cluster != worker->config->cluster->id || head->node != worker->self ||
        head->incarnation >= worker->codec.incarnation) {
        free(bytes);
        return NULL;
    }
    return head;
}

uint64_t
checkpoint_file(const struct checkpoint_head *head)
{
    return head->from_place >> 32;
}

enum cairn_error
checkpoint_load(struct worker *worker, const struct journal_scan *scan, const struct checkpoint_head *head,
                uint64_t *from_place, char *detail, size_t detail_bytes)
{
    *from_place = 0;
    if (head == NULL || scan->count == scan->known_from || !is_usable(worker, scan, head))
        return CAIRN_OK;
    *from_place = head->from_place;
    if (!worker->config->checkpoint_always)
        fprintf(stderr, "cairn: node %s goes on from its checkpoint\n", worker->name);
    if (take_logs(worker, head, scan->highest_number))
        return CAIRN_OK;
    snprintf(detail, detail_bytes,
             "node %s: its checkpoint does not fit its cluster file or its journal (remove the file "
             "'checkpoint' from its directory: it then reads all of its journal)",
             worker->name);
    return CAIRN_CORRUPT;
}
