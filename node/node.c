/* One node, wired together: its memory, ports, worker and logs. */
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#define WINDOW_ENTRIES 16384u
#define PRODUCERS_MAX 4096u
#define COMMANDS_MAX 256u
#define EVENTS_MAX 1024u
#define REJOIN_BEATS 3u

_Static_assert(STOP_KIND_MAX == STOP_LOG && STOP_TERM_MAX == TERM_MAX && AGREED_LSN_MAX == LSN_MAX,
               "what a node keeps of itself is what there can be");

static enum cairn_error
no_memory(char *detail, size_t detail_bytes, const char *what)
{
    snprintf(detail, detail_bytes, "no memory for %s (lower memory_mib in the cluster file)", what);
    return CAIRN_NO_MEMORY;
}

/* A replica that contradicted others does not count by being restarted. */
static enum core_stop
stop_of_life_before(const struct node *node, uint32_t id)
{
    uint32_t kind = identity_stopped(&node->introduction.begun, id).kind;

    return kind > STOP_LOG ? STOP_LOG : (enum core_stop)kind;
}

/* Of the lives before: they may have gone by a shorter timeout that they had not kept yet. */
static uint64_t
longest_promise_ns(const struct identity *identity)
{
    return identity->promised_ns > identity->agreed.now.timeout_ns ? identity->promised_ns
                                                                   : identity->agreed.now.timeout_ns;
}

static struct core_config
core_settings(const struct node *node, uint32_t id, const struct log_settings *asked, bool recovering)
{
    struct cluster_timing timing = cluster_timing(node->config.cluster);

    return (struct core_config){
        .self = node->self,
        .nodes = agreed_present(&node->snapshot->agreed) | asked->voters,
        .members.voters = asked->voters,
        .incarnation = node->incarnation,
        .seed = node->config.seed + id,
        .election_timeout_ns = timing.timeout_ns,
        .promised_ns = longest_promise_ns(&node->introduction.begun),
        .election_patience = node->config.election_patience == 0 ? 1 : node->config.election_patience,
        .retransmit_ns = timing.timeout_ns / 2,
        .window_entries = node->config.window_entries,
        .producers_max = node->config.producers_max,
        .policy = asked->rules.policy,
        .durable = node->config.disk != NULL && asked->durability == CAIRN_DISK,
        .recovering = recovering,
        .stopped = stop_of_life_before(node, id),
    };
}

static bool
branch_init(struct node *node, struct node_log *log, uint8_t origin)
{
    log->branches[origin].trim_cursor.position = 1;
    return log->branches[origin].store.segments != NULL || store_init(&log->branches[origin].store, &node->segments);
}

static bool
branches_init(struct node *node, struct node_log *log)
{
    for (uint8_t origin = 0; origin < node->cluster.nodes; origin++) {
        if (!branch_init(node, log, origin))
            return false;
    }
    return true;
}

struct node_log *
node_log_create(struct node *node, uint32_t id, const struct log_settings *asked, bool recovering)
{
    struct core_config settings = core_settings(node, id, asked, recovering);
    struct node_log *log = calloc(1, sizeof(*log));

    if (log == NULL)
        return NULL;
    log->id = id;
    log->node = node;
    log->self = node->self;
    log->led_by = CAIRN_NODE_NONE;
    log->stopped_term = identity_stopped(&node->introduction.begun, id).last_term;
    snprintf(log->name, sizeof(log->name), "%s", asked->name);
    log->rules = asked->rules;
    log->own = &log->branches[node->self];
    log->commit_cursor.position = 1;
    log->mode = asked->rules.policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_DENIED;
    log->memory = aligned_alloc(64, core_footprint(&settings));
    log->waits = malloc(WAITS_MAX * sizeof(*log->waits));
    if (log->memory == NULL || log->waits == NULL || !store_init(&log->trunk, &node->segments) ||
        !branches_init(node, log) || !pending_ring_init(&log->pending, settings.window_entries) ||
        !pending_ring_init(&log->pending_all, settings.window_entries) ||
        (settings.durable && !durable_init(node, log))) {
        node_log_free(log);
        return NULL;
    }
    log->sink = (struct sink){.apply = apply_effect, .holds = apply_holds, .context = log};
    log->core = core_init(log->memory, &settings, node_now_ns(node));
    return log;
}

