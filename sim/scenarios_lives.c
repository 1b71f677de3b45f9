/* Who has forgotten, and what comes late: answers, promises and votes of former lives, and trunks lent by who is no
 * further any more. */
#include "sim/scene.h"

#include "node/look.h"
#include "node/state.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/steward.h"

#define CATALOG 0u

static struct core *
catalog_at(struct sim *sim, uint8_t node)
{
    return node_find_log(sim->nodes[node].node->workers[0], CATALOG)->core;
}

static bool
knows_the_catalog(struct sim *sim, uint8_t node)
{
    const struct node_log *held = node_find_log(sim->nodes[node].node->workers[0], CATALOG);

    return held != NULL && !core_recovering(held->core);
}

static void
restart(struct sim *sim, uint8_t node)
{
    node_crash(&sim->nodes[node]);
    node_boot(&sim->nodes[node]);
}

/* Two of five lose their memory at once. What they had agreed on with a new leader is known to that one alone, which is
 * gone; the old one still leads, and has one follower. Each other's answers would make the two a majority with it. */
static void
recovering_answer_nobody(struct sim *sim)
{
    uint8_t old, new, gone[2], loyal;
    uint64_t lsn;

    scene_start(sim, 5, CAIRN_POLICY_CP);
    scene_calm(sim);
    old = sim_leader(sim, CATALOG);
    new = follower(sim, old, 1);
    loyal = follower(sim, old, 4);
    network_cut(sim, new, old, true);
    network_cut(sim, new, loyal, true);
    for (uint8_t i = 0; i < 2; i++) {
        gone[i] = follower(sim, old, 2 + i);
        network_cut(sim, gone[i], old, true);
        network_cut(sim, gone[i], loyal, true);
    }
    lsn = core_last_lsn(catalog_at(sim, old));
    steward_ask(sim, old, CATALOG, CAIRN_MEMBER_TRANSFER, new);
    eventually(sim, 5 * MS, core_commit_lsn(catalog_at(sim, new)) > lsn);
    restart(sim, gone[0]);
    restart(sim, gone[1]);
    network_heal(sim);
    isolate(sim, new, true);
    sim_run_for(sim, 5 * MS);
    expect(sim, core_role(catalog_at(sim, old)) == ROLE_LEADER && core_last_lsn(catalog_at(sim, old)) == lsn);
    sim_run_for(sim, 40 * SIM_TIMEOUT_NS);
    expect(sim, takes_no_part(sim, gone[0], CATALOG) && takes_no_part(sim, gone[1], CATALOG));
    network_heal(sim);
    scene_end(sim);
}

/* It recovers the catalog, and knows of the log by it; its questions about that are lost. */
static void
asks_nothing_of_the_log(struct sim *sim, uint8_t node)
{
    eventually(sim, WITHIN, knows_the_catalog(sim, node));
    lose_from(sim, node, MESSAGE_RECOVER);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[node], LOG) != NULL);
}

/* Answers to what a node asked in its last life come in this one. It had recovered by others meanwhile, and has
 * acknowledged more than they tell of. */
static void
recovery_asks_anew(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), node = follower(sim, leader, 1);
    uint8_t other = follower(sim, leader, 2);
    uint64_t late_ns = 30 * SIM_TIMEOUT_NS;

    append_many(sim, leader, 7, 10, CAIRN_ACK_MAJORITY);
    scene_calm(sim);
    restart(sim, node);
    asks_nothing_of_the_log(sim, node);
    sim->links[leader][node].extra_ns = sim->links[other][node].extra_ns = late_ns;
    lose_from(sim, node, MESSAGE_NONE);
    sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
    sim->links[leader][node].extra_ns = sim->links[other][node].extra_ns = 0;
    eventually(sim, WITHIN, !core_recovering(core_of(sim, node)));
    leader = scene_leader(sim);
    expect(sim, leader != node);
    other = (uint8_t)(3 - leader - node);
    lose_to(sim, other, MESSAGE_APPEND);
    for (uint64_t i = 0; i < 30 && !sim->failed; i++) {
        uint64_t token = give(sim, leader, 20 + i, 1, 0, CAIRN_ACK_MAJORITY, 1000);
        struct cairn_result result = {0};

        eventually(sim, WITHIN, take(sim, leader, token, &result));
        expect(sim, result.error == CAIRN_OK);
    }
    restart(sim, node);
    asks_nothing_of_the_log(sim, node);
    sim->links[leader][node].lost_type = MESSAGE_APPEND;
    /* Of the entries only some come. */
    sim->links[leader][node].pass = 12;
    sim_run_for(sim, late_ns + 5 * SIM_TIMEOUT_NS);
    expect(sim, node_log_of(&sim->nodes[node], LOG) != NULL && core_recovering(core_of(sim, node)));
    network_heal(sim);
    scene_end(sim);
    for (uint64_t i = 0; i < 30; i++)
        expect(sim, copies(sim, 20 + i, 1) == 1);
}

