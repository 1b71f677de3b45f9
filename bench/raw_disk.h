/* The raw disk: what the same file system gives several writers at once without any log, measured in the same run. */
#ifndef BENCH_RAW_DISK_H
#define BENCH_RAW_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "bench/histogram.h"
#include "cairn/error.h"

struct raw_disk_figures {
    uint64_t write_p50_ns, write_p99_ns; /* of 4 KiB, O_DIRECT and O_DSYNC, onto written space, one at a time each */
    uint64_t bytes_per_s;                /* of all writers together, 1 MiB at a time, in order */
};

/* Each writer has a file of its own in the directory, which is removed again. Waits, about two seconds. Errors: CAIRN_IO,
 * CAIRN_NO_MEMORY, with a text in detail. */
enum cairn_error raw_disk_measure(const char *directory, uint32_t writers, struct histogram *histogram,
                                  struct raw_disk_figures *out, char *detail, size_t detail_bytes);

#endif
