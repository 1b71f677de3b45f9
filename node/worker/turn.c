/* A node's turn in its worker's poll: what the control thread sent, clients, timers, and what all
 * that leaves to be acknowledged and sent. */
#include "node/worker/turn.h"

#include <assert.h>
#include <string.h>

#include <urcu/urcu-qsbr.h>

#include "assert_costly.h"
#include "node/attachment.h"
#include "node/snapshot.h"
#include "node/state.h"
#include "node/status.h"
#include "node/worker/adoption.h"
#include "node/worker/due.h"
#include "node/worker/durable.h"
#include "node/worker/evict.h"
#include "node/worker/heartbeats.h"
#include "node/worker/held.h"
#include "node/worker/hlc.h"
#include "node/worker/in_force.h"
#include "node/worker/log.h"
#include "node/worker/readers.h"
#include "node/worker/reassess.h"
#include "node/worker/recovered.h"
#include "node/worker/requests.h"
#include "node/worker/retention.h"
#include "node/worker/send.h"
#include "node/worker/unsent.h"
#include "node/worker/unwritten.h"
#include "node/worker/watch.h"
#include "node/worker/worker.h"
#include "node/worker/writes.h"
#include "node/worker_command.h"

/* Without work for this long a node rests: docs/operations.md, idle. */
#define REST_AFTER_NS 50000000u
/* It does not rest while links come and go: then every heartbeat counts. */
#define STEADY_AFTER_NS 1000000000u
#define RETAIN_EVERY_NS 50000000u
/* Where heartbeats come more often than this, what need not be looked at with each is looked at once in so long. */
#define REVIEW_EVERY_NS 9500000u

void
adopt_snapshot(struct worker *worker, uint64_t now_ns)
{
    const struct snapshot *snapshot = rcu_dereference(worker->node->snapshot);

    if (snapshot->version == worker->snapshot_version)
        return;
    assert(snapshot->version > worker->snapshot_version && snapshot->count >= worker->snapshot_rows);
    worker->snapshot_version = snapshot->version;
    if (worker->entered)
        in_force_adopt(worker, snapshot, now_ns);
    for (uint32_t i = 0; i < snapshot->count; i++) {
        struct node_log *log = snapshot->logs[i].log;

        if (log->worker != worker)
            continue;
        if (i >= worker->snapshot_rows) {
            assert(worker->logs_count < LOGS_MAX);
            assert(worker->logs_count == 0 || worker->logs[worker->logs_count - 1]->id < log->id);
            worker->due_ns[worker->logs_count] = 0;
            worker->logs[worker->logs_count++] = log;
            in_force_for_log(worker, log);
            core_reach(log->core, worker->reach, now_ns, &log->sink);
            /* Its leader may have said that it leads when the log was not known here yet. */
            for (uint8_t peer = 0; peer < worker->nodes; peer++)
                worker->peers[peer].complete = 0;
        }
        log->rules = snapshot->logs[i].rules;
        core_set_policy(log->core, log->rules.policy);
        core_set_writer(log->core, log->rules.sealed != 0 ? CORE_WRITER_NOBODY : log->rules.writer);
        log_reassess(worker, log);
        status_publish(log);
    }
    worker->snapshot_rows = snapshot->count;
    assert(worker->logs_count <= worker->snapshot_rows);
    assert(!worker_is_first(worker) || worker->logs_count == 0 || worker->logs[0]->id == CATALOG_LOG);
    /* Copied: frames are sent before the next snapshot is looked at. */
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        worker->fault_rules[peer] = snapshot->faults[peer];
        worker->ports[peer].fault = fault_rule_active(&worker->fault_rules[peer]) ? &worker->fault_rules[peer] : NULL;
    }
}

/* A client that the control thread has let in. */
static void
welcome_client(struct worker *worker, struct attachment *attachment)
{
    int expected = ATTACHMENT_NEW;

    assert(worker->attachments[attachment->index] == NULL);
    worker->attachments[attachment->index] = attachment;
    if (worker->attachments_end <= attachment->index)
        worker->attachments_end = attachment->index + 1u;
    assert(worker->attachments_end <= ATTACHMENTS_MAX);
    /* Unless it is leaving already. */
    atomic_compare_exchange_strong(&attachment->state, &expected, ATTACHMENT_ATTACHED);
}

/* Returns how many: clients' bells are to be waited for from now on. */
static uint32_t
take_commands(struct worker *worker)
{
    struct worker_command command;
    uint32_t taken = 0;

    /* Commands that come after this set it again. */
    atomic_exchange_explicit(&worker->commanded, false, memory_order_acq_rel);
    while (rte_ring_sc_dequeue_elem(worker->commands, &command, sizeof(command)) == 0) {
        switch (command.kind) {
        case COMMAND_ATTACH:
            welcome_client(worker, command.attachment);
            break;
        case COMMAND_NOTE:
            introduction_take_note(worker, &command.note);
            break;
        }
        taken++;
    }
    return taken;
}

