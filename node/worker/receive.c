/* Frames of peers become events of the cores. */
#include "node/worker/receive.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "node/events.h"
#include "node/look.h"
#include "node/state.h"
#include "node/worker/assembly.h"
#include "node/worker/batch.h"
#include "node/worker/due.h"
#include "node/worker/hlc.h"
#include "node/worker/reassess.h"
#include "node/worker/room.h"
#include "node/worker/space.h"
#include "node/worker/unsent.h"
#include "node/worker/worker.h"

_Static_assert(CODEC_VERDICTS <= sizeof(((struct node_counters *)0)->frames_dropped) / sizeof(uint64_t),
               "each is counted");

_Static_assert(sizeof(struct assembly_key) == 112, "no holes");

/* A leader is told so often at most where a node stands that cannot take more. */
#define TOLD_FULL_NS 100000000u

static void
count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

bool
batch_read(struct batch *batch, const uint8_t *records, const struct block *block)
{
    const uint8_t *at = records;

    assert_costly((uintptr_t)records % 8 == 0);
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
        if (!entry_id_plausible(&batch->ids[i]))
            return false;
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
feed(struct worker *worker, struct node_log *log, const struct message *message, uint64_t now_ns)
{
    assert_costly(message->to == worker->self && message->from != worker->self);
    /* Before it is asked whether it would help another. */
    if (message->type == MESSAGE_PREVOTE || message->type == MESSAGE_VOTE)
        leader_refresh(worker, log, now_ns);
    /* A lease and what it rests on run from when they were asked for, and this poll may have begun before a pause. */
    if (message->type == MESSAGE_READ_INDEX || message->type == MESSAGE_CONFIRM)
        now_ns = node_now_ns(worker->node);
    if (!core_receive(log->core, message, worker->batch.ids, now_ns, &log->sink))
        count(&worker->counters.far_terms);
    assert_costly(log_is_sound(log));
    /* An acknowledgement, the commonest message, seldom leaves anything to do. */
    if (message->type != MESSAGE_APPEND_REPLY || message->recovering || node_has_unsent(worker, log))
        node_activate(worker, log);
}

static bool
entries_have_room(const struct worker *worker, const struct node_log *log, const struct message *message,
                  const struct block *block)
{
    /* Copies of branches are held in memory alone. */
    if (message->type == MESSAGE_SPREAD)
        return branch_has_room(worker, &log->branches[message->from], worst_bytes(block));
    return trunk_has_room(worker, log, worst_bytes(block)) &&
           durable_space(worker, log, worst_bytes(block), block->kind == ENTRY_DATA ? USE_FOLLOWER : USE_ORDER) ==
               SPACE_YES;
}

/* A leader that asks where this node stands is told so though nothing more can be taken: a trim, which makes room again, goes
 * no further than the leader knows each member to be. Seldom, since it sends on then. */
static void
feed_without(struct worker *worker, struct node_log *log, const struct message *message, uint64_t now_ns)
{
    struct message without = *message;

    assert(worker->batch.count == 0);
    count(&worker->counters.no_room);
    if (message->type != MESSAGE_APPEND || message->append.prev_lsn > core_last_lsn(log->core) ||
        now_ns - log->told_full_ns < TOLD_FULL_NS)
        return;
    log->told_full_ns = now_ns;
    without.append.run.count = 0;
    feed(worker, log, &without, now_ns);
}

/* Entries of a leader (or a lender) go straight to the end of the trunk, where the core's answer leaves them or
 * not. Those of a branch may have to be split, and are read from a buffer. false: they are damaged. */
static bool
receive_entries(struct worker *worker, struct node_log *log, const struct message *message, const struct block *block,
                const uint8_t *records, uint64_t now_ns)
{
    uint8_t *place = worker->scratch;

    assert(block->size_bytes <= RECORD_BYTES_MAX);
    worker->batch.count = 0;
    if (block->count > 0) {
        if (!entries_have_room(worker, log, message, block)) {
            feed_without(worker, log, message, now_ns);
            return true;
        }
        if (message->type != MESSAGE_HAND_OFF && message->type != MESSAGE_SPREAD)
            place = store_stage(&log->trunk, block->size_bytes);
        if (place == NULL) {
            count(&worker->counters.no_room);
            return true;
        }
        memcpy(place, records, block->size_bytes);
        if (!batch_read(&worker->batch, place, block)) {
            count(&worker->counters.damaged_records);
            return false;
        }
        if (message->type == MESSAGE_HAND_OFF || message->type == MESSAGE_SPREAD) {
            /* On a branch: what it may say of the trunk is no other's to say. */
            worker->batch.block.trunk_hlc = 0;
            worker->batch.block.flags = 0;
            node_take_hlc(worker, log, block->hlc + block->count - 1);
        }
    }
    assert_costly(worker->batch.count == block->count);
    feed(worker, log, message, now_ns);
    store_seal(&log->trunk);
    return true;
}

/* Fragments are of equal length but for the last, so that a bit tells each. stride: that length. */
static struct assembly_key
key_of(const struct decoded *decoded, uint32_t stride)
{
    const struct message *message = &decoded->message;
    struct assembly_key key;

    assert(stride > 0 && decoded->records_bytes <= stride);
    memset(&key, 0, sizeof(key));
    key.block = decoded->block;
    key.term = message->term;
    key.log = decoded->log;
    key.type = decoded->type;
    key.stride = stride;
    if (decoded->type == MESSAGE_HAND_OFF)
        key.prev = message->hand_off.prev_seq;
    else if (decoded->type == MESSAGE_SPREAD)
        key.prev = message->spread.prev_place;
    else
        key.prev_term = message->append.prev_term;
    return key;
}

static bool
is_last(const struct decoded *decoded)
{
    assert(decoded->records_bytes > 0 && decoded->fragment_offset + decoded->records_bytes <= decoded->fragment_total);
    return decoded->fragment_offset + decoded->records_bytes == decoded->fragment_total;
}

/* May fragments of that length make a record of which this is a part? */
static bool
stride_fits(const struct decoded *decoded, uint32_t stride)
{
    const uint32_t most = sizeof(((struct assembly *)0)->have) * 8;

    return decoded->records_bytes <= stride && decoded->fragment_offset % stride == 0 &&
           (decoded->fragment_total + stride - 1) / stride <= most;
}

static bool
belongs(const struct assembly *assembly, const struct decoded *decoded)
{
    const uint32_t stride = is_last(decoded) ? assembly->key.stride : decoded->records_bytes;
    struct assembly_key key;

    if (assembly->received == 0 || !stride_fits(decoded, stride))
        return false;
    key = key_of(decoded, stride);
    return memcmp(&key, &assembly->key, sizeof(key)) == 0;
}

/* false: something else stands in its place. One of the two is not the sender's, and the record's checksum will tell. */
static bool
fragment_put(struct assembly *assembly, const struct decoded *decoded, uint64_t now_ns)
{
    uint32_t index = decoded->fragment_offset / assembly->key.stride;
    uint8_t *place = assembly->bytes + decoded->fragment_offset;

    assert(index < sizeof(assembly->have) * 8);
    if (assembly->have[index / 64] & (1ull << (index % 64)))
        return memcmp(place, decoded->records, decoded->records_bytes) == 0;
    assembly->used_ns = now_ns;
    assembly->have[index / 64] |= 1ull << (index % 64);
    memcpy(place, decoded->records, decoded->records_bytes);
    assembly->received += decoded->records_bytes;
    assert(assembly->received <= decoded->fragment_total);
    return true;
}

/* The one to begin anew: of a record whose sender has given up, else of the one of which least is there, so that no
 * single fragment takes away what is nearly whole. */
static struct assembly *
assembly_to_spare(const struct worker *worker, struct assembly *places, uint64_t now_ns)
{
    struct assembly *least = &places[0];

    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++) {
        if (places[i].received > 0 && now_ns - places[i].used_ns >= worker->detector.config.timeout_ns)
            places[i].received = 0;
        if (places[i].received < least->received)
            least = &places[i];
    }
    return least;
}

