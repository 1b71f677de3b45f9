/* Entries that are on disk and no longer in memory.
 *
 * Of each durable trunk a sparse index says where in the journal an lsn is to be found (index.c). A reader, or a follower that is
 * far behind, has a stretch of the journal read into a store of its own kind (an excerpt), and goes on from there as if
 * it were the trunk. The tail is not disturbed: it is in memory, and what is read here is bounded. */
#include "node/worker/excerpts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "assert_costly.h"
#include "dataplane/journal_scan.h"
#include "node/events.h"
#include "node/look.h"
#include "node/worker/batch.h"
#include "node/worker/due.h"
#include "node/worker/durable.h"
#include "node/worker/held.h"
#include "node/worker/index.h"
#include "node/worker/worker.h"

#define HAND_AWAY_EVERY_NS 1000000000u
/* It is kept so long for the one that it was read for. */
#define WAITED_FOR_NS 50000000u

bool
excerpts_init(struct worker *worker)
{
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        struct excerpt *excerpt = &worker->excerpts[i];

        excerpt->bytes = aligned_alloc(DISK_SECTOR_BYTES, EXCERPT_BYTES);
        if (excerpt->bytes == NULL || !store_init(&excerpt->store, &worker->segments))
            return false;
    }
    return true;
}

uint32_t
excerpts_idle(const struct worker *worker)
{
    uint32_t idle = 0;

    for (uint32_t i = 0; worker->disk != NULL && i < EXCERPTS_MAX; i++)
        idle += worker->excerpts[i].store.head == worker->excerpts[i].store.tail;
    return idle;
}

void
excerpts_fini(struct worker *worker)
{
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        struct excerpt *excerpt = &worker->excerpts[i];

        if (excerpt->store.segments != NULL)
            store_fini(&excerpt->store);
        free(excerpt->bytes);
        if (excerpt->opened)
            worker->disk->operations->close(worker->disk, &excerpt->file);
    }
}

/* It may reach into what was not agreed on when it was read, so no longer than until the trunk is truncated. */
static bool
holds(const struct excerpt *excerpt, const struct node_log *log, uint64_t lsn)
{
    return excerpt->state == EXCERPT_READY && excerpt->log == log && excerpt->first_lsn <= lsn &&
           lsn <= excerpt->store.last && excerpt->truncations == log->durable->truncations;
}

/* The one that it was read for has its turn first, unless it is gone. */
static bool
is_waited_for(const struct worker *worker, const struct excerpt *excerpt)
{
    return excerpt->ready_ns != 0 && worker->task.now_ns - excerpt->ready_ns < WAITED_FOR_NS;
}

/* The one to be given up: free, or longest not looked at. NULL: all are being read, or waited for. */
static struct excerpt *
excerpt_place(struct worker *worker)
{
    struct excerpt *oldest = NULL;

    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        struct excerpt *excerpt = &worker->excerpts[i];

        if (excerpt->state == EXCERPT_FREE)
            return excerpt;
        if (excerpt->state == EXCERPT_READY && !is_waited_for(worker, excerpt) &&
            (oldest == NULL || excerpt->used < oldest->used))
            oldest = excerpt;
    }
    return oldest;
}

static bool
open_for(struct worker *worker, struct excerpt *excerpt, uint64_t number)
{
    struct disk *disk = worker->disk;

    assert(excerpt->state == EXCERPT_FREE);
    if (excerpt->opened && excerpt->file.number == number)
        return true;
    if (excerpt->opened)
        disk->operations->close(disk, &excerpt->file);
    excerpt->opened = disk->operations->open(disk, number, &excerpt->file) == CAIRN_OK;
    assert(!excerpt->opened || excerpt->file.number == number);
    return excerpt->opened;
}

/* Has the stretch around lsn read. */
static void
excerpt_start(struct worker *worker, struct node_log *log, uint64_t lsn)
{
    const struct log_index *index = &log->durable->index;
    uint32_t item = index_find(index, lsn);
    struct excerpt *excerpt = excerpt_place(worker);
    struct disk_request request;

    assert(lsn <= log->durable->held_lsn);
    assert(excerpt == NULL || excerpt->state != EXCERPT_READING);
    if (excerpt == NULL || item == index->count)
        return;
    store_reset(&excerpt->store, 0);
    excerpt->state = EXCERPT_FREE;
    if (!open_for(worker, excerpt, index->items[item].place >> 32))
        return;
    assert(index->items[item].lsn <= lsn);
    excerpt->log = log;
    excerpt->wanted_lsn = lsn;
    excerpt->item = item;
    excerpt->truncations = log->durable->truncations;
    excerpt->from_bytes = (uint32_t)index->items[item].place & ~(DISK_SECTOR_BYTES - 1);
    request = (struct disk_request){.handle = excerpt->file.handle,
                                    .bytes = excerpt->bytes,
                                    .size_bytes = EXCERPT_BYTES,
                                    .offset_bytes = excerpt->from_bytes,
                                    .token = EXCERPT_TOKEN + (uint64_t)(excerpt - worker->excerpts)};
    if (worker->disk->operations->submit(worker->disk, &request))
        excerpt->state = EXCERPT_READING;
}

