/* Sessions against nodes that the test plays: what entries are called, when they are answered, who is asked. */
#include "tests/unit/check.h"

#include "client/client.h"
#include "client/dial.h"
#include "client/session.h"
#include "wire/protocol.h"
#include "wire/record.h"

#define NODES 3u
#define MS 1000000u
#define DEADLINE_NS (1000u * MS)
#define RING_BYTES 65536u

enum node_state { NODE_UP, NODE_HUNG, NODE_DOWN };

struct fake_node {
    enum node_state state;
    struct byte_channel channel;
    bool attached, has_channel;
};

struct fake {
    struct fake_node nodes[NODES];
    uint64_t now_ns, producers;
    enum cairn_error unopened;
};

/* What a node is asked. */
struct asked {
    uint64_t token, producer, seq;
    char payload[16];
};

static uint64_t
now(void *context)
{
    /* Whoever waits for it to pass sees it pass. */
    return ((struct fake *)context)->now_ns += 1000;
}

static uint64_t
renew(void *context)
{
    return ++((struct fake *)context)->producers;
}

static enum cairn_error
find_log(void *context, const char *name, uint32_t *log, uint8_t *worker)
{
    (void)name;
    *log = 1;
    *worker = 0;
    return ((struct fake *)context)->unopened;
}

static void
detach(void *context, struct cairn_client *client)
{
    (void)context;
    ((struct fake_node *)client->lanes[0].attachment)->attached = false;
}

static enum cairn_error
connect_fake(void *context, uint8_t index, struct dial *dial, struct cairn_client **out, char *detail,
             size_t detail_bytes)
{
    struct fake *fake = context;
    struct fake_node *node = &fake->nodes[index];

    (void)dial;
    snprintf(detail, detail_bytes, "n%u", index + 1);
    if (node->state != NODE_UP)
        return node->state == NODE_HUNG ? CAIRN_AGAIN : CAIRN_CLOSED;
    if (node->has_channel)
        byte_channel_renew(&node->channel);
    else
        assert_int_equal(byte_channel_make(&node->channel, RING_BYTES), 0);
    node->has_channel = node->attached = true;
    *out = calloc(1, sizeof(**out));
    assert_non_null(*out);
    byte_channel_mirror(&node->channel, &(*out)->lanes[0].channel);
    (*out)->socket = -1;
    (*out)->find = find_log;
    (*out)->detach = detach;
    (*out)->context = fake;
    (*out)->lanes[0].attachment = node;
    client_lane_opened(*out, 0);
    return CAIRN_OK;
}

static struct session *
session_with(struct fake *fake, const struct session_config *wanted)
{
    struct session_config config = *wanted;
    struct session *session;
    char detail[256];

    config.nodes = NODES;
    config.connect = connect_fake;
    config.connect_context = fake;
    config.log = "k";
    config.deadline_ns = DEADLINE_NS;
    config.now_ns = now;
    config.renew = renew;
    assert_int_equal(session_open(&config, &session, detail, sizeof(detail)), CAIRN_OK);
    return session;
}

static struct session *
session_new(struct fake *fake)
{
    return session_with(fake, &(struct session_config){.via = CAIRN_NODE_NONE});
}

static void
end(struct fake *fake, struct session *session)
{
    session_close(session);
    for (uint32_t i = 0; i < NODES; i++) {
        if (fake->nodes[i].has_channel)
            byte_channel_close(&fake->nodes[i].channel);
    }
}

static void
give(struct session *session, const char *payload)
{
    struct cairn_entry entry = {.payload = payload, .payload_bytes = (uint32_t)strlen(payload)};

    assert_int_equal(session_append(session, &entry), CAIRN_OK);
}

/* Time passes, in small steps, and nothing is told meanwhile. */
static void
pass(struct fake *fake, struct session *session, uint64_t ns)
{
    struct session_result result;

    for (uint64_t end_ns = fake->now_ns + ns; fake->now_ns < end_ns; fake->now_ns += MS / 2)
        assert_false(session_poll(session, &result));
}

static bool
next_request(struct fake *fake, uint8_t node, struct asked *out)
{
    struct byte_ring *ring = &fake->nodes[node].channel.in;
    const struct request *request;
    const struct record *record;
    const void *bytes;

    if (!fake->nodes[node].attached || byte_ring_peek(ring, &bytes) == 0)
        return false;
    request = bytes;
    record = (const struct record *)(const void *)(request + 1);
    *out = (struct asked){.token = request->token, .producer = record->producer, .seq = record->producer_seq};
    memcpy(out->payload, record_payload(record), record->payload_bytes);
    byte_ring_pop(ring, request->size_bytes);
    return true;
}

