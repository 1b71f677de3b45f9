/* Frames of peers become events of the cores. */
#include <assert.h>
#include <string.h>

#include "state.h"

_Static_assert(CODEC_VERDICTS <= sizeof(((struct node_counters *)0)->frames_dropped) / sizeof(uint64_t),
               "each is counted");

static void
count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

bool
batch_read(struct batch *batch, const uint8_t *records, const struct block *block)
{
    const uint8_t *at = records;

    batch->records = records;
    batch->block = *block;
    batch->count = block->count;
    if (block->count > BATCH_RECORDS_MAX)
        return false;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct record *record = (const struct record *)(const void *)at;

        if (!record_intact(record))
            return false;
        batch->offsets[i] = (uint32_t)(at - records);
        batch->ids[i] = record_id(record);
        at += record_size(record);
    }
    batch->offsets[block->count] = (uint32_t)(at - records);
    return batch->offsets[block->count] == block->size_bytes;
}

/* Room for the records, each in a block of its own at worst. */
static size_t
worst_bytes(const struct block *block)
{
    return block->size_bytes + block->count * sizeof(struct block);
}

static void
feed(struct node *node, struct node_log *log, const struct message *message, uint64_t now_ns)
{
    struct sink sink;

    /* Before it is asked whether it would help another. */
    if (message->type == MESSAGE_PREVOTE || message->type == MESSAGE_VOTE)
        leader_refresh(node, log, now_ns);
    /* A lease and what it rests on run from when they were asked for, and this poll may have begun before a pause. */
    if (message->type == MESSAGE_READ_INDEX || message->type == MESSAGE_CONFIRM)
        now_ns = node_now_ns(node);
    sink = node_sink(node, log);
    if (!core_receive(log->core, message, node->batch.ids, now_ns, &sink))
        count(&node->counters.far_terms);
    /* An acknowledgement, the commonest message, seldom leaves anything to do. */
    if (message->type != MESSAGE_APPEND_REPLY || message->recovering || node_has_unsent(node, log))
        node_activate(node, log);
}

static bool
entries_have_room(const struct node *node, const struct node_log *log, const struct message *message,
                  const struct block *block)
{
    /* Copies of branches are held in memory alone. */
    if (message->type == MESSAGE_SPREAD)
        return branch_has_room(node, &log->branches[message->from], worst_bytes(block));
    return store_has_room(node, &log->trunk, worst_bytes(block)) && durable_has_space(node, log, worst_bytes(block));
}

/* Entries of a leader (or a lender) go straight to the end of the trunk, where the core's answer leaves them or
 * not. Those of a branch may have to be split, and are read from a buffer. */
static void
receive_entries(struct node *node, struct node_log *log, const struct message *message, const struct block *block,
                const uint8_t *records, uint64_t now_ns)
{
    uint8_t *place = node->scratch;

    node->batch.count = 0;
    if (block->count > 0) {
        if (!entries_have_room(node, log, message, block)) {
            count(&node->counters.no_room);
            return;
        }
        if (message->type != MESSAGE_HAND_OFF && message->type != MESSAGE_SPREAD)
            place = store_stage(&log->trunk, block->size_bytes);
        if (place == NULL) {
            count(&node->counters.no_room);
            return;
        }
        memcpy(place, records, block->size_bytes);
        if (!batch_read(&node->batch, place, block)) {
            count(&node->counters.damaged_records);
            return;
        }
    }
    feed(node, log, message, now_ns);
    store_seal(&log->trunk);
}

static bool
same_record(const struct assembly *assembly, const struct decoded *decoded)
{
    return assembly->total_bytes == decoded->fragment_total && assembly->log == decoded->log &&
           assembly->type == decoded->type && assembly->block.first_seq == decoded->block.first_seq &&
           assembly->block.origin == decoded->block.origin &&
           assembly->block.incarnation == decoded->block.incarnation &&
           assembly->block.first_lsn == decoded->block.first_lsn && assembly->block.term == decoded->block.term;
}

