/* Messages from a peer that is introduced, past the checksums: pieces of records in any order, of any lengths, twice, and
 * contradicting each other, and messages of whatever else. The node goes on, and takes a record that comes whole. */
/* fuzz: node/worker/receive.c:batch_read,feed,receive_entries,key_of,is_last,stride_fits,belongs,fragment_put,assembly_begin,fragment_take,assembly_end,receive_fragment */
/* fuzz: dataplane/codec.c:records_fit,entries_sane,decode_entries,decode_body,header_intact,codec_decode */
/* fuzz-options: -detect_leaks=0 -len_control=0 */
#include <stdlib.h>

#include "dataplane/codec.h"
#include "node/node.h"
#include "node/state.h"
#include "node/worker/receive.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/world.h"
#include "wire/crc32c.h"

#define INPUTS_PER_WORLD 100u
#define RECORD_BYTES 40000u
#define PIECE_BYTES_MAX 1400u

static struct sim *sim;
static uint8_t leader, self;
static uint32_t inputs;
static uint8_t record[RECORD_BYTES + 64];

static void
receive(const uint8_t *bytes, size_t size_bytes)
{
    /* Of its own size, so that a byte read behind it is found. */
    uint8_t *own = malloc(size_bytes);

    memcpy(own, bytes, size_bytes);
    sim->now_ns += US;
    node_receive(sim->nodes[self].node->workers[0], leader, own, size_bytes, node_clock_ns(&sim->nodes[self]));
    free(own);
}

/* The record that pieces are cut from. */
static uint32_t
make_record(struct input *input)
{
    struct record head = {.producer = number(input),
                          .producer_seq = number(input),
                          .payload_bytes = 1 + (uint32_t)draw(input, 2) % (RECORD_BYTES - 64)};
    static uint8_t payload[RECORD_BYTES];

    record_build((struct record *)(void *)record, &head, NULL, payload);
    return (uint32_t)record_size((const struct record *)(const void *)record);
}

static void
receive_piece(uint32_t offset, uint32_t piece_bytes, uint32_t total, uint8_t type)
{
    const struct core *core = core_of(sim, self);
    struct codec codec = sim->nodes[leader].node->workers[0]->codec;
    struct message message;
    struct block block = {.term = core_term(core),
                          .first_seq = 1,
                          .hlc = 1,
                          .trunk_hlc = 1,
                          .count = 1,
                          .incarnation = 1,
                          .origin = leader};
    uint8_t bytes[PORT_FRAME_BYTES];
    size_t head_bytes;

    memset(&message, 0, sizeof(message));
    message.type = type;
    message.from = leader;
    message.to = self;
    message.term = core_term(core);
    if (type == MESSAGE_APPEND) {
        message.append.prev_lsn = core_last_lsn(core);
        message.append.prev_term = core_term_at(core, core_last_lsn(core));
    }
    head_bytes = codec_encode_entries(&codec, sim->log_ids[LOG], &message, &block, record + offset, piece_bytes, offset,
                                      total, bytes);
    memcpy(bytes + head_bytes, record + offset, piece_bytes);
    receive(bytes, head_bytes + piece_bytes);
}

/* Some of them, from some place on: mostly as they follow each other. */
static void
receive_pieces(struct input *input, uint32_t total)
{
    static const uint8_t types[] = {MESSAGE_APPEND, MESSAGE_APPEND, MESSAGE_SPREAD, MESSAGE_HAND_OFF, MESSAGE_LEND};
    uint8_t type = types[draw(input, 1) % sizeof(types)];
    uint32_t stride = 8 + (uint32_t)draw(input, 1) % (PIECE_BYTES_MAX / 8) * 8;
    uint32_t offset = (uint32_t)draw(input, 2) % (total / stride + 1) * stride;

    if (stride < total / 60)
        stride = total / 60 / 8 * 8 + 8;
    if (stride > PIECE_BYTES_MAX)
        stride = PIECE_BYTES_MAX;
    for (uint64_t left = draw(input, 1) % 64; left > 0; left--) {
        if (offset >= total)
            offset = 0;
        receive_piece(offset, total - offset < stride ? total - offset : stride, total, type);
        offset += stride;
    }
}

/* A message of any numbers, as if from the peer's present life. */
static void
receive_raw(struct input *input)
{
    uint8_t bytes[sizeof(struct wire_header) + 512] = {0};
    size_t size_bytes = sizeof(struct wire_header) + draw(input, 1) * 2;
    const struct codec *codec = &sim->nodes[leader].node->workers[0]->codec;
    struct wire_header header;

    draw_bytes(input, bytes, size_bytes);
    memcpy(&header, bytes, sizeof(header));
    header.version = CODEC_VERSION;
    header.from = leader;
    header.to = self;
    header.identity = codec->identity;
    header.incarnation = codec->incarnation;
    header.worker = 0;
    header.log = header.log % 4 == 0 ? header.log : sim->log_ids[LOG];
    header.body_bytes = header.body_bytes % 2 == 0 ? (uint16_t)(size_bytes - sizeof(header)) : header.body_bytes;
    header.crc32c = 0;
    memcpy(bytes, &header, sizeof(header));
    if (header.flags & WIRE_COVERED || sizeof(header) + header.body_bytes <= size_bytes)
        header.crc32c = crc32c(0, bytes,
                               header.flags & WIRE_COVERED ? size_bytes : sizeof(header) + (size_t)header.body_bytes);
    memcpy(bytes, &header, sizeof(header));
    receive(bytes, size_bytes);
}

static void
begin(void)
{
    sim = world_renew(3, false);
    leader = scene_leader(sim);
    self = follower(sim, leader, 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint32_t total;

    if (inputs++ % INPUTS_PER_WORLD == 0)
        begin();
    total = make_record(&input);
    while (input.left > 0) {
        switch (draw(&input, 1) % 4) {
        case 0:
            record[draw(&input, 2) % total] ^= (uint8_t)draw(&input, 1);
            break;
        case 1:
            receive_raw(&input);
            break;
        default:
            receive_pieces(&input, total);
        }
    }
    task_poll(node_task(sim->nodes[self].node, 0), node_clock_ns(&sim->nodes[self]));
    /* What it sends is of its own memory. */
    network_collect(sim, &sim->nodes[self], 0);
    return 0;
}
