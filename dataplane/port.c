#include "dataplane/port.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"

struct rte_mbuf *
port_frame(struct port *port)
{
    return port->pool == NULL ? NULL : rte_pktmbuf_alloc(port->pool);
}

bool
port_chain(struct port *port, struct rte_mbuf *frame, const void *bytes, uint32_t size_bytes,
           struct rte_mbuf_ext_shared_info *shared)
{
    struct rte_mbuf *tail = rte_pktmbuf_alloc(port->pool);

    if (tail == NULL)
        return false;
    assert_costly(port->chains && frame->nb_segs == 1 && frame->pkt_len == frame->data_len);
    assert_costly(size_bytes > 0 && frame->pkt_len + size_bytes + FRAME_HEAD_BYTES <= PORT_FRAME_BYTES);
    rte_mbuf_ext_refcnt_update(shared, 1);
    /* The segment's own claim, and this. */
    assert_costly(rte_mbuf_ext_refcnt_read(shared) >= 2);
    rte_pktmbuf_attach_extbuf(tail, (void *)(uintptr_t)bytes, RTE_BAD_IOVA, (uint16_t)size_bytes, shared);
    tail->data_off = 0;
    tail->data_len = (uint16_t)size_bytes;
    tail->pkt_len = size_bytes;
    frame->next = tail;
    frame->nb_segs = 2;
    frame->pkt_len += size_bytes;
    return true;
}

static void
enqueue(struct port *port, struct rte_mbuf *frame)
{
    assert_costly(port->queued <= PORT_QUEUE);
    if (port->queued == PORT_QUEUE) {
        port->unsent++;
        rte_pktmbuf_free(frame);
        return;
    }
    port->queue[port->queued++] = frame;
}

void
port_send(struct port *port, struct rte_mbuf *frame, uint64_t now_ns, bool wake)
{
    uint32_t payload_bytes = frame->pkt_len;
    uint8_t *head = (uint8_t *)rte_pktmbuf_prepend(frame, FRAME_HEAD_BYTES);
    struct rte_mbuf *out[2];
    uint32_t count;

    assert_costly(payload_bytes > 0 && payload_bytes + FRAME_HEAD_BYTES <= PORT_FRAME_BYTES);
    assert_costly(port->fault == NULL || port->faults != NULL);
    frame_write(&port->template, head, payload_bytes);
    port->wake_peer |= wake;
    if (port->fault == NULL) {
        enqueue(port, frame);
        return;
    }
    count = fault_apply(port->faults, port->fault, frame, now_ns, out);
    for (uint32_t i = 0; i < count; i++)
        enqueue(port, out[i]);
}

void
port_reflect(struct port *port, struct rte_mbuf *frame)
{
    assert(frame->nb_segs == 1);
    rte_mbuf_refcnt_update(frame, 1);
    enqueue(port, frame);
}

static void
release_delayed(struct port *port, uint64_t now_ns)
{
    struct rte_mbuf *due[PORT_QUEUE];
    uint32_t count = fault_due(port->faults, now_ns, due, port_room(port));

    /* None of them is dropped for want of room. */
    assert(count <= port_room(port));
    for (uint32_t i = 0; i < count; i++)
        enqueue(port, due[i]);
}

static void
wake_peer(struct port *port)
{
    struct doorbell *bell = port->peer_bell == NULL ? NULL
                                                    : atomic_load_explicit(port->peer_bell, memory_order_acquire);

    if (bell != NULL)
        doorbell_ring(bell);
    port->wake_peer = false;
}

void
port_flush(struct port *port, uint64_t now_ns)
{
    uint16_t sent;

    if (port->faults != NULL && port->faults->count > 0)
        release_delayed(port, now_ns);
    if (port->queued == 0)
        return;
    if (!atomic_load_explicit(&port->device->up, memory_order_acquire)) {
        /* Nobody is there: as lost as on a pulled cable. */
        rte_pktmbuf_free_bulk(port->queue, port->queued);
        port->unsent += port->queued;
        port->queued = 0;
        return;
    }
    sent = rte_eth_tx_burst(port->port_id, port->queue_id, port->queue, (uint16_t)port->queued);
    assert_costly(sent <= port->queued);
    port->sent += sent;
    port->queued -= sent;
    if (port->queued > 0 && sent > 0)
        memmove(port->queue, port->queue + sent, port->queued * sizeof(*port->queue));
    if (port->wake_peer)
        wake_peer(port);
}

void
port_empty(struct port *port)
{
    while (port->queued > 0)
        rte_pktmbuf_free(port->queue[--port->queued]);
}