static void
follow_merge(struct node_log *log, uint64_t now_ns)
{
    uint64_t entries = log->own->entries;

    assert(entries <= log->own->store.entries);
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
tick_log(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    assert(log->worker == worker);
    set_patience(worker, log, now_ns);
    leader_refresh(worker, log, now_ns);
    core_tick(log->core, now_ns, &log->sink);
    log_reassess(worker, log);
    follow_merge(log, now_ns);
    if (log->rules.retain_bytes != 0)
        retain(worker, log, now_ns);
    log->ticked_lsn = log->digest_lsn;
    durable_want(worker, log);
    durable_tail(worker, log, now_ns);
    watch_log(worker, log, now_ns);
    status_publish(log);
    status_assert(log);
    if (node_has_unsent(worker, log))
        node_activate(worker, log);
    log->touched = log->active || (log->durable != NULL && log->durable->tail_due);
    return core_deadline_ns(log->core);
}

static uint64_t
pace(const struct worker *worker, uint64_t now_ns)
{
    if (now_ns - worker->worked_ns > REST_AFTER_NS && now_ns - worker->reach_changed_ns > STEADY_AFTER_NS)
        return detector_rest_pace_ns(&worker->detector);
    return worker->detector.config.interval_ns;
}

/* Entries grow old in logs that rest, too. */
static void
retain_all(struct worker *worker, uint64_t now_ns)
{
    if (now_ns - worker->retained_ns < RETAIN_EVERY_NS)
        return;
    worker->retained_ns = now_ns;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        uint64_t base_lsn = worker->logs[i]->base_lsn;

        retain(worker, worker->logs[i], now_ns);
        assert(worker->logs[i]->base_lsn >= base_lsn);
        if (worker->logs[i]->base_lsn != base_lsn)
            node_touch(worker, worker->logs[i]);
    }
}

/* How this node stands with others, apart from who is in reach. */
static void
review(struct worker *worker, uint64_t now_ns)
{
    if (now_ns - worker->reviewed_ns < REVIEW_EVERY_NS)
        return;
    worker->reviewed_ns = now_ns;
    if (worker_is_first(worker)) {
        introduction_review(worker);
        rescue_turn(worker);
    } else {
        recovered_report(worker);
    }
    rescue_go_on(worker, now_ns);
    adoption_review(worker, now_ns);
    in_force_beat(worker, now_ns);
    health_tick(worker, now_ns);
    watch_peers(worker, now_ns);
    sight_review(worker, now_ns);
}

static void
timers(struct worker *worker, uint64_t now_ns, bool drained)
{
    cairn_node_set suspected = detector_tick(&worker->detector, now_ns, drained);
    bool beat = now_ns >= worker->heartbeat_ns;
    uint64_t due_ns;

    if (suspected != 0 || detector_reach(&worker->detector) != worker->reach)
        node_reassess(worker, now_ns);
    assert_costly(worker->reach == detector_reach(&worker->detector));
    if (beat) {
        node_clocks_beat(worker, now_ns);
        worker->pace_ns = pace(worker, now_ns);
        assert(worker->pace_ns >= worker->detector.config.interval_ns);
        atomic_store_explicit(&worker->resting, worker->pace_ns != worker->detector.config.interval_ns,
                              memory_order_relaxed);
        review(worker, now_ns);
        durable_tick(worker, now_ns);
        evict(worker);
        send_heartbeats(worker, now_ns);
        retain_all(worker, now_ns);
        /* On the same grid in every process of a machine: sleepers then wake together, and a core
         * leaves its idle state once for all of them. */
        worker->heartbeat_ns = (now_ns / worker->pace_ns + 1) * worker->pace_ns;
        for (uint32_t i = 0; i < worker->logs_count; i++) {
            if (worker->due_ns[i] <= now_ns || worker->logs[i]->touched)
                worker->due_ns[i] = tick_log(worker, worker->logs[i], now_ns);
        }
    }
    /* Otherwise it would never rest. */
    assert(worker->heartbeat_ns > now_ns);
    worker->suspect_ns = detector_deadline_ns(&worker->detector);
    due_ns = node_deadline_ns(worker);
    /* A peer's deadline that has passed while frames are unread is no time that this node was to run at. */
    detector_expect(&worker->detector, due_ns > now_ns ? due_ns : worker->heartbeat_ns);
}

