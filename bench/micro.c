/* What the pieces of an append cost, without a network: checksum, record, store, codec, core. */
#include <stdlib.h>
#include <string.h>

#include <isa-l.h>

#include "bench/gbench.h"
#include "bench/histogram.h"
#include "dataplane/codec.h"
#include "dataplane/store.h"
#include "replication/core.h"
#include "wire/crc32c.h"

static uint8_t bytes[1u << 16] __attribute__((aligned(64)));

static void
crc32c_ours(struct gbench *bench)
{
    size_t size = (size_t)gbench_argument(bench);
    uint32_t crc = 0;

    while (gbench_next(bench)) {
        crc = crc32c(crc, bytes, size);
        gbench_keep(&crc);
    }
}
GBENCH_ARGS(crc32c_ours, 32, 128, 384, 1400)

static void
crc32c_isal(struct gbench *bench)
{
    int size = (int)gbench_argument(bench);
    uint32_t crc = 0;

    while (gbench_next(bench)) {
        crc = crc32_iscsi(bytes, size, crc);
        gbench_keep(&crc);
    }
}
GBENCH_ARGS(crc32c_isal, 32, 128, 384, 1400)

static void
record_build_and_check(struct gbench *bench)
{
    struct record head = {.payload_bytes = (uint32_t)gbench_argument(bench), .producer = 1, .producer_seq = 1};
    struct record *record = aligned_alloc(64, 1u << 16);

    while (gbench_next(bench)) {
        bool intact;

        record_build(record, &head, NULL, bytes);
        intact = record_intact(record);
        gbench_keep(&intact);
    }
    free(record);
}
GBENCH_ARGS(record_build_and_check, 64, 1400)

static void
store_append_and_read(struct gbench *bench)
{
    struct record head = {.payload_bytes = 64};
    struct cursor cursor = {.position = 1};
    struct segment_pool pool;
    struct store store;
    uint64_t next = 1;

    segment_pool_init(&pool, 4 * SEGMENT_BYTES, SEGMENT_BYTES);
    segment_pool_touch_all(&pool);
    store_init(&store, &pool);
    record_build((struct record *)(void *)bytes, &head, NULL, bytes + 1024);
    while (gbench_next(bench)) {
        struct block block = {.term = 1, .first_lsn = next, .first_seq = next, .count = 1, .fork_lsn = FORK_TRUNK};
        struct stretch stretch;

        block.size_bytes = (uint32_t)record_size(&head);
        store_append(&store, &block, bytes);
        if (next++ % 16 == 0)
            store_seal(&store);
        if (store_look(&store, &cursor, next - 1, 64, 1800, &stretch))
            store_advance(&cursor, &stretch);
        if (pool.in_use > 2)
            store_trim(&store, next - 1);
    }
    store_fini(&store);
    segment_pool_fini(&pool);
}
GBENCH(store_append_and_read)

static void
codec_round(struct gbench *bench)
{
    const struct codec sender = {.identity = 1, .incarnation = 1, .self = 0};
    const _Atomic uint64_t introduced[CAIRN_NODES_MAX] = {codec_life(1, 1)};
    const struct codec receiver = {.identity = 2, .incarnation = 1, .self = 1, .peers = introduced};
    struct message message = {.type = MESSAGE_APPEND, .to = 1, .term = 1};
    struct block block = {.term = 1, .first_seq = 1, .count = 1};
    struct record head = {.payload_bytes = 64};
    uint8_t frame[2048];

    record_build((struct record *)(void *)bytes, &head, NULL, bytes + 1024);
    while (gbench_next(bench)) {
        enum codec_verdict verdict;
        struct decoded decoded;
        uint32_t records_bytes = (uint32_t)record_size(&head);
        size_t size = codec_encode_entries(&sender, 1, &message, &block, bytes, records_bytes, 0, 0, frame);

        memcpy(frame + size, bytes, records_bytes);
        size += records_bytes;

        verdict = codec_decode(&receiver, sender.self, frame, size, &decoded);
        gbench_keep(&verdict);
    }
}
GBENCH(codec_round)

/* --- the core alone: a leader and two followers, messages handed over as they are --- */

struct trio {
    struct core *cores[3];
    void *memory[3];
    struct message out[64];
    uint32_t count;
    struct entry_id ids[64];
};

static void
collect(void *context, const struct effect *effect)
{
    struct trio *trio = context;

    if (effect->type == EFFECT_SEND && trio->count < 64)
        trio->out[trio->count++] = effect->message;
}

