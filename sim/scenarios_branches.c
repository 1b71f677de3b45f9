/* Partition modes and branches. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/clients.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"

/* The CAP example: three branches of a bank, one cut off. */
static void
bank(struct sim *sim)
{
    uint64_t lsn;
    uint8_t cut = 2, leader;

    scene_start(sim, 3, CAIRN_POLICY_CA);
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    isolate(sim, cut, true);
    sim_run_for(sim, SIM_TIMEOUT_NS + 5 * MS);
    /* ca: every write is refused, everywhere. */
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, append(sim, i, 10 + i, 1, CAIRN_ACK_POLICY, NULL) == CAIRN_NO_QUORUM);
    isolate(sim, cut, false);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    set_policy(sim, CAIRN_POLICY_CP);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[cut], LOG)->rules.policy == CAIRN_POLICY_CP);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    isolate(sim, cut, true);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    /* cp: the cut-off branch refuses, and shows no old balance as the newest. */
    leader = scene_leader(sim);
    expect(sim, append(sim, leader, 20, 1, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    expect(sim, append(sim, cut, 21, 1, CAIRN_ACK_POLICY, NULL) == CAIRN_NO_QUORUM);
    expect(sim, scene_read(sim, cut, CAIRN_READ_LINEARIZABLE, 1, &lsn) != CAIRN_OK);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LINEARIZABLE, 1, &lsn) == CAIRN_OK && lsn >= place(sim, 20, 1));
    scene_end(sim);
    expect(sim, copies(sim, 21, 1) == 0 && copies(sim, 10, 1) == 0);
}

/* All three isolated, posts everywhere, healed in every order. */
static void
social(struct sim *sim)
{
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    uint64_t base = 100;

    scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    for (int round = 0; round < 12 && !sim->failed; round++, base += 10) {
        const uint8_t *order = orders[round % 6];

        if (round == 6) {
            set_policy(sim, CAIRN_POLICY_AP);
            eventually(sim, WITHIN, node_log_of(&sim->nodes[2], LOG)->rules.policy == CAIRN_POLICY_AP);
        }
        for (uint8_t i = 0; i < 3; i++)
            isolate(sim, i, true);
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
        for (uint64_t post = 1; post <= 20; post++) {
            for (uint8_t i = 0; i < 3; i++) {
                struct cairn_result result = {0};

                expect(sim, append(sim, i, base + i, post, CAIRN_ACK_POLICY, &result) == CAIRN_OK);
                expect(sim, result.on_branch || result.ack == CAIRN_ACK_LOCAL);
            }
        }
        for (uint8_t i = 0; i < 3; i++) {
            isolate(sim, order[i], false);
            sim_run_for(sim, (uint64_t)(round % 4) * 12 * MS);
        }
        network_heal(sim);
        eventually(sim, WITHIN,
                   copies(sim, base, 20) == 1 && copies(sim, base + 1, 20) == 1 && copies(sim, base + 2, 20) == 1);
        for (uint8_t i = 0; i < 3; i++) {
            for (uint64_t post = 2; post <= 20; post++)
                expect(sim, place(sim, base + i, post) > place(sim, base + i, post - 1));
        }
        scene_calm(sim);
    }
    scene_end(sim);
}

static void
local_ack_deposed(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t round = 0; round < 2 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim);
        struct cairn_result result = {0};

        lose_from(sim, leader, MESSAGE_APPEND);
        for (uint64_t i = 1; i <= 5; i++)
            expect(sim, append(sim, leader, 10 + round, i, CAIRN_ACK_LOCAL, &result) == CAIRN_OK);
        isolate(sim, leader, true);
        scene_successor(sim, leader, WITHIN);
        expect(sim, copies(sim, 10 + round, 1) == 0);
        network_heal(sim);
        eventually(sim, WITHIN, copies(sim, 10 + round, 5) == 1);
        for (uint64_t i = 1; i <= 5; i++)
            expect(sim, copies(sim, 10 + round, i) == 1);
        set_policy(sim, CAIRN_POLICY_ADAPTIVE);
        sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    }
    scene_end(sim);
}

