/* Messages become frames' bytes. */
#include "dataplane/codec.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "wire/crc32c.h"

/* tail: bytes behind the body that the checksum covers too. */
static size_t
seal(const struct codec *codec, uint8_t type, uint8_t to, uint32_t log, uint8_t flags, uint64_t term, size_t body_bytes,
     const uint8_t *tail, size_t tail_bytes, uint8_t *out)
{
    struct wire_header header = {
        .version = CODEC_VERSION,
        .type = type,
        .from = codec->self,
        .to = to,
        .identity = type == CODEC_HELLO ? codec->hello : codec->identity,
        .incarnation = codec->incarnation,
        .log = log,
        .body_bytes = (uint16_t)body_bytes,
        .flags = flags,
        .worker = codec->worker,
        .term = term,
    };

    assert(to != codec->self);
    assert_costly(to < CAIRN_NODES_MAX && codec->self < CAIRN_NODES_MAX);
    assert_costly(body_bytes <= UINT16_MAX);
    assert_costly(tail_bytes == 0 || (flags & WIRE_COVERED) != 0);
    memcpy(out, &header, sizeof(header));
    header.crc32c = crc32c(0, out, sizeof(header) + body_bytes);
    if (tail_bytes > 0)
        header.crc32c = crc32c(header.crc32c, tail, tail_bytes);
    memcpy(out, &header, sizeof(header));
    return sizeof(header) + body_bytes;
}

static uint8_t
message_flags(const struct message *message)
{
    return (uint8_t)((message->yes ? WIRE_YES : 0) | (message->recovering ? WIRE_RECOVERING : 0) |
                     (message->transfer ? WIRE_TRANSFER : 0));
}

/* The numbers of a small message, by type. */
static struct wire_small
small_of(const struct message *message)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_PREVOTE:
    case MESSAGE_PREVOTE_REPLY:
    case MESSAGE_VOTE:
    case MESSAGE_PULL:
        return (struct wire_small){message->vote.last_lsn, message->vote.last_term, message->vote.round};
    case MESSAGE_APPEND_REPLY:
        return (struct wire_small){message->append_reply.match_lsn, message->append_reply.hint_lsn, 0};
    case MESSAGE_CONFIRM:
    case MESSAGE_CONFIRM_REPLY:
        return (struct wire_small){message->confirm.seq, message->confirm.promise_ns, 0};
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_REPLY:
        return (struct wire_small){message->read_index.token, message->read_index.lsn, message->read_index.clock_ns};
    case MESSAGE_HAND_OFF_REPLY:
        return (struct wire_small){message->hand_off_reply.mark, message->hand_off_reply.incarnation,
                                   message->hand_off_reply.origin | (uint64_t)message->hand_off_reply.rate_per_s << 8 |
                                       (uint64_t)message->hand_off_reply.room << 40};
    case MESSAGE_SPREAD_REPLY:
        return (struct wire_small){message->spread_reply.held_place, 0, 0};
    case MESSAGE_PRODUCERS_WANTED:
        return (struct wire_small){message->producers.after_id, 0, 0};
    case MESSAGE_RECOVER:
    case MESSAGE_RECOVER_REPLY:
        return (struct wire_small){message->recover.nonce, message->recover.last_lsn,
                                   members_encode(&message->recover.members)};
    case MESSAGE_TIMEOUT_NOW:
    case MESSAGE_VOTE_REPLY:
    case MESSAGE_NONE:
    case MESSAGE_APPEND:
    case MESSAGE_LEND:
    case MESSAGE_HAND_OFF:
    case MESSAGE_SPREAD:
    case MESSAGE_BASE:
    case MESSAGE_PRODUCERS:
    case MESSAGE_TYPES:
        break;
    }
    return (struct wire_small){0, 0, 0};
}

size_t
codec_encode(const struct codec *codec, uint32_t log, const struct message *message, uint8_t *out)
{
    struct wire_small body = small_of(message);
    uint8_t flags = message_flags(message);

    /* They have bodies of their own. */
    assert_costly(!codec_has_entries(message->type));
    assert_costly(message->type != MESSAGE_BASE && message->type != MESSAGE_PRODUCERS);
    if ((message->type == MESSAGE_RECOVER || message->type == MESSAGE_RECOVER_REPLY) && message->recover.leader)
        flags |= WIRE_LEADER;
    if (message->type == MESSAGE_VOTE_REPLY) {
        struct wire_vote_reply reply;

        _Static_assert(sizeof(reply.lives) == sizeof(message->vote_reply.lives), "all of them");
        memcpy(reply.lives, message->vote_reply.lives, sizeof(reply.lives));
        memcpy(out + sizeof(struct wire_header), &reply, sizeof(reply));
        return seal(codec, message->type, message->to, log, flags, message->term, sizeof(reply), NULL, 0, out);
    }
    memcpy(out + sizeof(struct wire_header), &body, sizeof(body));
    return seal(codec, message->type, message->to, log, flags, message->term, sizeof(body), NULL, 0, out);
}

