/* The price list, while it is measured. */
#ifndef CLI_BENCH_CONSISTENCY_H
#define CLI_BENCH_CONSISTENCY_H

#include "bench/histogram.h"
#include "cli/bench/bench_consistency.h"
#include "cli/bench/consistency_page.h"
#include "node/local.h"

#define CONSISTENCY_NODES 3u
#define CONSISTENCY_WAIT_NS 10000000000u
#define CONSISTENCY_LOGS 4u /* one of each policy, */
extern const enum cairn_policy consistency_policies[CONSISTENCY_LOGS];

struct consistency {
    const struct consistency_options *options;
    struct local_cluster local;
    struct disk *disks[CONSISTENCY_NODES];
    struct cairn_client *clients[CONSISTENCY_NODES];
    uint32_t logs[CONSISTENCY_LOGS];
    uint64_t full_per_s[CONSISTENCY_LOGS]; /* as many appends as the policy's own level takes */
    uint64_t token, producer, seq;
    struct histogram *histogram;
    struct consistency_figures figures;
};

/* One request at a node, and its answer: consistency_request.c. */
enum cairn_error consistency_append(struct consistency *bench, uint8_t node, uint32_t log, enum cairn_ack ack);
enum cairn_error consistency_read(struct consistency *bench, uint8_t node, uint32_t log, enum cairn_read_level level,
                                  uint64_t from);
/* Each log through a cut of one node: 0, or an exit status, said. */
int consistency_cuts(struct consistency *bench);

#endif