static void
answer(struct fake *fake, uint8_t node, uint64_t token, enum cairn_error error, uint8_t reached)
{
    struct byte_ring *ring = &fake->nodes[node].channel.out;
    struct answer *place = byte_ring_reserve(ring, sizeof(*place));

    assert_non_null(place);
    *place = (struct answer){.size_bytes = sizeof(*place),
                             .type = ANSWER_APPEND,
                             .error = (uint8_t)error,
                             .token = token,
                             .lsn = error == CAIRN_OK ? 1 : 0,
                             .leader = CAIRN_NODE_NONE,
                             .reached = reached,
                             .needed = 2};
    byte_ring_push(ring, sizeof(*place));
}

/* The session is turned until the node is asked. */
static struct asked
await(struct fake *fake, struct session *session, uint8_t node)
{
    struct asked asked = {0};
    struct session_result result;

    for (uint32_t i = 0; i < 4000; i++) {
        if (next_request(fake, node, &asked))
            return asked;
        assert_false(session_poll(session, &result));
        fake->now_ns += MS / 10;
    }
    fail_msg("n%u is not asked", node + 1);
    return asked;
}

static struct session_result
told(struct fake *fake, struct session *session, uint64_t within_ns)
{
    struct session_result result;
    uint64_t end_ns = fake->now_ns + within_ns;

    while (!session_poll(session, &result)) {
        fake->now_ns += MS / 2;
        assert_true(fake->now_ns <= end_ns);
    }
    return result;
}

static void
a_hung_node_costs_milliseconds(void **state)
{
    struct fake fake = {.nodes[0].state = NODE_HUNG};
    struct session *session;
    uint64_t begun_ns;

    (void)state;
    session = session_new(&fake);
    begun_ns = fake.now_ns;
    give(session, "a");
    await(&fake, session, 1);
    assert_true(fake.now_ns - begun_ns < 50 * MS);
    end(&fake, session);
}

static void
every_entry_is_answered_by_its_deadline_whoever_is_gone(void **state)
{
    struct fake fake = {0};
    struct session *session = session_with(&fake,
                                           &(struct session_config){.via = CAIRN_NODE_NONE, .window_entries = 4});
    struct session_result result;
    uint64_t given_ns[64];
    uint64_t given = 0, answered = 0;

    (void)state;
    give(session, "0");
    given_ns[given++] = fake.now_ns;
    await(&fake, session, 0);
    for (uint32_t i = 0; i < NODES; i++)
        fake.nodes[i].state = i == 1 ? NODE_HUNG : NODE_DOWN;
    while (answered < 64) {
        char text[8];
        struct cairn_entry entry = {.payload = text,
                                    .payload_bytes = (uint32_t)snprintf(text, sizeof(text), "%u", (unsigned)given)};

        if (given < 64 && session_append(session, &entry) == CAIRN_OK)
            given_ns[given++] = fake.now_ns;
        while (session_poll(session, &result)) {
            assert_int_equal(result.index, answered);
            /* The first four were under way before the session knew. */
            if (answered > 0 && answered < 4)
                assert_true(result.error == CAIRN_UNKNOWN || result.error == CAIRN_TIMEOUT);
            else
                assert_int_equal(result.error, answered == 0 ? CAIRN_UNKNOWN : CAIRN_TIMEOUT);
            assert_true(fake.now_ns - given_ns[answered++] <= DEADLINE_NS + 2 * MS);
        }
        fake.now_ns += MS;
        assert_true(fake.now_ns < 64 * (uint64_t)DEADLINE_NS);
    }
    assert_int_equal(session_in_flight(session), 0);
    end(&fake, session);
}

static void
what_is_refused_leaves_its_sequence_to_the_next(void **state)
{
    struct fake fake = {0};
    struct session *session = session_new(&fake);
    struct asked first, second;

    (void)state;
    give(session, "a");
    first = await(&fake, session, 0);
    answer(&fake, 0, first.token, CAIRN_FULL, 3);
    assert_int_equal(told(&fake, session, 10 * MS).error, CAIRN_FULL);
    give(session, "b");
    second = await(&fake, session, 0);
    assert_int_equal(second.producer, first.producer);
    assert_int_equal(second.seq, first.seq);
    end(&fake, session);
}

