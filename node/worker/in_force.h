/* What was agreed on comes into force at a worker (rules/agreed.h has the rules, node/control/agree.h applies the catalog's entry):
 * it takes over what the control thread has published, and promises by it once it is kept. */
#ifndef NODE_WORKER_IN_FORCE_H
#define NODE_WORKER_IN_FORCE_H

#include <stdint.h>

struct node_log;
struct snapshot;
struct worker;

/* Takes over what the snapshot has. */
void in_force_adopt(struct worker *worker, const struct snapshot *snapshot, uint64_t now_ns);

/* A log that was not there before goes by what is in force here. */
void in_force_for_log(const struct worker *worker, struct node_log *log);

/* Now and then: a longer timeout counts once it is kept; promises of the one before run out. */
void in_force_beat(struct worker *worker, uint64_t now_ns);

#endif
