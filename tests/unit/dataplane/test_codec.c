/* The codec and the frame around it: what is written is read back; nothing hostile is believed. */
#include "dataplane/codec.h"
#include "dataplane/frame.h"
#include "tests/unit/check.h"

static const struct codec sender = {.identity = 7, .incarnation = 3, .self = 1, .worker = 0};
static const _Atomic uint64_t introduced[CAIRN_NODES_MAX] = {[1] = 3ull << 32 | 7};
static const struct codec receiver = {.identity = 8, .incarnation = 9, .self = 2, .worker = 0, .peers = introduced};

static struct message
message_of(enum message_type type)
{
    struct message message;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)type;
    message.from = 1;
    message.to = 2;
    message.term = 42;
    return message;
}

/* A message with two records; returns its size. */
static size_t
encode_two(uint8_t *out, struct block *block)
{
    struct message message = message_of(MESSAGE_APPEND);
    struct record head = {.payload_bytes = 5, .producer = 11, .producer_seq = 1};
    uint8_t records[128] __attribute__((aligned(8)));

    record_build((struct record *)(void *)records, &head, NULL, "hello");
    head.producer_seq = 2;
    record_build((struct record *)(void *)(records + record_size(&head)), &head, NULL, "world");
    *block = (struct block){
        .term = 42, .first_seq = 9, .hlc = 1, .trunk_hlc = 1, .count = 2, .incarnation = 3, .origin = 1};
    message.append.prev_lsn = 99;
    message.append.prev_term = 41;
    message.append.commit_lsn = 98;
    memcpy(out + CODEC_HEAD_BYTES, records, 2 * record_size(&head));
    return codec_encode_entries(&sender, 5, &message, block, records, 2 * (uint32_t)record_size(&head), 0, 0, out) +
           2 * record_size(&head);
}

static void
every_small_message_comes_back(void **state)
{
    (void)state;
    for (int type = MESSAGE_PREVOTE; type < MESSAGE_TYPES; type++) {
        struct message message = message_of((enum message_type)type);
        struct decoded decoded;
        uint8_t bytes[512];
        size_t size;

        if (codec_has_entries((uint8_t)type) || type == MESSAGE_BASE || type == MESSAGE_PRODUCERS)
            continue;
        message.yes = type % 2 == 0;
        message.recovering = type % 3 == 0;
        message.vote.last_lsn = 1234567;
        if (type == MESSAGE_HAND_OFF_REPLY)
            message.hand_off_reply.incarnation = 1;
        if (type == MESSAGE_RECOVER_REPLY)
            message.recover.members.voters = 7;
        size = codec_encode(&sender, 5, &message, bytes);

        assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
        assert_int_equal(decoded.log, 5);
        assert_int_equal(decoded.from, 1);
        assert_int_equal(decoded.incarnation, 3);
        assert_int_equal(decoded.message.term, 42);
        assert_int_equal(decoded.message.yes, message.yes);
        assert_int_equal(decoded.message.recovering, message.recovering);
        if (type != MESSAGE_TIMEOUT_NOW)
            assert_int_equal(decoded.message.vote.last_lsn, 1234567);
    }
}

static void
a_rate_comes_back(void **state)
{
    struct message message = message_of(MESSAGE_HAND_OFF_REPLY);
    struct decoded decoded;
    uint8_t bytes[512];
    size_t size;

    (void)state;
    message.hand_off_reply.mark = 77;
    message.hand_off_reply.incarnation = 9;
    message.hand_off_reply.origin = CAIRN_NODES_MAX - 1;
    message.hand_off_reply.rate_per_s = UINT32_MAX;
    message.hand_off_reply.room = 0xffffff;
    size = codec_encode(&sender, 5, &message, bytes);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    assert_int_equal(decoded.message.hand_off_reply.mark, 77);
    assert_int_equal(decoded.message.hand_off_reply.incarnation, 9);
    assert_int_equal(decoded.message.hand_off_reply.origin, CAIRN_NODES_MAX - 1);
    assert_int_equal(decoded.message.hand_off_reply.rate_per_s, UINT32_MAX);
    assert_int_equal(decoded.message.hand_off_reply.room, 0xffffff);
}

