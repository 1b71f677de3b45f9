/* The simulator's checker is fed histories that it must reject, and sound ones beside them. Those with a source are told
 * as facts of other checkers' own tests, in terms of a log. */
#include "tests/unit/check.h"

#include "rules/mode.h"
#include "sim/checker.h"
#include "sim/checker_answers.h"
#include "sim/checker_end.h"
#include "sim/checker_modes.h"
#include "sim/checker_nodes.h"
#include "sim/clients.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/ops.h"
#include "sim/readers.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trunk.h"

#define LOG 1u
#define NODES 3u
#define PRODUCER(client) (100u + (client))
#define ENTRIES_MAX 64u

static struct sim *sim;

static int
begin(void **state)
{
    (void)state;
    sim = calloc(1, sizeof(*sim));
    assert_non_null(sim);
    sim->plan = (struct plan){.nodes = NODES, .logs = 1, .policies = {CAIRN_POLICY_CP}};
    sim->log_ids[LOG] = 7;
    sim->now_ns = sim->started_ns = 1000 * MS;
    for (uint8_t i = 0; i < SIM_NODES; i++) {
        sim->nodes[i].sim = sim;
        sim->nodes[i].self = i;
        sim->nodes[i].incarnation = 1;
    }
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *client = &sim->clients[i];

        client->sim = sim;
        client->index = i;
        client->log = LOG;
        client->ops = calloc(ENTRIES_MAX, sizeof(*client->ops));
        client->lives = calloc(1, sizeof(*client->lives));
        client->lives[0].producer = PRODUCER(i);
        client->lives_count = 1;
    }
    return 0;
}

static int
end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        free(sim->clients[i].ops);
        free(sim->clients[i].lives);
    }
    checker_fini(sim);
    free(sim->trace.rows);
    free(sim);
    return 0;
}

/* What has been said so far, and a clean sheet. */
static bool
rejected(const char *words)
{
    bool so = sim->failed && strstr(sim->reason, words) != NULL;

    if (!so)
        fprintf(stderr, "wanted \"%s\", said \"%s\"\n", words, sim->reason);
    sim->failed = false;
    return so;
}

static bool
accepted(void)
{
    if (sim->failed)
        fprintf(stderr, "said \"%s\"\n", sim->reason);
    return !sim->failed;
}

/* A history, step by step. */

static void
gives(uint32_t client, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sim->clients[client].ops[sim->clients[client].given++] = (struct op){
            .given_ns = sim->now_ns, .floor_lsn = sim->trunks[LOG].acked_lsn, .state = OP_GIVEN};
}

static struct committed
data(uint32_t client, uint64_t index)
{
    return (struct committed){.client = client,
                              .index = index,
                              .term = 1,
                              .seq = sim->trunks[LOG].last + 1,
                              .hlc = 1000 + sim->trunks[LOG].last,
                              .trunk_hlc = 5000 + sim->trunks[LOG].last,
                              .fork_lsn = FORK_TRUNK,
                              .crc = client * 1000 + (uint32_t)index,
                              .incarnation = 1,
                              .kind = ENTRY_DATA};
}

static void
commits(uint32_t client, uint64_t index)
{
    struct committed entry = data(client, index);

    check_committed(sim, 0, LOG, sim->trunks[LOG].last + 1, &entry, PRODUCER(client), 1);
}

static void
hears(uint32_t client, uint64_t index, struct cairn_result answer)
{
    struct session_result result = {.index = index, .error = answer.error, .result = answer};

    check_append_result(sim, &sim->clients[client], &result);
}

static void
is_acked(uint32_t client, uint64_t index, uint64_t lsn)
{
    hears(client, index, (struct cairn_result){.lsn = lsn, .ack = CAIRN_ACK_MAJORITY, .incarnation = 1});
}

static void
is_refused(uint32_t client, uint64_t index)
{
    hears(client, index, (struct cairn_result){.error = CAIRN_NO_QUORUM});
}

