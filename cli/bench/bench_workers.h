/* cairn bench throughput --workers: how much more several workers do than one. */
#ifndef CLI_BENCH_BENCH_WORKERS_H
#define CLI_BENCH_BENCH_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "control/config.h"

struct bench_workers {
    uint32_t workers; /* of each of three nodes */
    uint32_t payload_bytes, in_flight, runs;
    uint64_t seconds;
    enum cairn_ack ack;
    enum cluster_profile profile;
    bool json;
};

/* Each processor runs the workers of one number, of all three nodes, and their log's load: first one processor alone, while
 * the others' workers rest, then all. Returns the command's status. */
int bench_workers(const struct bench_workers *options);

#endif