static void
entries_come_back(void **state)
{
    struct decoded decoded;
    struct block block;
    uint8_t bytes[1024];
    size_t size = encode_two(bytes, &block);

    (void)state;
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    assert_int_equal(decoded.message.append.prev_lsn, 99);
    assert_int_equal(decoded.message.append.run.first_lsn, 100);
    assert_int_equal(decoded.message.append.run.count, 2);
    assert_int_equal(decoded.block.first_lsn, 100);
    assert_int_equal(decoded.records_bytes, 80);
}

static void
a_votes_lives_come_back(void **state)
{
    struct message message = message_of(MESSAGE_VOTE_REPLY);
    struct decoded decoded;
    uint8_t bytes[512];

    (void)state;
    message.transfer = true;
    for (uint32_t i = 0; i < CAIRN_NODES_MAX; i++)
        message.vote_reply.lives[i] = 100 + i;

    assert_int_equal(codec_decode(&receiver, 1, bytes, codec_encode(&sender, 5, &message, bytes), &decoded), CODEC_OK);
    assert_true(decoded.message.transfer);
    assert_int_equal(decoded.message.incarnation, 3);
    assert_memory_equal(decoded.message.vote_reply.lives, message.vote_reply.lives, sizeof(message.vote_reply.lives));
}

static void
a_base_comes_back(void **state)
{
    static const struct mark marks[2] = {{.seq = 7, .incarnation = 2, .origin = 1},
                                         {.seq = 9, .incarnation = 1, .origin = 15}};
    struct message message = message_of(MESSAGE_BASE);
    struct decoded decoded;
    uint8_t bytes[2048];
    size_t size;

    (void)state;
    message.base.lsn = 1000;
    message.base.base_term = 41;
    message.base.digest = 0xd19e57;
    message.base.hlc = 1234567;
    message.base.producer_floor = 77;
    message.base.marks_lsn = 78;
    message.base.members = (struct members){.voters = 5, .learners = 2};
    message.base.marks = marks;
    message.base.marks_count = 2;
    size = codec_encode_base(&sender, 5, &message, bytes);

    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    assert_int_equal(decoded.message.base.lsn, 1000);
    assert_int_equal(decoded.message.base.digest, 0xd19e57);
    assert_int_equal(decoded.message.base.hlc, 1234567);
    assert_int_equal(decoded.message.base.members.voters, 5);
    assert_int_equal(decoded.message.base.members.learners, 2);
    assert_int_equal(decoded.message.base.marks_count, 2);
    assert_int_equal(decoded.message.base.marks[1].seq, 9);
    for (size_t cut = 1; cut < size; cut++)
        assert_int_not_equal(codec_decode(&receiver, 1, bytes, size - cut, &decoded), CODEC_OK);
}

static void
producers_come_back(void **state)
{
    struct producer_row rows[2] = {{.id = 7, .seq = 3, .lsn = 40, .epoch = 1}, {.id = 9, .seq = 1, .lsn = 41}};
    struct message message = message_of(MESSAGE_PRODUCERS);
    struct decoded decoded;
    uint8_t bytes[2048];
    size_t size;

    (void)state;
    message.yes = true;
    message.producers.after_id = 6;
    message.producers.rows = rows;
    message.producers.count = 2;
    size = codec_encode_producers(&sender, 5, &message, bytes);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    assert_true(decoded.message.yes);
    assert_int_equal(decoded.message.producers.after_id, 6);
    assert_int_equal(decoded.message.producers.count, 2);
    assert_memory_equal(decoded.message.producers.rows, rows, sizeof(rows));
    for (size_t cut = 1; cut < size; cut++)
        assert_int_not_equal(codec_decode(&receiver, 1, bytes, size - cut, &decoded), CODEC_OK);
    /* Not in order; at no place on the trunk. */
    rows[1].id = 7;
    size = codec_encode_producers(&sender, 5, &message, bytes);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_FIELD);
    rows[1] = (struct producer_row){.id = 9, .seq = 1};
    size = codec_encode_producers(&sender, 5, &message, bytes);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_FIELD);
}

