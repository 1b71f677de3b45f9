/* One run, from its first happening to its verdict. */
#include "sim/run.h"

#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <urcu/urcu-qsbr.h>

#include "dataplane/eal.h"
#include "node/control/attach.h"
#include "sim/checker.h"
#include "sim/checker_end.h"
#include "sim/checker_modes.h"
#include "sim/clients.h"
#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/life.h"
#include "sim/nemesis.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/plan.h"
#include "sim/queue.h"
#include "sim/readers.h"
#include "sim/scale.h"
#include "sim/shelf.h"
#include "sim/sim.h"
#include "sim/steward.h"

#define FRAME_SLOTS 16384u
#define POOL_FRAMES 8191u
#define RING_ENTRIES 256u
#define START_NS (1000 * MS)
#define SETTLE_NS (60000 * MS)
#define SERVE_NS (10000 * MS)
#define UNDER_FAULTS_NS (600000 * MS)

static struct socket_hardware sockets[SIM_WORKERS][SIM_NODES][SIM_NODES];
static struct rte_mempool *pool;
static uint8_t *frames;
static uint32_t *frames_free;

static enum cairn_error
sockets_make(uint8_t node, uint8_t peer, char *detail, size_t detail_bytes)
{
    static struct device devices[SIM_NODES][SIM_NODES];
    struct device_queues queues = {.count = SIM_WORKERS};
    struct rte_ring *receive[SIM_WORKERS], *send[SIM_WORKERS];
    char name[RTE_RING_NAMESIZE];

    for (uint8_t worker = 0; worker < SIM_WORKERS; worker++) {
        struct socket_hardware *socket = &sockets[worker][node][peer];

        snprintf(name, sizeof(name), "sim%u%u%ur", worker, node, peer);
        socket->receive = rte_ring_create(name, RING_ENTRIES, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        snprintf(name, sizeof(name), "sim%u%u%us", worker, node, peer);
        socket->send = rte_ring_create(name, RING_ENTRIES, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (socket->receive == NULL || socket->send == NULL) {
            snprintf(detail, detail_bytes, "no DPDK memory for the simulator's rings");
            return CAIRN_NO_MEMORY;
        }
        receive[worker] = socket->receive;
        send[worker] = socket->send;
        queues.ports[worker] = &socket->port;
        queues.pools[worker] = pool;
    }
    snprintf(name, sizeof(name), "sim%u%u", node, peer);
    return device_ring_create(name, receive, send, &devices[node][peer], &queues, detail, detail_bytes);
}

enum cairn_error
sim_process_start(char *detail, size_t detail_bytes)
{
    enum cairn_error error = eal_start(NULL, detail, detail_bytes);

    if (error != CAIRN_OK)
        return error;
    urcu_qsbr_register_thread();
    pool = rte_pktmbuf_pool_create("sim", POOL_FRAMES, 128, 0, RTE_PKTMBUF_HEADROOM + PORT_FRAME_BYTES, SOCKET_ID_ANY);
    frames = malloc((size_t)FRAME_SLOTS * PORT_FRAME_BYTES);
    frames_free = malloc(FRAME_SLOTS * sizeof(*frames_free));
    if (pool == NULL || frames == NULL || frames_free == NULL) {
        snprintf(detail, detail_bytes, "no memory for the simulator's frames");
        return CAIRN_NO_MEMORY;
    }
    for (uint8_t node = 0; node < SIM_NODES; node++) {
        for (uint8_t peer = 0; peer < SIM_NODES && error == CAIRN_OK; peer++) {
            if (peer != node)
                error = sockets_make(node, peer, detail, detail_bytes);
        }
    }
    return error;
}

void
sim_begin(struct sim *sim, const struct plan *plan, bool keep_trace)
{
    bool scripted = sim->scripted, equal_seeds = sim->equal_seeds;

    memset(sim, 0, sizeof(*sim));
    sim->scripted = scripted;
    sim->equal_seeds = equal_seeds;
    sim->plan = *plan;
    sim->now_ns = sim->started_ns = START_NS;
    sim->trace.keep_all = keep_trace;
    sim->network.state = plan->seed * 3 + 1;
    sim->nemesis.state = plan->seed * 5 + 2;
    sim->load.state = plan->seed * 7 + 3;
    sim->disks.state = plan->seed * 11 + 5;
    sim->operators.state = plan->seed * 17 + 9;
    sim->floods.state = plan->seed * 13 + 7;
    sim->clocks.state = plan->seed * 13 + 9;
    sim->changes.state = plan->seed * 19 + 9;
    sim->sockets = sockets;
    sim->pool = pool;
    sim->frames = frames;
    sim->frames_free = frames_free;
    for (uint32_t i = 0; i < FRAME_SLOTS; i++)
        frames_free[sim->frames_free_count++] = i;
    sim->cluster = (struct cluster_config){
        .id = 0xca1u,
        .transport = TRANSPORT_RING,
        .profile = PROFILE_SHARED,
        .memory_mib = sim_workers(sim) > 2 ? 64u * sim_workers(sim) : 128,
        .clock_bound_ms = plan->clock_bound_ms != 0 ? plan->clock_bound_ms : 400,
        .durability = plan->disk ? CAIRN_DISK : CAIRN_MEMORY,
        .workers = sim_workers(sim),
        .nodes = plan->nodes,
    };
    for (uint32_t i = 0; i < plan->nodes; i++)
        snprintf(sim->cluster.names[i], sizeof(sim->cluster.names[i]), "n%u", i + 1);
    world_found(sim);
    for (uint8_t i = 0; i < SIM_NODES; i++) {
        sim->nodes[i].sim = sim;
        sim->nodes[i].self = i;
        sim->nodes[i].clock.base_ns = sim->now_ns;
        for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
            sim->nodes[i].workers[worker].poll_at_ns = UINT64_MAX;
        disk_init(&sim->nodes[i]);
        if (i < plan->nodes)
            node_boot(&sim->nodes[i]);
    }
    checker_init(sim);
    clients_start(sim);
    if (!scripted)
        nemesis_start(sim);
    sim_plan_happening(sim, MS, HAPPEN_CHECK, 0, 0, 0, 0);
}

void
sim_end(struct sim *sim)
{
    clients_stop(sim);
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        if (node_is_up(&sim->nodes[i]))
            node_crash(&sim->nodes[i]);
        disk_wipe(&sim->nodes[i]);
        shelf_free(&sim->nodes[i].shelf);
    }
    for (uint32_t i = 0; i < sim->buried_count; i++)
        attachment_free(sim->buried[i]);
    checker_fini(sim);
    queue_fini(&sim->queue);
    free(sim->trace.rows);
    sim->trace.rows = NULL;
}

static void
happen(struct sim *sim, const struct happening *happening)
{
    struct sim_node *node = &sim->nodes[happening->node];

    switch ((enum happening_kind)happening->kind) {
    case HAPPEN_FRAME:
        network_deliver(sim, happening);
        break;
    case HAPPEN_CONTROL:
        if (node_is_up(node) && node->boots == happening->index)
            node_do_control(node);
        break;
    case HAPPEN_CLIENT:
        client_turn(sim, &sim->clients[happening->index]);
        break;
    case HAPPEN_READER:
        reader_step(sim, &sim->readers[happening->index]);
        break;
    case HAPPEN_STEWARD:
        steward_step(sim);
        break;
    case HAPPEN_FAULT:
        nemesis_strike(sim, (enum fault_kind)happening->index);
        break;
    case HAPPEN_FAULT_END:
        nemesis_end(sim, happening);
        break;
    case HAPPEN_DISK:
        if (node_is_up(node) && node->boots == happening->index)
            disk_request_end(node, happening->peer);
        break;
    case HAPPEN_BOOT:
        if (!node_is_up(node))
            node_boot(node);
        break;
    case HAPPEN_CHECK:
        check_often(sim);
        sim_plan_happening(sim, MS, HAPPEN_CHECK, 0, 0, 0, 0);
        break;
    }
}

/* Polls are most of what happens, and there is one to come of each worker: they stay out of the queue. */
static uint64_t
next_polled(const struct sim *sim, uint8_t *node, uint8_t *worker)
{
    uint64_t next_ns = UINT64_MAX;

    *node = *worker = 0;
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        for (uint8_t w = 0; w < sim_workers(sim); w++) {
            if (sim->nodes[i].workers[w].poll_at_ns >= next_ns)
                continue;
            next_ns = sim->nodes[i].workers[w].poll_at_ns;
            *node = i;
            *worker = w;
        }
    }
    return next_ns;
}

