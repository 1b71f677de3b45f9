/* Nodes: started, polled, crashed, stopped for a while; and their clocks. */
#include "sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "node/control/attach.h"
#include "node/control/control.h"
#include "node/look.h"
#include "node/start/standing.h"
#include "node/worker/turn.h"

#define CHANNEL_BYTES (16u << 10)
#define CHANNEL_BYTES_LARGE (1u << 20)
/* A worker that had work polls on; what it finds then seldom cannot wait for the next frame. */
#define AGAIN_NS (25 * US)

static uint64_t
clock_at(struct sim_node *node, uint64_t now_ns)
{
    struct sim_clock *clock = &node->clock;
    int64_t since = (int64_t)(now_ns - clock->base_ns);
    uint64_t at_ns = now_ns + (uint64_t)(since / 1000000 * clock->drift_ppm);

    if (at_ns > clock->last_ns)
        clock->last_ns = at_ns;
    return clock->last_ns;
}

uint64_t
node_clock_ns(struct sim_node *node)
{
    return clock_at(node, node->sim->now_ns);
}

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

bool
node_is_up(const struct sim_node *node)
{
    return node->node != NULL;
}

struct node_log *
node_log_of(const struct sim_node *node, uint32_t log)
{
    if (node->node == NULL || (log > 0 && node->sim->log_ids[log] == 0))
        return NULL;
    return node_log_numbered(node->node, node->sim->log_ids[log]);
}

struct node_log *
node_log_numbered(const struct node *node, uint32_t id)
{
    struct node_log *log = NULL;

    for (uint8_t worker = 0; worker < node->workers_count && log == NULL; worker++)
        log = node_find_log(node->workers[worker], id);
    return log;
}

/* Without space it is tried again later; what a damaged disk holds may not be enough to start from: then it is taken
 * away, as the refusal says, and the node recovers from the others. */
static void
refuses_to_start(struct sim_node *node, const char *detail)
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
        refuses_to_start(node, detail);
    else
        life_begins(node);
}

/* The channel of a dead process stays where its client mapped it; nobody answers any more. */
static void
bury_attachments(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct control *control = node->node->control;

    for (uint32_t i = 0; i < sim->attached_count; i++) {
        struct cairn_client *client = sim->attached[i];

        if (client->context != node->node)
            continue;
        client->gone = true;
        client->context = NULL;
    }
    for (uint32_t i = 0; i < SIM_WORKERS * ATTACHMENTS_MAX; i++) {
        struct attachment **attachment = &control->attachments[i / ATTACHMENTS_MAX][i % ATTACHMENTS_MAX];

        if (*attachment == NULL)
            continue;
        assert(sim->buried_count < sizeof(sim->buried) / sizeof(*sim->buried));
        sim->buried[sim->buried_count++] = *attachment;
        *attachment = NULL;
    }
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
    bury_attachments(node);
    /* Writes under way are of the node's memory. */
    disk_power_cut(node);
    node_control_stop(node->node);
    node_free(node->node);
    node->node = NULL;
    node->stop_by_ns = 0;
    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        unplug(node, worker);
}

/* Its workers get no turn: what arrives waits in the port's ring, what does not fit is lost. */
void
node_pause(struct sim_node *node, uint64_t for_ns)
{
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "stops for %.1f ms", (double)for_ns / 1e6);
    node->paused_until_ns = node->sim->now_ns + for_ns;
    node->resumed_ns = node->paused_until_ns;
}

void
node_pause_in_poll(struct sim_node *node, uint64_t for_ns)
{
    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        node->workers[worker].polled_ns = node_clock_ns(node);
    node_pause(node, for_ns);
}

void
worker_pause(struct sim_node *node, uint8_t worker, uint64_t for_ns)
{
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "worker %u stops for %.1f ms", worker, (double)for_ns / 1e6);
    node->workers[worker].paused_until_ns = node->workers[worker].resumed_ns = node->sim->now_ns + for_ns;
}

static uint64_t
later(uint64_t one_ns, uint64_t other_ns)
{
    return one_ns > other_ns ? one_ns : other_ns;
}

uint64_t
worker_paused_until_ns(const struct sim_node *node, uint8_t worker)
{
    return later(node->paused_until_ns, node->workers[worker].paused_until_ns);
}

uint64_t
worker_resumed_ns(const struct sim_node *node, uint8_t worker)
{
    return later(node->resumed_ns, node->workers[worker].resumed_ns);
}

uint64_t
node_resumed_ns(const struct sim_node *node)
{
    uint64_t latest_ns = node->resumed_ns;

    for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
        latest_ns = later(latest_ns, node->workers[worker].resumed_ns);
    return latest_ns;
}

void
worker_want_poll(struct sim_node *node, uint8_t worker, uint64_t in_ns)
{
    uint64_t at_ns = node->sim->now_ns + in_ns;

    if (node->node != NULL && at_ns < node->workers[worker].poll_at_ns)
        node->workers[worker].poll_at_ns = at_ns;
}

