#include "dataplane/device.h"

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

#include "dataplane/port.h"

#define MBUF_CACHE 128u

_Static_assert(((PORT_MBUFS + 1) & PORT_MBUFS) == 0, "a pool's ring has one place more than frames");
_Static_assert(MBUF_CACHE * 3 <= PORT_MBUFS * 2, "DPDK: a cache is not most of the pool");
_Static_assert((PORT_RING_ENTRIES & (PORT_RING_ENTRIES - 1)) == 0, "an rte_ring's size");
/* Its rings have 2 to the power of that many entries. */
#define MEMIF_RING_BITS 8
_Static_assert(PORT_RING_ENTRIES == 1u << MEMIF_RING_BITS, "queues are as long on each kind of link");

struct rte_mempool *
port_pool_create(const char *name, uint32_t frame_bytes)
{
    assert(frame_bytes >= PORT_FRAME_BYTES && frame_bytes <= UINT16_MAX - RTE_PKTMBUF_HEADROOM);
    return rte_pktmbuf_pool_create(name, PORT_MBUFS, MBUF_CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + frame_bytes),
                                   SOCKET_ID_ANY);
}

static enum cairn_error
refuse(char *detail, size_t detail_bytes, const char *name, const char *what, int error)
{
    snprintf(detail, detail_bytes, "port %s: %s: %s", name, what, rte_strerror(error < 0 ? -error : error));
    return CAIRN_IO;
}

/* Each worker's queue is its port. */
static void
ports_init(const struct device *device, const struct device_queues *queues, bool chains)
{
    for (uint16_t queue = 0; queue < queues->count; queue++) {
        struct port *port = queues->ports[queue];

        /* Before anything is sent by it. */
        assert(port->queued == 0 && port->sent == 0);
        port->device = device;
        port->port_id = device->port_id;
        port->queue_id = queue;
        port->pool = queues->pools[queue];
        port->chains = chains;
        port->queued = 0;
    }
}

