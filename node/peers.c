/* Ports to peers, and room for what comes from them. */
#include "peers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "logs.h"
#include "state.h"

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

bool
peers_make_room(struct node *node)
{
    bool done = true;

    for (uint8_t peer = 0; done && peer < node->nodes; peer++)
        done = peer == node->self || assemblies_init(node, peer);
    return done;
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
    frame_template_init(&port->template, node->self, peer, node->task.number);
    node->task.ports[node->task.ports_count++] = port;
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

enum cairn_error
peers_attach(struct node *node, char *detail, size_t detail_bytes)
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
    bool room = assemblies_init(node, seat);

    for (uint32_t i = 0; i < snapshot->count && room; i++)
        room = log_make_room(node, snapshot->logs[i].log, seat);
    if (!room) {
        snprintf(detail, detail_bytes, "no memory for what comes from there (lower memory_mib in the cluster file)");
        return CAIRN_NO_MEMORY;
    }
    return port_init(node, seat, detail, detail_bytes);
}
