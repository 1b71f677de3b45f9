#include "doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void
doorbell_ring_slow(struct doorbell *bell)
{
    atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&bell->word, 1, memory_order_release);
    syscall(SYS_futex, &bell->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

uint32_t
doorbell_prepare(struct doorbell *bell)
{
    uint32_t word = atomic_load_explicit(&bell->word, memory_order_acquire);

    atomic_store_explicit(&bell->asleep, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return word;
}

void
doorbell_wait(struct doorbell *bell, uint32_t prepared, uint64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long)(timeout_ns % 1000000000u),
    };

    syscall(SYS_futex, &bell->word, FUTEX_WAIT, prepared, &timeout, NULL, 0);
    doorbell_cancel(bell);
}

void
doorbell_cancel(struct doorbell *bell)
{
    atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}
