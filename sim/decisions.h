/* In scenarios: a disk is lost, an administrator decides who goes on without whom, and lets them vote again. */
#ifndef SIM_DECISIONS_H
#define SIM_DECISIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/sim.h"

/* Its word counts in the catalog and in the log: it is up, and has not forgotten what it promised. */
bool takes_part(const struct sim *sim, uint8_t node);
/* Nothing of what its disk had is there any more. */
void lose_disk(struct sim *sim, uint8_t node);
/* As `cairn cluster recover --from` does: of three the node goes on without the others. */
void give_up_others(struct sim *sim, uint8_t from);
/* By the log's leader; false: nobody leads it. */
bool scene_votes(struct sim *sim, uint32_t log, uint8_t node);
/* As `cairn member add` does, of each node beside the leader and every log. */
void all_vote_again(struct sim *sim, uint8_t leader);

#endif
