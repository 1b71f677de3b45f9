/* What leaves a node: messages of its cores, the trunk's stream to each follower, the branch's to
 * the leader, heartbeats. */
#include "node/worker/send.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "node/worker/batch.h"
#include "node/worker/due.h"
#include "node/worker/excerpts.h"
#include "node/worker/frames.h"
#include "node/worker/room.h"
#include "node/worker/space.h"
#include "node/worker/worker.h"

#define FRAMES_PER_TURN 32u
/* A follower further than this behind what is committed catches up, with so many frames a turn more than the others. */
#define CATCH_UP_ENTRIES 4096u
#define CATCH_UP_FRAMES 2u

/* Records that fit a frame behind its head; a multiple of 8, so that fragments stay aligned. */
#define FRAME_ROOM ((PORT_FRAME_BYTES - FRAME_HEAD_BYTES - CODEC_HEAD_BYTES) & ~7u)

/* From this many bytes on, a payload is not copied into the frame. Meant for NICs: what software ports gain and
 * lose by it is in docs/performance.md. */
#define CHAIN_BYTES_MIN 512u

/* What of a segment goes into a frame. */
struct piece {
    const uint8_t *bytes;
    uint32_t size_bytes, segment_id;
    uint32_t fragment_offset, fragment_total; /* 0, 0: whole records */
};

void
send_message(struct worker *worker, struct node_log *log, const struct message *message)
{
    struct port *port = &worker->ports[message->to];
    struct rte_mbuf *frame;

    if (message->to >= worker->nodes || message->to == worker->self)
        return;
    assert_costly(log->worker == worker && message->from == worker->self);
    frame = port_frame(port);
    if (frame == NULL)
        return;
    send_head(port, frame, codec_encode(&worker->codec, log->id, message, rte_pktmbuf_mtod(frame, uint8_t *)),
              worker->task.now_ns, true);
}

/* One frame: head and bytes. Many bytes are chained from the segment they lie in, few are copied: that is
 * cheaper than a second mbuf. false: no frame to be had, try again later. */
static bool
send_records(struct worker *worker, struct node_log *log, struct port *port, const struct message *message,
             const struct block *block, const struct piece *piece)
{
    struct rte_mbuf *frame = port_frame(port);
    uint8_t *out;

    assert_costly(piece->size_bytes <= FRAME_ROOM);
    assert_costly(piece->fragment_total == 0 || piece->fragment_offset + piece->size_bytes <= piece->fragment_total);
    if (frame == NULL)
        return false;
    out = rte_pktmbuf_mtod(frame, uint8_t *);
    frame->data_len = (uint16_t)codec_encode_entries(&worker->codec, log->id, message, block, piece->bytes,
                                                     piece->size_bytes, piece->fragment_offset, piece->fragment_total,
                                                     out);
    frame->pkt_len = frame->data_len;
    assert_costly(frame->data_len <= CODEC_HEAD_BYTES);
    if (port->chains && piece->size_bytes >= CHAIN_BYTES_MIN) {
        if (!port_chain(port, frame, piece->bytes, piece->size_bytes, &worker->shared[piece->segment_id])) {
            rte_pktmbuf_free(frame);
            return false;
        }
    } else if (piece->size_bytes > 0) {
        memcpy(out + frame->data_len, piece->bytes, piece->size_bytes);
        frame->data_len = (uint16_t)(frame->data_len + piece->size_bytes);
        frame->pkt_len = frame->data_len;
    }
    port_send(port, frame, worker->task.now_ns, true);
    return true;
}

struct block
block_part(const struct stretch *stretch)
{
    struct block block = *stretch->block;

    assert_costly(stretch->count > 0 && stretch->index + stretch->count <= block.count);
    assert_costly(stretch->size_bytes <= block.size_bytes);
    assert_costly(stretch->first == block.first_lsn + stretch->index);
    block.first_lsn = stretch->first;
    block.first_seq = block.kind == ENTRY_DATA ? block.first_seq + stretch->index : block.first_seq;
    block.hlc += stretch->index;
    block.trunk_hlc += block.trunk_hlc == 0 ? 0 : stretch->index;
    block.count = stretch->count;
    block.size_bytes = stretch->size_bytes;
    return block;
}

/* Sends a stretch, in one frame or, where it is one large record, in as many as it takes; goes on
 * at stream->fragment_offset. true: all of it is out. */