/* A node promises the leader a lease, restarts, and is asked for its vote at once by one that the leader has lost. */
static void
promise_of_a_former_life(struct sim *sim)
{
    sim->plan.disk = true;
    sim->plan.disk_ns = 20 * US;
    sim->plan.journal_file_bytes = 1u << 20;
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint32_t round = 0; round < 24 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim), promiser = follower(sim, leader, 1), away = follower(sim, leader, 2);
        uint64_t asked_ns, lsn;

        scene_calm(sim);
        link_cut(sim, leader, away, true);
        sim_run_for(sim, 5 * SIM_TIMEOUT_NS + round * 700 * US);
        asked_ns = sim->now_ns;
        expect(sim, scene_read(sim, leader, CAIRN_READ_LINEARIZABLE, 1, &lsn) == CAIRN_OK);
        link_cut(sim, leader, promiser, true);
        restart(sim, promiser);
        /* The leader may read by its lease until then. */
        while (sim->now_ns < asked_ns + SIM_TIMEOUT_NS * 98 / 100 && !sim->failed) {
            sim_run_for(sim, 200 * US);
            expect(sim, core_role(core_of(sim, away)) != ROLE_LEADER);
        }
        network_heal(sim);
        eventually(sim, WITHIN, all_follow(sim));
    }
    scene_end(sim);
}

/* It has voted for itself in a term in which nobody heard it, and another campaigns in that term. */
static void
own_vote_counts(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), first = follower(sim, leader, 1);
    uint8_t second = follower(sim, leader, 2);
    uint64_t term;

    scene_calm(sim);
    term = core_term(core_of(sim, leader));
    network_cut(sim, first, leader, true);
    lose_from(sim, first, MESSAGE_VOTE);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, first);
    eventually(sim, 5 * MS, core_role(core_of(sim, first)) == ROLE_CANDIDATE);
    eventually(sim, WITHIN, core_role(core_of(sim, first)) == ROLE_PRECANDIDATE);
    expect(sim, core_term(core_of(sim, first)) == term + 1);
    sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
    expect(sim, core_role(core_of(sim, leader)) == ROLE_LEADER && core_term(core_of(sim, leader)) == term);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, second);
    eventually(sim, 5 * MS, core_term(core_of(sim, second)) > term);
    sim_run_for(sim, 5 * MS);
    network_heal(sim);
    scene_end(sim);
}

/* It asked one that held more for that; when the answer comes it has taken part in what a new leader has committed, and
 * does not know it. */
static void
lent_too_late(struct sim *sim)
{
    uint8_t old = scene_start(sim, 5, CAIRN_POLICY_CP), lender = follower(sim, old, 1), asker = follower(sim, old, 2);
    uint64_t late_ns = 30 * SIM_TIMEOUT_NS, lsn = core_last_lsn(core_of(sim, old));

    scene_calm(sim);
    for (uint8_t i = 2; i < 5; i++)
        sim->links[old][follower(sim, old, i)].lost_type = MESSAGE_APPEND;
    for (uint64_t i = 1; i <= 5; i++)
        give(sim, old, 7, i, 0, CAIRN_ACK_MAJORITY, 16);
    eventually(sim, 2 * MS, core_last_lsn(core_of(sim, lender)) == lsn + 5);
    isolate(sim, old, true);
    for (uint8_t i = 3; i < 5; i++) {
        link_cut(sim, follower(sim, old, i), lender, true);
        link_cut(sim, follower(sim, old, i), asker, true);
    }
    /* Its refusals and what it lends come late: one after the other. */
    sim->links[lender][asker].extra_ns = late_ns;
    sim_run_for(sim, late_ns + 6 * SIM_TIMEOUT_NS);
    node_pause(&sim->nodes[lender], 2 * late_ns);
    lose_from(sim, asker, MESSAGE_PREVOTE);
    for (uint8_t i = 3; i < 5; i++)
        link_cut(sim, follower(sim, old, i), asker, false);
    while (core_last_lsn(core_of(sim, asker)) == lsn && !sim->failed)
        sim_run_for(sim, 5 * US);
    expect(sim, core_last_lsn(core_of(sim, asker)) == lsn + 1 && core_commit_lsn(core_of(sim, asker)) == lsn);
    for (uint8_t i = 3; i < 5; i++)
        network_cut(sim, follower(sim, old, i), asker, true);
    eventually(sim, MS, sim->trunks[LOG].last == lsn + 1);
    sim_run_for(sim, late_ns);
    expect(sim, core_leader(core_of(sim, asker)) == CAIRN_NODE_NONE);
    expect(sim, core_last_lsn(core_of(sim, asker)) == lsn + 1);
    sim->nodes[lender].paused_until_ns = sim->now_ns;
    scene_end(sim);
}

const struct scenario scenarios_lives[] = {
    {"recovering-answer-nobody", "nodes that have forgotten do not tell each other what they had agreed on",
     recovering_answer_nobody},
    {"recovery-asks-anew", "what a node asked in a former life tells it nothing in this one", recovery_asks_anew},
    {"promise-of-a-former-life", "a lease that a node may have promised before it restarted is kept",
     promise_of_a_former_life},
    {"own-vote-counts", "who has voted for itself has no second vote in that term", own_vote_counts},
    {"lent-too-late", "nobody borrows a trunk that is no further than its own any more", lent_too_late},
    {0},
};
