/* A node's turns: its workers' polls, with the checks after each, and its control thread's steps. */
#include "sim/life.h"

#include "node/control/control.h"
#include "node/look.h"
#include "node/state.h"
#include "node/worker/turn.h"
#include "sim/checker.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

/* A worker that had work polls on; what it finds then seldom cannot wait for the next frame. */
#define AGAIN_NS (25 * US)

static void
note_events(struct sim_node *node)
{
    struct node_event events[16];
    uint32_t count;

    while ((count = node_events(node->node, &node->events_seen, events, 16)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            trace_add(node->sim, TRACE_EVENT, node->self, 0, "%s %s: %s", event_name(events[i].kind),
                      events[i].log == UINT32_MAX ? "" : events[i].log_name, events[i].reason);
    }
}

/* As `cairn server` does it: settled or not, it ends. */
static void
end_stop(struct sim_node *node)
{
    bool checkpoint = node_checkpoint(node->node);

    trace_add(node->sim, TRACE_FAULT, node->self, 0, "has stopped, %s a checkpoint", checkpoint ? "with" : "without");
    node_crash(node);
    sim_plan_happening(node->sim, 5 * MS, HAPPEN_BOOT, node->self, 0, 0, 0);
}

/* Its life may not go on: it starts anew at once, as the server does, or ends. */
static void
end_life(struct sim_node *node)
{
    bool forgot = node_end(node->node) == NODE_FORGOT;

    /* What it has forgotten is kept before it ends. */
    if (forgot && node->node->introduction.lives.kept_version < node->node->introduction.lives.version)
        node_control_step(node->node, node_clock_ns(node));
    node_crash(node);
    if (forgot)
        sim_plan_happening(node->sim, 5 * MS, HAPPEN_BOOT, node->self, 0, 0, 0);
}

void
worker_do_poll(struct sim_node *node, uint8_t worker)
{
    struct sim *sim = node->sim;
    struct sim_worker *polled = &node->workers[worker];
    uint64_t now_ns, due_ns;
    uint32_t work;

    polled->poll_at_ns = UINT64_MAX;
    /* Whoever wanted it polled may have done so before it went down. */
    if (!node_is_up(node))
        return;
    if (sim->now_ns < worker_paused_until_ns(node, worker)) {
        worker_want_poll(node, worker, worker_paused_until_ns(node, worker) - sim->now_ns);
        return;
    }
    now_ns = polled->polled_ns != 0 ? polled->polled_ns : node_clock_ns(node);
    polled->polled_ns = 0;
    work = task_poll(node_task(node->node, worker), now_ns);
    network_collect(sim, node, worker);
    check_node(sim, node);
    if (node_end(node->node) != NODE_GOES_ON) {
        end_life(node);
        return;
    }
    if (node->stop_by_ns != 0 && (node_settled(node->node) || sim->now_ns >= node->stop_by_ns)) {
        end_stop(node);
        return;
    }
    if (work > 0) {
        worker_want_poll(node, worker, AGAIN_NS + sim->plan.poll_delay_ns);
        return;
    }
    due_ns = node_deadline_ns(node->node->workers[worker]);
    worker_want_poll(node, worker, due_ns > now_ns ? due_ns - now_ns + 1 : US);
}

/* The control thread's turn. */
void
node_do_control(struct sim_node *node)
{
    if (node->sim->now_ns >= node->paused_until_ns && node->sim->now_ns >= node->control_from_ns) {
        node_control_step(node->node, node_clock_ns(node));
        if (node_failure(node->node) != NULL) {
            node_refuses(node, node_failure(node->node));
            return;
        }
        node->incarnation = node->node->incarnation;
        note_events(node);
        node_want_poll(node, US);
    }
    sim_plan_happening(node->sim, 5 * MS, HAPPEN_CONTROL, node->self, 0, node->boots, 0);
}
