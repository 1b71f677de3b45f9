#include "dataplane/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "assert_costly.h"

bool
store_init(struct store *store, struct segment_pool *pool)
{
    uint32_t places = 1;

    while (places < pool->count)
        places *= 2;
    memset(store, 0, sizeof(*store));
    store->pool = pool;
    assert((places & (places - 1)) == 0 && places >= pool->count);
    store->mask = places - 1;
    store->segments = calloc(places, sizeof(struct segment *));
    return store->segments != NULL;
}

/* What holds between any two calls. */
static void
assert_store(const struct store *store)
{
    const uint32_t segments = store->tail - store->head;

    assert_costly(segments <= store->mask + 1 && segments <= store->pool->in_use);
    assert_costly((store->entries == 0) == (store->bytes == 0));
    assert_costly(store->bytes >= store->entries * sizeof(struct record));
    assert_costly(store->bytes <= (uint64_t)segments * store->pool->segment_bytes);
    assert_costly(segments > 0 || store->entries == 0);
    assert_costly(store->entries <= store->last);
    /* What may still grow is there. */
    assert_costly(!store->open || store->entries > 0);
}

void
store_fini(struct store *store)
{
    while (store->head != store->tail)
        segment_give(store->pool, store->segments[store->head++ & store->mask]);
    free(store->segments);
    memset(store, 0, sizeof(*store));
}

static struct segment *
segment_at(const struct store *store, uint32_t index)
{
    assert_costly(index - store->head < store->tail - store->head);
    return store->segments[index & store->mask];
}

static struct segment *
last_segment(const struct store *store)
{
    return store->head == store->tail ? NULL : segment_at(store, store->tail - 1);
}

static struct block *
last_block(const struct store *store)
{
    struct segment *segment = last_segment(store);

    return segment == NULL || segment->blocks == 0 ? NULL : segment_block(segment, segment->blocks - 1);
}

/* A segment with room for a new block of size_bytes, or NULL. */
static struct segment *
room_for(struct store *store, size_t size_bytes)
{
    struct segment *segment = last_segment(store);

    assert(size_bytes + sizeof(struct block) + 64 <= store->pool->segment_bytes);
    if (segment != NULL && segment_room(segment) >= sizeof(struct block) + size_bytes)
        return segment;
    segment = segment_take(store->pool);
    if (segment == NULL)
        return NULL;
    store->segments[store->tail++ & store->mask] = segment;
    store->open = false;
    assert(store->tail - store->head <= store->mask + 1);
    assert(segment_room(segment) >= sizeof(struct block) + size_bytes);
    return segment;
}

uint8_t *
store_stage(struct store *store, size_t size_bytes)
{
    struct segment *segment = room_for(store, size_bytes);

    assert_store(store);
    return segment == NULL ? NULL : segment->base + segment->used_bytes + sizeof(struct block);
}

static bool
joins(const struct store *store, const struct block *head, const struct block *last)
{
    return store->open && last != NULL && last->term == head->term && (last->kind | head->kind) == 0 &&
           last->origin == head->origin && last->incarnation == head->incarnation && last->fork_lsn == head->fork_lsn &&
           last->first_lsn + last->count == head->first_lsn && last->first_seq + last->count == head->first_seq &&
           last->hlc + last->count == head->hlc && last->flags == head->flags &&
           (head->trunk_hlc == 0 ? last->trunk_hlc == 0 : last->trunk_hlc + last->count == head->trunk_hlc);
}

/* Where the next records will go is asked for now. Stores become visible in order: a frame that is sent would
 * wait for the record's cold lines otherwise (docs/performance.md). */
static void
fetch_next(const struct segment *segment)
{
    const uint8_t *next = segment->base + segment->used_bytes;

    for (uint32_t line = 0; line < 4; line++)
        __builtin_prefetch(next + line * 64, 1);
}

bool
store_append(struct store *store, const struct block *head, const void *records)
{
    struct segment *segment = last_segment(store);
    struct block *block = last_block(store);

    assert(head->count > 0 && head->first_lsn > store->last);
    assert_costly(head->size_bytes % 8 == 0 && head->size_bytes >= head->count * sizeof(struct record));
    assert_store(store);
    if (joins(store, head, block) && segment_room(segment) >= head->size_bytes) {
        assert_costly(block->first_lsn + block->count - 1 == store->last);
        segment_assert(segment);
        memmove(segment->base + segment->used_bytes, records, head->size_bytes);
        block->count += head->count;
        block->size_bytes += head->size_bytes;
    } else {
        segment = room_for(store, head->size_bytes);
        if (segment == NULL)
            return false;
        *segment_offset(segment, segment->blocks) = segment->used_bytes;
        block = segment_block(segment, segment->blocks);
        if ((const uint8_t *)(block + 1) != records)
            memmove(block + 1, records, head->size_bytes);
        *block = *head;
        segment->blocks++;
        segment->used_bytes += sizeof(struct block);
        store->bytes += sizeof(struct block);
        store->open = true;
    }
    segment->used_bytes += head->size_bytes;
    store->bytes += head->size_bytes;
    store->last = head->first_lsn + head->count - 1;
    store->entries += head->count;
    segment_assert(segment);
    assert_store(store);
    fetch_next(segment);
    return true;
}

