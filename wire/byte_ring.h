/* A ring of messages between one producer and one consumer, in memory that two threads or two
 * processes share: how requests and answers cross between a client and a worker.
 *
 *   field            writer      reader
 *   head             producer    consumer   bytes ever written
 *   tail             consumer    producer   bytes ever read
 *   asleep, word     see doorbell.h
 *
 * The data area is mapped twice in a row, so a message never wraps. A consumer must not trust what
 * it reads: the other side may be hostile, and may change bytes while they are looked at. */
#ifndef WIRE_BYTE_RING_H
#define WIRE_BYTE_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "assert_costly.h"
#include "wire/doorbell.h"

/* The shared part: one page. */
struct byte_ring_shared {
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
    struct doorbell bell; /* the consumer's */
};

_Static_assert(offsetof(struct byte_ring_shared, tail) - offsetof(struct byte_ring_shared, head) >= 64,
               "producer and consumer write a line each");
_Static_assert(offsetof(struct byte_ring_shared, bell) - offsetof(struct byte_ring_shared, tail) >= 64,
               "whoever rings does not disturb the indices");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "two processes share no lock of a library's");

/* Each side's own view. */
struct byte_ring {
    struct byte_ring_shared *shared;
    uint8_t *data; /* 2 x size_bytes of addresses, size_bytes of memory */
    uint64_t size_bytes;
    uint64_t position;     /* own index */
    uint64_t other_cached; /* the other side's, as last seen */
};

/* Room for a message of size_bytes (rounded up to 8), or NULL. Filled by the caller, then published
 * with byte_ring_push(). One message is open at a time. */
void *byte_ring_reserve(struct byte_ring *ring, size_t size_bytes);
void byte_ring_push(struct byte_ring *ring, size_t size_bytes);

/* Bytes that may still be written. */
size_t byte_ring_room(struct byte_ring *ring);

/* Bytes that may be read at *bytes; 0: none, or the indices are not sane. Each poll asks it of each ring. */
static inline size_t
byte_ring_peek(struct byte_ring *ring, const void **bytes)
{
    uint64_t ready = ring->other_cached - ring->position;

    if (ready == 0) {
        ring->other_cached = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
        ready = ring->other_cached - ring->position;
    }
    assert_costly(ring->position % 8 == 0);
    *bytes = ring->data + (ring->position & (ring->size_bytes - 1));
    if (ready <= ring->size_bytes)
        return (size_t)ready;
    /* No producer says so. What it says next is looked at anew. */
    ring->other_cached = ring->position;
    return 0;
}

void byte_ring_pop(struct byte_ring *ring, size_t size_bytes);

/* Two rings in one shared memory: requests to the worker and answers from it. The worker's side
 * makes it, the client's side opens the descriptor. */
struct byte_channel {
    struct byte_ring in, out; /* from this side's point of view */
    void *memory;
    size_t memory_bytes;
    int fd; /* owned */
};

/* ring_bytes: of each direction, a power of two, at least a page. 0 or an errno. */
int byte_channel_make(struct byte_channel *channel, size_t ring_bytes);
/* As newly made; the maker's, and of a client that had it only by byte_channel_mirror() and is gone. */
void byte_channel_renew(struct byte_channel *channel);
/* The client's end; takes fd over (also on failure). */
int byte_channel_open(struct byte_channel *channel, int fd);
/* The client's end inside the same process: shares the maker's mapping, owns nothing. */
void byte_channel_mirror(const struct byte_channel *worker, struct byte_channel *client);
void byte_channel_close(struct byte_channel *channel);

#endif
