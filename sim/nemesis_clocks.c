/* Faults of nodes' clocks: they run off, jump, are set wrong. */
#include "sim/strikes.h"

#include <stdio.h>

#include "sim/catalog.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

void
strike_drift(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[nemesis_any_node(sim)];
    int64_t ppm = (int64_t)random_under(&sim->nemesis, 2 * sim->plan.drift_ppm + 1) - sim->plan.drift_ppm;

    (void)node_clock_ns(node);
    node->clock.base_ns = sim->now_ns;
    node->clock.drift_ppm = ppm;
    sim->counts.kinds |= 1u << FAULT_DRIFT;
    trace_add(sim, TRACE_FAULT, node->self, 0, "its clock runs off by %ld ppm", (long)ppm);
}

void
strike_wall_jump(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[nemesis_any_node(sim)];

    node->clock.wall_offset_ns = (int64_t)random_under(&sim->nemesis, 7200000 * MS) - (int64_t)(3600000 * MS);
    sim->counts.kinds |= 1u << FAULT_WALL_JUMP;
    trace_add(sim, TRACE_FAULT, node->self, 0, "its wall clock jumps");
}

/* Wall clocks are set wrong by days: one node's, or all at once; for a moment, or for good. All that it draws is of a
 * stream of its own. */
void
strike_clock(struct sim *sim)
{
    int64_t days = 1 + (int64_t)random_under(&sim->clocks, 20);
    int64_t ahead_ns = (random_under(&sim->clocks, 3) == 0 ? -days : days) * 86400000ll * (int64_t)MS;
    uint8_t node = (uint8_t)random_under(&sim->clocks, sim->plan.nodes);
    bool all = random_under(&sim->clocks, 3) == 0, returns = random_under(&sim->clocks, 2) == 0;
    uint32_t log = (uint32_t)random_under(&sim->clocks, sim->plan.logs);
    char rules[64];

    sim->counts.kinds |= 1u << FAULT_CLOCK_WRONG;
    if (sim->clocks_set_ns == 0)
        sim->clocks_set_ns = sim->now_ns;
    snprintf(rules, sizeof(rules), "\"retain_age_ms\":%lu", (unsigned long)(800 + random_under(&sim->clocks, 2000)));
    if (random_under(&sim->clocks, 4) == 0 && sim->log_ids[log + 1] != 0)
        catalog_write(sim, log, "set", rules);
    trace_add(sim, TRACE_FAULT, node, 0, "the wall clock%s set %ld days off", all ? "s of all nodes are" : " is",
              (long)(ahead_ns < 0 ? -days : days));
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        sim->nodes[i].clock.wall_offset_ns += all || i == node ? ahead_ns : 0;
    if (returns)
        sim_plan_happening(sim, 50 * MS + random_under(&sim->clocks, 1500 * MS), HAPPEN_FAULT_END, node, all,
                           FAULT_CLOCK_WRONG, 0);
    sim_plan_happening(sim, 100 * MS + random_under(&sim->clocks, 3000 * MS), HAPPEN_FAULT, 0, 0, FAULT_CLOCK_WRONG, 0);
}

void
strike_clock_end(struct sim *sim, uint8_t node, bool all)
{
    trace_add(sim, TRACE_FAULT, node, 0, "the wall clock%s right again", all ? "s of all nodes are" : " is");
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        if (all || i == node)
            sim->nodes[i].clock.wall_offset_ns = 0;
    }
}
