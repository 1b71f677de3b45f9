/* Nodes of several workers: what befalls one is its own logs' affair, and the node's word is one. LOG is at worker 1, the
 * catalog at the first. */
#include "sim/scene.h"

#include "node/state.h"
#include "rules/mode.h"
#include "sim/catalog.h"
#include "sim/disk.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/shelf.h"

#define SETTLED_NS (300 * MS)
#define HELD_BACK_NS (60 * SIM_TIMEOUT_NS)

static uint8_t
start(struct sim *sim, enum cairn_policy policy, bool on_disk)
{
    uint8_t leader;

    if (sim->plan.workers < 2)
        sim->plan.workers = 2;
    leader = on_disk ? scene_start_on_disk(sim, 3) : scene_start(sim, 3, policy);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, worker_of(sim, i)->task.number == 1);
    return leader;
}

static void
cut_worker(struct sim *sim, uint8_t worker, uint8_t node, bool cut)
{
    for (uint8_t peer = 0; peer < 3; peer++) {
        if (peer == node)
            continue;
        network_cut_worker(sim, worker, node, peer, cut);
        network_cut_worker(sim, worker, peer, node, cut);
    }
}

static enum cairn_mode
mode_of(const struct sim *sim, uint8_t node, uint32_t log)
{
    return node_log_of(&sim->nodes[node], log)->mode;
}

/* The queue of one worker is cut off: its log denies there and another leads it; the catalog goes on as it was. */
static void
one_worker_cut_off(struct sim *sim)
{
    uint8_t leader = start(sim, CAIRN_POLICY_CP, false), catalog = sim_leader(sim, 0), next;
    uint64_t term = core_term(node_log_of(&sim->nodes[leader], 0)->core);

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    cut_worker(sim, 1, leader, true);
    next = scene_successor(sim, leader, WITHIN);
    eventually(sim, WITHIN, mode_of(sim, leader, LOG) == CAIRN_MODE_DENIED);
    expect(sim, append(sim, next, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_NO_QUORUM);
    expect(sim, mode_of(sim, leader, 0) == CAIRN_MODE_CP && sim_leader(sim, 0) == catalog);
    expect(sim, core_term(node_log_of(&sim->nodes[leader], 0)->core) == term);
    expect(sim, __builtin_popcount(sim->nodes[leader].node->workers[0]->reach) == 3 &&
                    __builtin_popcount(sim->nodes[leader].node->workers[1]->reach) == 1);
    cut_worker(sim, 1, leader, false);
    eventually(sim, HELD_BACK_NS, mode_of(sim, leader, LOG) == CAIRN_MODE_CP);
    expect(sim, append(sim, scene_leader(sim), 7, 3, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
    for (uint64_t seq = 1; seq <= 3; seq++)
        expect(sim, copies(sim, 7, seq) == 1);
}

/* One worker takes no turns: another node leads its log, and the others go on. */
static void
one_worker_hangs(struct sim *sim)
{
    uint8_t leader = start(sim, CAIRN_POLICY_CP, false), catalog = sim_leader(sim, 0), next;

    worker_pause(&sim->nodes[leader], 1, 100 * SIM_TIMEOUT_NS);
    next = scene_successor(sim, leader, WITHIN);
    expect(sim, append(sim, next, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, sim_leader(sim, 0) == catalog);
    set_policy(sim, CAIRN_POLICY_ADAPTIVE);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[next], LOG)->rules.policy == CAIRN_POLICY_ADAPTIVE);
    eventually(sim, 200 * SIM_TIMEOUT_NS, node_log_of(&sim->nodes[leader], LOG)->rules.policy == CAIRN_POLICY_ADAPTIVE);
    expect(sim, append(sim, scene_leader(sim), 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 1 && copies(sim, 7, 2) == 1);
}

/* The first worker takes no turns: other logs go on, and changes of the catalog wait for another leader. */
static void
first_worker_hangs(struct sim *sim)
{
    uint8_t leader, catalog;

    start(sim, CAIRN_POLICY_CP, false);
    scene_lead(sim, sim_leader(sim, 0));
    leader = scene_leader(sim);
    catalog = sim_leader(sim, 0);
    expect(sim, leader == catalog);
    worker_pause(&sim->nodes[leader], 0, 100 * SIM_TIMEOUT_NS);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
        sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    }
    expect(sim, sim_leader(sim, LOG) == leader);
    eventually(sim, WITHIN, sim_leader(sim, 0) != CAIRN_NODE_NONE && sim_leader(sim, 0) != leader);
    set_policy(sim, CAIRN_POLICY_ADAPTIVE);
    eventually(sim, WITHIN,
               node_log_of(&sim->nodes[follower(sim, leader, 1)], LOG)->rules.policy == CAIRN_POLICY_ADAPTIVE);
    scene_end(sim);
    for (uint64_t seq = 1; seq <= 3; seq++)
        expect(sim, copies(sim, 7, seq) == 1);
}

/* What the catalog says of a worker that is not there makes no log, on no node; what it does not say, all come to alike. */
static void
no_such_worker(struct sim *sim)
{
    uint8_t leader = start(sim, CAIRN_POLICY_CP, false);

    catalog_write(sim, 1, "create", "\"policy\":\"cp\",\"worker\":9");
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, sim->nodes[i].node->snapshot->count == 2);
    catalog_write(sim, 1, "create", "\"policy\":\"cp\",\"worker\":\"1\"");
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, sim->nodes[i].node->snapshot->count == 2);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
}

static bool
recovers(const struct sim *sim, uint8_t node, uint32_t log)
{
    const struct node_log *held = node_log_of(&sim->nodes[node], log);

    return held != NULL && core_recovering(held->core);
}

