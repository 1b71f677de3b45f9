/* One node, wired together: its workers, and what they have in common. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/control/logs.h"
#include "node/control/peers.h"
#include "node/state.h"
#include "node/worker/checkpoint.h"
#include "node/worker/ports.h"
#include "node/worker/worker.h"

#define WINDOW_ENTRIES 16384u
#define PRODUCERS_MAX 4096u

_Static_assert(STOP_KIND_MAX == STOP_LOG && STOP_TERM_MAX == TERM_MAX && AGREED_LSN_MAX == LSN_MAX,
               "what a node keeps of itself is what there can be");

static void
config_take(struct node *node, const struct node_config *config)
{
    assert(config->self < config->cluster->nodes && config->cluster->nodes <= CAIRN_NODES_MAX);
    assert(config->identity->self == config->self);
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
    node->workers_count = (uint8_t)cluster_workers(config->cluster);
    assert(node->workers_count >= 1 && node->workers_count <= CAIRN_WORKERS_MAX);
    assert((node->config.window_entries & (node->config.window_entries - 1)) == 0);
    assert((node->config.producers_max & (node->config.producers_max - 1)) == 0);
    snprintf(node->name, sizeof(node->name), "%s", config->cluster->names[config->self]);
}

enum cairn_error
node_create(const struct node_config *config, struct node **out, char *detail, size_t detail_bytes)
{
    struct node *node = aligned_alloc(64, (sizeof(*node) + 63) & ~(size_t)63);
    enum cairn_error error = CAIRN_OK;

    if (node == NULL)
        return worker_no_memory(detail, detail_bytes, "a node");
    memset(node, 0, sizeof(*node));
    config_take(node, config);
    node->snapshot = calloc(1, sizeof(*node->snapshot));
    if (node->snapshot == NULL)
        error = worker_no_memory(detail, detail_bytes, "a node's logs");
    for (uint8_t number = 0; number < node->workers_count && error == CAIRN_OK; number++)
        error = worker_create(node, number, &node->workers[number], detail, detail_bytes);
    if (error == CAIRN_OK)
        error = peers_attach(node, detail, detail_bytes);
    if (error != CAIRN_OK) {
        node_free(node);
        return error;
    }
    introduction_init(node);
    *out = node;
    return CAIRN_OK;
}

enum cairn_error
node_link(struct node *left, struct node *right, char *detail, size_t detail_bytes)
{
    assert(left->workers_count == right->workers_count);
    assert(left->self != right->self && left->cluster.id == right->cluster.id);
    return peers_link(left, right, detail, detail_bytes);
}

void
node_stop_begin(struct node *node)
{
    atomic_store_explicit(&node->stopping, true, memory_order_release);
    for (uint8_t number = 0; number < node->workers_count; number++)
        worker_wake(node->workers[number]);
}

bool
node_settled(const struct node *node)
{
    bool all = true;

    for (uint8_t number = 0; number < node->workers_count; number++)
        all = all && atomic_load_explicit(&node->workers[number]->settled, memory_order_acquire);
    return all;
}

bool
node_checkpoint(struct node *node)
{
    bool all = node_settled(node);

    for (uint8_t number = 0; number < node->workers_count; number++)
        all = all && checkpoint_write(node->workers[number]);
    return all;
}

void
node_plug(struct node *node, uint8_t worker, uint8_t peer, const struct port *port)
{
    assert(worker < node->workers_count && peer != node->self);
    assert(node->workers[worker]->task.ports_count < TASK_PORTS_MAX);
    node->workers[worker]->ports[peer] = *port;
    port_attach(node->workers[worker], peer);
}

void
node_free(struct node *node)
{
    for (uint8_t number = 0; number < node->workers_count; number++)
        worker_close(node->workers[number]);
    peers_close(node);
    for (uint32_t i = 0; node->snapshot != NULL && i < node->snapshot->count; i++) {
        assert(node->snapshot->logs[i].log->worker->node == node);
        node_log_free(node->snapshot->logs[i].log);
    }
    for (uint8_t number = 0; number < node->workers_count; number++)
        worker_free(node->workers[number]);
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

void
node_standing(const struct node *node, char *out, size_t out_bytes)
{
    struct standing_view view;

    introduction_show(node, &view);
    assert(view.standing != STANDING_MEMBER || view.number > 0);
    switch (view.standing) {
    case STANDING_WAITING:
        if (view.differing != 0)
            snprintf(
                out, out_bytes,
                "%s waits: %s has agreed on something else than this node's cluster file says (nodes and their order, "
                "heartbeat_us, timeout_us, clock_bound_ms, durability or memory_mib): mend the file, and start it anew",
                node->name, node->config.cluster->names[__builtin_ctz(view.differing)]);
        else if (view.unseating != 0)
            snprintf(out, out_bytes,
                     "%s waits: %s is of a cluster that has no place for it ('cairn cluster add %s' gives it one, also "
                     "after "
                     "'cluster remove')",
                     node->name, node->config.cluster->names[__builtin_ctz(view.unseating)], node->name);
        else
            snprintf(
                out, out_bytes,
                "%s waits: it has no state and hears of no cluster ('cairn cluster bootstrap' founds one, once all "
                "its nodes wait)",
                node->name);
        break;
    case STANDING_FORGOTTEN:
        snprintf(
            out, out_bytes,
            "%s %s: %d of the others have granted it a life, more than %u must (where they have lost their state, too, "
            "'cairn cluster recover --from' one that has it decides)",
            node->name, view.born ? "holds nothing of the cluster yet" : "has forgotten what it promised, and recovers",
            __builtin_popcount(view.granted_by), ((unsigned)__builtin_popcount(agreed_present(&view.agreed)) - 1) / 2);
        break;
    case STANDING_MEMBER:
        snprintf(out, out_bytes, "%s serves in its life %u%s", node->name, view.number,
                 view.well >> node->self & 1 ? "" : ", and recovers: no other node may be restarted yet");
        break;
    case STANDING_LAPSED:
        snprintf(out, out_bytes, "%s has forgotten a life that others know of, and starts anew", node->name);
        break;
    case STANDING_REFUSED:
        snprintf(out, out_bytes, "%s runs already elsewhere: this one is refused (stop one of the two)", node->name);
        break;
    case STANDING_LEARNED:
        snprintf(out, out_bytes, "%s has heard what the cluster has agreed on, and starts anew by that", node->name);
        break;
    case STANDING_REMOVED:
        snprintf(
            out, out_bytes,
            "%s was removed from the cluster, or replaced there: this one is refused ('cairn cluster add %s' and an "
            "empty directory let it back)",
            node->name, node->name);
        break;
    }
}

uint8_t
node_workers(const struct node *node)
{
    return node->workers_count;
}

struct task *
node_task(struct node *node, uint8_t worker)
{
    assert(worker < node->workers_count);
    return &node->workers[worker]->task;
}

struct port *
node_port(struct node *node, uint8_t worker, uint8_t peer)
{
    assert(worker < node->workers_count);
    return &node->workers[worker]->ports[peer];
}
