/* Where in the journal an lsn of a durable trunk is to be found.
 *
 * Items of the index are made when blocks are put, and go when their entries are truncated; the first block after a
 * truncation has one. So from an item on, blocks follow in order up to the next item, and what was written there and
 * truncated later lies at or behind the next one's lsn. */
#include "node/worker/index.h"

#include "node/worker/durable.h"
#include "node/worker/log.h"

#include <string.h>
#include <sys/mman.h>

/* So much of the journal stands between two items. */
#define ITEM_BYTES (64u << 10)
/* Addresses set aside; a log of 64 GiB fills them, longer ones have sparser items at their beginning. */
#define ITEMS_MAX (1u << 20)

/* Addresses alone: pages come with what is put there. */
static void *
set_aside(size_t size_bytes)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

/* Holds at all times, whatever was loaded. */
static void
assert_bounds(const struct log_index *index)
{
    assert(index->count <= ITEMS_MAX);
    assert(index->cuts_count <= CUTS_MAX);
    assert(index->cuts_first <= index->cuts_count);
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
    assert(kept < index->count && 2 * kept >= index->count);
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
    assert(index->count < ITEMS_MAX);
    assert(index->count == 0 || index->items[index->count - 1].lsn < lsn);
    index->items[index->count].lsn = lsn;
    index->items[index->count++].place = place;
    index->due = false;
}

void
index_truncate(struct log_index *index, uint64_t from_lsn)
{
    assert_bounds(index);
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
    /* What was there before has been given up. */
    assert(index->count == 0 && index->cuts_count == 0);
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
void
note_cut(struct log_index *index, const struct segment *segment)
{
    assert(segment->blocks > 0);
    assert_bounds(index);
    if (index->cuts_count == CUTS_MAX) {
        index->cuts_count -= index->cuts_first;
        memmove(index->cuts, index->cuts + index->cuts_first, index->cuts_count * sizeof(*index->cuts));
        index->cuts_first = 0;
    }
    if (index->cuts_count == CUTS_MAX) {
        index->evicted_bytes += segment->used_bytes;
        return; /* the trunk can begin at others still */
    }
    index->cuts[index->cuts_count].first_lsn = segment_block(segment, 0)->first_lsn;
    index->cuts[index->cuts_count].hlc_before = segment->hlc_before;
    index->cuts[index->cuts_count].digest_before = segment->digest_before;
    index->cuts[index->cuts_count++].bytes_before = index->evicted_bytes;
    index->evicted_bytes += segment->used_bytes;
    assert_bounds(index);
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
    assert(low == 0 || index->items[low - 1].lsn <= lsn);
    assert(low == index->count || index->items[low].lsn > lsn);
    return low == 0 ? index->count : low - 1;
}

/* A reader begins there: at an entry that is agreed on and still here, or right behind the last of them. */
static uint64_t
within_trunk(const struct node_log *log, uint64_t lsn)
{
    assert(lsn > log->base_lsn);
    assert(lsn <= log->digest_lsn + 1);
    return lsn;
}

uint64_t
trunk_since(const struct node_log *log, uint64_t hlc)
{
    const struct log_index *index = log->durable == NULL ? NULL : &log->durable->index;
    uint64_t lsn = log->base_lsn + 1;

    for (uint32_t i = index == NULL ? 0 : index->cuts_first; index != NULL && i < index->cuts_count; i++) {
        const struct cut *cut = &index->cuts[i];

        if (cut->hlc_before >= hlc)
            return within_trunk(log, lsn);
        if (cut->first_lsn > lsn)
            lsn = cut->first_lsn;
    }
    for (uint32_t i = log->trunk.head; i != log->trunk.tail; i++) {
        const struct segment *segment = log->trunk.segments[i & log->trunk.mask];
        uint64_t first_lsn = segment->blocks == 0 ? UINT64_MAX : segment_block(segment, 0)->first_lsn;

        if (first_lsn > log->digest_lsn || segment->hlc_before >= hlc)
            return within_trunk(log, lsn);
        if (first_lsn > lsn)
            lsn = first_lsn;
    }
    return within_trunk(log, lsn);
}
