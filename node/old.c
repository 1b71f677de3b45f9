/* Entries that are on disk and no longer in memory.
 *
 * Of each durable trunk a sparse index says where in the journal an lsn is to be found. A reader, or a follower that is
 * far behind, has a stretch of the journal read into a store of its own kind (an excerpt), and goes on from there as if
 * it were the trunk. The tail is not disturbed: it is in memory, and what is read here is bounded.
 *
 * Items of the index are made when blocks are put, and go when their entries are truncated; the first block after a
 * truncation has one. So from an item on, blocks follow in order up to the next item, and what was written there and
 * truncated later lies at or behind the next one's lsn. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "journal_scan.h"
#include "state.h"

/* Of the journal, between two items. */
#define ITEM_BYTES (64u << 10)
/* Addresses set aside; a log of 64 GiB fills them, longer ones have sparser items at their beginning. */
#define ITEMS_MAX (1u << 20)
#define CUTS_MAX (64u << 10)
/* Segments that eviction keeps free: one part of so many. */
#define FREE_SHARE 8u
#define HAND_AWAY_EVERY_NS 1000000000u

/* Addresses alone: pages come with what is put there. */
static void *
set_aside(size_t size_bytes)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

bool
index_init(struct log_index *index)
{
    index->items = set_aside(ITEMS_MAX * sizeof(*index->items));
    index->cuts = set_aside(CUTS_MAX * sizeof(*index->cuts));
    index->due = true;
    return index->items != NULL && index->cuts != NULL;
}

void
index_fini(struct log_index *index)
{
    if (index->items != NULL)
        munmap(index->items, ITEMS_MAX * sizeof(*index->items));
    if (index->cuts != NULL)
        munmap(index->cuts, CUTS_MAX * sizeof(*index->cuts));
}

/* Every other item goes: the first stays. */
static void
thin_out(struct log_index *index)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < index->count; i += 2)
        index->items[kept++] = index->items[i];
    index->count = kept;
}

void
index_note(struct log_index *index, uint64_t lsn, uint64_t place)
{
    uint64_t last_place = index->count == 0 ? 0 : index->items[index->count - 1].place;

    if (!index->due && last_place >> 32 == place >> 32 && place - last_place < ITEM_BYTES)
        return;
    /* Items after truncations cannot be spared, so thinning is for those that are full. */
    if (index->count == ITEMS_MAX)
        thin_out(index);
    assert(index->count == 0 || index->items[index->count - 1].lsn < lsn);
    index->items[index->count].lsn = lsn;
    index->items[index->count++].place = place;
    index->due = false;
}

void
index_truncate(struct log_index *index, uint64_t from_lsn)
{
    while (index->count > 0 && index->items[index->count - 1].lsn >= from_lsn)
        index->count--;
    index->due = true;
    if (from_lsn == 0)
        index->cuts_first = index->cuts_count = 0;
}

/* Items and cuts of a trunk up to last_lsn, in order. */
static bool
index_sane(const struct log_index *index, uint64_t last_lsn)
{
    uint64_t lsn = 0;

    for (uint32_t i = 0; i < index->count; lsn = index->items[i++].lsn) {
        if (index->items[i].lsn <= lsn || index->items[i].lsn > last_lsn)
            return false;
    }
    lsn = 0;
    for (uint32_t i = 0; i < index->cuts_count; lsn = index->cuts[i++].first_lsn) {
        if (index->cuts[i].first_lsn <= lsn || index->cuts[i].first_lsn > last_lsn)
            return false;
    }
    return true;
}

/* As it was when it was saved, of a trunk up to last_lsn; false: there is no place for so much, or it cannot be. */
bool
index_load(struct log_index *index, const void *items, uint32_t items_count, const void *cuts, uint32_t cuts_count,
           uint64_t last_lsn)
{
    if (items_count > ITEMS_MAX || cuts_count > CUTS_MAX)
        return false;
    memcpy(index->items, items, items_count * sizeof(*index->items));
    memcpy(index->cuts, cuts, cuts_count * sizeof(*index->cuts));
    index->count = items_count;
    index->cuts_first = 0;
    index->cuts_count = cuts_count;
    index->due = true;
    return index_sane(index, last_lsn);
}

