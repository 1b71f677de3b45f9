/* Current reads at any node of a `ca` log, by a grant of the leader's lease that others must wait for; and answers and
 * promises that come late. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/catalog.h"
#include "sim/life.h"
#include "sim/node.h"
#include "sim/steward.h"

/* From now on the follower has nobody to ask: what it reads, it reads by its grant. */
static void
grant(struct sim *sim, uint8_t node)
{
    uint64_t lsn;

    expect(sim, scene_read(sim, node, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
    lose_from(sim, node, MESSAGE_READ_INDEX);
}

/* What a read at the node shows, it being answered, is no less than what was shown or acknowledged before. */
static bool
reads_no_less(struct sim *sim, uint8_t node, uint64_t shown_lsn)
{
    uint64_t lsn;

    return scene_read(sim, node, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK || lsn >= shown_lsn;
}

static void
read_anywhere(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CA);
    uint64_t lsn = 0;

    for (uint8_t nth = 1; nth < 3; nth++) {
        uint8_t reader = follower(sim, leader, nth);

        grant(sim, reader);
        expect(sim, append(sim, leader, 7, nth, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
        expect(sim, scene_read(sim, reader, CAIRN_READ_POLICY, 1, &lsn) == CAIRN_OK && lsn >= place(sim, 7, nth));
        /* It ends, unless the leader says otherwise. */
        sim_run_for(sim, SIM_TIMEOUT_NS);
        expect(sim, scene_read(sim, reader, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK);
        lose_from(sim, reader, MESSAGE_NONE);
        /* Who reads on is granted anew in time. */
        expect(sim, scene_read(sim, reader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
        for (int i = 0; i < 40; i++) {
            uint64_t asked_ns = sim->now_ns;

            expect(sim, scene_read(sim, reader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
            expect(sim, lsn >= place(sim, 7, nth) && sim->now_ns - asked_ns < MS);
            sim_run_for(sim, SIM_TIMEOUT_NS / 8);
        }
    }
    /* A majority's log grants nothing: any two may agree without the third. */
    set_policy(sim, CAIRN_POLICY_CP);
    scene_calm(sim);
    grant(sim, follower(sim, leader, 1));
    expect(sim, scene_read(sim, follower(sim, leader, 1), CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK);
    lose_from(sim, follower(sim, leader, 1), MESSAGE_NONE);
    scene_end(sim);
}

/* A majority's acknowledgement waits for who may read meanwhile. */
static void
reader_cut_off(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CA), reader = follower(sim, leader, 1);

    for (uint64_t seq = 1; seq <= 4; seq++) {
        grant(sim, reader);
        isolate(sim, reader, true);
        if (append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK)
            expect(sim, reads_no_less(sim, reader, place(sim, 7, seq)));
        isolate(sim, reader, false);
        lose_from(sim, reader, MESSAGE_NONE);
        scene_calm(sim);
        leader = scene_leader(sim);
        reader = follower(sim, leader, 1 + (uint32_t)(seq & 1));
    }
    scene_end(sim);
}

/* What one reader has shown, no other misses, though it may not hold it yet. */
static void
readers_agree(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CA);
    uint8_t near = follower(sim, leader, 1), far = follower(sim, leader, 2);
    uint64_t lsn = 0;

    for (uint64_t seq = 1; seq <= 4; seq++) {
        uint64_t token;
        struct cairn_result result;

        grant(sim, near);
        grant(sim, far);
        lose_to(sim, far, MESSAGE_APPEND);
        token = give(sim, leader, 7, seq, 0, CAIRN_ACK_ALL, 16);
        sim_run_for(sim, MS);
        if (scene_read(sim, near, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK)
            expect(sim, reads_no_less(sim, far, lsn));
        if (scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK)
            expect(sim, reads_no_less(sim, far, lsn));
        lose_to(sim, far, MESSAGE_NONE);
        lose_from(sim, near, MESSAGE_NONE);
        lose_from(sim, far, MESSAGE_NONE);
        eventually(sim, WITHIN, take(sim, leader, token, &result));
        scene_calm(sim);
    }
    scene_end(sim);
}

/* Nor does a new leader acknowledge anything that who was granted by the old one misses. */
static void
reader_and_transfer(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CA), target = follower(sim, leader, 1),
            reader = follower(sim, leader, 2);
    uint64_t lsn;

    grant(sim, reader);
    isolate(sim, reader, true);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, target);
    for (int i = 0; i < 20 && core_role(core_of(sim, target)) != ROLE_LEADER; i++)
        sim_run_for(sim, MS / 2);
    if (append(sim, target, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK)
        expect(sim, reads_no_less(sim, reader, place(sim, 7, 1)));
    isolate(sim, reader, false);
    lose_from(sim, reader, MESSAGE_NONE);
    scene_calm(sim);
    /* Readers who go on do not keep a leader from handing over. */
    leader = scene_leader(sim);
    target = follower(sim, leader, 1);
    reader = follower(sim, leader, 2);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, target);
    for (int i = 0; i < 30; i++) {
        (void)scene_read(sim, reader, CAIRN_READ_LEASE, 1, &lsn);
        sim_run_for(sim, MS);
    }
    expect(sim, core_role(core_of(sim, target)) == ROLE_LEADER);
    scene_end(sim);
}

/* A removed member has what it was granted until it ends. */
static void
reader_removed(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CA), reader = follower(sim, leader, 1);

    grant(sim, reader);
    isolate(sim, reader, true);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_REMOVE, reader);
    sim_run_for(sim, MS);
    if (append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK)
        expect(sim, reads_no_less(sim, reader, place(sim, 7, 1)));
    isolate(sim, reader, false);
    lose_from(sim, reader, MESSAGE_NONE);
    scene_end(sim);
}

/* Stopped between a look at the clock and one at the port: what has come meanwhile is promised from now on, not from when
 * the clock was read. */
static void
paused_in_poll(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t round = 1; round <= 12 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim), promiser = follower(sim, leader, 1), third = follower(sim, leader, 2);
        uint64_t lsn = 0;

        /* It would lead, and asks the other again and again whether it may. */
        link_cut(sim, leader, third, true);
        sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
        node_pause_in_poll(&sim->nodes[promiser], SIM_TIMEOUT_NS * 9 / 10);
        sim_run_for(sim, SIM_TIMEOUT_NS * 8 / 10);
        expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
        isolate(sim, leader, true);
        for (int i = 0; i < 20 && core_role(core_of(sim, third)) != ROLE_LEADER; i++)
            sim_run_for(sim, SIM_TIMEOUT_NS / 20);
        if (append(sim, third, 7, round, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK)
            expect(sim, reads_no_less(sim, leader, place(sim, 7, round)));
        isolate(sim, leader, false);
        link_cut(sim, leader, third, false);
        scene_calm(sim);
        if (place(sim, 7, round) == 0)
            expect(sim, append(sim, scene_leader(sim), 7, round, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    }
    scene_end(sim);
}

/* What a node asked before it died says nothing of what it reads in another life. */
static void
answer_of_a_former_life(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), node = follower(sim, leader, 1);
    uint64_t lsn = 0;

    sim->links[leader][node].extra_ns = 30 * SIM_TIMEOUT_NS;
    expect(sim, scene_ask(sim, node, CAIRN_READ_LINEARIZABLE, 1) != 0);
    sim_run_for(sim, MS);
    sim->links[leader][node].extra_ns = 0;
    node_crash(&sim->nodes[node]);
    node_boot(&sim->nodes[node]);
    eventually(sim, 10 * SIM_TIMEOUT_NS, all_follow(sim));
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    lose_from(sim, node, MESSAGE_READ_INDEX);
    expect(sim, scene_read(sim, node, CAIRN_READ_LINEARIZABLE, 1, &lsn) != CAIRN_OK || lsn >= place(sim, 7, 1));
    lose_from(sim, node, MESSAGE_NONE);
    scene_end(sim);
}

/* Asked again before the first answer has come, a node takes that for what it is: as old as the first question. */
static void
late_answer(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), node = follower(sim, leader, 1);
    struct cairn_result result = {0};
    uint64_t token;

    sim_run_for(sim, SIM_TIMEOUT_NS);
    sim->links[leader][node].extra_ns = 8 * SIM_TIMEOUT_NS / 10;
    token = scene_ask_bounded(sim, node, SIM_TIMEOUT_NS / 2);
    sim_run_for(sim, MS);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, token != 0 && !take(sim, node, token, &result));
    /* That is longer ago than is allowed when the answer comes. */
    sim_run_for(sim, SIM_TIMEOUT_NS * 6 / 10);
    sim->links[leader][node].extra_ns = 0;
    eventually(sim, WITHIN, take(sim, node, token, &result));
    expect(sim, result.error == CAIRN_OK && result.fork_lsn >= place(sim, 7, 1));
    scene_end(sim);
}

/* What a grant let a follower read up to is cut off with its leader: the read ends before it, and soon. */
static void
reader_of_what_is_cut_off(struct sim *sim)
{
    uint8_t old = scene_start(sim, 5, CAIRN_POLICY_CA), reader = follower(sim, old, 1);
    uint64_t token, held_lsn = 0, lsn = core_last_lsn(core_of(sim, old));
    struct cairn_result result = {0};

    scene_calm(sim);
    grant(sim, reader);
    for (uint8_t i = 2; i < 5; i++)
        sim->links[old][follower(sim, old, i)].lost_type = MESSAGE_APPEND;
    for (uint64_t i = 1; i <= 5; i++)
        give(sim, old, 7, i, 0, CAIRN_ACK_ALL, 16);
    eventually(sim, 2 * MS, (held_lsn = core_last_lsn(core_of(sim, reader))) == lsn + 5);
    token = scene_ask(sim, reader, CAIRN_READ_LEASE, 1);
    sim_run_for(sim, MS);
    expect(sim, !take(sim, reader, token, &result));
    /* It is not to lead, by what it holds. */
    lose_from(sim, reader, MESSAGE_PREVOTE);
    isolate(sim, old, true);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, reader)) > lsn);
    expect(sim, core_commit_lsn(core_of(sim, reader)) < held_lsn);
    eventually(sim, 5 * SIM_TIMEOUT_NS, take(sim, reader, token, &result));
    expect(sim, result.error == CAIRN_OK && result.lsn <= lsn + 1);
    lose_from(sim, reader, MESSAGE_NONE);
    scene_end(sim);
}

