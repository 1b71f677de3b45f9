/* What a core is told or asked that makes no sense changes nothing, and what cannot be done now is
 * refused with the reason. */
#include "replication/plausible.h"
#include "tests/unit/replication/cluster.h"

static struct sink
sink_of(struct member *member)
{
    return (struct sink){.apply = cluster_apply, .context = member};
}

static struct member *
another(struct cluster *cluster, const struct member *member, uint32_t nth)
{
    return &cluster->members[(member_index(member) + nth) % cluster->count];
}

static struct message
message_of(enum message_type type, const struct member *from, const struct member *to)
{
    struct message message;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)type;
    message.from = member_index(from);
    message.to = member_index(to);
    message.term = core_term(from->core);
    return message;
}

static struct message
base_message(const struct member *from, const struct member *to, uint64_t lsn)
{
    static const struct mark marks[1] = {{.seq = 1, .incarnation = 1, .origin = 0}};
    struct message message = message_of(MESSAGE_BASE, from, to);

    message.base.lsn = lsn;
    message.base.base_term = core_term(from->core);
    message.base.members.voters = 7;
    message.base.marks = marks;
    message.base.marks_count = 1;
    return message;
}

static void
receive(struct cluster *cluster, struct member *member, const struct message *message)
{
    struct sink sink = sink_of(member);

    core_receive(member->core, message, NULL, cluster->now_ns, &sink);
}

static struct core_config
first_of(cairn_node_set voters, uint32_t incarnation)
{
    return (struct core_config){.self = 0,
                                .members.voters = voters,
                                .incarnation = incarnation,
                                .election_timeout_ns = TIMEOUT,
                                .retransmit_ns = TIMEOUT / 4,
                                .window_entries = 64,
                                .producers_max = 16};
}

static void
a_base_that_makes_no_sense_changes_nothing(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct message message;
    uint64_t last_lsn;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    last_lsn = core_last_lsn(follower->core);

    message = base_message(leader, follower, 1000);
    message.base.base_term = 0;
    receive(cluster, follower, &message);
    message.base.base_term = core_term(leader->core) + 1;
    receive(cluster, follower, &message);
    message = base_message(leader, follower, 0);
    receive(cluster, follower, &message);
    message = base_message(leader, follower, 1000);
    message.base.marks_count = 65;
    receive(cluster, follower, &message);
    message = base_message(leader, follower, 1000);
    message.base.members.voters = 0;
    receive(cluster, follower, &message);
    message.base.members = (struct members){.voters = 3, .learners = 1};
    receive(cluster, follower, &message);
    message.base.members = (struct members){.voters = 7 | 1u << 20};
    receive(cluster, follower, &message);
    message.base.members = (struct members){.voters = 7, .learners = 1u << 31};
    receive(cluster, follower, &message);
    message = base_message(leader, follower, 1000);
    message.term--;
    receive(cluster, follower, &message);
    /* Of what it has committed already: nothing is given up. */
    message = base_message(leader, follower, last_lsn);
    receive(cluster, follower, &message);
    /* From somebody who says to lead the leader's own term. */
    message = base_message(leader, leader, 1000);
    message.from = member_index(follower);
    receive(cluster, leader, &message);

    assert_int_equal(core_last_lsn(follower->core), last_lsn);
    assert_int_equal(core_base_lsn(follower->core), 0);
    assert_int_equal(core_base_lsn(leader->core), 0);
    cluster_free(cluster);
}

static enum cairn_error
change(struct cluster *cluster, struct member *member, cairn_node_set voters, cairn_node_set learners)
{
    struct members next = {.voters = voters, .learners = learners};
    struct sink sink = sink_of(member);
    uint64_t lsn = 0;

    return core_change_members(member->core, &next, cluster->now_ns, &sink, &lsn);
}

