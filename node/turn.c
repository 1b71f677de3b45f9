/* A node's turn in its worker's poll: what the control thread sent, clients, timers, and what all
 * that leaves to be acknowledged and sent. */
#include "turn.h"

#include <assert.h>
#include <string.h>

#include <urcu/urcu-qsbr.h>

#include "adoption.h"
#include "agree.h"
#include "due.h"
#include "durable.h"
#include "evict.h"
#include "held.h"
#include "hlc.h"
#include "readers.h"
#include "reassess.h"
#include "requests.h"
#include "retention.h"
#include "send.h"
#include "state.h"
#include "status.h"
#include "unsent.h"
#include "watch.h"

/* Without work for this long a node rests: docs/operations.md, idle. */
#define REST_AFTER_NS 50000000u
/* Nor while links come and go: then every heartbeat counts. */
#define STEADY_AFTER_NS 1000000000u
#define RETAIN_EVERY_NS 50000000u
/* What need not be looked at with every heartbeat is, where those come more often, once in so long. */
#define REVIEW_EVERY_NS 9500000u

void
adopt_snapshot(struct node *node, uint64_t now_ns)
{
    const struct snapshot *snapshot = rcu_dereference(node->snapshot);

    if (snapshot->version == node->snapshot_version)
        return;
    node->snapshot_version = snapshot->version;
    if (node->introduction.entered)
        agree_adopt(node, snapshot, now_ns);
    for (uint32_t i = 0; i < snapshot->count; i++) {
        struct node_log *log = snapshot->logs[i].log;

        if (i >= node->logs_count) {
            node->due_ns[node->logs_count] = 0;
            node->logs[node->logs_count++] = log;
            agree_welcome_log(node, log);
            core_reach(log->core, node->reach, now_ns, &log->sink);
            /* Who leads it may have said so already, when it was not known here. */
            for (uint8_t peer = 0; peer < node->nodes; peer++)
                node->peers[peer].complete = 0;
        }
        log->rules = snapshot->logs[i].rules;
        core_set_policy(log->core, log->rules.policy);
        log_reassess(node, log);
        status_publish(log);
    }
    /* Copied: frames are sent before the next snapshot is looked at. */
    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        node->fault_rules[peer] = snapshot->faults[peer];
        node->ports[peer].fault = fault_rule_active(&node->fault_rules[peer]) ? &node->fault_rules[peer] : NULL;
    }
}

/* Clients that the control thread has let in. Returns how many: their bells are to be waited for from now on. */
static uint32_t
take_commands(struct node *node)
{
    uint32_t taken = 0;
    void *command;

    while (rte_ring_sc_dequeue(node->commands, &command) == 0) {
        struct attachment *attachment = command;

        assert(node->attachments[attachment->index] == NULL);
        node->attachments[attachment->index] = attachment;
        if (node->attachments_end <= attachment->index)
            node->attachments_end = attachment->index + 1u;
        /* Unless it is leaving already. */
        int expected = ATTACHMENT_NEW;
        atomic_compare_exchange_strong(&attachment->state, &expected, ATTACHMENT_ATTACHED);
        taken++;
    }
    return taken;
}

static void
follow_merge(struct node_log *log, uint64_t now_ns)
{
    uint64_t entries = log->own->entries;

    if (entries == 0 || core_leader(log->core) == CAIRN_NODE_NONE) {
        log->merge.entries = 0;
        return;
    }
    if (log->merge.entries == 0)
        log->merge.begun_ns = now_ns;
    if (log->merge.entries < entries)
        log->merge.entries = entries;
}

/* Returns when the log wants the next one, if nothing happens to it before: logs that rest cost
 * nothing but a look at that time. */
static uint64_t
tick_log(struct node *node, struct node_log *log, uint64_t now_ns)
{
    set_patience(node, log, now_ns);
    leader_refresh(node, log, now_ns);
    core_tick(log->core, now_ns, &log->sink);
    log_reassess(node, log);
    follow_merge(log, now_ns);
    if (log->rules.retain_bytes != 0)
        retain(node, log, now_ns);
    log->ticked_lsn = log->digest_lsn;
    durable_want(node, log);
    durable_tail(node, log, now_ns);
    watch_log(node, log, now_ns);
    status_publish(log);
    if (node_has_unsent(node, log))
        node_activate(node, log);
    log->touched = log->active || (log->durable != NULL && log->durable->tail_due);
    return core_deadline_ns(log->core);
}

static uint64_t
pace(const struct node *node, uint64_t now_ns)
{
    if (now_ns - node->worked_ns > REST_AFTER_NS && now_ns - node->reach_changed_ns > STEADY_AFTER_NS)
        return detector_rest_pace_ns(&node->detector);
    return node->detector.config.interval_ns;
}

/* Time passes for logs that rest, too. */
static void
retain_all(struct node *node, uint64_t now_ns)
{
    if (now_ns - node->retained_ns < RETAIN_EVERY_NS)
        return;
    node->retained_ns = now_ns;
    for (uint32_t i = 0; i < node->logs_count; i++) {
        uint64_t base_lsn = node->logs[i]->base_lsn;

        retain(node, node->logs[i], now_ns);
        if (node->logs[i]->base_lsn != base_lsn)
            node_touch(node, node->logs[i]);
    }
}

/* What this node is to others, and they to it, apart from being in reach. */
static void
review(struct node *node, uint64_t now_ns)
{
    if (now_ns - node->reviewed_ns < REVIEW_EVERY_NS)
        return;
    node->reviewed_ns = now_ns;
    introduction_review(node);
    rescue_turn(node, now_ns);
    adoption_review(node, now_ns);
    agree_beat(node, now_ns);
    health_tick(node, now_ns);
    watch_peers(node, now_ns);
    sight_review(node, now_ns);
}

