/* What a seed draws: which faults, how strong, which load. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "sim/scale.h"

struct plan {
    uint64_t seed;
    uint32_t nodes, workers, logs, sessions, readers; /* workers 0: 1 */
    uint32_t faults;                                  /* set of enum fault_kind */
    uint64_t until_ns; /* of virtual time under faults, 0: until messages_min have been sent */
    uint64_t messages_min;
    enum cairn_policy policies[SIM_LOGS];
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm, tail_ppm, drift_ppm, flood_ppm;
    uint32_t floods; /* set of enum flood */
    uint64_t delay_ns, jitter_ns, tail_ns;
    uint64_t fault_every_ns, fault_for_ns; /* means */
    uint64_t poll_delay_ns;
    uint32_t segment_bytes, retain_bytes;
    uint32_t clock_bound_ms; /* 0: 400 */
    uint32_t window_entries, producers_max, session_window, payload_max, large_ppm;
    uint64_t think_ns; /* a client's pause between turns */
    bool disk;         /* logs are durable */
    uint64_t disk_ns;  /* that a write takes, about */
    uint32_t journal_file_bytes;
    uint64_t memory_bytes; /* of each worker of a node; 0: 128 MiB of the node */
};

enum sim_profile { SIM_ANY, SIM_MEMORY, SIM_DISK };

/* Draws a plan; without: faults left out though the seed has them. */
void plan_draw(struct plan *plan, uint64_t seed, uint32_t without, enum sim_profile profile);

#endif
