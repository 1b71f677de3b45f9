/* What people do to directories, with exact steps: what was acknowledged stays, and what nobody can promise is refused. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/catalog.h"
#include "sim/checker.h"
#include "sim/clients.h"
#include "sim/damage.h"
#include "sim/disk.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/random.h"
#include "sim/shelf.h"
#include "sim/steward.h"

#define SETTLED_NS (300 * MS)
#define QUIET_NS (60 * SIM_TIMEOUT_NS)

static void
end_with_each_once(struct sim *sim, uint64_t count)
{
    scene_end(sim);
    for (uint64_t seq = 1; seq <= count; seq++)
        expect(sim, copies(sim, 7, seq) == 1);
}

static bool
counts(const struct sim *sim, uint8_t node)
{
    return node_is_up(&sim->nodes[node]) && node_log_of(&sim->nodes[node], LOG) != NULL &&
           !takes_no_part(sim, node, LOG) && !takes_no_part(sim, node, 0);
}

static void
put_back(struct sim *sim, uint8_t node)
{
    sim->nodes[node].disk.damaged = true;
    disk_unshelve(&sim->nodes[node]);
}

/* What two of three agreed on while the third is away: returns with all of them down. */
static void
agree_without(struct sim *sim, uint8_t one, uint8_t other, uint8_t away, uint64_t first_seq, uint64_t last_seq)
{
    node_crash(&sim->nodes[away]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == one || sim_leader(sim, LOG) == other);
    for (uint64_t seq = first_seq; seq <= last_seq; seq++)
        expect(sim, append(sim, scene_leader(sim), 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[one]);
    node_crash(&sim->nodes[other]);
}

/* Nobody leads: the two that run are a majority in number, and one of them cannot know what it promised. */
static void
nobody_leads(struct sim *sim)
{
    for (uint64_t end_ns = sim->now_ns + QUIET_NS; sim->now_ns < end_ns && !sim->failed;) {
        sim_run_for(sim, SIM_TIMEOUT_NS / 2);
        expect(sim, sim_leader(sim, LOG) == CAIRN_NODE_NONE);
    }
}

/* What is put back is doubted: with the one that was away it makes no majority, and it counts when the leader is back. */
static void
doubted_until_the_leader_is_back(struct sim *sim, uint8_t leader, uint8_t away, uint8_t victim)
{
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    node_boot(&sim->nodes[away]);
    nobody_leads(sim);
    expect(sim, !counts(sim, victim));
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, counts(sim, victim));
    end_with_each_once(sim, 5);
}

/* It runs once without its volume, and promises something; then the volume is there again. */
static void
volume_missing_once(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), away = follower(sim, leader, 1), victim = follower(sim, leader, 2);

    node_crash(&sim->nodes[victim]);
    disk_shelve(&sim->nodes[victim], false);
    sim->nodes[victim].disk.damaged = true;
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, counts(sim, victim));
    agree_without(sim, leader, victim, away, 1, 5);
    doubted_until_the_leader_is_back(sim, leader, away, victim);
}

/* A copy of its directory, older by what it has acknowledged since, is put in its place. The third, which lacks that, knows
 * how far it had come. */
static void
old_copy_put_back(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), away = follower(sim, leader, 1), victim = follower(sim, leader, 2);

    /* Within one life: lives tell nothing. */
    sim_run_for(sim, SETTLED_NS);
    disk_shelve(&sim->nodes[victim], true);
    sim->links[leader][away].lost_type = MESSAGE_APPEND;
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    sim->links[leader][away].lost_type = MESSAGE_NONE;
    doubted_until_the_leader_is_back(sim, leader, away, victim);
}

/* It is granted a life by three others, of whom one is cut off before it tells what was agreed on: the old copy counts for
 * nothing, also after another start. */
static void
old_copy_granted(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 5), victim = follower(sim, leader, 1), knows = follower(sim, leader, 2);
    uint8_t others[] = {follower(sim, leader, 3), follower(sim, leader, 4)};
    uint32_t number;

    sim_run_for(sim, SETTLED_NS);
    disk_shelve(&sim->nodes[victim], true);
    for (uint32_t i = 0; i < 2; i++)
        sim->links[leader][others[i]].lost_type = MESSAGE_APPEND;
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    number = sim->nodes[victim].incarnation;
    node_crash(&sim->nodes[victim]);
    node_crash(&sim->nodes[leader]);
    for (uint32_t i = 0; i < 2; i++)
        sim->links[leader][others[i]].lost_type = MESSAGE_NONE;
    lose_from(sim, knows, MESSAGE_RECOVER_REPLY);
    for (uint32_t i = 0; i < 2; i++) {
        lose_from(sim, others[i], MESSAGE_PULL);
        network_cut(sim, knows, others[i], true);
    }
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, sim->nodes[victim].incarnation > number + 1);
    isolate(sim, knows, true);
    nobody_leads(sim);
    expect(sim, !counts(sim, victim));
    node_crash(&sim->nodes[victim]);
    node_boot(&sim->nodes[victim]);
    nobody_leads(sim);
    expect(sim, !counts(sim, victim));
    network_heal(sim);
    lose_from(sim, knows, MESSAGE_NONE);
    for (uint32_t i = 0; i < 2; i++)
        lose_from(sim, others[i], MESSAGE_NONE);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, counts(sim, victim));
    end_with_each_once(sim, 5);
}

