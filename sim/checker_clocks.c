/* What must hold of clocks: along a trunk they rise, on every node the same; and what goes by age is as old by the
 * simulation's own time, whatever the nodes' clocks say. */
#include "sim/checker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/state.h"
#include "sim/node.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trunk.h"

/* Clocks within the bound of each other are all right. Beside that, a node that was paused, for up to 155 ms, takes others'
 * heartbeats for as much younger than they are. */
#define AGE_SLACK_NS (160 * MS)

void
check_trunk_clock(struct sim *sim, uint32_t log, uint64_t lsn, const struct committed *entry)
{
    const struct committed *before = &sim->trunks[log].entries[lsn - 1];

    if (entry->trunk_hlc == 0)
        sim_violation(sim, "log %s: lsn %lu has no clock of the trunk", sim_log_name(log), (unsigned long)lsn);
    if (lsn > 1 && entry->trunk_hlc <= before->trunk_hlc)
        sim_violation(sim, "log %s: the trunk's clock falls by %.3f s from lsn %lu to the next", sim_log_name(log),
                      (double)(before->trunk_hlc - entry->trunk_hlc) / 1e9, (unsigned long)(lsn - 1));
}

/* When each entry came to the trunk: as its leader, which put it there, is seen to have it. */
static void
note_births(struct sim *sim, uint32_t log, const struct node_log *held)
{
    struct trunk_check *trunk = &sim->trunks[log];
    uint64_t term = core_term(held->core), last_lsn = core_last_lsn(held->core);

    if (last_lsn >= trunk->births_count) {
        uint64_t count = 2 * last_lsn + 1024;

        trunk->births = realloc(trunk->births, count * sizeof(*trunk->births));
        memset(trunk->births + trunk->births_count, 0, (count - trunk->births_count) * sizeof(*trunk->births));
        trunk->births_count = count;
    }
    for (uint64_t lsn = last_lsn;
         lsn > core_base_lsn(held->core) && trunk->births[lsn].term != term && core_term_at(held->core, lsn) == term;
         lsn--) {
        trunk->births[lsn].term = term;
        trunk->births[lsn].at_ns = sim->now_ns;
    }
}

/* Nodes remember jumps of all clocks, and tell each other; what started anew since on most of them may be told by none
 * (docs/cap.md says so). */
static bool
jumps_may_be_forgotten(const struct sim *sim)
{
    uint32_t later = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        later += sim->nodes[i].booted_ns > sim->clocks_set_ns;
    return sim->clocks_set_ns != 0 && later > sim->plan.nodes / 2;
}

/* All up to some lsn is found to be old: by a leader, though it may be deposed in the same poll. */
static void
check_aged(struct sim *sim, const struct sim_node *node, uint32_t log, const struct node_log *held)
{
    struct trunk_check *trunk = &sim->trunks[log];
    uint64_t slack_ns = sim->cluster.clock_bound_ms * MS + AGE_SLACK_NS;
    bool forgotten = jumps_may_be_forgotten(sim);

    for (; trunk->aged_lsn < held->aged_lsn && !sim->failed; trunk->aged_lsn++) {
        uint64_t lsn = trunk->aged_lsn + 1, age_ns;

        if (lsn > trunk->last) {
            sim_violation(sim, "log %s: n%u lets lsn %lu go, which is not committed", sim_log_name(log), node->self + 1,
                          (unsigned long)lsn);
            return;
        }
        /* What is gone for another reason is not asked after. */
        if (forgotten || lsn <= trunk->gone_lsn || lsn >= trunk->births_count ||
            trunk->births[lsn].term != trunk->entries[lsn].term)
            continue;
        age_ns = sim->now_ns - trunk->births[lsn].at_ns;
        if (age_ns + slack_ns < held->rules.retain_age_ns)
            sim_violation(sim, "log %s: n%u lets lsn %lu go for its age at %lu ms, %lu ms are kept", sim_log_name(log),
                          node->self + 1, (unsigned long)lsn, (unsigned long)(age_ns / MS),
                          (unsigned long)(held->rules.retain_age_ns / MS));
    }
}

/* Nothing goes but what a leader found too old, what somebody asked to go, or what is too much. */
static void
check_gone(struct sim *sim, const struct sim_node *node, uint32_t log, const struct node_log *held)
{
    struct trunk_check *trunk = &sim->trunks[log];

    trunk->by_size |= held->rules.retain_bytes != 0;
    if (trunk->asked_lsn < held->rules.trim_before_lsn)
        trunk->asked_lsn = held->rules.trim_before_lsn;
    if (held->base_lsn <= trunk->gone_lsn)
        return;
    if (!trunk->by_size && held->base_lsn > trunk->aged_lsn && held->base_lsn >= trunk->asked_lsn)
        sim_violation(sim, "log %s: n%u has let lsn %lu go, and no leader found it too old", sim_log_name(log),
                      node->self + 1, (unsigned long)held->base_lsn);
    trunk->gone_lsn = held->base_lsn;
}

void
check_ages(struct sim *sim, const struct sim_node *node, uint32_t log, const struct node_log *held, bool led)
{
    if (core_role(held->core) == ROLE_LEADER)
        note_births(sim, log, held);
    if (!led && held->aged_lsn > sim->trunks[log].aged_lsn)
        sim_violation(sim, "log %s: n%u, which follows, finds lsn %lu too old", sim_log_name(log), node->self + 1,
                      (unsigned long)held->aged_lsn);
    check_aged(sim, node, log, held);
    check_gone(sim, node, log, held);
}
