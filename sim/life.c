/* The lives of nodes: who they are, how they start, crash and are stopped. */
#include "sim/life.h"

#include <assert.h>
#include <string.h>

#include "node/control/control.h"
#include "node/start/standing.h"
#include "node/state.h"
#include "sim/channels.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

#define CHANNEL_BYTES (16u << 10)
#define CHANNEL_BYTES_LARGE (1u << 20)

static uint64_t
monotonic_ns(void *context)
{
    return node_clock_ns(context);
}

/* Away from the epoch, so that no offset makes it negative. */
static uint64_t
wall_ns(void *context)
{
    struct sim_node *node = context;

    return node_clock_ns(node) + 1700000000ull * 1000000000u + (uint64_t)node->clock.wall_offset_ns;
}

/* Without space it is tried again later; what a damaged disk holds may not be enough to start from: then it is taken
 * away, as the refusal says, and the node recovers from the others. */
void
node_refuses(struct sim_node *node, const char *detail)
{
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "does not start: %s", detail);
    node_free(node->node);
    node->node = NULL;
    if (!node->disk.no_space && !node->disk.damaged) {
        sim_violation(node->sim, "node n%u does not start: %s", node->self + 1, detail);
        return;
    }
    if (!node->disk.no_space)
        disk_wipe(node);
    sim_plan_happening(node->sim, 10 * MS, HAPPEN_BOOT, node->self, 0, 0, 0);
}

/* From a stream that nothing else is drawn from: who is who decides nothing. */
static struct cairn_id
draw_id(struct sim *sim, uint64_t of)
{
    struct stream_random random = {sim->plan.seed * 0x9e3779b97f4a7c15u + of};
    uint64_t words[2];
    struct cairn_id id;

    words[0] = random_next(&random);
    words[1] = random_next(&random);
    memcpy(id.bytes, words, sizeof(id.bytes));
    return id;
}

static bool
keep_identity(void *context, const struct identity *identity, char *detail, size_t detail_bytes)
{
    struct sim_node *node = context;

    (void)detail;
    (void)detail_bytes;
    node->identity = *identity;
    node->identified = true;
    return true;
}

void
world_found(struct sim *sim)
{
    struct agreed agreed = cluster_agreed(&sim->cluster);
    struct cairn_id cluster = draw_id(sim, 1), members[SIM_NODES], lives[SIM_NODES];

    for (uint8_t i = 0; i < SIM_NODES; i++) {
        members[i] = draw_id(sim, 16 + i);
        lives[i] = draw_id(sim, 32 + i);
    }
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        identity_found(&sim->nodes[i].identity, &cluster, members, lives, &agreed, i);
        sim->nodes[i].identified = true;
    }
}

/* As `cairn server` finds out who it is. */
static bool
identify(struct sim_node *node, struct node_config *config, struct identity *identity)
{
    struct sim *sim = node->sim;
    struct cairn_id life = draw_id(sim, 1024 + 64ull * node->boots + node->self);
    const char *why;

    *identity = node->identity;
    if (!node->identified)
        *identity = (struct identity){.self = node->self, .agreed = cluster_agreed(&sim->cluster)};
    if (standing_at_start(identity, node->identified, config->disks, &life, &config->standing, &config->asked_number,
                          &why) != CAIRN_OK)
        return false;
    if (why[0] != '\0')
        trace_add(sim, TRACE_FAULT, node->self, 0, "has forgotten: %s", why);
    config->identity = identity;
    return true;
}

static struct node_config
config_of(struct sim_node *node, const struct cluster_config *cluster)
{
    struct sim *sim = node->sim;
    struct node_config config = {
        .cluster = cluster,
        .self = node->self,
        .keep = keep_identity,
        .keep_context = node,
        .seed = sim->equal_seeds ? 1 : sim->plan.seed * 64 + node->self + (node->boots + 1) * 8,
        .channel_bytes = sim->plan.large_ppm > 0 ? CHANNEL_BYTES_LARGE : CHANNEL_BYTES,
        .allow_faults = true,
        .time = &node->time,
        .pool = sim->pool,
        .quiet = !sim->trace.keep_all, /* it is what was done to its disk */
        .stepped = true,
        .window_entries = sim->plan.window_entries,
        .producers_max = sim->plan.producers_max,
        .segment_bytes = sim->plan.segment_bytes,
        .memory_bytes = sim->plan.memory_bytes * sim_workers(sim),
        .journal_file_bytes = sim->plan.journal_file_bytes,
        .checkpoint_always = true,
        .retain_bytes = sim->plan.retain_bytes,
    };

    for (uint8_t worker = 0; worker < sim_workers(sim) && sim->plan.disk; worker++)
        config.disks[worker] = &node->disk.directories[worker].base;
    return config;
}

