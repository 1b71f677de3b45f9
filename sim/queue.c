#include "sim/queue.h"

#include <assert.h>
#include <stdlib.h>

/* Of each place in the heap: fewer levels than two, and neighbours share cache lines. */
#define CHILDREN 4u
/* The key's lower bits. When the order wraps, what happens at one nanosecond may change places: still the
 * same in every run. */
#define ORDER_BITS 24u

uint64_t
happening_ns(const struct happening *happening)
{
    return happening->key >> ORDER_BITS;
}

uint64_t
queue_next_ns(const struct queue *queue)
{
    return queue->count == 0 ? UINT64_MAX : happening_ns(&queue->items[0]);
}

void
queue_push(struct queue *queue, uint64_t at_ns, struct happening happening)
{
    uint32_t place = queue->count++;

    assert(at_ns >> (64 - ORDER_BITS) == 0);
    if (queue->count > queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 1024 : queue->capacity * 2;
        queue->items = realloc(queue->items, queue->capacity * sizeof(*queue->items));
    }
    happening.key = at_ns << ORDER_BITS | (queue->order++ & ((1u << ORDER_BITS) - 1));
    while (place > 0 && happening.key < queue->items[(place - 1) / CHILDREN].key) {
        queue->items[place] = queue->items[(place - 1) / CHILDREN];
        place = (place - 1) / CHILDREN;
    }
    queue->items[place] = happening;
}

static uint32_t
first_child(const struct queue *queue, uint32_t place)
{
    uint32_t first = CHILDREN * place + 1, best = first;
    uint32_t end = first + CHILDREN < queue->count ? first + CHILDREN : queue->count;

    for (uint32_t child = first + 1; child < end; child++) {
        if (queue->items[child].key < queue->items[best].key)
            best = child;
    }
    return best;
}

bool
queue_pop(struct queue *queue, struct happening *out)
{
    struct happening last;
    uint32_t place = 0;

    if (queue->count == 0)
        return false;
    *out = queue->items[0];
    last = queue->items[--queue->count];
    while (CHILDREN * place + 1 < queue->count) {
        uint32_t child = first_child(queue, place);

        if (queue->items[child].key >= last.key)
            break;
        queue->items[place] = queue->items[child];
        place = child;
    }
    queue->items[place] = last;
    return true;
}

void
queue_fini(struct queue *queue)
{
    free(queue->items);
    *queue = (struct queue){0};
}
