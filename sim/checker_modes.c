/* What must hold of modes and of who is suspected: looked at often, of every worker that takes its turns. */
#include "sim/checker_modes.h"

#include "node/state.h"
#include "rules/mode.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/plan.h"
#include "sim/scale.h"
#include "sim/sim.h"

/* A suspicion is judged by timers that run once an interval, by a worker that takes its turns. */
#define MODE_SLACK_NS (3 * MS)

/* What makes heartbeats late or nodes stall, of which there is something to learn. */
#define TEACHING                                                                                                       \
    (1u << FAULT_LOSS | 1u << FAULT_REORDER | 1u << FAULT_CORRUPT | 1u << FAULT_DELAY_TAIL | 1u << FAULT_SLOW_LINK |   \
     1u << FAULT_FLAP | 1u << FAULT_PAUSE)
#define CUTS (1u << FAULT_ISOLATE | 1u << FAULT_ONE_WAY | 1u << FAULT_PARTIAL | 1u << FAULT_SPLIT)

/* A cut that is over before anybody is suspected is lateness as well; the shortest lasts a quarter of the mean, and peace
 * ends one at any time. */
static bool
teaches(const struct sim *sim)
{
    const struct plan *plan = &sim->plan;

    return (plan->faults & TEACHING) ||
           ((plan->faults & CUTS) && (sim->healing || plan->fault_for_ns / 4 < SIM_TIMEOUT_NS));
}

/* How long the node may wait for the peer: by what it knew at the look before, too, since what it knows of a peer is gone
 * when that starts anew. */
static uint64_t
patience_ns(struct sim *sim, struct sim_node *node, uint8_t worker, uint8_t peer)
{
    uint64_t now_ns = node->node->workers[worker]->detector.peers[peer].wait_ns, wait_ns = now_ns;

    if (wait_ns < node->workers[worker].waits_ns[peer])
        wait_ns = node->workers[worker].waits_ns[peer];
    node->workers[worker].waits_ns[peer] = now_ns;
    if (wait_ns < SIM_TIMEOUT_NS)
        return SIM_TIMEOUT_NS;
    if (wait_ns > SIM_TIMEOUT_NS && !sim->scripted && !teaches(sim))
        sim_violation(sim, "n%u waits %lu us for n%u, and nothing was ever late", node->self + 1,
                      (unsigned long)(wait_ns / 1000), peer + 1);
    if (wait_ns > SIM_CEILING_NS)
        sim_violation(sim, "n%u waits %lu us for n%u", node->self + 1, (unsigned long)(wait_ns / 1000), peer + 1);
    return wait_ns;
}

/* How long the node waits for anybody, as was looked at last. */
static uint64_t
longest_wait_ns(const struct sim_node *node, uint8_t worker)
{
    uint64_t longest_ns = SIM_TIMEOUT_NS;

    for (uint8_t peer = 0; peer < node->sim->plan.nodes; peer++) {
        if (node->workers[worker].waits_ns[peer] > longest_ns)
            longest_ns = node->workers[worker].waits_ns[peer];
    }
    return longest_ns;
}

/* Whom the worker can have in reach: whose heartbeats it has read lately. */
static cairn_node_set
reachable(struct sim *sim, struct sim_node *node, uint8_t worker)
{
    const uint64_t *heard_ns = node->workers[worker].heard_ns;
    cairn_node_set set = (cairn_node_set)1 << node->self;

    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        if (peer != node->self && heard_ns[peer] != 0 &&
            sim->now_ns - heard_ns[peer] <= patience_ns(sim, node, worker, peer) + SIM_INTERVAL_NS + MODE_SLACK_NS)
            set |= (cairn_node_set)1 << peer;
    }
    return set;
}

/* Modes change within timeout and interval of a cut; and back, once those who are back can be held back no more. */
static void
check_mode(struct sim *sim, struct sim_node *node, uint8_t worker)
{
    cairn_node_set reach = reachable(sim, node, worker), sure = check_sure_reach(sim, node, worker);

    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        const struct node_log *held = node_log_of(node, log);
        cairn_node_set voters = held == NULL ? 0 : core_members(held->core)->voters;
        struct mode_inputs inputs;

        if (held != NULL && held->worker->task.number != worker)
            continue;

        /* Who stops decides nothing any more. */
        if (held == NULL || node->stop_by_ns != 0 || core_role(held->core) != ROLE_LEADER)
            node->checks[log].alone_ns = 0;
        else
            check_alone(sim, node->self, log, &node->checks[log], (uint32_t)__builtin_popcount(reach & voters),
                        (uint32_t)__builtin_popcount(voters), longest_wait_ns(node, worker));
        if (held == NULL || node->stop_by_ns != 0 || held->rules.policy == CAIRN_POLICY_AP)
            continue;
        inputs = (struct mode_inputs){
            .policy = held->rules.policy,
            .nodes = (uint32_t)__builtin_popcount(voters),
            .reached = (uint32_t)__builtin_popcount(sure & voters),
            .falls_to_cp = held->rules.falls_to_cp,
        };
        check_need(sim, node->self, log, &node->checks[log], &inputs, held->mode);
        inputs.reached = (uint32_t)__builtin_popcount(reach & voters);
        if (inputs.reached >= mode_needs(&inputs))
            continue;
        if (held->mode == CAIRN_MODE_CP || held->mode == CAIRN_MODE_MERGING)
            sim_violation(sim, "log %s: n%u heard %u of %u for longer than timeout and interval, and is in mode %s",
                          sim_log_name(log), node->self + 1, inputs.reached, inputs.nodes, cairn_mode_name(held->mode));
    }
}

void
check_often(struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        for (uint8_t worker = 0; node_is_up(node) && worker < sim_workers(sim); worker++) {
            if (sim->now_ns > worker_resumed_ns(node, worker) + 3 * SIM_TIMEOUT_NS &&
                sim->now_ns >= worker_paused_until_ns(node, worker))
                check_mode(sim, node, worker);
        }
    }
}
