/* How long a log's appends took on this node, by the level they were acknowledged at: from the turn in which the worker
 * found the request to the turn in which it answered. What a turn took beside, and the client's own way, are not in it.
 *
 * The worker counts; any thread reads. What a reader sees is a little more or less of the last microsecond, never torn. */
#ifndef NODE_LATENCIES_H
#define NODE_LATENCIES_H

#include <stdatomic.h>
#include <stdint.h>

#include "cairn/types.h"
#include "wire/log_linear.h"

/* Known to an eighth; what takes longer than the 68 s counts as that. */
#define LATENCY_PART_BITS 3u
#define LATENCY_VALUE_BITS 36u
#define LATENCY_BUCKETS LOG_LINEAR_BUCKETS(LATENCY_VALUE_BITS, LATENCY_PART_BITS)
#define LATENCY_LEVELS (CAIRN_ACK_ALL + 1u) /* by enum cairn_ack; the first is of none */

struct latencies {
    struct {
        _Atomic uint64_t counts[LATENCY_BUCKETS];
        _Atomic uint64_t sum_ns;
    } levels[LATENCY_LEVELS];
};

/* One writer: no read-modify-write, which would lock the bus. */
static inline void
latency_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

/* ack: what the append was acknowledged at. The worker's. */
static inline void
latencies_add(struct latencies *latencies, uint8_t ack, uint64_t latency_ns)
{
    uint64_t counted_ns = latency_ns >> LATENCY_VALUE_BITS == 0 ? latency_ns : (1ull << LATENCY_VALUE_BITS) - 1;

    latency_count(&latencies->levels[ack].counts[log_linear_bucket(counted_ns, LATENCY_PART_BITS)], 1);
    latency_count(&latencies->levels[ack].sum_ns, latency_ns);
}

/* How many were acknowledged at that level. Any thread. */
static inline uint64_t
latencies_count(const struct latencies *latencies, enum cairn_ack ack)
{
    uint64_t count = 0;

    for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++)
        count += atomic_load_explicit(&latencies->levels[ack].counts[bucket], memory_order_relaxed);
    return count;
}

#endif