static void
deliver(struct trio *trio, const struct sink *sink, uint64_t now_ns)
{
    while (trio->count > 0) {
        struct message message = trio->out[--trio->count];

        core_receive(trio->cores[message.to], &message, trio->ids, now_ns, sink);
        if (core_role(trio->cores[message.to]) != ROLE_LEADER)
            core_held(trio->cores[message.to], core_last_lsn(trio->cores[message.to]), now_ns, sink);
    }
}

static void
send_entries(struct trio *trio, const struct sink *sink, uint64_t now_ns)
{
    struct core *leader = trio->cores[0];
    uint64_t from, to;

    for (uint8_t peer = 1; peer < 3; peer++) {
        struct message message = {.type = MESSAGE_APPEND, .from = 0, .to = peer, .term = core_term(leader)};

        if (!core_send_window(leader, peer, &from, &to))
            continue;
        if (to > from + 63)
            to = from + 63;
        message.append.prev_lsn = from - 1;
        message.append.prev_term = core_term_at(leader, from - 1);
        message.append.commit_lsn = core_commit_lsn(leader);
        if (to >= from)
            message.append.run = (struct run){.term = core_term_at(leader, from),
                                              .first_lsn = from,
                                              .first_seq = from,
                                              .count = (uint32_t)(to - from + 1),
                                              .incarnation = 1,
                                              .kind = from == 1 ? ENTRY_NOOP : ENTRY_DATA};
        if (from == 1 && to >= from)
            message.append.run.count = 1, to = 1;
        core_sent(leader, peer, to, now_ns);
        core_receive(trio->cores[peer], &message, trio->ids, now_ns, sink);
        core_held(trio->cores[peer], core_last_lsn(trio->cores[peer]), now_ns, sink);
    }
    deliver(trio, sink, now_ns);
}

static void
trio_start(struct trio *trio, const struct sink *sink)
{
    for (uint8_t i = 0; i < 3; i++) {
        struct core_config config = {.self = i,
                                     .members.voters = 7,
                                     .incarnation = 1,
                                     .seed = i,
                                     .election_timeout_ns = 1000,
                                     .election_patience = i == 0 ? 1 : 1000,
                                     .retransmit_ns = 1u << 30,
                                     .window_entries = 16384,
                                     .producers_max = 1024};

        trio->memory[i] = aligned_alloc(64, (core_footprint(&config) + 63) & ~(size_t)63);
        trio->cores[i] = core_init(trio->memory[i], &config, 1000000);
        core_reach(trio->cores[i], 7, 1000000, sink);
    }
    core_tick(trio->cores[0], 1010000, sink);
    deliver(trio, sink, 1010000);
    core_held(trio->cores[0], core_last_lsn(trio->cores[0]), 1010000, sink);
    for (int i = 0; i < 4; i++)
        send_entries(trio, sink, 1010000);
}

/* Append, replicate to both, acknowledge, commit: `batch` entries in four messages. */
static void
replicate(struct gbench *bench, uint32_t batch, uint32_t items)
{
    struct trio *trio = calloc(1, sizeof(*trio));
    struct sink sink = {.apply = collect, .context = trio};
    uint64_t seq = 0;

    trio_start(trio, &sink);
    while (gbench_next(bench)) {
        for (uint32_t i = 0; i < batch; i++) {
            struct accepted accepted;

            trio->ids[i] = (struct entry_id){.producer = 9, .producer_seq = ++seq};
            core_append(trio->cores[0], &trio->ids[i], CAIRN_ACK_MAJORITY, &accepted);
        }
        core_held(trio->cores[0], core_last_lsn(trio->cores[0]), 1010000, &sink);
        send_entries(trio, &sink, 1010000);
    }
    gbench_items(bench, items);
    for (int i = 0; i < 3; i++)
        free(trio->memory[i]);
    free(trio);
}

/* What it costs by entry, */
static void
core_per_entry(struct gbench *bench)
{
    uint32_t batch = (uint32_t)gbench_argument(bench);

    replicate(bench, batch, batch);
}
GBENCH_ARGS(core_per_entry, 1, 64)

/* and by message. */
static void
core_per_message(struct gbench *bench)
{
    replicate(bench, (uint32_t)gbench_argument(bench), 4);
}
GBENCH_ARGS(core_per_message, 1, 64)

static void
histogram_record(struct gbench *bench)
{
    struct histogram *histogram = histogram_new();
    uint64_t value = 1;

    while (gbench_next(bench)) {
        histogram_add(histogram, value);
        value = value * 6364136223846793005u >> 40;
    }
    histogram_free(histogram);
}
GBENCH(histogram_record)
