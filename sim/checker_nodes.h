/* What must hold of the nodes themselves: who votes, leads, counts; what is cut off and trimmed. */
#ifndef SIM_CHECKER_NODES_H
#define SIM_CHECKER_NODES_H

#include <stdint.h>

#include "cairn/types.h"
#include "sim/log_check.h"

struct sim;
struct sim_node;

/* A node grants its vote. */
void check_vote(struct sim *sim, uint8_t node, uint8_t candidate, uint32_t log_id, uint64_t term);
/* What a node does in a log, after each of its polls; committed_before: up to where it had at the poll before. */
void check_role(struct sim *sim, struct sim_node *node, uint32_t log, uint64_t committed_before);
/* It begins to lead: once in a term, and by the votes of a majority of the voters. */
void check_elected(struct sim *sim, uint8_t node, uint32_t incarnation, uint32_t log, uint64_t term,
                   cairn_node_set voters);
/* A leader has committed up to lsn, by those of the voters that may hold it. */
void check_counted(struct sim *sim, uint8_t node, uint32_t log, uint64_t lsn, cairn_node_set holders,
                   cairn_node_set voters);
/* A node that had lost its memory counts again, holding up to last_lsn. */
void check_recovered(struct sim *sim, uint8_t node, uint32_t log, uint64_t boot_lsn, uint64_t last_lsn);
/* A node's trunk ends at last_lsn, or goes on behind it, in that term there. */
void check_held(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, uint64_t last_lsn,
                uint64_t last_term, uint64_t agreed_term);
/* A leader has trimmed up to base_lsn, with these members in reach. */
void check_trimmed(struct sim *sim, uint8_t node, uint32_t log, uint64_t base_lsn, cairn_node_set in_reach);

#endif
