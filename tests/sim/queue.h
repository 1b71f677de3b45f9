/* What will happen, by virtual time; at one time, in the order it was planned. */
#ifndef TESTS_SIM_QUEUE_H
#define TESTS_SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct happening {
    uint64_t at_ns, order;
    uint64_t value;
    uint16_t kind;
    uint8_t node, peer;
    uint32_t index;
};

/* A binary heap. */
struct queue {
    struct happening *items;
    uint32_t count, capacity;
    uint64_t order;
};

void queue_push(struct queue *queue, struct happening happening);
bool queue_pop(struct queue *queue, struct happening *out);
void queue_clear(struct queue *queue);
void queue_fini(struct queue *queue);

#endif