static int
configure(struct device *device, const struct device_queues *queues)
{
    const uint16_t port_id = device->port_id;
    struct rte_eth_conf configuration;
    struct rte_eth_dev_info info;
    bool chains;
    int error;

    assert(queues->count > 0 && queues->count <= CAIRN_WORKERS_MAX);
    assert(!device->made);
    device->made = true;
    atomic_store(&device->up, false);
    atomic_store(&device->restarts, false);
    memset(&configuration, 0, sizeof(configuration));
    error = rte_eth_dev_info_get(port_id, &info);
    chains = error == 0 && (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
    if (chains)
        configuration.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (error == 0)
        error = rte_eth_dev_configure(port_id, queues->count, queues->count, &configuration);
    for (uint16_t queue = 0; queue < queues->count && error == 0; queue++) {
        error = rte_eth_rx_queue_setup(port_id, queue, PORT_RING_ENTRIES, SOCKET_ID_ANY, NULL, queues->pools[queue]);
        if (error == 0)
            error = rte_eth_tx_queue_setup(port_id, queue, PORT_RING_ENTRIES, SOCKET_ID_ANY, NULL);
    }
    if (error == 0)
        ports_init(device, queues, chains);
    return error;
}

static int
start(struct device *device)
{
    int error = rte_eth_dev_start(device->port_id);

    assert(device->made && !atomic_load(&device->up));
    if (error == 0)
        atomic_store(&device->up, true);
    return error;
}

enum cairn_error
device_ring_create(const char *name, struct rte_ring *const *receive, struct rte_ring *const *send,
                   struct device *device, const struct device_queues *queues, char *detail, size_t detail_bytes)
{
    int port_id = rte_eth_from_rings(name, receive, queues->count, send, queues->count, SOCKET_ID_ANY), error;

    if (port_id < 0)
        return refuse(detail, detail_bytes, name, "net_ring", rte_errno);
    device->port_id = (uint16_t)port_id;
    error = configure(device, queues);
    if (error == 0)
        error = start(device);
    return error == 0 ? CAIRN_OK : refuse(detail, detail_bytes, name, "net_ring", error);
}

/* A ring for each queue. */
static bool
make_rings(const char *name, char way, struct rte_ring **rings, uint16_t count)
{
    char ring_name[RTE_RING_NAMESIZE];
    bool all = true;

    assert(count > 0 && count <= CAIRN_WORKERS_MAX);
    for (uint16_t queue = 0; queue < count && all; queue++) {
        snprintf(ring_name, sizeof(ring_name), "%s%c%u", name, way, queue);
        rings[queue] = rte_ring_create(ring_name, PORT_RING_ENTRIES, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        all = rings[queue] != NULL;
    }
    return all;
}

enum cairn_error
device_pair_create(const char *name, struct device *left, const struct device_queues *left_queues, struct device *right,
                   const struct device_queues *right_queues, char *detail, size_t detail_bytes)
{
    struct rte_ring *there[CAIRN_WORKERS_MAX], *back[CAIRN_WORKERS_MAX];
    char end[RTE_RING_NAMESIZE];
    enum cairn_error error;

    assert(left_queues->count == right_queues->count);
    assert(left != right);
    if (!make_rings(name, '>', there, left_queues->count) || !make_rings(name, '<', back, left_queues->count))
        return refuse(detail, detail_bytes, name, "no memory for its rings", rte_errno);
    snprintf(end, sizeof(end), "%sa", name);
    error = device_ring_create(end, back, there, left, left_queues, detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    snprintf(end, sizeof(end), "%sb", name);
    return device_ring_create(end, there, back, right, right_queues, detail, detail_bytes);
}

enum cairn_error
device_memif_create(const char *name, const char *socket, const char *secret, bool listens, struct device *device,
                    const struct device_queues *queues, char *detail, size_t detail_bytes)
{
    char driver[RTE_DEV_NAME_MAX_LEN], args[256];
    int error;

    /* Of a directory where only one user can be: messages name what is in it. */
    assert(strchr(socket, '/') != NULL);
    snprintf(driver, sizeof(driver), "net_memif%s", name);
    /* What a process that is gone has left: the node's lock says that none is there. */
    if (listens)
        unlink(socket);
    snprintf(args, sizeof(args), "role=%s,socket=%s,socket-abstract=no,secret=%s,rsize=%u,bsize=%u",
             listens ? "server" : "client", socket, secret, MEMIF_RING_BITS, PORT_FRAME_BYTES);
    error = rte_vdev_init(driver, args);
    if (error != 0) {
        snprintf(
            detail, detail_bytes,
            "port %s: its memif socket %s cannot be made: %s (is another node with this name and cluster running?)",
            name, strrchr(socket, '/') + 1, rte_strerror(-error));
        return CAIRN_IO;
    }
    if (rte_eth_dev_get_port_by_name(driver, &device->port_id) != 0)
        return refuse(detail, detail_bytes, name, "net_memif", ENODEV);
    device->connects = !listens;
    error = configure(device, queues);
    if (error == 0 && listens)
        error = start(device);
    return error == 0 ? CAIRN_OK : refuse(detail, detail_bytes, name, "net_memif", error);
}

enum cairn_error
device_interface_create(const char *name, const char *interface, struct device *device,
                        const struct device_queues *queues, char *detail, size_t detail_bytes)
{
    char driver[RTE_DEV_NAME_MAX_LEN], args[256];
    int error;

    assert(queues->count == 1);
    snprintf(driver, sizeof(driver), "net_af_packet%s", name);
    /* Through the queueing discipline, so that rules which others put there hold. */
    snprintf(args, sizeof(args), "iface=%s,blocksz=%u,framesz=%u,framecnt=%u,qdisc_bypass=0", interface,
             8 * PORT_INTERFACE_BYTES, PORT_INTERFACE_BYTES, 2 * PORT_RING_ENTRIES);
    error = rte_vdev_init(driver, args);
    if (error != 0) {
        snprintf(detail, detail_bytes, "port %s: no AF_PACKET socket on interface %s (is it there, and are you root?)",
                 name, interface);
        return CAIRN_IO;
    }
    if (rte_eth_dev_get_port_by_name(driver, &device->port_id) != 0)
        return refuse(detail, detail_bytes, name, "net_af_packet", ENODEV);
    error = configure(device, queues);
    if (error == 0)
        error = start(device);
    return error == 0 ? CAIRN_OK : refuse(detail, detail_bytes, name, "net_af_packet", error);
}

/* memif talks to its peer (who is there, where the rings are) in EAL's interrupt thread, and takes no lock that stopping
 * or starting the port would take: so these are done in that thread too, as alarms. */
#define ALARM_SOON_US 1

static void
device_start(void *argument)
{
    struct device *device = argument;

    assert(atomic_load(&device->restarts) && !atomic_load(&device->up));
    if (rte_eth_dev_start(device->port_id) == 0)
        atomic_store(&device->up, true);
    atomic_store(&device->restarts, false);
}

/* The start is an alarm of its own: an event that the thread has already fetched for the old socket
 * must not be taken for the new one's, which may have the same number. */
static void
device_stop(void *argument)
{
    struct device *device = argument;

    assert(device->connects && atomic_load(&device->restarts));
    if (atomic_exchange(&device->up, false)) {
        urcu_qsbr_synchronize_rcu();
        rte_eth_dev_stop(device->port_id);
    }
    if (rte_eal_alarm_set(ALARM_SOON_US, device_start, device) != 0)
        atomic_store(&device->restarts, false);
}

void
device_maintain(struct device *device)
{
    struct rte_eth_link link;

    if (!device->connects || atomic_load(&device->restarts))
        return;
    assert(device->made);
    memset(&link, 0, sizeof(link));
    rte_eth_link_get_nowait(device->port_id, &link);
    if (link.link_status == RTE_ETH_LINK_UP)
        return;
    /* DPDK's memif client tries only when it is started. */
    atomic_store(&device->restarts, true);
    if (rte_eal_alarm_set(ALARM_SOON_US, device_stop, device) != 0)
        atomic_store(&device->restarts, false);
}

struct closing {
    struct device *device;
    sem_t done;
};

static void
device_end(void *argument)
{
    struct closing *closing = argument;

    assert(closing->device->made);
    /* In this order: a stop sets the alarm of a start. */
    rte_eal_alarm_cancel(device_stop, closing->device);
    rte_eal_alarm_cancel(device_start, closing->device);
    rte_eth_dev_stop(closing->device->port_id);
    rte_eth_dev_close(closing->device->port_id);
    sem_post(&closing->done);
}

void
device_close(struct device *device)
{
    struct closing closing = {.device = device};

    atomic_store(&device->up, false);
    if (!device->made)
        return;
    sem_init(&closing.done, 0, 0);
    if (rte_eal_alarm_set(ALARM_SOON_US, device_end, &closing) != 0)
        device_end(&closing);
    while (sem_wait(&closing.done) != 0)
        assert(errno == EINTR);
    sem_destroy(&closing.done);
}
