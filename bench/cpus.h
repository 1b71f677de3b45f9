/* Which processors a bench may run on, and where its threads stay. */
#ifndef BENCH_CPUS_H
#define BENCH_CPUS_H

#include <stdint.h>

/* The first `max` that this process may use, into cpus. Returns how many; 0: that cannot be told. */
uint32_t cpus_allowed(int *cpus, uint32_t max);

/* The calling thread stays there from now on. */
void cpus_pin(int cpu);

#endif
