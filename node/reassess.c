/* What follows for the logs of a node where it reaches others than before. */
#include "reassess.h"

#include "due.h"
#include "events.h"
#include "look.h"
#include "pending.h"
#include "state.h"
#include "status.h"
#include "unsent.h"

/* How often as long as others a node waits to campaign that is worse off than they. */
#define SICK_PATIENCE 4u

static void
mode_set(struct node *node, struct node_log *log, enum cairn_mode mode)
{
    struct mode_inputs inputs = node_mode_inputs(node, log);
    char reason[96];

    if (mode == log->mode)
        return;
    mode_reason(&inputs, CAIRN_ACK_POLICY, reason, sizeof(reason));
    node_event(node, EVENT_MODE_CHANGED, log, node->self, (uint8_t)log->mode, (uint8_t)mode, "%s%s", reason,
               mode == CAIRN_MODE_MERGING ? ", branch entries to hand off" : "");
    log->mode = mode;
    status_publish(log);
}

void
log_reassess(struct node *node, struct node_log *log)
{
    struct mode_inputs inputs = node_mode_inputs(node, log);

    log->voters = core_members(log->core)->voters;
    mode_set(node, log, mode_decide(&inputs));
    pending_relax(node, log);
}

/* What kind of loss it looks like, by what those in reach say of whom they hear. Theirs is the word of their last
 * heartbeat: who is cut off along with this node may not have noticed yet. */
static void
tell_lost(struct node *node, uint8_t peer)
{
    const char *name = node->config.cluster->names[peer];
    cairn_node_set bit = (cairn_node_set)1 << peer;
    uint8_t witness = CAIRN_NODE_NONE;

    for (uint8_t i = 0; i < node->nodes; i++) {
        if (i != node->self && i != peer && (node->reach >> i & 1) && (node->detector.peers[i].hears & bit))
            witness = i;
    }
    if (node->hears & bit)
        node_event(node, EVENT_PARTITION_SUSPECTED, NULL, peer, 0, 0, "%s does not hear this node: one-way link", name);
    else if (witness != CAIRN_NODE_NONE)
        node_event(node, EVENT_PARTITION_SUSPECTED, NULL, peer, 0, 0, "%s is not heard, but %s said it hears it", name,
                   node->config.cluster->names[witness]);
    else
        node_event(node, EVENT_PARTITION_SUSPECTED, NULL, peer, 0, 0, "%s is not heard, by nobody in reach", name);
}

static void
tell_reach(struct node *node, cairn_node_set before)
{
    cairn_node_set all = node->present;
    cairn_node_set lost = before & ~node->reach;

    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        if (lost & ((cairn_node_set)1 << peer))
            tell_lost(node, peer);
    }
    if (node->reach == all && before != all)
        node_event(node, EVENT_HEALED, NULL, node->self, 0, 0, "reaching %d of %d", __builtin_popcount(all),
                   __builtin_popcount(all));
}

void
set_patience(const struct node *node, struct node_log *log, uint64_t now_ns)
{
    bool sick = node->health.ailments != 0 && health_better_off(node, log, now_ns) != 0;

    core_set_patience(log->core, node->sights.patience.wait_ns, sick ? SICK_PATIENCE : 1);
}

void
leader_refresh(struct node *node, struct node_log *log, uint64_t now_ns)
{
    uint8_t leader = core_leader(log->core);
    const struct acquaintance *peer;

    if (log->led_by >= node->nodes || (leader != log->led_by && leader != CAIRN_NODE_NONE))
        return;
    peer = &node->peers[log->led_by];
    if (log->led_epoch != peer->complete || peer->epoch != peer->complete ||
        now_ns - peer->beat_ns >= node->detector.peers[log->led_by].wait_ns)
        return;
    core_leader_alive(log->core, log->led_by, log->led_term, 0, peer->beat_ns, &log->sink);
}

/* Whom this node reaches may have changed: the cores first, then the modes that follow. */
void
node_reassess(struct node *node, uint64_t now_ns)
{
    cairn_node_set before = node->reach;

    node->hears = detector_hears(&node->detector);
    node->reach = detector_reach(&node->detector);
    if (before != node->reach) {
        node->reach_changed_ns = now_ns;
        tell_reach(node, before);
    }
    for (uint32_t i = 0; i < node->logs_count; i++) {
        struct node_log *log = node->logs[i];

        set_patience(node, log, now_ns);
        if (before != node->reach)
            core_reach(log->core, node->reach, now_ns, &log->sink);
        leader_refresh(node, log, now_ns);
        if (node_has_unsent(node, log))
            node_activate(node, log);
        log_reassess(node, log);
    }
}