static bool
send_stretch(struct worker *worker, struct node_log *log, struct port *port, const struct message *message,
             const struct stretch *stretch, struct stream *stream)
{
    struct block block = block_part(stretch);
    struct piece piece = {
        .bytes = stretch->records, .size_bytes = stretch->size_bytes, .segment_id = stretch->segment_id};

    if (stretch->size_bytes <= FRAME_ROOM)
        return send_records(worker, log, port, message, &block, &piece);
    assert(stretch->count == 1);
    assert_costly(stream->fragment_offset % FRAME_ROOM == 0);
    piece.fragment_total = stretch->size_bytes;
    while (stream->fragment_offset < stretch->size_bytes) {
        uint32_t rest_bytes = stretch->size_bytes - stream->fragment_offset;

        piece.bytes = stretch->records + stream->fragment_offset;
        piece.fragment_offset = stream->fragment_offset;
        piece.size_bytes = rest_bytes < FRAME_ROOM ? rest_bytes : FRAME_ROOM;
        if (port_room(port) < 2 || !send_records(worker, log, port, message, &block, &piece))
            return false;
        stream->fragment_offset += piece.size_bytes;
    }
    stream->fragment_offset = 0;
    return true;
}

/* Makes the stream go on after position `after`, where it does not already. */
static void
stream_place(struct stream *stream, uint64_t after)
{
    if (stream->key == after && stream->cursor.position > after)
        return;
    *stream = (struct stream){.cursor = {.position = after + 1}, .key = after};
}

static struct message
append_message(const struct worker *worker, const struct node_log *log, uint8_t peer, uint64_t from_lsn)
{
    struct message message;

    assert_costly(core_role(log->core) == ROLE_LEADER && peer != worker->self);
    assert_costly(from_lsn > log->base_lsn && from_lsn <= core_last_lsn(log->core) + 1);
    memset(&message, 0, sizeof(message));
    message.type = MESSAGE_APPEND;
    message.from = worker->self;
    message.to = peer;
    message.term = core_term(log->core);
    message.append.prev_lsn = from_lsn - 1;
    message.append.prev_term = core_term_at(log->core, from_lsn - 1);
    message.append.commit_lsn = core_commit_lsn(log->core);
    return message;
}

/* A follower behind the trimmed part is told where to begin anew. */
static void
send_base(struct worker *worker, struct node_log *log, uint8_t peer, uint64_t now_ns)
{
    struct port *port = &worker->ports[peer];
    struct rte_mbuf *frame = port_frame(port);
    struct message message;

    if (frame == NULL)
        return;
    core_base_message(log->core, peer, &message);
    /* The digest is of what the core calls its base. */
    assert(message.base.lsn == log->base_lsn);
    message.base.digest = log->base_digest;
    message.base.hlc = log->trunk_hlc;
    send_head(port, frame, codec_encode_base(&worker->codec, log->id, &message, rte_pktmbuf_mtod(frame, uint8_t *)),
              now_ns, true);
    core_base_sent(log->core, peer, now_ns);
}

/* A follower that began anew asks what the log's producers have written. */
static void
send_producers(struct worker *worker, struct node_log *log, uint8_t peer, uint64_t now_ns)
{
    struct port *port = &worker->ports[peer];
    struct rte_mbuf *frame = port_frame(port);
    struct producer_row page[PRODUCER_ROWS_MAX];
    struct message message;

    if (frame == NULL)
        return;
    core_producers_message(log->core, peer, worker->producer_rows, page, &message);
    assert(message.producers.count <= PRODUCER_ROWS_MAX);
    send_head(port, frame,
              codec_encode_producers(&worker->codec, log->id, &message, rte_pktmbuf_mtod(frame, uint8_t *)), now_ns,
              true);
}

/* Sends what a node that cannot be led asked to borrow, as much as one turn's frames take. */
void
send_lent(struct worker *worker, struct node_log *log)
{
    struct port *port = &worker->ports[log->lend_to];
    uint64_t from_lsn = log->lend_from_lsn;
    struct stream stream = {.cursor = {.position = from_lsn}};
    struct stretch stretch;

    log->lend_from_lsn = 0;
    if (from_lsn == 0 || log->lend_to >= worker->nodes || log->lend_to == worker->self)
        return;
    for (uint32_t frames = 0; frames < FRAMES_PER_TURN && port_room(port) >= 4; frames++) {
        const struct store *store = trunk_at(worker, log, from_lsn);
        struct message message;

        if (store == NULL ||
            !store_look(store, &stream.cursor, core_last_lsn(log->core), BATCH_RECORDS_MAX, FRAME_ROOM, &stretch) ||
            stretch.first != from_lsn)
            return;
        assert(stretch.first + stretch.count - 1 <= core_last_lsn(log->core));
        core_lend_message(log->core, log->lend_to, &message);
        message.append.prev_lsn = from_lsn - 1;
        message.append.prev_term = core_term_at(log->core, from_lsn - 1);
        if (!send_stretch(worker, log, port, &message, &stretch, &stream))
            return;
        from_lsn += stretch.count;
        store_advance(&stream.cursor, &stretch);
    }
}

