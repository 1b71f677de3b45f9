#include "node/worker/ports.h"

#include <assert.h>
#include <stdlib.h>

#include "node/state.h"
#include "node/worker/assembly.h"
#include "node/worker/worker.h"

bool
ports_make_room(struct worker *worker, uint8_t peer)
{
    assert(peer != worker->self);
    for (uint32_t i = 0; i < ASSEMBLIES_PER_PEER; i++) {
        assert(worker->assemblies[peer][i].bytes == NULL && worker->assemblies[peer][i].received == 0);
        worker->assemblies[peer][i].bytes = aligned_alloc(64, (RECORD_BYTES_MAX + 63) & ~(size_t)63);
        if (worker->assemblies[peer][i].bytes == NULL)
            return false;
    }
    return true;
}

bool
ports_make_room_for_all(struct worker *worker)
{
    bool done = true;

    for (uint8_t peer = 0; done && peer < worker->nodes; peer++)
        done = peer == worker->self || ports_make_room(worker, peer);
    return done;
}

void
port_attach(struct worker *worker, uint8_t peer)
{
    struct port *port = &worker->ports[peer];

    if (port->pool == NULL)
        return;
    assert(peer != worker->self && worker->task.ports_count < TASK_PORTS_MAX);
    port->peer = peer;
    port->peer_bell = &worker->peer_bells[peer];
    port->faults = &worker->faults[peer];
    port->faults->random = worker->config->seed * 31 + peer + 1024u * worker->task.number;
    frame_template_init(&port->template, worker->self, peer, worker->task.number);
    worker->task.ports[worker->task.ports_count++] = port;
}
