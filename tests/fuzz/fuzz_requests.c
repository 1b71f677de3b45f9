/* A client that is hostile: whatever stands in its ring of requests, its indices and those of its answers too, and changes
 * between two polls of the node, the node goes on, and another client is served. */
/* fuzz: node/worker/requests.c:take_record,handle_append,handle_member,handle_read,handle_one,attachment_turn */
/* fuzz: node/worker/readers.c:session_sane,admit_bounded,reader_start,reader_cancel */
/* fuzz: wire/byte_ring.c:byte_ring_room,byte_ring_peek,byte_ring_pop */
/* fuzz-options: -detect_leaks=0 -len_control=0 */
#include <stdlib.h>

#include "client/client.h"
#include "sim/channels.h"
#include "sim/node.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/world.h"
#include "wire/protocol.h"

/* So many inputs later the world is made anew: what they left behind fills its log. */
#define INPUTS_PER_WORLD 400u

static struct sim *sim;
static uint32_t inputs;

static void
write_some(struct input *input, struct byte_ring *ring)
{
    uint32_t at = (uint32_t)(draw(input, 2) % ring->size_bytes) & ~7u;

    draw_bytes(input, ring->data + at, 1 + draw(input, 1));
}

static uint32_t
put_record(struct input *input, uint8_t *at)
{
    uint8_t text[64];
    size_t size_bytes = draw_bytes(input, text, draw(input, 1) % sizeof(text));
    struct record head = {.producer = number(input),
                          .producer_seq = number(input),
                          .payload_bytes = (uint32_t)size_bytes,
                          .kind = draw(input, 1) < 240 ? 0 : (uint8_t)draw(input, 1),
                          .epoch = (uint32_t)number(input)};

    record_build((struct record *)(void *)at, &head, NULL, text);
    return (uint32_t)record_bytes(0, size_bytes);
}

static uint32_t
put_session(struct input *input, uint8_t *at)
{
    struct request_session session = {.lsn = number(input),
                                      .branches_count = draw(input, 1) < 192 ? (uint32_t)draw(input, 1) % 18
                                                                             : (uint32_t)number(input)};

    for (uint32_t i = 0; i < 2; i++) {
        session.branches[i].seq = number(input);
        session.branches[i].incarnation = (uint32_t)number(input);
        session.branches[i].origin = (uint32_t)number(input);
    }
    memcpy(at, &session, sizeof(session));
    return sizeof(session);
}

/* As an honest client would, of any numbers. */
static void
ask(struct input *input, struct byte_ring *ring)
{
    uint8_t *place = ring->data + (atomic_load(&ring->shared->head) & (ring->size_bytes - 1) & ~7ull);
    struct request request = {.size_bytes = sizeof(request),
                              .type = (uint8_t)(draw(input, 1) % 6),
                              .level = (uint8_t)(draw(input, 1) % 8),
                              .flags = (uint16_t)number(input),
                              .log = (uint32_t)number(input),
                              .max_lag_us = draw(input, 1) < 192 ? 0 : (uint32_t)number(input),
                              .token = number(input),
                              .from = number(input),
                              .to = number(input)};

    if (request.log % 4 != 0)
        request.log = sim->log_ids[LOG];
    if (request.type == REQUEST_APPEND)
        request.size_bytes += put_record(input, place + sizeof(request));
    if (request.type == REQUEST_READ && draw(input, 1) & 1)
        request.size_bytes += put_session(input, place + sizeof(request));
    if (draw(input, 1) > 250)
        request.size_bytes = (uint32_t)number(input);
    memcpy(place, &request, sizeof(request));
    atomic_fetch_add(&ring->shared->head, (request.size_bytes + 7) & ~7ull);
}

static void
turn(struct input *input, struct cairn_client *client)
{
    struct byte_ring *out = &client->lanes[0].channel.out, *in = &client->lanes[0].channel.in;

    switch (draw(input, 1) % 8) {
    case 0:
        atomic_store(&out->shared->head, number(input));
        break;
    case 1:
        atomic_store(&in->shared->tail, number(input));
        break;
    case 2:
        write_some(input, out);
        break;
    case 3:
        world_run_for(sim, draw(input, 1) * 20 * US);
        break;
    default:
        ask(input, out);
    }
    if (draw(input, 1) % 4 != 0)
        return;
    node_want_poll(&sim->nodes[0], US);
    world_run_for(sim, 30 * US);
    /* It takes its answers, as most do. */
    atomic_store(&in->shared->tail, atomic_load(&in->shared->head));
}

/* Whoever does nothing wrong is answered. */
static void
check_served(void)
{
    struct cairn_result result;
    uint64_t lsn;

    world_run_for(sim, MS);
    if (!node_is_up(&sim->nodes[0]) ||
        append(sim, 0, ANONYMOUS + inputs, 1, CAIRN_ACK_POLICY, &result) == CAIRN_TIMEOUT ||
        scene_read(sim, 0, CAIRN_READ_STALE, 1, &lsn) == CAIRN_TIMEOUT)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct cairn_client *client;

    if (inputs++ % INPUTS_PER_WORLD == 0)
        sim = world_renew(1, false);
    client = node_connect(&sim->nodes[0]);
    if (client == NULL || client_touch(client, sim->log_ids[LOG]) != CAIRN_OK)
        abort();
    world_run_for(sim, 30 * US);
    while (input.left > 0)
        turn(&input, client);
    node_want_poll(&sim->nodes[0], US);
    world_run_for(sim, 30 * US);
    cairn_disconnect(client);
    node_want_poll(&sim->nodes[0], US);
    check_served();
    return 0;
}