/* Of three, one lags and one comes back without its worker's journal: they do not elect each other for less than was
 * acknowledged. The catalog, whose journal is there, needs nobody. */
static void
journal_of_one_worker_gone(struct sim *sim)
{
    uint8_t leader = start(sim, CAIRN_POLICY_CP, true), node = follower(sim, leader, 1),
            late = follower(sim, leader, 2);

    scene_lead(sim, leader);
    isolate(sim, late, true);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[node]);
    disk_lose_directory(&sim->nodes[node], 1);
    sim->nodes[node].disk.damaged = true;
    isolate(sim, leader, true);
    isolate(sim, late, false);
    link_cut(sim, leader, late, true);
    node_boot(&sim->nodes[node]);
    eventually(sim, WITHIN, recovers(sim, node, LOG));
    expect(sim, !recovers(sim, node, 0) && sim->nodes[node].node->workers[1]->forgetful &&
                    !sim->nodes[node].node->forgotten);
    eventually(sim, WITHIN, sim_leader(sim, 0) == node || sim_leader(sim, 0) == late);
    sim_run_for(sim, 40 * SIM_TIMEOUT_NS);
    expect(sim, recovers(sim, node, LOG) && core_role(node_log_of(&sim->nodes[late], LOG)->core) != ROLE_LEADER);
    link_cut(sim, leader, late, false);
    isolate(sim, leader, false);
    eventually(sim, 4 * WITHIN, !recovers(sim, node, LOG) && sim->nodes[node].identity.forgetful_workers == 0);
    expect(sim, append(sim, scene_leader(sim), 7, 2, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    /* It is not asked again. */
    node_crash(&sim->nodes[node]);
    node_boot(&sim->nodes[node]);
    sim_run_for(sim, 2 * MS);
    expect(sim, node_is_up(&sim->nodes[node]) && !recovers(sim, node, LOG));
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 1 && copies(sim, 7, 2) == 1);
}

/* Of the life that wrote last, and with less than the others know it to have held: only they can tell. */
static void
journal_of_one_worker_older(struct sim *sim)
{
    uint8_t leader = start(sim, CAIRN_POLICY_CP, true), node = follower(sim, leader, 1);
    uint32_t boots;

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    disk_shelve(&sim->nodes[node], true);
    for (uint64_t seq = 2; seq <= 20; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, 2 * SETTLED_NS);
    node_crash(&sim->nodes[node]);
    disk_unshelve_directory(&sim->nodes[node], 1);
    sim->nodes[node].disk.damaged = true;
    boots = sim->nodes[node].boots;
    node_boot(&sim->nodes[node]);
    expect(sim, !sim->nodes[node].node->workers[1]->forgetful);
    eventually(sim, 4 * WITHIN,
               sim->nodes[node].boots == boots + 2 && node_is_up(&sim->nodes[node]) &&
                   sim->nodes[node].node->workers[1]->forgetful);
    expect(sim, !sim->nodes[node].node->forgotten && sim->nodes[node].incarnation == 3);
    eventually(sim, 4 * WITHIN, sim->nodes[node].identity.forgetful_workers == 0 && all_follow(sim));
    expect(sim, append(sim, scene_leader(sim), 7, 21, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
    for (uint64_t seq = 1; seq <= 21; seq++)
        expect(sim, copies(sim, 7, seq) == 1);
}

/* A replica of a worker's log that contradicts its leader is kept by the node: its next life takes no part in it either. */
static void
stops_of_another_worker_are_kept(struct sim *sim)
{
    uint8_t leader = start(sim, CAIRN_POLICY_CP, true), victim = follower(sim, leader, 1);

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    sim->contradicted = true;
    node_log_of(&sim->nodes[victim], LOG)->digest ^= 1;
    eventually(sim, WITHIN, core_stopped(core_of(sim, victim)) == STOP_REPLICA);
    eventually(sim, WITHIN, sim->nodes[victim].identity.stops_count == 1);
    expect(sim, append(sim, leader, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[victim]);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[victim], LOG) != NULL);
    expect(sim, core_stopped(core_of(sim, victim)) == STOP_REPLICA);
    node_crash(&sim->nodes[victim]);
    disk_wipe(&sim->nodes[victim]);
    sim->nodes[victim].identified = false;
    sim->nodes[victim].disk.damaged = true;
    node_boot(&sim->nodes[victim]);
    eventually(sim, 4 * WITHIN,
               node_log_of(&sim->nodes[victim], LOG) != NULL && !recovers(sim, victim, LOG) &&
                   core_stopped(core_of(sim, victim)) == STOP_NONE && all_follow(sim));
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 1 && copies(sim, 7, 2) == 1);
}

const struct scenario scenarios_workers[] = {
    {"worker-cut-off", "a worker that is cut off changes the modes of its logs and of no others", one_worker_cut_off},
    {"worker-hangs", "a worker that hangs loses the lead of its logs and of no others", one_worker_hangs},
    {"first-worker-hangs", "while the first worker hangs other logs go on, and the catalog elsewhere",
     first_worker_hangs},
    {"no-such-worker", "a catalog entry that names a worker not there makes no log", no_such_worker},
    {"worker-journal-gone", "where one worker's journal is gone its logs alone recover, and count for nothing before",
     journal_of_one_worker_gone},
    {"worker-journal-older", "where one worker's journal is older the others say so", journal_of_one_worker_older},
    {"worker-stops-kept", "what stops at any worker stays stopped in the next life", stops_of_another_worker_are_kept},
    {NULL, NULL, NULL},
};
