/* What no node has sent: numbers that cannot be, pieces of entries that are none. */
#include "sim/scene.h"

#include <string.h>

#include "node/state.h"
#include "node/worker/send.h"
#include "sim/damage.h"
#include "sim/disk.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "wire/crc32c.h"

/* As the node's own: what it sends is believed to be its present life's. */
static struct codec
codec_of(const struct sim *sim, uint8_t node)
{
    return worker_of(sim, node)->codec;
}

/* The first worker's, which compares what is agreed on. */
static struct codec
first_codec_of(const struct sim *sim, uint8_t node)
{
    return sim->nodes[node].node->workers[0]->codec;
}

static struct message
message_of(enum message_type type, uint8_t from, uint8_t to, uint64_t term)
{
    struct message message;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)type;
    message.from = from;
    message.to = to;
    message.term = term;
    return message;
}

/* As if from the node, of every type that needs no more than that. */
static void
forge_messages(struct sim *sim, uint8_t from, uint8_t to, uint64_t term)
{
    struct codec codec = codec_of(sim, from);
    uint8_t bytes[PORT_FRAME_BYTES];

    for (int type = MESSAGE_PREVOTE; type < MESSAGE_TYPES; type++) {
        struct message message = message_of((enum message_type)type, from, to, term);
        size_t size_bytes;

        message.yes = type != MESSAGE_PREVOTE_REPLY;
        if (type == MESSAGE_APPEND) {
            const struct block none = {0};

            size_bytes = codec_encode_entries(&codec, sim->log_ids[LOG], &message, &none, NULL, 0, 0, 0, bytes);
        } else if (type == MESSAGE_BASE) {
            message.base.lsn = 1000;
            message.base.base_term = term;
            message.base.members.voters = 7;
            size_bytes = codec_encode_base(&codec, sim->log_ids[LOG], &message, bytes);
        } else if (codec_has_entries((uint8_t)type) || type == MESSAGE_PRODUCERS) {
            continue;
        } else {
            size_bytes = codec_encode(&codec, sim->log_ids[LOG], &message, bytes);
        }
        network_forge(sim, from, to, bytes, size_bytes);
        sim_run_for(sim, 20 * US);
    }
}

static void
forge_heartbeat_of(struct sim *sim, uint8_t from, uint8_t to, uint32_t life, uint64_t term, uint64_t lsn,
                   uint32_t differs)
{
    const struct lives *lives = &sim->nodes[from].node->introduction.lives;
    struct codec codec = differs == 0 ? codec_of(sim, from) : first_codec_of(sim, from);
    struct wire_heartbeat heartbeat = {.pace_ns = SIM_INTERVAL_NS,
                                       .agreed_lsn = lives->identity.agreed.lsn,
                                       .fingerprint = lives->fingerprint + differs,
                                       .hears = 7,
                                       .rows = 1,
                                       .led = 1,
                                       .first = HEARTBEAT_CHANGES};
    struct wire_row row = {.term = term, .commit_lsn = lsn, .trim_lsn = lsn, .log = sim->log_ids[LOG], .voters = 7};
    uint8_t bytes[PORT_FRAME_BYTES];

    codec.incarnation = life;
    network_forge(sim, from, to, bytes, codec_encode_heartbeat(&codec, to, &heartbeat, &row, bytes));
    sim_run_for(sim, 20 * US);
}

static void
forge_heartbeat(struct sim *sim, uint8_t from, uint8_t to, uint32_t life, uint64_t term, uint64_t lsn)
{
    forge_heartbeat_of(sim, from, to, life, term, lsn, 0);
}

/* As if the leader had one entry more, by an origin's life and sequence; of that producer, of no sequence. */
static void
forge_entry(struct sim *sim, uint8_t leader, uint8_t to, uint32_t life, uint64_t seq, uint64_t producer)
{
    struct codec codec = codec_of(sim, leader);
    const struct core *core = core_of(sim, leader);
    struct message message = message_of(MESSAGE_APPEND, leader, to, core_term(core));
    struct block block = {
        .term = core_term(core), .first_seq = seq, .trunk_hlc = 1, .count = 1, .incarnation = life, .origin = leader};
    uint8_t bytes[PORT_FRAME_BYTES];
    struct record head = {.producer = producer}, record;
    size_t size_bytes;

    record_build(&record, &head, NULL, NULL);
    message.append.prev_lsn = core_last_lsn(core);
    message.append.prev_term = core_term_at(core, core_last_lsn(core));
    size_bytes = codec_encode_entries(&codec, sim->log_ids[LOG], &message, &block, NULL, 0, 0, 0, bytes);
    memcpy(bytes + size_bytes, &record, sizeof(record));
    network_forge(sim, leader, to, bytes, size_bytes + sizeof(record));
    sim_run_for(sim, 200 * US);
}

