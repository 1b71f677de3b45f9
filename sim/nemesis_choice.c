/* Whom a fault strikes, and how long it lasts: drawn. */
#include "sim/strikes.h"

#include "sim/faults.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/sim.h"

uint64_t
nemesis_about(struct sim *sim, uint64_t mean_ns)
{
    return mean_ns / 4 + random_under(&sim->nemesis, mean_ns * 3 / 2);
}

void
nemesis_end_later(struct sim *sim, enum fault_kind kind, uint8_t node, uint8_t peer, uint32_t value)
{
    sim_plan_happening(sim, nemesis_about(sim, sim->plan.fault_for_ns), HAPPEN_FAULT_END, node, peer, (uint32_t)kind,
                       value);
}

uint8_t
nemesis_any_node(struct sim *sim)
{
    return (uint8_t)random_under(&sim->nemesis, sim->plan.nodes);
}

uint8_t
nemesis_other_node(struct sim *sim, uint8_t node)
{
    return (uint8_t)((node + 1 + random_under(&sim->nemesis, sim->plan.nodes - 1)) % sim->plan.nodes);
}

/* Of media that decay, one node has one: with more, what was acknowledged may be gone from a majority. */
struct sim_node *
nemesis_decaying(struct sim *sim)
{
    return &sim->nodes[sim->plan.seed % sim->plan.nodes];
}