static void
what_is_lent_comes_back(void **state)
{
    struct message message = message_of(MESSAGE_LEND);
    struct block block = {
        .term = 40, .first_seq = 9, .hlc = 1, .trunk_hlc = 1, .count = 1, .incarnation = 3, .origin = 1};
    struct record head = {.payload_bytes = 5, .producer = 11, .producer_seq = 1};
    struct decoded decoded;
    uint8_t bytes[512];
    size_t size;

    (void)state;
    message.append.prev_lsn = 99;
    message.append.prev_term = 39;
    message.append.last_lsn = 200;
    message.append.last_term = 41;
    record_build((struct record *)(void *)(bytes + CODEC_HEAD_BYTES), &head, NULL, "hello");
    size = codec_encode_entries(&sender, 5, &message, &block, bytes + CODEC_HEAD_BYTES, (uint32_t)record_size(&head), 0,
                                0, bytes) +
           record_size(&head);

    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    assert_int_equal(decoded.message.append.prev_lsn, 99);
    assert_int_equal(decoded.message.append.last_lsn, 200);
    assert_int_equal(decoded.message.append.last_term, 41);
    assert_int_equal(decoded.message.append.run.count, 1);
}

static void
a_heartbeat_comes_back(void **state)
{
    struct wire_heartbeat heartbeat = {.progress = 5,
                                       .pace_ns = 6,
                                       .agreed_lsn = 11,
                                       .fingerprint = 12,
                                       .hears = 7,
                                       .rows = 2,
                                       .heard = {[1] = 8, [15] = 9},
                                       .modes = {[3] = 10}};
    struct wire_row rows[2] = {{.log = 1, .term = 2}, {.log = 3, .term = 4, .commit_lsn = 5}}, row;
    struct decoded decoded;
    uint8_t bytes[512];
    size_t size = codec_encode_heartbeat(&sender, 2, &heartbeat, rows, bytes);

    (void)state;
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    assert_int_equal(decoded.heartbeat.hears, 7);
    assert_int_equal(decoded.heartbeat.agreed_lsn, 11);
    assert_int_equal(decoded.heartbeat.fingerprint, 12);
    assert_int_equal(decoded.heartbeat.heard[1], 8);
    assert_int_equal(decoded.heartbeat.heard[15], 9);
    assert_int_equal(decoded.heartbeat.modes[3], 10);
    memcpy(&row, decoded.rows + 1, sizeof(row));
    assert_int_equal(row.commit_lsn, 5);
}

/* What the body may say is plausible.h's to tell; of the header and what is the node's alone, this. */
static void
what_cannot_be_is_refused(void **state)
{
    struct message message = message_of(MESSAGE_VOTE_REPLY);
    struct wire_heartbeat heartbeat = {.rows = 1};
    struct wire_row row = {.term = TERM_MAX, .commit_lsn = LSN_MAX, .trim_lsn = LSN_MAX};
    struct decoded decoded;
    uint8_t bytes[512];

    (void)state;
    message.term = TERM_MAX + 1;
    assert_int_equal(codec_decode(&receiver, 1, bytes, codec_encode(&sender, 5, &message, bytes), &decoded),
                     CODEC_FIELD);
    assert_int_equal(
        codec_decode(&receiver, 1, bytes, codec_encode_heartbeat(&sender, 2, &heartbeat, &row, bytes), &decoded),
        CODEC_OK);
    for (uint32_t field = 0; field < 3; field++) {
        struct wire_row wrong = row;

        *(field == 0 ? &wrong.term : field == 1 ? &wrong.commit_lsn : &wrong.trim_lsn) += 1;
        assert_int_equal(
            codec_decode(&receiver, 1, bytes, codec_encode_heartbeat(&sender, 2, &heartbeat, &wrong, bytes), &decoded),
            CODEC_FIELD);
    }
}

static void
clocks_and_forks_that_cannot_be_are_refused(void **state)
{
    static const uint64_t wrong[] = {HLC_MAX, UINT64_MAX - 1};
    struct decoded decoded;
    struct block block;
    uint8_t bytes[1024];
    size_t size = encode_two(bytes, &block);

    (void)state;
    for (uint32_t field = 0; field < 2; field++) {
        for (uint32_t i = 0; i < 2; i++) {
            struct message message = message_of(MESSAGE_APPEND);
            struct block altered = block;

            message.append.prev_lsn = 99;
            altered.fork_lsn = field == 0 ? wrong[i] : UINT64_MAX;
            altered.hlc = field == 1 ? wrong[i] : 1;
            codec_encode_entries(&sender, 5, &message, &altered, NULL, 0, 0, 0, bytes);
            assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_FIELD);
            altered.fork_lsn = UINT64_MAX;
            altered.hlc = HLC_MAX - 2;
            codec_encode_entries(&sender, 5, &message, &altered, NULL, 0, 0, 0, bytes);
            assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
        }
    }
}

