/* What was trimmed, who is behind it, and what is known yet of the producers of it. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/random.h"

/* Small segments, few of them kept: what is old is soon trimmed. */
static uint8_t
start_keeping_little(struct sim *sim, enum cairn_policy policy)
{
    sim->plan.segment_bytes = 64u << 10;
    sim->plan.retain_bytes = 128u << 10;
    return scene_start(sim, 3, policy);
}

/* It is cut off while the others go on, further than they keep. */
static void
leave_behind(struct sim *sim, uint8_t leader, uint8_t away)
{
    isolate(sim, away, true);
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    append_many(sim, leader, 8, 4000, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 10 * MS);
    expect(sim, core_base_lsn(core_of(sim, leader)) > core_last_lsn(core_of(sim, away)));
    isolate(sim, away, false);
}

/* It is in reach, and what it needs does not come: nothing of that is trimmed. */
static void
trim_waits(struct sim *sim)
{
    uint8_t leader = start_keeping_little(sim, CAIRN_POLICY_CP), behind = follower(sim, leader, 1);

    scene_calm(sim);
    sim->links[leader][behind].lost_type = MESSAGE_APPEND;
    append_many(sim, leader, 8, 4000, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 10 * MS);
    expect(sim, core_commit_lsn(core_of(sim, leader)) > core_last_lsn(core_of(sim, behind)) + 3000);
    expect(sim, core_base_lsn(core_of(sim, leader)) <= core_last_lsn(core_of(sim, behind)));
    sim->links[leader][behind].lost_type = MESSAGE_NONE;
    scene_end(sim);
}

static void
slow_follower_trim(struct sim *sim)
{
    uint8_t leader, away;
    struct cairn_result result;
    uint64_t lsn = 0, base_lsn;

    leader = start_keeping_little(sim, CAIRN_POLICY_CP);
    away = follower(sim, leader, 1);
    append_many(sim, leader, 7, 100, CAIRN_ACK_MAJORITY);
    leave_behind(sim, leader, away);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, away)) == core_commit_lsn(core_of(sim, leader)));
    base_lsn = core_base_lsn(core_of(sim, away));
    expect(sim, base_lsn >= core_base_lsn(core_of(sim, leader)) || base_lsn > 100);
    /* It knows where it begins, and says so to whoever asks for more. */
    expect(sim, scene_read(sim, away, CAIRN_READ_STALE, 50, &lsn) == CAIRN_TRIMMED);
    expect(sim, scene_read(sim, away, CAIRN_READ_STALE, 0, &lsn) == CAIRN_OK);
    /* It knows what the old producers have written. */
    scene_lead(sim, away);
    expect(sim, append(sim, away, 7, 1, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK);
    expect(sim, result.repeated && copies(sim, 7, 1) == 1);
    expect(sim, append(sim, away, 7, 102, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OUT_OF_ORDER);
    expect(sim, append(sim, away, 7, 101, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    scene_end(sim);
}

/* With a follower that has begun anew, and to which what its producers have on what is gone never arrives. */
static uint8_t
start_without_producers(struct sim *sim, uint8_t *away)
{
    uint8_t leader = start_keeping_little(sim, CAIRN_POLICY_CP);

    *away = follower(sim, leader, 1);
    append_many(sim, leader, 7, 100, CAIRN_ACK_MAJORITY);
    leave_behind(sim, leader, *away);
    lose_to(sim, *away, MESSAGE_PRODUCERS);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, *away)) == core_commit_lsn(core_of(sim, leader)));
    expect(sim, core_producers_partial(core_of(sim, *away)));
    /* Nor does the third campaign. */
    lose_from(sim, follower(sim, leader, 2), MESSAGE_PREVOTE);
    return leader;
}

/* It leads when nobody else has for long, and then refuses whom it may have forgotten. */
static void
base_without_producers(struct sim *sim)
{
    uint8_t away, leader = start_without_producers(sim, &away), third = follower(sim, leader, 2);

    isolate(sim, leader, true);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    expect(sim, core_role(core_of(sim, away)) != ROLE_LEADER);
    eventually(sim, WITHIN, core_role(core_of(sim, away)) == ROLE_LEADER);
    expect(sim, append(sim, away, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_PRODUCER_EVICTED);
    expect(sim, scene_append_sized(sim, away, 8, 4000, CAIRN_ACK_MAJORITY, SCENE_MANY_BYTES, NULL) == CAIRN_OK);
    expect(sim, copies(sim, 7, 1) == 1 && copies(sim, 8, 4000) == 1);
    lose_from(sim, third, MESSAGE_NONE);
    lose_to(sim, away, MESSAGE_NONE);
    isolate(sim, leader, false);
    scene_end(sim);
}

/* Nor does it wait for one that has lost its memory: that is in reach, leads no more, and recovers from a leader. */
static void
leader_lost_before_producers(struct sim *sim)
{
    uint8_t away, leader = start_without_producers(sim, &away);

    node_crash(&sim->nodes[leader]);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == away);
    network_heal(sim);
    scene_end(sim);
}