/* What is to be denied when cut off is denied, and nothing else. */
static void
denied_reads(struct sim *sim)
{
    static const char *const denies[] = {"writes", "reads", "both"};
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), away = follower(sim, leader, 1);

    for (uint32_t i = 0; i < 3 && !sim->failed; i++) {
        char rule[32];
        enum cairn_error wanted = i == 0 ? CAIRN_OK : CAIRN_DENIED;
        uint64_t lsn;

        snprintf(rule, sizeof(rule), "\"deny\":\"%s\"", denies[i]);
        catalog_write(sim, LOG - 1, "set", rule);
        scene_calm(sim);
        expect(sim, scene_read(sim, away, CAIRN_READ_STALE, 1, &lsn) == CAIRN_OK);
        isolate(sim, away, true);
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
        expect(sim, scene_read(sim, away, CAIRN_READ_STALE, 1, &lsn) == wanted);
        expect(sim, scene_read(sim, away, CAIRN_READ_LINEARIZABLE, 1, &lsn) != CAIRN_OK);
        expect(sim, append(sim, away, 7 + i, 1, CAIRN_ACK_LOCAL, NULL) == CAIRN_NO_QUORUM);
        isolate(sim, away, false);
        eventually(sim, WITHIN, all_follow(sim));
    }
    scene_end(sim);
}

