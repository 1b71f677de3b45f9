/* Elections and terms. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/steward.h"

/* n3 votes, restarts without its memory, and is asked again in the same term. */
static void
double_vote_restart(struct sim *sim)
{
    uint8_t leader, voter;
    uint64_t term;

    leader = scene_start(sim, 5, CAIRN_POLICY_CP);
    voter = follower(sim, leader, 1);
    term = core_term(core_of(sim, leader));
    isolate(sim, leader, true);
    eventually(sim, WITHIN, core_term(core_of(sim, voter)) > term);
    node_crash(&sim->nodes[voter]);
    sim_run_for(sim, MS);
    node_boot(&sim->nodes[voter]);
    /* check_vote() watches every vote that is given; two leaders of a term are a violation too. */
    scene_successor(sim, leader, WITHIN);
    isolate(sim, leader, false);
    scene_end(sim);
}

/* A vote of a former life arrives late, at a candidate that knows nothing of the new life. */
static void
vote_of_a_former_life(struct sim *sim)
{
    uint8_t leader, candidate, voter;

    leader = scene_start(sim, 5, CAIRN_POLICY_CP);
    candidate = follower(sim, leader, 1);
    voter = follower(sim, leader, 2);
    sim->links[voter][candidate].extra_ns = 60 * MS;
    isolate(sim, leader, true);
    sim_run_for(sim, 25 * MS);
    node_crash(&sim->nodes[voter]);
    node_boot(&sim->nodes[voter]);
    sim_run_for(sim, 200 * MS);
    isolate(sim, leader, false);
    scene_end(sim);
}

static void
stale_leader_append(struct sim *sim)
{
    struct cairn_result result = {0};
    uint8_t old, new;
    uint64_t token, term;

    old = scene_start(sim, 3, CAIRN_POLICY_CP);
    term = core_term(core_of(sim, old));
    /* What it sends arrives long after it has been replaced. */
    for (uint8_t peer = 0; peer < 3; peer++)
        sim->links[old][peer].extra_ns = peer == old ? 0 : 80 * MS;
    token = give(sim, old, 7, 1, 0, CAIRN_ACK_MAJORITY, 16);
    new = scene_successor(sim, old, WITHIN);
    expect(sim, core_term(core_of(sim, new)) > term);
    expect(sim, append(sim, new, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, 200 * MS);
    expect(sim, take(sim, old, token, &result));
    expect(sim, result.error == CAIRN_UNKNOWN);
    expect(sim, copies(sim, 7, 1) == 0);
    scene_end(sim);
}

/* Figure 8 of the paper, letter by letter: in (c) an entry of an earlier term is on a majority; whoever
 * counts it as committed sees it overwritten in (d). */
static void
old_term_commit(struct sim *sim)
{
    uint8_t s1, s5, again;

    /* (a) s1 leads, and one other holds its entry. */
    s1 = scene_start(sim, 5, CAIRN_POLICY_CP);
    for (uint8_t peer = 0; peer < 5; peer++) {
        if (peer != s1 && peer != follower(sim, s1, 1))
            sim->links[s1][peer].lost_type = MESSAGE_APPEND;
    }
    give(sim, s1, 7, 1, 0, CAIRN_ACK_MAJORITY, 16);
    sim_run_for(sim, 2 * MS);
    /* (b) s5 leads with the votes of the rest; nobody else holds its entry. */
    isolate(sim, s1, true);
    isolate(sim, follower(sim, s1, 1), true);
    link_cut(sim, s1, follower(sim, s1, 1), false);
    for (uint8_t node = 0; node < 5; node++)
        lose_from(sim, node, MESSAGE_APPEND);
    s5 = scene_successor(sim, s1, WITHIN);
    sim_run_for(sim, MS);
    /* (c) s5 is gone; one of the first two leads again, and gets the old entry, and no more than that, to
     * two others. */
    network_heal(sim);
    isolate(sim, s5, true);
    for (uint8_t node = 0; node < 2; node++) {
        uint8_t holder = follower(sim, s1, node);

        for (uint8_t peer = 0; peer < 5; peer++) {
            sim->links[holder][peer].lost_type = MESSAGE_APPEND;
            sim->links[holder][peer].pass = peer == s1 || peer == follower(sim, s1, 1) ? 0 : 2;
        }
    }
    eventually(sim, WITHIN, sim_leader(sim, LOG) == s1 || sim_leader(sim, LOG) == follower(sim, s1, 1));
    again = sim_leader(sim, LOG);
    sim_run_for(sim, 3 * MS);
    expect(sim, core_last_lsn(core_of(sim, follower(sim, s1, 2))) >= 2 || s5 == follower(sim, s1, 2));
    expect(sim, copies(sim, 7, 1) == 0);
    /* (d) s5 leads once more, and its entry takes that place. */
    network_heal(sim);
    isolate(sim, again, true);
    isolate(sim, again == s1 ? follower(sim, s1, 1) : s1, true);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == s5);
    scene_end(sim);
}