void
node_log_free(struct node_log *log)
{
    if (log->trunk.segments != NULL)
        store_fini(&log->trunk);
    for (uint8_t origin = 0; origin < CAIRN_NODES_MAX; origin++) {
        if (log->branches[origin].store.segments != NULL)
            store_fini(&log->branches[origin].store);
    }
    durable_fini(log);
    free(log->pending.items);
    free(log->pending_all.items);
    free(log->waits);
    free(log->memory);
    free(log);
}

static bool
assemblies_init(struct node *node, uint8_t peer)
{
    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++) {
        node->assemblies[peer][i].bytes = aligned_alloc(64, (RECORD_BYTES_MAX + 63) & ~(size_t)63);
        if (node->assemblies[peer][i].bytes == NULL)
            return false;
    }
    return true;
}

static bool
all_assemblies_init(struct node *node)
{
    bool done = true;

    for (uint8_t peer = 0; done && peer < node->nodes; peer++)
        done = peer == node->self || assemblies_init(node, peer);
    return done;
}

/* A ring between the two threads of a node, in the heap. */
static struct rte_ring *
ring_make(const char *name, uint32_t item_bytes, uint32_t count)
{
    struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)rte_ring_get_memsize_elem(item_bytes, count));

    if (ring != NULL && rte_ring_init(ring, name, count, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
        free(ring);
        ring = NULL;
    }
    return ring;
}

static enum cairn_error
rings_init(struct node *node, char *detail, size_t detail_bytes)
{
    const bool by_interface = node->config.cluster->transport == TRANSPORT_NETNS;
    char name[RTE_RING_NAMESIZE];

    node->commands = ring_make("commands", sizeof(void *), COMMANDS_MAX);
    node->events = ring_make("events", sizeof(struct node_event), EVENTS_MAX);
    if (node->commands == NULL || node->events == NULL)
        return no_memory(detail, detail_bytes, "a node's rings");
    snprintf(name, sizeof(name), "mb%08x-%u", node->config.cluster->id, node->self);
    node->pool = node->config.pool;
    if (node->pool == NULL)
        node->pool = port_pool_create(name, by_interface ? PORT_INTERFACE_BYTES : PORT_FRAME_BYTES);
    if (node->pool == NULL) {
        snprintf(detail, detail_bytes, "node %s: no DPDK memory for its frames: %s", node->name,
                 rte_strerror(rte_errno));
        return CAIRN_NO_MEMORY;
    }
    return CAIRN_OK;
}

void
node_attach_port(struct node *node, uint8_t peer)
{
    struct port *port = &node->ports[peer];

    if (port->pool == NULL)
        return;
    port->peer = peer;
    port->peer_bell = &node->peer_bells[peer];
    port->faults = &node->faults[peer];
    port->faults->random = node->config.seed * 31 + peer;
    frame_template_init(&port->template, node->self, peer, node->worker.number);
    node->worker.ports[node->worker.ports_count++] = port;
}

static enum cairn_error
memif_port_init(struct node *node, uint8_t peer, char *detail, size_t detail_bytes)
{
    uint8_t low = peer < node->self ? peer : node->self, high = peer < node->self ? node->self : peer;
    const struct home_links *links = node->config.links;
    char name[32], socket[64];

    assert(links != NULL);
    snprintf(name, sizeof(name), "%u_%u", node->self, peer);
    snprintf(socket, sizeof(socket), "%s/%u-%u-w0.sock", links->path, low, high);
    return port_memif_create(name, socket, links->secret, node->self == low, &node->ports[peer], node->pool, detail,
                             detail_bytes);
}

/* One interface for all peers. */
static enum cairn_error
interface_port_init(struct node *node, uint8_t peer, char *detail, size_t detail_bytes)
{
    for (uint8_t other = 0; other < CAIRN_NODES_MAX; other++) {
        if (node->ports[other].pool == NULL || node->ports[other].shared)
            continue;
        node->ports[peer] = node->ports[other];
        node->ports[peer].shared = true;
        node->ports[peer].queued = 0;
        return CAIRN_OK;
    }
    return port_interface_create("0", "eth0", &node->ports[peer], node->pool, detail, detail_bytes);
}

