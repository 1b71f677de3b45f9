#include "dataplane/clock.h"

#include <assert.h>
#include <time.h>

#include <rte_cycles.h>

#include "assert_costly.h"

static uint64_t
read_ns(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t
clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t
clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

static uint64_t
machine_monotonic_ns(void *context)
{
    (void)context;
    return clock_monotonic_ns();
}

static uint64_t
machine_wall_ns(void *context)
{
    (void)context;
    return clock_wall_ns();
}

const struct time_source time_of_machine = {.monotonic_ns = machine_monotonic_ns, .wall_ns = machine_wall_ns};

/* The ticks are read last: where this thread stalls between the two, the clock is behind until the next anchor, and never ahead
 * of the kernel's, beside which it is read. */
static void
anchor(struct clock *clock)
{
    clock->base_ns = clock_monotonic_ns();
    clock->base_ticks = rte_rdtsc();
}

void
clock_start(struct clock *clock)
{
    uint64_t hz = rte_get_tsc_hz();

    clock->ns_per_tick = (uint64_t)(1e9 / (double)hz * 4294967296.0);
    clock->anchor_after_ticks = hz / 100;
    /* The product of clock_now_ns() fits. */
    assert(clock->anchor_after_ticks <= UINT64_MAX / clock->ns_per_tick);
    anchor(clock);
    clock->last_ns = clock->base_ns;
}

uint64_t
clock_now_ns(struct clock *clock)
{
    uint64_t ticks = rte_rdtsc(), now_ns;

    if (ticks - clock->base_ticks > clock->anchor_after_ticks) {
        anchor(clock);
        ticks = clock->base_ticks;
    }
    /* At most 10 ms of ticks since the anchor: the product fits. */
    assert_costly(ticks - clock->base_ticks <= clock->anchor_after_ticks);
    now_ns = clock->base_ns + (((ticks - clock->base_ticks) * clock->ns_per_tick) >> 32);
    if (now_ns > clock->last_ns)
        clock->last_ns = now_ns;
    return clock->last_ns;
}
