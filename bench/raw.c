#include "bench/raw.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <urcu/urcu-qsbr.h>

#include "bench/cpus.h"
#include "dataplane/clock.h"
#include "dataplane/eal.h"

#define ANSWER_NS 2000000000u

static struct rte_mbuf *
small_frame(struct port *port)
{
    struct rte_mbuf *frame = rte_pktmbuf_alloc(port->pool);

    if (frame == NULL)
        return NULL;
    memset(rte_pktmbuf_append(frame, RAW_FRAME_BYTES), 0xca, RAW_FRAME_BYTES);
    return frame;
}

void
raw_echo(struct port *port, const _Atomic bool *stop, bool yields)
{
    struct rte_mbuf *frames[PORT_BURST];

    while (!atomic_load_explicit(stop, memory_order_relaxed)) {
        uint16_t count = rte_eth_rx_burst(port->port_id, port->queue_id, frames, PORT_BURST), sent;

        urcu_qsbr_quiescent_state();
        if (count == 0) {
            if (yields)
                sched_yield();
            continue;
        }
        sent = rte_eth_tx_burst(port->port_id, port->queue_id, frames, count);
        if (sent < count)
            rte_pktmbuf_free_bulk(frames + sent, count - sent);
    }
}

static bool
one_round_trip(struct port *port, struct clock *clock, bool yields, uint64_t *latency_ns)
{
    struct rte_mbuf *frame = small_frame(port), *back;
    uint64_t start_ns = clock_now_ns(clock), now_ns;

    if (frame == NULL)
        return false;
    while (rte_eth_tx_burst(port->port_id, port->queue_id, &frame, 1) == 0) {
        if (clock_now_ns(clock) - start_ns > ANSWER_NS) {
            rte_pktmbuf_free(frame);
            return false;
        }
    }
    while (rte_eth_rx_burst(port->port_id, port->queue_id, &back, 1) == 0) {
        if (clock_now_ns(clock) - start_ns > ANSWER_NS)
            return false;
        if (yields)
            sched_yield();
    }
    now_ns = clock_now_ns(clock);
    rte_pktmbuf_free(back);
    *latency_ns = now_ns - start_ns;
    return true;
}

bool
raw_round_trips(struct port *port, uint32_t count, bool yields, struct histogram *histogram)
{
    struct clock clock;
    uint64_t latency_ns;

    clock_start(&clock);
    /* The first tenth warms up. */
    for (uint32_t i = 0; i < count + count / 10; i++) {
        if (!one_round_trip(port, &clock, yields, &latency_ns))
            return false;
        if (i >= count / 10)
            histogram_add(histogram, latency_ns);
        urcu_qsbr_quiescent_state();
    }
    return true;
}

void
raw_sink(struct port *port, const _Atomic bool *stop, _Atomic uint64_t *received)
{
    struct rte_mbuf *frames[PORT_BURST];

    while (!atomic_load_explicit(stop, memory_order_relaxed)) {
        uint16_t count = rte_eth_rx_burst(port->port_id, port->queue_id, frames, PORT_BURST);

        urcu_qsbr_quiescent_state();
        if (count == 0)
            continue;
        rte_pktmbuf_free_bulk(frames, count);
        atomic_fetch_add_explicit(received, count, memory_order_relaxed);
    }
}

void
raw_flood(struct port *port, uint64_t duration_ns)
{
    struct rte_mbuf *frames[PORT_BURST];
    uint16_t ready = 0;
    struct clock clock;
    uint64_t end_ns;

    clock_start(&clock);
    end_ns = clock_now_ns(&clock) + duration_ns;
    while (clock_now_ns(&clock) < end_ns) {
        uint16_t sent;

        while (ready < PORT_BURST && (frames[ready] = small_frame(port)) != NULL)
            ready++;
        sent = rte_eth_tx_burst(port->port_id, port->queue_id, frames, ready);
        memmove(frames, frames + sent, (size_t)(ready - sent) * sizeof(*frames));
        ready -= sent;
        urcu_qsbr_quiescent_state();
    }
    rte_pktmbuf_free_bulk(frames, ready);
}

void
raw_drain(struct port *port)
{
    struct rte_mbuf *frames[PORT_BURST];
    uint16_t count;

    while ((count = rte_eth_rx_burst(port->port_id, port->queue_id, frames, PORT_BURST)) > 0)
        rte_pktmbuf_free_bulk(frames, count);
}

enum cairn_error
raw_pair_open(struct raw_pair *pair, char *detail, size_t detail_bytes)
{
    struct rte_mempool *near_pool = port_pool_create("raw-near", PORT_FRAME_BYTES),
                       *far_pool = port_pool_create("raw-far", PORT_FRAME_BYTES);
    struct device_queues near, far;

    memset(pair, 0, sizeof(*pair));
    pair->cpu = -1;
    if (near_pool == NULL || far_pool == NULL) {
        snprintf(detail, detail_bytes, "no memory for the raw transport's frames");
        return CAIRN_NO_MEMORY;
    }
    near = (struct device_queues){.ports = {&pair->near}, .pools = {near_pool}, .count = 1};
    far = (struct device_queues){.ports = {&pair->far}, .pools = {far_pool}, .count = 1};
    return device_pair_create("raw", &pair->near_device, &near, &pair->far_device, &far, detail, detail_bytes);
}

static void *
far_run(void *argument)
{
    struct raw_pair *pair = argument;

    if (pair->cpu >= 0)
        cpus_pin(pair->cpu);
    eal_enter_thread();
    if (pair->sink)
        raw_sink(&pair->far, &pair->stop, &pair->received);
    else
        raw_echo(&pair->far, &pair->stop, pair->yields);
    eal_leave_thread();
    return NULL;
}

bool
raw_pair_start(struct raw_pair *pair, bool sink)
{
    pair->sink = sink;
    atomic_store(&pair->stop, false);
    return pthread_create(&pair->thread, NULL, far_run, pair) == 0;
}

void
raw_pair_stop(struct raw_pair *pair)
{
    atomic_store(&pair->stop, true);
    pthread_join(pair->thread, NULL);
}

void
raw_pair_close(struct raw_pair *pair)
{
    raw_drain(&pair->near);
    raw_drain(&pair->far);
    device_close(&pair->near_device);
    device_close(&pair->far_device);
}