static void
assembly_begin(struct assembly *assembly, const struct decoded *decoded, uint64_t now_ns)
{
    assembly->key = key_of(decoded, decoded->records_bytes);
    assembly->received = 0;
    memset(assembly->have, 0, sizeof(assembly->have));
    fragment_put(assembly, decoded, now_ns);
    assert(assembly->received == decoded->records_bytes);
}

/* A fragment goes wherever it agrees with those that are there: what contradicts them begins an assembly of its own, and
 * costs none but itself. */
static void
fragment_take(struct worker *worker, struct assembly *places, const struct decoded *decoded, uint64_t now_ns)
{
    bool taken = false;

    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++) {
        if (belongs(&places[i], decoded))
            taken |= fragment_put(&places[i], decoded, now_ns);
    }
    /* A last one that overtook the others does not tell their length: it will come again. */
    if (taken || (is_last(decoded) && decoded->fragment_offset != 0) || !stride_fits(decoded, decoded->records_bytes))
        return;
    assembly_begin(assembly_to_spare(worker, places, now_ns), decoded, now_ns);
}

/* All of a record is there, or of what was taken for it. */
static bool
assembly_end(struct worker *worker, struct node_log *log, struct assembly *assembly, const struct decoded *decoded,
             uint64_t now_ns)
{
    assembly->received = 0;
    if (record_measure(assembly->bytes, decoded->fragment_total) != decoded->fragment_total) {
        count(&worker->counters.damaged_records);
        return false;
    }
    return receive_entries(worker, log, &decoded->message, &decoded->block, assembly->bytes, now_ns);
}

