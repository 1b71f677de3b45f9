/* A worker of a node: what it owns is made, and given back. */
#include "node/worker/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "node/look.h"
#include "node/state.h"
#include "node/worker/durable.h"
#include "node/worker/excerpts.h"
#include "node/worker/hlc.h"
#include "node/worker/ports.h"
#include "node/worker/receive.h"
#include "node/worker/turn.h"

#define COMMANDS_MAX 256u
#define EVENTS_MAX 1024u
#define NOTES_MAX 256u
#define REJOIN_BEATS 3u

enum cairn_error
worker_no_memory(char *detail, size_t detail_bytes, const char *what)
{
    snprintf(detail, detail_bytes, "no memory for %s (lower memory_mib in the cluster file)", what);
    return CAIRN_NO_MEMORY;
}

/* A ring between the two threads, in the heap. */
static struct rte_ring *
ring_make(const char *name, uint32_t item_bytes, uint32_t count)
{
    struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)rte_ring_get_memsize_elem(item_bytes, count));

    assert(count > 0 && (count & (count - 1)) == 0);
    if (ring != NULL && rte_ring_init(ring, name, count, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
        free(ring);
        ring = NULL;
    }
    return ring;
}

static enum cairn_error
rings_init(struct worker *worker, char *detail, size_t detail_bytes)
{
    const bool by_interface = worker->config->cluster->transport == TRANSPORT_NETNS;
    char name[RTE_RING_NAMESIZE];

    worker->commands = ring_make("commands", sizeof(struct worker_command), COMMANDS_MAX);
    worker->notes = ring_make("notes", sizeof(struct note), NOTES_MAX);
    worker->events = ring_make("events", sizeof(struct node_event), EVENTS_MAX);
    if (worker->commands == NULL || worker->notes == NULL || worker->events == NULL)
        return worker_no_memory(detail, detail_bytes, "a worker's rings");
    snprintf(name, sizeof(name), "mb%08x-%u-%u", worker->config->cluster->id, worker->self, worker->task.number);
    worker->pool = worker->config->pool;
    if (worker->pool == NULL)
        worker->pool = port_pool_create(name, by_interface ? PORT_INTERFACE_BYTES : PORT_FRAME_BYTES);
    if (worker->pool == NULL) {
        snprintf(detail, detail_bytes, "node %s: no DPDK memory for its frames: %s", worker->name,
                 rte_strerror(rte_errno));
        return CAIRN_NO_MEMORY;
    }
    return CAIRN_OK;
}

static void
detector_start(struct worker *worker)
{
    struct cluster_timing timing = cluster_timing(worker->config->cluster);
    struct detector_config config = {
        .self = worker->self,
        .nodes = worker->nodes,
        .rejoin_beats = REJOIN_BEATS,
        .interval_ns = timing.heartbeat_ns,
        .timeout_ns = timing.timeout_ns,
        .ceiling_ns = timing.ceiling_ns,
        .hold_max_ns = node_hold_max_ns(worker->node),
    };

    assert(worker->self < worker->nodes);
    assert(config.timeout_ns > config.interval_ns);
    detector_init(&worker->detector, &config, node_now_ns(worker->node));
    worker->hears = worker->reach = (cairn_node_set)1 << worker->self;
}

/* Segments belong to the worker; a frame that referred to one only ends its claim. */
static void
nothing_to_free(void *address, void *opaque)
{
    (void)address;
    (void)opaque;
}

static bool
segment_busy(void *context, uint32_t segment_id)
{
    const struct worker *worker = context;

    assert(segment_id < worker->segments.count);
    /* One is the worker's own, until its end. */
    assert(rte_mbuf_ext_refcnt_read(&worker->shared[segment_id]) >= 1);
    return rte_mbuf_ext_refcnt_read(&worker->shared[segment_id]) > 1;
}

