/* Membership and recovery. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/channels.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/steward.h"

/* Two overlapping changes by leaders of two terms. */
static void
single_step_bug(struct sim *sim)
{
    struct cairn_result result = {0};
    struct cairn_client *client;
    uint8_t first, second;
    uint64_t token;

    scene_start(sim, 5, CAIRN_POLICY_CP);
    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, follower(sim, scene_leader(sim), 4)) == CAIRN_OK);
    /* Of four voters: the leader's change is held by itself alone. */
    first = scene_leader(sim);
    lose_from(sim, first, MESSAGE_APPEND);
    steward_ask(sim, first, LOG, CAIRN_MEMBER_REMOVE, follower(sim, first, 1));
    sim_run_for(sim, MS);
    isolate(sim, first, true);
    second = scene_successor(sim, first, WITHIN);
    expect(sim, core_commit_lsn(core_of(sim, second)) <= core_last_lsn(core_of(sim, second)));
    network_heal(sim);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    /* A leader that has committed nothing of its own changes nothing. */
    second = scene_leader(sim);
    lose_to(sim, second, MESSAGE_APPEND_REPLY);
    scene_lead(sim, second);
    network_heal(sim);
    first = scene_leader(sim);
    second = follower(sim, first, 1);
    lose_to(sim, second, MESSAGE_APPEND_REPLY);
    client = node_connect(&sim->nodes[second]);
    isolate(sim, first, true);
    scene_successor(sim, first, WITHIN);
    if (sim_leader(sim, LOG) == second) {
        token = ++sim->scene_token;
        cairn_member(client, sim->log_ids[LOG], CAIRN_MEMBER_REMOVE, follower(sim, second, 1), token);
        node_want_poll(&sim->nodes[second], US);
        sim_run_for(sim, MS);
        expect(sim, cairn_poll(client, &result) > 0 && result.error == CAIRN_AGAIN);
    }
    cairn_disconnect(client);
    isolate(sim, first, false);
    scene_end(sim);
}

/* The same for a leader chosen on purpose: asks it before its first entry can be committed. */
static void
noop_first(struct sim *sim)
{
    uint8_t old, second;
    struct cairn_result result = {0};
    struct cairn_client *client;

    old = scene_start(sim, 3, CAIRN_POLICY_CP);
    second = follower(sim, old, 1);
    lose_from(sim, second, MESSAGE_APPEND);
    steward_ask(sim, old, LOG, CAIRN_MEMBER_TRANSFER, second);
    eventually(sim, 3 * SIM_TIMEOUT_NS, core_role(core_of(sim, second)) == ROLE_LEADER);
    client = node_connect(&sim->nodes[second]);
    cairn_member(client, sim->log_ids[LOG], CAIRN_MEMBER_REMOVE, old, 1);
    node_want_poll(&sim->nodes[second], US);
    sim_run_for(sim, MS);
    expect(sim, cairn_poll(client, &result) > 0 && result.error == CAIRN_AGAIN);
    cairn_disconnect(client);
    scene_end(sim);
}

static void
remove_leader(struct sim *sim)
{
    uint8_t leader, next;
    uint64_t began_ns;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    append_many(sim, leader, 7, 50, CAIRN_ACK_MAJORITY);
    began_ns = sim->now_ns;
    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, leader) == CAIRN_OK);
    next = scene_successor(sim, leader, WITHIN);
    expect(sim, append(sim, next, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, sim->now_ns - began_ns < 5 * SIM_TIMEOUT_NS);
    expect(sim, core_role(core_of(sim, leader)) == ROLE_FOLLOWER);
    expect(sim, append(sim, leader, 9, 1, CAIRN_ACK_MAJORITY, NULL) != CAIRN_OK);
    scene_end(sim);
}

/* A leader that was about to be removed holds what nobody else does, that change among it; without it the
 * others are not enough. */
static void
removed_still_needed(struct sim *sim)
{
    uint8_t leader, first;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    first = follower(sim, leader, 1);
    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, first) == CAIRN_OK);
    sim->links[leader][follower(sim, leader, 2)].lost_type = MESSAGE_APPEND;
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_REMOVE, leader);
    sim_run_for(sim, MS);
    isolate(sim, leader, true);
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    network_heal(sim);
    eventually(sim, WITHIN, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    scene_end(sim);
}