static void
others_clusters_and_versions_are_foreign(void **state)
{
    _Atomic uint64_t peers[CAIRN_NODES_MAX] = {0};
    struct codec other = receiver;
    struct decoded decoded;
    struct block block;
    uint8_t bytes[1024];
    size_t size = encode_two(bytes, &block);

    (void)state;
    other.peers = peers;
    peers[1] = codec_life(8, 3);
    assert_int_equal(codec_decode(&other, 1, bytes, size, &decoded), CODEC_STRANGER);
    /* Of that life, as it says, and with another's number. */
    peers[1] = codec_life(7, 4);
    assert_int_equal(codec_decode(&other, 1, bytes, size, &decoded), CODEC_STRANGER);
    peers[1] = 0;
    assert_int_equal(codec_decode(&other, 1, bytes, size, &decoded), CODEC_STRANGER);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    bytes[0] = CODEC_VERSION + 1;
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_FOREIGN);
}

static void
what_is_for_another_or_of_another_is_told_apart(void **state)
{
    struct codec third = receiver, worker = receiver;
    struct decoded decoded;
    struct block block;
    uint8_t bytes[1024];
    size_t size = encode_two(bytes, &block);

    (void)state;
    third.self = 3;
    worker.worker = 1;
    assert_int_equal(codec_decode(&third, 1, bytes, size, &decoded), CODEC_TO);
    assert_int_equal(codec_decode(&worker, 1, bytes, size, &decoded), CODEC_TO);
    assert_int_equal(codec_decode(&receiver, 0, bytes, size, &decoded), CODEC_FROM);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
}