/* As readers.c has it. */
static struct sim_reader *
asks(uint32_t reader, bool linearizable, uint64_t from)
{
    const struct trunk_check *trunk = &sim->trunks[LOG];

    sim->readers[reader] = (struct sim_reader){
        .log = LOG,
        .node = 1,
        .linearizable = linearizable,
        .from = from,
        .seen_lsn = from - 1,
        .asked_ns = sim->now_ns,
        .floor_lsn = trunk->acked_lsn > trunk->read_lsn ? trunk->acked_lsn : trunk->read_lsn,
    };
    return &sim->readers[reader];
}

static void
is_shown(struct sim_reader *reader, uint64_t lsn, uint64_t client, uint64_t index)
{
    uint64_t head[2] = {client, index};

    check_read_entry(sim, reader,
                     &(struct cairn_result){.lsn = lsn, .entry = {.payload = head, .payload_bytes = sizeof(head)}});
}

static void
ends(struct sim_reader *reader, uint64_t lsn, enum cairn_error error)
{
    check_read_end(sim, reader, &(struct cairn_result){.lsn = lsn, .fork_lsn = lsn, .error = error});
}

/* Three entries of client 0 and one of client 1, all right. */
static void
a_sound_history_is_accepted(void **state)
{
    struct sim_reader *reader;

    (void)state;
    gives(0, 3);
    gives(1, 1);
    commits(0, 0);
    commits(1, 0);
    is_acked(0, 0, 1);
    commits(0, 1);
    commits(0, 2);
    is_acked(1, 0, 2);
    is_acked(0, 1, 3);
    hears(0, 2, (struct cairn_result){.error = CAIRN_UNKNOWN});
    reader = asks(0, true, 1);
    is_shown(reader, 1, 0, 0);
    is_shown(reader, 2, 1, 0);
    is_shown(reader, 3, 0, 1);
    is_shown(reader, 4, 0, 2);
    ends(reader, 4, CAIRN_OK);
    for (uint32_t i = 0; i < SIM_CLIENTS; i++)
        check_client_final(sim, &sim->clients[i]);
    assert_true(accepted());
}

static void
two_nodes_commit_one_entry_at_a_place(void **state)
{
    struct committed entry;

    (void)state;
    gives(0, 4);
    commits(0, 0);
    entry = data(0, 0);
    entry.seq = 1;
    entry.hlc = 1000;
    entry.trunk_hlc = 5000;
    check_committed(sim, 1, LOG, 1, &entry, PRODUCER(0), 1);
    assert_true(accepted());
    /* Each field. */
    for (int field = 0; field < 10; field++) {
        struct committed wrong = entry;

        wrong.index += field == 0;
        wrong.term += field == 1;
        wrong.seq += field == 2;
        wrong.crc += field == 3;
        wrong.incarnation += field == 4;
        wrong.origin += field == 5;
        wrong.kind += field == 6;
        wrong.hlc += field == 7;
        wrong.fork_lsn -= field == 8;
        wrong.trunk_hlc += field == 9;
        check_committed(sim, 1, LOG, 1, &wrong, PRODUCER(0), 1);
        assert_true(rejected("n2 has committed another entry"));
    }
    /* A place is left out. */
    entry = data(0, 1);
    check_committed(sim, 0, LOG, 3, &entry, PRODUCER(0), 1);
    assert_true(rejected("n1 has committed another entry"));
}

/* The total queue of Jepsen's checker tests: everything that is enqueued comes out, nothing twice, nothing else. */
static void
nothing_is_lost_doubled_or_invented(void **state)
{
    (void)state;
    gives(0, 3);
    commits(0, 0);
    commits(0, 0);
    assert_true(rejected("stands at lsn 1"));
    commits(0, 7);
    assert_true(rejected("no client gave"));
    commits(SIM_CLIENTS, 0);
    assert_true(rejected("no client gave"));
    is_acked(0, 1, 3);
    assert_true(rejected("is not committed there"));
    check_client_final(sim, &sim->clients[0]);
    assert_true(rejected("entry 1 of client 0 was acknowledged (majority) by n1, and is lost"));
}

