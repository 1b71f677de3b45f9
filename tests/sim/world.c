/* Nodes: started, polled, crashed, stopped for a while; and their clocks. */
#include "sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "node/control.h"

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
    return node_find_log(node->node, node->sim->log_ids[log]);
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

void
node_boot(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct node_config config = {
        .cluster = &sim->cluster,
        .self = node->self,
        .incarnation = ++node->incarnation,
        .recovering = node->started,
        .seed = sim->equal_seeds ? 1 : sim->plan.seed * 64 + node->self + node->incarnation * 8,
        .channel_bytes = sim->plan.large_ppm > 0 ? CHANNEL_BYTES_LARGE : CHANNEL_BYTES,
        .allow_faults = true,
        .time = &node->time,
        .pool = sim->pool,
        .stepped = true,
        .window_entries = sim->plan.window_entries,
        .producers_max = sim->plan.producers_max,
        .segment_bytes = sim->plan.segment_bytes,
        .memory_bytes = sim->plan.memory_bytes,
        .disk = sim->plan.disk ? &node->disk.base : NULL,
        .journal_file_bytes = sim->plan.journal_file_bytes,
        .checkpoint_always = true,
        .retain_bytes = sim->plan.retain_bytes,
    };
    char detail[256] = "";

    assert(node->node == NULL);
    node->time = (struct time_source){.monotonic_ns = monotonic_ns, .wall_ns = wall_ns, .context = node};
    if (node_create(&config, &node->node, detail, sizeof(detail)) != CAIRN_OK) {
        sim_violation(sim, "node n%u does not start: %s", node->self + 1, detail);
        node->node = NULL;
        return;
    }
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        if (peer != node->self)
            node_plug(node->node, peer, &sim->sockets[node->self][peer].port);
    }
    if (node_control_start(node->node, detail, sizeof(detail)) != CAIRN_OK) {
        refuses_to_start(node, detail);
        return;
    }
    node->started = true;
    node->starts++;
    node->events_seen = 0;
    node->poll_at_ns = UINT64_MAX;
    node->paused_until_ns = node->polled_ns = 0;
    node->resumed_ns = sim->now_ns;
    memset(node->heard_ns, 0, sizeof(node->heard_ns));
    memset(node->checks, 0, sizeof(node->checks));
    for (uint32_t log = 0; log <= SIM_LOGS; log++)
        node->checks[log].cursor.position = 1;
    trace_add(sim, TRACE_FAULT, node->self, 0, "starts, life %u", node->incarnation);
    node_want_poll(node, US);
    sim_plan_happening(sim, 5 * MS, HAPPEN_CONTROL, node->self, 0, node->incarnation, 0);
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
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        struct attachment *attachment = control->attachments[i];

        if (attachment == NULL)
            continue;
        assert(sim->buried_count < sizeof(sim->buried) / sizeof(*sim->buried));
        sim->buried[sim->buried_count++] = attachment;
        control->attachments[i] = NULL;
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
    node->poll_at_ns = UINT64_MAX;
    node->stop_by_ns = 0;
    for (uint8_t peer = 0; peer < node->sim->plan.nodes; peer++) {
        struct rte_mbuf *frame;

        if (peer == node->self)
            continue;
        while (rte_ring_sc_dequeue(node->sim->sockets[node->self][peer].receive, (void **)&frame) == 0)
            rte_pktmbuf_free(frame);
        while (rte_ring_sc_dequeue(node->sim->sockets[node->self][peer].send, (void **)&frame) == 0)
            rte_pktmbuf_free(frame);
    }
}

/* Its worker gets no turn: what arrives waits in the port's ring, what does not fit is lost. */
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
    node->polled_ns = node_clock_ns(node);
    node_pause(node, for_ns);
}

void
node_want_poll(struct sim_node *node, uint64_t in_ns)
{
    uint64_t at_ns = node->sim->now_ns + in_ns;

    if (node->node != NULL && at_ns < node->poll_at_ns)
        node->poll_at_ns = at_ns;
}

void
node_asked(struct sim_node *node)
{
    if (node->node == NULL)
        return;
    for (uint32_t i = 0; i < node->sim->attached_count; i++) {
        struct cairn_client *client = node->sim->attached[i];
        struct attachment *attachment = client->attachment;
        const void *bytes;

        if (client->context == node->node && byte_ring_peek(&attachment->channel.in, &bytes) > 0) {
            node_want_poll(node, US);
            return;
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
node_do_poll(struct sim_node *node)
{
    struct sim *sim = node->sim;
    uint64_t now_ns, due_ns;
    uint32_t work;

    node->poll_at_ns = UINT64_MAX;
    if (sim->now_ns < node->paused_until_ns) {
        node_want_poll(node, node->paused_until_ns - sim->now_ns);
        return;
    }
    now_ns = node->polled_ns != 0 ? node->polled_ns : node_clock_ns(node);
    node->polled_ns = 0;
    work = worker_poll(node_worker(node->node), now_ns);
    network_collect(sim, node);
    check_node(sim, node);
    if (node->stop_by_ns != 0 && (node_settled(node->node) || sim->now_ns >= node->stop_by_ns)) {
        end_stop(node);
        return;
    }
    if (work > 0) {
        node_want_poll(node, AGAIN_NS + sim->plan.poll_delay_ns);
        return;
    }
    due_ns = node_deadline_ns(node->node);
    node_want_poll(node, due_ns > now_ns ? due_ns - now_ns + 1 : US);
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
    attachment_leave(client->attachment);
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
    if (node->sim->now_ns >= node->paused_until_ns) {
        node_control_step(node->node, node_clock_ns(node));
        note_events(node);
        node_want_poll(node, US);
    }
    sim_plan_happening(node->sim, 5 * MS, HAPPEN_CONTROL, node->self, 0, node->incarnation, 0);
}
