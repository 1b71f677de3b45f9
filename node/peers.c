/* Ports to peers, and room for what comes from them. */
#include "peers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "assembly.h"
#include "logs.h"
#include "snapshot.h"
#include "worker.h"

static bool
assemblies_init(struct worker *worker, uint8_t peer)
{
    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++) {
        worker->assemblies[peer][i].bytes = aligned_alloc(64, (RECORD_BYTES_MAX + 63) & ~(size_t)63);
        if (worker->assemblies[peer][i].bytes == NULL)
            return false;
    }
    return true;
}

bool
peers_make_room(struct worker *worker)
{
    bool done = true;

    for (uint8_t peer = 0; done && peer < worker->nodes; peer++)
        done = peer == worker->self || assemblies_init(worker, peer);
    return done;
}

void
node_attach_port(struct worker *worker, uint8_t peer)
{
    struct port *port = &worker->ports[peer];

    if (port->pool == NULL)
        return;
    port->peer = peer;
    port->peer_bell = &worker->peer_bells[peer];
    port->faults = &worker->faults[peer];
    port->faults->random = worker->config->seed * 31 + peer;
    frame_template_init(&port->template, worker->self, peer, worker->task.number);
    worker->task.ports[worker->task.ports_count++] = port;
}

static enum cairn_error
memif_port_init(struct worker *worker, uint8_t peer, char *detail, size_t detail_bytes)
{
    uint8_t low = peer < worker->self ? peer : worker->self, high = peer < worker->self ? worker->self : peer;
    const struct home_links *links = worker->config->links;
    char name[32], socket[64];

    assert(links != NULL);
    snprintf(name, sizeof(name), "%u_%u", worker->self, peer);
    snprintf(socket, sizeof(socket), "%s/%u-%u-w0.sock", links->path, low, high);
    return port_memif_create(name, socket, links->secret, worker->self == low, &worker->ports[peer], worker->pool,
                             detail, detail_bytes);
}

/* One interface for all peers. */
static enum cairn_error
interface_port_init(struct worker *worker, uint8_t peer, char *detail, size_t detail_bytes)
{
    for (uint8_t other = 0; other < CAIRN_NODES_MAX; other++) {
        if (worker->ports[other].pool == NULL || worker->ports[other].shared)
            continue;
        worker->ports[peer] = worker->ports[other];
        worker->ports[peer].shared = true;
        worker->ports[peer].queued = 0;
        return CAIRN_OK;
    }
    return port_interface_create("0", "eth0", &worker->ports[peer], worker->pool, detail, detail_bytes);
}

static enum cairn_error
port_init(struct worker *worker, uint8_t peer, char *detail, size_t detail_bytes)
{
    switch (worker->config->cluster->transport) {
    case TRANSPORT_MEMIF:
        return memif_port_init(worker, peer, detail, detail_bytes);
    case TRANSPORT_NETNS:
        return interface_port_init(worker, peer, detail, detail_bytes);
    case TRANSPORT_RING:
        break;
    }
    return CAIRN_OK; /* node_link() and node_plug() make it */
}

enum cairn_error
peers_attach(struct worker *worker, char *detail, size_t detail_bytes)
{
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        enum cairn_error error = peer == worker->self ? CAIRN_OK : port_init(worker, peer, detail, detail_bytes);

        if (error != CAIRN_OK)
            return error;
        if (peer != worker->self)
            node_attach_port(worker, peer);
    }
    return CAIRN_OK;
}

enum cairn_error
node_welcome(struct worker *worker, uint8_t seat, const struct snapshot *snapshot, char *detail, size_t detail_bytes)
{
    bool room = assemblies_init(worker, seat);

    for (uint32_t i = 0; i < snapshot->count && room; i++)
        room = log_make_room(worker, snapshot->logs[i].log, seat);
    if (!room) {
        snprintf(detail, detail_bytes, "no memory for what comes from there (lower memory_mib in the cluster file)");
        return CAIRN_NO_MEMORY;
    }
    return port_init(worker, seat, detail, detail_bytes);
}

enum cairn_error
peers_link(struct worker *left, struct worker *right, char *detail, size_t detail_bytes)
{
    char name[RTE_RING_NAMESIZE];
    enum cairn_error error;

    snprintf(name, sizeof(name), "l%08x%u%u-%u", left->config->cluster->id, left->self, right->self, left->task.number);
    error = port_pair_create(name, &left->ports[right->self], left->pool, &right->ports[left->self], right->pool,
                             detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    node_attach_port(left, right->self);
    node_attach_port(right, left->self);
    return CAIRN_OK;
}