/* Two voters under load, and a third that comes with nothing. */
static void
add_empty_node(struct sim *sim)
{
    uint8_t leader, empty;

    sim->plan.window_entries = 256;
    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    empty = follower(sim, leader, 1);
    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, empty) == CAIRN_OK);
    isolate(sim, empty, true);
    append_many(sim, leader, 7, 2000, CAIRN_ACK_MAJORITY);
    isolate(sim, empty, false);
    sim_run_for(sim, 2 * MS);
    expect(sim, member(sim, CAIRN_MEMBER_PROMOTE, empty) == CAIRN_INVALID);
    expect(sim, member(sim, CAIRN_MEMBER_ADD, empty) == CAIRN_OK);
    /* It may not vote before it has caught up; commits do not wait for it. */
    sim->links[leader][empty].lost_type = MESSAGE_APPEND;
    expect(sim, member(sim, CAIRN_MEMBER_PROMOTE, empty) == CAIRN_BEHIND);
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim->links[leader][empty].lost_type = 0;
    eventually(sim, WITHIN, member(sim, CAIRN_MEMBER_PROMOTE, empty) == CAIRN_OK);
    scene_end(sim);
}

static void
config_rolled_back(struct sim *sim)
{
    uint8_t leader, other;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    other = follower(sim, leader, 1);
    lose_from(sim, leader, MESSAGE_APPEND);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_REMOVE, other);
    sim_run_for(sim, MS);
    expect(sim, __builtin_popcount(core_members(core_of(sim, leader))->voters) == 2);
    isolate(sim, leader, true);
    scene_successor(sim, leader, WITHIN);
    network_heal(sim);
    eventually(sim, WITHIN,
               core_leader(core_of(sim, leader)) == sim_leader(sim, LOG) &&
                   core_commit_lsn(core_of(sim, leader)) == core_commit_lsn(core_of(sim, sim_leader(sim, LOG))));
    expect(sim, __builtin_popcount(core_members(core_of(sim, leader))->voters) == 3);
    scene_end(sim);
}

/* n2 acknowledges, restarts empty, and is asked for its vote by n3, which lacks the entry. */
static void
memory_restart_vote(struct sim *sim)
{
    uint8_t n1, n2, n3;

    n1 = scene_start(sim, 3, CAIRN_POLICY_CP);
    n2 = follower(sim, n1, 1);
    n3 = follower(sim, n1, 2);
    isolate(sim, n3, true);
    expect(sim, append(sim, n1, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[n2]);
    isolate(sim, n1, true);
    node_boot(&sim->nodes[n2]);
    link_cut(sim, n2, n3, false);
    /* n2 and n3 are two of three, and must not agree on anything. */
    for (int step = 0; step < 500 && !sim->failed; step++) {
        sim_run_for(sim, MS);
        expect(sim, core_role(core_of(sim, n3)) != ROLE_LEADER);
    }
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 1);
}

static void
memory_majority_restart(struct sim *sim)
{
    uint8_t leader, first, second;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    first = follower(sim, leader, 1);
    second = follower(sim, leader, 2);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[first]);
    node_crash(&sim->nodes[second]);
    node_boot(&sim->nodes[first]);
    node_boot(&sim->nodes[second]);
    sim_run_for(sim, 100 * SIM_TIMEOUT_NS);
    /* The majority's memory is gone: nobody leads, nothing is invented, and who asks is told. */
    for (uint8_t i = 0; i < 3; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], 0);

        expect(sim, held == NULL || core_role(held->core) != ROLE_LEADER);
        expect(sim, i == leader || takes_no_part(sim, i, 0));
    }
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_MAJORITY, NULL) != CAIRN_OK);
    expect(sim, core_last_lsn(core_of(sim, leader)) >= place(sim, 7, 1));
}

/* Frames of a former life arrive after the restart. */
static void
old_incarnation(struct sim *sim)
{
    uint8_t leader, reborn;
    uint64_t stale = 0;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    reborn = follower(sim, leader, 1);
    sim->links[reborn][leader].extra_ns = 50 * MS;
    append_many(sim, leader, 7, 100, CAIRN_ACK_MAJORITY);
    node_crash(&sim->nodes[reborn]);
    sim->links[reborn][leader].extra_ns = 0;
    node_boot(&sim->nodes[reborn]);
    sim_run_for(sim, 200 * MS);
    for (uint8_t i = 0; i < 3; i++)
        stale += worker_of(sim, i)->counters.frames_dropped[CODEC_STRANGER];
    expect(sim, stale > 0);
    scene_end(sim);
}

