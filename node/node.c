/* One node, wired together: its memory, ports, worker and logs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "excerpts.h"
#include "hlc.h"
#include "logs.h"
#include "look.h"
#include "peers.h"
#include "receive.h"
#include "state.h"
#include "turn.h"

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
    if (node->snapshot == NULL || node->scratch == NULL || node->producer_rows == NULL || !peers_make_room(node))
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
    struct task_application application = {.receive = node_receive,
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
    task_init(&node->task, 0, &application, node_now_ns(node));
    detector_start(node);
    introduction_init(node);
    node_clocks_start(node);
    error = memory_init(node, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = rings_init(node, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = peers_attach(node, detail, detail_bytes);
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
    for (uint32_t i = 0; i < node->task.ports_count; i++)
        port_close(node->task.ports[i]);
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

struct task *
node_task(struct node *node)
{
    return &node->task;
}

struct port *
node_port(struct node *node, uint8_t peer)
{
    return &node->ports[peer];
}
