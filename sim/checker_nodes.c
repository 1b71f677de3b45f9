/* What must hold of the nodes themselves: who votes, who leads, by whom it is elected and who counts when something is
 * committed; what a node that has forgotten holds before it counts again; what is cut off, and what is trimmed. */
#include "sim/checker_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "node/look.h"
#include "node/state.h"
#include "sim/checker_modes.h"
#include "sim/log_check.h"
#include "sim/node.h"
#include "sim/sim.h"
#include "sim/trunk.h"

static bool
is_majority_of(cairn_node_set set, cairn_node_set voters)
{
    return __builtin_popcount(set & voters) > __builtin_popcount(voters) / 2;
}

static struct term_check *
term_of(struct trunk_check *trunk, uint64_t term)
{
    if (term >= trunk->terms_count) {
        uint64_t count = term * 2 + 64;

        trunk->terms = realloc(trunk->terms, count * sizeof(*trunk->terms));
        memset(trunk->terms + trunk->terms_count, 0, (count - trunk->terms_count) * sizeof(*trunk->terms));
        trunk->terms_count = count;
    }
    return &trunk->terms[term];
}

/* One vote a term, of each life; a disk remembers votes over lives. */
static void
note_vote(struct sim *sim, uint8_t node, uint8_t candidate, uint32_t log, uint64_t term)
{
    uint64_t *terms = &sim->votes_terms[log][node];

    if (term >= *terms) {
        sim->votes[log][node] = realloc(sim->votes[log][node], term * 2 + 64);
        memset(sim->votes[log][node] + *terms, 0, term * 2 + 64 - *terms);
        *terms = term * 2 + 64;
    }
    if (sim->votes_life[log][node] != sim->nodes[node].incarnation && !sim->plan.disk)
        memset(sim->votes[log][node], 0, *terms);
    sim->votes_life[log][node] = sim->nodes[node].incarnation;
    if (sim->votes[log][node][term] != 0 && sim->votes[log][node][term] != candidate + 1)
        sim_violation(sim, "log %s: n%u voted for n%u and for n%u in term %lu", sim_log_name(log), node + 1,
                      sim->votes[log][node][term], candidate + 1, (unsigned long)term);
    sim->votes[log][node][term] = candidate + 1;
    term_of(&sim->trunks[log], term)->granted[candidate] |= (cairn_node_set)1 << node;
}

/* Which log it is, also while no client knows it. */
static bool
is_log(const struct sim *sim, uint8_t node, uint32_t log, uint32_t log_id)
{
    const struct node_log *held = sim->nodes[node].node == NULL ? NULL
                                                                : node_log_numbered(sim->nodes[node].node, log_id);

    return held == NULL ? sim->log_ids[log] == log_id && (log == 0 || log_id != 0)
                        : strcmp(held->name, sim_log_name(log)) == 0;
}

void
check_vote(struct sim *sim, uint8_t node, uint8_t candidate, uint32_t log_id, uint64_t term)
{
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        if (is_log(sim, node, log, log_id))
            note_vote(sim, node, candidate, log, term);
    }
}

void
check_elected(struct sim *sim, uint8_t node, uint32_t incarnation, uint32_t log, uint64_t term, cairn_node_set voters)
{
    struct term_check *check = term_of(&sim->trunks[log], term);
    cairn_node_set votes = check->granted[node] | (cairn_node_set)1 << node;

    if (check->leader_incarnation == 0) {
        check->leader = node;
        check->leader_incarnation = incarnation;
    }
    if (check->leader != node || check->leader_incarnation != incarnation)
        sim_violation(sim, "log %s: n%u and n%u both led in term %lu", sim_log_name(log), check->leader + 1, node + 1,
                      (unsigned long)term);
    if (!is_majority_of(votes, voters))
        sim_violation(sim, "log %s: n%u leads in term %lu by the votes of set %x, of voters %x", sim_log_name(log),
                      node + 1, (unsigned long)term, votes, voters);
}

void
check_counted(struct sim *sim, uint8_t node, uint32_t log, uint64_t lsn, cairn_node_set holders, cairn_node_set voters)
{
    if (!is_majority_of(holders, voters))
        sim_violation(sim, "log %s: n%u has committed lsn %lu, which set %x may hold, of voters %x", sim_log_name(log),
                      node + 1, (unsigned long)lsn, holders, voters);
}

void
check_recovered(struct sim *sim, uint8_t node, uint32_t log, uint64_t boot_lsn, uint64_t last_lsn)
{
    if (last_lsn < boot_lsn)
        sim_violation(sim, "log %s: n%u counts again and holds up to lsn %lu; when it began lsn %lu was committed",
                      sim_log_name(log), node + 1, (unsigned long)last_lsn, (unsigned long)boot_lsn);
}