static enum cairn_error
memory_init(struct worker *worker, char *detail, size_t detail_bytes)
{
    worker->scratch = aligned_alloc(64, (RECORD_BYTES_MAX + 63) & ~(size_t)63);
    worker->producer_rows = malloc((worker->config->producers_max + JOURNAL_ROWS) * sizeof(*worker->producer_rows));
    if (worker->scratch == NULL || worker->producer_rows == NULL || !ports_make_room_for_all(worker))
        return worker_no_memory(detail, detail_bytes, "a worker's buffers");
    /* All memory is touched before the logs are made: their timers run from then on. */
    if (!segment_pool_init(&worker->segments, worker->config->memory_bytes / worker->node->workers_count,
                           worker->config->segment_bytes) ||
        (worker->config->cluster->memory_at_start && !segment_pool_touch_all(&worker->segments)))
        return worker_no_memory(detail, detail_bytes, "the logs");
    worker->shared = calloc(worker->segments.count, sizeof(*worker->shared));
    if (worker->shared == NULL)
        return worker_no_memory(detail, detail_bytes, "the logs");
    for (uint32_t i = 0; i < worker->segments.count; i++) {
        worker->shared[i].free_cb = nothing_to_free;
        rte_mbuf_ext_refcnt_set(&worker->shared[i], 1);
    }
    worker->segments.busy = segment_busy;
    worker->segments.busy_context = worker;
    if (worker->disk != NULL && !excerpts_init(worker))
        return worker_no_memory(detail, detail_bytes, "what is read from disk");
    assert(worker->segments.in_use == 0);
    return CAIRN_OK;
}

enum cairn_error
worker_create(struct node *node, uint8_t number, struct worker **out, char *detail, size_t detail_bytes)
{
    struct task_application application = {.receive = node_receive,
                                           .turn = node_turn,
                                           .deadline_ns = node_deadline_ns,
                                           .waits = node_waits,
                                           .bells = node_bells};
    struct worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) & ~(size_t)63);
    enum cairn_error error;

    if (worker == NULL)
        return worker_no_memory(detail, detail_bytes, "a worker");
    assert(number < node->workers_count && node->workers_count <= CAIRN_WORKERS_MAX);
    *out = worker;
    memset(worker, 0, sizeof(*worker));
    worker->node = node;
    worker->config = &node->config;
    worker->name = node->name;
    worker->self = node->self;
    worker->nodes = (uint8_t)node->config.cluster->nodes;
    worker->agreed = node->config.identity->agreed;
    worker->present = agreed_present(&worker->agreed);
    worker->core_timeout_ns = cluster_timing(&node->cluster).timeout_ns;
    worker->bell = node->config.bells[number];
    worker->disk = node->config.disks[number];
    worker->began_place = worker->disk == NULL ? 0 : PLACE_UNKNOWN;
    worker->codec = (struct codec){
        .hello = node->config.cluster->id, .self = node->self, .worker = number, .peers = node->introduction.believed};
    assert(worker->self < worker->nodes && worker->nodes <= CAIRN_NODES_MAX);
    application.context = worker;
    task_init(&worker->task, number, &application, node_now_ns(node));
    detector_start(worker);
    node_clocks_start(worker);
    error = memory_init(worker, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = rings_init(worker, detail, detail_bytes);
    return error;
}

void
worker_close(struct worker *worker)
{
    assert(worker == NULL || worker->task.ports_count <= TASK_PORTS_MAX);
    for (uint32_t i = 0; worker != NULL && i < worker->task.ports_count; i++)
        port_empty(worker->task.ports[i]);
}

void
worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++)
            free(worker->assemblies[peer][i].bytes);
    }
    excerpts_fini(worker);
    if (worker->disk != NULL)
        journal_fini(&worker->journal);
    /* Every log has given back what it had. */
    assert(worker->segments.in_use == 0);
    segment_pool_fini(&worker->segments);
    free(worker->commands);
    free(worker->events);
    free(worker->notes);
    if (worker->config->pool == NULL)
        rte_mempool_free(worker->pool);
    free(worker->shared);
    free(worker->scratch);
    free(worker->producer_rows);
    free(worker);
}

void
worker_tell(struct worker *worker, const struct worker_command *command)
{
    struct worker_command copy = *command;

    rte_ring_sp_enqueue_elem(worker->commands, &copy, sizeof(copy));
    atomic_store_explicit(&worker->commanded, true, memory_order_release);
    worker_wake(worker);
}

void
worker_wake(const struct worker *worker)
{
    if (worker->bell != NULL)
        doorbell_ring(worker->bell);
}
