/* Faults and operations while a run goes on: when each strikes, and ends. */
#include "sim/nemesis.h"

#include "sim/damage.h"
#include "sim/faults.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/operators.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/strikes.h"
#include "sim/trace.h"

void
nemesis_start(struct sim *sim)
{
    for (unsigned kind = FAULT_SLOW_LINK; kind <= FAULT_DISK_LAST; kind++) {
        if (sim->plan.faults & (1u << kind))
            sim_plan_happening(sim, nemesis_about(sim, sim->plan.fault_every_ns), HAPPEN_FAULT, 0, 0, kind, 0);
    }
    if (sim->plan.faults & 1u << FAULT_CLOCK_WRONG)
        sim_plan_happening(sim, random_under(&sim->clocks, 500 * MS), HAPPEN_FAULT, 0, 0, FAULT_CLOCK_WRONG, 0);
    if (sim->plan.faults & 1u << FAULT_AGREED)
        sim_plan_happening(sim, random_under(&sim->changes, 200 * MS), HAPPEN_FAULT, 0, 0, FAULT_AGREED, 0);
}

/* What is done to nodes, their disks and clocks, to clients, and by operators. Of the other kinds there is
 * nothing to do at one moment. */
static void
strike_nodes(struct sim *sim, enum fault_kind kind)
{
    static void (*const strikes[FAULT_KINDS])(struct sim *) = {
        [FAULT_CRASH] = strike_crash,         [FAULT_PAUSE] = strike_pause,   [FAULT_DRIFT] = strike_drift,
        [FAULT_WALL_JUMP] = strike_wall_jump, [FAULT_POLICY] = strike_policy, [FAULT_MEMBERS] = strike_members,
        [FAULT_TRANSFER] = strike_transfer,   [FAULT_POWER] = strike_power,   [FAULT_CLIENT_DEATH] = strike_client,
    };

    if (kind == FAULT_DISK_FAIL || kind == FAULT_DISK_FULL || kind == FAULT_DISK_ASTRAY)
        strike_disk(sim, kind);
    else if (strikes[kind] != NULL)
        strikes[kind](sim);
}

void
nemesis_strike(struct sim *sim, enum fault_kind kind)
{
    uint8_t node, other;

    if (sim->healing)
        return;
    /* These choose their own time. */
    if (kind == FAULT_CLOCK_WRONG) {
        strike_clock(sim);
        return;
    }
    if (kind == FAULT_AGREED) {
        strike_agreed(sim);
        return;
    }
    node = nemesis_any_node(sim);
    other = nemesis_other_node(sim, node);
    if (!strike_links(sim, kind, node, other))
        strike_nodes(sim, kind);
    sim_plan_happening(sim, nemesis_about(sim, sim->plan.fault_every_ns), HAPPEN_FAULT, 0, 0, (uint32_t)kind, 0);
}

void
nemesis_end(struct sim *sim, const struct happening *happening)
{
    enum fault_kind kind = (enum fault_kind)happening->index;

    switch (kind) {
    case FAULT_CRASH:
        if (node_is_up(&sim->nodes[happening->node]))
            break;
        if ((sim->plan.faults & 1u << FAULT_DISK_ROT) && nemesis_decaying(sim)->self == happening->node &&
            !sim->healing && !nemesis_decaying(sim)->disk.damaged && disk_rot(&sim->nodes[happening->node]))
            sim->counts.kinds |= 1u << FAULT_DISK_ROT;
        operator_visits(sim, &sim->nodes[happening->node]);
        node_boot(&sim->nodes[happening->node]);
        break;
    case FAULT_DISK_FAIL:
    case FAULT_DISK_FULL:
        strike_disk_end(sim, kind, &sim->nodes[happening->node]);
        break;
    case FAULT_SLOW_LINK:
        sim->links[happening->node][happening->peer].slow = 0;
        break;
    case FAULT_FLAP:
        if (!sim->healing)
            strike_flap(sim, happening->node, happening->peer, happening->value);
        break;
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
    case FAULT_SPLIT:
        if (sim->healing)
            break;
        trace_add(sim, TRACE_FAULT, 0, 0, "%s: set %x is back", fault_name(kind), (uint32_t)happening->value);
        strike_cut_side(sim, (uint32_t)happening->value, kind == FAULT_ONE_WAY, false);
        break;
    case FAULT_CLOCK_WRONG:
        strike_clock_end(sim, happening->node, happening->peer != 0);
        break;
    case FAULT_PARTIAL:
        if (sim->healing)
            break;
        trace_add(sim, TRACE_FAULT, happening->node, happening->peer, "link to n%u is back", happening->peer + 1);
        strike_join(sim, happening);
        break;
    default:
        break;
    }
}

/* All faults end. */
void
nemesis_peace(struct sim *sim)
{
    trace_add(sim, TRACE_FAULT, 0, 0, "peace");
    sim->healing = true;
    network_heal(sim);
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        node->paused_until_ns = 0;
        for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
            node->workers[worker].paused_until_ns = 0;
        node->disk.no_space = false;
        node->disk.failing = node->disk.astray = 0;
        if (!node_is_up(node))
            node_boot(node);
        else
            node_want_poll(node, US);
    }
    nemesis_mend(sim);
}

void
nemesis_mend(struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (!node_is_up(node) || !nemesis_journal_failed(node))
            continue;
        node_crash(node);
        node_boot(node);
    }
}
