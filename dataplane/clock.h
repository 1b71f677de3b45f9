/* Time for the data path: CLOCK_MONOTONIC nanoseconds by the CPU's counter, without a system call.
 *
 * Threads: one clock per thread. Error against CLOCK_MONOTONIC: under a microsecond, since it is
 * set anew every 10 ms. */
#ifndef DATAPLANE_CLOCK_H
#define DATAPLANE_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t base_ticks, base_ns;
    uint64_t last_ns;
    uint64_t ns_per_tick; /* in 1/2^32 */
    uint64_t anchor_after_ticks;
};

void clock_start(struct clock *clock);

/* Never goes back. */
uint64_t clock_now_ns(struct clock *clock);

/* Wall-clock nanoseconds since 1970, for the hybrid logical clock. */
uint64_t clock_wall_ns(void);

/* Where a node's time comes from when it is not read off the polling thread's clock: at its start, and
 * for the wall clock. */
struct time_source {
    uint64_t (*monotonic_ns)(void *context);
    uint64_t (*wall_ns)(void *context);
    void *context;
};

/* The machine's own. */
extern const struct time_source time_of_machine;

/* CLOCK_MONOTONIC itself, for threads that have no clock of their own. */
uint64_t clock_monotonic_ns(void);

#endif
