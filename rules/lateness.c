#include "rules/lateness.h"

#include <assert.h>

#include "assert_costly.h"

#define FORGET_AFTER 4096u
#define FIRST_BITS 10u /* the first bucket ends at 2^10 ns */
#define MEAN_SHIFT 4u

static uint64_t
bucket_end_ns(uint32_t bucket)
{
    uint32_t bits;

    assert(bucket < LATENESS_BUCKETS);
    if (bucket == 0)
        return 1u << FIRST_BITS;
    bits = FIRST_BITS + (bucket - 1) / 4;
    return (uint64_t)(5 + (bucket - 1) % 4) << (bits - 2);
}

static uint32_t
bucket_of(uint64_t late_ns)
{
    uint32_t bits, bucket;

    if (late_ns < 1u << FIRST_BITS)
        return 0;
    bits = 63 - (uint32_t)__builtin_clzll(late_ns);
    bucket = 1 + (bits - FIRST_BITS) * 4 + (uint32_t)(late_ns >> (bits - 2) & 3);
    if (bucket >= LATENESS_BUCKETS)
        return LATENESS_BUCKETS - 1;
    assert_costly(late_ns >= bucket_end_ns(bucket - 1) && late_ns < bucket_end_ns(bucket));
    return bucket;
}

void
lateness_note(struct lateness *lateness, uint64_t late_ns)
{
    lateness->mean_ns += (late_ns >> MEAN_SHIFT) - (lateness->mean_ns >> MEAN_SHIFT);
    lateness->buckets[bucket_of(late_ns)]++;
    if (++lateness->count < FORGET_AFTER)
        return;
    lateness->count = 0;
    for (uint32_t i = 0; i < LATENESS_BUCKETS; i++)
        lateness->count += lateness->buckets[i] /= 2;
    assert(lateness->count <= FORGET_AFTER / 2);
}

uint64_t
lateness_quantile_ns(const struct lateness *lateness, uint32_t thousandths)
{
    uint64_t within = ((uint64_t)lateness->count * thousandths + 999) / 1000, seen = 0;

    assert(thousandths <= 1000 && within <= lateness->count);
    for (uint32_t i = 0; i < LATENESS_BUCKETS; i++) {
        seen += lateness->buckets[i];
        if (seen >= within && seen > 0)
            return bucket_end_ns(i);
    }
    assert(lateness->count == 0);
    return 0;
}