static void
order_is_each_producers(void **state)
{
    struct committed entry;

    (void)state;
    gives(0, 3);
    commits(0, 1);
    assert_true(accepted());
    commits(0, 0);
    assert_true(rejected("entry 0 of client 0 comes after its entry 1"));
    entry = data(0, 2);
    check_committed(sim, 0, LOG, 3, &entry, 4711, 1);
    assert_true(rejected("no client ever had producer"));
}

/* G1a of a queue (Jepsen's Redpanda tests): a send fails, and a poll shows it. */
static void
what_is_refused_is_not_there(void **state)
{
    (void)state;
    gives(0, 2);
    commits(0, 0);
    is_refused(0, 0);
    assert_true(rejected("is refused (no_quorum), and stands at lsn 1"));
    is_refused(0, 1);
    assert_true(accepted());
    commits(0, 1);
    assert_true(rejected("was refused, and stands there"));
}

/* Written, answered, then another is written: that stands behind it (Herlihy and Wing's real-time order). */
static void
appends_stand_in_the_order_of_their_answers(void **state)
{
    (void)state;
    gives(0, 1);
    gives(1, 1);
    commits(1, 0);
    commits(0, 0);
    is_acked(0, 0, 2);
    /* Given before the other was answered: any order. */
    is_acked(1, 0, 1);
    assert_true(accepted());
    gives(2, 1);
    sim->clients[2].ops[0].floor_lsn = 3;
    commits(2, 0);
    is_acked(2, 0, 3);
    assert_true(rejected("before lsn 3 that was acknowledged earlier"));
}