/* It comes to lead with a branch of its own, that repeats what is on the trunk before where its own begins. */
static void
branch_behind_the_base(struct sim *sim)
{
    uint8_t leader, away;

    leader = start_keeping_little(sim, CAIRN_POLICY_ADAPTIVE);
    away = follower(sim, leader, 1);
    isolate(sim, away, true);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[away], LOG)->mode == CAIRN_MODE_AP);
    for (uint64_t i = 1; i <= 50; i++) {
        expect(sim, append(sim, away, 7, i, CAIRN_ACK_LOCAL, NULL) == CAIRN_OK);
        expect(sim, append(sim, leader, 7, i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    }
    append_many(sim, leader, 8, 4000, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 10 * MS);
    expect(sim, core_base_lsn(core_of(sim, leader)) > place(sim, 7, 50));
    isolate(sim, away, false);
    lose_from(sim, away, MESSAGE_HAND_OFF);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, away)) == core_commit_lsn(core_of(sim, leader)));
    eventually(sim, WITHIN, !core_producers_partial(core_of(sim, away)));
    expect(sim, core_branch_pending(core_of(sim, away)));
    scene_lead(sim, away);
    eventually(sim, WITHIN, !core_branch_pending(core_of(sim, away)));
    for (uint64_t i = 1; i <= 50; i++)
        expect(sim, copies(sim, 7, i) == 1);
    lose_from(sim, away, MESSAGE_NONE);
    scene_end(sim);
}

/* More of them than a message takes, and what is behind the trim point survives that every node restarts. */
static void
producers_survive_restart(struct sim *sim)
{
    struct cairn_result result;
    uint8_t leader;

    sim->plan.disk = true;
    sim->plan.producers_max = 4096;
    sim->plan.journal_file_bytes = 256u << 10;
    leader = start_keeping_little(sim, CAIRN_POLICY_CP);
    for (uint64_t producer = 1; producer <= 300; producer++)
        expect(sim, append(sim, leader, producer, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    append_many(sim, leader, 1000, 4000, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 100 * MS);
    for (uint8_t i = 0; i < 3; i++) {
        expect(sim, core_base_lsn(core_of(sim, i)) > place(sim, 300, 1));
        /* The file that had their entries is gone, so what is known of them was written again. */
        expect(sim, worker_of(sim, i)->journal.oldest_number > 1);
        node_crash(&sim->nodes[i]);
    }
    for (uint8_t i = 0; i < 3; i++)
        node_boot(&sim->nodes[i]);
    leader = scene_leader(sim);
    for (uint64_t producer = 1; producer <= 300; producer++) {
        expect(sim, append(sim, leader, producer, 1, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK && result.repeated);
        expect(sim, copies(sim, producer, 1) == 1);
    }
    scene_end(sim);
}

#define ALONE 40u
#define ALONE_BYTES 9000u

/* A leader on a slow disk is cut off with more than one write of it can take of what it has acknowledged alone. That is on its
 * way to its branch when it begins anew behind what the others have trimmed; and its power goes at some time of that. */
static void
base_waits_for_the_branch(struct sim *sim)
{
    uint64_t tokens[ALONE];
    uint8_t away, next;

    sim->plan.segment_bytes = 64u << 10;
    sim->plan.retain_bytes = 128u << 10;
    away = scene_start_writing(sim, 3, CAIRN_POLICY_AP, 20 * US);
    scene_calm(sim);
    isolate(sim, away, true);
    for (uint32_t i = 0; i < ALONE; i++)
        tokens[i] = give(sim, away, 7, i + 1, 0, CAIRN_ACK_LOCAL, ALONE_BYTES);
    sim_run_for(sim, 3 * MS);
    for (uint32_t i = 0; i < ALONE; i++) {
        struct cairn_result result;

        expect(sim, take(sim, away, tokens[i], &result) && result.error == CAIRN_OK && !result.on_branch);
    }
    sim->nodes[away].disk.slower_ns = 20 * MS;
    next = scene_successor(sim, away, WITHIN);
    append_many(sim, next, 8, 4000, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 5 * MS);
    expect(sim, core_base_lsn(core_of(sim, next)) > core_last_lsn(core_of(sim, away)));
    lose_from(sim, away, MESSAGE_HAND_OFF);
    isolate(sim, away, false);
    eventually(sim, WITHIN, core_base_lsn(core_of(sim, away)) > 0);
    sim_run_for(sim, random_under(&sim->changes, 100 * MS));
    node_crash(&sim->nodes[away]);
    sim->nodes[away].disk.slower_ns = 0;
    lose_from(sim, away, MESSAGE_NONE);
    node_boot(&sim->nodes[away]);
    end_with_each_once(sim, ALONE);
}

const struct scenario scenarios_trim[] = {
    {"leader-lost-before-producers", "who lacks producers does not wait for a leader that lost its memory",
     leader_lost_before_producers},
    {"trim-waits", "what a member in reach still needs is not trimmed", trim_waits},
    {"slow-follower-trim", "a follower behind the trim point begins anew there, and says so", slow_follower_trim},
    {"base-without-producers", "who began anew and knows not what its producers wrote waits long before it leads",
     base_without_producers},
    {"branch-behind-the-base", "a branch that repeats what is trimmed is stepped over, also by who began anew",
     branch_behind_the_base},
    {"producers-survive-restart", "what producers wrote before the trim point is known after a restart of all",
     producers_survive_restart},
    {"base-waits-for-branch", "what was acknowledged alone is on disk as a branch before a base voids it",
     base_waits_for_the_branch},
    {0},
};
