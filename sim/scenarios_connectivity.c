/* Partial connectivity. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/faults.h"
#include "sim/network.h"
#include "sim/node.h"

/* Five nodes; only the links to one follower hold. */
static void
quorum_loss_star(struct sim *sim)
{
    uint8_t leader, hub;

    leader = scene_start(sim, 5, CAIRN_POLICY_CP);
    hub = follower(sim, leader, 1);
    for (uint8_t i = 0; i < 5; i++) {
        for (uint8_t j = (uint8_t)(i + 1); j < 5; j++) {
            if (i != hub && j != hub)
                link_cut(sim, i, j, true);
        }
    }
    eventually(sim, 20 * SIM_TIMEOUT_NS, core_role(core_of(sim, hub)) == ROLE_LEADER);
    expect(sim, append(sim, hub, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    expect(sim, core_role(core_of(sim, hub)) == ROLE_LEADER);
    scene_end(sim);
}

/* Five nodes; the leader is gone, and the only one that reaches a majority is behind. */
static void
constrained_election(struct sim *sim)
{
    uint8_t leader, hub;
    uint64_t behind_lsn;

    leader = scene_start(sim, 5, CAIRN_POLICY_CP);
    hub = follower(sim, leader, 1);
    sim->links[leader][hub].lost_type = MESSAGE_APPEND;
    append_many(sim, leader, 7, 300, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 4 * MS);
    behind_lsn = core_last_lsn(core_of(sim, hub));
    expect(sim, behind_lsn + 200 < core_commit_lsn(core_of(sim, leader)));
    isolate(sim, leader, true);
    for (uint8_t i = 0; i < 5; i++) {
        for (uint8_t j = (uint8_t)(i + 1); j < 5; j++) {
            if (i != hub && j != hub && i != leader && j != leader)
                link_cut(sim, i, j, true);
        }
    }
    eventually(sim, 40 * SIM_TIMEOUT_NS, core_role(core_of(sim, hub)) == ROLE_LEADER);
    expect(sim, append(sim, hub, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, copies(sim, 7, 300) == 1);
    scene_end(sim);
}

static void
chained(struct sim *sim)
{
    uint8_t leader, middle, end;
    uint64_t term;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    middle = follower(sim, leader, 1);
    end = follower(sim, leader, 2);
    link_cut(sim, leader, end, true);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    term = core_term(core_of(sim, middle));
    leader = scene_leader(sim);
    for (uint64_t i = 1; i <= 50 && !sim->failed; i++) {
        expect(sim, append(sim, leader, 7, i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        sim_run_for(sim, SIM_TIMEOUT_NS);
    }
    /* No race of terms, and the one who led leads on. */
    expect(sim, core_term(core_of(sim, middle)) <= term + 1 && scene_leader(sim) == leader);
    scene_end(sim);
}

static void
one_way(struct sim *sim, bool out)
{
    uint8_t leader;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint8_t peer = 0; peer < 3; peer++) {
        if (peer != leader)
            network_cut(sim, out ? peer : leader, out ? leader : peer, true);
    }
    eventually(sim, 20 * SIM_TIMEOUT_NS, core_role(core_of(sim, leader)) != ROLE_LEADER);
    eventually(sim, 20 * SIM_TIMEOUT_NS, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    expect(sim, append(sim, sim_leader(sim, LOG), 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_NO_QUORUM);
    scene_end(sim);
}

static void
one_way_out(struct sim *sim)
{
    one_way(sim, true);
}

static void
one_way_in(struct sim *sim)
{
    one_way(sim, false);
}

/* A follower's worker gets no turn for five timeouts; the heartbeats of that time wait in its ring. */
static void
self_paused(struct sim *sim)
{
    uint8_t leader, paused;
    uint64_t term;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    paused = follower(sim, leader, 1);
    term = core_term(core_of(sim, leader));
    node_pause(&sim->nodes[paused], 5 * SIM_TIMEOUT_NS);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS - 1);
    for (int step = 0; step < 300 && !sim->failed; step++) {
        sim_run_for(sim, 100 * US);
        expect(sim, __builtin_popcount(worker_of(sim, paused)->hears) == 3);
        expect(sim, core_role(core_of(sim, paused)) == ROLE_FOLLOWER);
    }
    expect(sim, core_term(core_of(sim, leader)) == term && core_role(core_of(sim, leader)) == ROLE_LEADER);
    scene_end(sim);
}

/* Up and down every one and a half timeouts for a minute. */
static void
flapping_link(struct sim *sim)
{
    uint8_t leader, other;
    uint64_t term, changes = 0;
    enum cairn_mode mode;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    other = follower(sim, leader, 1);
    term = core_term(core_of(sim, leader));
    mode = node_log_of(&sim->nodes[other], LOG)->mode;
    for (uint32_t turn = 0; turn < 4000 && !sim->failed; turn++) {
        link_cut(sim, leader, other, turn % 2 == 0);
        sim_run_for(sim, SIM_TIMEOUT_NS * 3 / 2);
        changes += node_log_of(&sim->nodes[other], LOG)->mode != mode;
        mode = node_log_of(&sim->nodes[other], LOG)->mode;
        if (turn % 100 == 0)
            expect(sim, append(sim, scene_leader(sim), 100 + turn, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    }
    /* The third node holds both: nobody is ever without a majority. */
    expect(sim, changes == 0);
    expect(sim, core_term(core_of(sim, scene_leader(sim))) <= term + 4);
    scene_end(sim);
}

static bool
is_back(const struct sim *sim, uint8_t node)
{
    return node_log_of(&sim->nodes[node], LOG)->mode == CAIRN_MODE_CP;
}

/* All links of a node are up and down, too short to be held steady: its mode does not follow. */
static void
flaps_held_back(struct sim *sim)
{
    uint8_t node = follower(sim, scene_start(sim, 3, CAIRN_POLICY_CP), 1);
    uint32_t changes = 0;
    bool was = is_back(sim, node);

    scene_calm(sim);
    for (uint32_t turn = 0; turn < 400 && !sim->failed; turn++) {
        isolate(sim, node, turn % 2 == 0);
        sim_run_for(sim, SIM_TIMEOUT_NS * 3 / 2);
        changes += is_back(sim, node) != was;
        was = is_back(sim, node);
    }
    expect(sim, changes <= 4);
    scene_end(sim);
}

/* A node's links are up and down, and then up: it is held back for a while, and after some calm not any more. */
static void
flaps_forgotten(struct sim *sim)
{
    uint8_t node = follower(sim, scene_start(sim, 3, CAIRN_POLICY_CP), 1);

    for (uint32_t turn = 0; turn < 80 && !sim->failed; turn++) {
        isolate(sim, node, turn % 2 == 0);
        sim_run_for(sim, (turn % 2 == 0 ? 2 : 30) * SIM_TIMEOUT_NS);
    }
    eventually(sim, 22 * SIM_TIMEOUT_NS, is_back(sim, node));
    sim_run_for(sim, 60 * SIM_TIMEOUT_NS);
    isolate(sim, node, true);
    eventually(sim, 2 * SIM_TIMEOUT_NS, !is_back(sim, node));
    isolate(sim, node, false);
    eventually(sim, 2 * SIM_TIMEOUT_NS, is_back(sim, node));
    scene_end(sim);
}

/* One follower behind a link of a hundredth of the rate and a hundred times the delay. */
static void
slow_link(struct sim *sim)
{
    uint8_t leader, slow;
    uint64_t before_ns, after_ns;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    slow = follower(sim, leader, 1);
    /* What the other follower alone gives. */
    isolate(sim, slow, true);
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    before_ns = sim->now_ns;
    for (uint64_t i = 1; i <= 100; i++)
        expect(sim, append(sim, leader, 7, i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    before_ns = sim->now_ns - before_ns;
    isolate(sim, slow, false);
    sim->links[leader][slow].slow = sim->links[slow][leader].slow = 100;
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    after_ns = sim->now_ns;
    for (uint64_t i = 101; i <= 200; i++)
        expect(sim, append(sim, leader, 7, i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    after_ns = sim->now_ns - after_ns;
    expect(sim, after_ns <= before_ns * 11 / 10);
    /* Under load it falls behind, and nothing grows without bound. */
    append_many(sim, leader, 8, 3000, CAIRN_ACK_MAJORITY);
    expect(sim, scene_leader(sim) == leader);
    expect(sim,
           core_last_lsn(core_of(sim, leader)) - core_commit_lsn(core_of(sim, leader)) <= sim->plan.window_entries);
    expect(sim, sim->frames_free_count > 8000);
    scene_end(sim);
}

/* Five nodes in two halves that share the one in the middle. */
static void
bridge_node(struct sim *sim)
{
    uint8_t committing = 0;

    scene_start(sim, 5, CAIRN_POLICY_CP);
    for (uint8_t i = 0; i < 2; i++) {
        for (uint8_t j = 3; j < 5; j++)
            link_cut(sim, i, j, true);
    }
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    for (uint8_t i = 0; i < 5; i++)
        committing += append(sim, i, 10 + i, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK;
    /* Two leaders of one time would both have answered. */
    expect(sim, committing == 1);
    scene_end(sim);
}

static uint64_t
dropped(const struct sim *sim, uint8_t node, enum flood flood)
{
    static const enum frame_verdict frames[FLOODS] = {
        [FLOOD_HUB] = FRAME_MAC, [FLOOD_BRIDGE] = FRAME_IP, [FLOOD_PORT] = FRAME_PORT, [FLOOD_ASTRAY] = FRAME_SOURCE};
    const struct node *dropping = sim->nodes[node].node;

    if (flood == FLOOD_NAT || flood == FLOOD_IMPOSTOR)
        return dropping->workers[0]->counters.frames_dropped[flood == FLOOD_NAT ? CODEC_TO : CODEC_FROM];
    return dropping->workers[0]->task.dropped[frames[flood]];
}

static uint64_t
all_dropped(const struct sim *sim, uint8_t node)
{
    uint64_t sum = 0;

    for (unsigned flood = 0; flood < FLOODS; flood++)
        sum += dropped(sim, node, (enum flood)flood);
    return sum;
}

/* Every node sees all that any sends, in each way that a network can get wrong whom it is for. Whoever does not look at
 * the layer that tells takes votes and acknowledgements that were another's. */
static void
flooding_segment(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    uint64_t term = core_term(core_of(sim, leader));

    sim->plan.faults = 1u << FAULT_FLOOD;
    sim->plan.flood_ppm = 1000000;
    for (uint32_t flood = 0; flood < FLOODS && !sim->failed; flood++) {
        uint64_t before[3], all[3];

        sim->plan.floods = 1u << flood;
        sim_run_for(sim, MS); /* what the one before has left on its way */
        for (uint8_t i = 0; i < 3; i++) {
            before[i] = dropped(sim, i, (enum flood)flood);
            all[i] = all_dropped(sim, i);
        }
        for (uint64_t i = 1; i <= 20 && !sim->failed; i++)
            expect(sim, append(sim, leader, 7 + flood, i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        for (uint8_t i = 0; i < 3; i++) {
            expect(sim, dropped(sim, i, (enum flood)flood) > before[i]);
            expect(sim, all_dropped(sim, i) - all[i] == dropped(sim, i, (enum flood)flood) - before[i]);
        }
    }
    expect(sim, core_term(core_of(sim, leader)) == term && scene_leader(sim) == leader);
    /* Whose votes are whose. */
    sim->plan.floods = (1u << FLOODS) - 1;
    for (uint64_t i = 1; i <= 10 && !sim->failed; i++) {
        leader = scene_leader(sim);
        expect(sim, append(sim, leader, 70 + i, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        isolate(sim, leader, true);
        expect(sim, append(sim, scene_successor(sim, leader, 20 * SIM_TIMEOUT_NS), 90 + i, 1, CAIRN_ACK_MAJORITY,
                           NULL) == CAIRN_OK);
        isolate(sim, leader, false);
        scene_calm(sim);
    }
    scene_end(sim);
}

const struct scenario scenarios_connectivity[] = {
    {"quorum-loss-star", "the one that everybody reaches leads", quorum_loss_star},
    {"constrained-election", "the only one with a majority leads, though it was behind", constrained_election},
    {"chained", "a chain has a stable leader", chained},
    {"one-way-out", "a leader that hears nobody steps down", one_way_out},
    {"one-way-in", "a leader that nobody hears is replaced, and learns it", one_way_in},
    {"self-paused", "who was not scheduled reads what has arrived, and suspects nobody", self_paused},
    {"flapping-link", "a link up and down for a minute costs next to nothing", flapping_link},
    {"flaps-held-back", "a node whose links flap changes its mode a few times, and then no more", flaps_held_back},
    {"flaps-forgotten", "who flapped is held back for a while, and after some calm not any more", flaps_forgotten},
    {"slow-link", "a slow follower does not slow the majority", slow_link},
    {"flooding-segment", "what is for others, or of others, is told apart at every layer", flooding_segment},
    {"bridge-node", "of two halves that share a node one commits", bridge_node},
    {0},
};