static void
an_answer_is_worth_what_was_asked_for(void **state)
{
    static const struct {
        enum cairn_policy policy;
        enum cairn_ack asked, answered;
        bool on_branch, cuts_fall, sound;
    } rows[] = {
        {CAIRN_POLICY_CP, CAIRN_ACK_POLICY, CAIRN_ACK_MAJORITY, false, false, true},
        {CAIRN_POLICY_CP, CAIRN_ACK_POLICY, CAIRN_ACK_LOCAL, false, false, false},
        {CAIRN_POLICY_CP, CAIRN_ACK_LOCAL, CAIRN_ACK_LOCAL, false, false, true},
        {CAIRN_POLICY_CP, CAIRN_ACK_ALL, CAIRN_ACK_MAJORITY, false, false, false},
        {CAIRN_POLICY_CP, CAIRN_ACK_MAJORITY, CAIRN_ACK_LOCAL, true, false, false},
        {CAIRN_POLICY_CA, CAIRN_ACK_POLICY, CAIRN_ACK_MAJORITY, false, false, false},
        {CAIRN_POLICY_CA, CAIRN_ACK_POLICY, CAIRN_ACK_MAJORITY, false, true, true},
        {CAIRN_POLICY_CA, CAIRN_ACK_ALL, CAIRN_ACK_MAJORITY, false, true, false},
        {CAIRN_POLICY_CA, CAIRN_ACK_POLICY, CAIRN_ACK_ALL, false, false, true},
        {CAIRN_POLICY_ADAPTIVE, CAIRN_ACK_POLICY, CAIRN_ACK_LOCAL, true, false, true},
        {CAIRN_POLICY_ADAPTIVE, CAIRN_ACK_POLICY, CAIRN_ACK_MAJORITY, true, false, false},
        {CAIRN_POLICY_ADAPTIVE, CAIRN_ACK_MAJORITY, CAIRN_ACK_LOCAL, true, false, false},
        {CAIRN_POLICY_AP, CAIRN_ACK_LOCAL, CAIRN_ACK_ALL, true, false, false},
        {CAIRN_POLICY_AP, CAIRN_ACK_POLICY, CAIRN_ACK_POLICY, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cairn_result answer = {.ack = rows[i].answered, .on_branch = rows[i].on_branch};

        sim->plan.policies[0] = rows[i].policy;
        sim->plan.seed = rows[i].cuts_fall ? 2 : 1;
        check_level(sim, LOG, rows[i].asked, &answer);
        if (sim->failed == rows[i].sound)
            fprintf(stderr, "row %zu: %s\n", i, sim->reason);
        assert_int_equal(!sim->failed, rows[i].sound);
        sim->failed = false;
    }
    /* Who changes policies may have asked at any of them. */
    sim->plan.policies[0] = CAIRN_POLICY_CP;
    sim->plan.faults = 1u << FAULT_POLICY;
    check_level(sim, LOG, CAIRN_ACK_POLICY, &(struct cairn_result){.ack = CAIRN_ACK_LOCAL, .on_branch = true});
    assert_true(accepted());
}

static void
one_nodes_word_dies_with_it_and_no_other(void **state)
{
    (void)state;
    sim->plan.policies[0] = CAIRN_POLICY_ADAPTIVE;
    gives(0, 1);
    hears(0, 0, (struct cairn_result){.ack = CAIRN_ACK_LOCAL, .on_branch = true, .origin = 2, .incarnation = 1});
    check_client_final(sim, &sim->clients[0]);
    assert_true(rejected("was acknowledged (local, on the branch) by n3, and is lost"));
    sim->nodes[2].incarnation = 2;
    check_client_final(sim, &sim->clients[0]);
    assert_true(accepted());
    sim->plan.disk = true;
    check_client_final(sim, &sim->clients[0]);
    assert_true(rejected("and is lost"));
    sim->nodes[2].disk.damaged = true;
    check_client_final(sim, &sim->clients[0]);
    assert_true(accepted());
}

/* Inconsistent offsets, lost update and poll skip (Jepsen's Redpanda tests): another entry is read at a place; one that
 * stands before what is read is left out. */
static void
a_read_shows_what_is_there_all_of_it_in_order(void **state)
{
    struct sim_reader *reader;

    (void)state;
    gives(0, 4);
    for (uint64_t i = 0; i < 4; i++)
        commits(0, i);
    reader = asks(0, false, 1);
    is_shown(reader, 1, 0, 0);
    is_shown(reader, 2, 0, 2);
    assert_true(rejected("shows something else at lsn 2"));
    reader = asks(0, false, 1);
    is_shown(reader, 3, 0, 2);
    assert_true(rejected("leaves out lsn"));
    reader = asks(0, false, 1);
    is_shown(reader, 1, 0, 0);
    is_shown(reader, 1, 0, 0);
    assert_true(rejected("shows something else at lsn 1"));
    is_shown(reader, 5, 0, 4);
    assert_true(rejected("shows something else at lsn 5"));
}

/* Jepsen's set and Knossos' register: written and answered, and a later read is without it. */
static void
a_read_after_the_answer_shows_it(void **state)
{
    struct sim_reader *early, *late, *stale;

    (void)state;
    gives(0, 1);
    early = asks(0, true, 1);
    commits(0, 0);
    is_acked(0, 0, 1);
    late = asks(1, true, 1);
    stale = asks(2, false, 1);
    ends(early, 0, CAIRN_OK);
    ends(stale, 0, CAIRN_OK);
    ends(late, 0, CAIRN_NO_QUORUM);
    assert_true(accepted());
    ends(late, 0, CAIRN_OK);
    assert_true(rejected("a linearizable read at n2 ends at lsn 0, and lsn 1 was known before"));
    stale->max_lag_ns = 50 * MS;
    stale->floor_lsn = 1;
    ends(stale, 0, CAIRN_OK);
    assert_true(rejected("behind by 50 ms at most"));
}

/* Porcupine's registers: a put over [0, 100] is seen by a read in [25, 75], not by another in [30, 60]: sound. It is seen
 * in [10, 30], and not in [40, 90], while it still goes on: not so. */
static void
a_register_that_two_read_while_it_is_written(void **state)
{
    struct sim_reader *first, *second;

    (void)state;
    gives(0, 1);
    first = asks(0, true, 1);
    second = asks(1, true, 1);
    commits(0, 0);
    ends(second, 0, CAIRN_OK);
    is_shown(first, 1, 0, 0);
    ends(first, 1, CAIRN_OK);
    assert_true(accepted());
    second = asks(1, true, 1);
    ends(second, 0, CAIRN_OK);
    assert_true(rejected("and lsn 1 was known before it began"));
}

static void
a_session_reads_what_it_wrote(void **state)
{
    struct sim_reader *reader = asks(0, false, 1);
    struct cairn_result written = {.ack = CAIRN_ACK_LOCAL, .on_branch = true, .origin = 1, .incarnation = 1, .seq = 1};

    (void)state;
    sim->plan.policies[0] = CAIRN_POLICY_ADAPTIVE;
    reader->session = true;
    reader->ack = CAIRN_ACK_POLICY;
    reader->probes = 55;
    check_session_write(sim, reader, &written);
    ends(reader, 0, CAIRN_BEHIND);
    assert_true(accepted());
    ends(reader, 0, CAIRN_OK);
    assert_true(rejected("misses what it wrote"));
    reader->ack = CAIRN_ACK_MAJORITY;
    check_session_write(sim, reader, &written);
    assert_true(rejected("majority was asked for"));
    reader->sessions[LOG].seen_lsn = 9;
    ends(reader, 8, CAIRN_OK);
    assert_true(rejected("after it has seen"));
}

static void
reads_are_denied_where_that_is_said_and_nowhere_else(void **state)
{
    struct sim_reader *reader = asks(0, false, 1);
    struct log_check check = {.denies_ns = sim->now_ns};

    (void)state;
    check_denied(sim, &check, reader, CAIRN_DENIED);
    check_denied(sim, &check, reader, CAIRN_NO_QUORUM);
    check.denies_ns++;
    check_denied(sim, &check, reader, CAIRN_OK);
    assert_true(accepted());
    check.denies_ns--;
    check_denied(sim, &check, reader, CAIRN_OK);
    assert_true(rejected("and serves it"));
    check = (struct log_check){.serves_ns = sim->now_ns};
    check_denied(sim, &check, reader, CAIRN_OK);
    assert_true(accepted());
    check_denied(sim, &check, reader, CAIRN_DENIED);
    assert_true(rejected("denies a read"));
}

static void
a_life_has_one_vote_a_term_its_own_included(void **state)
{
    (void)state;
    check_vote(sim, 0, 1, 7, 5);
    check_vote(sim, 0, 1, 7, 5);
    check_vote(sim, 0, 2, 7, 6);
    assert_true(accepted());
    check_vote(sim, 0, 2, 7, 5);
    assert_true(rejected("n1 voted for n2 and for n3 in term 5"));
    check_vote(sim, 1, 1, 7, 6);
    check_vote(sim, 1, 0, 7, 6);
    assert_true(rejected("n2 voted for n2 and for n1 in term 6"));
    sim->nodes[1].incarnation = 2;
    check_vote(sim, 1, 2, 7, 6);
    assert_true(accepted());
    sim->plan.disk = true;
    sim->nodes[1].incarnation = 3;
    check_vote(sim, 1, 0, 7, 6);
    assert_true(rejected("n2 voted for n3 and for n1 in term 6"));
}

static void
a_term_has_one_leader_and_that_a_majority_of_voters(void **state)
{
    (void)state;
    check_elected(sim, 0, 1, LOG, 3, 1u << 0 | 1u << 1 | 1u << 2);
    assert_true(rejected("n1 leads in term 3 by the votes of set 1"));
    check_vote(sim, 1, 0, 7, 3);
    check_elected(sim, 0, 1, LOG, 3, 1u << 0 | 1u << 1 | 1u << 2);
    assert_true(accepted());
    check_elected(sim, 0, 2, LOG, 3, 1u << 0 | 1u << 1 | 1u << 2);
    assert_true(rejected("both led in term 3"));
    check_elected(sim, 1, 1, LOG, 3, 1u << 1);
    assert_true(rejected("n1 and n2 both led in term 3"));
    /* A learner's vote. */
    check_vote(sim, 2, 0, 7, 4);
    check_elected(sim, 0, 1, LOG, 4, 1u << 0 | 1u << 1);
    assert_true(rejected("by the votes of set 5, of voters 3"));
}

static void
what_is_committed_a_majority_of_voters_may_hold(void **state)
{
    (void)state;
    check_counted(sim, 0, LOG, 9, 1u << 0 | 1u << 1, 1u << 0 | 1u << 1 | 1u << 2);
    check_counted(sim, 0, LOG, 9, 1u << 0, 1u << 0);
    assert_true(accepted());
    check_counted(sim, 0, LOG, 9, 1u << 0, 1u << 0 | 1u << 1 | 1u << 2);
    assert_true(rejected("n1 has committed lsn 9"));
    check_counted(sim, 0, LOG, 9, 1u << 0 | 1u << 2, 1u << 0 | 1u << 1);
    assert_true(rejected("n1 has committed lsn 9"));
}

static void
who_has_forgotten_counts_again_when_it_has_all(void **state)
{
    (void)state;
    check_recovered(sim, 2, LOG, 8, 8);
    check_recovered(sim, 2, LOG, 0, 0);
    assert_true(accepted());
    check_recovered(sim, 2, LOG, 8, 7);
    assert_true(rejected("n3 counts again and holds up to lsn 7"));
}

static void
nobody_cuts_off_what_is_committed(void **state)
{
    struct log_check check = {0};

    (void)state;
    gives(0, 3);
    commits(0, 0);
    check_held(sim, 1, LOG, &check, 1, 1, 0);
    assert_int_equal(check.agreed_lsn, 1);
    commits(0, 1);
    /* Of another term: not what is committed there, and free to go. */
    check_held(sim, 1, LOG, &check, 2, 9, 1);
    assert_int_equal(check.agreed_lsn, 1);
    check_held(sim, 1, LOG, &check, 1, 1, 1);
    check_held(sim, 1, LOG, &check, 2, 1, 1);
    assert_int_equal(check.agreed_lsn, 2);
    check_held(sim, 1, LOG, &check, 2, 1, 0);
    assert_true(accepted());
    check_held(sim, 1, LOG, &check, 1, 1, 1);
    assert_true(rejected("n2 has cut off lsn 2"));
    /* Replaced by as much. */
    check_held(sim, 1, LOG, &check, 2, 9, 9);
    assert_true(rejected("n2 has cut off lsn 2"));
}

static void
a_clock_goes_on(void **state)
{
    struct committed entry;

    (void)state;
    gives(0, 9);
    commits(0, 0);
    entry = data(0, 1);
    entry.hlc = 1000;
    check_committed(sim, 0, LOG, 2, &entry, PRODUCER(0), 1);
    assert_true(rejected("n1's clock has gone back from 1000 to 1000"));
    /* Another leader's is behind: seen where that is looked at. */
    entry = data(0, 2);
    entry.origin = 1;
    entry.hlc = 500;
    check_committed(sim, 0, LOG, 3, &entry, PRODUCER(0), 1);
    assert_true(accepted());
    sim->clocks_rise = true;
    entry = data(0, 3);
    entry.origin = 1;
    entry.hlc = 999;
    check_committed(sim, 0, LOG, 4, &entry, PRODUCER(0), 1);
    assert_true(rejected("n2 wrote it at 999, and what is before it at 1000"));
    /* What came by a branch has the clock of then. */
    entry = data(0, 4);
    entry.fork_lsn = 1;
    entry.hlc = 600;
    check_committed(sim, 0, LOG, 5, &entry, PRODUCER(0), 1);
    assert_true(accepted());
}

static void
no_mode_of_need_outlasts_the_need(void **state)
{
    struct log_check check = {0};
    struct mode_inputs inputs = {.policy = CAIRN_POLICY_CP, .nodes = 3, .reached = 1};

    (void)state;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    sim->now_ns += 100 * MS;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    inputs.reached = 2;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    sim->now_ns += 2 * MS;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_CP);
    sim->now_ns += 100 * MS;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_AP);
    assert_true(accepted());
    sim->now_ns += 4 * MS;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_AP);
    assert_true(rejected("n1 has had 2 of 3 in reach"));
    /* All of them, where all are needed. */
    inputs.policy = CAIRN_POLICY_CA;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    sim->now_ns += 100 * MS;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    assert_true(accepted());
    inputs.falls_to_cp = true;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    sim->now_ns += 4 * MS;
    check_need(sim, 0, LOG, &check, &inputs, CAIRN_MODE_DENIED);
    assert_true(rejected("is in mode DENIED"));
}