/* The segment that is about to go begins here. */
static void
note_cut(struct log_index *index, const struct segment *segment)
{
    if (index->cuts_count == CUTS_MAX) {
        index->cuts_count -= index->cuts_first;
        memmove(index->cuts, index->cuts + index->cuts_first, index->cuts_count * sizeof(*index->cuts));
        index->cuts_first = 0;
    }
    if (index->cuts_count == CUTS_MAX)
        return; /* the trunk can begin at others still */
    index->cuts[index->cuts_count].first_lsn = segment_block(segment, 0)->first_lsn;
    index->cuts[index->cuts_count].hlc_before = segment->hlc_before;
    index->cuts[index->cuts_count].digest_before = segment->digest_before;
    index->cuts[index->cuts_count++].bytes_before = index->evicted_bytes;
    index->evicted_bytes += segment->used_bytes;
}

uint32_t
index_find(const struct log_index *index, uint64_t lsn)
{
    uint32_t low = 0, high = index->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (index->items[middle].lsn <= lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? index->count : low - 1;
}

uint64_t
trunk_since(const struct node_log *log, uint64_t hlc)
{
    const struct log_index *index = log->durable == NULL ? NULL : &log->durable->index;
    uint64_t lsn = log->base_lsn + 1;

    for (uint32_t i = index == NULL ? 0 : index->cuts_first; index != NULL && i < index->cuts_count; i++) {
        const struct cut *cut = &index->cuts[i];

        if (cut->hlc_before >= hlc)
            return lsn;
        if (cut->first_lsn > lsn)
            lsn = cut->first_lsn;
    }
    for (uint32_t i = log->trunk.head; i != log->trunk.tail; i++) {
        const struct segment *segment = log->trunk.segments[i & log->trunk.mask];
        uint64_t first_lsn = segment->blocks == 0 ? UINT64_MAX : segment_block(segment, 0)->first_lsn;

        if (first_lsn > log->digest_lsn || segment->hlc_before >= hlc)
            return lsn;
        if (first_lsn > lsn)
            lsn = first_lsn;
    }
    return lsn;
}

bool
excerpts_init(struct node *node)
{
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        struct excerpt *excerpt = &node->excerpts[i];

        excerpt->bytes = aligned_alloc(DISK_SECTOR_BYTES, EXCERPT_BYTES);
        if (excerpt->bytes == NULL || !store_init(&excerpt->store, &node->segments))
            return false;
    }
    return true;
}

uint32_t
excerpts_idle(const struct node *node)
{
    uint32_t idle = 0;

    for (uint32_t i = 0; node->config.disk != NULL && i < EXCERPTS_MAX; i++)
        idle += node->excerpts[i].store.head == node->excerpts[i].store.tail;
    return idle;
}

void
excerpts_fini(struct node *node)
{
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        struct excerpt *excerpt = &node->excerpts[i];

        if (excerpt->store.segments != NULL)
            store_fini(&excerpt->store);
        free(excerpt->bytes);
        if (excerpt->opened)
            node->config.disk->operations->close(node->config.disk, &excerpt->file);
    }
}

/* It may reach into what was not agreed on when it was read, so no longer than until the trunk is truncated. */
static bool
holds(const struct excerpt *excerpt, const struct node_log *log, uint64_t lsn)
{
    return excerpt->state == EXCERPT_READY && excerpt->log == log && excerpt->first_lsn <= lsn &&
           lsn <= excerpt->store.last && excerpt->truncations == log->durable->truncations;
}

/* The one to be given up: free, or longest not looked at. NULL: all are being read. */
static struct excerpt *
excerpt_place(struct node *node)
{
    struct excerpt *oldest = NULL;

    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        struct excerpt *excerpt = &node->excerpts[i];

        if (excerpt->state == EXCERPT_FREE)
            return excerpt;
        if (excerpt->state == EXCERPT_READY && (oldest == NULL || excerpt->used < oldest->used))
            oldest = excerpt;
    }
    return oldest;
}

static bool
open_for(struct node *node, struct excerpt *excerpt, uint64_t number)
{
    struct disk *disk = node->config.disk;

    if (excerpt->opened && excerpt->file.number == number)
        return true;
    if (excerpt->opened)
        disk->operations->close(disk, &excerpt->file);
    excerpt->opened = disk->operations->open(disk, number, &excerpt->file) == CAIRN_OK;
    return excerpt->opened;
}

