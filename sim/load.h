/* How much a run is asked for, and how often. For those who use the logs. */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/scale.h"

struct sim;

/* Whoever waits so long for an answer, from a node that takes its turns, waits in vain. */
#define UNANSWERED_NS (4000 * MS)

/* Has so much been asked for that the messages are to come first? */
bool load_is_enough(const struct sim *sim, uint64_t asked);
/* Until somebody's next turn. */
uint64_t load_think_ns(struct sim *sim, uint64_t slowness, uint64_t asked);

#endif