void
store_seal(struct store *store)
{
    store->open = false;
}

/* Shortens a block to its first count records. */
static void
shorten(struct store *store, struct segment *segment, struct block *block, uint32_t count)
{
    const uint8_t *at = (const uint8_t *)(block + 1);
    uint32_t size_bytes;

    assert(count < block->count && block == segment_block(segment, segment->blocks - 1));
    for (uint32_t i = 0; i < count; i++)
        at += record_size((const struct record *)(const void *)at);
    size_bytes = (uint32_t)(at - (const uint8_t *)(block + 1));
    assert(size_bytes < block->size_bytes && block->size_bytes <= segment->used_bytes);
    segment->used_bytes -= block->size_bytes - size_bytes;
    store->bytes -= block->size_bytes - size_bytes;
    store->entries -= block->count - count;
    block->count = count;
    block->size_bytes = size_bytes;
}

/* Drops the last block, or what of it is at or after `from`. true: there may be more to drop. */
static bool
drop_last(struct store *store, uint64_t from)
{
    struct segment *segment = last_segment(store);
    struct block *block;

    if (segment == NULL)
        return false;
    segment_assert(segment);
    if (segment->blocks == 0) {
        segment_give(store->pool, segment);
        store->tail--;
        return true;
    }
    block = segment_block(segment, segment->blocks - 1);
    if (block->first_lsn + block->count <= from)
        return false;
    if (block->first_lsn < from) {
        shorten(store, segment, block, (uint32_t)(from - block->first_lsn));
        return false;
    }
    shorten(store, segment, block, 0);
    segment->used_bytes -= sizeof(struct block);
    store->bytes -= sizeof(struct block);
    segment->blocks--;
    return true;
}

void
store_truncate(struct store *store, uint64_t from)
{
    struct block *block;

    while (drop_last(store, from))
        ;
    block = last_block(store);
    store->last = block == NULL ? 0 : block->first_lsn + block->count - 1;
    store->open = false;
    store->generation++;
    assert(store->last == 0 || store->last < from);
    assert_store(store);
}

static uint64_t
segment_end(const struct segment *segment)
{
    const struct block *block = segment_block(segment, segment->blocks - 1);

    return block->first_lsn + block->count; /* one past */
}

/* false: it stays. */
static bool
trim_front(struct store *store, uint64_t below)
{
    struct segment *segment = segment_at(store, store->head);

    if (segment->blocks == 0 || segment_end(segment) > below)
        return false;
    /* The last segment goes only when nothing is left to be appended after. */
    if (store->tail - store->head == 1 && store->last >= below)
        return false;
    assert(store->bytes >= segment->used_bytes);
    for (uint32_t i = 0; i < segment->blocks; i++) {
        assert(store->entries >= segment_block(segment, i)->count);
        store->entries -= segment_block(segment, i)->count;
    }
    store->bytes -= segment->used_bytes;
    segment_give(store->pool, segment);
    store->head++;
    if (store->head == store->tail)
        store->open = false;
    store->generation++;
    assert_store(store);
    return true;
}

void
store_trim(struct store *store, uint64_t below)
{
    while (store->tail != store->head && trim_front(store, below))
        ;
}

void
store_trim_one(struct store *store, uint64_t below)
{
    if (store->tail != store->head)
        trim_front(store, below);
}

void
store_reset(struct store *store, uint64_t last)
{
    while (store->head != store->tail)
        segment_give(store->pool, store->segments[store->head++ & store->mask]);
    store->last = last;
    store->entries = store->bytes = 0;
    store->open = false;
    store->generation++;
    assert_store(store);
}

struct segment *
store_segment(const struct store *store, const struct stretch *stretch)
{
    assert_costly(stretch->segment_id < store->pool->count);
    return &store->pool->segments[stretch->segment_id];
}

const struct segment *
store_front(const struct store *store)
{
    return store->head == store->tail ? NULL : segment_at(store, store->head);
}

uint64_t
store_first(const struct store *store)
{
    const struct segment *segment;

    if (store->head == store->tail)
        return 0;
    segment = segment_at(store, store->head);
    return segment->blocks == 0 ? 0 : segment_block(segment, 0)->first_lsn;
}

/* Index of the first block in the segment that ends after position. */
static uint32_t
find_block(const struct segment *segment, uint64_t position)
{
    uint32_t low = 0, high = segment->blocks;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct block *block = segment_block(segment, middle);

        if (block->first_lsn + block->count <= position)
            low = middle + 1;
        else
            high = middle;
    }
    assert_costly(low == 0 ||
                  segment_block(segment, low - 1)->first_lsn + segment_block(segment, low - 1)->count <= position);
    return low;
}

static uint32_t
find_segment(const struct store *store, uint64_t position)
{
    uint32_t low = store->head, high = store->tail;

    while (low != high) {
        uint32_t middle = low + (high - low) / 2;
        const struct segment *segment = segment_at(store, middle);

        if (segment->blocks > 0 && segment_end(segment) <= position)
            low = middle + 1;
        else
            high = middle;
    }
    assert_costly(low != store->tail);
    return low;
}

