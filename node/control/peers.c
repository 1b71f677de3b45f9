/* Ports to peers, and room for what comes from them. */
#include "node/control/peers.h"

#include <assert.h>
#include <stdio.h>

#include "node/control/logs.h"
#include "node/snapshot.h"
#include "node/state.h"
#include "node/worker/ports.h"
#include "node/worker/worker.h"

/* The workers' ports to that peer, which one device has. */
static struct device_queues
queues_to(struct node *node, uint8_t peer)
{
    struct device_queues queues = {.count = node->workers_count};

    assert(peer != node->self && queues.count <= CAIRN_WORKERS_MAX);
    for (uint8_t number = 0; number < node->workers_count; number++) {
        queues.ports[number] = &node->workers[number]->ports[peer];
        queues.pools[number] = node->workers[number]->pool;
    }
    return queues;
}

static enum cairn_error
memif_init(struct node *node, uint8_t peer, char *detail, size_t detail_bytes)
{
    uint8_t low = peer < node->self ? peer : node->self, high = peer < node->self ? node->self : peer;
    const struct home_links *links = node->config.links;
    const struct device_queues queues = queues_to(node, peer);
    char name[32], socket[64];

    assert(links != NULL);
    assert(low < high && (low == node->self || high == node->self));
    snprintf(name, sizeof(name), "%u_%u", node->self, peer);
    snprintf(socket, sizeof(socket), "%s/%u-%u.sock", links->path, low, high);
    return device_memif_create(name, socket, links->secret, node->self == low, &node->links[peer], &queues, detail,
                               detail_bytes);
}

/* There is one interface for all peers, and one device of it for each worker. */
static enum cairn_error
interface_init(struct worker *worker, uint8_t peer, char *detail, size_t detail_bytes)
{
    struct device_queues queues = {.ports = {&worker->ports[peer]}, .pools = {worker->pool}, .count = 1};
    char name[8];

    assert(peer != worker->self && worker->ports[peer].pool == NULL);
    for (uint8_t other = 0; other < CAIRN_NODES_MAX; other++) {
        if (worker->ports[other].pool == NULL || worker->ports[other].shared)
            continue;
        worker->ports[peer] = worker->ports[other];
        worker->ports[peer].shared = true;
        worker->ports[peer].queued = 0;
        return CAIRN_OK;
    }
    snprintf(name, sizeof(name), "%u", worker->task.number);
    return device_interface_create(name, "eth0", &worker->node->interfaces[worker->task.number], &queues, detail,
                                   detail_bytes);
}

static enum cairn_error
ports_init(struct node *node, uint8_t peer, char *detail, size_t detail_bytes)
{
    enum cairn_error error = CAIRN_OK;

    assert(peer != node->self);
    switch (node->config.cluster->transport) {
    case TRANSPORT_MEMIF:
        return memif_init(node, peer, detail, detail_bytes);
    case TRANSPORT_NETNS:
        for (uint8_t number = 0; number < node->workers_count && error == CAIRN_OK; number++)
            error = interface_init(node->workers[number], peer, detail, detail_bytes);
        return error;
    case TRANSPORT_RING:
        break;
    }
    return CAIRN_OK; /* node_link() and node_plug() make them */
}

enum cairn_error
peers_attach(struct node *node, char *detail, size_t detail_bytes)
{
    for (uint8_t peer = 0; peer < node->cluster.nodes; peer++) {
        enum cairn_error error = peer == node->self ? CAIRN_OK : ports_init(node, peer, detail, detail_bytes);

        if (error != CAIRN_OK)
            return error;
        for (uint8_t number = 0; number < node->workers_count && peer != node->self; number++)
            port_attach(node->workers[number], peer);
    }
    return CAIRN_OK;
}

static bool
make_room(struct worker *worker, uint8_t seat, const struct snapshot *snapshot)
{
    bool room = ports_make_room(worker, seat);

    assert(snapshot->count <= LOGS_MAX);
    for (uint32_t i = 0; i < snapshot->count && room; i++) {
        if (snapshot->logs[i].log->worker == worker)
            room = log_make_room(worker, snapshot->logs[i].log, seat);
    }
    return room;
}

enum cairn_error
peers_welcome(struct node *node, uint8_t seat, const struct snapshot *snapshot, char *detail, size_t detail_bytes)
{
    bool room = true;

    /* No worker has the seat yet: what comes from there has nobody to touch it. */
    assert(seat != node->self && seat < snapshot->agreed.now.nodes);
    for (uint8_t number = 0; number < node->workers_count && room; number++) {
        assert(seat >= atomic_load_explicit(&node->workers[number]->nodes, memory_order_relaxed));
        room = make_room(node->workers[number], seat, snapshot);
    }
    if (!room) {
        snprintf(detail, detail_bytes, "no memory for what comes from there (lower memory_mib in the cluster file)");
        return CAIRN_NO_MEMORY;
    }
    return ports_init(node, seat, detail, detail_bytes);
}

enum cairn_error
peers_link(struct node *left, struct node *right, char *detail, size_t detail_bytes)
{
    const struct device_queues left_queues = queues_to(left, right->self), right_queues = queues_to(right, left->self);
    char name[RTE_RING_NAMESIZE];
    enum cairn_error error;

    assert(left_queues.count == right_queues.count);
    snprintf(name, sizeof(name), "l%08x%u%u", left->config.cluster->id, left->self, right->self);
    error = device_pair_create(name, &left->links[right->self], &left_queues, &right->links[left->self], &right_queues,
                               detail, detail_bytes);
    for (uint8_t number = 0; number < left->workers_count && error == CAIRN_OK; number++) {
        port_attach(left->workers[number], right->self);
        port_attach(right->workers[number], left->self);
    }
    return error;
}

void
peers_close(struct node *node)
{
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++)
        device_close(&node->links[peer]);
    for (uint8_t number = 0; number < node->workers_count; number++)
        device_close(&node->interfaces[number]);
}