static void
receive_fragment(struct worker *worker, struct node_log *log, const struct decoded *decoded, uint64_t now_ns)
{
    struct assembly *places = worker->assemblies[decoded->from];
    bool sound = false;

    fragment_take(worker, places, decoded, now_ns);
    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER && !sound; i++) {
        if (places[i].received == decoded->fragment_total && belongs(&places[i], decoded))
            sound = assembly_end(worker, log, &places[i], decoded, now_ns);
    }
    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER && sound; i++) {
        if (belongs(&places[i], decoded))
            places[i].received = 0;
    }
}

/* A replica that has committed as far as its leader compares what they have, once their terms were compared: where those
 * differ, it is the log that stops, and which of the two is found must not depend on what comes first. */
static void
compare_digest(struct worker *worker, struct node_log *log, const struct wire_row *row, uint8_t from, uint64_t now_ns)
{
    if (row->commit_lsn == 0 || row->commit_lsn != log->digest_lsn || row->digest == log->digest ||
        core_leader(log->core) != from || core_term(log->core) != row->term ||
        core_compared_lsn(log->core) < row->commit_lsn)
        return;
    core_stop(log->core, STOP_REPLICA, from, row->commit_lsn, now_ns, &log->sink);
}

/* A node that has committed something else than its leader says so, and whoever hears it stops too: nobody can tell yet
 * which of the two goes on. */