/* A node that has lost its memory holds again what the leader sent it, and that must not count: it may
 * have voted for another leader, whose votes are still on their way. */
static void
recovering_does_not_count(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t round = 0; round < 32 && !sim->failed; round++) {
        uint8_t a, b, c;

        sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
        eventually(sim, WITHIN, all_follow(sim));
        a = scene_leader(sim);
        c = follower(sim, a, 1);
        b = follower(sim, a, 2);
        /* Neither its request nor its term come to the leader. */
        network_cut(sim, c, a, true);
        sim->links[b][c].extra_ns = 11 * MS + round % 8 * MS;
        steward_ask(sim, a, LOG, CAIRN_MEMBER_TRANSFER, c);
        eventually(sim, 5 * MS, core_term(core_of(sim, b)) > core_term(core_of(sim, a)) || sim->failed);
        node_crash(&sim->nodes[b]);
        node_boot(&sim->nodes[b]);
        /* The leader goes on when the transfer's time is up; only the one without memory can help it. */
        sim->links[a][c].lost_type = MESSAGE_APPEND;
        give(sim, a, 100 + round, 1, 0, CAIRN_ACK_MAJORITY, 16);
        sim_run_for(sim, 40 * MS);
        network_heal(sim);
        eventually(sim, WITHIN, node_log_of(&sim->nodes[b], LOG) != NULL && !core_recovering(core_of(sim, b)));
        scene_leader(sim);
    }
    scene_end(sim);
}

static void
prevote_rejoin(struct sim *sim)
{
    uint8_t leader, away;
    uint64_t term;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    away = follower(sim, leader, 1);
    term = core_term(core_of(sim, leader));
    isolate(sim, away, true);
    sim_run_for(sim, 50 * SIM_TIMEOUT_NS);
    isolate(sim, away, false);
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    expect(sim, core_term(core_of(sim, leader)) == term && core_role(core_of(sim, leader)) == ROLE_LEADER);
    expect(sim, core_term(core_of(sim, away)) == term && core_leader(core_of(sim, away)) == leader);
    scene_end(sim);
}

/* One follower loses sight of the leader alone, and asks again and again: it is not helped. */
static void
prevote_loyalty(struct sim *sim)
{
    uint8_t leader, away;
    uint64_t term;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    away = follower(sim, leader, 1);
    term = core_term(core_of(sim, leader));
    link_cut(sim, leader, away, true);
    sim_run_for(sim, 50 * SIM_TIMEOUT_NS);
    expect(sim, core_term(core_of(sim, leader)) == term && core_role(core_of(sim, leader)) == ROLE_LEADER);
    scene_end(sim);
}

