/* Frames' bytes become messages: all that they say is looked at here, and what is not plausible is dropped. */
#include "dataplane/codec.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "wire/crc32c.h"

static enum codec_verdict
decode_vote_reply(const struct wire_header *header, const uint8_t *body, struct message *message)
{
    _Static_assert(sizeof(message->vote_reply.lives) == sizeof(struct wire_vote_reply), "all that there is");
    if (header->body_bytes != sizeof(struct wire_vote_reply))
        return CODEC_SHORT;
    memcpy(message->vote_reply.lives, body, sizeof(message->vote_reply.lives));
    return CODEC_OK;
}

static enum codec_verdict
decode_hand_off_reply(const struct wire_small *small, struct message *message)
{
    if (small->b > LIFE_MAX)
        return CODEC_FIELD;
    message->hand_off_reply.mark = small->a;
    message->hand_off_reply.incarnation = (uint32_t)small->b;
    message->hand_off_reply.origin = (uint8_t)small->c;
    message->hand_off_reply.rate_per_s = (uint32_t)(small->c >> 8);
    message->hand_off_reply.room = (uint32_t)(small->c >> 40);
    return CODEC_OK;
}

static void
decode_recover(const struct wire_header *header, const struct wire_small *small, struct message *message)
{
    message->recover.nonce = small->a;
    message->recover.last_lsn = small->b;
    message->recover.members = members_decode(small->c);
    message->recover.leader = (header->flags & WIRE_LEADER) != 0;
}

static enum codec_verdict
decode_small(const struct wire_header *header, const uint8_t *body, struct message *message)
{
    struct wire_small small;

    if (header->type == MESSAGE_VOTE_REPLY)
        return decode_vote_reply(header, body, message);
    if (header->body_bytes != sizeof(small))
        return CODEC_SHORT;
    memcpy(&small, body, sizeof(small));
    switch ((enum message_type)header->type) {
    case MESSAGE_PREVOTE:
    case MESSAGE_PREVOTE_REPLY:
    case MESSAGE_VOTE:
    case MESSAGE_PULL:
        message->vote.last_lsn = small.a;
        message->vote.last_term = small.b;
        message->vote.round = small.c;
        break;
    case MESSAGE_APPEND_REPLY:
        message->append_reply.match_lsn = small.a;
        message->append_reply.hint_lsn = small.b;
        break;
    case MESSAGE_CONFIRM:
    case MESSAGE_CONFIRM_REPLY:
        message->confirm.seq = small.a;
        message->confirm.promise_ns = small.b;
        break;
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_REPLY:
        message->read_index.token = small.a;
        message->read_index.lsn = small.b;
        message->read_index.clock_ns = small.c;
        break;
    case MESSAGE_HAND_OFF_REPLY:
        return decode_hand_off_reply(&small, message);
    case MESSAGE_SPREAD_REPLY:
        message->spread_reply.held_place = small.a;
        break;
    case MESSAGE_PRODUCERS_WANTED:
        message->producers.after_id = small.a;
        break;
    case MESSAGE_RECOVER:
    case MESSAGE_RECOVER_REPLY:
        decode_recover(header, &small, message);
        break;
    case MESSAGE_TIMEOUT_NOW:
        break;
    case MESSAGE_VOTE_REPLY:
    case MESSAGE_NONE:
    case MESSAGE_APPEND:
    case MESSAGE_LEND:
    case MESSAGE_HAND_OFF:
    case MESSAGE_SPREAD:
    case MESSAGE_BASE:
    case MESSAGE_PRODUCERS:
    case MESSAGE_TYPES:
        return CODEC_FIELD;
    }
    return CODEC_OK;
}

/* Do the bytes hold exactly count whole records? */
static bool
records_fit(const uint8_t *records, uint32_t size_bytes, uint32_t count)
{
    uint32_t found = 0;

    while (size_bytes > 0) {
        size_t size = record_measure(records, size_bytes);

        if (size == 0)
            return false;
        assert_costly(size <= size_bytes && size % 8 == 0);
        records += size;
        size_bytes -= (uint32_t)size;
        found++;
    }
    return found == count;
}

/* Do the bytes that follow go with what is said of them? */
static bool
entries_sane(const struct wire_entries *body, bool covered, const struct decoded *out)
{
    const struct block *block = &body->block;

    if (!hlc_plausible(block->hlc, block->count) || !hlc_plausible(block->trunk_hlc, block->count) ||
        !fork_plausible(block->fork_lsn))
        return false;
    if (block->count == 0)
        return out->records_bytes == 0 && body->fragment_total == 0;
    if (body->fragment_total >= CODEC_COVERED_BYTES_MIN && !covered)
        return false;
    if (body->fragment_total == 0)
        return records_fit(out->records, out->records_bytes, block->count);
    return block->count == 1 && body->fragment_total <= RECORD_BYTES_MAX && body->fragment_total % 8 == 0 &&
           out->records_bytes > 0 && body->fragment_offset < body->fragment_total &&
           out->records_bytes <= body->fragment_total - body->fragment_offset;
}