/* The ring of a node that hangs still holds the second entry by the sequence 2: it must mean nothing else. */
static void
what_may_still_arrive_keeps_its_name_to_itself(void **state)
{
    struct fake fake = {0};
    struct session *session = session_new(&fake);
    struct asked first, second, again;

    (void)state;
    give(session, "a");
    give(session, "b");
    first = await(&fake, session, 0);
    second = await(&fake, session, 0);
    assert_int_equal(second.seq, first.seq + 1);
    answer(&fake, 0, first.token, CAIRN_NO_LEADER, 3);
    /* To n2, with the second's attempt at n1 never answered. */
    again = await(&fake, session, 1);
    assert_string_equal(again.payload, "a");
    answer(&fake, 1, again.token, CAIRN_FULL, 3);
    assert_int_equal(told(&fake, session, 10 * MS).error, CAIRN_FULL);
    do
        again = await(&fake, session, 1);
    while (again.producer == first.producer && again.seq == second.seq);
    assert_string_equal(again.payload, "b");
    assert_int_not_equal(again.producer, first.producer);
    assert_int_equal(again.seq, 1);
    end(&fake, session);
}

static void
an_unknown_entry_is_named_as_it_was_tried(void **state)
{
    struct fake fake = {0};
    struct session *session = session_new(&fake);
    struct session_result result;
    struct asked first, again;

    (void)state;
    give(session, "a");
    first = await(&fake, session, 0);
    fake.nodes[0].state = NODE_DOWN;
    pass(&fake, session, 200 * MS);
    again = await(&fake, session, 1);
    assert_int_equal(again.producer, first.producer);
    answer(&fake, 1, again.token, CAIRN_PRODUCER_EVICTED, 3);
    result = told(&fake, session, 10 * MS);
    assert_int_equal(result.error, CAIRN_UNKNOWN);
    assert_int_equal(result.producer, first.producer);
    assert_int_equal(result.seq, first.seq);
    /* What comes after goes by another name. */
    give(session, "b");
    assert_int_not_equal(await(&fake, session, 1).producer, first.producer);
    end(&fake, session);
}

static void
who_forgot_a_producer_is_told_a_new_one_for_what_was_not_taken(void **state)
{
    struct fake fake = {0};
    struct session *session = session_new(&fake);
    struct asked first, again;

    (void)state;
    give(session, "a");
    give(session, "b");
    first = await(&fake, session, 0);
    await(&fake, session, 0);
    answer(&fake, 0, first.token, CAIRN_PRODUCER_EVICTED, 3);
    again = await(&fake, session, 0);
    assert_string_equal(again.payload, "a");
    assert_int_not_equal(again.producer, first.producer);
    answer(&fake, 0, again.token, CAIRN_OK, 3);
    assert_int_equal(told(&fake, session, 10 * MS).error, CAIRN_OK);
    again = await(&fake, session, 0);
    assert_string_equal(again.payload, "b");
    assert_int_equal(again.seq, 2);
    answer(&fake, 0, again.token, CAIRN_OK, 3);
    assert_int_equal(told(&fake, session, 10 * MS).error, CAIRN_OK);
    end(&fake, session);
}

static void
a_chosen_name_never_goes_to_another_entry(void **state)
{
    struct fake fake = {0};
    struct session *session = session_with(&fake, &(struct session_config){.via = 0, .producer = 900});
    struct session_result result;
    struct asked asked;

    (void)state;
    give(session, "a");
    asked = await(&fake, session, 0);
    answer(&fake, 0, asked.token, CAIRN_NO_QUORUM, 1);
    assert_int_equal(told(&fake, session, 10 * MS).error, CAIRN_NO_QUORUM);
    give(session, "b");
    asked = await(&fake, session, 0);
    assert_int_equal(asked.producer, 900);
    assert_int_equal(asked.seq, 2);
    answer(&fake, 0, asked.token, CAIRN_OUT_OF_ORDER, 3);
    result = told(&fake, session, 10 * MS);
    assert_int_equal(result.error, CAIRN_OUT_OF_ORDER);
    assert_int_equal(result.seq, 2);
    end(&fake, session);
}

