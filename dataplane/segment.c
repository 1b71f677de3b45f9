#include "dataplane/segment.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NONE UINT32_MAX
#define TOUCH_AHEAD 6u
#define TOUCH_BYTES (128u << 10)
#define TOUCH_REST_US 50u

bool
segment_pool_init(struct segment_pool *pool, size_t memory_bytes, uint32_t segment_bytes)
{
    uintptr_t start, aligned;
    void *memory;

    assert(segment_bytes > 0 && (segment_bytes & (segment_bytes - 1)) == 0);
    memset(pool, 0, sizeof(*pool));
    pool->segment_bytes = segment_bytes;
    pool->count = (uint32_t)((memory_bytes + segment_bytes - 1) / segment_bytes);
    if (pool->count == 0)
        pool->count = 1;
    pool->memory_bytes = ((size_t)pool->count + 1) * segment_bytes;
    pool->segments = calloc(pool->count, sizeof(*pool->segments));
    memory = mmap(NULL, pool->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool->segments == NULL || memory == MAP_FAILED) {
        free(pool->segments);
        return false;
    }
    pool->memory = memory;
    start = (uintptr_t)memory;
    aligned = (start + segment_bytes - 1) & ~((uintptr_t)segment_bytes - 1);
    for (uint32_t i = 0; i < pool->count; i++) {
        pool->segments[i].base = (uint8_t *)aligned + (size_t)i * segment_bytes;
        pool->segments[i].size_bytes = segment_bytes;
        pool->segments[i].id = i;
    }
    pool->first_free = NONE;
    assert(pool->segments[pool->count - 1].base + segment_bytes <= pool->memory + pool->memory_bytes);
    assert((uintptr_t)pool->segments[0].base % segment_bytes == 0);
    return true;
}

void
segment_pool_fini(struct segment_pool *pool)
{
    if (pool->memory != NULL)
        munmap(pool->memory, pool->memory_bytes);
    free(pool->segments);
    memset(pool, 0, sizeof(*pool));
}

/* In pieces, and asleep between them: whoever shares the core, perhaps the worker itself, waits for one piece at most. */
static void
touch(struct segment *segment)
{
    for (size_t at = 0; at < segment->size_bytes; at += TOUCH_BYTES) {
        size_t rest = segment->size_bytes - at;

        madvise(segment->base + at, rest < TOUCH_BYTES ? rest : TOUCH_BYTES, MADV_POPULATE_WRITE);
        usleep(TOUCH_REST_US);
    }
}

bool
segment_pool_touch(struct segment_pool *pool)
{
    uint32_t touched = atomic_load_explicit(&pool->touched, memory_order_relaxed);
    uint32_t fresh = atomic_load_explicit(&pool->fresh, memory_order_relaxed);

    assert(fresh <= pool->count && touched <= pool->count);
    if (touched < fresh)
        touched = fresh;
    if (touched >= pool->count || touched >= fresh + TOUCH_AHEAD)
        return false;
    touch(&pool->segments[touched]);
    atomic_store_explicit(&pool->touched, touched + 1, memory_order_relaxed);
    return true;
}

bool
segment_pool_touch_all(struct segment_pool *pool)
{
    size_t size_bytes = (size_t)pool->count * pool->segment_bytes;
    volatile uint8_t *bytes = pool->segments[0].base;

    /* It may write over what is in them. */
    assert(pool->in_use == 0 && atomic_load_explicit(&pool->fresh, memory_order_relaxed) == 0);
    if (madvise(pool->segments[0].base, size_bytes, MADV_POPULATE_WRITE) != 0) {
        if (errno == ENOMEM)
            return false;
        /* A kernel before 5.14. */
        for (size_t at = 0; at < size_bytes; at += 4096)
            bytes[at] = 0;
    }
    atomic_store_explicit(&pool->touched, pool->count, memory_order_relaxed);
    return true;
}

static bool
is_busy(const struct segment_pool *pool, uint32_t id)
{
    return pool->busy != NULL && pool->busy(pool->busy_context, id);
}

/* Of those that were used before, the last that was given back and that no frame refers to; NONE: there is none. *before: the one
 * that is linked to it; NONE: it is the first. */
static uint32_t
find_ready(const struct segment_pool *pool, uint32_t *before)
{
    uint32_t id = pool->first_free;

    for (*before = NONE; id != NONE && is_busy(pool, id); id = pool->segments[id].next_free)
        *before = id;
    return id;
}

bool
segment_is_ready(const struct segment_pool *pool)
{
    uint32_t before;

    return find_ready(pool, &before) != NONE || atomic_load_explicit(&pool->fresh, memory_order_relaxed) < pool->count;
}

static struct segment *
take_again(struct segment_pool *pool)
{
    uint32_t before, id = find_ready(pool, &before);

    if (id == NONE)
        return NULL;
    *(before == NONE ? &pool->first_free : &pool->segments[before].next_free) = pool->segments[id].next_free;
    return &pool->segments[id];
}

struct segment *
segment_take(struct segment_pool *pool)
{
    uint32_t fresh = atomic_load_explicit(&pool->fresh, memory_order_relaxed);
    struct segment *segment = take_again(pool);

    assert(pool->in_use <= fresh && fresh <= pool->count);
    assert(pool->first_free == NONE || pool->first_free < fresh);
    if (segment == NULL) {
        if (fresh == pool->count)
            return NULL;
        segment = &pool->segments[fresh];
        atomic_store_explicit(&pool->fresh, fresh + 1, memory_order_relaxed);
    }
    segment->used_bytes = segment->blocks = 0;
    pool->in_use++;
    assert(pool->in_use <= pool->count);
    return segment;
}

void
segment_give(struct segment_pool *pool, struct segment *segment)
{
    assert(pool->in_use > 0);
    assert(segment == &pool->segments[segment->id] && segment->id != pool->first_free);
    segment->next_free = pool->first_free;
    pool->first_free = segment->id;
    pool->in_use--;
}

void
segment_assert(const struct segment *segment)
{
    assert_costly((segment->blocks == 0) == (segment->used_bytes == 0));
    assert_costly(segment->blocks == 0 || *segment_offset(segment, segment->blocks - 1) + sizeof(struct block) +
                                                  segment_block(segment, segment->blocks - 1)->size_bytes ==
                                              segment->used_bytes);
}