/* Header and body are covered by the checksum; records are by their own, checked by the node. */
static void
every_flipped_bit_of_the_head_is_noticed(void **state)
{
    struct decoded decoded;
    struct block block;
    uint8_t bytes[1024];
    size_t size = encode_two(bytes, &block);

    (void)state;
    for (size_t bit = 0; bit < CODEC_HEAD_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
every_flipped_bit_of_a_large_records_fragment_is_noticed(void **state)
{
    struct message message = message_of(MESSAGE_HAND_OFF);
    struct block block = {.first_seq = 9, .hlc = 1, .trunk_hlc = 1, .count = 1, .incarnation = 3, .origin = 1};
    uint8_t piece[64], bytes[1024];
    struct decoded decoded;
    size_t size;

    (void)state;
    memset(piece, 7, sizeof(piece));
    size = codec_encode_entries(&sender, 5, &message, &block, piece, sizeof(piece), 64, CODEC_COVERED_BYTES_MIN, bytes);
    memcpy(bytes + size, piece, sizeof(piece));
    size += sizeof(piece);
    assert_int_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(codec_decode(&receiver, 1, bytes, size, &decoded), CODEC_OK);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
every_truncation_is_noticed(void **state)
{
    struct decoded decoded;
    struct block block;
    uint8_t bytes[1024];
    size_t size = encode_two(bytes, &block);

    (void)state;
    for (size_t shorter = 0; shorter < size; shorter++)
        assert_int_not_equal(codec_decode(&receiver, 1, bytes, shorter, &decoded), CODEC_OK);
}

/* Node 1 has sent node 2 a message of 100 bytes. */
static void
frame_of(uint8_t frame[FRAME_HEAD_BYTES + 100], uint8_t from, uint8_t to, uint8_t worker)
{
    struct frame_template template;

    frame_template_init(&template, from, to, worker);
    frame_write(&template, frame, 100);
}

static enum frame_verdict
open_at(uint8_t node, uint8_t peer, const uint8_t *frame, size_t size_bytes)
{
    struct frame_template own;
    const uint8_t *payload = NULL;
    size_t payload_bytes;
    enum frame_verdict verdict;

    frame_template_init(&own, node, peer, 0);
    verdict = frame_open(&own, frame, size_bytes, &payload, &payload_bytes);
    if (verdict == FRAME_OK) {
        assert_ptr_equal(payload, frame + FRAME_HEAD_BYTES);
        assert_int_equal(payload_bytes, 100);
    }
    return verdict;
}

static void
a_frame_carries_its_message_and_no_other(void **state)
{
    uint8_t frame[FRAME_HEAD_BYTES + 100];

    (void)state;
    frame_of(frame, 1, 2, 0);
    assert_int_equal(open_at(2, 1, frame, sizeof(frame)), FRAME_OK);
    for (size_t shorter = 0; shorter < sizeof(frame); shorter++)
        assert_int_equal(open_at(2, 1, frame, shorter), FRAME_FORM);
    for (size_t bit = 14 * 8; bit < 34 * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_at(2, 1, frame, sizeof(frame)), FRAME_FORM);
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
each_layer_of_a_frame_says_whom_it_is_for(void **state)
{
    uint8_t frame[FRAME_HEAD_BYTES + 100], others[FRAME_HEAD_BYTES + 100];

    (void)state;
    frame_of(frame, 1, 2, 0);
    frame_of(others, 1, 3, 0);
    assert_int_equal(open_at(2, 1, others, sizeof(others)), FRAME_MAC);
    /* A bridge or a router has changed the station. */
    memcpy(others, frame, 6);
    assert_int_equal(open_at(2, 1, others, sizeof(others)), FRAME_IP);
    frame_of(others, 1, 2, 1);
    assert_int_equal(open_at(2, 1, others, sizeof(others)), FRAME_PORT);
    for (size_t bit = 0; bit < 6 * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_at(2, 1, frame, sizeof(frame)), FRAME_MAC);
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
a_frame_tells_who_has_sent_it(void **state)
{
    uint8_t frame[FRAME_HEAD_BYTES + 100];
    struct frame_template own;

    (void)state;
    frame_of(frame, 1, 2, 0);
    frame_template_init(&own, 2, 1, 0);
    assert_true(frame_is_from(&own, frame));
    frame[11] ^= 1;
    assert_false(frame_is_from(&own, frame));
    frame[11] ^= 1;
    frame[29] ^= 1;
    assert_false(frame_is_from(&own, frame));
    frame_template_init(&own, 2, 3, 0);
    assert_false(frame_is_from(&own, frame));
}

/* Every bit of it, also of what no checksum covers: its size, and the padding. */
static void
every_flipped_bit_of_a_record_is_noticed(uint32_t payload_bytes)
{
    struct record head = {.payload_bytes = payload_bytes, .key_bytes = 3, .producer = 1, .producer_seq = 2};
    uint8_t bytes[64] __attribute__((aligned(8))) = {0};
    struct record *record = (struct record *)(void *)bytes;
    size_t size = record_size(&head);

    record_build(record, &head, "key", "a value");
    assert_true(record_intact(record));
    assert_int_equal(record_measure(bytes, sizeof(bytes)), size);
    assert_int_equal(record_measure(bytes, size - 1), 0);
    assert_memory_equal(record_payload(record), "a value", payload_bytes);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(record_measure(bytes, sizeof(bytes)) == 0 || !record_intact(record));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
a_damaged_record_is_not_intact(void **state)
{
    (void)state;
    for (uint32_t payload_bytes = 0; payload_bytes <= 7; payload_bytes++)
        every_flipped_bit_of_a_record_is_noticed(payload_bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_message_comes_back),
        cmocka_unit_test(a_rate_comes_back),
        cmocka_unit_test(entries_come_back),
        cmocka_unit_test(a_votes_lives_come_back),
        cmocka_unit_test(a_base_comes_back),
        cmocka_unit_test(producers_come_back),
        cmocka_unit_test(what_is_lent_comes_back),
        cmocka_unit_test(a_heartbeat_comes_back),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(clocks_and_forks_that_cannot_be_are_refused),
        cmocka_unit_test(others_clusters_and_versions_are_foreign),
        cmocka_unit_test(what_is_for_another_or_of_another_is_told_apart),
        cmocka_unit_test(every_flipped_bit_of_the_head_is_noticed),
        cmocka_unit_test(every_flipped_bit_of_a_large_records_fragment_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(a_frame_carries_its_message_and_no_other),
        cmocka_unit_test(each_layer_of_a_frame_says_whom_it_is_for),
        cmocka_unit_test(a_frame_tells_who_has_sent_it),
        cmocka_unit_test(a_damaged_record_is_not_intact),
    };

    return RUN_TESTS(tests);
}