/* A place and its term name an entry and all before it. Who has held what is committed, whether or not it knew, keeps
 * it. agreed_term: of what stands where it last did; 0: it is not remembered. */
void
check_held(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, uint64_t last_lsn, uint64_t last_term,
           uint64_t agreed_term)
{
    const struct trunk_check *trunk = &sim->trunks[log];
    uint64_t agreed_lsn = check->agreed_lsn;

    if (last_lsn < agreed_lsn || (agreed_lsn > 0 && agreed_term != 0 && agreed_term != trunk->entries[agreed_lsn].term))
        sim_violation(sim, "log %s: n%u has cut off lsn %lu, which is committed", sim_log_name(log), node + 1,
                      (unsigned long)agreed_lsn);
    else if (last_lsn > agreed_lsn && last_lsn <= trunk->last && last_term == trunk->entries[last_lsn].term)
        check->agreed_lsn = last_lsn;
}

void
check_trimmed(struct sim *sim, uint8_t node, uint32_t log, uint64_t base_lsn, cairn_node_set in_reach)
{
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        const struct node_log *held = node_log_of(&sim->nodes[peer], log);

        if ((in_reach >> peer & 1) && held != NULL && core_last_lsn(held->core) < base_lsn)
            sim_violation(sim, "log %s: n%u leads and has trimmed up to lsn %lu; n%u is in reach and holds up to %lu",
                          sim_log_name(log), node + 1, (unsigned long)base_lsn, peer + 1,
                          (unsigned long)core_last_lsn(held->core));
    }
}

/* Who may hold lsn: a node that is down, or that has lost its memory, may have held it; one whose medium is damaged held what it knows
 * that it lacks, and votes by that. */
static cairn_node_set
holders_of(const struct sim *sim, uint32_t log, uint64_t lsn)
{
    cairn_node_set set = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], log);
        uint64_t lacks_lsn, lacks_term;

        if (held == NULL || core_recovering(held->core) || core_last_lsn(held->core) >= lsn ||
            (core_lacks(held->core, &lacks_lsn, &lacks_term) && lacks_lsn >= lsn))
            set |= (cairn_node_set)1 << i;
    }
    return set;
}

static void
check_leading(struct sim *sim, struct sim_node *node, uint32_t log, const struct node_log *held,
              uint64_t committed_before)
{
    const struct log_check *check = &node->checks[log];
    const struct members *members = core_members(held->core);
    uint64_t commit_lsn = core_commit_lsn(held->core), base_lsn = core_base_lsn(held->core);

    /* Its own vote is given by campaigning, and not said on the wire. */
    check_vote(sim, node->self, node->self, sim->log_ids[log], core_term(held->core));
    /* The membership may have changed since it was counted, in this very poll. */
    if (commit_lsn > committed_before && check->role == ROLE_LEADER) {
        cairn_node_set holders = holders_of(sim, log, commit_lsn);

        if (!is_majority_of(holders, check->voters))
            check_counted(sim, node->self, log, commit_lsn, holders, members->voters);
    }
    if (base_lsn > check->base_lsn && check->role == ROLE_LEADER)
        check_trimmed(sim, node->self, log, base_lsn,
                      check_sure_reach(sim, node, held->worker->task.number) & (members->voters | members->learners));
}

void
check_role(struct sim *sim, struct sim_node *node, uint32_t log, uint64_t committed_before)
{
    struct log_check *check = &node->checks[log];
    const struct node_log *held = node_log_of(node, log);
    uint64_t last_lsn = core_last_lsn(held->core), trunk_last = sim->trunks[log].last;
    uint64_t there = last_lsn < trunk_last ? last_lsn : trunk_last;

    if (core_role(held->core) == ROLE_LEADER)
        check_leading(sim, node, log, held, committed_before);
    /* Of a disk's a vote counts once it is written: that is not seen from here. */
    else if (core_role(held->core) == ROLE_CANDIDATE && !sim->plan.disk)
        check_vote(sim, node->self, node->self, sim->log_ids[log], core_term(held->core));
    if (check->recovering && !core_recovering(held->core))
        check_recovered(sim, node->self, log, check->boot_lsn, last_lsn);
    check_held(sim, node->self, log, check, there, there == 0 ? 0 : core_term_at(held->core, there),
               check->agreed_lsn == 0 || check->agreed_lsn > last_lsn ? 0
                                                                      : core_term_at(held->core, check->agreed_lsn));
    check->recovering = core_recovering(held->core);
    check->base_lsn = core_base_lsn(held->core);
    check->voters = core_members(held->core)->voters;
}