/* Terms and lives that nobody can have come to: no node follows them, nor dies of them. */
static void
forged_numbers(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    uint64_t term = core_term(core_of(sim, leader));
    const uint64_t terms[] = {UINT64_MAX, 1ull << 63, TERM_MAX, term + TERM_STEP_MAX + 1};
    /* The next one is as little the one that was introduced as any other. */
    const uint32_t lives[] = {UINT32_MAX, LIFE_MAX + 1, LIFE_MAX, sim->nodes[leader].incarnation + 1, 0};

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    for (uint8_t from = 0; from < 3; from++) {
        for (uint8_t to = 0; to < 3 && !sim->failed; to++) {
            for (uint32_t i = 0; i < 4 && from != to; i++) {
                forge_messages(sim, from, to, terms[i]);
                forge_heartbeat(sim, from, to, sim->nodes[from].incarnation, terms[i], 1);
                forge_heartbeat(sim, from, to, sim->nodes[from].incarnation, term, UINT64_MAX - i);
            }
            for (uint32_t i = 0; i < 5 && from != to; i++)
                forge_heartbeat(sim, from, to, lives[i], term, 1);
        }
    }
    for (uint8_t i = 0; i < 3; i++) {
        expect(sim, worker_of(sim, i)->counters.frames_dropped[CODEC_FIELD] > 0);
        expect(sim, worker_of(sim, i)->counters.frames_dropped[CODEC_STRANGER] > 0);
        expect(sim, worker_of(sim, i)->counters.far_terms > 0);
        expect(sim, worker_of(sim, i)->counters.stale_incarnation == 0);
    }
    sim_run_for(sim, MS);
    /* Not even a row's lsn, whatever comes of it. */
    for (uint32_t i = 0; i < 2; i++) {
        const struct node *node = sim->nodes[follower(sim, leader, 1)].node;
        uint64_t before = worker_of(sim, node->self)->counters.frames_dropped[CODEC_FIELD];

        forge_heartbeat(sim, leader, node->self, sim->nodes[leader].incarnation, term, i == 0 ? LSN_MAX : LSN_MAX + 1);
        sim_run_for(sim, 200 * US);
        expect(sim, worker_of(sim, node->self)->counters.frames_dropped[CODEC_FIELD] == before + i);
    }
    for (uint8_t i = 1; i <= 2; i++) {
        uint8_t to = follower(sim, leader, i);

        forge_entry(sim, leader, to, LIFE_MAX + 1, 1, 0);
        forge_entry(sim, leader, to, sim->nodes[leader].incarnation, SEQ_MAX + 1, 0);
        forge_entry(sim, leader, to, sim->nodes[leader].incarnation, 100, 9);
        expect(sim, worker_of(sim, to)->counters.damaged_records == 1);
        expect(sim, core_last_lsn(core_of(sim, to)) == core_last_lsn(core_of(sim, leader)));
    }
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    expect(sim, core_term(core_of(sim, leader)) == term && scene_leader(sim) == leader);
    expect(sim, append(sim, leader, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, append(sim, leader, 7, 3, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
}

/* Who says that the same entry of the catalog made it otherwise is not believed, from that heartbeat on; who is at another
 * entry is. */
static void
forged_agreement(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), from = follower(sim, leader, 1);
    const struct node *node = sim->nodes[leader].node;
    uint32_t life = sim->nodes[from].incarnation;
    uint64_t term = core_term(core_of(sim, leader));

    sim_run_for(sim, 200 * MS);
    forge_heartbeat(sim, from, leader, life, term, 0);
    expect(sim, node->workers[0]->codec.peers[from] != 0);
    forge_heartbeat_of(sim, from, leader, life, term, 0, 1);
    sim_run_for(sim, 200 * US);
    expect(sim, node->workers[0]->codec.peers[from] == 0);
    sim_run_for(sim, 200 * MS);
    expect(sim, node->workers[0]->codec.peers[from] != 0);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
}

/* A new leader's heartbeat, with another digest of what is committed, comes before its first frame, which has another term
 * there: it is the log that stops, on all nodes, as if the frame had come first. */
static void
forged_heartbeat_first(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), to;
    struct message message;
    const struct block none = {0};
    uint8_t bytes[PORT_FRAME_BYTES];

    scene_lead(sim, follower(sim, leader, 1));
    leader = scene_leader(sim);
    to = follower(sim, leader, 1);
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, 200 * MS);
    sim->contradicted = true;
    message = message_of(MESSAGE_APPEND, leader, to, core_term(core_of(sim, to)) + 1);
    message.append.prev_lsn = core_commit_lsn(core_of(sim, to));
    message.append.prev_term = message.append.last_term = core_term_at(core_of(sim, to), message.append.prev_lsn) - 1;
    expect(sim,
           message.append.prev_term > 0 && node_log_of(&sim->nodes[to], LOG)->digest_lsn == message.append.prev_lsn);
    forge_heartbeat(sim, leader, to, sim->nodes[leader].incarnation, message.term, message.append.prev_lsn);
    sim_run_for(sim, 20 * US);
    expect(sim, core_term(core_of(sim, to)) == message.term && core_leader(core_of(sim, to)) == leader);
    expect(sim, core_stopped(core_of(sim, to)) == STOP_NONE);
    const struct codec codec = codec_of(sim, leader);
    network_forge(sim, leader, to, bytes,
                  codec_encode_entries(&codec, sim->log_ids[LOG], &message, &none, NULL, 0, 0, 0, bytes));
    for (uint8_t node = 0; node < 3; node++)
        eventually(sim, WITHIN, core_stopped(core_of(sim, node)) == STOP_LOG);
}