void
node_want_poll(struct sim_node *node, uint64_t in_ns)
{
    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        worker_want_poll(node, worker, in_ns);
}

void
node_asked(struct sim_node *node)
{
    if (node->node == NULL)
        return;
    for (uint32_t i = 0; i < node->sim->attached_count; i++) {
        const struct cairn_client *client = node->sim->attached[i];

        for (uint8_t at = 0; client->context == node->node && at < client->open_count; at++) {
            struct attachment *attachment = client->lanes[client->open[at]].attachment;
            const void *bytes;

            if (byte_ring_peek(&attachment->channel.in, &bytes) > 0)
                worker_want_poll(node, client->open[at], US);
        }
    }
}

static void
note_events(struct sim_node *node)
{
    struct node_event events[16];
    uint32_t count;

    while ((count = node_events(node->node, &node->events_seen, events, 16)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            trace_add(node->sim, TRACE_EVENT, node->self, 0, "%s %s: %s", event_name(events[i].kind),
                      events[i].log == UINT32_MAX ? "" : events[i].log_name, events[i].reason);
    }
}

/* As `cairn server` does it: settled or not, it ends. */
static void
end_stop(struct sim_node *node)
{
    bool checkpoint = node_checkpoint(node->node);

    trace_add(node->sim, TRACE_FAULT, node->self, 0, "has stopped, %s a checkpoint", checkpoint ? "with" : "without");
    node_crash(node);
    sim_plan_happening(node->sim, 5 * MS, HAPPEN_BOOT, node->self, 0, 0, 0);
}

/* Its life may not go on: it starts anew at once, as the server does, or ends. */
static void
end_life(struct sim_node *node)
{
    bool forgot = node_end(node->node) == NODE_FORGOT;

    /* What it has forgotten is kept before it ends. */
    if (forgot && node->node->introduction.lives.kept_version < node->node->introduction.lives.version)
        node_control_step(node->node, node_clock_ns(node));
    node_crash(node);
    if (forgot)
        sim_plan_happening(node->sim, 5 * MS, HAPPEN_BOOT, node->self, 0, 0, 0);
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

void
worker_do_poll(struct sim_node *node, uint8_t worker)
{
    struct sim *sim = node->sim;
    struct sim_worker *polled = &node->workers[worker];
    uint64_t now_ns, due_ns;
    uint32_t work;

    polled->poll_at_ns = UINT64_MAX;
    /* Whoever wanted it polled may have done so before it went down. */
    if (!node_is_up(node))
        return;
    if (sim->now_ns < worker_paused_until_ns(node, worker)) {
        worker_want_poll(node, worker, worker_paused_until_ns(node, worker) - sim->now_ns);
        return;
    }
    now_ns = polled->polled_ns != 0 ? polled->polled_ns : node_clock_ns(node);
    polled->polled_ns = 0;
    work = task_poll(node_task(node->node, worker), now_ns);
    network_collect(sim, node, worker);
    check_node(sim, node);
    if (node_end(node->node) != NODE_GOES_ON) {
        end_life(node);
        return;
    }
    if (node->stop_by_ns != 0 && (node_settled(node->node) || sim->now_ns >= node->stop_by_ns)) {
        end_stop(node);
        return;
    }
    if (work > 0) {
        worker_want_poll(node, worker, AGAIN_NS + sim->plan.poll_delay_ns);
        return;
    }
    due_ns = node_deadline_ns(node->node->workers[worker]);
    worker_want_poll(node, worker, due_ns > now_ns ? due_ns - now_ns + 1 : US);
}

static void
leave_node(void *context, struct cairn_client *client)
{
    struct sim *sim = client->owner;

    (void)context;
    for (uint32_t i = 0; i < sim->attached_count; i++) {
        if (sim->attached[i] == client)
            sim->attached[i] = sim->attached[--sim->attached_count];
    }
    for (uint8_t i = 0; i < client->open_count; i++)
        attachment_leave(client->lanes[client->open[i]].attachment);
}

struct cairn_client *
node_connect(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct cairn_client *client;

    if (node->node == NULL || sim->attached_count == sizeof(sim->attached) / sizeof(*sim->attached) ||
        node_attach(node->node, &client) != CAIRN_OK)
        return NULL;
    client->detach = leave_node;
    client->owner = sim;
    sim->attached[sim->attached_count++] = client;
    return client;
}

/* The control thread's turn. */
void
node_do_control(struct sim_node *node)
{
    if (node->sim->now_ns >= node->paused_until_ns && node->sim->now_ns >= node->control_from_ns) {
        node_control_step(node->node, node_clock_ns(node));
        if (node_failure(node->node) != NULL) {
            refuses_to_start(node, node_failure(node->node));
            return;
        }
        node->incarnation = node->node->incarnation;
        note_events(node);
        node_want_poll(node, US);
    }
    sim_plan_happening(node->sim, 5 * MS, HAPPEN_CONTROL, node->self, 0, node->boots, 0);
}
