/* `cairn bench consistency`: what each policy, ack level and read level costs, healthy and through a partition. */
#ifndef CLI_BENCH_CONSISTENCY_H
#define CLI_BENCH_CONSISTENCY_H

#include <stdbool.h>
#include <stdint.h>

/* payload_bytes of each entry; seconds of each throughput run; report: a page here, or NULL. Returns what to exit with. */
int bench_consistency(uint32_t payload_bytes, uint64_t seconds, const char *report, bool json);

#endif