/* A member of a `ca` log is cut off, which goes on as `cp`: who asked for all is not told of less. */
static void
all_is_all(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CA), away = follower(sim, leader, 1);
    struct cairn_result result = {0};
    uint64_t policy, all;

    catalog_write(sim, LOG - 1, "set", "\"when_cut\":\"cp\"");
    scene_calm(sim);
    expect(sim, append(sim, leader, 6, 1, CAIRN_ACK_POLICY, &result) == CAIRN_OK && result.ack == CAIRN_ACK_ALL);
    sim->links[leader][away].lost_type = MESSAGE_APPEND;
    policy = give(sim, leader, 7, 1, 0, CAIRN_ACK_POLICY, 16);
    all = give(sim, leader, 8, 1, 0, CAIRN_ACK_ALL, 16);
    sim_run_for(sim, MS);
    isolate(sim, away, true);
    eventually(sim, WITHIN, take(sim, leader, policy, &result));
    expect(sim, result.error == CAIRN_OK && result.ack == CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    expect(sim, !take(sim, leader, all, &result) || result.ack == CAIRN_ACK_ALL);
    sim->links[leader][away].lost_type = MESSAGE_NONE;
    isolate(sim, away, false);
    eventually(sim, WITHIN, take(sim, leader, all, &result));
    expect(sim, result.error == CAIRN_OK && result.ack == CAIRN_ACK_ALL);
    scene_end(sim);
}

const struct scenario scenarios_reads[] = {
    {"ca-read-anywhere", "any node of a ca log answers a current read alone, and not for ever", read_anywhere},
    {"ca-reader-cut-off", "what a majority acknowledges, who may read alone holds", reader_cut_off},
    {"ca-readers-agree", "what one node has shown, no other misses", readers_agree},
    {"ca-reader-and-transfer", "leadership is handed over when nobody reads by its grants any more",
     reader_and_transfer},
    {"ca-reader-removed", "nor is anything agreed on without a removed member that may still read", reader_removed},
    {"reader-of-what-is-cut-off", "a read under a grant ends where the trunk under it is cut off",
     reader_of_what_is_cut_off},
    {"denied-reads", "reads are denied when cut off where the log says so, and nowhere else", denied_reads},
    {"all-is-all", "who asks for all is not answered with a majority", all_is_all},
    {"paused-in-poll", "what is promised after a pause is promised from then on", paused_in_poll},
    {"late-answer", "an answer is as old as the question, however often that was repeated", late_answer},
    {"answer-of-a-former-life", "what a node had asked before it restarted answers no read after it",
     answer_of_a_former_life},
    {0},
};
