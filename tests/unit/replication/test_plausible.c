/* Each number of each message, at its limit and beyond it. */
#include "replication/plausible.h"
#include "tests/unit/check.h"

static struct message
message_of(enum message_type type)
{
    struct message message;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)type;
    message.from = 1;
    message.to = 2;
    message.incarnation = 1;
    message.term = TERM_MAX;
    return message;
}

/* The number holds at its limit, and at no higher value that its bits can have. */
static void
limited(struct message *message, uint64_t *number, uint64_t limit)
{
    static const uint64_t higher[] = {1ull << 32, 1ull << 48, 1ull << 56, 1ull << 63, UINT64_MAX};
    uint64_t before = *number;

    assert_true(message_plausible(message));
    *number = limit;
    assert_true(message_plausible(message));
    *number = limit + 1;
    assert_false(message_plausible(message));
    for (uint32_t i = 0; i < sizeof(higher) / sizeof(*higher); i++) {
        *number = higher[i];
        if (higher[i] > limit)
            assert_false(message_plausible(message));
    }
    *number = before;
}

static void
a_life_is_one_of_those_that_can_be(struct message *message, uint32_t *life, bool none)
{
    static const uint32_t wrong[] = {LIFE_MAX + 1, 1u << 31, UINT32_MAX};
    uint32_t before = *life;

    *life = LIFE_MAX;
    assert_true(message_plausible(message));
    for (uint32_t i = 0; i < 3; i++) {
        *life = wrong[i];
        assert_false(message_plausible(message));
    }
    *life = 0;
    assert_int_equal(message_plausible(message), none);
    *life = before;
}

static void
terms_and_lives_of_every_message_are_limited(void **state)
{
    (void)state;
    for (int type = MESSAGE_PREVOTE; type < MESSAGE_TYPES; type++) {
        struct message message = message_of((enum message_type)type);
        static const struct mark mark = {.seq = 1, .incarnation = 1};
        struct run run = {.count = 1, .incarnation = 1, .first_seq = 1};

        if (type == MESSAGE_HAND_OFF)
            message.hand_off.run = run;
        if (type == MESSAGE_SPREAD)
            message.spread.run = run;
        if (type == MESSAGE_HAND_OFF_REPLY)
            message.hand_off_reply.incarnation = 1;
        if (type == MESSAGE_RECOVER_REPLY)
            message.recover.members.voters = 7;
        if (type == MESSAGE_BASE)
            message.base = (struct core_base){
                .lsn = 1, .base_term = 1, .members.voters = 1, .marks = &mark, .marks_count = 1};
        limited(&message, &message.term, TERM_MAX);
        a_life_is_one_of_those_that_can_be(&message, &message.incarnation, false);
    }
    for (int type = MESSAGE_TYPES; type < 256; type++) {
        struct message message = message_of((enum message_type)type);

        assert_false(message_plausible(&message));
    }
}

static void
votes_are_limited(void **state)
{
    static const enum message_type types[] = {MESSAGE_PREVOTE, MESSAGE_PREVOTE_REPLY, MESSAGE_VOTE, MESSAGE_PULL};
    struct message reply = message_of(MESSAGE_VOTE_REPLY);

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct message message = message_of(types[i]);

        limited(&message, &message.vote.last_lsn, LSN_MAX);
        message.term = 7;
        limited(&message, &message.vote.last_term, 7);
    }
    for (uint32_t i = 0; i < CAIRN_NODES_MAX; i++)
        a_life_is_one_of_those_that_can_be(&reply, &reply.vote_reply.lives[i], true);
}

static void
answers_are_limited(void **state)
{
    struct message append = message_of(MESSAGE_APPEND_REPLY), read = message_of(MESSAGE_READ_INDEX_REPLY),
                   mark = message_of(MESSAGE_HAND_OFF_REPLY), recover = message_of(MESSAGE_RECOVER_REPLY);

    (void)state;
    limited(&append, &append.append_reply.match_lsn, LSN_MAX);
    limited(&append, &append.append_reply.hint_lsn, LSN_MAX);
    limited(&read, &read.read_index.lsn, LSN_MAX);
    mark.hand_off_reply.incarnation = 1;
    limited(&mark, &mark.hand_off_reply.mark, SEQ_MAX);
    a_life_is_one_of_those_that_can_be(&mark, &mark.hand_off_reply.incarnation, false);
    mark.hand_off_reply.origin = CAIRN_NODES_MAX;
    assert_false(message_plausible(&mark));
    recover.recover.members.voters = 7;
    limited(&recover, &recover.recover.last_lsn, LSN_MAX);
    recover.recover.members.voters = 0;
    assert_false(message_plausible(&recover));
}