static enum cairn_error
port_init(struct node *node, uint8_t peer, char *detail, size_t detail_bytes)
{
    switch (node->config.cluster->transport) {
    case TRANSPORT_MEMIF:
        return memif_port_init(node, peer, detail, detail_bytes);
    case TRANSPORT_NETNS:
        return interface_port_init(node, peer, detail, detail_bytes);
    case TRANSPORT_RING:
        break;
    }
    return CAIRN_OK; /* node_link() and node_plug() make it */
}

static enum cairn_error
ports_init(struct node *node, char *detail, size_t detail_bytes)
{
    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        enum cairn_error error = peer == node->self ? CAIRN_OK : port_init(node, peer, detail, detail_bytes);

        if (error != CAIRN_OK)
            return error;
        if (peer != node->self)
            node_attach_port(node, peer);
    }
    return CAIRN_OK;
}

enum cairn_error
node_welcome(struct node *node, uint8_t seat, const struct snapshot *snapshot, char *detail, size_t detail_bytes)
{
    for (uint32_t i = 0; i < snapshot->count; i++) {
        if (!branch_init(node, snapshot->logs[i].log, seat))
            return no_memory(detail, detail_bytes, "what comes from there");
    }
    if (!assemblies_init(node, seat))
        return no_memory(detail, detail_bytes, "what comes from there");
    return port_init(node, seat, detail, detail_bytes);
}

uint64_t
node_hold_max_ns(const struct node *node)
{
    return node->config.cluster->flap_hold_ms == 0 ? 20 * cluster_timing(node->config.cluster).timeout_ns
                                                   : (uint64_t)node->config.cluster->flap_hold_ms * 1000000;
}

static void
detector_start(struct node *node)
{
    struct cluster_timing timing = cluster_timing(node->config.cluster);
    struct detector_config config = {
        .self = node->self,
        .nodes = node->nodes,
        .rejoin_beats = REJOIN_BEATS,
        .interval_ns = timing.heartbeat_ns,
        .timeout_ns = timing.timeout_ns,
        .ceiling_ns = timing.ceiling_ns,
        .hold_max_ns = node_hold_max_ns(node),
    };

    detector_init(&node->detector, &config, node_now_ns(node));
    node->hears = node->reach = (cairn_node_set)1 << node->self;
}

/* Segments belong to the node; a frame that referred to one only ends its claim. */
static void
nothing_to_free(void *address, void *opaque)
{
    (void)address;
    (void)opaque;
}

static bool
segment_busy(void *context, uint32_t segment_id)
{
    const struct node *node = context;

    return rte_mbuf_ext_refcnt_read(&node->shared[segment_id]) > 1;
}

static enum cairn_error
memory_init(struct node *node, char *detail, size_t detail_bytes)
{
    node->snapshot = calloc(1, sizeof(*node->snapshot));
    node->scratch = aligned_alloc(64, (RECORD_BYTES_MAX + 63) & ~(size_t)63);
    node->producer_rows = malloc((node->config.producers_max + JOURNAL_ROWS) * sizeof(*node->producer_rows));
    if (node->snapshot == NULL || node->scratch == NULL || node->producer_rows == NULL || !all_assemblies_init(node))
        return no_memory(detail, detail_bytes, "a node's buffers");
    /* All of it before the logs are made: their timers run from then on. */
    if (!segment_pool_init(&node->segments, node->config.memory_bytes, node->config.segment_bytes) ||
        (node->config.cluster->memory_at_start && !segment_pool_touch_all(&node->segments)))
        return no_memory(detail, detail_bytes, "the logs");
    node->shared = calloc(node->segments.count, sizeof(*node->shared));
    if (node->shared == NULL)
        return no_memory(detail, detail_bytes, "the logs");
    for (uint32_t i = 0; i < node->segments.count; i++) {
        node->shared[i].free_cb = nothing_to_free;
        rte_mbuf_ext_refcnt_set(&node->shared[i], 1);
    }
    node->segments.busy = segment_busy;
    node->segments.busy_context = node;
    if (node->config.disk != NULL && !excerpts_init(node))
        return no_memory(detail, detail_bytes, "what is read from disk");
    return CAIRN_OK;
}

