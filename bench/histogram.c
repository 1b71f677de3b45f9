/* Log-linear with 512 parts: a value is known to 0.2 %. */
#include "bench/histogram.h"

#include <stdlib.h>
#include <string.h>

#include "wire/log_linear.h"

#define PART_BITS 9u
#define BUCKETS LOG_LINEAR_BUCKETS(64u, PART_BITS)

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

void
histogram_add(struct histogram *histogram, uint64_t latency_ns)
{
    histogram->counts[log_linear_bucket(latency_ns, PART_BITS)]++;
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
        if (seen >= wanted) {
            uint64_t highest = log_linear_highest(bucket, PART_BITS);

            return highest < histogram->max ? highest : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t
histogram_max(const struct histogram *histogram)
{
    return histogram->max;
}