/* What is known of the node is of this life from now on. */
static void
life_begins(struct sim_node *node)
{
    struct sim *sim = node->sim;

    node->starts++;
    node->incarnation = node->node->incarnation;
    node->booted_ns = sim->now_ns;
    node->events_seen = 0;
    node->paused_until_ns = 0;
    node->resumed_ns = sim->now_ns;
    for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
        node->workers[worker] = (struct sim_worker){.poll_at_ns = UINT64_MAX};
    memset(node->checks, 0, sizeof(node->checks));
    for (uint32_t log = 0; log <= SIM_LOGS; log++) {
        node->checks[log].cursor.position = 1;
        node->checks[log].boot_lsn = sim->trunks[log].last;
    }
    trace_add(sim, TRACE_FAULT, node->self, 0, "starts, life %u", node->incarnation);
    node_want_poll(node, US);
    sim_plan_happening(sim, 5 * MS, HAPPEN_CONTROL, node->self, 0, node->boots, 0);
}

void
node_boot(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct identity identity;
    struct cluster_config cluster = sim->cluster;
    struct node_config config = config_of(node, &cluster);
    char detail[256] = "";

    assert(node->node == NULL);
    node->time = (struct time_source){.monotonic_ns = monotonic_ns, .wall_ns = wall_ns, .context = node};
    node->boots++;
    if (!identify(node, &config, &identity)) {
        sim_violation(sim, "node n%u cannot tell who it is", node->self + 1);
        return;
    }
    cluster_config_adopt(&cluster, &identity.agreed);
    if (node_create(&config, &node->node, detail, sizeof(detail)) != CAIRN_OK) {
        sim_violation(sim, "node n%u does not start: %s", node->self + 1, detail);
        node->node = NULL;
        return;
    }
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        for (uint8_t worker = 0; worker < sim_workers(sim) && peer != node->self; worker++)
            node_plug(node->node, worker, peer, &sim->sockets[worker][node->self][peer].port);
    }
    if (node_control_start(node->node, detail, sizeof(detail)) != CAIRN_OK)
        node_refuses(node, detail);
    else
        life_begins(node);
}

/* What was on its way to the worker, or from it, is lost. */
static void
unplug(struct sim_node *node, uint8_t worker)
{
    node->workers[worker].poll_at_ns = UINT64_MAX;
    for (uint8_t peer = 0; peer < node->sim->plan.nodes; peer++) {
        const struct socket_hardware *socket = &node->sim->sockets[worker][node->self][peer];
        struct rte_mbuf *frame;

        if (peer == node->self)
            continue;
        while (rte_ring_sc_dequeue(socket->receive, (void **)&frame) == 0)
            rte_pktmbuf_free(frame);
        while (rte_ring_sc_dequeue(socket->send, (void **)&frame) == 0)
            rte_pktmbuf_free(frame);
    }
}

void
node_crash(struct sim_node *node)
{
    assert(node->node != NULL);
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "crashes");
    node->crashed_ns = node->sim->now_ns;
    node_bury_attachments(node);
    /* Writes under way are of the node's memory. */
    disk_power_cut(node);
    node_control_stop(node->node);
    node_free(node->node);
    node->node = NULL;
    node->stop_by_ns = 0;
    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        unplug(node, worker);
}

/* Stopped as a person stops it, and started again. */
void
node_stop(struct sim_node *node)
{
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "is stopped");
    node_stop_begin(node->node);
    node->stop_by_ns = node->sim->now_ns + 50 * MS;
    node_want_poll(node, 1);
}
