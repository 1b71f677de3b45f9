#include "dataplane/lcore.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

#include <urcu/urcu-qsbr.h>

#include "assert_costly.h"
#include "dataplane/eal.h"
#include "dataplane/neighbour.h"

/* Idle polls before a sleeper gives its core away, and before it sleeps. */
#define SPIN_POLLS 64u
#define YIELD_NS 300000u
#define DRAIN_NS 2000000000u

void
task_init(struct task *task, uint8_t number, const struct task_application *application, uint64_t now_ns)
{
    memset(task, 0, sizeof(*task));
    task->number = number;
    task->application = *application;
    task->now_ns = now_ns;
}

static bool
drop(struct task *task, enum frame_verdict verdict)
{
    assert(verdict != FRAME_OK);
    atomic_fetch_add_explicit(&task->dropped[verdict], 1, memory_order_relaxed);
    return false;
}

/* The port to whoever sent a frame: that which it came by or, where that one's ethdev goes to several peers, one of the
 * others. NULL: to nobody. */
static const struct port *
port_of_sender(const struct task *task, const struct port *port, const uint8_t *frame)
{
    assert_costly(task->ports_count <= TASK_PORTS_MAX);
    if (frame_is_from(&port->template, frame))
        return port;
    for (uint32_t i = 0; i < task->ports_count; i++) {
        const struct port *other = task->ports[i];

        if (other->port_id == port->port_id && frame_is_from(&other->template, frame))
            return other;
    }
    return NULL;
}

static bool
deliver(struct task *task, struct port *port, struct rte_mbuf *frame, uint64_t now_ns)
{
    const uint8_t *bytes = rte_pktmbuf_mtod(frame, const uint8_t *);
    uint8_t joined[PORT_FRAME_BYTES];
    enum frame_verdict verdict;
    const struct port *sender;
    const uint8_t *message;
    size_t message_bytes;

    if (frame->nb_segs > 1) {
        /* A chained payload, from a port that hands frames over as they are. */
        if (frame->pkt_len > sizeof(joined))
            return drop(task, FRAME_FORM);
        bytes = rte_pktmbuf_read(frame, 0, frame->pkt_len, joined);
    }
    verdict = frame_open(&port->template, bytes, frame->pkt_len, &message, &message_bytes);
    if (verdict != FRAME_OK && frame->nb_segs == 1 &&
        neighbour_answer(&port->template, rte_pktmbuf_mtod(frame, uint8_t *), frame->pkt_len)) {
        port_reflect(port, frame);
        return false;
    }
    if (verdict != FRAME_OK)
        return drop(task, verdict);
    sender = port_of_sender(task, port, bytes);
    if (sender == NULL)
        return drop(task, FRAME_SOURCE);
    assert_costly(message >= bytes + FRAME_HEAD_BYTES && message + message_bytes <= bytes + frame->pkt_len);
    return task->application.receive(task->application.context, sender->peer, message, message_bytes, now_ns);
}

static uint32_t
receive(struct task *task, struct port *port, uint64_t now_ns, bool *drained)
{
    struct rte_mbuf *frames[PORT_BURST];
    uint32_t work = 0;
    uint16_t count;

    if (port->shared || !atomic_load_explicit(&port->device->up, memory_order_acquire))
        return 0;
    count = rte_eth_rx_burst(port->port_id, port->queue_id, frames, PORT_BURST);
    if (count == 0)
        return 0;
    assert_costly(count <= PORT_BURST);
    port->received += count;
    for (uint16_t i = 0; i < count; i++)
        work += deliver(task, port, frames[i], now_ns);
    rte_pktmbuf_free_bulk(frames, count);
    if (count == PORT_BURST)
        *drained = false;
    return work;
}