size_t
codec_encode_base(const struct codec *codec, uint32_t log, const struct message *message, uint8_t *out)
{
    struct wire_base body = {
        .lsn = message->base.lsn,
        .base_term = message->base.base_term,
        .producer_floor = message->base.producer_floor,
        .marks_lsn = message->base.marks_lsn,
        .digest = message->base.digest,
        .hlc = message->base.hlc,
        .members = members_encode(&message->base.members),
        .marks = message->base.marks_count,
    };
    uint8_t *at = out + sizeof(struct wire_header);

    assert(message->type == MESSAGE_BASE);
    assert(message->base.marks_count <= MARKS_MAX);
    memcpy(at, &body, sizeof(body));
    at += sizeof(body);
    for (uint32_t i = 0; i < body.marks; i++, at += sizeof(struct wire_mark)) {
        const struct mark *mark = &message->base.marks[i];
        struct wire_mark row = {.seq = mark->seq, .incarnation = mark->incarnation, .origin = mark->origin};

        assert(mark->origin < CAIRN_NODES_MAX);
        memcpy(at, &row, sizeof(row));
    }
    return seal(codec, MESSAGE_BASE, message->to, log, message_flags(message), message->term,
                sizeof(body) + body.marks * sizeof(struct wire_mark), NULL, 0, out);
}

size_t
codec_encode_producers(const struct codec *codec, uint32_t log, const struct message *message, uint8_t *out)
{
    struct wire_producers body = {.after_id = message->producers.after_id, .rows = message->producers.count};
    size_t rows_bytes = message->producers.count * sizeof(struct producer_row);
    uint8_t *at = out + sizeof(struct wire_header);

    assert(message->type == MESSAGE_PRODUCERS);
    assert(message->producers.count <= PRODUCER_ROWS_MAX);
    memcpy(at, &body, sizeof(body));
    if (rows_bytes > 0)
        memcpy(at + sizeof(body), message->producers.rows, rows_bytes);
    return seal(codec, MESSAGE_PRODUCERS, message->to, log, message_flags(message), message->term,
                sizeof(body) + rows_bytes, NULL, 0, out);
}

size_t
codec_encode_entries(const struct codec *codec, uint32_t log, const struct message *message, const struct block *block,
                     const uint8_t *records, uint32_t records_bytes, uint32_t fragment_offset, uint32_t fragment_total,
                     uint8_t *out)
{
    uint8_t flags = message_flags(message);
    struct wire_entries body = {
        .fragment_offset = fragment_offset,
        .fragment_total = fragment_total,
        .block = *block,
    };

    assert(codec_has_entries(message->type));
    /* Of one record at most there are fragments, and each lies within it. */
    assert_costly(fragment_total == 0 || block->count == 1);
    assert_costly(fragment_total == 0
                      ? fragment_offset == 0
                      : fragment_offset < fragment_total && records_bytes <= fragment_total - fragment_offset);
    assert_costly(records_bytes == 0 || block->count > 0);
    if (message->type == MESSAGE_LEND) {
        body.prev = message->append.prev_lsn;
        body.prev_term = message->append.prev_term;
        body.commit_lsn = message->append.last_lsn;
        body.last_term = message->append.last_term;
    } else if (message->type == MESSAGE_APPEND) {
        body.prev = message->append.prev_lsn;
        body.prev_term = message->append.prev_term;
        body.commit_lsn = message->append.commit_lsn;
    } else if (message->type == MESSAGE_SPREAD) {
        body.prev = message->spread.prev_place;
        body.commit_lsn = message->spread.settled_place;
    } else {
        body.prev = message->hand_off.prev_seq;
    }
    memcpy(out + sizeof(struct wire_header), &body, sizeof(body));
    /* Records carry their own checksums. */
    if (fragment_total < CODEC_COVERED_BYTES_MIN)
        records_bytes = 0;
    else
        flags |= WIRE_COVERED;
    return seal(codec, message->type, message->to, log, flags, message->term, sizeof(body), records, records_bytes,
                out);
}

size_t
codec_encode_heartbeat(const struct codec *codec, uint8_t to, const struct wire_heartbeat *heartbeat,
                       const struct wire_row *rows, uint8_t *out)
{
    size_t rows_bytes = heartbeat->rows * sizeof(*rows);
    uint8_t *body = out + sizeof(struct wire_header);

    assert(heartbeat->rows <= CODEC_HEARTBEAT_ROWS_MAX);
    memcpy(body, heartbeat, sizeof(*heartbeat));
    if (rows_bytes > 0)
        memcpy(body + sizeof(*heartbeat), rows, rows_bytes);
    return seal(codec, CODEC_HEARTBEAT, to, 0, 0, 0, sizeof(*heartbeat) + rows_bytes, NULL, 0, out);
}

size_t
codec_encode_hello(const struct codec *codec, uint8_t to, const void *hello, size_t hello_bytes, uint8_t *out)
{
    assert(hello_bytes <= CODEC_HELLO_BYTES_MAX);
    memcpy(out + sizeof(struct wire_header), hello, hello_bytes);
    return seal(codec, CODEC_HELLO, to, 0, 0, 0, hello_bytes, NULL, 0, out);
}
