#include "node/worker/in_force.h"

#include <assert.h>

#include "node/events.h"
#include "node/look.h"
#include "node/snapshot.h"
#include "node/state.h"
#include "node/worker/ports.h"
#include "node/worker/reassess.h"
#include "node/worker/worker.h"

static void
adopt_timing(struct worker *worker, const struct snapshot *snapshot)
{
    const struct agreed *agreed = &snapshot->agreed;
    struct detector_config detector = worker->detector.config;
    struct clocks_config clocks = worker->clocks.config;

    detector.nodes = clocks.nodes = (uint8_t)agreed->now.nodes;
    detector.interval_ns = agreed->now.heartbeat_ns;
    detector.timeout_ns = agreed->now.timeout_ns;
    detector.ceiling_ns = snapshot->ceiling_ns;
    detector.hold_max_ns = snapshot->hold_max_ns;
    assert(agreed_timing_makes_sense(detector.interval_ns, detector.timeout_ns));
    clocks.members = agreed_present(agreed);
    clocks.bound_ns = agreed->now.clock_bound_ns;
    detector_reconfigure(&worker->detector, &detector, agreed->removed);
    clocks_reconfigure(&worker->clocks, &clocks);
}

/* The first worker tells the others once what it has agreed on is kept. */
static void
note_kept_timeout(struct worker *worker)
{
    struct introduction *introduction = &worker->node->introduction;
    const struct lives *lives = &introduction->lives;

    assert(worker_is_first(worker));
    assert(lives->kept_version <= lives->version && lives->life_version <= lives->version);
    if (lives->kept_version >= lives->life_version)
        atomic_store_explicit(&introduction->kept_timeout_ns, lives->identity.agreed.now.timeout_ns,
                              memory_order_release);
}

/* A shorter timeout counts at once. A longer one when it is kept: what is promised by it must be known to the next life. */
static void
set_timeout(struct worker *worker)
{
    uint64_t timeout_ns = worker->agreed.now.timeout_ns, kept_ns;

    if (worker_is_first(worker))
        note_kept_timeout(worker);
    if (timeout_ns == worker->core_timeout_ns)
        return;
    kept_ns = atomic_load_explicit(&worker->node->introduction.kept_timeout_ns, memory_order_acquire);
    if (timeout_ns > worker->core_timeout_ns && kept_ns != timeout_ns)
        return;
    worker->core_timeout_ns = timeout_ns;
    for (uint32_t i = 0; i < worker->logs_count; i++)
        core_set_election_timeout(worker->logs[i]->core, timeout_ns);
}

void
in_force_for_log(const struct worker *worker, struct node_log *log)
{
    assert(log->worker == worker);
    core_set_election_timeout(log->core, worker->core_timeout_ns);
    core_set_nodes(log->core, worker->present);
}

static void
tell_agreed(struct worker *worker, const struct agreed *before, const struct agreed *now)
{
    cairn_node_set came = agreed_present(now) & ~agreed_present(before);
    cairn_node_set went = agreed_present(before) & ~agreed_present(now);

    assert(before->lsn < now->lsn);
    assert((went & ~now->removed) == 0);
    if (came != 0)
        node_event(worker, EVENT_AGREED, NULL, (uint8_t)__builtin_ctz(came), 0, 0,
                   "%s is of the cluster, from lsn %lu on", now->names[__builtin_ctz(came)], (unsigned long)now->lsn);
    else if (went != 0)
        node_event(worker, EVENT_AGREED, NULL, (uint8_t)__builtin_ctz(went), 0, 0,
                   "%s is of the cluster no more, from lsn %lu on", now->names[__builtin_ctz(went)],
                   (unsigned long)now->lsn);
    else
        node_event(worker, EVENT_AGREED, NULL, worker->self, 0, 0,
                   "heartbeat %lu us, timeout %lu us, clocks %lu ms, memory %u MiB, from lsn %lu on",
                   (unsigned long)(now->now.heartbeat_ns / 1000), (unsigned long)(now->now.timeout_ns / 1000),
                   (unsigned long)(now->now.clock_bound_ns / 1000000), now->now.memory_mib, (unsigned long)now->lsn);
}

void
in_force_adopt(struct worker *worker, const struct snapshot *snapshot, uint64_t now_ns)
{
    const struct agreed *agreed = &snapshot->agreed;
    struct agreed before;

    if (agreed->lsn <= worker->agreed.lsn)
        return;
    before = worker->agreed;
    worker->agreed = *agreed;
    worker->fingerprint = agreed_fingerprint(agreed);
    /* Seats are only ever added. */
    assert(agreed->now.nodes >= worker->nodes && agreed->now.nodes >= before.now.nodes);
    if (agreed->removed >> worker->self & 1) {
        /* The other workers are told by the phase. */
        if (worker_is_first(worker))
            introduction_agree(worker, agreed, snapshot->members);
        return;
    }
    if (agreed->now.timeout_ns < before.now.timeout_ns)
        worker->promise_set_ns = now_ns;
    for (uint8_t seat = worker->nodes; seat < agreed->now.nodes; seat++)
        port_attach(worker, seat);
    worker->nodes = (uint8_t)agreed->now.nodes;
    worker->present = agreed_present(agreed);
    assert(worker->present >> worker->self & 1);
    adopt_timing(worker, snapshot);
    for (uint32_t i = 0; i < worker->logs_count; i++)
        core_set_nodes(worker->logs[i]->core, worker->present);
    if (worker_is_first(worker)) {
        tell_agreed(worker, &before, agreed);
        introduction_agree(worker, agreed, snapshot->members);
    }
    set_timeout(worker);
    atomic_store_explicit(&worker->adopted_lsn, agreed->lsn, memory_order_release);
    node_reassess(worker, now_ns);
}

/* Until then another worker may promise by what was agreed on before. */
static bool
all_have_adopted(const struct node *node, uint64_t lsn)
{
    bool all = true;

    assert(node->workers[0]->agreed.lsn == lsn);
    for (uint8_t number = 1; number < node->workers_count; number++)
        all &= atomic_load_explicit(&node->workers[number]->adopted_lsn, memory_order_acquire) >= lsn;
    return all;
}

void
in_force_beat(struct worker *worker, uint64_t now_ns)
{
    struct lives *lives = &worker->node->introduction.lives;

    set_timeout(worker);
    if (!worker_is_first(worker) || lives->identity.promised_ns == 0)
        return;
    /* Of the life before, too: whatever it promised ends after so long. */
    if (worker->promise_set_ns == 0 || !all_have_adopted(worker->node, worker->agreed.lsn))
        worker->promise_set_ns = now_ns;
    if (now_ns - worker->promise_set_ns < lives->identity.promised_ns)
        return;
    lives->identity.promised_ns = 0;
    lives->version++;
}