static void
hear_stop(struct worker *worker, struct node_log *log, const struct wire_row *row, uint8_t from, uint64_t now_ns)
{
    if (!term_plausible(row->term, core_term(log->core)))
        count(&worker->counters.far_terms);
    /* That is decided: whoever says so has not heard of it. */
    else if (row->term < log->rules.adopted_term ||
             term_decided(row->term) <= core_term_at(log->core, core_last_lsn(log->core)))
        return;
    else if (core_members(log->core)->voters >> from & 1)
        core_stop(log->core, STOP_LOG, from, row->commit_lsn, now_ns, &log->sink);
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

static void
receive_row(struct worker *worker, const struct decoded *decoded, const struct wire_row *row, uint64_t now_ns)
{
    struct node_log *log = node_find_log(worker, row->log);

    if (log == NULL)
        return;
    if (row->voters == 0) {
        hear_stop(worker, log, row, decoded->from, now_ns);
        return;
    }
    if (row->commit_lsn != core_commit_lsn(log->core))
        node_touch(worker, log);
    if (!core_leader_alive(log->core, decoded->from, row->term, row->commit_lsn, now_ns, &log->sink)) {
        count(&worker->counters.far_terms);
        return;
    }
    compare_digest(worker, log, row, decoded->from, now_ns);
    /* A node that is removed is sent nothing any more, not even the entry that says so. */
    if (core_leader(log->core) == decoded->from)
        log->left = ((row->voters | row->learners) >> worker->self & 1) == 0;
    log->led_by = decoded->from;
    log->led_term = row->term;
    log->led_epoch = decoded->heartbeat.epoch;
    if (core_leader(log->core) != decoded->from)
        return;
    if (row->trim_lsn <= core_commit_lsn(log->core))
        log->trim_lsn = row->trim_lsn;
    assert(log->trim_lsn <= core_commit_lsn(log->core));
    if (row->aged_lsn > log->aged_lsn)
        log->aged_lsn = row->aged_lsn;
}

/* A peer that says otherwise of the same entry of the catalog is not believed; the first worker tells of it. */
static bool
agrees(struct worker *worker, const struct decoded *decoded, uint64_t now_ns)
{
    const struct wire_heartbeat *heartbeat = &decoded->heartbeat;

    if (worker_is_first(worker))
        return introduction_compare(worker, decoded->from, heartbeat->agreed_lsn, heartbeat->fingerprint, now_ns);
    return heartbeat->agreed_lsn != worker->agreed.lsn || heartbeat->fingerprint == worker->fingerprint;
}

static void
receive_heartbeat(struct worker *worker, const struct decoded *decoded, uint64_t now_ns)
{
    const struct detector_beat beat = {.incarnation = decoded->incarnation,
                                       .hears = (cairn_node_set)decoded->heartbeat.hears,
                                       .pace_ns = decoded->heartbeat.pace_ns,
                                       .stall_ns = decoded->heartbeat.health.stall_us * 1000ull};
    uint32_t ailments;
    unsigned verdict;

    if (!agrees(worker, decoded, now_ns))
        return;
    verdict = detector_observe(&worker->detector, decoded->from, &beat, now_ns);
    acquaint(&worker->peers[decoded->from], &decoded->heartbeat, now_ns);
    ailments = worker->sights.now[decoded->from].health.ailments;
    sight_take(worker, decoded->from, &decoded->heartbeat, now_ns);
    node_clocks_take(worker, decoded->from, &decoded->heartbeat);
    if (ailments != decoded->heartbeat.health.ailments)
        health_heard(worker, now_ns);
    if (verdict & DETECTOR_HEARD || detector_reach(&worker->detector) != worker->reach)
        node_reassess(worker, now_ns);
    assert_costly(worker->reach == detector_reach(&worker->detector));
    for (uint32_t i = 0; i < decoded->heartbeat.rows; i++) {
        struct wire_row row;

        memcpy(&row, decoded->rows + i, sizeof(row));
        receive_row(worker, decoded, &row, now_ns);
    }
}

static void
peer_restarted(struct worker *worker, uint8_t peer, uint32_t incarnation)
{
    assert(peer != worker->self && worker->detector.peers[peer].incarnation == incarnation);
    if (worker_is_first(worker))
        node_event(worker, EVENT_PEER_RESTARTED, NULL, peer, 0, 0, "%s started anew",
                   worker->config->cluster->names[peer]);
    worker->peers[peer] = (struct acquaintance){0};
    clocks_forget(&worker->clocks, peer);
    for (uint32_t i = 0; i < worker->logs_count; i++)
        core_peer_restarted(worker->logs[i]->core, peer, incarnation);
}

bool
node_receive(void *context, uint8_t peer, const uint8_t *message, size_t size_bytes, uint64_t now_ns)
{
    struct worker *worker = context;
    enum phase phase = introduction_phase(&worker->node->introduction);
    struct decoded decoded;
    enum codec_verdict verdict = codec_decode(&worker->codec, peer, message, size_bytes, &decoded);
    enum detector_verdict life;
    struct node_log *log;

    if (atomic_load_explicit(&worker->node->stopping, memory_order_relaxed) || phase >= PHASE_BEGINNING)
        return false;
    if (verdict == CODEC_STRANGER && worker_is_first(worker))
        introduction_stranger(worker, peer, now_ns);
    if (verdict == CODEC_OK && decoded.type == CODEC_HELLO && !introduction_is_sized(&decoded))
        verdict = CODEC_SHORT;
    /* Hellos are for the first worker. */
    if (verdict == CODEC_OK && decoded.type == CODEC_HELLO && !worker_is_first(worker))
        verdict = CODEC_TO;
    if (verdict != CODEC_OK) {
        count(&worker->counters.frames_dropped[verdict]);
        return false;
    }
    if (decoded.type == CODEC_HELLO)
        introduction_hear(worker, &decoded, now_ns);
    if (decoded.type == CODEC_HELLO || phase != PHASE_INSIDE)
        return false;
    /* A member that this worker has not heard of yet, though another has. */
    if (decoded.from >= worker->nodes)
        return false;
    if (worker_is_first(worker))
        worker->node->introduction.heard_ns[decoded.from] = now_ns;
    life = detector_incarnation(&worker->detector, decoded.from, decoded.incarnation);
    if (life == DETECTOR_STALE) {
        count(&worker->counters.stale_incarnation);
        return false;
    }
    if (life == DETECTOR_RESTARTED)
        peer_restarted(worker, decoded.from, decoded.incarnation);
    if (decoded.type == CODEC_HEARTBEAT) {
        receive_heartbeat(worker, &decoded, now_ns);
        return false;
    }
    assert_costly(decoded.from == peer);
    log = node_find_log(worker, decoded.log);
    if (log == NULL) {
        count(&worker->counters.no_log);
        return false;
    }
    worker->event_digest = decoded.type == MESSAGE_BASE ? decoded.message.base.digest : 0;
    worker->event_hlc = decoded.type == MESSAGE_BASE ? decoded.message.base.hlc : 0;
    if (!codec_has_entries(decoded.type))
        feed(worker, log, &decoded.message, now_ns);
    else if (decoded.fragment_total != 0)
        receive_fragment(worker, log, &decoded, now_ns);
    else
        receive_entries(worker, log, &decoded.message, &decoded.block, decoded.records, now_ns);
    node_wake_up(worker, now_ns);
    return true;
}
