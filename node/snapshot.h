/* What the control thread decided, for the worker to see. */
#ifndef NODE_SNAPSHOT_H
#define NODE_SNAPSHOT_H

#include "state.h"

struct snapshot *snapshot_publish(struct node *node, struct snapshot *next);
void snapshot_retire(struct snapshot *former);
struct snapshot *snapshot_copy(const struct node *node);

#endif
