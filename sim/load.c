/* How much a run is asked for: enough to show what there is, and no more. */
#include "sim/load.h"

#include "sim/random.h"
#include "sim/sim.h"

/* What a run takes is what its entries and reads take, and their number shows nothing that their order does not: so many
 * are ahead of the messages, beyond that there is one of each for so many messages. */
#define ASKED_AHEAD 1000u
#define MESSAGES_PER_ASKED 16u

bool
load_is_enough(const struct sim *sim, uint64_t asked)
{
    return asked > ASKED_AHEAD + sim->counts.messages / MESSAGES_PER_ASKED;
}

/* Until somebody's next turn. */
uint64_t
load_think_ns(struct sim *sim, uint64_t slowness, uint64_t asked)
{
    return 1 + random_under(&sim->load, slowness * sim->plan.think_ns * (load_is_enough(sim, asked) ? 8 : 1));
}
