/* Latencies from 1 ns on, each known to 0.2 %; percentiles at any time. No library of the kind is in
 * Debian 12. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct histogram;

/* NULL: out of memory. Allocates here and never again. */
struct histogram *histogram_new(void);
void histogram_free(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t latency_ns);
void histogram_reset(struct histogram *histogram);
uint64_t histogram_count(const struct histogram *histogram);
/* percentile: 0 to 100. */
uint64_t histogram_at(const struct histogram *histogram, double percentile);
uint64_t histogram_max(const struct histogram *histogram);

#endif
