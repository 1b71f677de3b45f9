/* Which logs of a node recover no more: each worker knows of its own, and says so for the first one to put together. Logs of which
 * the catalog as it was recovered tells, and which may not be there yet, may have been promised too. */
#ifndef NODE_WORKER_RECOVERED_H
#define NODE_WORKER_RECOVERED_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* First worker: does this node hold all that it may have promised? */
bool recovered_all(const struct worker *first);
/* The same, of the logs that it keeps over its lives; all of them, where it has no disk. And of that worker's alone. */
bool recovered_kept(const struct worker *first);
bool recovered_kept_at(const struct worker *first, uint8_t number);

/* Any worker, now and then: whether all of its logs count, and how far its journal is. */
void recovered_report(struct worker *worker);

#endif
