/* Faults and operations while a run goes on. */
#ifndef SIM_NEMESIS_H
#define SIM_NEMESIS_H

#include "sim/faults.h"

struct happening;
struct sim;

void nemesis_start(struct sim *sim);
void nemesis_strike(struct sim *sim, enum fault_kind kind);
void nemesis_end(struct sim *sim, const struct happening *happening);
void nemesis_peace(struct sim *sim);
/* In peace: a node whose write has failed is started anew, also where it hears of that only now. */
void nemesis_mend(struct sim *sim);

#endif
