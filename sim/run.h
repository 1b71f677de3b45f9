/* One run, from start to verdict. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cairn/types.h"
#include "sim/plan.h"

struct sim;

/* EAL, frames, ports: once a process. */
enum cairn_error sim_process_start(char *detail, size_t detail_bytes);
void sim_begin(struct sim *sim, const struct plan *plan, bool keep_trace);
void sim_end(struct sim *sim);
/* Lets virtual time pass; stops early where something failed. */
void sim_run_for(struct sim *sim, uint64_t duration_ns);
/* One whole run: faults, then peace, then the verdict. true: nothing was violated. */
bool sim_run(struct sim *sim);
/* In peace: everything comes to rest within the bound. */
void sim_settle(struct sim *sim, uint64_t bound_ns);

#endif
