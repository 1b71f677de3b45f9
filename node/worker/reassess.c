/* What follows for the logs of a node where it reaches others than before. */
#include "node/worker/reassess.h"

#include <assert.h>

#include "assert_costly.h"
#include "node/events.h"
#include "node/look.h"
#include "node/status.h"
#include "node/worker/due.h"
#include "node/worker/pending.h"
#include "node/worker/unsent.h"
#include "node/worker/worker.h"

/* A node that is worse off than others waits so many times as long as they to campaign. */
#define SICK_PATIENCE 4u

static void
mode_set(struct worker *worker, struct node_log *log, enum cairn_mode mode)
{
    struct mode_inputs inputs = node_mode_inputs(worker, log);
    char reason[96];

    assert(inputs.nodes >= 1 && inputs.reached <= inputs.nodes);
    if (mode == log->mode)
        return;
    mode_reason(&inputs, CAIRN_ACK_POLICY, reason, sizeof(reason));
    node_event(worker, EVENT_MODE_CHANGED, log, worker->self, (uint8_t)log->mode, (uint8_t)mode, "%s%s", reason,
               mode == CAIRN_MODE_MERGING ? ", branch entries to hand off" : "");
    log->mode = mode;
    status_publish(log);
}

void
log_reassess(struct worker *worker, struct node_log *log)
{
    struct mode_inputs inputs = node_mode_inputs(worker, log);

    assert_costly(log_is_sound(log));
    log->voters = core_members(log->core)->voters;
    mode_set(worker, log, mode_decide(&inputs));
    /* Who has to merge has something to. */
    assert(log->mode != CAIRN_MODE_MERGING || log->own->entries > 0);
    pending_relax(worker, log);
}

/* What kind of loss it looks like, by what those in reach say of whom they hear. They said so with their last heartbeat:
 * one that is cut off along with this node may not have noticed yet. */
static void
tell_lost(struct worker *worker, uint8_t peer)
{
    const char *name = worker->config->cluster->names[peer];
    cairn_node_set bit = (cairn_node_set)1 << peer;
    uint8_t witness = CAIRN_NODE_NONE;

    assert(peer != worker->self && !(worker->reach & bit));
    for (uint8_t i = 0; i < worker->nodes; i++) {
        if (i != worker->self && i != peer && (worker->reach >> i & 1) && (worker->detector.peers[i].hears & bit))
            witness = i;
    }
    if (worker->hears & bit)
        node_event(worker, EVENT_PARTITION_SUSPECTED, NULL, peer, 0, 0, "%s does not hear this node: one-way link",
                   name);
    else if (witness != CAIRN_NODE_NONE)
        node_event(worker, EVENT_PARTITION_SUSPECTED, NULL, peer, 0, 0, "%s is not heard, but %s said it hears it",
                   name, worker->config->cluster->names[witness]);
    else
        node_event(worker, EVENT_PARTITION_SUSPECTED, NULL, peer, 0, 0, "%s is not heard, by nobody in reach", name);
}

static void
tell_reach(struct worker *worker, cairn_node_set before)
{
    cairn_node_set all = worker->present;
    cairn_node_set lost = before & ~worker->reach;

    assert(before != worker->reach);
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (lost & ((cairn_node_set)1 << peer))
            tell_lost(worker, peer);
    }
    if (worker->reach == all && before != all)
        node_event(worker, EVENT_HEALED, NULL, worker->self, 0, 0, "reaching %d of %d", __builtin_popcount(all),
                   __builtin_popcount(all));
}

void
set_patience(const struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    bool sick = worker->health.ailments != 0 && health_better_off(worker, log, now_ns) != 0;

    core_set_patience(log->core, worker->sights.patience.wait_ns, sick ? SICK_PATIENCE : 1);
}

void
leader_refresh(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    uint8_t leader = core_leader(log->core);
    const struct acquaintance *peer;

    if (log->led_by >= worker->nodes || (leader != log->led_by && leader != CAIRN_NODE_NONE))
        return;
    assert(log->led_by != worker->self);
    peer = &worker->peers[log->led_by];
    if (log->led_epoch != peer->complete || peer->epoch != peer->complete ||
        now_ns - peer->beat_ns >= worker->detector.peers[log->led_by].wait_ns)
        return;
    core_leader_alive(log->core, log->led_by, log->led_term, 0, peer->beat_ns, &log->sink);
}

/* Whom this node reaches may have changed: the cores first, then the modes that follow. */
void
node_reassess(struct worker *worker, uint64_t now_ns)
{
    cairn_node_set before = worker->reach;

    worker->hears = detector_hears(&worker->detector);
    worker->reach = detector_reach(&worker->detector);
    /* In reach are those that hear this node, of those that it hears; it is so itself. */
    assert((worker->reach & ~worker->hears) == 0);
    assert(worker->reach >> worker->self & 1);
    if (before != worker->reach) {
        worker->reach_changed_ns = now_ns;
        tell_reach(worker, before);
    }
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        set_patience(worker, log, now_ns);
        if (before != worker->reach)
            core_reach(log->core, worker->reach, now_ns, &log->sink);
        leader_refresh(worker, log, now_ns);
        if (node_has_unsent(worker, log))
            node_activate(worker, log);
        log_reassess(worker, log);
    }
}
