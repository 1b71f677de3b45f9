/* What must hold, whatever happens; what does not is a violation of the run. Of the trunk, here and in checker_clocks.c. */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include <stdint.h>

#include "sim/trunk.h"

struct node_log;
struct sim;
struct sim_node;

void checker_init(struct sim *sim);
void checker_fini(struct sim *sim);
void check_node(struct sim *sim, struct sim_node *node);
/* A node has committed an entry, while it was in commit_term. */
void check_committed(struct sim *sim, uint8_t node, uint32_t log, uint64_t lsn, const struct committed *entry,
                     uint64_t producer, uint64_t commit_term);
/* An administrator has decided that a log goes on from what the node has committed: the rest never was. */
void checker_adopt(struct sim *sim, uint32_t log, uint8_t from);
/* checker_clocks.c: an entry is committed for the first time. */
void check_trunk_clock(struct sim *sim, uint32_t log, uint64_t lsn, const struct committed *entry);
/* After a poll, before or after which the node led. */
void check_ages(struct sim *sim, const struct sim_node *node, uint32_t log, const struct node_log *held, bool led);

#endif