static struct assembly *
assembly_for(struct node *node, const struct decoded *decoded, uint64_t now_ns)
{
    struct assembly *places = node->assemblies[decoded->from], *oldest = &places[0];

    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++) {
        if (same_record(&places[i], decoded))
            return &places[i];
        if (places[i].used_ns < oldest->used_ns)
            oldest = &places[i];
    }
    oldest->log = decoded->log;
    oldest->type = decoded->type;
    oldest->block = decoded->block;
    oldest->total_bytes = decoded->fragment_total;
    oldest->received = 0;
    oldest->stride = 0;
    oldest->used_ns = now_ns;
    memset(oldest->have, 0, sizeof(oldest->have));
    return oldest;
}

/* Fragments are of equal length but for the last, so that a bit tells each. */
static bool
fragment_take(struct assembly *assembly, const struct decoded *decoded)
{
    bool last = decoded->fragment_offset + decoded->records_bytes == decoded->fragment_total;
    uint32_t index;

    if (!last)
        assembly->stride = decoded->records_bytes;
    if (assembly->stride == 0) {
        /* The last one overtook the others: it will come again. */
        if (decoded->fragment_offset != 0)
            return false;
        assembly->stride = decoded->records_bytes;
    }
    assert(assembly->stride > 0);
    index = decoded->fragment_offset / assembly->stride;
    if (decoded->fragment_offset % assembly->stride != 0 || index >= sizeof(assembly->have) * 8)
        return false;
    if (assembly->have[index / 64] & (1ull << (index % 64)))
        return false;
    assembly->have[index / 64] |= 1ull << (index % 64);
    memcpy(assembly->bytes + decoded->fragment_offset, decoded->records, decoded->records_bytes);
    assembly->received += decoded->records_bytes;
    return assembly->received == assembly->total_bytes;
}

static void
receive_fragment(struct node *node, struct node_log *log, const struct decoded *decoded, uint64_t now_ns)
{
    struct assembly *assembly = assembly_for(node, decoded, now_ns);

    assembly->used_ns = now_ns;
    if (!fragment_take(assembly, decoded))
        return;
    assembly->total_bytes = 0;
    if (record_measure(assembly->bytes, decoded->fragment_total) != decoded->fragment_total) {
        count(&node->counters.damaged_records);
        return;
    }
    receive_entries(node, log, &decoded->message, &decoded->block, assembly->bytes, now_ns);
}

/* Replicas that have committed as far compare what they have. */
static void
compare_digest(struct node *node, struct node_log *log, const struct wire_row *row, uint8_t from)
{
    if (row->commit_lsn == 0 || row->commit_lsn != log->digest_lsn || row->digest == log->digest ||
        log->diverged_lsn != 0)
        return;
    log->diverged_lsn = row->commit_lsn;
    node_event(node, EVENT_DIVERGED, log, from, 0, 0, "digest at lsn %lu differs from %s's: this must not be",
               (unsigned long)row->commit_lsn, node->config.cluster->names[from]);
}

/* What the peer knows of this node's logs, and whether this node knows all of the peer's. A full list may
 * come in several frames; one that is missing makes the next one's start over. */
static void
acquaint(struct acquaintance *peer, const struct wire_heartbeat *heartbeat, uint64_t now_ns)
{
    peer->seen = heartbeat->seen;
    if (peer->epoch != heartbeat->epoch)
        peer->expected = 0;
    peer->epoch = heartbeat->epoch;
    if (heartbeat->first != HEARTBEAT_CHANGES) {
        if (heartbeat->first == 0)
            peer->expected = 0;
        if (heartbeat->first == peer->expected)
            peer->expected += heartbeat->rows;
        if (peer->expected == heartbeat->led)
            peer->complete = heartbeat->epoch;
    }
    if (peer->complete == heartbeat->epoch)
        peer->beat_ns = now_ns;
}

void
leader_refresh(struct node *node, struct node_log *log, uint64_t now_ns)
{
    uint8_t leader = core_leader(log->core);
    const struct acquaintance *peer;
    struct sink sink;

    if (log->led_by >= node->nodes || (leader != log->led_by && leader != CAIRN_NODE_NONE))
        return;
    peer = &node->peers[log->led_by];
    if (log->led_epoch != peer->complete || peer->epoch != peer->complete ||
        now_ns - peer->beat_ns >= node->detector.config.timeout_ns)
        return;
    sink = node_sink(node, log);
    core_leader_alive(log->core, log->led_by, log->led_term, 0, peer->beat_ns, &sink);
}

