/* An ethdev: a link to a peer, or an interface to all of them. Each worker has the queue of its number, as a port (port.h).
 *
 *   field      writer                              reader
 *   up         control thread, interrupt thread    workers    may its queues be polled?
 *   restarts   both                                control thread
 *   the rest   who makes it */
#ifndef DATAPLANE_DEVICE_H
#define DATAPLANE_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cairn/error.h"
#include "cairn/types.h"

struct port;
struct rte_mempool;
struct rte_ring;

/* A frame with its headers fits one memif buffer and one mbuf. */
#define PORT_FRAME_BYTES 2048u
#define PORT_MBUFS 2047u
#define PORT_RING_ENTRIES 256u

struct device {
    uint16_t port_id;
    bool made;
    bool connects; /* this end has to (re)connect: memif's client */
    _Atomic bool up;
    _Atomic bool restarts; /* EAL's interrupt thread is about to stop and start it */
};

/* The ports that are its queues, by worker, and the pool that each takes frames from. */
struct device_queues {
    struct port *ports[CAIRN_WORKERS_MAX];
    struct rte_mempool *pools[CAIRN_WORKERS_MAX];
    uint16_t count;
};

/* Frames of a worker, of PORT_FRAME_BYTES at least; the pool is small on purpose: what is recycled stays in the cache. */
struct rte_mempool *port_pool_create(const char *name, uint32_t frame_bytes);

/* What an interface of the kernel wants room for, though no frame is longer than the others. */
#define PORT_INTERFACE_BYTES (2 * PORT_FRAME_BYTES)

/* One end of a link by rings that the caller owns, two a queue (net_ring). */
enum cairn_error device_ring_create(const char *name, struct rte_ring *const *receive, struct rte_ring *const *send,
                                    struct device *device, const struct device_queues *queues, char *detail,
                                    size_t detail_bytes);

/* Two ends of a link inside this process (net_ring), of as many queues each. */
enum cairn_error device_pair_create(const char *name, struct device *left, const struct device_queues *left_queues,
                                    struct device *right, const struct device_queues *right_queues, char *detail,
                                    size_t detail_bytes);

/* One end of a link to another process (net_memif). The driver hands the other end its memory, so both have to be one user's:
 * socket is a path where only that user can be, and secret what both ends know; listens tells which end waits for the other,
 * and takes away what is left there. Both ends have as many queues. */
enum cairn_error device_memif_create(const char *name, const char *socket, const char *secret, bool listens,
                                     struct device *device, const struct device_queues *queues, char *detail,
                                     size_t detail_bytes);

/* A link to all others by a network interface of the kernel (net_af_packet), of one queue. Each frame comes to every device
 * of an interface, so each worker has one of its own. Ports to further peers are copies, with `shared` set. */
enum cairn_error device_interface_create(const char *name, const char *interface, struct device *device,
                                         const struct device_queues *queues, char *detail, size_t detail_bytes);

/* The control thread, a few times a second: connects an end that has to, when the other is there. EAL's interrupt
 * thread does it, and waits for the workers' quiescent states; the device stays where it is until device_close. */
void device_maintain(struct device *device);

/* Returns when it is closed, and polled no more. Not from an alarm. Does nothing for one that was never made. */
void device_close(struct device *device);

#endif