/* Has the stretch around lsn read. */
static void
excerpt_start(struct node *node, struct node_log *log, uint64_t lsn)
{
    const struct log_index *index = &log->durable->index;
    uint32_t item = index_find(index, lsn);
    struct excerpt *excerpt = excerpt_place(node);
    struct disk_request request;

    if (excerpt == NULL || item == index->count)
        return;
    store_reset(&excerpt->store, 0);
    excerpt->state = EXCERPT_FREE;
    if (!open_for(node, excerpt, index->items[item].place >> 32))
        return;
    excerpt->log = log;
    excerpt->wanted_lsn = lsn;
    excerpt->item = item;
    excerpt->truncations = log->durable->truncations;
    excerpt->from_bytes = (uint32_t)index->items[item].place & ~(DISK_SECTOR_BYTES - 1);
    request = (struct disk_request){.handle = excerpt->file.handle,
                                    .bytes = excerpt->bytes,
                                    .size_bytes = EXCERPT_BYTES,
                                    .offset_bytes = excerpt->from_bytes,
                                    .token = EXCERPT_TOKEN + (uint64_t)(excerpt - node->excerpts)};
    if (node->config.disk->operations->submit(node->config.disk, &request))
        excerpt->state = EXCERPT_READING;
}

static bool
is_being_read(const struct node *node, const struct node_log *log, uint64_t lsn)
{
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        const struct excerpt *excerpt = &node->excerpts[i];

        if (excerpt->state == EXCERPT_READING && excerpt->log == log && excerpt->wanted_lsn <= lsn &&
            lsn < excerpt->wanted_lsn + BATCH_RECORDS_MAX)
            return true;
    }
    return false;
}

const struct store *
trunk_at(struct node *node, struct node_log *log, uint64_t lsn)
{
    uint64_t first_lsn = store_first(&log->trunk);

    if (log->durable == NULL || lsn > durable_held_lsn(log) || (first_lsn != 0 && lsn >= first_lsn))
        return &log->trunk;
    for (uint32_t i = 0; i < EXCERPTS_MAX; i++) {
        if (holds(&node->excerpts[i], log, lsn)) {
            node->excerpts[i].used = ++node->excerpts_used;
            return &node->excerpts[i].store;
        }
    }
    if (!is_being_read(node, log, lsn))
        excerpt_start(node, log, lsn);
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
    return journal_place(excerpt->file.number, excerpt->from_bytes + offset);
}

/* The next block in the bytes that were read. false: no more. */
static bool
next_block(const struct node *node, const struct excerpt *excerpt, uint32_t size_bytes, struct walk *walk)
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
                                 node->config.cluster->id))
            return false;
        walk->offset += (uint32_t)(sizeof(struct journal_block) + walk->head->body_bytes);
        return true;
    }
    return false;
}

static void
limit_by(struct walk *walk, const struct log_index *index)
{
    walk->limit_lsn = walk->item + 1 < index->count ? index->items[walk->item + 1].lsn : UINT64_MAX;
}

/* Takes what of the block is next. false: no room. */
static bool
take_block(struct excerpt *excerpt, struct walk *walk)
{
    const uint8_t *records = (const uint8_t *)(walk->head + 1), *at = records;
    struct block block = walk->head->block;
    uint64_t end_lsn = block.first_lsn + block.count;
    uint32_t skip = (uint32_t)(walk->next_lsn - block.first_lsn);

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
    walk->next_lsn = end_lsn;
    return true;
}

