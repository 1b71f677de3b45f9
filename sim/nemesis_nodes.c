/* Faults of nodes and of their disks: they crash, stop for a while, lose power; writes fail, space ends. */
#include "sim/strikes.h"

#include "node/state.h"
#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/life.h"
#include "sim/node.h"
#include "sim/random.h"
#include "sim/sim.h"
#include "sim/trace.h"

/* A trunk remembers the marks of so many lives; no node has more of them here. */
#define STARTS_MAX 15u

/* `memory` durability promises to survive any minority: more is not asked of it here. A minority of every
 * membership that any node has in force. */
static bool
may_crash(struct sim *sim, uint8_t node)
{
    /* A disk survives any number; but where nothing is ever done nothing is tried either. */
    if (sim->plan.disk) {
        uint32_t up = 0;

        if (sim->nodes[node].starts > STARTS_MAX || !disk_may_crash(&sim->nodes[node]))
            return false;

        for (uint8_t i = 0; i < sim->plan.nodes; i++)
            up += node_is_up(&sim->nodes[i]);
        return up - 1 > sim->plan.nodes / 2 || random_under(&sim->nemesis, 6) == 0;
    }
    if (sim->steward.busy)
        return false;
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        cairn_node_set lost = without_memory(sim, log) | (cairn_node_set)1 << node;

        for (uint8_t i = 0; i < sim->plan.nodes; i++) {
            const struct node_log *held = node_log_of(&sim->nodes[i], log);
            cairn_node_set voters = held == NULL ? (1u << sim->plan.nodes) - 1 : core_members(held->core)->voters;
            uint32_t minority = ((uint32_t)__builtin_popcount(voters) - 1) / 2;

            if ((uint32_t)__builtin_popcount(lost & voters) > minority)
                return false;
        }
    }
    return true;
}

void
strike_crash(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[nemesis_any_node(sim)];

    if (!node_is_up(node) || !may_crash(sim, node->self) || node->stop_by_ns != 0)
        return;
    sim->counts.kinds |= 1u << FAULT_CRASH;
    if (sim->plan.disk && random_under(&sim->nemesis, 3) == 0) {
        node_stop(node);
        return;
    }
    node_crash(node);
    sim->counts.crashes++;
    nemesis_end_later(sim, FAULT_CRASH, node->self, 0, 0);
}

/* Everything goes dark at once, and comes back one by one. */
void
strike_power(struct sim *sim)
{
    if (random_under(&sim->nemesis, 8) != 0 || sim->nodes[0].starts > STARTS_MAX)
        return;
    sim->counts.kinds |= 1u << FAULT_POWER;
    sim->counts.power_cuts++;
    trace_add(sim, TRACE_FAULT, 0, 0, "the power fails");
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (!node_is_up(node) || !disk_may_crash(node))
            continue;
        node_crash(node);
        sim->counts.crashes++;
        nemesis_end_later(sim, FAULT_CRASH, i, 0, 0);
    }
}

/* Writes fail, or space ends, for a while; a node whose write has failed is started anew at the end. */
void
strike_disk(struct sim *sim, enum fault_kind kind)
{
    struct sim_node *node = kind == FAULT_DISK_ASTRAY ? nemesis_decaying(sim) : &sim->nodes[nemesis_any_node(sim)];

    if (!node_is_up(node) || (kind == FAULT_DISK_ASTRAY && node->disk.damaged))
        return;
    sim->counts.kinds |= 1u << kind;
    sim->counts.disk_faults++;
    trace_add(sim, TRACE_FAULT, node->self, 0, "%s", fault_name(kind));
    if (kind == FAULT_DISK_FAIL)
        node->disk.failing = 1;
    else if (kind == FAULT_DISK_ASTRAY)
        node->disk.astray = 1;
    else
        node->disk.no_space = true;
    nemesis_end_later(sim, kind, node->self, 0, 0);
}

bool
nemesis_journal_failed(const struct sim_node *node)
{
    bool failed = false;

    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        failed |= node->node->workers[worker]->journal_failed;
    return failed;
}

void
strike_disk_end(struct sim *sim, enum fault_kind kind, struct sim_node *node)
{
    node->disk.no_space = kind == FAULT_DISK_FULL ? false : node->disk.no_space;
    node->disk.failing = 0;
    if (kind == FAULT_DISK_FAIL && node_is_up(node) && nemesis_journal_failed(node) && disk_may_crash(node)) {
        node_crash(node);
        node_boot(node);
        sim->counts.crashes++;
    }
}

void
strike_pause(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[nemesis_any_node(sim)];

    if (!node_is_up(node) || sim->now_ns < node->paused_until_ns)
        return;
    sim->counts.kinds |= 1u << FAULT_PAUSE;
    if (sim_workers(sim) > 1 && random_under(&sim->nemesis, 2) == 0)
        worker_pause(node, (uint8_t)random_under(&sim->nemesis, sim_workers(sim)),
                     nemesis_about(sim, sim->plan.fault_for_ns));
    else if (sim->pauses++ % 2 == 0)
        node_pause(node, nemesis_about(sim, sim->plan.fault_for_ns));
    else
        node_pause_in_poll(node, nemesis_about(sim, sim->plan.fault_for_ns));
}
