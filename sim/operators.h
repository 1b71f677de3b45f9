/* What people do to the directories of nodes that are down. */
#ifndef SIM_OPERATORS_H
#define SIM_OPERATORS_H

struct sim;
struct sim_node;

/* A node that was down is about to start: what an operator may have done to its directory meanwhile. */
void operator_visits(struct sim *sim, struct sim_node *node);

#endif
