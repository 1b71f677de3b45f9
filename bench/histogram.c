/* Log-linear, after HdrHistogram (Tene): each power of two is cut into 512 equal parts, so a value is
 * known to 0.2 %. */
#include "histogram.h"

#include <stdlib.h>
#include <string.h>

#define PART_BITS 9u
#define PARTS (1u << PART_BITS)
#define BUCKETS ((64u - PART_BITS + 1u) * PARTS)

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total, max;
};

struct histogram *
histogram_new(void)
{
    return calloc(1, sizeof(struct histogram));
}

void
histogram_free(struct histogram *histogram)
{
    free(histogram);
}

/* Values below PARTS stand for themselves; above, the leading PART_BITS + 1 bits count. */
static uint32_t
bucket_of(uint64_t value)
{
    uint32_t shift;

    if (value < PARTS)
        return (uint32_t)value;
    shift = 63u - (uint32_t)__builtin_clzll(value) - PART_BITS;
    return (shift + 1) * PARTS + (uint32_t)((value >> shift) - PARTS);
}

/* The highest value of a bucket: a percentile is never told too low. */
static uint64_t
value_of(uint32_t bucket)
{
    uint32_t shift;

    if (bucket < PARTS)
        return bucket;
    shift = bucket / PARTS - 1;
    return ((uint64_t)(bucket % PARTS + PARTS + 1) << shift) - 1;
}

void
histogram_add(struct histogram *histogram, uint64_t latency_ns)
{
    histogram->counts[bucket_of(latency_ns)]++;
    histogram->total++;
    if (latency_ns > histogram->max)
        histogram->max = latency_ns;
}

void
histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

uint64_t
histogram_count(const struct histogram *histogram)
{
    return histogram->total;
}

uint64_t
histogram_at(const struct histogram *histogram, double percentile)
{
    uint64_t wanted = (uint64_t)(percentile / 100 * (double)histogram->total + 0.5), seen = 0;

    if (wanted == 0)
        wanted = 1;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted)
            return value_of(bucket) < histogram->max ? value_of(bucket) : histogram->max;
    }
    return histogram->max;
}

uint64_t
histogram_max(const struct histogram *histogram)
{
    return histogram->max;
}