/* Its grants of one round come when it asks in another, later one. */
static void
prevote_stale_grants(struct sim *sim)
{
    uint8_t leader, asker, other;
    uint64_t term;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    asker = follower(sim, leader, 1);
    other = follower(sim, leader, 2);
    term = core_term(core_of(sim, leader));
    /* Neither hears the leader for a moment; the grant to the asker is on its way for long. */
    sim->links[other][asker].extra_ns = 40 * MS;
    sim->links[asker][other].lost_type = MESSAGE_PREVOTE_REPLY;
    sim->links[asker][leader].lost_type = sim->links[other][leader].lost_type = MESSAGE_PREVOTE;
    network_cut(sim, leader, asker, true);
    network_cut(sim, leader, other, true);
    eventually(sim, WITHIN, core_role(core_of(sim, asker)) == ROLE_PRECANDIDATE);
    sim_run_for(sim, 200 * US);
    /* The leader is heard again by the other alone, and leads on; the asker asks anew, round after round. */
    network_cut(sim, leader, other, false);
    for (int step = 0; step < 100 && !sim->failed; step++) {
        sim_run_for(sim, MS);
        expect(sim, core_role(core_of(sim, asker)) != ROLE_CANDIDATE);
    }
    expect(sim, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    expect(sim, core_term(core_of(sim, asker)) <= core_term(core_of(sim, sim_leader(sim, LOG))));
    expect(sim, core_term(core_of(sim, asker)) <= term + 1);
    scene_end(sim);
}

/* A node with a higher term and a shorter log, two with a lower term. */
static void
prevote_higher_term_deadlock(struct sim *sim)
{
    uint8_t leader, first, second;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    first = follower(sim, leader, 1);
    second = follower(sim, leader, 2);
    /* first and second elect one of them, which is cut off from the other before that holds its entry. */
    isolate(sim, leader, true);
    sim->links[first][second].lost_type = sim->links[second][first].lost_type = MESSAGE_APPEND;
    eventually(sim, WITHIN, core_term(core_of(sim, first)) > core_term(core_of(sim, leader)));
    sim_run_for(sim, 2 * MS);
    network_heal(sim);
    isolate(sim, core_role(core_of(sim, first)) == ROLE_LEADER ? first : second, true);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader || core_commit_lsn(core_of(sim, leader)) > 2);
    scene_end(sim);
}

static void
disruptive_removed(struct sim *sim)
{
    uint8_t leader, removed;
    uint64_t term;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    removed = follower(sim, leader, 1);
    isolate(sim, removed, true);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, removed) == CAIRN_OK);
    term = core_term(core_of(sim, leader));
    /* It does not know, and campaigns. */
    isolate(sim, removed, false);
    sim_run_for(sim, 50 * SIM_TIMEOUT_NS);
    expect(sim, core_term(core_of(sim, leader)) == term && core_role(core_of(sim, leader)) == ROLE_LEADER);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    scene_end(sim);
}

static void
split_vote_storm(struct sim *sim)
{
    uint64_t highest = 0;

    scene_start(sim, 5, CAIRN_POLICY_CP);
    for (int round = 0; round < 50 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim);
        uint64_t term = core_term(core_of(sim, leader));

        /* All lose the leader at once. */
        isolate(sim, leader, true);
        expect(sim, core_term(core_of(sim, scene_successor(sim, leader, 20 * SIM_TIMEOUT_NS))) <= term + 10);
        isolate(sim, leader, false);
    }
    if (!sim->failed)
        highest = core_term(core_of(sim, scene_leader(sim)));
    expect(sim, highest < 200);
    scene_end(sim);
}

static void
equal_timeouts(struct sim *sim)
{
    sim->equal_seeds = true;
    scene_start(sim, 5, CAIRN_POLICY_CP);
    for (int round = 0; round < 5 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim);

        isolate(sim, leader, true);
        scene_successor(sim, leader, WITHIN);
        isolate(sim, leader, false);
    }
    scene_end(sim);
}

static void
learner_never_leads(struct sim *sim)
{
    uint8_t leader, learner;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    learner = follower(sim, leader, 1);
    expect(sim, member(sim, CAIRN_MEMBER_REMOVE, learner) == CAIRN_OK);
    expect(sim, member(sim, CAIRN_MEMBER_ADD, learner) == CAIRN_OK);
    expect(sim, member(sim, CAIRN_MEMBER_TRANSFER, learner) == CAIRN_INVALID);
    /* Both voters fall silent: it does not step in. */
    isolate(sim, leader, true);
    isolate(sim, follower(sim, leader, 2), true);
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    expect(sim, core_role(core_of(sim, learner)) == ROLE_FOLLOWER);
    isolate(sim, leader, false);
    isolate(sim, follower(sim, leader, 2), false);
    scene_leader(sim);
    eventually(sim, WITHIN, member(sim, CAIRN_MEMBER_PROMOTE, learner) == CAIRN_OK);
    scene_lead(sim, learner);
    scene_end(sim);
}