/* It may have been taken the first time: that it is not taken now does not tell. */
static void
a_refusal_does_not_settle_a_repeat(void **state)
{
    struct fake fake = {0};
    struct session *session = session_with(
        &fake, &(struct session_config){.via = CAIRN_NODE_NONE, .producer = 900, .first_seq = 7});
    struct session_result result;
    struct asked asked;

    (void)state;
    give(session, "a");
    fake.nodes[1].state = fake.nodes[2].state = NODE_DOWN;
    for (uint64_t end_ns = fake.now_ns + DEADLINE_NS; fake.now_ns < end_ns; fake.now_ns += MS / 2) {
        assert_false(session_poll(session, &result));
        if (next_request(&fake, 0, &asked)) {
            assert_int_equal(asked.seq, 7);
            answer(&fake, 0, asked.token, CAIRN_NO_QUORUM, 1);
        }
    }
    result = told(&fake, session, 10 * MS);
    assert_int_equal(result.error, CAIRN_UNKNOWN);
    assert_int_equal(result.producer, 900);
    assert_int_equal(result.seq, 7);
    end(&fake, session);
}

static void
a_sequence_with_other_bytes_is_refused_or_renamed(void **state)
{
    struct fake chosen = {0}, own = {0};
    struct session *session = session_with(&chosen,
                                           &(struct session_config){.via = 0, .producer = 900, .first_seq = 1});
    struct asked first, again;

    (void)state;
    give(session, "a");
    first = await(&chosen, session, 0);
    answer(&chosen, 0, first.token, CAIRN_MISMATCH, 3);
    assert_int_equal(told(&chosen, session, 10 * MS).error, CAIRN_MISMATCH);
    end(&chosen, session);
    session = session_new(&own);
    give(session, "a");
    first = await(&own, session, 0);
    answer(&own, 0, first.token, CAIRN_MISMATCH, 3);
    again = await(&own, session, 0);
    assert_string_equal(again.payload, "a");
    assert_int_not_equal(again.producer, first.producer);
    end(&own, session);
}

static void
a_log_that_is_not_there_is_told_where_it_took_long_to_hear(void **state)
{
    struct fake fake = {.unopened = CAIRN_NO_LOG};
    struct session_config config = {.nodes = NODES,
                                    .connect = connect_fake,
                                    .connect_context = &fake,
                                    .log = "k",
                                    .via = CAIRN_NODE_NONE,
                                    .deadline_ns = DEADLINE_NS,
                                    .renew = renew};
    struct session_result result = {.error = CAIRN_OK};
    struct session *session;
    char detail[256];

    (void)state;
    assert_int_equal(session_open(&config, &session, detail, sizeof(detail)), CAIRN_NO_LOG);
    for (uint32_t i = 0; i < NODES; i++)
        fake.nodes[i].state = NODE_DOWN;
    assert_int_equal(session_open(&config, &session, detail, sizeof(detail)), CAIRN_CLOSED);
    fake.nodes[1].state = NODE_HUNG;
    assert_int_equal(session_open(&config, &session, detail, sizeof(detail)), CAIRN_OK);
    assert_false(session_lacks_log(session));
    fake.nodes[1].state = NODE_UP;
    give(session, "a");
    for (uint32_t i = 0; i < 100 && !session_lacks_log(session); i++)
        session_wait(session);
    assert_true(session_lacks_log(session));
    /* Whom it is not for hears so at once, however long he would wait. */
    fake.unopened = CAIRN_FORBIDDEN;
    for (uint32_t i = 0; i < 100 && !session_poll(session, &result); i++)
        session_wait(session);
    assert_int_equal(result.error, CAIRN_FORBIDDEN);
    end(&fake, session);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hung_node_costs_milliseconds),
        cmocka_unit_test(every_entry_is_answered_by_its_deadline_whoever_is_gone),
        cmocka_unit_test(what_is_refused_leaves_its_sequence_to_the_next),
        cmocka_unit_test(what_may_still_arrive_keeps_its_name_to_itself),
        cmocka_unit_test(an_unknown_entry_is_named_as_it_was_tried),
        cmocka_unit_test(who_forgot_a_producer_is_told_a_new_one_for_what_was_not_taken),
        cmocka_unit_test(a_chosen_name_never_goes_to_another_entry),
        cmocka_unit_test(a_refusal_does_not_settle_a_repeat),
        cmocka_unit_test(a_sequence_with_other_bytes_is_refused_or_renamed),
        cmocka_unit_test(a_log_that_is_not_there_is_told_where_it_took_long_to_hear),
    };

    return RUN_TESTS(tests);
}