static void
timers(struct node *node, uint64_t now_ns, bool drained)
{
    cairn_node_set suspected = detector_tick(&node->detector, now_ns, drained);
    bool beat = now_ns >= node->heartbeat_ns;

    if (suspected != 0 || detector_reach(&node->detector) != node->reach)
        node_reassess(node, now_ns);
    if (beat) {
        node_clocks_beat(node, now_ns);
        node->pace_ns = pace(node, now_ns);
        atomic_store_explicit(&node->resting, node->pace_ns != node->detector.config.interval_ns, memory_order_relaxed);
        review(node, now_ns);
        durable_tick(node, now_ns);
        evict(node);
        send_heartbeats(node, now_ns);
        retain_all(node, now_ns);
        /* On the same grid in every process of a machine: sleepers then wake together, and a core
         * leaves its idle state once for all of them. */
        node->heartbeat_ns = (now_ns / node->pace_ns + 1) * node->pace_ns;
        for (uint32_t i = 0; i < node->logs_count; i++) {
            if (node->due_ns[i] <= now_ns || node->logs[i]->touched)
                node->due_ns[i] = tick_log(node, node->logs[i], now_ns);
        }
    }
    node->suspect_ns = detector_deadline_ns(&node->detector);
    detector_expect(&node->detector, node_deadline_ns(node));
}

/* One log's end of the turn: acknowledge what is held, send what may be sent. */
static void
finish_log(struct node *node, struct node_log *log, uint64_t now_ns)
{
    if (log->voters != core_members(log->core)->voters)
        log_reassess(node, log);
    send_hand_offs(node, log, now_ns);
    store_seal(&log->trunk);
    store_seal(&log->own->store);
    send_spreads(node, log, now_ns);
    /* In memory an entry is held as soon as it is stored. */
    core_held(log->core, durable_held_lsn(log), now_ns, &log->sink);
    durable_want(node, log);
    send_entries(node, log, now_ns);
    send_lent(node, log);
}

static uint32_t
finish(struct node *node, uint64_t now_ns)
{
    uint32_t count = node->active_count, kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct node_log *log = node->active[i];

        finish_log(node, log, now_ns);
        if (node_has_unsent(node, log))
            node->active[kept++] = log;
        else
            log->active = false;
    }
    /* Effects of the last step may have activated logs anew behind the ones that were there. */
    for (uint32_t i = count; i < node->active_count; i++)
        node->active[kept++] = node->active[i];
    node->active_count = kept;
    return kept;
}

/* In the first quiet moment, so that whoever asks after an answer sees what it did. Under load the
 * ticks do it. */
static void
publish_touched(struct node *node)
{
    for (uint32_t i = 0; i < node->logs_count; i++) {
        if (node->logs[i]->touched)
            status_publish(node->logs[i]);
    }
    node->status_due = false;
}

/* Nobody is answered any more: what is held is enough. */
static uint32_t
settle(struct node *node, uint64_t now_ns)
{
    if (atomic_load_explicit(&node->stopping, memory_order_relaxed) == STOPPING_SETTLED)
        return 0;
    if (node->config.disk == NULL || node->logs_count == 0 || node->journal_failed || durable_settle(node, now_ns))
        atomic_store_explicit(&node->stopping, STOPPING_SETTLED, memory_order_release);
    return 1;
}

/* The first turn with logs: what was read at the start may have more that was agreed on than was known then. */
static void
enter(struct node *node, uint64_t now_ns)
{
    introduction_enter(node);
    agree_adopt(node, rcu_dereference(node->snapshot), now_ns);
}

uint32_t
node_turn(void *context, uint64_t now_ns, bool drained)
{
    struct node *node = context;
    uint32_t work;

    if (atomic_load_explicit(&node->stopping, memory_order_acquire) != STOPPING_NOT)
        return settle(node, now_ns);
    if (introduction_phase(&node->introduction) != PHASE_INSIDE) {
        introduction_turn(node, now_ns);
        return 0;
    }
    if (!node->introduction.entered)
        enter(node, now_ns);
    adopt_snapshot(node, now_ns);
    work = take_commands(node);
    work += durable_poll(node, now_ns);
    work += requests_turn(node, now_ns);
    if (now_ns >= node->heartbeat_ns || now_ns >= node->suspect_ns)
        timers(node, now_ns, drained);
    work += readers_turn(node, now_ns);
    if (node->active_count > 0)
        work += finish(node, now_ns);
    durable_write(node, now_ns);
    if (work > 0)
        node_wake_up(node, now_ns);
    else if (node->status_due)
        publish_touched(node);
    return work;
}

bool
node_waits(void *context)
{
    const struct node *node = context;

    /* Nor does it sleep over a search that goes on. */
    return (node->config.disk != NULL && journal_busy(&node->journal) && !node->journal_failed) ||
           node->searched_ns == node->task.now_ns;
}

/* A client of this process rings the lcore's own. */
void
node_bells(void *context, struct doorbells *out)
{
    const struct node *node = context;

    for (uint32_t i = 0; i < node->attachments_end; i++) {
        struct attachment *attachment = node->attachments[i];

        if (attachment != NULL && !attachment->embedded)
            doorbells_add(out, &attachment->channel.in.shared->bell);
    }
}

uint64_t
node_deadline_ns(void *context)
{
    const struct node *node = context;

    return node->heartbeat_ns < node->suspect_ns ? node->heartbeat_ns : node->suspect_ns;
}