/* One log's end of the turn: acknowledge what is held, send what may be sent. */
static void
finish_log(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    assert_costly(log->active);
    if (log->voters != core_members(log->core)->voters)
        log_reassess(worker, log);
    send_hand_offs(worker, log, now_ns);
    store_seal(&log->trunk);
    store_seal(&log->own->store);
    send_spreads(worker, log, now_ns);
    /* In memory an entry is held as soon as it is stored. */
    core_held(log->core, durable_held_lsn(log), now_ns, &log->sink);
    assert_costly(durable_held_lsn(log) <= core_last_lsn(log->core));
    durable_want(worker, log);
    send_entries(worker, log, now_ns);
    send_lent(worker, log);
}

static uint32_t
finish(struct worker *worker, uint64_t now_ns)
{
    uint32_t count = worker->active_count, kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct node_log *log = worker->active[i];

        finish_log(worker, log, now_ns);
        if (node_has_unsent(worker, log))
            worker->active[kept++] = log;
        else
            log->active = false;
    }
    /* Effects of the last step may have activated logs anew behind the ones that were there. */
    assert_costly(worker->active_count >= count);
    for (uint32_t i = count; i < worker->active_count; i++)
        worker->active[kept++] = worker->active[i];
    worker->active_count = kept;
    /* Each at most once. */
    assert_costly(kept <= worker->logs_count);
    return kept;
}

/* Happens in the first quiet moment, so that whoever has an answer and then asks for the status sees what the request did.
 * Under load the ticks do it. */
static void
publish_touched(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        if (worker->logs[i]->touched)
            status_publish(worker->logs[i]);
    }
    worker->status_due = false;
}

/* Nobody is answered any more: what is held is enough. */
static uint32_t
settle(struct worker *worker, uint64_t now_ns)
{
    if (atomic_load_explicit(&worker->settled, memory_order_relaxed))
        return 0;
    if (worker->disk == NULL || worker->logs_count == 0 || worker->journal_failed || durable_settle(worker, now_ns)) {
        assert(worker->disk == NULL || worker->journal_failed || worker->unwritten_count == 0);
        atomic_store_explicit(&worker->settled, true, memory_order_release);
    }
    return 1;
}

/* The first turn with logs: the catalog that was read at the start may have agreed on more than the node knew then. */
static void
enter(struct worker *worker, uint64_t now_ns)
{
    if (worker_is_first(worker))
        introduction_enter(worker);
    /* The catalog is there, whatever else is. */
    assert(rcu_dereference(worker->node->snapshot)->count > 0 && !worker->restoring);
    worker->entered = true;
    worker->heartbeat_ns = worker->suspect_ns = 0;
    in_force_adopt(worker, rcu_dereference(worker->node->snapshot), now_ns);
}

uint32_t
node_turn(void *context, uint64_t now_ns, bool drained)
{
    struct worker *worker = context;
    uint32_t work;

    if (atomic_load_explicit(&worker->node->stopping, memory_order_acquire))
        return settle(worker, now_ns);
    if (introduction_phase(&worker->node->introduction) != PHASE_INSIDE) {
        introduction_turn(worker, now_ns);
        return 0;
    }
    if (!worker->entered)
        enter(worker, now_ns);
    if (rcu_dereference(worker->node->snapshot)->version != worker->snapshot_version)
        adopt_snapshot(worker, now_ns);
    assert_costly(worker->active_count <= worker->logs_count);
    assert_costly(worker->unwritten_count <= worker->logs_count);
    work = atomic_load_explicit(&worker->commanded, memory_order_relaxed) ? take_commands(worker) : 0;
    if (worker->disk != NULL)
        work += durable_poll(worker, now_ns);
    work += requests_turn(worker, now_ns);
    if (now_ns >= worker->heartbeat_ns || now_ns >= worker->suspect_ns)
        timers(worker, now_ns, drained);
    work += readers_turn(worker, now_ns);
    if (worker->active_count > 0)
        work += finish(worker, now_ns);
    durable_write(worker, now_ns);
    if (work > 0)
        node_wake_up(worker, now_ns);
    else if (worker->status_due)
        publish_touched(worker);
    return work;
}

bool
node_waits(void *context)
{
    const struct worker *worker = context;

    /* It does not sleep while a search goes on, either. */
    return (worker->disk != NULL && journal_busy(&worker->journal) && !worker->journal_failed) ||
           worker->searched_ns == worker->task.now_ns;
}

/* A client of this process rings the lcore's own. */
void
node_bells(void *context, struct doorbells *out)
{
    const struct worker *worker = context;

    assert(worker->attachments_end <= ATTACHMENTS_MAX);
    for (uint32_t i = 0; i < worker->attachments_end; i++) {
        struct attachment *attachment = worker->attachments[i];

        if (attachment != NULL && !attachment->embedded)
            doorbells_add(out, &attachment->channel.in.shared->bell);
    }
}

uint64_t
node_deadline_ns(void *context)
{
    const struct worker *worker = context;

    return worker->heartbeat_ns < worker->suspect_ns ? worker->heartbeat_ns : worker->suspect_ns;
}
