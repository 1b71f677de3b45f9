/* DPDK's environment: the one process-wide thing, behind one file.
 *
 * Hugepages are used where enough are free, and are never needed. Extra EAL arguments may be given
 * (CAIRN_EAL_ARGS, --eal-args); none are required. */
#ifndef DATAPLANE_EAL_H
#define DATAPLANE_EAL_H

#include <stdbool.h>
#include <stddef.h>

#include "cairn/error.h"

/* Starts EAL; a second call does nothing. The calling thread keeps its CPU affinity. On failure
 * detail says what EAL objected to. Takes 50 to 300 ms. */
enum cairn_error eal_start(const char *extra_args, char *detail, size_t detail_bytes);

/* A thread of ours becomes one that DPDK knows (per-thread mempool caches). */
void eal_enter_thread(void);
void eal_leave_thread(void);

#endif