static bool
is_being_read(const struct worker *worker, const struct node_log *log, uint64_t lsn)
{
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        const struct excerpt *excerpt = &worker->excerpts[i];

        if (excerpt->state == EXCERPT_READING && excerpt->log == log && excerpt->wanted_lsn <= lsn &&
            lsn < excerpt->wanted_lsn + BATCH_RECORDS_MAX)
            return true;
    }
    return false;
}

const struct store *
trunk_at(struct worker *worker, struct node_log *log, uint64_t lsn)
{
    uint64_t first_lsn = store_first(&log->trunk);

    assert_costly(log->worker == worker && lsn > 0);
    if (log->durable == NULL || lsn > durable_held_lsn(log) || (first_lsn != 0 && lsn >= first_lsn))
        return &log->trunk;
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        if (holds(&worker->excerpts[i], log, lsn)) {
            worker->excerpts[i].used = ++worker->excerpts_used;
            if (lsn >= worker->excerpts[i].wanted_lsn)
                worker->excerpts[i].ready_ns = 0;
            return &worker->excerpts[i].store;
        }
    }
    if (!is_being_read(worker, log, lsn))
        excerpt_start(worker, log, lsn);
    return NULL;
}

/* Where the walk through the bytes of a stretch stands. */
struct walk {
    const struct journal_block *head;
    uint64_t next_lsn;  /* what is taken next */
    uint64_t limit_lsn; /* what stands here is right below this; then the next item's place counts */
    uint32_t offset, item;
};

static uint64_t
place_at(const struct excerpt *excerpt, uint32_t offset)
{
    assert(excerpt->from_bytes % DISK_SECTOR_BYTES == 0 && offset < EXCERPT_BYTES);
    return journal_place(excerpt->file.number, excerpt->from_bytes + offset);
}

