/* What will happen, by virtual time; at one time, in the order it was planned. */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum happening_kind {
    HAPPEN_FRAME,
    HAPPEN_CONTROL,
    HAPPEN_CLIENT,
    HAPPEN_READER,
    HAPPEN_STEWARD,
    HAPPEN_FAULT,
    HAPPEN_FAULT_END,
    HAPPEN_CHECK,
    HAPPEN_DISK,
    HAPPEN_BOOT,
};

struct happening {
    uint64_t key; /* time and order: see queue.c */
    uint32_t value, index;
    uint8_t kind, node, peer;
};

/* A heap. */
struct queue {
    struct happening *items;
    uint32_t count, capacity;
    uint64_t order;
};

/* at_ns: below 2^40, some 18 minutes. */
void queue_push(struct queue *queue, uint64_t at_ns, struct happening happening);
bool queue_pop(struct queue *queue, struct happening *out);
uint64_t queue_next_ns(const struct queue *queue); /* UINT64_MAX: nothing will happen */
uint64_t happening_ns(const struct happening *happening);
void queue_fini(struct queue *queue);

#endif
