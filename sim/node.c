/* A node looked at and driven from outside: its clock, when its workers are polled, its pauses, its logs, who leads. */
#include "sim/node.h"

#include "node/look.h"
#include "node/state.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

static uint64_t
clock_at(struct sim_node *node, uint64_t now_ns)
{
    struct sim_clock *clock = &node->clock;
    int64_t since = (int64_t)(now_ns - clock->base_ns);
    uint64_t at_ns = now_ns + (uint64_t)(since / 1000000 * clock->drift_ppm);

    if (at_ns > clock->last_ns)
        clock->last_ns = at_ns;
    return clock->last_ns;
}

uint64_t
node_clock_ns(struct sim_node *node)
{
    return clock_at(node, node->sim->now_ns);
}

bool
node_is_up(const struct sim_node *node)
{
    return node->node != NULL;
}

struct node_log *
node_log_of(const struct sim_node *node, uint32_t log)
{
    if (node->node == NULL || (log > 0 && node->sim->log_ids[log] == 0))
        return NULL;
    return node_log_numbered(node->node, node->sim->log_ids[log]);
}

struct node_log *
node_log_numbered(const struct node *node, uint32_t id)
{
    struct node_log *log = NULL;

    for (uint8_t worker = 0; worker < node->workers_count && log == NULL; worker++)
        log = node_find_log(node->workers[worker], id);
    return log;
}

uint8_t
sim_leader(const struct sim *sim, uint32_t log)
{
    uint8_t leader = CAIRN_NODE_NONE;
    uint64_t term = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], log);

        if (held != NULL && core_role(held->core) == ROLE_LEADER && core_term(held->core) > term) {
            leader = i;
            term = core_term(held->core);
        }
    }
    return leader;
}

cairn_node_set
without_memory(const struct sim *sim, uint32_t log)
{
    cairn_node_set set = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct sim_node *node = &sim->nodes[i];
        const struct node_log *held = node_log_of(node, log);

        if (!node_is_up(node) || (node->boots > 1 && (held == NULL || core_recovering(held->core))))
            set |= (cairn_node_set)1 << i;
    }
    return set;
}

/* Its workers get no turn: what arrives waits in the port's ring, what does not fit is lost. */
void
node_pause(struct sim_node *node, uint64_t for_ns)
{
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "stops for %.1f ms", (double)for_ns / 1e6);
    node->paused_until_ns = node->sim->now_ns + for_ns;
    node->resumed_ns = node->paused_until_ns;
}

void
node_pause_in_poll(struct sim_node *node, uint64_t for_ns)
{
    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        node->workers[worker].polled_ns = node_clock_ns(node);
    node_pause(node, for_ns);
}

void
worker_pause(struct sim_node *node, uint8_t worker, uint64_t for_ns)
{
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "worker %u stops for %.1f ms", worker, (double)for_ns / 1e6);
    node->workers[worker].paused_until_ns = node->workers[worker].resumed_ns = node->sim->now_ns + for_ns;
}

static uint64_t
later(uint64_t one_ns, uint64_t other_ns)
{
    return one_ns > other_ns ? one_ns : other_ns;
}

uint64_t
worker_paused_until_ns(const struct sim_node *node, uint8_t worker)
{
    return later(node->paused_until_ns, node->workers[worker].paused_until_ns);
}

uint64_t
worker_resumed_ns(const struct sim_node *node, uint8_t worker)
{
    return later(node->resumed_ns, node->workers[worker].resumed_ns);
}

uint64_t
node_resumed_ns(const struct sim_node *node)
{
    uint64_t latest_ns = node->resumed_ns;

    for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
        latest_ns = later(latest_ns, node->workers[worker].resumed_ns);
    return latest_ns;
}

void
worker_want_poll(struct sim_node *node, uint8_t worker, uint64_t in_ns)
{
    uint64_t at_ns = node->sim->now_ns + in_ns;

    if (node->node != NULL && at_ns < node->workers[worker].poll_at_ns)
        node->workers[worker].poll_at_ns = at_ns;
}

void
node_want_poll(struct sim_node *node, uint64_t in_ns)
{
    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        worker_want_poll(node, worker, in_ns);
}
