/* Runs of the simulator from their seeds: one, or many in processes side by side. */
#ifndef CLI_SIM_RUNS_H
#define CLI_SIM_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/plan.h"

struct sim;

#define SIM_JOBS_MAX 64u
#define SIM_TRACE_ROWS 400u

struct sim_options {
    uint64_t seed, runs, ms, messages;
    uint32_t jobs, without, workers;
    bool json, list, shrink, keep_going;
    const char *scenario, *trace, *without_text, *profile, *durability;
    enum sim_profile disks;
};

/* A simulator in this process, whose code under test may fail an assertion. */
struct sim *sim_in_process(void);
/* Its events, to the file that the options name: 0, or an exit status, said. */
int sim_write_trace(const struct sim_options *options, const struct sim *sim);

/* One run, told; all of them, in jobs; and what a failing run still fails with fewer faults or messages: the same. */
int sim_replay(const struct sim_options *options, uint64_t seed, uint32_t without);
int sim_run_many(struct sim_options *options);
int sim_shrink(struct sim_options *options);

#endif
