/* Buckets of a log-linear histogram, after HdrHistogram (Tene): each power of two is cut into 2^part_bits equal parts, so a
 * value is known to one part in as many. Values below 2^part_bits have a bucket each. */
#ifndef WIRE_LOG_LINEAR_H
#define WIRE_LOG_LINEAR_H

#include <stdint.h>

#include "assert_costly.h"

/* How many buckets values below 2^value_bits take; value_bits at least part_bits. */
#define LOG_LINEAR_BUCKETS(value_bits, part_bits) (((value_bits) - (part_bits) + 1u) << (part_bits))

/* The highest value of a bucket, so that a percentile is never told too low. */
static inline uint64_t
log_linear_highest(uint32_t bucket, uint32_t part_bits)
{
    uint32_t shift;

    if (bucket >> part_bits == 0)
        return bucket;
    shift = (bucket >> part_bits) - 1;
    assert_costly(shift + part_bits < 64);
    return ((uint64_t)((bucket & ((1u << part_bits) - 1)) + (1u << part_bits) + 1) << shift) - 1;
}

static inline uint32_t
log_linear_bucket(uint64_t value, uint32_t part_bits)
{
    uint32_t shift, bucket;

    if (value >> part_bits == 0)
        return (uint32_t)value;
    shift = 63u - (uint32_t)__builtin_clzll(value) - part_bits;
    bucket = ((shift + 1) << part_bits) + (uint32_t)((value >> shift) - (1u << part_bits));
    /* It is known to one part in as many. */
    assert_costly(log_linear_highest(bucket, part_bits) >= value);
    assert_costly(log_linear_highest(bucket, part_bits) - value <= value >> part_bits);
    return bucket;
}

#endif
