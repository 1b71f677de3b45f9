/* What lies between the nodes' ports. */
#include "sim/network.h"

#include <assert.h>
#include <string.h>

#include "dataplane/codec.h"
#include "sim/checker_modes.h"
#include "sim/checker_nodes.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/plan.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

#define LINK_BYTES_PER_US 1000u /* 8 Gbit/s */
/* In a happening's value, beside a frame's size: a copy that is not for whom it comes to; a bit of it is flipped. */
#define FLOODED (1u << 31)
#define DAMAGED (1u << 30)
/* And whose of the node's workers it is. */
#define WORKER_SHIFT 24
#define WORKER_MASK 15u
#define SIZE_MASK ((1u << WORKER_SHIFT) - 1)

/* From a worker of a node to that of the same number of another. */
struct way {
    uint8_t worker, from, to;
};

static uint8_t *
slot_bytes(struct sim *sim, uint32_t slot)
{
    return sim->frames + (size_t)slot * PORT_FRAME_BYTES;
}

static uint64_t
draw_delay(struct sim *sim, const struct link_state *link)
{
    const struct plan *plan = &sim->plan;
    uint64_t delay_ns = plan->delay_ns + random_under(&sim->network, plan->jitter_ns + 1);

    if (!sim->healing && (plan->faults & (1u << FAULT_DELAY_TAIL)) && random_chance(&sim->network, plan->tail_ppm)) {
        sim->counts.kinds |= 1u << FAULT_DELAY_TAIL;
        delay_ns += random_under(&sim->network, plan->tail_ns);
    }
    delay_ns += link->extra_ns;
    return link->slow > 0 ? delay_ns * link->slow : delay_ns;
}

static bool
strikes(struct sim *sim, enum fault_kind kind, uint32_t ppm)
{
    if (sim->healing || !(sim->plan.faults & (1u << kind)) || !random_chance(&sim->network, ppm))
        return false;
    sim->counts.kinds |= 1u << kind;
    return true;
}

static void
damage(struct sim *sim, uint8_t *bytes, uint32_t size_bytes)
{
    uint32_t flips = 1 + (uint32_t)random_under(&sim->network, 4);

    for (uint32_t i = 0; i < flips; i++) {
        uint8_t bit = (uint8_t)(1u << random_under(&sim->network, 8));

        bytes[random_under(&sim->network, size_bytes)] ^= bit;
    }
}

static void
put_on_the_way(struct sim *sim, const struct way *way, const uint8_t *bytes, uint32_t size_bytes)
{
    struct link_state *link = &sim->links[way->from][way->to];
    uint64_t arrival_ns = sim->now_ns + draw_delay(sim, link);
    uint32_t slot;

    if (sim->frames_free_count == 0)
        return; /* a switch's buffers are finite too */
    if (link->busy_until_ns < sim->now_ns)
        link->busy_until_ns = sim->now_ns;
    link->busy_until_ns += size_bytes * (link->slow > 0 ? 100u : 1u) * 1000 / LINK_BYTES_PER_US;
    if (arrival_ns < link->busy_until_ns)
        arrival_ns = link->busy_until_ns;
    /* A queue of a slow link is not endless. */
    if (link->busy_until_ns > sim->now_ns + 50 * MS)
        return;
    if (strikes(sim, FAULT_REORDER, sim->plan.reorder_ppm))
        arrival_ns += random_under(&sim->network, 300 * US);
    else if (arrival_ns < link->arrival_ns)
        arrival_ns = link->extra_ns > 0 ? arrival_ns : link->arrival_ns + 1;
    if (link->extra_ns == 0 && arrival_ns > link->arrival_ns && arrival_ns < sim->now_ns + MS)
        link->arrival_ns = arrival_ns;
    slot = sim->frames_free[--sim->frames_free_count];
    memcpy(slot_bytes(sim, slot), bytes, size_bytes);
    if (strikes(sim, FAULT_CORRUPT, sim->plan.corrupt_ppm)) {
        damage(sim, slot_bytes(sim, slot), size_bytes);
        size_bytes |= DAMAGED;
    }
    sim_plan_happening(sim, arrival_ns - sim->now_ns, HAPPEN_FRAME, way->to, way->from, slot,
                       size_bytes | (uint32_t)way->worker << WORKER_SHIFT);
}

/* A copy of a frame, with the head that the network has given it, comes to a node by a link. What else is drawn of the
 * link does not depend on it. */