bool
store_seek(const struct store *store, struct cursor *cursor, uint64_t position)
{
    const struct segment *segment;
    const struct block *block;
    const uint8_t *at;

    cursor->placed = false;
    cursor->position = position;
    if (store->head == store->tail || position > store->last)
        return false;
    cursor->segment = find_segment(store, position);
    segment = segment_at(store, cursor->segment);
    cursor->block = find_block(segment, position);
    /* Nothing of it is in memory: the segment was taken for what then did not come. */
    if (cursor->block == segment->blocks)
        return false;
    block = segment_block(segment, cursor->block);
    at = (const uint8_t *)(block + 1);
    if (position < block->first_lsn)
        position = block->first_lsn;
    assert_costly(position < block->first_lsn + block->count);
    cursor->record = (uint32_t)(position - block->first_lsn);
    for (uint32_t i = 0; i < cursor->record; i++)
        at += record_size((const struct record *)(const void *)at);
    cursor->offset_bytes = (uint32_t)(at - (const uint8_t *)(block + 1));
    assert_costly(cursor->offset_bytes < block->size_bytes);
    cursor->position = position;
    cursor->generation = store->generation;
    cursor->store = store;
    cursor->placed = true;
    return true;
}

/* Steps from the end of a block to the next. false: at the end of the store. */
static bool
settle(const struct store *store, struct cursor *cursor)
{
    for (;;) {
        const struct segment *segment = segment_at(store, cursor->segment);
        const struct block *block;

        assert_costly(cursor->block <= segment->blocks);
        if (cursor->block < segment->blocks) {
            block = segment_block(segment, cursor->block);
            assert_costly(cursor->record <= block->count && cursor->offset_bytes <= block->size_bytes);
            if (cursor->record < block->count)
                break;
            cursor->block++;
        } else if (cursor->segment + 1 != store->tail) {
            cursor->segment++;
            cursor->block = 0;
        } else {
            return false;
        }
        cursor->record = cursor->offset_bytes = 0;
    }
    if (cursor->record == 0)
        cursor->position = segment_block(segment_at(store, cursor->segment), cursor->block)->first_lsn;
    return true;
}

bool
store_look(const struct store *store, struct cursor *cursor, uint64_t last, uint32_t count_max, size_t size_max,
           struct stretch *out)
{
    const struct segment *segment;
    const struct block *block;
    const uint8_t *at;

    assert_costly(count_max > 0);
    if (!cursor->placed || cursor->store != store || cursor->generation != store->generation) {
        if (!store_seek(store, cursor, cursor->position))
            return false;
    }
    /* Nothing new at the end is the common case of a sender that has caught up. */
    if (cursor->position > last || cursor->position > store->last || !settle(store, cursor) || cursor->position > last)
        return false;
    segment = segment_at(store, cursor->segment);
    block = segment_block(segment, cursor->block);
    at = (const uint8_t *)(block + 1) + cursor->offset_bytes;
    *out = (struct stretch){
        .block = block,
        .records = at,
        .first = cursor->position,
        .index = cursor->record,
        .segment_id = segment->id,
    };
    while (out->count < count_max && out->index + out->count < block->count && out->first + out->count <= last) {
        size_t size = record_size((const struct record *)(const void *)at);

        if (out->count > 0 && out->size_bytes + size > size_max)
            break;
        at += size;
        out->size_bytes += (uint32_t)size;
        out->count++;
    }
    assert_costly(out->first == block->first_lsn + out->index);
    assert_costly(out->count > 0 && out->index + out->count <= block->count);
    assert_costly(cursor->offset_bytes + out->size_bytes <= block->size_bytes);
    return true;
}

void
store_advance(struct cursor *cursor, const struct stretch *stretch)
{
    assert(cursor->placed && cursor->position == stretch->first);
    assert_costly(cursor->record == stretch->index && stretch->count > 0);
    cursor->position += stretch->count;
    cursor->record += stretch->count;
    cursor->offset_bytes += stretch->size_bytes;
}

static uint64_t
mix(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
    return digest ^ (digest >> 29);
}

uint64_t
digest_step(uint64_t digest, const struct digest_input *input)
{
    uint64_t origin;

    /* Origin, life and checksum have bits of their own. */
    assert_costly(input->incarnation < 1u << 24);
    origin = ((uint64_t)input->origin << 56) | ((uint64_t)input->incarnation << 32);

    return mix(mix(digest, origin | input->crc32c), input->seq);
}

uint64_t
digest_extend(uint64_t digest, const struct stretch *stretch)
{
    const struct block *block = stretch->block;
    struct digest_input input = {
        .seq = block->first_seq + stretch->index, .incarnation = block->incarnation, .origin = block->origin};
    const uint8_t *at = stretch->records;

    for (uint32_t i = 0; i < stretch->count; i++, input.seq++) {
        const struct record *record = (const struct record *)(const void *)at;

        input.crc32c = record->crc32c;
        digest = digest_step(digest, &input);
        at += record_size(record);
    }
    assert_costly(at == stretch->records + stretch->size_bytes);
    return digest;
}
