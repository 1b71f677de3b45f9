/* Effects of the core become work of the dataplane. */
#ifndef NODE_APPLY_H
#define NODE_APPLY_H

#include "core.h"
#include "log.h"

struct stretch;

/* Nothing of it is held; what comes next stands behind the place. */
void branch_begin(struct held_branch *branch, uint64_t place);
void apply_effect(void *context, const struct effect *effect);
bool apply_holds(void *context, const struct entry_id *id);
/* The chain digest goes over a stretch of the trunk that is committed, and the log's cursor with it. */
void digest_over(struct node_log *log, const struct stretch *stretch);

#endif