static void
put_flooded(struct sim *sim, const struct way *way, const uint8_t *bytes, uint32_t size_bytes)
{
    uint64_t delay_ns = sim->plan.delay_ns + random_under(&sim->floods, sim->plan.jitter_ns + 1);
    uint32_t slot;

    if (sim->frames_free_count == 0)
        return;
    slot = sim->frames_free[--sim->frames_free_count];
    memcpy(slot_bytes(sim, slot), bytes, size_bytes);
    sim_plan_happening(sim, delay_ns, HAPPEN_FRAME, way->to, way->from, slot,
                       size_bytes | FLOODED | (uint32_t)way->worker << WORKER_SHIFT);
}

/* The frame's addresses become those of another pair of nodes. */
static void
readdress(uint8_t *frame, uint32_t size_bytes, uint8_t from, uint8_t to, uint8_t worker)
{
    struct frame_template template;

    frame_template_init(&template, from, to, worker);
    frame_write(&template, frame, size_bytes - FRAME_HEAD_BYTES);
}

void
network_forge(struct sim *sim, uint8_t from, uint8_t to, const uint8_t *message, size_t size_bytes)
{
    uint8_t frame[PORT_FRAME_BYTES];
    struct wire_header header;

    assert(size_bytes >= sizeof(header) && size_bytes <= sizeof(frame) - FRAME_HEAD_BYTES);
    memcpy(&header, message, sizeof(header));
    memcpy(frame + FRAME_HEAD_BYTES, message, size_bytes);
    readdress(frame, (uint32_t)size_bytes + FRAME_HEAD_BYTES, from, to, header.worker);
    put_flooded(sim, &(struct way){header.worker, from, to}, frame, (uint32_t)size_bytes + FRAME_HEAD_BYTES);
}

static void
flood_others(struct sim *sim, enum flood flood, const struct way *way, const uint8_t *bytes, uint32_t size_bytes)
{
    for (uint8_t other = 0; other < sim->plan.nodes; other++) {
        uint8_t copy[PORT_FRAME_BYTES];

        if (other == way->from || other == way->to)
            continue;
        memcpy(copy, bytes, size_bytes);
        if (flood != FLOOD_HUB)
            readdress(copy, size_bytes, way->from, other, way->worker);
        if (flood == FLOOD_BRIDGE)
            memcpy(copy + 6, bytes + 6, size_bytes - 6);
        put_flooded(sim, &(struct way){way->worker, way->from, other}, copy, size_bytes);
    }
}

static void
flood_receiver(struct sim *sim, enum flood flood, const struct way *way, const uint8_t *bytes, uint32_t size_bytes)
{
    uint8_t link = (uint8_t)random_under(&sim->floods, sim->plan.nodes), copy[PORT_FRAME_BYTES];

    while (link == way->from || link == way->to)
        link = (uint8_t)((link + 1) % sim->plan.nodes);
    memcpy(copy, bytes, size_bytes);
    if (flood == FLOOD_PORT)
        readdress(copy, size_bytes, way->from, way->to, way->worker + 1u);
    if (flood == FLOOD_IMPOSTOR)
        readdress(copy, size_bytes, link, way->to, way->worker);
    put_flooded(sim, &(struct way){way->worker, flood == FLOOD_PORT ? way->from : link, way->to}, copy, size_bytes);
}

/* The segment does not know where the frame belongs. */
static void
flood(struct sim *sim, const struct way *way, const uint8_t *bytes, uint32_t size_bytes)
{
    uint32_t which;

    if (sim->healing || !(sim->plan.faults & (1u << FAULT_FLOOD)) || !random_chance(&sim->floods, sim->plan.flood_ppm))
        return;
    sim->counts.kinds |= 1u << FAULT_FLOOD;
    do
        which = (uint32_t)random_under(&sim->floods, FLOODS);
    while (!(sim->plan.floods & (1u << which)));
    if (which <= FLOOD_NAT)
        flood_others(sim, (enum flood)which, way, bytes, size_bytes);
    else
        flood_receiver(sim, (enum flood)which, way, bytes, size_bytes);
}

/* As a scenario has it. */
static bool
is_lost(struct link_state *link, uint8_t type)
{
    if (link->lost_type == 0 || link->lost_type != type)
        return false;
    if (link->pass == 0)
        return true;
    link->pass--;
    return false;
}

static bool
is_cut(const struct sim *sim, const struct way *way)
{
    return sim->links[way->from][way->to].cuts > 0 || sim->worker_cuts[way->worker][way->from][way->to] > 0;
}