static void
members_that_make_no_sense_are_refused(void **state)
{
    struct cluster *cluster = cluster_new(5, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    cairn_node_set self = 1u << member_index(leader), other = 1u << member_index(follower);

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);

    assert_int_equal(change(cluster, follower, 31 & ~self, 0), CAIRN_NOT_LEADER);
    assert_int_equal(change(cluster, leader, 0, 0), CAIRN_INVALID);
    assert_int_equal(change(cluster, leader, 31, 1), CAIRN_INVALID);
    assert_int_equal(change(cluster, leader, 31 & ~self & ~other, 0), CAIRN_INVALID);
    assert_int_equal(change(cluster, leader, 63, 0), CAIRN_INVALID);
    assert_int_equal(change(cluster, leader, 1u << 20 | 31, 0), CAIRN_INVALID);
    assert_int_equal(change(cluster, leader, 31 & ~other, other), CAIRN_OK);
    assert_int_equal(change(cluster, leader, 31 & ~other, 0), CAIRN_AGAIN);
    cluster_free(cluster);
}

/* One that does not lead, and has nobody to ask. */
static void
by_decision_one_goes_on_alone_and_keeps_all_it_holds(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *member = another(cluster, leader, 1);
    uint8_t index = member_index(member);
    uint64_t last_lsn, term;
    struct accepted accepted;
    struct sink sink;

    (void)state;
    assert_int_equal(cluster_append(cluster, leader, 7, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    last_lsn = core_last_lsn(member->core);
    term = core_term(member->core);
    cluster_cut(cluster, index, true);
    sink = sink_of(member);
    assert_int_equal(core_go_on_alone(member->core, 0, cluster->now_ns, &sink), CAIRN_OK);
    cluster_run(cluster, TIMEOUT);
    assert_int_equal(core_role(member->core), ROLE_LEADER);
    assert_true(core_term(member->core) > term + 1000);
    assert_int_equal(core_members(member->core)->voters, 1u << index);
    assert_int_equal(core_members(member->core)->learners, 7u & ~(1u << index));
    assert_int_equal(core_commit_lsn(member->core), last_lsn + 1);
    cluster_free(cluster);
}

static struct message
append_message(const struct member *from, const struct member *to, uint64_t prev_lsn, uint64_t prev_term)
{
    struct message message = message_of(MESSAGE_APPEND, from, to);

    message.append.prev_lsn = prev_lsn;
    message.append.prev_term = prev_term;
    message.append.last_term = message.term;
    return message;
}

static void
what_contradicts_a_commit_stops_the_replica(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct accepted accepted;
    struct message message;
    uint64_t lsn, term;

    (void)state;
    assert_int_equal(cluster_append(cluster, leader, 7, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    lsn = core_commit_lsn(follower->core);
    term = core_term_at(follower->core, lsn);
    /* The same, one that nobody knows the term of any more, and one that is not committed: nothing is wrong. */
    message = append_message(leader, follower, lsn, term);
    receive(cluster, follower, &message);
    message = append_message(leader, follower, lsn, 0);
    receive(cluster, follower, &message);
    assert_int_equal(core_stopped(follower->core), STOP_NONE);

    message = append_message(leader, follower, lsn, term);
    message.term = message.append.last_term = term + 1;
    message.append.prev_term = term + 1;
    receive(cluster, follower, &message);
    assert_int_equal(core_stopped(follower->core), STOP_LOG);
    assert_int_equal(follower->contradictions, 1);
    /* What it holds stays, and it takes no part: two go on, and it alone elects nobody. */
    cluster_run(cluster, 20 * TIMEOUT);
    assert_int_equal(core_commit_lsn(follower->core), lsn);
    assert_int_equal(core_role(follower->core), ROLE_FOLLOWER);
    assert_int_equal(cluster_append(cluster, cluster_leader(cluster), 7, 2, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    assert_int_equal(core_commit_lsn(follower->core), lsn);
    cluster_free(cluster);
}

/* Until a leader of the term that was decided on is heard all is kept, and nothing else is listened to; then it is given up,
 * what was committed among it, and the node counts no more than one that has forgotten. */
static void
what_was_decided_against_is_given_up_for_who_was_decided_for(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct accepted accepted;
    struct message message;
    uint64_t commit_lsn, term;
    struct sink sink;

    (void)state;
    assert_int_equal(cluster_append(cluster, leader, 7, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    commit_lsn = core_commit_lsn(follower->core);
    term = term_decided(core_term(leader->core));
    assert_true(term > core_term(leader->core));
    sink = sink_of(follower);
    core_stop(follower->core, STOP_LOG, member_index(leader), commit_lsn, cluster->now_ns, &sink);
    core_adopt(follower->core, term);
    assert_int_equal(core_adopts(follower->core), term);
    assert_int_equal(core_stopped(follower->core), STOP_LOG);
    cluster_run(cluster, 20 * TIMEOUT);
    assert_int_equal(core_commit_lsn(follower->core), commit_lsn);
    message = append_message(leader, follower, commit_lsn, core_term(leader->core));
    message.term = term - 1;
    receive(cluster, follower, &message);
    assert_int_equal(core_commit_lsn(follower->core), commit_lsn);
    message = message_of(MESSAGE_VOTE, leader, follower);
    message.term = term;
    receive(cluster, follower, &message);
    assert_int_equal(core_last_lsn(follower->core), commit_lsn);
    assert_false(core_recovering(follower->core));

    message = append_message(leader, follower, 500, term);
    message.term = message.append.last_term = term;
    receive(cluster, follower, &message);
    assert_int_equal(core_stopped(follower->core), STOP_NONE);
    assert_int_equal(core_last_lsn(follower->core), 0);
    assert_int_equal(core_commit_lsn(follower->core), 0);
    assert_true(core_recovering(follower->core));
    assert_int_equal(core_adopts(follower->core), 0);
    receive(cluster, follower, &message);
    assert_int_equal(core_term(follower->core), term);
    assert_int_equal(core_leader(follower->core), member_index(leader));
    cluster_free(cluster);
}

/* Whoever gave up what it held says that it holds less than it did, in one life and under one leader. */
static void
who_gave_up_what_it_held_is_sent_all_of_it(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    uint64_t from, to;
    struct accepted accepted;
    struct message message;

    (void)state;
    assert_int_equal(cluster_append(cluster, leader, 7, 1, CAIRN_ACK_ALL, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    message = message_of(MESSAGE_APPEND_REPLY, follower, leader);
    receive(cluster, leader, &message);
    assert_false(core_send_window(leader->core, member_index(follower), &from, &to) && from == 1);
    message.recovering = true;
    receive(cluster, leader, &message);
    assert_true(core_send_window(leader->core, member_index(follower), &from, &to));
    assert_int_equal(from, 1);
    cluster_free(cluster);
}

/* Also where all that was committed is trimmed: the last of it is known by its term yet. */
static void
what_contradicts_a_base_stops_the_replica(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct message message;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    message = base_message(leader, follower, 1000);
    receive(cluster, follower, &message);
    assert_int_equal(core_commit_lsn(follower->core), 1000);
    assert_int_equal(core_compared_lsn(follower->core), 1000);
    message = append_message(leader, follower, 1000, core_term(leader->core));
    receive(cluster, follower, &message);
    assert_int_equal(core_stopped(follower->core), STOP_NONE);
    message.term = message.append.prev_term = message.append.last_term = core_term(leader->core) + 1;
    receive(cluster, follower, &message);
    assert_int_equal(core_stopped(follower->core), STOP_LOG);
    cluster_free(cluster);
}

/* What a life before knew to be its leader's may be another's by now. */
static void
what_is_restored_was_compared_with_nobody(void **state)
{
    struct core_config config = first_of(7, 2);
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *member = &cluster->members[0];
    const struct mark marks[1] = {{.seq = 1, .incarnation = 1, .origin = 0}};
    const struct core_base base = {.lsn = 1000, .base_term = 3, .members.voters = 7, .marks = marks, .marks_count = 1};
    struct sink sink = sink_of(member);

    (void)state;
    core_init(member->memory, &config, 1);
    assert_true(core_restore_base(member->core, &base, &sink));
    core_restore_end(member->core, 0, 0, 1, &sink);
    assert_int_equal(core_commit_lsn(member->core), 1000);
    assert_int_equal(core_compared_lsn(member->core), 0);
    cluster_free(cluster);
}

/* So does who was lent another trunk: it says so again and again. One such word alone may have come late. */
static void
who_was_lent_another_trunk_is_sent_what_it_lost(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct accepted accepted;
    struct message refusal, taken;
    uint64_t from, to;

    (void)state;
    assert_int_equal(cluster_append(cluster, leader, 7, 1, CAIRN_ACK_ALL, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    refusal = message_of(MESSAGE_APPEND_REPLY, follower, leader);
    taken = refusal;
    taken.yes = true;
    taken.append_reply.match_lsn = taken.append_reply.hint_lsn = core_last_lsn(leader->core);
    for (int late = 0; late < 5; late++) {
        receive(cluster, leader, &refusal);
        receive(cluster, leader, &refusal);
        assert_false(core_send_window(leader->core, member_index(follower), &from, &to) && from == 1);
        receive(cluster, leader, &taken);
    }
    for (int again = 0; again < 3; again++)
        receive(cluster, leader, &refusal);
    assert_true(core_send_window(leader->core, member_index(follower), &from, &to));
    assert_int_equal(from, 1);
    cluster_free(cluster);
}

/* The run begins as what was committed here does, and goes on where another term was committed. */
static void
a_run_is_compared_up_to_what_is_committed(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1), *next;
    struct message message;
    uint64_t first_lsn, term;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    first_lsn = core_last_lsn(follower->core);
    term = core_term_at(follower->core, first_lsn);
    cluster_cut(cluster, member_index(leader), true);
    cluster_run(cluster, 20 * TIMEOUT);
    next = cluster_leader(cluster);
    cluster_run(cluster, 5 * TIMEOUT);
    follower = another(cluster, leader, next == follower ? 2 : 1);
    assert_true(core_commit_lsn(follower->core) > first_lsn && core_term(follower->core) > term);

    message = append_message(next, follower, first_lsn - 1, core_term_at(follower->core, first_lsn - 1));
    message.append.run = (struct run){.term = term,
                                      .first_lsn = first_lsn,
                                      .first_seq = 1,
                                      .count = 2,
                                      .incarnation = 1,
                                      .origin = member_index(next)};
    receive(cluster, follower, &message);
    assert_int_equal(core_stopped(follower->core), STOP_LOG);
    cluster_free(cluster);
}

static void
who_acknowledges_more_than_there_is_does_not_count(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct message message;
    uint64_t commit_lsn;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    commit_lsn = core_commit_lsn(leader->core);
    message = message_of(MESSAGE_APPEND_REPLY, follower, leader);
    message.yes = true;
    message.append_reply.match_lsn = message.append_reply.hint_lsn = core_last_lsn(leader->core) + 100;
    receive(cluster, leader, &message);
    receive(cluster, leader, &message);
    assert_int_equal(leader->contradictions, 1);
    assert_int_equal(core_commit_lsn(leader->core), commit_lsn);
    cluster_free(cluster);
}

static void
a_change_needs_voters_that_are_well(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *gone = another(cluster, leader, 1);
    struct member *well = another(cluster, leader, 2);

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    cluster_cut(cluster, member_index(gone), true);
    cluster_run(cluster, 5 * TIMEOUT);

    /* The one that is well goes: two are left, and one of them is not there. */
    assert_int_equal(change(cluster, leader, 7u & ~(1u << member_index(well)), 0), CAIRN_NO_QUORUM);
    assert_int_equal(change(cluster, leader, 7u & ~(1u << member_index(gone)), 0), CAIRN_OK);
    cluster_free(cluster);
}

static void
a_transfer_that_makes_no_sense_is_refused(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct message message = {.type = MESSAGE_TIMEOUT_NOW};
    uint64_t term;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    term = core_term(leader->core);

    assert_int_equal(core_transfer(follower->core, member_index(leader), cluster->now_ns), CAIRN_NOT_LEADER);
    assert_int_equal(core_transfer(leader->core, member_index(leader), cluster->now_ns), CAIRN_INVALID);
    assert_int_equal(core_transfer(leader->core, 9, cluster->now_ns), CAIRN_INVALID);
    assert_int_equal(core_transfer(leader->core, CAIRN_NODE_NONE, cluster->now_ns), CAIRN_INVALID);
    /* Nobody is told to campaign by who does not lead, or did in another term. */
    message.from = member_index(another(cluster, leader, 2));
    message.to = member_index(follower);
    message.term = term;
    receive(cluster, follower, &message);
    message.from = member_index(leader);
    message.term = term - 1;
    receive(cluster, follower, &message);
    assert_int_equal(core_term(follower->core), term);
    assert_int_equal(core_transfer(leader->core, member_index(follower), cluster->now_ns), CAIRN_OK);
    assert_int_equal(core_transfer(leader->core, member_index(follower), cluster->now_ns), CAIRN_AGAIN);
    cluster_run(cluster, 5 * TIMEOUT);
    assert_ptr_equal(cluster_leader(cluster), follower);
    cluster_free(cluster);
}

/* One entry of a branch, handed to the leader so many times over by the node after it. */
static void
hand_over(struct cluster *cluster, struct member *leader, const struct sink *sink, struct run run, uint64_t prev_seq,
          const struct entry_id *id, int times)
{
    struct stored entry = {.id = *id};
    struct message message = {.type = MESSAGE_HAND_OFF, .from = member_index(another(cluster, leader, 1))};

    run.count = 1;
    run.kind = ENTRY_DATA;
    message.to = member_index(leader);
    message.term = core_term(leader->core);
    message.hand_off.prev_seq = prev_seq;
    message.hand_off.run = run;
    leader->event_entries = &entry;
    for (int i = 0; i < times; i++)
        core_receive(leader->core, &message, id, cluster->now_ns, sink);
    leader->event_entries = NULL;
    cluster_run(cluster, TIMEOUT / 5);
}

/* A core remembers the marks of 64 lives; of more, the oldest of the same origin go first. */
static void
more_lives_than_fit_push_out_the_oldest(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster);

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    for (uint32_t life = 1; life <= 80; life++) {
        struct entry_id id = {.producer = 1000 + life, .producer_seq = 1};
        struct run run = {.first_seq = 1, .incarnation = life, .origin = member_index(another(cluster, leader, 1))};
        struct sink sink = sink_of(leader);

        /* Repeated at once, it is known. */
        hand_over(cluster, leader, &sink, run, 0, &id, 2);
    }
    cluster_run(cluster, 5 * TIMEOUT);
    for (uint32_t life = 1; life <= 80; life++)
        assert_int_equal(cluster_copies(cluster, 1000 + life, 1), 1);
    cluster_free(cluster);
}

/* Whoever hands over repeats alone, of ever other lives, fills the trunk with marks: no more than there is room for. */
static void
repeats_alone_fill_no_more_than_the_window(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster);
    const struct entry_id id = {.producer = 7, .producer_seq = 1};
    struct run run = {.first_seq = 1, .incarnation = 1, .origin = member_index(another(cluster, leader, 1))};
    struct message message = {.type = MESSAGE_HAND_OFF, .from = run.origin, .to = member_index(leader)};
    struct sink sink = sink_of(leader);

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    hand_over(cluster, leader, &sink, run, 0, &id, 1);
    run.count = 1;
    message.term = core_term(leader->core);
    for (uint32_t life = 2; life <= 100000; life++) {
        run.incarnation = life;
        message.hand_off.run = run;
        core_receive(leader->core, &message, &id, cluster->now_ns, &sink);
    }
    cluster_run(cluster, 20 * TIMEOUT);
    assert_int_equal(cluster_copies(cluster, 7, 1), 1);
    assert_int_equal(core_commit_lsn(leader->core), core_last_lsn(leader->core));
    run.incarnation = 200000;
    hand_over(cluster, leader, &sink, run, 0, &(struct entry_id){.producer = 8, .producer_seq = 1}, 1);
    cluster_run(cluster, 5 * TIMEOUT);
    assert_int_equal(cluster_copies(cluster, 8, 1), 1);
    cluster_free(cluster);
}

static bool
is_asked_for(void *context, const struct entry_id *id)
{
    struct member *member = context;

    for (uint64_t lsn = 1; lsn <= member->stored_lsn; lsn++) {
        if (memcmp(&member->trunk[lsn].id, id, sizeof(*id)) == 0)
            return true;
    }
    return false;
}

/* The table tells of a producer's last two holders. What a branch brings of one before them is looked for. */
static void
entries_of_holders_long_gone_are_taken_once(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster);

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    for (uint32_t i = 0; i < 8; i++) {
        struct entry_id id = {.producer = 7, .producer_seq = 1, .epoch = i % 4};
        /* First all of one branch, then what another has of the same. */
        struct member *origin = i < 4 ? another(cluster, leader, 1) : leader;
        struct run run = {.first_seq = i % 4 + 1, .incarnation = 1, .origin = member_index(origin)};
        struct sink sink = sink_of(leader);

        sink.holds = is_asked_for;
        hand_over(cluster, leader, &sink, run, i % 4, &id, 1);
    }
    for (uint32_t epoch = 0; epoch < 4; epoch++) {
        uint32_t copies = 0;

        for (uint64_t lsn = 1; lsn <= leader->stored_lsn; lsn++)
            copies += leader->trunk[lsn].id.producer == 7 && leader->trunk[lsn].id.epoch == epoch;
        assert_int_equal(copies, 1);
    }
    cluster_free(cluster);
}

/* Each batch that ends with a repeat puts a mark on the trunk: of those, too, no more than there is room for. */
static void
repeats_wait_where_nothing_is_committed(void **state)
{
    struct cluster *cluster = cluster_new_with_window(3, CAIRN_POLICY_CP, 1, 64);
    struct member *leader = cluster_leader(cluster), *origin = another(cluster, leader, 1);
    struct entry_id id = {.producer = 7, .producer_seq = 1};
    struct message message = message_of(MESSAGE_HAND_OFF, origin, leader);
    struct sink sink = sink_of(leader);
    struct accepted accepted;

    (void)state;
    while (cluster_append(cluster, leader, 7, id.producer_seq, CAIRN_ACK_MAJORITY, &accepted) == CAIRN_OK)
        id.producer_seq++;
    id.producer_seq = 1;
    message.term = core_term(leader->core);
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        message.hand_off.prev_seq = seq - 1;
        message.hand_off.run = (struct run){
            .first_seq = seq, .count = 1, .incarnation = 1, .origin = member_index(origin)};
        core_receive(leader->core, &message, &id, cluster->now_ns, &sink);
    }
    assert_int_equal(core_role(leader->core), ROLE_LEADER);
    assert_true(core_last_lsn(leader->core) - core_commit_lsn(leader->core) < 64);
    cluster_free(cluster);
}

/* Whoever says often enough that it is a later term brings it to the last one: nobody campaigns for one behind that. */
static void
there_is_no_term_after_the_last(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *member = another(cluster, cluster_leader(cluster), 1), *other = another(cluster, member, 1);
    struct message message = message_of(MESSAGE_VOTE_REPLY, other, member);
    struct sink sink = sink_of(member);

    (void)state;
    while (core_term(member->core) < TERM_MAX) {
        uint64_t left = TERM_MAX - core_term(member->core);

        message.term = core_term(member->core) + (left < TERM_STEP_MAX ? left : TERM_STEP_MAX);
        core_receive(member->core, &message, NULL, cluster->now_ns, &sink);
        assert_int_equal(core_term(member->core), message.term);
    }
    /* Neither of its own accord, nor where the leader of the last term asks it to. */
    cluster_run(cluster, 30 * TIMEOUT);
    assert_true(core_leader_alive(member->core, member_index(other), TERM_MAX, 0, cluster->now_ns, &sink));
    message = message_of(MESSAGE_TIMEOUT_NOW, other, member);
    message.term = TERM_MAX;
    core_receive(member->core, &message, NULL, cluster->now_ns, &sink);
    assert_int_equal(core_term(member->core), TERM_MAX);
    cluster_free(cluster);
}

/* Nor of a leader's own, of which some more may stand behind a full window: not as many as it says. */
static void
a_follower_takes_no_more_than_there_is_room_for(void **state)
{
    struct cluster *cluster = cluster_new_with_window(3, CAIRN_POLICY_CP, 1, 64);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct message message = message_of(MESSAGE_APPEND, leader, follower);
    struct sink sink = sink_of(follower);
    struct stored entry = {.kind = ENTRY_NOOP};
    const struct entry_id none = {0};
    uint64_t behind;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    message.term = core_term(leader->core);
    follower->event_entries = &entry;
    for (uint32_t i = 0; i < 5000; i++) {
        message.append.prev_lsn = core_last_lsn(follower->core);
        message.append.prev_term = core_term_at(follower->core, message.append.prev_lsn);
        message.append.run = (struct run){.term = message.term,
                                          .first_lsn = message.append.prev_lsn + 1,
                                          .count = 1,
                                          .incarnation = 1,
                                          .origin = member_index(leader),
                                          .kind = ENTRY_NOOP};
        core_receive(follower->core, &message, &none, cluster->now_ns, &sink);
    }
    follower->event_entries = NULL;
    behind = core_last_lsn(follower->core) - core_commit_lsn(follower->core);
    assert_in_range(behind, 64, 2000);
    cluster_free(cluster);
}

/* Messages of a former life, of strangers, and of types that a core does not know. */
static void
messages_of_nobody_change_nothing(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct message message = {.type = MESSAGE_VOTE, .term = 1000};

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    message.from = 9;
    receive(cluster, leader, &message);
    message.from = member_index(follower);
    message.incarnation = 1;
    core_peer_restarted(leader->core, member_index(follower), 2);
    receive(cluster, leader, &message);
    message.incarnation = 2;
    message.type = MESSAGE_NONE;
    receive(cluster, leader, &message);
    message.type = MESSAGE_TYPES;
    receive(cluster, leader, &message);

    assert_int_equal(core_role(leader->core), ROLE_LEADER);
    assert_true(core_term(leader->core) < 1000);
    cluster_free(cluster);
}

/* Of five: a candidate has its own vote and two more. One was given in a former life, as the other voter
 * knows: the node may have voted since for somebody else. */
static void
a_vote_of_a_former_life_does_not_count(void **state)
{
    (void)state;
    for (uint32_t known_life = 1; known_life <= 2; known_life++) {
        struct core_config config = first_of(31, 1);
        struct cluster *cluster = cluster_new(5, CAIRN_POLICY_CP, 1);
        struct member *member = &cluster->members[0];
        struct sink sink = sink_of(member);
        struct message message;

        core_init(member->memory, &config, 1);
        core_tick(member->core, 1 + 3 * TIMEOUT, &sink);
        memset(&message, 0, sizeof(message));
        message.type = MESSAGE_PREVOTE_REPLY;
        message.term = 1;
        message.yes = true;
        message.vote.round = 1;
        message.incarnation = 1;
        for (message.from = 1; message.from <= 2; message.from++)
            core_receive(member->core, &message, NULL, 1 + 3 * TIMEOUT, &sink);
        assert_int_equal(core_role(member->core), ROLE_CANDIDATE);
        memset(&message, 0, sizeof(message));
        message.type = MESSAGE_VOTE_REPLY;
        message.term = 1;
        message.yes = true;
        message.incarnation = 1;
        message.from = 1;
        core_receive(member->core, &message, NULL, 1 + 3 * TIMEOUT, &sink);
        message.from = 2;
        message.vote_reply.lives[1] = known_life;

        core_receive(member->core, &message, NULL, 1 + 3 * TIMEOUT, &sink);

        assert_int_equal(core_role(member->core), known_life == 1 ? ROLE_LEADER : ROLE_CANDIDATE);
        cluster_free(cluster);
    }
}

/* A log's old files are given up when it is written again where the journal is now. Where that is cut off, nothing of
 * what stood there may be lost; what replaces it takes all behind it away. */
static void
what_is_written_again_takes_nothing_away(void **state)
{
    struct core_config config = first_of(7, 2);
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *member = &cluster->members[0];
    struct stored entries[8] = {{.id = {.producer = 0}}};
    struct entry_id ids[8] = {{.producer = 0}};
    struct run run = {.term = 3, .first_lsn = 1, .first_seq = 1, .count = 8, .incarnation = 1, .origin = 1};
    struct sink sink = sink_of(member);

    (void)state;
    core_init(member->memory, &config, 1);
    member->event_entries = entries;
    assert_true(core_restore_entries(member->core, &run, ids, 5, false, &sink));
    run.count = 1;
    for (run.first_lsn = 1; run.first_lsn <= 7; run.first_lsn++)
        assert_true(core_restore_entries(member->core, &run, ids, run.first_lsn, false, &sink));
    assert_int_equal(core_last_lsn(member->core), 8);
    assert_int_equal(core_commit_lsn(member->core), 7);
    run.term = 4;
    run.first_lsn = 8;
    run.count = 2;
    assert_true(core_restore_entries(member->core, &run, ids, 7, false, &sink));
    assert_int_equal(core_last_lsn(member->core), 9);
    assert_int_equal(core_term_at(member->core, 8), 4);
    member->event_entries = NULL;
    cluster_free(cluster);
}

/* What is lent by somebody whose trunk is not as far, or comes when there is a leader, is not taken. */
static void
what_is_lent_by_who_has_less_is_not_taken(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster), *follower = another(cluster, leader, 1);
    struct entry_id id = {.producer = 9, .producer_seq = 1};
    struct stored entry = {.id = id};
    struct message message;
    struct sink sink;

    (void)state;
    cluster_run(cluster, 5 * TIMEOUT);
    memset(&message, 0, sizeof(message));
    message.type = MESSAGE_LEND;
    message.from = member_index(another(cluster, leader, 2));
    message.to = member_index(follower);
    message.term = core_term(leader->core);
    message.append.prev_lsn = core_last_lsn(follower->core);
    message.append.prev_term = core_term_at(follower->core, message.append.prev_lsn);
    message.append.run = (struct run){.term = message.term,
                                      .first_lsn = message.append.prev_lsn + 1,
                                      .first_seq = 1,
                                      .count = 1,
                                      .incarnation = 1,
                                      .origin = message.from,
                                      .kind = ENTRY_DATA};
    message.append.last_lsn = message.append.prev_lsn + 1;
    message.append.last_term = message.term;
    sink = sink_of(follower);
    follower->event_entries = &entry;
    core_receive(follower->core, &message, &id, cluster->now_ns, &sink);
    assert_int_equal(core_last_lsn(follower->core), message.append.prev_lsn);

    cluster_cut(cluster, member_index(follower), true);
    cluster_run(cluster, 10 * TIMEOUT);
    message.append.last_term = message.term - 1;
    core_receive(follower->core, &message, &id, cluster->now_ns, &sink);
    assert_int_equal(core_last_lsn(follower->core), message.append.prev_lsn);
    message.append.last_term = message.term;
    core_receive(follower->core, &message, &id, cluster->now_ns, &sink);
    assert_int_equal(core_last_lsn(follower->core), message.append.prev_lsn + 1);
    follower->event_entries = NULL;
    cluster_free(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_base_that_makes_no_sense_changes_nothing),
        cmocka_unit_test(members_that_make_no_sense_are_refused),
        cmocka_unit_test(by_decision_one_goes_on_alone_and_keeps_all_it_holds),
        cmocka_unit_test(what_contradicts_a_commit_stops_the_replica),
        cmocka_unit_test(what_was_decided_against_is_given_up_for_who_was_decided_for),
        cmocka_unit_test(who_gave_up_what_it_held_is_sent_all_of_it),
        cmocka_unit_test(what_contradicts_a_base_stops_the_replica),
        cmocka_unit_test(what_is_restored_was_compared_with_nobody),
        cmocka_unit_test(who_was_lent_another_trunk_is_sent_what_it_lost),
        cmocka_unit_test(a_run_is_compared_up_to_what_is_committed),
        cmocka_unit_test(who_acknowledges_more_than_there_is_does_not_count),
        cmocka_unit_test(a_change_needs_voters_that_are_well),
        cmocka_unit_test(a_transfer_that_makes_no_sense_is_refused),
        cmocka_unit_test(more_lives_than_fit_push_out_the_oldest),
        cmocka_unit_test(repeats_alone_fill_no_more_than_the_window),
        cmocka_unit_test(entries_of_holders_long_gone_are_taken_once),
        cmocka_unit_test(repeats_wait_where_nothing_is_committed),
        cmocka_unit_test(there_is_no_term_after_the_last),
        cmocka_unit_test(a_follower_takes_no_more_than_there_is_room_for),
        cmocka_unit_test(messages_of_nobody_change_nothing),
        cmocka_unit_test(a_vote_of_a_former_life_does_not_count),
        cmocka_unit_test(what_is_written_again_takes_nothing_away),
        cmocka_unit_test(what_is_lent_by_who_has_less_is_not_taken),
    };

    return RUN_TESTS(tests);
}
