/* Histories that contradict each other: what stops by that, and how it goes on by a decision. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/catalog.h"
#include "sim/checker.h"
#include "sim/clients.h"
#include "sim/damage.h"
#include "sim/decisions.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/random.h"
#include "sim/steward.h"

#define SETTLED_NS (300 * MS)
#define QUIET_NS (60 * SIM_TIMEOUT_NS)

static bool
stopped(struct sim *sim, uint8_t node, enum core_stop stop)
{
    return node_is_up(&sim->nodes[node]) && node_log_of(&sim->nodes[node], LOG) != NULL &&
           core_stopped(core_of(sim, node)) == stop;
}

static bool
all_stopped(struct sim *sim)
{
    return stopped(sim, 0, STOP_LOG) && stopped(sim, 1, STOP_LOG) && stopped(sim, 2, STOP_LOG);
}

/* As if its leader had another entry where that one was committed. */
static void
contradict(struct sim *sim, uint8_t leader, uint8_t to)
{
    struct codec codec = worker_of(sim, leader)->codec;
    const struct core *core = core_of(sim, leader);
    struct message message = {
        .type = MESSAGE_APPEND, .from = leader, .to = to, .term = core_term(core), .incarnation = codec.incarnation};
    const struct block none = {0};
    uint8_t bytes[PORT_FRAME_BYTES];

    message.append.prev_lsn = core_commit_lsn(core);
    message.append.prev_term = core_term(core) - 1;
    message.append.last_term = core_term(core);
    network_forge(sim, leader, to, bytes,
                  codec_encode_entries(&codec, sim->log_ids[LOG], &message, &none, NULL, 0, 0, 0, bytes));
}

/* What was committed here is another entry there. All nodes stop the log, in this life and the next, until somebody decides;
 * the catalog, and other logs, go on. */
static void
contradiction_stops_the_log(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), other;
    uint64_t lsn;

    scene_lead(sim, follower(sim, leader, 1));
    leader = scene_leader(sim);
    other = follower(sim, leader, 1);
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    sim->contradicted = true;
    contradict(sim, leader, other);
    eventually(sim, WITHIN, all_stopped(sim));
    expect(sim, append(sim, leader, 7, 6, CAIRN_ACK_MAJORITY, NULL) == CAIRN_STOPPED);
    expect(sim, scene_read(sim, other, CAIRN_READ_STALE, 1, &lsn) == CAIRN_STOPPED);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    for (uint8_t i = 0; i < 3; i++)
        node_boot(&sim->nodes[i]);
    eventually(sim, WITHIN, all_stopped(sim) && sim_leader(sim, 0) != CAIRN_NODE_NONE);
    give_up_others(sim, leader);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    all_vote_again(sim, leader);
    expect(sim, append(sim, leader, 7, 6, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 6);
}

static bool
all_follow_catalog(struct sim *sim)
{
    uint8_t leader = sim_leader(sim, 0);

    for (uint8_t i = 0; i < 3; i++) {
        if (!node_is_up(&sim->nodes[i]) || node_log_of(&sim->nodes[i], LOG) == NULL ||
            core_leader(node_log_of(&sim->nodes[i], 0)->core) != leader)
            return false;
    }
    return leader != CAIRN_NODE_NONE;
}

