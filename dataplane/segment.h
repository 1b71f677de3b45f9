/* Segments: the memory that logs live in, and the source of what is transmitted.
 *
 * A pool is one reserved stretch of addresses cut into segments of equal size. Nothing is allocated
 * later: a worker takes segments and gives them back, and a helper thread touches segments ahead of
 * the worker, so that the data path does not meet page faults.
 *
 *   field      writer    reader
 *   free list  worker    worker
 *   fresh      worker    helper     segments ever taken for the first time
 *   touched    helper    worker     segments whose pages exist
 *
 * Inside a segment blocks grow from the front and a table of their offsets from the back. */
#ifndef DATAPLANE_SEGMENT_H
#define DATAPLANE_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>

#include "assert_costly.h"
#include "wire/record.h"

#define SEGMENT_BYTES (4u << 20) /* of each, unless asked otherwise: two of the largest records fit */
_Static_assert(SEGMENT_BYTES / 2 >= RECORD_BYTES_MAX + sizeof(struct block) + 64, "they fit, as store.c has it");

struct segment {
    uint8_t *base;
    uint32_t size_bytes;
    uint32_t used_bytes; /* from the front */
    uint32_t blocks;
    uint32_t id;
    uint32_t next_free;
    /* Of the trunk up to the first entry here, once that is committed: its chain digest, and its latest clock. */
    uint64_t digest_before, hlc_before;
};

struct segment_pool {
    uint8_t *memory;
    size_t memory_bytes;
    struct segment *segments;
    uint32_t count, in_use, first_free, segment_bytes;
    /* Is a frame under way that refers to the segment? It is not reused before. May be NULL. */
    bool (*busy)(void *context, uint32_t segment_id);
    void *busy_context;
    _Alignas(64) _Atomic uint32_t fresh;
    _Alignas(64) _Atomic uint32_t touched;
};

/* Reserves memory_bytes (rounded to whole segments; at least one) in segments of segment_bytes, a power
 * of two; no record may be larger than half of one. false: the machine has not that many addresses. */
bool segment_pool_init(struct segment_pool *pool, size_t memory_bytes, uint32_t segment_bytes);
void segment_pool_fini(struct segment_pool *pool);

/* The helper: makes pages of the next segment exist, a few ahead. Any one thread, now and then. It takes its time in
 * small steps: where cores are few, it runs on the worker's. true: there may be more to do already. */
bool segment_pool_touch(struct segment_pool *pool);

/* Before the pool is used: all its pages exist from now on. false: the machine has not that much memory. */
bool segment_pool_touch_all(struct segment_pool *pool);

/* NULL when all are in use, or referred to by frames under way: segment_is_ready() tells. */
struct segment *segment_take(struct segment_pool *pool);
bool segment_is_ready(const struct segment_pool *pool);
void segment_give(struct segment_pool *pool, struct segment *segment);

/* What holds between any two appends: the last block ends where the next begins. */
void segment_assert(const struct segment *segment);

static inline uint32_t *
segment_offset(const struct segment *segment, uint32_t index)
{
    assert_costly(index <= segment->blocks && (index + 1) * sizeof(uint32_t) <= segment->size_bytes);
    return (uint32_t *)(void *)(segment->base + segment->size_bytes) - (index + 1);
}

static inline struct block *
segment_block(const struct segment *segment, uint32_t index)
{
    assert_costly(*segment_offset(segment, index) <= segment->used_bytes);
    assert_costly(*segment_offset(segment, index) % 8 == 0);
    return (struct block *)(void *)(segment->base + *segment_offset(segment, index));
}

/* Bytes between the blocks and their table, with a new block's place in the table set aside. */
static inline size_t
segment_room(const struct segment *segment)
{
    size_t taken = segment->used_bytes + sizeof(uint32_t) * (segment->blocks + 1);

    /* The table and the blocks have not met. */
    assert_costly(segment->used_bytes + sizeof(uint32_t) * segment->blocks <= segment->size_bytes);
    return taken < segment->size_bytes ? segment->size_bytes - taken : 0;
}

#endif