/* Nothing happened between the two lives but their starts: it is told by the lives alone. */
static void
directory_lives_twice(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), victim = follower(sim, leader, 1);
    uint32_t twice;

    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    disk_shelve(&sim->nodes[victim], true);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, counts(sim, victim));
    twice = sim->nodes[victim].incarnation;
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    sim_run_for(sim, SETTLED_NS);
    eventually(sim, WITHIN, counts(sim, victim));
    /* Of that number there was a life already. */
    expect(sim, sim->nodes[victim].incarnation > twice);
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 1);
}

/* Each in turn loses all that it was, in memory, as machines do that are rebooted and keep it on a tmpfs. */
static void
rolling_reboot_in_memory(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, scene_leader(sim), 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    for (uint8_t i = 0; i < 3; i++) {
        node_crash(&sim->nodes[i]);
        sim->nodes[i].identified = false;
        node_boot(&sim->nodes[i]);
        eventually(sim, WITHIN, counts(sim, i));
        eventually(sim, WITHIN, all_follow(sim));
    }
    end_with_each_once(sim, 5);
}

/* What is known of a life is passed on: of those who knew it from itself none is left that remembers by then. */
static void
lives_are_passed_on(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 5), victim = follower(sim, leader, 1);
    uint32_t number;

    node_crash(&sim->nodes[victim]);
    disk_shelve(&sim->nodes[victim], false);
    sim->nodes[victim].disk.damaged = true;
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, counts(sim, victim));
    number = sim->nodes[victim].incarnation;
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    for (uint8_t i = 0; i < 5; i++) {
        if (i == victim)
            continue;
        node_crash(&sim->nodes[i]);
        disk_wipe(&sim->nodes[i]);
        sim->nodes[i].disk.damaged = true;
        sim->nodes[i].identified = false;
        node_boot(&sim->nodes[i]);
        eventually(sim, 2 * WITHIN, counts(sim, i));
        sim_run_for(sim, SETTLED_NS);
    }
    for (uint8_t i = 0; i < 5; i++)
        expect(sim, i == victim || sim->nodes[i].node->introduction.lives.identity.known[victim].life.number >= number);
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    sim_run_for(sim, SETTLED_NS);
    eventually(sim, WITHIN, counts(sim, victim));
    expect(sim, sim->nodes[victim].incarnation > number);
    end_with_each_once(sim, 0);
}

static void
lose_disk(struct sim *sim, uint8_t node)
{
    disk_wipe(&sim->nodes[node]);
    sim->nodes[node].disk.damaged = true;
    sim->nodes[node].identified = false;
}

static void
decide(struct sim *sim, uint8_t from)
{
    struct cairn_id drawn[CAIRN_NODES_MAX];

    for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++)
        memset(&drawn[i], 0x40 + i, sizeof(drawn[i]));
    expect(sim, rescue_ask(sim->nodes[from].node, (cairn_node_set)(7 & ~(1 << from)), true, drawn));
}

static bool
votes(struct sim *sim, uint32_t log, uint8_t node)
{
    uint8_t leader = sim_leader(sim, log);

    return leader != CAIRN_NODE_NONE && (core_members(node_log_of(&sim->nodes[leader], log)->core)->voters >> node & 1);
}

/* As `cairn member add` does, of every log: asked again until it is so. */
static void
let_vote(struct sim *sim, uint8_t leader, uint8_t node)
{
    eventually(sim, WITHIN, counts(sim, node));
    for (uint32_t log = 0; log <= LOG; log++) {
        for (uint32_t i = 0; i < 40 && !votes(sim, log, node) && !sim->failed; i++) {
            steward_ask(sim, leader, log, i % 2 == 0 ? CAIRN_MEMBER_ADD : CAIRN_MEMBER_PROMOTE, node);
            sim_run_for(sim, SIM_TIMEOUT_NS);
        }
        expect(sim, votes(sim, log, node));
    }
}

static void
all_vote_again(struct sim *sim, uint8_t leader)
{
    for (uint8_t i = 1; i < sim->plan.nodes; i++)
        let_vote(sim, leader, follower(sim, leader, i));
}