static void
receive_row(struct node *node, const struct decoded *decoded, const struct wire_row *row, uint64_t now_ns)
{
    struct node_log *log = node_find_log(node, row->log);
    struct sink sink;

    if (log == NULL)
        return;
    sink = node_sink(node, log);
    if (row->commit_lsn != core_commit_lsn(log->core))
        node_touch(node, log);
    if (!core_leader_alive(log->core, decoded->from, row->term, row->commit_lsn, now_ns, &sink)) {
        count(&node->counters.far_terms);
        return;
    }
    compare_digest(node, log, row, decoded->from);
    log->led_by = decoded->from;
    log->led_term = row->term;
    log->led_epoch = decoded->heartbeat.epoch;
    if (core_leader(log->core) == decoded->from && row->trim_lsn <= core_commit_lsn(log->core))
        log->trim_lsn = row->trim_lsn;
}

static void
receive_heartbeat(struct node *node, const struct decoded *decoded, uint64_t now_ns)
{
    unsigned verdict = detector_observe(&node->detector, decoded->from, decoded->incarnation,
                                        (cairn_node_set)decoded->heartbeat.hears, decoded->heartbeat.pace_ns, now_ns);

    acquaint(&node->peers[decoded->from], &decoded->heartbeat, now_ns);
    sight_take(node, decoded->from, &decoded->heartbeat, now_ns);
    if (verdict & DETECTOR_HEARD || detector_reach(&node->detector) != node->reach)
        node_reassess(node, now_ns);
    for (uint32_t i = 0; i < decoded->heartbeat.rows; i++) {
        struct wire_row row;

        memcpy(&row, decoded->rows + i, sizeof(row));
        receive_row(node, decoded, &row, now_ns);
    }
}

static void
peer_restarted(struct node *node, uint8_t peer, uint32_t incarnation)
{
    node_event(node, EVENT_PEER_RESTARTED, NULL, peer, 0, 0, "%s started anew", node->config.cluster->names[peer]);
    node->peers[peer] = (struct acquaintance){0};
    for (uint32_t i = 0; i < node->logs_count; i++)
        core_peer_restarted(node->logs[i]->core, peer, incarnation);
}

bool
node_receive(void *context, uint8_t peer, const uint8_t *message, size_t size_bytes, uint64_t now_ns)
{
    struct node *node = context;
    enum phase phase = introduction_phase(&node->introduction);
    struct decoded decoded;
    enum codec_verdict verdict = codec_decode(&node->codec, peer, message, size_bytes, &decoded);
    enum detector_verdict life;
    struct node_log *log;

    if (atomic_load_explicit(&node->stopping, memory_order_relaxed) != STOPPING_NOT || phase >= PHASE_BEGINNING)
        return false;
    if (verdict == CODEC_STRANGER)
        introduction_stranger(node, peer, now_ns);
    if (verdict == CODEC_OK && decoded.type == CODEC_HELLO && decoded.hello_bytes != sizeof(struct hello))
        verdict = CODEC_SHORT;
    if (verdict != CODEC_OK) {
        count(&node->counters.frames_dropped[verdict]);
        return false;
    }
    if (decoded.type == CODEC_HELLO)
        introduction_hear(node, &decoded, now_ns);
    if (decoded.type == CODEC_HELLO || phase != PHASE_INSIDE)
        return false;
    assert(decoded.from < node->nodes);
    life = detector_incarnation(&node->detector, decoded.from, decoded.incarnation);
    if (life == DETECTOR_STALE) {
        count(&node->counters.stale_incarnation);
        return false;
    }
    if (life == DETECTOR_RESTARTED)
        peer_restarted(node, decoded.from, decoded.incarnation);
    if (decoded.type == CODEC_HEARTBEAT) {
        receive_heartbeat(node, &decoded, now_ns);
        return false;
    }
    log = node_find_log(node, decoded.log);
    if (log == NULL) {
        count(&node->counters.no_log);
        return false;
    }
    node->event_digest = decoded.type == MESSAGE_BASE ? decoded.message.base.digest : 0;
    if (!codec_has_entries(decoded.type))
        feed(node, log, &decoded.message, now_ns);
    else if (decoded.fragment_total != 0)
        receive_fragment(node, log, &decoded, now_ns);
    else
        receive_entries(node, log, &decoded.message, &decoded.block, decoded.records, now_ns);
    node_wake_up(node, now_ns);
    return true;
}