/* The next block in the bytes that were read. false: no more. */
static bool
next_block(const struct worker *worker, const struct excerpt *excerpt, uint32_t size_bytes, struct walk *walk)
{
    while (walk->offset + sizeof(struct journal_block) <= size_bytes) {
        const void *at = excerpt->bytes + walk->offset;

        walk->head = at;
        if (walk->head->magic == 0) {
            if (walk->offset % DISK_SECTOR_BYTES == 0)
                return false;
            walk->offset = (walk->offset / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
            continue;
        }
        if (!journal_block_sound(at, size_bytes - walk->offset, place_at(excerpt, walk->offset),
                                 worker->config->cluster->id))
            return false;
        walk->offset += (uint32_t)(sizeof(struct journal_block) + walk->head->body_bytes);
        assert(walk->offset <= size_bytes);
        return true;
    }
    return false;
}

static void
limit_by(struct walk *walk, const struct log_index *index)
{
    walk->limit_lsn = walk->item + 1 < index->count ? index->items[walk->item + 1].lsn : UINT64_MAX;
    assert(walk->limit_lsn > index->items[walk->item].lsn);
}

/* Takes what of the block is next. false: no room. */
static bool
take_block(struct excerpt *excerpt, struct walk *walk)
{
    const uint8_t *records = (const uint8_t *)(walk->head + 1), *at = records;
    struct block block = walk->head->block;
    uint64_t end_lsn = block.first_lsn + block.count;
    uint32_t skip = (uint32_t)(walk->next_lsn - block.first_lsn);

    assert(block.first_lsn <= walk->next_lsn && walk->next_lsn < end_lsn && walk->next_lsn < walk->limit_lsn);
    if (end_lsn > walk->limit_lsn)
        end_lsn = walk->limit_lsn;
    for (uint32_t i = 0; i < skip; i++)
        at += record_size((const struct record *)(const void *)at);
    records = at;
    block.count = (uint32_t)(end_lsn - walk->next_lsn);
    for (uint32_t i = 0; i < block.count; i++)
        at += record_size((const struct record *)(const void *)at);
    block.first_lsn = walk->next_lsn;
    block.first_seq += block.kind == ENTRY_DATA ? skip : 0;
    block.hlc += skip;
    block.trunk_hlc += skip;
    block.size_bytes = (uint32_t)(at - records);
    block.prev = 0;
    /* One segment each, so that what all of them take is bounded. */
    if (excerpt->store.tail != excerpt->store.head &&
        segment_room(excerpt->store.segments[excerpt->store.head & excerpt->store.mask]) <
            block.size_bytes + sizeof(block))
        return false;
    if (!store_append(&excerpt->store, &block, records))
        return false;
    store_seal(&excerpt->store);
    assert(excerpt->store.tail - excerpt->store.head == 1 && excerpt->store.last + 1 == end_lsn);
    walk->next_lsn = end_lsn;
    return true;
}

static void
take_blocks(const struct worker *worker, struct excerpt *excerpt, uint32_t size_bytes)
{
    const struct log_index *index = &excerpt->log->durable->index;
    struct walk walk = {.item = excerpt->item, .next_lsn = index->items[excerpt->item].lsn};

    assert(excerpt->store.head == excerpt->store.tail);
    walk.offset = (uint32_t)index->items[excerpt->item].place - excerpt->from_bytes;
    excerpt->first_lsn = walk.next_lsn;
    limit_by(&walk, index);
    while (next_block(worker, excerpt, size_bytes, &walk)) {
        const struct journal_block *head = walk.head;
        uint64_t place = place_at(excerpt, (uint32_t)((const uint8_t *)head - excerpt->bytes));

        while (walk.item + 1 < index->count && place >= index->items[walk.item + 1].place) {
            walk.item++;
            limit_by(&walk, index);
        }
        if (head->type != JOURNAL_ENTRIES || head->log != excerpt->log->id || head->block.first_lsn > walk.next_lsn ||
            head->block.first_lsn + head->block.count <= walk.next_lsn || walk.next_lsn >= walk.limit_lsn)
            continue;
        if (take_block(excerpt, &walk))
            continue;
        /* One segment does not reach from the item to what is wanted: what is before that is not needed. */
        if (walk.next_lsn > excerpt->wanted_lsn)
            return;
        store_reset(&excerpt->store, 0);
        excerpt->first_lsn = walk.next_lsn;
        if (!take_block(excerpt, &walk))
            return;
    }
}

/* What cannot be read here others may have: a leader that cannot feed its followers lets one of them lead. Not again and
 * again, should they all be damaged. */
static void
hand_away(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;
    uint64_t now_ns = node_now_ns(worker->node);

    if (durable->handed_away_ns != 0 && now_ns - durable->handed_away_ns < HAND_AWAY_EVERY_NS)
        return;
    if (core_hand_away(log->core, worker->reach, now_ns) == CAIRN_OK)
        durable->handed_away_ns = now_ns;
}

void
excerpt_done(struct worker *worker, const struct disk_done *done)
{
    struct excerpt *excerpt = &worker->excerpts[done->token - EXCERPT_TOKEN];
    struct node_log *log = excerpt->log;
    /* The file of what was trimmed meanwhile may have been written over. */
    bool valid = excerpt->truncations == log->durable->truncations && excerpt->wanted_lsn > log->base_lsn;

    assert(excerpt->state == EXCERPT_READING && excerpt->opened);
    assert(log->worker == worker && excerpt->truncations <= log->durable->truncations);
    excerpt->state = EXCERPT_FREE;
    if (valid && done->result > 0)
        take_blocks(worker, excerpt, (uint32_t)done->result);
    if (excerpt->store.last >= excerpt->wanted_lsn) {
        if (log->durable->damaged_lsn == excerpt->wanted_lsn)
            log->durable->damaged_lsn = 0;
        excerpt->state = EXCERPT_READY;
        excerpt->used = ++worker->excerpts_used;
        excerpt->ready_ns = worker->task.now_ns;
        node_activate(worker, log);
        return;
    }
    store_reset(&excerpt->store, 0);
    if (valid)
        hand_away(worker, log);
    if (valid && done->result != 0 && log->durable->damaged_lsn != excerpt->wanted_lsn) {
        log->durable->damaged_lsn = excerpt->wanted_lsn;
        atomic_store_explicit(&worker->unreadable, true, memory_order_relaxed);
        node_event(worker, EVENT_DAMAGED, log, worker->self, 0, 0,
                   "lsn %" PRIu64 " cannot be read from journal-%08" PRIu64
                   ": start the node anew, it then takes it from "
                   "the others",
                   excerpt->wanted_lsn, excerpt->file.number);
    }
}