static enum codec_verdict
decode_entries(const struct wire_header *header, const uint8_t *bytes, struct decoded *out)
{
    struct message *message = &out->message;
    struct wire_entries body;
    struct run run;

    if (header->body_bytes != sizeof(body))
        return CODEC_SHORT;
    memcpy(&body, bytes, sizeof(body));
    if (!entries_sane(&body, (header->flags & WIRE_COVERED) != 0, out))
        return CODEC_FIELD;
    /* What is on a trunk has its clock. */
    if ((message->type == MESSAGE_APPEND || message->type == MESSAGE_LEND) && body.block.count > 0 &&
        body.block.trunk_hlc == 0)
        return CODEC_FIELD;
    out->block = body.block;
    out->block.size_bytes = body.fragment_total != 0 ? body.fragment_total : out->records_bytes;
    out->fragment_offset = body.fragment_offset;
    out->fragment_total = body.fragment_total;
    /* Records lie behind each other, or this is a piece within one. */
    assert_costly((out->block.count == 0) == (out->block.size_bytes == 0));
    assert_costly(out->records_bytes <= out->block.size_bytes);
    assert_costly(out->fragment_total == 0 || out->fragment_offset <= out->fragment_total - out->records_bytes);
    run = (struct run){
        .term = body.block.term,
        .first_seq = body.block.first_seq,
        .count = body.block.count,
        .incarnation = body.block.incarnation,
        .origin = body.block.origin,
        .kind = body.block.kind,
    };
    if (message->type == MESSAGE_LEND) {
        out->block.first_lsn = run.first_lsn = body.prev + 1;
        message->append.prev_lsn = body.prev;
        message->append.prev_term = body.prev_term;
        message->append.last_lsn = body.commit_lsn;
        message->append.last_term = body.last_term;
        message->append.run = run;
    } else if (message->type == MESSAGE_APPEND) {
        out->block.first_lsn = run.first_lsn = body.prev + 1;
        message->append.prev_lsn = body.prev;
        message->append.prev_term = body.prev_term;
        message->append.commit_lsn = body.commit_lsn;
        message->append.run = run;
    } else if (message->type == MESSAGE_SPREAD) {
        message->spread.prev_place = body.prev;
        message->spread.settled_place = body.commit_lsn;
        message->spread.run = run;
    } else {
        message->hand_off.prev_seq = body.prev;
        message->hand_off.run = run;
    }
    return CODEC_OK;
}

static enum codec_verdict
decode_base(const struct wire_header *header, const uint8_t *bytes, struct decoded *out)
{
    struct message *message = &out->message;
    struct wire_base body;

    if (header->body_bytes < sizeof(body))
        return CODEC_SHORT;
    memcpy(&body, bytes, sizeof(body));
    if (body.marks > MARKS_MAX || header->body_bytes != sizeof(body) + body.marks * sizeof(struct wire_mark))
        return CODEC_SHORT;
    if (!hlc_plausible(body.hlc, 0))
        return CODEC_FIELD;
    for (uint32_t i = 0; i < body.marks; i++) {
        struct wire_mark row;

        memcpy(&row, bytes + sizeof(body) + i * sizeof(row), sizeof(row));
        if (row.origin >= CAIRN_NODES_MAX)
            return CODEC_FIELD;
        out->marks[i] = (struct mark){.seq = row.seq, .incarnation = row.incarnation, .origin = (uint8_t)row.origin};
    }
    message->base.lsn = body.lsn;
    message->base.base_term = body.base_term;
    message->base.producer_floor = body.producer_floor;
    message->base.marks_lsn = body.marks_lsn;
    message->base.digest = body.digest;
    message->base.hlc = body.hlc;
    message->base.members = members_decode(body.members);
    message->base.marks = out->marks;
    message->base.marks_count = body.marks;
    assert(message->base.marks_count <= sizeof(out->marks) / sizeof(*out->marks));
    return CODEC_OK;
}

static enum codec_verdict
decode_producers(const struct wire_header *header, const uint8_t *bytes, struct decoded *out)
{
    struct wire_producers body;

    if (header->body_bytes < sizeof(body))
        return CODEC_SHORT;
    memcpy(&body, bytes, sizeof(body));
    if (body.rows > PRODUCER_ROWS_MAX || header->body_bytes != sizeof(body) + body.rows * sizeof(struct producer_row))
        return CODEC_SHORT;
    if (body.rows > 0)
        memcpy(out->producers, bytes + sizeof(body), body.rows * sizeof(struct producer_row));
    out->message.producers.after_id = body.after_id;
    out->message.producers.rows = out->producers;
    out->message.producers.count = (uint32_t)body.rows;
    assert(out->message.producers.count <= sizeof(out->producers) / sizeof(*out->producers));
    return CODEC_OK;
}

