/* What is changed while a run goes on: policies, what is kept and agreed on, members, leaders; and clients that die. */
#include "sim/strikes.h"

#include <stdio.h>

#include "sim/catalog.h"
#include "sim/clients.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/steward.h"

/* What is agreed on is changed, with nodes cut off, behind or down: timeouts, on which leases rest, get shorter and longer
 * than what others still go by. */
void
strike_agreed(struct sim *sim)
{
    uint64_t memory_mib = 256 + random_under(&sim->changes, 1000);
    uint64_t timeout_us = (4 + 2 * random_under(&sim->changes, 4)) * (SIM_TIMEOUT_NS / 10000);
    char change[96];

    sim->counts.kinds |= 1u << FAULT_AGREED;
    snprintf(change, sizeof(change), "\"timeout_us\":%lu,\"memory_mib\":%lu", (unsigned long)timeout_us,
             (unsigned long)memory_mib);
    catalog_write(sim, 0, "agree", change);
    sim_plan_happening(sim, 20 * MS + random_under(&sim->changes, 400 * MS), HAPPEN_FAULT, 0, 0, FAULT_AGREED, 0);
}

/* What a log keeps: by size, by age, or up to somewhere. */
static void
change_retention(struct sim *sim)
{
    uint32_t log = (uint32_t)random_under(&sim->nemesis, sim->plan.logs);
    uint64_t last = sim->trunks[log + 1].last, age_ms;
    char rules[96];

    if (sim->log_ids[log + 1] == 0)
        return;
    switch (random_under(&sim->nemesis, 3)) {
    case 0:
        snprintf(rules, sizeof(rules), "\"trim_before\":%lu", (unsigned long)random_under(&sim->nemesis, last + 2));
        catalog_write(sim, log, "trim", rules);
        break;
    case 1:
        age_ms = random_under(&sim->nemesis, 2);
        age_ms *= 500 + random_under(&sim->nemesis, 2000);
        snprintf(rules, sizeof(rules), "\"retain_age_ms\":%lu", (unsigned long)age_ms);
        catalog_write(sim, log, "set", rules);
        break;
    default:
        snprintf(rules, sizeof(rules), "\"retain_bytes\":%lu",
                 (unsigned long)(sim->plan.segment_bytes * (1 + random_under(&sim->nemesis, 4))));
        catalog_write(sim, log, "set", rules);
        break;
    }
}

void
strike_policy(struct sim *sim)
{
    static const enum cairn_policy policies[] = {CAIRN_POLICY_CP, CAIRN_POLICY_ADAPTIVE, CAIRN_POLICY_AP,
                                                 CAIRN_POLICY_CA};
    uint32_t log = (uint32_t)random_under(&sim->nemesis, sim->plan.logs);

    sim->counts.kinds |= 1u << FAULT_POLICY;
    if ((sim->plan.faults & 1u << FAULT_TRIM) && random_under(&sim->nemesis, 3) == 0) {
        change_retention(sim);
        return;
    }
    catalog_change(sim, log, policies[random_under(&sim->nemesis, 4)]);
}

/* Mostly at the leader, where it can succeed. */
static uint8_t
where_to_ask(struct sim *sim, uint32_t log)
{
    uint8_t leader = sim_leader(sim, log);

    return leader == CAIRN_NODE_NONE || random_under(&sim->nemesis, 8) == 0 ? nemesis_any_node(sim) : leader;
}

void
strike_members(struct sim *sim)
{
    static const enum cairn_member_op ops[] = {CAIRN_MEMBER_REMOVE, CAIRN_MEMBER_ADD, CAIRN_MEMBER_PROMOTE,
                                               CAIRN_MEMBER_PROMOTE};
    /* Not the catalog: a node that does not follow it knows of no log. */
    uint32_t log = 1 + (uint32_t)random_under(&sim->nemesis, sim->plan.logs);
    uint8_t target = nemesis_any_node(sim), via = where_to_ask(sim, log);
    enum cairn_member_op op = ops[random_under(&sim->nemesis, 4)];

    /* Nor is it asked to survive that voters change while one has lost its memory. */
    if (op != CAIRN_MEMBER_ADD && without_memory(sim, log) != 0)
        return;
    if (steward_ask(sim, via, log, op, target))
        sim->counts.kinds |= 1u << FAULT_MEMBERS;
}

void
strike_transfer(struct sim *sim)
{
    uint32_t log = (uint32_t)random_under(&sim->nemesis, sim->plan.logs + 1);
    uint8_t target = nemesis_any_node(sim), via = where_to_ask(sim, log);

    if (steward_ask(sim, via, log, CAIRN_MEMBER_TRANSFER, target))
        sim->counts.kinds |= 1u << FAULT_TRANSFER;
}

void
strike_client(struct sim *sim)
{
    sim->counts.kinds |= 1u << FAULT_CLIENT_DEATH;
    client_die(sim, &sim->clients[random_under(&sim->nemesis, sim->plan.sessions)]);
}