/* Catch-up of one node fails again and again; the others go on serving and hold no elections. */
static void
retry_pauses(struct sim *sim)
{
    uint8_t leader, lost;
    uint64_t term, messages;

    sim->plan.segment_bytes = 64u << 10;
    sim->plan.retain_bytes = 128u << 10;
    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    lost = follower(sim, leader, 1);
    isolate(sim, lost, true);
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    append_many(sim, leader, 7, 4000, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 10 * MS);
    expect(sim, core_base_lsn(core_of(sim, leader)) > core_last_lsn(core_of(sim, lost)));
    /* It is back, but what it needs never arrives. */
    isolate(sim, lost, false);
    sim->links[leader][lost].lost_type = MESSAGE_BASE;
    term = core_term(core_of(sim, leader));
    messages = sim->counts.messages;
    sim_run_for(sim, 1000 * MS);
    expect(sim, core_term(core_of(sim, leader)) == term);
    expect(sim, sim->counts.messages - messages < 1000 * 20);
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    scene_end(sim);
}

static void
two_stop_one_returns(struct sim *sim)
{
    uint8_t leader, first, second;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    first = follower(sim, leader, 1);
    second = follower(sim, leader, 2);
    node_pause(&sim->nodes[first], 400 * MS);
    node_pause(&sim->nodes[second], 100 * MS);
    sim_run_for(sim, 50 * MS);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_NO_QUORUM);
    sim_run_for(sim, 60 * MS);
    eventually(sim, 6 * SIM_TIMEOUT_NS,
               sim_leader(sim, LOG) != CAIRN_NODE_NONE &&
                   append(sim, sim_leader(sim, LOG), 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    scene_end(sim);
}

/* Its campaign reached nobody, and nobody appends anything by which the leader would hear of it. */
static void
idle_higher_term(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), ahead = follower(sim, leader, 1);

    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    lose_from(sim, ahead, MESSAGE_VOTE);
    steward_ask(sim, leader, LOG, CAIRN_MEMBER_TRANSFER, ahead);
    eventually(sim, WITHIN, core_role(core_of(sim, ahead)) == ROLE_CANDIDATE);
    expect(sim, core_role(core_of(sim, leader)) == ROLE_LEADER);
    expect(sim, core_term(core_of(sim, leader)) < core_term(core_of(sim, ahead)));
    lose_from(sim, ahead, MESSAGE_NONE);
    eventually(sim, WITHIN, core_leader(core_of(sim, ahead)) != CAIRN_NODE_NONE);
    eventually(sim, WITHIN, all_follow(sim));
    scene_end(sim);
}

const struct scenario scenarios_elections[] = {
    {"double-vote-restart", "a node that restarts does not vote twice in a term", double_vote_restart},
    {"vote-of-a-former-life", "a vote given before a restart does not count after it", vote_of_a_former_life},
    {"stale-leader-append", "delayed appends of a deposed leader are refused", stale_leader_append},
    {"old-term-commit", "entries of earlier terms are not committed by counting", old_term_commit},
    {"recovering-does-not-count", "what a node without its memory acknowledges commits nothing",
     recovering_does_not_count},
    {"prevote-rejoin", "a node that was away does not depose the leader", prevote_rejoin},
    {"prevote-loyalty", "who hears the leader does not help to depose it", prevote_loyalty},
    {"prevote-stale-grants", "pre-vote answers of an earlier round do not count", prevote_stale_grants},
    {"prevote-higher-term-deadlock", "mixed terms and logs find a leader", prevote_higher_term_deadlock},
    {"disruptive-removed", "a removed node that does not know it disturbs nobody", disruptive_removed},
    {"split-vote-storm", "fifty elections of five nodes, each within a bound", split_vote_storm},
    {"equal-timeouts", "nodes with one random stream find a leader", equal_timeouts},
    {"idle-higher-term", "a node whose term is ahead of an idle log's leader gets a leader again", idle_higher_term},
    {"learner-never-leads", "a learner does not lead before it is promoted", learner_never_leads},
    {"retry-pauses", "catch-up that fails again and again disturbs nobody", retry_pauses},
    {"two-stop-one-returns", "with one of two back service goes on", two_stop_one_returns},
    {0},
};