static void
transmit(struct sim *sim, const struct way *way, const uint8_t *bytes, uint32_t size_bytes)
{
    const uint8_t from = way->from, to = way->to;
    struct wire_header header;
    bool lost;

    memcpy(&header, bytes + FRAME_HEAD_BYTES, sizeof(header));
    if (header.type == MESSAGE_VOTE_REPLY && (header.flags & WIRE_YES))
        check_vote(sim, from, to, header.log, header.term);
    flood(sim, way, bytes, size_bytes);
    lost = is_cut(sim, way) || strikes(sim, FAULT_LOSS, sim->plan.loss_ppm) ||
           is_lost(&sim->links[from][to], header.type);
    sim->counts.messages++;
    trace_frame(sim, lost ? TRACE_LOST : TRACE_SEND, from, to, bytes, size_bytes);
    if (lost)
        return;
    put_on_the_way(sim, way, bytes, size_bytes);
    if (strikes(sim, FAULT_DUPLICATE, sim->plan.duplicate_ppm))
        put_on_the_way(sim, way, bytes, size_bytes);
}

/* Takes what a worker's ports have sent. */
void
network_collect(struct sim *sim, struct sim_node *node, uint8_t worker)
{
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        struct rte_mbuf *frames[PORT_BURST];
        uint32_t count;

        if (peer == node->self)
            continue;
        while ((count = rte_ring_sc_dequeue_burst(sim->sockets[worker][node->self][peer].send, (void **)frames,
                                                  PORT_BURST, NULL)) > 0) {
            for (uint32_t i = 0; i < count; i++) {
                uint8_t joined[PORT_FRAME_BYTES];
                const uint8_t *bytes;

                // The ring has filled it, which the analyzer cannot see. NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
                bytes = rte_pktmbuf_mtod(frames[i], const uint8_t *);
                assert(frames[i]->pkt_len <= PORT_FRAME_BYTES);
                if (frames[i]->nb_segs > 1)
                    bytes = rte_pktmbuf_read(frames[i], 0, frames[i]->pkt_len, joined);
                transmit(sim, &(struct way){worker, node->self, peer}, bytes, frames[i]->pkt_len);
            }
            rte_pktmbuf_free_bulk(frames, count);
        }
    }
}

static void
note_heartbeat(struct sim_node *node, uint8_t worker, uint8_t peer, const uint8_t *bytes, bool damaged)
{
    struct wire_header header;

    memcpy(&header, bytes + FRAME_HEAD_BYTES, sizeof(header));
    if (header.type != CODEC_HEARTBEAT)
        return;
    node->workers[worker].heard_ns[peer] = node->sim->now_ns;
    if (!damaged)
        check_beat(node, worker, peer, header.incarnation);
}

void
network_deliver(struct sim *sim, const struct happening *happening)
{
    struct sim_node *node = &sim->nodes[happening->node];
    const uint8_t worker = happening->value >> WORKER_SHIFT & WORKER_MASK;
    struct socket_hardware *socket = &sim->sockets[worker][happening->node][happening->peer];
    const uint8_t *bytes = slot_bytes(sim, happening->index);
    uint32_t size_bytes = happening->value & SIZE_MASK;
    struct rte_mbuf *frame = node_is_up(node) ? rte_pktmbuf_alloc(sim->pool) : NULL;

    sim->frames_free[sim->frames_free_count++] = happening->index;
    /* What was under way when the link was cut does not arrive. */
    if (frame == NULL || is_cut(sim, &(struct way){worker, happening->peer, happening->node})) {
        rte_pktmbuf_free(frame);
        return;
    }
    memcpy(rte_pktmbuf_append(frame, (uint16_t)size_bytes), bytes, size_bytes);
    if (rte_ring_sp_enqueue(socket->receive, frame) != 0) {
        rte_pktmbuf_free(frame);
        return;
    }
    sim->counts.delivered++;
    trace_frame(sim, TRACE_DELIVER, happening->peer, happening->node, bytes, size_bytes);
    if (!(happening->value & FLOODED))
        note_heartbeat(node, worker, happening->peer, bytes, (happening->value & DAMAGED) != 0);
    worker_want_poll(node, worker, sim->plan.poll_delay_ns);
}

void
network_cut(struct sim *sim, uint8_t from, uint8_t to, bool cut)
{
    struct link_state *link = &sim->links[from][to];

    assert(cut || link->cuts > 0);
    link->cuts += cut ? 1 : UINT32_MAX;
}

void
network_cut_worker(struct sim *sim, uint8_t worker, uint8_t from, uint8_t to, bool cut)
{
    uint32_t *cuts = &sim->worker_cuts[worker][from][to];

    assert(cut || *cuts > 0);
    *cuts += cut ? 1 : UINT32_MAX;
}

void
network_heal(struct sim *sim)
{
    memset(sim->worker_cuts, 0, sizeof(sim->worker_cuts));
    for (uint8_t from = 0; from < SIM_NODES; from++) {
        for (uint8_t to = 0; to < SIM_NODES; to++)
            sim->links[from][to] = (struct link_state){.arrival_ns = sim->links[from][to].arrival_ns};
    }
}