static enum codec_verdict
decode_heartbeat(const struct wire_header *header, const uint8_t *body, struct decoded *out)
{
    if (header->body_bytes < sizeof(out->heartbeat))
        return CODEC_SHORT;
    memcpy(&out->heartbeat, body, sizeof(out->heartbeat));
    if (out->heartbeat.rows > CODEC_HEARTBEAT_ROWS_MAX ||
        header->body_bytes != sizeof(out->heartbeat) + out->heartbeat.rows * sizeof(struct wire_row))
        return CODEC_SHORT;
    out->rows = (const struct wire_row *)(const void *)(body + sizeof(out->heartbeat));
    assert((const uint8_t *)(out->rows + out->heartbeat.rows) == body + header->body_bytes);
    for (uint32_t i = 0; i < out->heartbeat.rows; i++) {
        struct wire_row row;

        memcpy(&row, out->rows + i, sizeof(row));
        if (row.term > TERM_MAX || (row.commit_lsn | row.trim_lsn | row.aged_lsn) > LSN_MAX)
            return CODEC_FIELD;
    }
    return CODEC_OK;
}

/* What the core is told, by its type. */
static enum codec_verdict
decode_body(const struct wire_header *header, const uint8_t *body, struct decoded *out)
{
    assert_costly(header->type != CODEC_HEARTBEAT && header->type != CODEC_HELLO);
    if (header->type == MESSAGE_BASE)
        return decode_base(header, body, out);
    if (header->type == MESSAGE_PRODUCERS)
        return decode_producers(header, body, out);
    if (codec_has_entries(header->type))
        return decode_entries(header, body, out);
    return decode_small(header, body, &out->message);
}

static bool
header_intact(const struct wire_header *header, const uint8_t *bytes, size_t size_bytes)
{
    size_t covered_bytes = header->flags & WIRE_COVERED ? size_bytes - sizeof(*header) : header->body_bytes;
    struct wire_header blank = *header;

    assert_costly(size_bytes >= sizeof(*header) + header->body_bytes);
    blank.crc32c = 0;
    return crc32c(crc32c(0, &blank, sizeof(blank)), bytes + sizeof(blank), covered_bytes) == header->crc32c;
}

static bool
is_introduced(const struct codec *codec, const struct wire_header *header)
{
    uint64_t life = atomic_load_explicit(&codec->peers[header->from], memory_order_relaxed);

    /* It is who it came from: that has been looked at. */
    assert_costly(header->from < CAIRN_NODES_MAX && header->from != codec->self);
    return life != 0 && life == codec_life(header->identity, header->incarnation);
}

enum codec_verdict
codec_decode(const struct codec *codec, uint8_t peer, const uint8_t *bytes, size_t size_bytes, struct decoded *out)
{
    struct wire_header header;
    const uint8_t *body = bytes + sizeof(header);
    enum codec_verdict verdict;

    assert(peer < CAIRN_NODES_MAX && peer != codec->self);
    if (size_bytes < sizeof(header))
        return CODEC_SHORT;
    memcpy(&header, bytes, sizeof(header));
    if (header.version != CODEC_VERSION || (header.type == CODEC_HELLO && header.identity != codec->hello))
        return CODEC_FOREIGN;
    if (size_bytes < sizeof(header) + header.body_bytes)
        return CODEC_SHORT;
    if (!header_intact(&header, bytes, size_bytes))
        return CODEC_CHECKSUM;
    if (header.to != codec->self || header.worker != codec->worker)
        return CODEC_TO;
    if (header.from != peer)
        return CODEC_FROM;
    if (header.type != CODEC_HELLO && !is_introduced(codec, &header))
        return CODEC_STRANGER;
    memset(&out->message, 0, sizeof(out->message));
    out->fragment_offset = out->fragment_total = out->records_bytes = 0;
    out->type = header.type;
    out->from = header.from;
    out->incarnation = header.incarnation;
    out->log = header.log;
    if (header.type == CODEC_HELLO) {
        out->hello = body;
        out->hello_bytes = header.body_bytes;
        return CODEC_OK;
    }
    if (header.type == CODEC_HEARTBEAT)
        return decode_heartbeat(&header, body, out);
    out->message.type = header.type;
    out->message.from = header.from;
    out->message.to = codec->self;
    out->message.term = header.term;
    out->message.yes = (header.flags & WIRE_YES) != 0;
    out->message.recovering = (header.flags & WIRE_RECOVERING) != 0;
    out->message.transfer = (header.flags & WIRE_TRANSFER) != 0;
    out->message.incarnation = header.incarnation;
    if (codec_has_entries(header.type)) {
        out->records = body + header.body_bytes;
        out->records_bytes = (uint32_t)(size_bytes - sizeof(header) - header.body_bytes);
        assert_costly(out->records + out->records_bytes == bytes + size_bytes);
    }
    verdict = decode_body(&header, body, out);
    assert_costly(out->message.from == peer && out->message.type == header.type);
    return verdict == CODEC_OK && !message_plausible(&out->message) ? CODEC_FIELD : verdict;
}
