/* Leadership that is handed on, leaders that are paused, clocks that jump: nothing stale is shown under a lease. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/steward.h"

/* The target dies some time after the transfer was asked for: at every step of it. */
static void
transfer_target_dies(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t step = 0; step < 12 && !sim->failed; step++) {
        uint8_t leader = scene_leader(sim), target = follower(sim, leader, 1);
        struct cairn_result result = {0};
        uint64_t token;

        steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, target);
        token = give(sim, leader, 7 + step, 1, 0, CAIRN_ACK_MAJORITY, 16);
        sim_run_for(sim, step * 20 * US);
        node_crash(&sim->nodes[target]);
        eventually(sim, 10 * SIM_TIMEOUT_NS, take(sim, leader, token, &result));
        scene_leader(sim);
        if (result.error == CAIRN_OK)
            expect(sim, copies(sim, 7 + step, 1) == 1);
        node_boot(&sim->nodes[target]);
        eventually(sim, WITHIN,
                   node_log_of(&sim->nodes[target], LOG) != NULL && !core_recovering(core_of(sim, target)));
        eventually(sim, WITHIN, !sim->steward.busy);
    }
    scene_end(sim);
}

static void
transfer_behind(struct sim *sim)
{
    struct cairn_result result = {0};
    uint8_t leader, target;
    uint64_t token, asked_ns;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    target = follower(sim, leader, 1);
    sim->links[leader][target].lost_type = MESSAGE_APPEND;
    append_many(sim, leader, 7, 900, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 5 * MS);
    expect(sim, core_last_lsn(core_of(sim, target)) + 512 < core_last_lsn(core_of(sim, leader)));
    /* Far behind: refused at once. */
    expect(sim, member(sim, CAIRN_MEMBER_TRANSFER, target) == CAIRN_BEHIND);
    /* Not so far, but stuck: appends wait an election timeout at most, and go on. */
    sim->links[leader][target].lost_type = 0;
    eventually(sim, WITHIN, core_last_lsn(core_of(sim, target)) == core_last_lsn(core_of(sim, leader)));
    sim->links[leader][target].lost_type = MESSAGE_APPEND;
    append_many(sim, leader, 8, 10, CAIRN_ACK_MAJORITY);
    expect(sim, member(sim, CAIRN_MEMBER_TRANSFER, target) == CAIRN_OK);
    asked_ns = sim->now_ns;
    token = give(sim, leader, 9, 1, 0, CAIRN_ACK_MAJORITY, 16);
    eventually(sim, 3 * SIM_TIMEOUT_NS, take(sim, leader, token, &result));
    expect(sim, result.error == CAIRN_OK && sim->now_ns - asked_ns <= SIM_TIMEOUT_NS + 3 * MS);
    expect(sim, core_role(core_of(sim, leader)) == ROLE_LEADER);
    scene_end(sim);
}

/* A transfer that goes well, and the lease of the one who gave leadership away. */
static void
lease_after_transfer(struct sim *sim)
{
    uint8_t leader, target;
    uint64_t lsn;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    target = follower(sim, leader, 1);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
    /* From the target nothing reaches the old leader: it does not hear that it is one no more. */
    network_cut(sim, target, leader, true);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, target);
    eventually(sim, 5 * MS, core_role(core_of(sim, target)) == ROLE_LEADER);
    expect(sim, append(sim, target, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, core_role(core_of(sim, leader)) == ROLE_LEADER);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK || lsn >= place(sim, 7, 1));
    scene_end(sim);
}

/* Stopped and cut off at once: when it goes on, nothing has arrived that would tell it. */
static void
leader_paused_alone(struct sim *sim)
{
    uint8_t leader, new;
    uint64_t lsn;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
    isolate(sim, leader, true);
    node_pause(&sim->nodes[leader], 6 * SIM_TIMEOUT_NS);
    new = scene_successor(sim, leader, 6 * SIM_TIMEOUT_NS);
    expect(sim, append(sim, new, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, core_role(core_of(sim, leader)) == ROLE_LEADER);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK || lsn >= place(sim, 7, 1));
    scene_end(sim);
}

static void
leader_paused(struct sim *sim)
{
    uint8_t leader, new;
    uint64_t lsn = 0, token;
    struct cairn_result result = {0};

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
    node_pause(&sim->nodes[leader], 10 * SIM_TIMEOUT_NS);
    eventually(sim, WITHIN,
               sim_leader(sim, LOG) != leader && sim_leader(sim, LOG) != CAIRN_NODE_NONE &&
                   core_commit_lsn(core_of(sim, sim_leader(sim, LOG))) ==
                       core_last_lsn(core_of(sim, sim_leader(sim, LOG))));
    new = sim_leader(sim, LOG);
    expect(sim, append(sim, new, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    /* The request waits in its ring when it goes on. */
    token = give(sim, leader, 8, 1, 0, CAIRN_ACK_MAJORITY, 16);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK || lsn >= place(sim, 7, 1));
    eventually(sim, WITHIN, take(sim, leader, token, &result) || copies(sim, 8, 1) == 1);
    scene_end(sim);
}

/* From now on: the slow one's clock loses as much as the others' gain. */
static void
drift(struct sim *sim, uint8_t slow, int64_t ppm)
{
    for (uint8_t i = 0; i < 3; i++) {
        (void)node_clock_ns(&sim->nodes[i]);
        sim->nodes[i].clock.base_ns = sim->now_ns;
        sim->nodes[i].clock.drift_ppm = i == slow ? -ppm : ppm;
    }
}

/* The wall clock jumps by an hour either way; the clock that leases run by drifts, within what is
 * allowed, in the worst direction: the leader's slow, the others' fast. */
static void
clock_jump(struct sim *sim)
{
    static const int64_t hour_ns = 3600ll * 1000000000ll;

    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (int round = 0; round < 6 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim), new;
        uint64_t lsn = 0;

        sim->nodes[leader].clock.wall_offset_ns = round % 2 == 0 ? hour_ns : -hour_ns;
        drift(sim, leader, 4500);
        expect(sim, append(sim, leader, 10 + (uint64_t)round, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
        isolate(sim, leader, true);
        new = scene_successor(sim, leader, WITHIN);
        expect(sim, append(sim, new, 20 + (uint64_t)round, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK);
        isolate(sim, leader, false);
        drift(sim, CAIRN_NODE_NONE, 0);
        scene_calm(sim);
    }
    scene_end(sim);
}

const struct scenario scenarios_leases[] = {
    {"transfer-target-dies", "a transfer whose target dies loses and hangs nothing", transfer_target_dies},
    {"transfer-behind", "a transfer to a node behind is refused, or over within a timeout", transfer_behind},
    {"lease-after-transfer", "who has told another to campaign has no lease any more", lease_after_transfer},
    {"leader-paused", "a leader that was stopped shows nothing stale under its lease", leader_paused},
    {"leader-paused-alone", "nor does one that was cut off meanwhile", leader_paused_alone},
    {"clock-jump", "no stale read while clocks jump and drift within the bound", clock_jump},
    {0},
};
