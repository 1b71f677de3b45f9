/* What the last stop left is read: every number of it may be wrong, also where its checksum is right. */
#include "node/start/checkpoint_read.h"

#include <assert.h>

#include "dataplane/journal_scan.h"
#include "node/look.h"
#include "node/start/restore_catalog.h"
#include "node/worker/apply.h"
#include "node/worker/checkpoint_format.h"
#include "node/worker/durable.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"
#include "wire/crc32c.h"

/* Less than this is read again, and so verified, at every start. */
#define SKIPPED_BYTES_MIN (32u << 20)

/* What is read: *at moves on. NULL: there are not so many bytes. */
static const void *
take(const uint8_t **at, const uint8_t *end, uint64_t count, size_t each_bytes)
{
    const uint8_t *taken = *at;

    assert(taken <= end && each_bytes > 0);
    if (count > (uint64_t)(end - *at) / each_bytes)
        return NULL;
    *at += count * each_bytes;
    assert(*at <= end);
    return taken;
}

/* A block of entries that follows what is there, with as many records behind it as it says, in size_bytes at most. */
static bool
block_plausible(const struct node_log *log, const struct block *block, const uint8_t *records, size_t size_bytes)
{
    const struct run run = block_run(block);
    uint32_t left_bytes = block->size_bytes;

    assert(log->trunk.last >= log->base_lsn);
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

    assert(head->first_lsn_before == log->base_lsn && head->lsn == core_commit_lsn(log->core));
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
    /* Each block was looked at before it was taken, so none reaches beyond the end. */
    assert(content == end && log->trunk.last >= head->first_lsn_before);
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
    /* As many bytes as rows_bytes() has counted. */
    assert(at == end);
    for (uint32_t i = 0; i < head->marks; i++)
        marks[i] = (struct mark){.seq = rows[i].seq,
                                 .incarnation = rows[i].incarnation,
                                 .origin = rows[i].origin < CAIRN_NODES_MAX ? (uint8_t)rows[i].origin
                                                                            : CAIRN_NODE_NONE};
    log->durable->tail_place = head->tail_place;
    log->durable->base_place = head->base_place;
    /* A log that has agreed on nothing yet has but a term and a vote. */
    if (head->lsn == 0) {
        core_restore_state(log->core, head->term, (uint8_t)head->voted_for);
        return head->items + head->cuts + head->content_bytes == 0;
    }
    worker->event_digest = head->digest;
    worker->event_hlc = head->hlc;
    if (!core_restore_checkpoint(log->core, &core, &log->sink))
        return false;
    assert(log->digest_lsn == head->lsn && core_base_lsn(log->core) == head->first_lsn_before);
    core_restore_producers(log->core, producers, head->producers, true);
    if (!index_load(index, items, head->items, cuts, head->cuts, head->lsn))
        return false;
    index->evicted_bytes = head->evicted_bytes;
    log->base_lsn = head->first_lsn_before;
    log->base_digest = head->digest_before;
    log->ticked_lsn = head->lsn;
    log_assert(log);
    return head->content_bytes == 0 || take_content(log, head, content);
}

/* The bytes of a log's head and rows, which are too few for the sum to wrap round. */
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

    assert(rows >= sizeof(*head));
    if (rows > left_bytes || head->content_bytes > left_bytes - rows || head->content_bytes % 8 != 0)
        return 0;
    return (size_t)(rows + head->content_bytes);
}

/* A place behind all files would let go of those that are needed. */
static bool
places_plausible(const struct node_log *log, uint64_t highest_number)
{
    const struct log_index *index = &log->durable->index;

    /* index_load() has looked at them. */
    assert(index->count == 0 || index->items[index->count - 1].lsn <= core_commit_lsn(log->core));
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

    assert(scan->known_from < scan->count);
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

        assert(at <= end);
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
    struct disk *disk = worker->disk;
    struct checkpoint_head *head = NULL;
    size_t size_bytes = 0;
    void *bytes = NULL;

    assert(worker->restoring);
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
    assert(worker->restoring);
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
