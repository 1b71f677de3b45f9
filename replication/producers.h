/* How a table of producers is walked, and what holds of it: for producers.c and producer_rows.c. */
#ifndef REPLICATION_PRODUCERS_H
#define REPLICATION_PRODUCERS_H

#include "assert_costly.h"
#include "replication/state.h"

/* What holds between any two changes. */
static inline void
producers_assert(const struct producers *producers)
{
    const struct undo *newest = &producers->undo[(producers->undo_tail - 1) & producers->undo_mask];

    assert_costly(producers->used <= producers->capacity / 4 * 3);
    assert_costly(producers->last_slot < producers->capacity);
    assert_costly(producers->undo_tail - producers->undo_head <= producers->undo_mask + 1);
    /* A truncation lowers the floor, or leaves it. */
    assert_costly(producers->undo_tail == producers->undo_head || newest->evicted_floor <= producers->evicted_floor);
    assert_costly(producers->undo_tail == producers->undo_head || newest->evicted.id <= producers->evicted_floor);
}

static inline uint32_t
slot_hash(const struct producers *producers, uint64_t id)
{
    assert_costly((producers->capacity & (producers->capacity - 1)) == 0);
    return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> 32) & (producers->capacity - 1);
}

/* Slot of id, or the free slot where it would go. At most 3/4 are used, so the walk ends. */
static inline uint32_t
slot_find(const struct producers *producers, uint64_t id)
{
    uint32_t slot = slot_hash(producers, id);

    assert_costly(producers->used < producers->capacity);
    while (producers->slots[slot].id != 0 && producers->slots[slot].id != id)
        slot = (slot + 1) & (producers->capacity - 1);
    return slot;
}

static inline struct undo *
undo_at(const struct producers *producers, uint32_t place)
{
    return &producers->undo[place & producers->undo_mask];
}

#endif