/* Cut off, with 50 entries of the producer on its branch. */
static uint8_t
with_branch(struct sim *sim, uint32_t nodes, uint64_t producer)
{
    uint8_t leader, cut;

    leader = scene_start(sim, nodes, CAIRN_POLICY_ADAPTIVE);
    cut = follower(sim, leader, 1);
    isolate(sim, cut, true);
    eventually(sim, WITHIN, scene_mode(sim, cut) == CAIRN_MODE_AP);
    for (uint64_t i = 1; i <= 50; i++)
        expect(sim, append(sim, cut, producer, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    return cut;
}

/* Who leads puts its own branch on the trunk, in as many batches as it takes. */
static void
leader_with_branch(struct sim *sim)
{
    uint8_t cut = with_branch(sim, 3, 7);

    for (uint64_t i = 51; i <= 6000; i++)
        expect(sim, append(sim, cut, 7, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    lose_from(sim, cut, MESSAGE_HAND_OFF);
    isolate(sim, cut, false);
    scene_lead(sim, cut);
    eventually(sim, WITHIN, copies(sim, 7, 6000) == 1);
    lose_from(sim, cut, MESSAGE_NONE);
    scene_end(sim);
    for (uint64_t i = 1; i <= 6000; i++)
        expect(sim, copies(sim, 7, i) == 1);
}

static void
expect_once(struct sim *sim, uint64_t producer)
{
    for (uint64_t i = 1; i <= 50; i++)
        expect(sim, copies(sim, producer, i) == 1);
}

static void
hand_off_repeated(struct sim *sim, uint64_t producer)
{
    uint8_t cut = with_branch(sim, 3, producer), leader = scene_leader(sim);

    /* The hand-off arrives; that it did is long on its way back, and then the leader changes. */
    sim->links[leader][cut].extra_ns = 60 * MS;
    isolate(sim, cut, false);
    eventually(sim, WITHIN, copies(sim, producer, 50) >= 1);
    sim_run_for(sim, 40 * MS);
    isolate(sim, leader, true);
    scene_successor(sim, leader, WITHIN);
    scene_end(sim);
    expect_once(sim, producer);
}

/* Of a producer that the log knows, and of nobody, where the origin's mark alone can tell. */
static void
hand_off_twice(struct sim *sim)
{
    hand_off_repeated(sim, 7);
}

static void
hand_off_twice_anonymous(struct sim *sim)
{
    hand_off_repeated(sim, ANONYMOUS + 7);
}

/* A client repeats at the majority what stands on the branch already. */
static void
hand_off_two_holders(struct sim *sim)
{
    uint8_t cut = with_branch(sim, 3, 7), leader = scene_leader(sim);

    for (uint64_t i = 1; i <= 25; i++)
        expect(sim, append(sim, leader, 7, i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    isolate(sim, cut, false);
    scene_end(sim);
    expect_once(sim, 7);
}

/* A cut inside the minority; outer and inner heal in either order. */
static void
nested_cut(struct sim *sim)
{
    for (int round = 0; round < 2 && !sim->failed; round++) {
        uint8_t a, b;

        if (round == 0)
            scene_start(sim, 5, CAIRN_POLICY_ADAPTIVE);
        a = follower(sim, scene_leader(sim), 1);
        b = follower(sim, scene_leader(sim), 2);
        for (uint8_t i = 0; i < 5; i++) {
            if (i != a && i != b) {
                link_cut(sim, i, a, true);
                link_cut(sim, i, b, true);
            }
        }
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
        link_cut(sim, a, b, true);
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
        for (uint64_t i = 1; i <= 20; i++) {
            expect(sim, append(sim, a, 100 + (uint64_t)round, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
            expect(sim, append(sim, b, 200 + (uint64_t)round, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
        }
        if (round == 1)
            link_cut(sim, a, b, false);
        for (uint8_t i = 0; i < 5; i++) {
            if (i != a && i != b) {
                link_cut(sim, i, a, false);
                link_cut(sim, i, b, false);
            }
        }
        sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
        if (round == 0)
            link_cut(sim, a, b, false);
        eventually(sim, WITHIN,
                   copies(sim, 100 + (uint64_t)round, 20) == 1 && copies(sim, 200 + (uint64_t)round, 20) == 1);
        sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    }
    scene_end(sim);
}

static void
cut_while_merging(struct sim *sim)
{
    bool merging = false, ap = false;
    uint8_t leader, cut;

    leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    cut = follower(sim, leader, 1);
    isolate(sim, cut, true);
    eventually(sim, WITHIN, scene_mode(sim, cut) == CAIRN_MODE_AP);
    for (uint64_t i = 1; i <= 3000; i++) {
        give(sim, cut, 7, i, 0, CAIRN_ACK_POLICY, 300);
        if (i % 32 == 0)
            sim_run_for(sim, 200 * US);
    }
    sim_run_for(sim, 5 * MS);
    /* It takes a while: the way back is slow. */
    sim->links[cut][leader].slow = 40;
    isolate(sim, cut, false);
    eventually(sim, WITHIN, scene_mode(sim, cut) == CAIRN_MODE_MERGING);
    merging = scene_mode(sim, cut) == CAIRN_MODE_MERGING;
    sim_run_for(sim, 2 * MS);
    expect(sim, copies(sim, 7, 3000) == 0);
    isolate(sim, cut, true);
    eventually(sim, WITHIN, scene_mode(sim, cut) == CAIRN_MODE_AP);
    ap = scene_mode(sim, cut) == CAIRN_MODE_AP;
    isolate(sim, cut, false);
    eventually(sim, WITHIN, scene_mode(sim, cut) == CAIRN_MODE_MERGING || copies(sim, 7, 3000) == 1);
    expect(sim, merging && ap);
    scene_end(sim);
    for (uint64_t i = 1; i <= 3000; i += 50)
        expect(sim, copies(sim, 7, i) == 1);
}

/* Appends at every moment around the one at which the mode changes: each is answered once. */
static void
switch_race(struct sim *sim)
{
    uint64_t tokens[400];
    uint8_t answers[400] = {0};
    uint8_t leader;

    leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    isolate(sim, leader, true);
    sim_run_for(sim, SIM_TIMEOUT_NS - 3 * MS);
    for (uint64_t i = 0; i < 400 && !sim->failed; i++) {
        tokens[i] = give(sim, leader, 1000 + i, 1, 0, CAIRN_ACK_POLICY, 16);
        sim_run_for(sim, 20 * US);
    }
    for (int step = 0; step < 2000 && !sim->failed; step++) {
        struct cairn_result result = {0};

        node_want_poll(&sim->nodes[leader], US);
        while (cairn_poll(sim->scene_clients[leader].client, &result) > 0) {
            for (uint32_t i = 0; i < 400; i++)
                answers[i] = (uint8_t)(answers[i] + (tokens[i] == result.token));
        }
        sim_run_for(sim, 100 * US);
    }
    for (uint32_t i = 0; i < 400 && !sim->failed; i++)
        expect(sim, answers[i] == 1);
    scene_end(sim);
    for (uint64_t i = 0; i < 400 && !sim->failed; i++)
        expect(sim, copies(sim, 1000 + i, 1) == 1);
}

/* Of five nodes two are cut off; what one of them accepts reaches the other, and then it dies for good. */
static void
origin_dies(struct sim *sim)
{
    uint8_t origin, holder;

    scene_start(sim, 5, CAIRN_POLICY_ADAPTIVE);
    origin = follower(sim, scene_leader(sim), 1);
    holder = follower(sim, scene_leader(sim), 2);
    cut_pair(sim, origin, holder);
    eventually(sim, WITHIN, scene_mode(sim, origin) == CAIRN_MODE_AP && scene_mode(sim, holder) == CAIRN_MODE_AP);
    for (uint64_t i = 1; i <= 50; i++) {
        expect(sim, append(sim, origin, 7, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
        expect(sim, append(sim, holder, 8, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    }
    eventually(sim, WITHIN, node_log_of(&sim->nodes[holder], LOG)->branches[origin].entries == 50);
    node_crash(&sim->nodes[origin]);
    for (uint8_t i = 0; i < 5; i++) {
        if (i != origin && i != holder)
            link_cut(sim, i, holder, false);
    }
    eventually(sim, WITHIN, copies(sim, 7, 50) == 1 && copies(sim, 8, 50) == 1);
    for (uint64_t i = 2; i <= 50; i++)
        expect(sim, place(sim, 7, i) > place(sim, 7, i - 1));
    scene_end(sim);
    expect_once(sim, 7);
    expect_once(sim, 8);
}

/* Batches to the holder are lost: its copy must not have a hole. */
static void
copy_without_holes(struct sim *sim)
{
    uint8_t origin, holder;

    scene_start(sim, 5, CAIRN_POLICY_ADAPTIVE);
    origin = follower(sim, scene_leader(sim), 1);
    holder = follower(sim, scene_leader(sim), 2);
    cut_pair(sim, origin, holder);
    eventually(sim, WITHIN, scene_mode(sim, origin) == CAIRN_MODE_AP && scene_mode(sim, holder) == CAIRN_MODE_AP);
    /* The first ten do not arrive, what follows does; then the origin dies before it sends anything again. */
    lose_from(sim, origin, MESSAGE_SPREAD);
    for (uint64_t i = 1; i <= 10; i++)
        expect(sim, append(sim, origin, 7, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    lose_from(sim, origin, MESSAGE_NONE);
    expect(sim, append(sim, origin, 7, 11, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    sim_run_for(sim, 100 * US);
    node_crash(&sim->nodes[origin]);
    network_heal(sim);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    for (uint64_t i = 2; i <= 11; i++)
        expect(sim, copies(sim, 7, i) == 0 || copies(sim, 7, i - 1) == 1);
    scene_end(sim);
}

static bool
has_policy(const struct sim *sim, uint8_t node, enum cairn_policy policy)
{
    return node_log_of(&sim->nodes[node], LOG)->rules.policy == policy;
}

static void
policy_change_cut(struct sim *sim)
{
    uint8_t cut = with_branch(sim, 3, 7);

    /* Whoever asked for it first may be the one that is cut off. */
    for (int tries = 0; tries < 10 && !has_policy(sim, scene_leader(sim), CAIRN_POLICY_CP); tries++) {
        client_die(sim, &sim->clients[SIM_CLIENTS]);
        sim_run_for(sim, WITHIN / 10);
        set_policy(sim, CAIRN_POLICY_CP);
        sim_run_for(sim, WITHIN / 10);
    }
    expect(sim, has_policy(sim, scene_leader(sim), CAIRN_POLICY_CP));
    expect(sim, scene_mode(sim, cut) == CAIRN_MODE_AP);
    isolate(sim, cut, false);
    scene_end(sim);
    expect(sim, node_log_of(&sim->nodes[cut], LOG)->rules.policy == CAIRN_POLICY_CP);
    expect_once(sim, 7);
}

const struct scenario scenarios_branches[] = {
    {"bank", "ca refuses every write while one is cut off, cp the cut-off side's", bank},
    {"social", "posts of three isolated nodes, each once, in every order of healing", social},
    {"local-ack-deposed", "what a deposed leader acknowledged alone returns by its branch", local_ack_deposed},
    {"leader-with-branch", "a leader puts its own branch on the trunk before anything new", leader_with_branch},
    {"hand-off-twice", "a hand-off that is repeated to another leader is taken once", hand_off_twice},
    {"hand-off-twice-anonymous", "nor entries that no producer numbered", hand_off_twice_anonymous},
    {"hand-off-two-holders", "what comes by a repeat and by a branch is taken once", hand_off_two_holders},
    {"origin-dies", "a branch whose origin dies reaches the trunk through who holds a copy", origin_dies},
    {"copy-without-holes", "a copy of a branch is never taken behind a gap", copy_without_holes},
    {"nested-cut", "a cut inside the minority, healed in either order", nested_cut},
    {"cut-while-merging", "a merge that is cut resumes", cut_while_merging},
    {"switch-race", "an append at the moment the mode changes is answered once", switch_race},
    {"policy-change-cut", "a branch merges also when the policy has changed meanwhile", policy_change_cut},
    {0},
};