static void
runs_of_a_trunk_are_limited(void **state)
{
    static const enum message_type types[] = {MESSAGE_APPEND, MESSAGE_LEND};

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct message message = message_of(types[i]);
        struct run *run = &message.append.run;

        message.term = 7;
        *run = (struct run){.term = 7, .first_lsn = 1, .first_seq = 1, .count = 2, .incarnation = 1};
        limited(&message, &message.append.prev_term, 7);
        limited(&message, &message.append.last_term, 7);
        limited(&message, &message.append.commit_lsn, LSN_MAX);
        limited(&message, &message.append.last_lsn, LSN_MAX);
        limited(&message, &run->term, 7);
        limited(&message, &run->first_seq, SEQ_MAX - 1);
        a_life_is_one_of_those_that_can_be(&message, &run->incarnation, false);
        /* The last of them stands on an lsn too. */
        message.append.prev_lsn = LSN_MAX - 2;
        run->first_lsn = LSN_MAX - 1;
        assert_true(message_plausible(&message));
        message.append.prev_lsn++;
        run->first_lsn++;
        assert_false(message_plausible(&message));
        message.append.prev_lsn = UINT64_MAX;
        run->first_lsn = 0;
        assert_false(message_plausible(&message));
        message.append.prev_lsn = run->first_lsn = 9;
        assert_false(message_plausible(&message));
        message.append.prev_lsn = 8;
        run->count = MESSAGE_ENTRIES_MAX;
        assert_true(message_plausible(&message));
        run->count++;
        assert_false(message_plausible(&message));
        run->count = UINT32_MAX;
        assert_false(message_plausible(&message));
        /* A probe has none. */
        *run = (struct run){0};
        assert_true(message_plausible(&message));
        limited(&message, &message.append.prev_lsn, LSN_MAX);
    }
}

/* A run says by its kind what its sequence is. */
static void
each_kind_of_entry_is_known(void **state)
{
    struct message message = message_of(MESSAGE_APPEND);
    struct run *run = &message.append.run;

    (void)state;
    *run = (struct run){.term = 7, .first_lsn = 1, .count = 1, .incarnation = 1};
    for (int kind = ENTRY_CONFIG + 1; kind < 256; kind++) {
        run->kind = (uint8_t)kind;
        assert_false(message_plausible(&message));
    }
    run->kind = ENTRY_NOOP;
    limited(&message, &run->first_seq, 0);
    run->kind = ENTRY_MARK;
    assert_false(message_plausible(&message));
    run->first_seq = 1;
    limited(&message, &run->first_seq, SEQ_MAX);
    run->kind = ENTRY_CONFIG;
    run->first_seq = 7 | 8ull << 32;
    assert_true(message_plausible(&message));
    run->first_seq = 7 | 4ull << 32; /* one is both */
    assert_false(message_plausible(&message));
    run->first_seq = 1ull << CAIRN_NODES_MAX;
    assert_false(message_plausible(&message));
    run->first_seq = 8ull << 32;
    assert_false(message_plausible(&message));
    run->first_seq = 7;
    for (run->kind = ENTRY_NOOP; run->kind <= ENTRY_CONFIG; run->kind++) {
        run->count = 2;
        assert_false(message_plausible(&message));
    }
    *run = (struct run){.term = 7, .first_lsn = 1, .first_seq = 1, .count = 1, .incarnation = 1};
    run->origin = CAIRN_NODES_MAX - 1;
    assert_true(message_plausible(&message));
    run->origin++;
    assert_false(message_plausible(&message));
}

static void
runs_of_a_branch_are_limited(void **state)
{
    struct message hand_off = message_of(MESSAGE_HAND_OFF), spread = message_of(MESSAGE_SPREAD);
    struct message *messages[] = {&hand_off, &spread};
    struct run *runs[] = {&hand_off.hand_off.run, &spread.spread.run};

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct run *run = runs[i];

        *run = (struct run){.first_seq = 1, .count = 2, .incarnation = 1};
        limited(messages[i], &run->first_seq, SEQ_MAX - 1);
        a_life_is_one_of_those_that_can_be(messages[i], &run->incarnation, false);
        run->first_seq = 0;
        assert_false(message_plausible(messages[i]));
        run->first_seq = 1;
        run->count = 0;
        assert_false(message_plausible(messages[i]));
        run->count = 1;
        for (run->kind = ENTRY_NOOP; run->kind <= ENTRY_CONFIG + 1; run->kind++)
            assert_false(message_plausible(messages[i]));
        run->kind = ENTRY_DATA;
    }
    limited(&hand_off, &hand_off.hand_off.prev_seq, SEQ_MAX);
    spread.spread.prev_place = spread.spread.settled_place = UINT64_MAX;
    assert_true(message_plausible(&spread));
}

