/* A worker's end of a link to a peer: a queue of an ethdev (device.h), what is about to be sent on it, and the faults
 * injected there. Ports are queues of DPDK ethdevs and nothing else.
 *
 * All of it is the worker's; the device is shared by the workers whose queues it has. */
#ifndef DATAPLANE_PORT_H
#define DATAPLANE_PORT_H

#include <stdatomic.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "assert_costly.h"
#include "cairn/error.h"
#include "dataplane/device.h"
#include "dataplane/fault.h"
#include "dataplane/frame.h"
#include "wire/doorbell.h"

#define PORT_BURST 32u
#define PORT_QUEUE 64u

_Static_assert(PORT_BURST <= PORT_QUEUE, "what came in can be sent back");
_Static_assert(PORT_QUEUE <= PORT_RING_ENTRIES, "an idle link takes all that is queued");
_Static_assert(FRAME_HEAD_BYTES <= RTE_PKTMBUF_HEADROOM, "headers go in front of a message");

struct port {
    const struct device *device;
    uint16_t port_id, queue_id; /* the device's, and which queue of it */
    uint8_t peer;
    bool chains; /* the device sends frames of several segments */
    bool shared; /* its queue goes to several peers, and another of their ports receives for all */
    struct rte_mempool *pool;
    _Atomic(struct doorbell *) *peer_bell; /* NULL, here or there: the peer cannot be woken from here */
    bool wake_peer;                        /* something other than a heartbeat is queued */
    uint32_t queued;
    struct fault_queue *faults;
    const struct fault_rule *fault; /* NULL: none */
    struct frame_template template;
    struct rte_mbuf *queue[PORT_QUEUE];
    uint64_t sent, received, unsent;
};

/* An empty frame with room for headers; NULL: none is left, or the port was never made. */
struct rte_mbuf *port_frame(struct port *port);

/* Puts size_bytes of memory that is not an mbuf's behind the frame, uncopied. shared counts the frames
 * that refer to that memory; it must not change or go while the count is above one. false: no mbuf. */
bool port_chain(struct port *port, struct rte_mbuf *frame, const void *bytes, uint32_t size_bytes,
                struct rte_mbuf_ext_shared_info *shared);

/* How many frames may be given to port_send() before the next flush makes room. */
static inline uint32_t
port_room(const struct port *port)
{
    assert_costly(port->queued <= PORT_QUEUE);
    return PORT_QUEUE - port->queued;
}

/* Takes a frame whose message is complete (data_len and pkt_len are the message's): puts the
 * headers in front and queues it. Without room it is dropped, as a network would. */
void port_send(struct port *port, struct rte_mbuf *frame, uint64_t now_ns, bool wake);

/* Sends a frame that came in back as it is now; the caller still frees what it received. */
void port_reflect(struct port *port, struct rte_mbuf *frame);

/* Sends what is queued, as far as the ethdev takes it. */
void port_flush(struct port *port, uint64_t now_ns);

/* Gives back what was not sent. */
void port_empty(struct port *port);

#endif