static void
take_blocks(const struct node *node, struct excerpt *excerpt, uint32_t size_bytes)
{
    const struct log_index *index = &excerpt->log->durable->index;
    struct walk walk = {.item = excerpt->item, .next_lsn = index->items[excerpt->item].lsn};

    walk.offset = (uint32_t)index->items[excerpt->item].place - excerpt->from_bytes;
    excerpt->first_lsn = walk.next_lsn;
    limit_by(&walk, index);
    while (next_block(node, excerpt, size_bytes, &walk)) {
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
hand_away(struct node *node, struct node_log *log)
{
    struct durable *durable = log->durable;
    uint64_t now_ns = node_now_ns(node);

    if (durable->handed_away_ns != 0 && now_ns - durable->handed_away_ns < HAND_AWAY_EVERY_NS)
        return;
    if (core_hand_away(log->core, node->reach, now_ns) == CAIRN_OK)
        durable->handed_away_ns = now_ns;
}

void
excerpt_done(struct node *node, const struct disk_done *done)
{
    struct excerpt *excerpt = &node->excerpts[done->token - EXCERPT_TOKEN];
    struct node_log *log = excerpt->log;
    bool valid = excerpt->truncations == log->durable->truncations;

    assert(excerpt->state == EXCERPT_READING);
    excerpt->state = EXCERPT_FREE;
    if (valid && done->result > 0)
        take_blocks(node, excerpt, (uint32_t)done->result);
    if (excerpt->store.last >= excerpt->wanted_lsn) {
        if (log->durable->damaged_lsn == excerpt->wanted_lsn)
            log->durable->damaged_lsn = 0;
        excerpt->state = EXCERPT_READY;
        excerpt->used = ++node->excerpts_used;
        node_activate(node, log);
        return;
    }
    store_reset(&excerpt->store, 0);
    if (valid)
        hand_away(node, log);
    if (valid && done->result != 0 && log->durable->damaged_lsn != excerpt->wanted_lsn) {
        log->durable->damaged_lsn = excerpt->wanted_lsn;
        atomic_store_explicit(&node->unreadable, true, memory_order_relaxed);
        node_event(node, EVENT_DAMAGED, log, node->self, 0, 0,
                   "lsn %" PRIu64 " cannot be read from journal-%08" PRIu64
                   ": start the node anew, it then takes it from "
                   "the others",
                   excerpt->wanted_lsn, excerpt->file.number);
    }
}

bool
evict_one(struct node_log *log)
{
    uint64_t safe_lsn = log->digest_lsn < durable_held_lsn(log) ? log->digest_lsn : durable_held_lsn(log);
    const struct segment *segment = store_front(&log->trunk);
    uint32_t count = log->trunk.tail - log->trunk.head;

    /* Readers at the end have had time for what was committed at the tick before. */
    if (safe_lsn > log->ticked_lsn)
        safe_lsn = log->ticked_lsn;
    if (log->durable != NULL && safe_lsn > log->durable->rewritten_lsn)
        safe_lsn = log->durable->rewritten_lsn;
    if (log->durable == NULL || log->id == CATALOG_LOG || count < 2 || segment->blocks == 0)
        return false;
    if (segment_block(segment, segment->blocks - 1)->first_lsn + segment_block(segment, segment->blocks - 1)->count >
        safe_lsn + 1)
        return false;
    note_cut(&log->durable->index, segment);
    store_trim_one(&log->trunk, safe_lsn + 1);
    assert(log->trunk.tail - log->trunk.head == count - 1);
    return true;
}

uint64_t
oldest_file(const struct node_log *log, uint64_t durable_place)
{
    const struct durable *durable = log->durable;
    uint32_t item = index_find(&durable->index, log->base_lsn + 1);
    bool indexed = item < durable->index.count;
    const uint64_t places[] = {
        durable->tail_place,
        indexed ? durable->index.items[item].place : durable->tail_place,
        durable_branches_place(log, durable->tail_place),
        log->base_lsn > 0 ? durable->base_place : durable->tail_place,
    };
    uint64_t oldest = UINT64_MAX;

    /* What is not said yet, or not durably, leaves what was said before in force. */
    if (durable->base_due || durable->trim_due || (!indexed && core_last_lsn(log->core) > log->base_lsn))
        return 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        if (places[i] >= durable_place)
            return 0;
        if (places[i] < oldest)
            oldest = places[i];
    }
    return oldest >> 32;
}

void
evict(struct node *node)
{
    while (segments_free(node) < node->segments.count / FREE_SHARE + 1) {
        bool any = false;

        /* A segment of each that has more than its share; then of whichever has one to give. */
        for (uint32_t i = 0; i < node->logs_count; i++) {
            if (node->logs[i]->trunk.bytes > node->config.memory_bytes / (2 * node->logs_count))
                any |= evict_one(node->logs[i]);
        }
        for (uint32_t i = 0; i < node->logs_count && !any; i++)
            any = evict_one(node->logs[i]);
        if (!any)
            return;
    }
}
