/* Nodes of production in the simulator's time: what fuzzers of whole nodes have to do with. */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include "sim/scene.h"

#define WORLD_ENTRIES 24u

/* A cluster at peace, with one log and some entries in it; what was there before is gone. disk: it is durable. Ends the
 * process where that does not come about. */
struct sim *world_renew(uint32_t nodes, bool disk);

/* Lets time pass. What the simulator's checks say does not count: the fuzzer is no honest client. */
void world_run_for(struct sim *sim, uint64_t duration_ns);

#endif
