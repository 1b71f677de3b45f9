/* Wakes a thread that sleeps for lack of work, across threads or processes.
 *
 *   field    writer              reader
 *   asleep   sleeper, ringers    both
 *   word     ringers             sleeper (futex)
 *
 * The sleeper sets asleep, looks for work once more, then waits; a ringer publishes work, then looks
 * at asleep. Both sides' store-then-load pairs are sequentially consistent, so one of them sees the
 * other. While the sleeper is awake a ring costs one load and no system call. */
#ifndef WIRE_DOORBELL_H
#define WIRE_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct doorbell {
    _Alignas(64) _Atomic uint32_t asleep;
    _Atomic uint32_t word;
};

_Static_assert(sizeof(struct doorbell) == 64, "a line of its own");
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "the kernel compares it");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "two processes share no lock of a library's");

void doorbell_ring_slow(struct doorbell *bell);

static inline void
doorbell_ring(struct doorbell *bell)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&bell->asleep, memory_order_relaxed) != 0)
        doorbell_ring_slow(bell);
}

/* Announces sleep; the caller looks for work once more before doorbell_wait(). */
uint32_t doorbell_prepare(struct doorbell *bell);
/* Sleeps until rung, or for timeout_ns at most. */
void doorbell_wait(struct doorbell *bell, uint32_t prepared, uint64_t timeout_ns);
void doorbell_cancel(struct doorbell *bell);

/* As many as the kernel waits for at once (futex_waitv(2), Linux 5.16). */
#define DOORBELLS_MAX 128u

/* The bells of one sleeper, one for each who may ring: so nobody who spoils the bell that it has been given keeps the sleeper from
 * hearing the others. They are the sleeper's, and used as the calls above are. Zeroed: none. */
struct doorbells {
    struct doorbell *of[DOORBELLS_MAX];
    uint32_t prepared[DOORBELLS_MAX];
    uint32_t count;
    bool incomplete; /* there are more: it never sleeps for long */
};

void doorbells_add(struct doorbells *bells, struct doorbell *bell);
void doorbells_prepare(struct doorbells *bells);
void doorbells_wait(struct doorbells *bells, uint64_t timeout_ns);
void doorbells_cancel(struct doorbells *bells);

/* One in memory that may be handed to other processes by *fd, the caller's, and that none of them can take away. NULL: the
 * kernel gives none, errno says why. */
struct doorbell *doorbell_make(int *fd);
/* Another process's, which made it so; fd stays the caller's. NULL: it is none. */
struct doorbell *doorbell_map(int fd);
void doorbell_unmap(struct doorbell *bell);

#endif