#define LARGE_BYTES 600000u
#define STRIDE ((PORT_FRAME_BYTES - FRAME_HEAD_BYTES - CODEC_HEAD_BYTES) & ~7u)

/* A fragment of the leader's last entry, with other bytes than it has. */
static void
forge_fragment(struct sim *sim, uint8_t leader, uint8_t to, uint32_t offset, uint32_t size_bytes, uint32_t more_bytes)
{
    struct codec codec = codec_of(sim, leader);
    const struct core *core = core_of(sim, leader);
    struct message message = message_of(MESSAGE_APPEND, leader, to, core_term(core));
    struct cursor cursor = {.position = core_last_lsn(core)};
    uint8_t bytes[PORT_FRAME_BYTES], piece[STRIDE];
    struct stretch stretch;
    struct block block;
    size_t head_bytes;

    if (!store_look(&node_log_of(&sim->nodes[leader], LOG)->trunk, &cursor, core_last_lsn(core), 1, SIZE_MAX,
                    &stretch)) {
        expect(sim, !"the leader has it");
        return;
    }
    block = block_part(&stretch);
    memset(piece, 0x5a, sizeof(piece));
    message.append.prev_lsn = stretch.first - 1;
    message.append.prev_term = core_term_at(core, stretch.first - 1);
    message.append.commit_lsn = core_commit_lsn(core);
    head_bytes = codec_encode_entries(&codec, sim->log_ids[LOG], &message, &block, piece, size_bytes, offset,
                                      stretch.size_bytes + more_bytes, bytes);
    memcpy(bytes + head_bytes, piece, size_bytes);
    network_forge(sim, leader, to, bytes, head_bytes + size_bytes);
}

/* Of so many other lengths that there is no room for all. */
static void
forge_swarm(struct sim *sim, uint8_t leader)
{
    for (uint32_t i = 0; i < 2 * ASSEMBLIES_PER_PEER; i++) {
        for (uint8_t nth = 1; nth <= 2; nth++)
            forge_fragment(sim, leader, follower(sim, leader, nth), 0, 1000 + 8 * i, 0);
    }
}

/* A large entry is on its way; before the first of its fragments comes another, which is none. */
static void
forged_fragment(struct sim *sim)
{
    static const struct {
        uint32_t offset, size_bytes, more_bytes;
        bool missed; /* what came before it goes by it, and has to come once more */
    } forgeries[] = {
        {0, 8, 0, false},              /* shorter than the record has room for */
        {0, 1024, 0, false},           /* shorter than the others */
        {1024, 1024, 0, false},        /* where none of the others begins */
        {160000, 8, 0, false},         /* and behind all that there is room for */
        {0, STRIDE, 8, false},         /* of a longer record */
        {0, STRIDE, 0, false},         /* in the first one's place */
        {5 * STRIDE, STRIDE, 0, true}, /* in another's */
    };
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP);

    sim->plan.jitter_ns = 0; /* in order */
    for (uint32_t i = 0; i < sizeof(forgeries) / sizeof(*forgeries) && !sim->failed; i++) {
        struct cairn_result result = {0};
        uint64_t token;

        for (uint8_t nth = 1; nth <= 2; nth++)
            sim->links[leader][follower(sim, leader, nth)].extra_ns = 2 * MS;
        token = give(sim, leader, 7, 1 + i, 0, CAIRN_ACK_ALL, LARGE_BYTES);
        sim_run_for(sim, 100 * US);
        for (uint8_t nth = 1; nth <= 2; nth++)
            forge_fragment(sim, leader, follower(sim, leader, nth), forgeries[i].offset, forgeries[i].size_bytes,
                           forgeries[i].more_bytes);
        /* Half of it is there. */
        sim_run_for(sim, 1950 * US);
        forge_swarm(sim, leader);
        /* Less than the leader waits before it sends again. */
        eventually(sim, forgeries[i].missed ? WITHIN : 2 * MS, take(sim, leader, token, &result));
        expect(sim, result.error == CAIRN_OK);
        for (uint8_t nth = 1; nth <= 2; nth++)
            sim->links[leader][follower(sim, leader, nth)].extra_ns = 0;
        sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
        expect(sim, copies(sim, 7, 1 + i) == 1);
    }
    scene_end(sim);
}