static bool
step(struct sim *sim, uint64_t until_ns)
{
    uint8_t node, worker;
    uint64_t next_ns = queue_next_ns(&sim->queue), poll_ns = next_polled(sim, &node, &worker);
    struct happening happening;

    if (sim->failed || (next_ns > until_ns && poll_ns > until_ns))
        return false;
    sim->counts.events++;
    if (poll_ns <= next_ns) {
        sim->now_ns = poll_ns;
        worker_do_poll(&sim->nodes[node], worker);
        return true;
    }
    queue_pop(&sim->queue, &happening);
    sim->now_ns = next_ns;
    happen(sim, &happening);
    return true;
}

void
sim_run_for(struct sim *sim, uint64_t duration_ns)
{
    uint64_t until_ns = sim->now_ns + duration_ns;

    while (step(sim, until_ns))
        ;
    if (!sim->failed)
        sim->now_ns = until_ns;
}

/* Under faults: as long as the plan says, or until enough messages have been sent. */
static void
run_under_faults(struct sim *sim)
{
    uint64_t until_ns = sim->started_ns + (sim->plan.until_ns != 0 ? sim->plan.until_ns : UNDER_FAULTS_NS);

    while (!sim->failed && sim->now_ns < until_ns &&
           (sim->plan.until_ns != 0 || sim->counts.messages < sim->plan.messages_min))
        sim_run_for(sim, 10 * MS);
}

void
sim_settle(struct sim *sim, uint64_t bound_ns)
{
    const char *missing = "time";
    uint64_t end_ns = sim->now_ns + bound_ns;

    while (!sim->failed && missing != NULL && sim->now_ns < end_ns) {
        sim_run_for(sim, 10 * MS);
        nemesis_mend(sim);
        missing = check_settled(sim);
    }
    if (missing != NULL)
        sim_violation(sim, "%lu ms after all faults had ended there is %s", (unsigned long)(bound_ns / MS), missing);
}

/* In peace the cluster comes to rest within a bound, and serves. */
static void
run_to_rest(struct sim *sim)
{
    nemesis_peace(sim);
    sim_settle(sim, SETTLE_NS);
    sim->asking_last = true;
    sim_settle(sim, SERVE_NS);
}

bool
sim_run(struct sim *sim)
{
    run_under_faults(sim);
    if (!sim->failed)
        run_to_rest(sim);
    if (!sim->failed)
        check_final(sim);
    return !sim->failed;
}