static void
bases_and_producers_are_limited(void **state)
{
    struct mark marks[MARKS_MAX + 1];
    struct producer_row rows[2] = {{.id = 7, .seq = 1, .lsn = 1}, {.id = 8, .seq = 1, .lsn = 1}};
    struct message base = message_of(MESSAGE_BASE), producers = message_of(MESSAGE_PRODUCERS);

    (void)state;
    for (uint32_t i = 0; i <= MARKS_MAX; i++)
        marks[i] = (struct mark){.seq = 1, .incarnation = 1 + i};
    base.term = 9;
    base.base = (struct core_base){
        .lsn = 5, .base_term = 9, .members.voters = 3, .marks = marks, .marks_count = MARKS_MAX};
    limited(&base, &base.base.lsn, LSN_MAX);
    limited(&base, &base.base.base_term, 9);
    limited(&base, &base.base.marks_lsn, LSN_MAX);
    limited(&base, &marks[MARKS_MAX - 1].seq, SEQ_MAX);
    a_life_is_one_of_those_that_can_be(&base, &marks[0].incarnation, false);
    base.base.marks_count++;
    assert_false(message_plausible(&base));
    base.base.marks_count--;
    base.base.lsn = 0;
    assert_false(message_plausible(&base));
    producers.producers.rows = rows;
    producers.producers.count = 2;
    limited(&producers, &rows[1].lsn, LSN_MAX);
    limited(&producers, &rows[1].seq, PRODUCER_SEQ_MAX);
    limited(&producers, &rows[1].former_seq, PRODUCER_SEQ_MAX);
    producers.producers.after_id = 7;
    assert_false(message_plausible(&producers));
    producers.producers.count = PRODUCER_ROWS_MAX + 1;
    assert_false(message_plausible(&producers));
}

static void
a_term_far_ahead_is_nobodys(void **state)
{
    (void)state;
    assert_true(term_plausible(5, 9));
    assert_true(term_plausible(9 + TERM_STEP_MAX, 9));
    assert_false(term_plausible(10 + TERM_STEP_MAX, 9));
    assert_false(term_plausible(TERM_MAX + 1, TERM_MAX));
    assert_false(term_plausible(UINT64_MAX, 0));
}

static void
a_producer_is_not_of_another_day(void **state)
{
    const uint64_t now_ms = 1800000000000ull, day_ms = 24ull * 3600 * 1000;

    (void)state;
    assert_true(7 <= producer_plausible_max(now_ms * 1000000));
    assert_true(now_ms << PRODUCER_TIME_SHIFT <= producer_plausible_max(now_ms * 1000000));
    assert_true((now_ms + day_ms) << PRODUCER_TIME_SHIFT <= producer_plausible_max(now_ms * 1000000));
    assert_false((now_ms + day_ms + 1) << PRODUCER_TIME_SHIFT <= producer_plausible_max(now_ms * 1000000));
    assert_false(UINT64_MAX <= producer_plausible_max(now_ms * 1000000));
}

static void
entries_of_a_producer_are_counted_from_one(void **state)
{
    struct entry_id id = {.producer = 0, .producer_seq = 0};

    (void)state;
    assert_true(entry_id_plausible(&id));
    id.producer = 9;
    assert_false(entry_id_plausible(&id));
    id.producer_seq = 1;
    assert_true(entry_id_plausible(&id));
    id.producer_seq = PRODUCER_SEQ_MAX;
    assert_true(entry_id_plausible(&id));
    id.producer_seq++;
    assert_false(entry_id_plausible(&id));
    id.producer_seq = UINT64_MAX;
    assert_false(entry_id_plausible(&id));
    id = (struct entry_id){.producer = PRODUCER_MAX, .producer_seq = 1};
    assert_true(entry_id_plausible(&id));
    id.producer++;
    assert_false(entry_id_plausible(&id));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_and_lives_of_every_message_are_limited),
        cmocka_unit_test(votes_are_limited),
        cmocka_unit_test(answers_are_limited),
        cmocka_unit_test(runs_of_a_trunk_are_limited),
        cmocka_unit_test(each_kind_of_entry_is_known),
        cmocka_unit_test(runs_of_a_branch_are_limited),
        cmocka_unit_test(bases_and_producers_are_limited),
        cmocka_unit_test(a_term_far_ahead_is_nobodys),
        cmocka_unit_test(a_producer_is_not_of_another_day),
        cmocka_unit_test(entries_of_a_producer_are_counted_from_one),
    };

    return RUN_TESTS(tests);
}
