#include "port.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <urcu/urcu-qsbr.h>

#define MBUF_CACHE 128u

struct rte_mempool *
port_pool_create(const char *name, uint32_t frame_bytes)
{
    return rte_pktmbuf_pool_create(name, PORT_MBUFS, MBUF_CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + frame_bytes),
                                   SOCKET_ID_ANY);
}

static enum cairn_error
refuse(char *detail, size_t detail_bytes, const char *name, const char *what, int error)
{
    snprintf(detail, detail_bytes, "port %s: %s: %s", name, what, rte_strerror(error < 0 ? -error : error));
    return CAIRN_IO;
}

static void
port_reset(struct port *port, uint16_t port_id, struct rte_mempool *pool)
{
    port->port_id = port_id;
    port->queue_id = 0;
    port->pool = pool;
    port->queued = 0;
    atomic_store(&port->up, false);
    atomic_store(&port->restarts, false);
}

static int
configure(struct port *port, struct rte_mempool *pool)
{
    struct rte_eth_conf configuration;
    struct rte_eth_dev_info info;
    int error;

    memset(&configuration, 0, sizeof(configuration));
    error = rte_eth_dev_info_get(port->port_id, &info);
    port->chains = error == 0 && (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
    if (port->chains)
        configuration.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (error == 0)
        error = rte_eth_dev_configure(port->port_id, 1, 1, &configuration);
    if (error == 0)
        error = rte_eth_rx_queue_setup(port->port_id, 0, PORT_RING_ENTRIES, SOCKET_ID_ANY, NULL, pool);
    if (error == 0)
        error = rte_eth_tx_queue_setup(port->port_id, 0, PORT_RING_ENTRIES, SOCKET_ID_ANY, NULL);
    return error;
}

enum cairn_error
port_ring_create(const char *name, struct rte_ring *receive, struct rte_ring *send, struct port *port,
                 struct rte_mempool *pool, char *detail, size_t detail_bytes)
{
    int port_id = rte_eth_from_rings(name, &receive, 1, &send, 1, SOCKET_ID_ANY), error;

    if (port_id < 0)
        return refuse(detail, detail_bytes, name, "net_ring", rte_errno);
    port_reset(port, (uint16_t)port_id, pool);
    error = configure(port, pool);
    if (error == 0)
        error = rte_eth_dev_start(port->port_id);
    if (error != 0)
        return refuse(detail, detail_bytes, name, "net_ring", error);
    atomic_store(&port->up, true);
    return CAIRN_OK;
}

enum cairn_error
port_pair_create(const char *name, struct port *left, struct rte_mempool *left_pool, struct port *right,
                 struct rte_mempool *right_pool, char *detail, size_t detail_bytes)
{
    const unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
    struct rte_ring *there, *back;
    char ring_name[RTE_RING_NAMESIZE], end[RTE_RING_NAMESIZE];
    enum cairn_error error;

    snprintf(ring_name, sizeof(ring_name), "%s>", name);
    there = rte_ring_create(ring_name, PORT_RING_ENTRIES, SOCKET_ID_ANY, flags);
    snprintf(ring_name, sizeof(ring_name), "%s<", name);
    back = rte_ring_create(ring_name, PORT_RING_ENTRIES, SOCKET_ID_ANY, flags);
    if (there == NULL || back == NULL)
        return refuse(detail, detail_bytes, name, "no memory for its rings", rte_errno);
    snprintf(end, sizeof(end), "%sa", name);
    error = port_ring_create(end, back, there, left, left_pool, detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    snprintf(end, sizeof(end), "%sb", name);
    return port_ring_create(end, there, back, right, right_pool, detail, detail_bytes);
}

enum cairn_error
port_memif_create(const char *name, const char *socket, const char *secret, bool listens, struct port *port,
                  struct rte_mempool *pool, char *detail, size_t detail_bytes)
{
    char device[RTE_DEV_NAME_MAX_LEN], args[256];
    uint16_t port_id;
    int error;

    snprintf(device, sizeof(device), "net_memif%s", name);
    /* What a process that is gone has left; that none is there its node's lock says. */
    if (listens)
        unlink(socket);
    snprintf(args, sizeof(args), "role=%s,socket=%s,socket-abstract=no,secret=%s,rsize=8,bsize=%u",
             listens ? "server" : "client", socket, secret, PORT_FRAME_BYTES);
    error = rte_vdev_init(device, args);
    if (error != 0) {
        snprintf(
            detail, detail_bytes,
            "port %s: its memif socket %s cannot be made: %s (is another node with this name and cluster running?)",
            name, strrchr(socket, '/') + 1, rte_strerror(-error));
        return CAIRN_IO;
    }
    if (rte_eth_dev_get_port_by_name(device, &port_id) != 0)
        return refuse(detail, detail_bytes, name, "net_memif", ENODEV);
    port_reset(port, port_id, pool);
    port->connects = !listens;
    error = configure(port, pool);
    if (error != 0)
        return refuse(detail, detail_bytes, name, "net_memif", error);
    if (listens) {
        error = rte_eth_dev_start(port_id);
        if (error != 0)
            return refuse(detail, detail_bytes, name, "net_memif", error);
        atomic_store(&port->up, true);
    }
    return CAIRN_OK;
}

enum cairn_error
port_interface_create(const char *name, const char *interface, struct port *port, struct rte_mempool *pool,
                      char *detail, size_t detail_bytes)
{
    char device[RTE_DEV_NAME_MAX_LEN], args[256];
    uint16_t port_id;
    int error;

    snprintf(device, sizeof(device), "net_af_packet%s", name);
    /* Through the queueing discipline, so that rules which others put there hold. */
    snprintf(args, sizeof(args), "iface=%s,blocksz=%u,framesz=%u,framecnt=%u,qdisc_bypass=0", interface,
             8 * PORT_INTERFACE_BYTES, PORT_INTERFACE_BYTES, 2 * PORT_RING_ENTRIES);
    error = rte_vdev_init(device, args);
    if (error != 0) {
        snprintf(detail, detail_bytes, "port %s: no AF_PACKET socket on interface %s (is it there, and are you root?)",
                 name, interface);
        return CAIRN_IO;
    }
    if (rte_eth_dev_get_port_by_name(device, &port_id) != 0)
        return refuse(detail, detail_bytes, name, "net_af_packet", ENODEV);
    port_reset(port, port_id, pool);
    error = configure(port, pool);
    if (error == 0)
        error = rte_eth_dev_start(port_id);
    if (error != 0)
        return refuse(detail, detail_bytes, name, "net_af_packet", error);
    atomic_store(&port->up, true);
    return CAIRN_OK;
}

/* memif talks to its peer (who is there, where the rings are) in EAL's interrupt thread, and takes no lock that stopping
 * or starting the port would take: so these are done in that thread too, as alarms. */
#define ALARM_SOON_US 1

static void
port_start(void *argument)
{
    struct port *port = argument;

    if (rte_eth_dev_start(port->port_id) == 0)
        atomic_store(&port->up, true);
    atomic_store(&port->restarts, false);
}

/* The start is an alarm of its own: an event that the thread has already fetched for the old socket
 * must not be taken for the new one's, which may have the same number. */
static void
port_stop(void *argument)
{
    struct port *port = argument;

    if (atomic_exchange(&port->up, false)) {
        urcu_qsbr_synchronize_rcu();
        rte_eth_dev_stop(port->port_id);
    }
    if (rte_eal_alarm_set(ALARM_SOON_US, port_start, port) != 0)
        atomic_store(&port->restarts, false);
}

void
port_maintain(struct port *port)
{
    struct rte_eth_link link;

    if (!port->connects || atomic_load(&port->restarts))
        return;
    memset(&link, 0, sizeof(link));
    rte_eth_link_get_nowait(port->port_id, &link);
    if (link.link_status == RTE_ETH_LINK_UP)
        return;
    /* DPDK's memif client tries only when it is started. */
    atomic_store(&port->restarts, true);
    if (rte_eal_alarm_set(ALARM_SOON_US, port_stop, port) != 0)
        atomic_store(&port->restarts, false);
}

struct closing {
    struct port *port;
    sem_t done;
};

static void
port_end(void *argument)
{
    struct closing *closing = argument;

    /* In this order: a stop sets the alarm of a start. */
    rte_eal_alarm_cancel(port_stop, closing->port);
    rte_eal_alarm_cancel(port_start, closing->port);
    rte_eth_dev_stop(closing->port->port_id);
    rte_eth_dev_close(closing->port->port_id);
    sem_post(&closing->done);
}

void
port_close(struct port *port)
{
    struct closing closing = {.port = port};

    atomic_store(&port->up, false);
    while (port->queued > 0)
        rte_pktmbuf_free(port->queue[--port->queued]);
    if (port->borrowed || port->shared)
        return;
    sem_init(&closing.done, 0, 0);
    if (rte_eal_alarm_set(ALARM_SOON_US, port_end, &closing) != 0)
        port_end(&closing);
    while (sem_wait(&closing.done) != 0)
        assert(errno == EINTR);
    sem_destroy(&closing.done);
}

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
    rte_mbuf_ext_refcnt_update(shared, 1);
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
    rte_mbuf_refcnt_update(frame, 1);
    enqueue(port, frame);
}

static void
release_delayed(struct port *port, uint64_t now_ns)
{
    struct rte_mbuf *due[PORT_QUEUE];
    uint32_t count = fault_due(port->faults, now_ns, due, port_room(port));

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
    if (!atomic_load_explicit(&port->up, memory_order_acquire)) {
        /* Nobody is there: as lost as on a pulled cable. */
        rte_pktmbuf_free_bulk(port->queue, port->queued);
        port->unsent += port->queued;
        port->queued = 0;
        return;
    }
    sent = rte_eth_tx_burst(port->port_id, port->queue_id, port->queue, (uint16_t)port->queued);
    port->sent += sent;
    port->queued -= sent;
    if (port->queued > 0 && sent > 0)
        memmove(port->queue, port->queue + sent, port->queued * sizeof(*port->queue));
    if (port->wake_peer)
        wake_peer(port);
}