enum cairn_error
node_create(const struct node_config *config, struct node **out, char *detail, size_t detail_bytes)
{
    struct worker_application application = {.receive = node_receive,
                                             .turn = node_turn,
                                             .deadline_ns = node_deadline_ns,
                                             .waits = node_waits,
                                             .bells = node_bells};
    struct node *node = aligned_alloc(64, (sizeof(*node) + 63) & ~(size_t)63);
    enum cairn_error error;

    if (node == NULL)
        return no_memory(detail, detail_bytes, "a node");
    memset(node, 0, sizeof(*node));
    node->config = *config;
    node->cluster = *config->cluster;
    node->config.cluster = &node->cluster;
    if (config->time == NULL)
        node->config.time = &time_of_machine;
    if (config->window_entries == 0)
        node->config.window_entries = WINDOW_ENTRIES;
    if (config->segment_bytes == 0)
        node->config.segment_bytes = SEGMENT_BYTES;
    if (config->memory_bytes == 0)
        node->config.memory_bytes = (uint64_t)config->cluster->memory_mib << 20;
    if (config->producers_max == 0)
        node->config.producers_max = PRODUCERS_MAX;
    node->self = config->self;
    node->nodes = (uint8_t)config->cluster->nodes;
    node->present = agreed_present(&config->identity->agreed);
    node->core_timeout_ns = cluster_timing(&node->cluster).timeout_ns;
    node->bell = config->bell;
    snprintf(node->name, sizeof(node->name), "%s", config->cluster->names[config->self]);
    node->codec = (struct codec){.hello = config->cluster->id, .self = config->self, .worker = 0};
    application.context = node;
    worker_init(&node->worker, 0, &application, node_now_ns(node));
    detector_start(node);
    introduction_init(node);
    node_clocks_start(node);
    error = memory_init(node, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = rings_init(node, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = ports_init(node, detail, detail_bytes);
    if (error != CAIRN_OK) {
        node_free(node);
        return error;
    }
    *out = node;
    return CAIRN_OK;
}

enum cairn_error
node_link(struct node *left, struct node *right, char *detail, size_t detail_bytes)
{
    char name[RTE_RING_NAMESIZE];
    enum cairn_error error;

    snprintf(name, sizeof(name), "l%08x%u%u", left->config.cluster->id, left->self, right->self);
    error = port_pair_create(name, &left->ports[right->self], left->pool, &right->ports[left->self], right->pool,
                             detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    node_attach_port(left, right->self);
    node_attach_port(right, left->self);
    return CAIRN_OK;
}

void
node_stop_begin(struct node *node)
{
    int expected = STOPPING_NOT;

    atomic_compare_exchange_strong(&node->stopping, &expected, STOPPING_ASKED);
    if (node->bell != NULL)
        doorbell_ring(node->bell);
}

bool
node_settled(const struct node *node)
{
    return atomic_load_explicit(&node->stopping, memory_order_acquire) == STOPPING_SETTLED;
}

void
node_plug(struct node *node, uint8_t peer, const struct port *port)
{
    node->ports[peer] = *port;
    node->ports[peer].borrowed = true;
    node_attach_port(node, peer);
}

void
node_free(struct node *node)
{
    for (uint32_t i = 0; i < node->worker.ports_count; i++)
        port_close(node->worker.ports[i]);
    for (uint32_t i = 0; node->snapshot != NULL && i < node->snapshot->count; i++)
        node_log_free(node->snapshot->logs[i].log);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++)
            free(node->assemblies[peer][i].bytes);
    }
    excerpts_fini(node);
    if (node->config.disk != NULL)
        journal_fini(&node->journal);
    segment_pool_fini(&node->segments);
    free(node->commands);
    free(node->events);
    if (node->config.pool == NULL)
        rte_mempool_free(node->pool);
    free(node->shared);
    free(node->scratch);
    free(node->producer_rows);
    free(node->snapshot);
    free(node);
}

enum node_end
node_end(const struct node *node)
{
    struct standing_view view;

    if (introduction_phase(&node->introduction) != PHASE_ENDED)
        return NODE_GOES_ON;
    introduction_show(node, &view);
    return view.standing == STANDING_REFUSED || view.standing == STANDING_REMOVED ? NODE_REFUSED : NODE_FORGOT;
}

struct worker *
node_worker(struct node *node)
{
    return &node->worker;
}

struct port *
node_port(struct node *node, uint8_t peer)
{
    return &node->ports[peer];
}
