/* A node's end of a link to a peer: a queue of an ethdev, what is about to be sent on it, and the
 * faults injected there. Ports are DPDK ethdevs and nothing else.
 *
 *   field     writer             reader
 *   up        control thread     worker     may the ethdev be polled?
 *   the rest  worker
 */
#ifndef DATAPLANE_PORT_H
#define DATAPLANE_PORT_H

#include <stdatomic.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "cairn/error.h"
#include "doorbell.h"
#include "fault.h"
#include "frame.h"

/* A frame with its headers fits one memif buffer and one mbuf. */
#define PORT_FRAME_BYTES 2048u
#define PORT_BURST 32u
#define PORT_QUEUE 64u
#define PORT_MBUFS 2047u
#define PORT_RING_ENTRIES 256u

struct port {
    uint16_t port_id, queue_id;
    uint8_t peer;
    bool connects; /* this end has to (re)connect: memif's client */
    bool chains;   /* the ethdev sends frames of several segments */
    bool borrowed; /* somebody else closes the ethdev */
    bool shared;   /* its ethdev goes to several peers, and another of their ports receives for all */
    _Atomic bool up;
    _Atomic bool restarts; /* EAL's interrupt thread is about to stop and start it */
    struct rte_mempool *pool;
    struct frame_template template;
    _Atomic(struct doorbell *) *peer_bell; /* NULL, here or there: the peer cannot be woken from here */
    bool wake_peer;                        /* something other than a heartbeat is queued */
    struct rte_mbuf *queue[PORT_QUEUE];
    uint32_t queued;
    const struct fault_rule *fault; /* NULL: none */
    struct fault_queue *faults;
    uint64_t sent, received, unsent;
};

/* Frames of a node, of PORT_FRAME_BYTES at least; the pool is small on purpose: what is recycled stays in the cache. */
struct rte_mempool *port_pool_create(const char *name, uint32_t frame_bytes);

/* What an interface of the kernel wants room for, though no frame is longer than the others. */
#define PORT_INTERFACE_BYTES (2 * PORT_FRAME_BYTES)

/* Two ends of a link inside this process (net_ring). */
enum cairn_error port_pair_create(const char *name, struct port *left, struct rte_mempool *left_pool,
                                  struct port *right, struct rte_mempool *right_pool, char *detail,
                                  size_t detail_bytes);

/* One end of a link by two rings that the caller owns (net_ring). */
enum cairn_error port_ring_create(const char *name, struct rte_ring *receive, struct rte_ring *send, struct port *port,
                                  struct rte_mempool *pool, char *detail, size_t detail_bytes);

/* One end of a link to another process (net_memif). The driver hands the other end its memory, so both have to be one user's:
 * socket is a path where only that user can be, and secret what both ends know; listens tells which end waits for the other,
 * and takes away what is left there. */
enum cairn_error port_memif_create(const char *name, const char *socket, const char *secret, bool listens,
                                   struct port *port, struct rte_mempool *pool, char *detail, size_t detail_bytes);

/* A node's link to all others by a network interface of the kernel (net_af_packet). Further peers get a copy of the
 * port, with `shared` set. */
enum cairn_error port_interface_create(const char *name, const char *interface, struct port *port,
                                       struct rte_mempool *pool, char *detail, size_t detail_bytes);

/* The control thread, a few times a second: connects an end that has to, when the other is there. EAL's interrupt
 * thread does it, and waits for the workers' quiescent states; the port stays where it is until port_close. */
void port_maintain(struct port *port);

/* Returns when the port is closed. Not from an alarm. */
void port_close(struct port *port);

/* An empty frame with room for headers; NULL: there is none to be had, or the port was never made. */
struct rte_mbuf *port_frame(struct port *port);

/* Puts size_bytes of memory that is not an mbuf's behind the frame, uncopied. shared counts the frames
 * that refer to that memory; it must not change or go while the count is above one. false: no mbuf. */
bool port_chain(struct port *port, struct rte_mbuf *frame, const void *bytes, uint32_t size_bytes,
                struct rte_mbuf_ext_shared_info *shared);

/* How many frames may be given to port_send() before the next flush makes room. */
static inline uint32_t
port_room(const struct port *port)
{
    return PORT_QUEUE - port->queued;
}

/* Takes a frame whose message is complete (data_len and pkt_len are the message's): puts the
 * headers in front and queues it. Without room it is dropped, as a network would. */
void port_send(struct port *port, struct rte_mbuf *frame, uint64_t now_ns, bool wake);

/* Sends a frame that came in back as it is now; the caller still frees what it received. */
void port_reflect(struct port *port, struct rte_mbuf *frame);

/* Sends what is queued, as far as the ethdev takes it. */
void port_flush(struct port *port, uint64_t now_ns);

#endif