/* Is the peer so far behind that commits do not wait for it? */
static bool
far_behind(const struct node_log *log, uint8_t peer)
{
    uint64_t from, to;

    return core_send_window(log->core, peer, &from, &to) && from + CATCH_UP_ENTRIES <= core_commit_lsn(log->core);
}

/* Returns how many frames went. */
static uint32_t
stream_to(struct worker *worker, struct node_log *log, uint8_t peer, uint32_t frames_max, uint64_t now_ns)
{
    struct stream *stream = &log->streams[peer];
    struct port *port = &worker->ports[peer];
    const struct store *store;
    struct stretch stretch;
    uint64_t from, to;
    uint32_t frames;

    for (frames = 0; frames < frames_max; frames++) {
        struct message message;

        if (port_room(port) < 4 || !core_send_window(log->core, peer, &from, &to))
            return frames;
        assert_costly(from <= to + 1 && to <= core_last_lsn(log->core));
        stream_place(stream, from - 1);
        message = append_message(worker, log, peer, from);
        if (from > to) {
            const struct block none = {0};
            const struct piece nothing = {0};

            if (send_records(worker, log, port, &message, &none, &nothing))
                core_sent(log->core, peer, from - 1, now_ns);
            return frames;
        }
        store = trunk_at(worker, log, from);
        if (store == NULL || !store_look(store, &stream->cursor, to, BATCH_RECORDS_MAX, FRAME_ROOM, &stretch) ||
            stretch.first != from)
            return frames;
        if (!send_stretch(worker, log, port, &message, &stretch, stream))
            return frames;
        stream->key = stretch.first + stretch.count - 1;
        assert_costly(stream->key <= to);
        store_advance(&stream->cursor, &stretch);
        core_sent(log->core, peer, from + stretch.count - 1, now_ns);
    }
    return frames;
}

/* Followers that keep up are served first. Those far behind get a little more than they, to catch up, and nobody waits for
 * them. */
void
send_entries(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    cairn_node_set behind = 0;
    uint32_t most = 0;

    if (core_role(log->core) != ROLE_LEADER)
        return;
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        uint32_t frames;

        if (peer == worker->self)
            continue;
        if (core_wants_base(log->core, peer))
            send_base(worker, log, peer, now_ns);
        if (core_wants_producers(log->core, peer))
            send_producers(worker, log, peer, now_ns);
        if (far_behind(log, peer)) {
            behind |= (cairn_node_set)1 << peer;
            continue;
        }
        frames = stream_to(worker, log, peer, FRAMES_PER_TURN, now_ns);
        assert_costly(frames <= FRAMES_PER_TURN);
        most = frames > most ? frames : most;
        /* Frames do not wait for the next peer's: the first to answer may be the one that counts. */
        port_flush(&worker->ports[peer], now_ns);
    }
    for (; behind != 0; behind &= behind - 1) {
        uint8_t peer = (uint8_t)__builtin_ctz(behind);

        stream_to(worker, log, peer, CATCH_UP_FRAMES + most + most / 2, now_ns);
        port_flush(&worker->ports[peer], now_ns);
    }
}

/* The leader's own branch goes the same way, without a frame. */
static void
adopt(struct worker *worker, struct node_log *log, const struct message *message, const struct stretch *stretch,
      uint64_t now_ns)
{
    const uint8_t *at = stretch->records;

    assert(core_role(log->core) == ROLE_LEADER && message->to == worker->self);
    assert(stretch->count <= BATCH_RECORDS_MAX);
    worker->batch.records = stretch->records;
    worker->batch.block = block_part(stretch);
    worker->batch.count = stretch->count;
    for (uint32_t i = 0; i < stretch->count; i++) {
        const struct record *record = (const struct record *)(const void *)at;

        worker->batch.offsets[i] = (uint32_t)(at - stretch->records);
        worker->batch.ids[i] = record_id(record);
        at += record_size(record);
    }
    assert(at == stretch->records + stretch->size_bytes);
    worker->batch.offsets[stretch->count] = stretch->size_bytes;
    core_receive(log->core, message, worker->batch.ids, now_ns, &log->sink);
    node_activate(worker, log);
}

