/* `cairn bench consistency`: what each policy, ack level and read level costs, healthy and through a partition. */
#ifndef CLI_BENCH_BENCH_CONSISTENCY_H
#define CLI_BENCH_BENCH_CONSISTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/raw_disk.h"

struct consistency_options {
    uint32_t payload_bytes; /* of each entry */
    uint64_t seconds;       /* of each throughput run */
    const char *report;     /* a page here, or NULL */
    const char *directory;  /* logs on disk, in it; NULL: in memory */
    struct raw_disk_figures raw_disk;
    bool json;
};

/* Returns what to exit with. */
int bench_consistency(const struct consistency_options *options);

#endif