/* Two of three lose their disks. The third goes on by command, from all that was acknowledged. */
static void
goes_on_from_one(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3);

    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++) {
        node_crash(&sim->nodes[i]);
        if (i != leader)
            lose_disk(sim, i);
    }
    for (uint8_t i = 0; i < 3; i++)
        node_boot(&sim->nodes[i]);
    nobody_leads(sim);
    decide(sim, leader);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    expect(sim, append(sim, leader, 7, 6, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    all_vote_again(sim, leader);
    expect(sim, append(sim, leader, 7, 7, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 7);
}

/* Those that it goes on without have all that they had, and come back with nothing of it; also where the one that goes on
 * was restarted in between. */
static void
given_up_come_back_anew(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3);
    uint32_t numbers[3];

    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++) {
        numbers[i] = sim->nodes[i].incarnation;
        node_crash(&sim->nodes[i]);
    }
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, node_is_up(&sim->nodes[leader]) && node_log_of(&sim->nodes[leader], LOG) != NULL);
    sim_run_for(sim, SETTLED_NS);
    decide(sim, leader);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    expect(sim, append(sim, leader, 7, 6, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[leader]);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    for (uint8_t i = 0; i < 3; i++) {
        if (i != leader)
            node_boot(&sim->nodes[i]);
    }
    all_vote_again(sim, leader);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, i == leader || sim->nodes[i].incarnation > numbers[i] + 1);
    expect(sim, append(sim, leader, 7, 7, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 7);
}

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
    decide(sim, leader);
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
        expect(sim, votes(sim, LOG, i));
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
    nobody_leads(sim);
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
    decide(sim, one);
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
        eventually(sim, WITHIN, counts(sim, node));
        sim_run_for(sim, SETTLED_NS);
        expect(sim, scene_leader(sim) == other && none_stopped(sim));
        for (uint8_t voter = 0; voter < 3; voter++)
            expect(sim, votes(sim, LOG, voter));
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
    eventually(sim, WITHIN, counts(sim, victim) && stopped(sim, victim, STOP_NONE));
    expect(sim, append(sim, scene_leader(sim), 7, 3, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 3);
}

/* Nothing is given up where a majority is well, nor by one that has forgotten itself. */
static void
no_decision_that_is_not_called_for(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), other = follower(sim, leader, 1), victim = follower(sim, leader, 2);

    decide(sim, other);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, atomic_load(&sim->nodes[other].node->rescue.state) == RESCUE_REFUSED);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    lose_disk(sim, victim);
    node_boot(&sim->nodes[victim]);
    node_boot(&sim->nodes[other]);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, !counts(sim, victim));
    decide(sim, victim);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, !counts(sim, victim));
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, counts(sim, victim));
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 1);
}

const struct scenario scenarios_operators[] = {
    {"volume-missing-once", "a life without the volume is known when the volume is back", volume_missing_once},
    {"old-copy-put-back", "a directory that steps back in time has forgotten", old_copy_put_back},
    {"old-copy-granted", "an old copy counts for nothing before it has recovered", old_copy_granted},
    {"directory-lives-twice", "a copied directory that lives twice has forgotten", directory_lives_twice},
    {"rolling-reboot-in-memory", "one after the other may lose all that it was", rolling_reboot_in_memory},
    {"goes-on-from-one", "one of three that knows what was promised goes on by command", goes_on_from_one},
    {"given-up-come-back-anew", "who was given up comes back with nothing of what it held", given_up_come_back_anew},
    {"contradiction-stops-the-log", "where histories contradict each other nobody goes on until somebody decides",
     contradiction_stops_the_log},
    {"adopted-history-goes-on", "a log that has stopped goes on from the history that is decided for",
     adopted_history_goes_on},
    {"adopted-through-restarts", "so it does wherever nodes are restarted meanwhile", adopted_through_restarts},
    {"adopted-while-away", "who was away gives up what was decided against", adopted_while_away},
    {"adopted-once-more", "where nobody could carry a decision out, another is made", adopted_once_more},
    {"recovered-after-adopted", "a decision about all ends the one about a log that nobody could carry out",
     recovered_after_adopted},
    {"adopted-without-one", "who never stopped comes to the decision when it finds what contradicts it",
     adopted_without_one},
    {"adopted-long-ago", "a decision is carried out once, whatever is lost later", adopted_long_ago},
    {"other-bytes-stop-a-replica", "a replica whose bytes are not its leader's counts no more",
     other_bytes_stop_a_replica},
    {"no-decision-uncalled-for", "nothing is given up where a majority is well, or by who has forgotten",
     no_decision_that_is_not_called_for},
    {"lives-are-passed-on", "who comes to know a life keeps it for those who forget", lives_are_passed_on},
    {0},
};
