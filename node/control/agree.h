/* What the nodes of a cluster agree on changes while they run (rules/agreed.h has the rules): an entry of the catalog is
 * applied by the control thread, which makes room for who joins and publishes what is in force; workers take it over
 * (node/worker/in_force.h). */
#ifndef NODE_CONTROL_AGREE_H
#define NODE_CONTROL_AGREE_H

#include <jansson.h>

#include "rules/agreed.h"
#include "rules/identity.h"

struct node;
struct snapshot;

/* The logs begin, with what is in force by what the node kept of itself. */
void agree_begin(struct node *node, const struct identity *identity);

/* An entry of the catalog about it. true: next has what is in force from now on. */
bool agree_apply(struct node *node, uint64_t lsn, const json_t *entry, struct snapshot *next);

#endif