static void
far_term(struct journal_block *head)
{
    head->block.term = UINT64_MAX;
}

static void
far_seq(struct journal_block *head)
{
    head->block.first_seq = SEQ_MAX + 1;
}

static void
far_life(struct journal_block *head)
{
    head->block.incarnation = UINT32_MAX;
}

static void
no_such_voter(struct journal_block *head)
{
    head->block.origin = CAIRN_NODES_MAX;
}

/* Where in a checkpoint the catalog's term stands: docs/format.md. */
#define CHECKPOINT_TERM_AT 64u
#define CHECKPOINT_CRC_AT 12u

static void
forge_checkpoint(struct sim_disk *disk)
{
    uint8_t *bytes = disk->directories[0].saved.bytes;
    const uint64_t term = UINT64_MAX;
    uint32_t sum;

    memcpy(bytes + CHECKPOINT_TERM_AT, &term, sizeof(term));
    sum = crc32c(0, bytes + CHECKPOINT_CRC_AT + 4, disk->directories[0].saved.size_bytes - CHECKPOINT_CRC_AT - 4);
    memcpy(bytes + CHECKPOINT_CRC_AT, &sum, sizeof(sum));
    disk->damaged = true;
}

/* What a disk holds has sums that are right, and cannot be: that is damage like any other, which the others mend. */
static void
forged_disk(struct sim *sim)
{
    static const struct {
        uint32_t types;
        void (*forge)(struct journal_block *head);
    } forgeries[] = {{1u << JOURNAL_STATE | 1u << JOURNAL_TAIL, far_term},
                     {1u << JOURNAL_ENTRIES, far_term},
                     {1u << JOURNAL_ENTRIES, far_seq},
                     {1u << JOURNAL_ENTRIES, far_life},
                     {1u << JOURNAL_STATE | 1u << JOURNAL_TAIL, no_such_voter}};
    struct sim_node *node;

    sim->plan.disk = true;
    sim->plan.disk_ns = 100 * US;
    sim->plan.journal_file_bytes = 1u << 20;
    node = &sim->nodes[follower(sim, scene_start(sim, 3, CAIRN_POLICY_CP), 1)];
    for (uint32_t i = 0; i < sizeof(forgeries) / sizeof(*forgeries) && !sim->failed; i++) {
        expect(sim, append(sim, scene_leader(sim), 7, 1 + i, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        sim_run_for(sim, 150 * MS);
        node_crash(node);
        expect(sim, disk_forge_blocks(node, forgeries[i].types, forgeries[i].forge) > 0);
        node_boot(node);
        expect(sim, node_is_up(node) && worker_of(sim, node->self)->damage_places_count > 0);
        eventually(sim, WITHIN, node_log_of(node, LOG) != NULL && !core_recovering(core_of(sim, node->self)));
    }
    /* What another leaves for its next start is void: it begins anew, from the others. */
    node = &sim->nodes[(node->self + 1) % 3];
    node_stop(node);
    eventually(sim, WITHIN, !node_is_up(node));
    expect(sim, node->disk.directories[0].saved.size_bytes > CHECKPOINT_TERM_AT);
    if (!sim->failed)
        forge_checkpoint(&node->disk);
    eventually(sim, 200 * MS,
               node_is_up(node) && node_log_of(node, LOG) != NULL && !core_recovering(core_of(sim, node->self)));
    expect(sim, core_term(node->node->workers[0]->logs[0]->core) <= TERM_MAX);
    scene_calm(sim);
    expect(sim, append(sim, scene_leader(sim), 8, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
}

const struct scenario scenarios_forged[] = {
    {"forged-numbers", "terms and lives that cannot be change nothing", forged_numbers},
    {"forged-agreement", "a heartbeat that contradicts what is agreed on is not believed", forged_agreement},
    {"forged-heartbeat-first", "what a heartbeat's digest says waits until terms were compared",
     forged_heartbeat_first},
    {"forged-fragment", "a piece that contradicts the others of a large entry costs itself alone", forged_fragment},
    {"forged-disk", "what a disk holds and cannot be is damage, whatever its sums say", forged_disk},
    {0},
};