uint32_t
task_poll(struct task *task, uint64_t now_ns)
{
    bool drained = true;
    uint32_t work = 0;

    atomic_store_explicit(&task->polls, atomic_load_explicit(&task->polls, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    task->now_ns = now_ns;
    for (uint32_t i = 0; i < task->ports_count; i++)
        work += receive(task, task->ports[i], now_ns, &drained);
    work += task->application.turn(task->application.context, now_ns, drained);
    for (uint32_t i = 0; i < task->ports_count; i++)
        port_flush(task->ports[i], now_ns);
    return work;
}

static uint32_t
poll_all(struct lcore *lcore)
{
    uint64_t now_ns = clock_now_ns(&lcore->clock);
    uint32_t work = 0;

    for (uint32_t i = 0; i < lcore->tasks_count; i++)
        work += task_poll(lcore->tasks[i], now_ns);
    urcu_qsbr_quiescent_state();
    return work;
}

static void
find_bells(const struct lcore *lcore, struct doorbells *bells)
{
    bells->count = 0;
    bells->incomplete = false;
    assert(lcore->bell != NULL && lcore->tasks_count <= LCORE_TASKS_MAX);
    doorbells_add(bells, lcore->bell);
    for (uint32_t i = 0; i < lcore->tasks_count; i++) {
        const struct task_application *application = &lcore->tasks[i]->application;

        application->bells(application->context, bells);
    }
    /* Its own is the first: by that it is stopped. */
    assert(bells->count > 0 && bells->of[0] == lcore->bell);
}

/* The bells were armed before the poll that found nothing, so nothing was missed. */
static void
sleep_until_due(struct lcore *lcore, struct doorbells *bells)
{
    uint64_t deadline_ns = UINT64_MAX, now_ns = clock_now_ns(&lcore->clock);

    assert(lcore->idle == IDLE_SLEEP && bells->count > 0);
    for (uint32_t i = 0; i < lcore->tasks_count; i++) {
        struct task_application *application = &lcore->tasks[i]->application;
        uint64_t due_ns = application->deadline_ns(application->context);

        if (due_ns < deadline_ns)
            deadline_ns = due_ns;
    }
    if (deadline_ns <= now_ns) {
        doorbells_cancel(bells);
        return;
    }
    urcu_qsbr_thread_offline();
    doorbells_wait(bells, deadline_ns - now_ns);
    urcu_qsbr_thread_online();
}

/* The kernel's completions need a turn of the core: a task that spins would keep them from it. */
static bool
waits(const struct lcore *lcore)
{
    for (uint32_t i = 0; i < lcore->tasks_count; i++) {
        const struct task_application *application = &lcore->tasks[i]->application;

        if (application->waits(application->context))
            return true;
    }
    return false;
}

/* The poll may have ended a client, and its bell with it: the bells that are left are told. */
static void
stay_awake(const struct lcore *lcore, struct doorbells *bells)
{
    find_bells(lcore, bells);
    doorbells_cancel(bells);
}

/* Spins while there is work, then yields, then sleeps until the next timer or a ring. */
static void *
lcore_run(void *argument)
{
    struct lcore *lcore = argument;
    struct clock *clock = &lcore->clock;
    struct doorbells bells;
    uint64_t worked_ns;
    uint32_t idle_polls = 0;

    eal_enter_thread();
    clock_start(clock);
    worked_ns = clock_now_ns(clock);
    while (!atomic_load_explicit(&lcore->stop, memory_order_relaxed)) {
        bool sleepy = lcore->idle == IDLE_SLEEP && clock->last_ns - worked_ns > YIELD_NS;

        if (sleepy) {
            find_bells(lcore, &bells);
            doorbells_prepare(&bells);
        }
        if (poll_all(lcore) > 0) {
            worked_ns = clock->last_ns;
            idle_polls = 0;
            if (sleepy)
                stay_awake(lcore, &bells);
        } else if (waits(lcore)) {
            if (sleepy)
                doorbells_cancel(&bells);
            sched_yield();
        } else if (sleepy) {
            sleep_until_due(lcore, &bells);
        } else if (lcore->idle == IDLE_YIELD || (lcore->idle == IDLE_SLEEP && ++idle_polls > SPIN_POLLS)) {
            sched_yield();
        }
    }
    /* What the kernel still reads from this thread's memory ends first. */
    for (worked_ns = clock_now_ns(clock); waits(lcore) && clock->last_ns - worked_ns < DRAIN_NS; sched_yield())
        poll_all(lcore);
    eal_leave_thread();
    return NULL;
}

bool
lcore_start(struct lcore *lcore)
{
    cpu_set_t cpus;

    assert(!lcore->running && lcore->tasks_count <= LCORE_TASKS_MAX);
    if (lcore->bell == NULL)
        lcore->bell = &lcore->own_bell;
    atomic_store(&lcore->stop, false);
    if (pthread_create(&lcore->thread, NULL, lcore_run, lcore) != 0)
        return false;
    pthread_setname_np(lcore->thread, "cairn-worker");
    lcore->running = true;
    if (lcore->cpu >= 0) {
        CPU_ZERO(&cpus);
        CPU_SET(lcore->cpu, &cpus);
        pthread_setaffinity_np(lcore->thread, sizeof(cpus), &cpus);
    }
    return true;
}

void
lcore_stop(struct lcore *lcore)
{
    if (!lcore->running)
        return;
    atomic_store(&lcore->stop, true);
    doorbell_ring_slow(lcore->bell);
    pthread_join(lcore->thread, NULL);
    lcore->running = false;
}