/* The run of branch entries that a stretch is. */
static struct run
branch_run(const struct stretch *stretch)
{
    struct block block = block_part(stretch);

    assert(block.kind == ENTRY_DATA);
    assert(stretch->first == branch_place(block.incarnation, block.first_seq));
    return (struct run){
        .first_seq = block.first_seq,
        .count = block.count,
        .incarnation = block.incarnation,
        .origin = block.origin,
        .kind = ENTRY_DATA,
    };
}

static struct message
hand_off_message(const struct worker *worker, const struct node_log *log, uint8_t leader, uint64_t after_seq,
                 const struct stretch *stretch)
{
    struct message message;

    assert(leader == core_leader(log->core));
    memset(&message, 0, sizeof(message));
    message.type = MESSAGE_HAND_OFF;
    message.from = worker->self;
    message.to = leader;
    message.term = core_term(log->core);
    message.hand_off.prev_seq = after_seq;
    message.hand_off.run = branch_run(stretch);
    return message;
}

static void
send_hand_off(struct worker *worker, struct node_log *log, uint8_t origin, uint64_t now_ns)
{
    const struct store *store = &log->branches[origin].store;
    struct stream *stream = &log->hand_offs[origin];
    uint64_t after_seq;
    uint32_t incarnation;
    uint8_t leader;

    for (uint32_t frames = 0; frames < FRAMES_PER_TURN; frames++) {
        struct stretch stretch;
        struct message message;

        if (!core_hand_off_window(log->core, origin, &incarnation, &after_seq, &leader))
            return;
        stream_place(stream, branch_place(incarnation, after_seq));
        if (!store_look(store, &stream->cursor, UINT64_MAX, BATCH_RECORDS_MAX, FRAME_ROOM, &stretch))
            return;
        assert_costly(stretch.block->origin == origin && stretch.block->incarnation == incarnation);
        message = hand_off_message(worker, log, leader, after_seq, &stretch);
        assert_costly(message.hand_off.run.first_seq > after_seq);
        if (leader == worker->self) {
            size_t size_bytes = stretch.size_bytes + stretch.count * sizeof(struct block);

            if (!trunk_has_room(worker, log, size_bytes) ||
                durable_space(worker, log, size_bytes, USE_FOLLOWER) != SPACE_YES)
                return;
            adopt(worker, log, &message, &stretch, now_ns);
        } else {
            struct port *port = &worker->ports[leader];

            if (port_room(port) < 4 || !send_stretch(worker, log, port, &message, &stretch, stream))
                return;
            core_handed(log->core, origin, message.hand_off.run.first_seq + stretch.count - 1, stretch.count, now_ns);
        }
        stream->key = stretch.first + stretch.count - 1;
        store_advance(&stream->cursor, &stretch);
    }
}

void
send_hand_offs(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    for (cairn_node_set held = core_branches_held(log->core); held != 0; held &= held - 1)
        send_hand_off(worker, log, (uint8_t)__builtin_ctz(held), now_ns);
}

static void
spread_to(struct worker *worker, struct node_log *log, uint8_t peer, uint64_t now_ns)
{
    struct stream *stream = &log->spreads[peer];
    struct port *port = &worker->ports[peer];
    uint64_t after_place;

    for (uint32_t frames = 0; frames < FRAMES_PER_TURN; frames++) {
        struct stretch stretch;
        struct message message;

        if (port_room(port) < 4 || !core_spread_window(log->core, peer, &after_place))
            return;
        stream_place(stream, after_place);
        if (!store_look(&log->own->store, &stream->cursor, UINT64_MAX, BATCH_RECORDS_MAX, FRAME_ROOM, &stretch))
            return;
        assert(peer != worker->self && stretch.first > after_place);
        core_spread_message(log->core, peer, after_place, &message);
        message.spread.run = branch_run(&stretch);
        if (!send_stretch(worker, log, port, &message, &stretch, stream))
            return;
        stream->key = stretch.first + stretch.count - 1;
        store_advance(&stream->cursor, &stretch);
        core_spread_sent(log->core, peer, stretch.first + stretch.count - 1, now_ns);
    }
}

void
send_spreads(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    assert_costly(log->own->entries <= log->own->store.entries);
    if (log->own->entries == 0)
        return;
    for (uint8_t peer = 0; peer < worker->nodes; peer++)
        spread_to(worker, log, peer, now_ns);
}
