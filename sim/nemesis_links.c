/* Faults of links: cut, slow, flapping. */
#include "sim/strikes.h"

#include "sim/faults.h"
#include "sim/network.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

/* Cuts all links between the nodes of side and the others, out of it and, unless one_way, into it. */
void
strike_cut_side(struct sim *sim, uint32_t side, bool one_way, bool cut)
{
    for (uint8_t from = 0; from < sim->plan.nodes; from++) {
        for (uint8_t to = 0; to < sim->plan.nodes; to++) {
            bool out = (side >> from & 1) && !(side >> to & 1), in = !(side >> from & 1) && (side >> to & 1);

            if (from != to && (out || (in && !one_way)))
                network_cut(sim, from, to, cut);
        }
    }
}

static void
cut(struct sim *sim, enum fault_kind kind, uint32_t side)
{
    sim->counts.partitions++;
    sim->counts.kinds |= 1u << kind;
    trace_add(sim, TRACE_FAULT, 0, 0, "%s: nodes of set %x cut off", fault_name(kind), side);
    strike_cut_side(sim, side, kind == FAULT_ONE_WAY, true);
    nemesis_end_later(sim, kind, 0, 0, side);
}

/* Of one worker alone: its queue of the link. */
static void
cut_worker(struct sim *sim, enum fault_kind kind, uint8_t left, uint8_t right)
{
    uint8_t worker = (uint8_t)random_under(&sim->nemesis, sim_workers(sim));

    trace_add(sim, TRACE_FAULT, left, right, "%s: worker %u's link to n%u cut", fault_name(kind), worker, right + 1);
    network_cut_worker(sim, worker, left, right, true);
    network_cut_worker(sim, worker, right, left, true);
    nemesis_end_later(sim, kind, left, right, worker + 1u);
}

static void
cut_link(struct sim *sim, enum fault_kind kind, uint8_t left, uint8_t right)
{
    sim->counts.partitions++;
    sim->counts.kinds |= 1u << kind;
    if (sim_workers(sim) > 1 && random_under(&sim->nemesis, 2) == 0) {
        cut_worker(sim, kind, left, right);
        return;
    }
    trace_add(sim, TRACE_FAULT, left, right, "%s: link to n%u cut", fault_name(kind), right + 1);
    network_cut(sim, left, right, true);
    network_cut(sim, right, left, true);
    nemesis_end_later(sim, kind, left, right, 0);
}

static void
slow_down(struct sim *sim)
{
    uint8_t from = nemesis_any_node(sim), to = nemesis_other_node(sim, from);

    if (sim->links[from][to].slow > 0)
        return;
    sim->counts.kinds |= 1u << FAULT_SLOW_LINK;
    trace_add(sim, TRACE_FAULT, from, to, "link to n%u is slow", to + 1);
    sim->links[from][to].slow = 2 + (uint32_t)random_under(&sim->nemesis, 100);
    nemesis_end_later(sim, FAULT_SLOW_LINK, from, to, 0);
}

/* Every 1.5 timeouts up and down, for a while: value counts the changes left. */
void
strike_flap(struct sim *sim, uint8_t left, uint8_t right, uint32_t left_over)
{
    bool down = left_over % 2 == 0;

    network_cut(sim, left, right, down);
    network_cut(sim, right, left, down);
    if (left_over > 0)
        sim_plan_happening(sim, SIM_TIMEOUT_NS * 3 / 2, HAPPEN_FAULT_END, left, right, FAULT_FLAP, left_over - 1);
}

void
strike_join(struct sim *sim, const struct happening *happening)
{
    uint8_t left = happening->node, right = happening->peer;

    if (happening->value != 0) {
        network_cut_worker(sim, (uint8_t)(happening->value - 1), left, right, false);
        network_cut_worker(sim, (uint8_t)(happening->value - 1), right, left, false);
    } else {
        network_cut(sim, left, right, false);
        network_cut(sim, right, left, false);
    }
}

/* What is done to the links of one node, or between two; false: the kind is none of these. */
bool
strike_links(struct sim *sim, enum fault_kind kind, uint8_t node, uint8_t other)
{
    switch (kind) {
    case FAULT_SLOW_LINK:
        slow_down(sim);
        return true;
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
        cut(sim, kind, 1u << node);
        return true;
    case FAULT_SPLIT:
        cut(sim, kind, 1 + (uint32_t)random_under(&sim->nemesis, (1u << sim->plan.nodes) - 2));
        return true;
    case FAULT_PARTIAL:
        cut_link(sim, kind, node, other);
        return true;
    case FAULT_FLAP:
        sim->counts.partitions++;
        sim->counts.kinds |= 1u << FAULT_FLAP;
        strike_flap(sim, node, other, 2 * (1 + (uint32_t)random_under(&sim->nemesis, 8)));
        return true;
    default:
        return false;
    }
}