/* Heartbeats of each to the other, one a millisecond, for so long. */
static void
beat(uint64_t for_ns, bool both)
{
    for (uint64_t end_ns = sim->now_ns + for_ns; sim->now_ns < end_ns; sim->now_ns += MS) {
        check_beat(&sim->nodes[0], 0, 1, sim->nodes[1].incarnation);
        if (both)
            check_beat(&sim->nodes[1], 0, 0, sim->nodes[0].incarnation);
    }
}

static bool
is_sure(void)
{
    return (check_sure_reach(sim, &sim->nodes[0], 0) & 1u << 1) != 0;
}

static void
who_is_surely_in_reach_has_been_heard_both_ways_for_long(void **state)
{
    static uint8_t up;

    (void)state;
    sim->nodes[0].node = sim->nodes[1].node = (struct node *)(void *)&up;
    beat(250 * MS, true);
    assert_false(is_sure());
    beat(20 * MS, true);
    assert_true(is_sure());
    assert_int_equal(check_sure_reach(sim, &sim->nodes[0], 0), 1u << 0 | 1u << 1);
    /* A gap; one way only; a pause of one of them; another life. */
    sim->now_ns += 5 * MS;
    assert_false(is_sure());
    beat(250 * MS, true);
    assert_false(is_sure());
    beat(20 * MS, true);
    assert_true(is_sure());
    beat(20 * MS, false);
    assert_false(is_sure());
    beat(270 * MS, true);
    assert_true(is_sure());
    sim->nodes[1].resumed_ns = sim->now_ns;
    assert_false(is_sure());
    beat(270 * MS, true);
    sim->nodes[1].incarnation++;
    assert_false(is_sure());
    beat(MS, true);
    assert_false(is_sure());
    sim->nodes[0].node = sim->nodes[1].node = NULL;
}