/* The other of two lacks the entry that removes this one, and cannot take it over by itself: it is this one that has to
 * lead once more. */
static void
removed_leads_once_more(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), other;

    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, follower(sim, leader, 2)) == CAIRN_OK);
    other = follower(sim, leader, 1);
    lose_from(sim, leader, MESSAGE_APPEND);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_REMOVE, leader);
    eventually(sim, 5 * MS, core_last_lsn(core_of(sim, leader)) > core_last_lsn(core_of(sim, other)));
    isolate(sim, leader, true);
    eventually(sim, WITHIN, core_role(core_of(sim, leader)) != ROLE_LEADER);
    lose_from(sim, leader, MESSAGE_LEND);
    isolate(sim, leader, false);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == other);
    expect(sim, core_members(core_of(sim, other))->voters == 1u << other);
    lose_from(sim, leader, MESSAGE_NONE);
    scene_end(sim);
}

/* With a learner one of two voters is no majority: neither does it lead, nor is anything committed. */
static void
learner_does_not_count(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), voter = follower(sim, leader, 1);
    uint8_t learner = follower(sim, leader, 2);
    struct cairn_result result;
    uint64_t token, lsn;

    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, learner) == CAIRN_OK);
    expect(sim, member(sim, CAIRN_MEMBER_ADD, learner) == CAIRN_OK);
    scene_calm(sim);
    lsn = core_commit_lsn(core_of(sim, leader));
    sim->links[leader][voter].lost_type = MESSAGE_APPEND;
    token = give(sim, leader, 7, 1, 0, CAIRN_ACK_MAJORITY, 16);
    eventually(sim, MS, core_last_lsn(core_of(sim, learner)) > lsn);
    sim_run_for(sim, SIM_TIMEOUT_NS);
    expect(sim, !take(sim, leader, token, &result) && core_commit_lsn(core_of(sim, leader)) == lsn);
    sim->links[leader][voter].lost_type = MESSAGE_NONE;
    eventually(sim, WITHIN, take(sim, leader, token, &result));
    isolate(sim, voter, true);
    eventually(sim, 4 * SIM_TIMEOUT_NS, core_role(core_of(sim, leader)) != ROLE_LEADER);
    isolate(sim, voter, false);
    leader = scene_leader(sim);
    voter = (uint8_t)(3 - leader - learner);
    isolate(sim, leader, true);
    for (int step = 0; step < 30 && !sim->failed; step++) {
        sim_run_for(sim, SIM_TIMEOUT_NS);
        expect(sim, core_role(core_of(sim, voter)) != ROLE_LEADER && core_role(core_of(sim, learner)) != ROLE_LEADER);
    }
    expect(sim, append(sim, voter, 8, 1, CAIRN_ACK_MAJORITY, NULL) != CAIRN_OK);
    scene_end(sim);
}

const struct scenario scenarios_members[] = {
    {"single-step-bug", "no two disjoint majorities from overlapping changes", single_step_bug},
    {"noop-first", "a leader changes no membership before its first entry is committed", noop_first},
    {"remove-leader", "a leader that is removed leaves when that is agreed on", remove_leader},
    {"removed-still-needed", "who is being removed leads until that is agreed on", removed_still_needed},
    {"add-empty-node", "a node that comes with nothing holds nobody back", add_empty_node},
    {"config-rolled-back", "with a change cut off the former membership is in force again", config_rolled_back},
    {"learner-does-not-count", "a learner makes no majority, of votes or of acknowledgements", learner_does_not_count},
    {"memory-restart-vote", "a node without its memory does not vote an entry away", memory_restart_vote},
    {"memory-majority-restart", "with a majority's memory gone nothing is invented", memory_majority_restart},
    {"old-incarnation", "frames of a former life are dropped and counted", old_incarnation},
    {"removed-leads-once-more", "who is being removed leads until that is agreed on", removed_leads_once_more},
    {0},
};
