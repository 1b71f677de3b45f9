#include "queue.h"

#include <stdlib.h>

static bool
before(const struct happening *left, const struct happening *right)
{
    return left->at_ns != right->at_ns ? left->at_ns < right->at_ns : left->order < right->order;
}

void
queue_push(struct queue *queue, struct happening happening)
{
    uint32_t place = queue->count++;

    if (queue->count > queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 1024 : queue->capacity * 2;
        queue->items = realloc(queue->items, queue->capacity * sizeof(*queue->items));
    }
    happening.order = queue->order++;
    while (place > 0 && before(&happening, &queue->items[(place - 1) / 2])) {
        queue->items[place] = queue->items[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    queue->items[place] = happening;
}

bool
queue_pop(struct queue *queue, struct happening *out)
{
    struct happening last;
    uint32_t place = 0, child;

    if (queue->count == 0)
        return false;
    *out = queue->items[0];
    last = queue->items[--queue->count];
    while ((child = 2 * place + 1) < queue->count) {
        if (child + 1 < queue->count && before(&queue->items[child + 1], &queue->items[child]))
            child++;
        if (!before(&queue->items[child], &last))
            break;
        queue->items[place] = queue->items[child];
        place = child;
    }
    queue->items[place] = last;
    return true;
}

void
queue_clear(struct queue *queue)
{
    queue->count = 0;
    queue->order = 0;
}

void
queue_fini(struct queue *queue)
{
    free(queue->items);
    *queue = (struct queue){0};
}