static void
a_leader_that_hears_no_majority_steps_down(void **state)
{
    struct log_check check = {0};

    (void)state;
    check_alone(sim, 0, LOG, &check, 1, 3, SIM_TIMEOUT_NS);
    sim->now_ns += 12 * MS;
    check_alone(sim, 0, LOG, &check, 1, 3, SIM_TIMEOUT_NS);
    check_alone(sim, 0, LOG, &check, 2, 3, SIM_TIMEOUT_NS);
    sim->now_ns += 12 * MS;
    check_alone(sim, 0, LOG, &check, 2, 4, SIM_TIMEOUT_NS);
    assert_true(accepted());
    sim->now_ns += 14 * MS;
    check_alone(sim, 0, LOG, &check, 2, 4, SIM_TIMEOUT_NS);
    assert_true(rejected("n1 leads, and has heard 2 of 4 voters"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_history_is_accepted),
        TEST(two_nodes_commit_one_entry_at_a_place),
        TEST(nothing_is_lost_doubled_or_invented),
        TEST(order_is_each_producers),
        TEST(what_is_refused_is_not_there),
        TEST(appends_stand_in_the_order_of_their_answers),
        TEST(an_answer_is_worth_what_was_asked_for),
        TEST(one_nodes_word_dies_with_it_and_no_other),
        TEST(a_read_shows_what_is_there_all_of_it_in_order),
        TEST(a_read_after_the_answer_shows_it),
        TEST(a_register_that_two_read_while_it_is_written),
        TEST(a_session_reads_what_it_wrote),
        TEST(reads_are_denied_where_that_is_said_and_nowhere_else),
        TEST(a_life_has_one_vote_a_term_its_own_included),
        TEST(a_term_has_one_leader_and_that_a_majority_of_voters),
        TEST(what_is_committed_a_majority_of_voters_may_hold),
        TEST(who_has_forgotten_counts_again_when_it_has_all),
        TEST(nobody_cuts_off_what_is_committed),
        TEST(a_clock_goes_on),
        TEST(no_mode_of_need_outlasts_the_need),
        TEST(a_leader_that_hears_no_majority_steps_down),
        TEST(who_is_surely_in_reach_has_been_heard_both_ways_for_long),
    };

    return RUN_TESTS(tests);
}