/* Seven entries are agreed on, of which a third, cut off, has five; and then the log has stopped on all. Returns who has five. */
static uint8_t
stop_with_one_behind(struct sim *sim, uint8_t *one, uint8_t *other)
{
    uint8_t behind;

    *one = scene_start_on_disk(sim, 3);
    scene_lead(sim, follower(sim, *one, 1));
    *one = scene_leader(sim);
    *other = follower(sim, *one, 1);
    behind = follower(sim, *one, 2);
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, *one, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    isolate(sim, behind, true);
    for (uint64_t seq = 6; seq <= 7; seq++)
        expect(sim, append(sim, *one, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    sim->contradicted = true;
    contradict(sim, *one, *other);
    eventually(sim, WITHIN, stopped(sim, *one, STOP_LOG) && stopped(sim, *other, STOP_LOG));
    isolate(sim, behind, false);
    eventually(sim, WITHIN, all_stopped(sim) && all_follow_catalog(sim));
    /* They keep it. */
    sim_run_for(sim, SETTLED_NS);
    return behind;
}

/* `cairn log adopt a --from NODE`, as the command has it. */
static void
adopt(struct sim *sim, uint8_t from)
{
    uint64_t term = 0;
    char choice[96];

    for (uint8_t i = 0; i < 3; i++) {
        if (node_is_up(&sim->nodes[i]) && core_term(core_of(sim, i)) > term)
            term = core_term(core_of(sim, i));
    }
    if (node_is_up(&sim->nodes[from]))
        checker_adopt(sim, LOG, from);
    sim->decided_term = term_decided(term);
    snprintf(choice, sizeof(choice), "\"from\":\"n%u\",\"term\":%lu", from + 1, (unsigned long)term_decided(term));
    catalog_write(sim, LOG - 1, "adopt", choice);
}

/* For whom it is decided, as that node knows; CAIRN_NODE_NONE: for nobody. */
static uint8_t
decided(const struct sim *sim, uint8_t node)
{
    const struct log_rules *rules = &node_log_of(&sim->nodes[node], LOG)->rules;

    return rules->adopted_term == 0 ? CAIRN_NODE_NONE : rules->adopted_from;
}

static bool
leads_alone(struct sim *sim, uint8_t node)
{
    return sim_leader(sim, LOG) == node && stopped(sim, node, STOP_NONE);
}

static bool
none_stopped(struct sim *sim)
{
    return stopped(sim, 0, STOP_NONE) && stopped(sim, 1, STOP_NONE) && stopped(sim, 2, STOP_NONE);
}

/* It goes on from who has five, in this life and the next ones: the two that others have are given up, and taken anew. */
static void
go_on_from(struct sim *sim, uint8_t leader, uint64_t next_seq)
{
    eventually(sim, WITHIN, leads_alone(sim, leader));
    expect(sim, append(sim, leader, 7, next_seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    eventually(sim, WITHIN, none_stopped(sim));
    all_vote_again(sim, leader);
    for (uint64_t seq = next_seq + 1; seq <= 10; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    for (uint8_t i = 0; i < 3; i++)
        node_boot(&sim->nodes[i]);
    eventually(sim, WITHIN, none_stopped(sim) && sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, scene_votes(sim, LOG, i));
    expect(sim, append(sim, scene_leader(sim), 7, 11, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 11);
}

/* Whose history goes on is decided for that log; the catalog, and the others, never stop. */
static void
adopted_history_goes_on(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    adopt(sim, behind);
    go_on_from(sim, behind, 6);
}

/* All restart at some time while it is carried out, more than once. */
static void
adopted_through_restarts(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    adopt(sim, behind);
    for (uint32_t i = 0; i < 3; i++) {
        sim_run_for(sim, random_under(&sim->changes, 12 * MS));
        for (uint8_t node = 0; node < 3; node++)
            node_crash(&sim->nodes[node]);
        for (uint8_t node = 0; node < 3; node++)
            node_boot(&sim->nodes[node]);
        eventually(sim, WITHIN, all_follow_catalog(sim));
    }
    /* Who gave the command may have been told that nothing came of it. */
    sim_run_for(sim, SETTLED_NS);
    if (node_log_of(&sim->nodes[behind], LOG)->rules.adopted_term == 0)
        adopt(sim, behind);
    go_on_from(sim, behind, 6);
}

/* One restarts when it has given up what it held, durably, and holds nothing of what was decided for: it takes that anew. */
static void
adopted_and_restarted_within(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    if (sim_leader(sim, 0) != one)
        steward_ask(sim, sim_leader(sim, 0), 0, CAIRN_MEMBER_TRANSFER, one);
    eventually(sim, WITHIN, sim_leader(sim, 0) == one && all_follow_catalog(sim));
    sim->links[behind][other].lost_type = MESSAGE_APPEND;
    adopt(sim, behind);
    eventually(sim, WITHIN,
               leads_alone(sim, behind) && stopped(sim, other, STOP_NONE) && core_recovering(core_of(sim, other)));
    sim_run_for(sim, SETTLED_NS);
    expect(sim, core_recovering(core_of(sim, other)) && core_last_lsn(core_of(sim, other)) == 0);
    node_crash(&sim->nodes[other]);
    node_boot(&sim->nodes[other]);
    eventually(sim, WITHIN, all_follow_catalog(sim));
    sim->links[behind][other].lost_type = 0;
    go_on_from(sim, behind, 6);
}

/* One is away while it is decided, and comes back with what was given up, and with its word that the log has stopped. The other has
 * begun anew and learned nothing yet, not even who votes now: it does not believe that word, and elects nobody with it. */
static void
adopted_while_away(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    if (sim_leader(sim, 0) != other)
        steward_ask(sim, sim_leader(sim, 0), 0, CAIRN_MEMBER_TRANSFER, other);
    eventually(sim, WITHIN, sim_leader(sim, 0) == other);
    node_crash(&sim->nodes[one]);
    sim->links[behind][other].lost_type = MESSAGE_APPEND;
    sim->links[behind][one].lost_type = MESSAGE_APPEND;
    adopt(sim, behind);
    eventually(sim, WITHIN, leads_alone(sim, behind) && stopped(sim, other, STOP_NONE));
    expect(sim, append(sim, behind, 7, 6, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_boot(&sim->nodes[one]);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, stopped(sim, other, STOP_NONE) && core_last_lsn(core_of(sim, other)) == 0);
    node_crash(&sim->nodes[behind]);
    nobody_leads(sim, QUIET_NS);
    sim->links[behind][other].lost_type = MESSAGE_NONE;
    sim->links[behind][one].lost_type = MESSAGE_NONE;
    node_boot(&sim->nodes[behind]);
    go_on_from(sim, behind, 6);
}

/* It is decided for one that is gone before it has led. */
static void
adopt_who_is_gone(struct sim *sim, uint8_t gone, uint8_t one, uint8_t other)
{
    if (sim_leader(sim, 0) == gone)
        steward_ask(sim, gone, 0, CAIRN_MEMBER_TRANSFER, one);
    eventually(sim, WITHIN, sim_leader(sim, 0) != CAIRN_NODE_NONE && sim_leader(sim, 0) != gone);
    node_crash(&sim->nodes[gone]);
    adopt(sim, gone);
    eventually(sim, WITHIN, decided(sim, one) == gone && decided(sim, other) == gone);
}

/* It is decided for one that is gone before it has led; then for another, by people who cannot see that the first decision stands. */
static void
adopted_once_more(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    adopt_who_is_gone(sim, behind, one, other);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, stopped(sim, one, STOP_LOG) && stopped(sim, other, STOP_LOG));
    adopt(sim, one);
    eventually(sim, WITHIN, leads_alone(sim, one) && stopped(sim, other, STOP_NONE));
    node_boot(&sim->nodes[behind]);
    go_on_from(sim, one, 8);
}

/* It is decided to go on with everything from another than the one that a log was to go on from, which is gone. */
static void
recovered_after_adopted(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    adopt_who_is_gone(sim, behind, one, other);
    node_crash(&sim->nodes[other]);
    sim_run_for(sim, SETTLED_NS);
    checker_adopt(sim, LOG, one);
    give_up_others(sim, one);
    eventually(sim, WITHIN, leads_alone(sim, one) && sim_leader(sim, 0) == one);
    node_boot(&sim->nodes[behind]);
    node_boot(&sim->nodes[other]);
    go_on_from(sim, one, 8);
}

/* One that was away when the log stopped never stopped itself. It follows until it finds what contradicts it, stops, and comes to
 * the decision then. */
static void
adopted_without_one(struct sim *sim)
{
    uint8_t one = scene_start_on_disk(sim, 3), other, behind;

    scene_lead(sim, follower(sim, one, 1));
    one = scene_leader(sim);
    other = follower(sim, one, 1);
    behind = follower(sim, one, 2);
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, one, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    isolate(sim, behind, true);
    append_many(sim, one, 9, 400, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
    isolate(sim, behind, false);
    lose_from(sim, one, MESSAGE_APPEND);
    sim->contradicted = true;
    contradict(sim, one, other);
    node_crash(&sim->nodes[one]);
    lose_from(sim, one, MESSAGE_NONE);
    eventually(sim, WITHIN, stopped(sim, behind, STOP_LOG) && stopped(sim, other, STOP_LOG));
    sim_run_for(sim, SETTLED_NS);
    eventually(sim, WITHIN, sim_leader(sim, 0) != CAIRN_NODE_NONE && sim_leader(sim, 0) != one);
    adopt(sim, behind);
    eventually(sim, WITHIN, leads_alone(sim, behind) && stopped(sim, other, STOP_NONE));
    node_boot(&sim->nodes[one]);
    go_on_from(sim, behind, 6);
}

/* Long after it was carried out, the one that it went on from loses an entry on its disk: it takes part as anybody does that
 * lacks some. */
static void
adopted_long_ago(struct sim *sim)
{
    uint8_t one, other, behind = stop_with_one_behind(sim, &one, &other);

    adopt(sim, behind);
    go_on_from(sim, behind, 6);
    scene_lead(sim, other);
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t node = i == 0 ? behind : one;

        node_crash(&sim->nodes[node]);
        sim->nodes[node].disk.damaged = true;
        expect(sim, disk_flip_where(&sim->nodes[node], (const uint64_t[2]){SIM_PROBE, 7ull << 32 | 3}, 16) > 0);
        node_boot(&sim->nodes[node]);
        eventually(sim, WITHIN, takes_part(sim, node));
        sim_run_for(sim, SETTLED_NS);
        expect(sim, scene_leader(sim) == other && none_stopped(sim));
        for (uint8_t voter = 0; voter < 3; voter++)
            expect(sim, scene_votes(sim, LOG, voter));
    }
    end_with_each_once(sim, 11);
}

/* As much as the leader's, and other bytes: that replica stops, alone, and the others go on. */
static void
other_bytes_stop_a_replica(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), victim = follower(sim, leader, 1);
    uint64_t lsn;

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    sim->contradicted = true;
    node_log_of(&sim->nodes[victim], LOG)->digest ^= 1;
    eventually(sim, WITHIN, stopped(sim, victim, STOP_REPLICA));
    expect(sim, append(sim, leader, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, scene_read(sim, victim, CAIRN_READ_STALE, 1, &lsn) == CAIRN_STOPPED);
    expect(sim, stopped(sim, leader, STOP_NONE) && sim_leader(sim, LOG) == leader);
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, stopped(sim, victim, STOP_REPLICA));
    node_crash(&sim->nodes[victim]);
    lose_disk(sim, victim);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, takes_part(sim, victim) && stopped(sim, victim, STOP_NONE));
    expect(sim, append(sim, scene_leader(sim), 7, 3, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 3);
}

const struct scenario scenarios_adopted[] = {
    {"contradiction-stops-the-log", "where histories contradict each other nobody goes on until somebody decides",
     contradiction_stops_the_log},
    {"adopted-history-goes-on", "a log that has stopped goes on from the history that is decided for",
     adopted_history_goes_on},
    {"adopted-through-restarts", "so it does wherever nodes are restarted meanwhile", adopted_through_restarts},
    {"adopted-restarted-within", "so it does where one is restarted with nothing yet", adopted_and_restarted_within},
    {"adopted-while-away", "who was away gives up what was decided against", adopted_while_away},
    {"adopted-once-more", "where nobody could carry a decision out, another is made", adopted_once_more},
    {"recovered-after-adopted", "a decision about all ends the one about a log that nobody could carry out",
     recovered_after_adopted},
    {"adopted-without-one", "who never stopped comes to the decision when it finds what contradicts it",
     adopted_without_one},
    {"adopted-long-ago", "a decision is carried out once, whatever is lost later", adopted_long_ago},
    {"other-bytes-stop-a-replica", "a replica whose bytes are not its leader's counts no more",
     other_bytes_stop_a_replica},
    {0},
};
