/* What is not gone and yet does not keep up: peers whose heartbeats come late or who owe acknowledgements (gray
 * failures: Huang et al., HotOS 2017), and this node's own worker, seen by its control thread. */
#include "watch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "events.h"

/* A peer that owes an acknowledgement for longer is told of. */
#define OWED_TIMEOUTS 5u
/* A slow peer keeps up again when it has not been slow for so long. */
#define CALM_NS 1000000000u
/* A worker at rest takes a turn every third of a timeout. */
#define HUNG_TIMEOUTS 10u
#define HUNG_LEAST_NS 250000000u
/* The control thread itself did not run: it cannot say what the worker did meanwhile. */
#define UNSEEN_NS 150000000u

static uint64_t
owed_for_ns(const struct worker *worker, const struct node_log *log, uint8_t peer, uint64_t now_ns, uint64_t *lsn)
{
    uint64_t owed_ns = core_owes_ns(log->core, peer, now_ns, lsn);

    assert(owed_ns == 0 || (core_role(log->core) == ROLE_LEADER && *lsn <= core_last_lsn(log->core)));
    return owed_ns > OWED_TIMEOUTS * worker->detector.config.timeout_ns ? owed_ns : 0;
}

void
watch_log(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    uint64_t lsn;

    if (core_role(log->core) != ROLE_LEADER)
        return;
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (worker->slow.owes[peer] == NULL && owed_for_ns(worker, log, peer, now_ns, &lsn) != 0)
            worker->slow.owes[peer] = log;
    }
    assert(worker->slow.owes[worker->self] == NULL);
}

/* What is slow about the peer, in words; false: nothing. */
static bool
describe(struct worker *worker, uint8_t peer, uint64_t now_ns, char *text, size_t text_bytes)
{
    const char *name = worker->config->cluster->names[peer];
    struct node_log *log = worker->slow.owes[peer];
    uint64_t lsn, owed_ns = log == NULL ? 0 : owed_for_ns(worker, log, peer, now_ns, &lsn);

    assert(log == NULL || log->worker == worker);
    if (owed_ns != 0) {
        snprintf(text, text_bytes, "%s is slow: it has owed lsn %lu of log %s for %lu ms", name, (unsigned long)lsn,
                 log->name, (unsigned long)(owed_ns / 1000000));
        return true;
    }
    worker->slow.owes[peer] = NULL;
    if (!(detector_slow(&worker->detector) >> peer & 1))
        return false;
    snprintf(text, text_bytes, "%s is slow: its heartbeats come %lu us late", name,
             (unsigned long)(worker->detector.peers[peer].lateness.mean_ns / 1000));
    return true;
}

void
watch_peers(struct worker *worker, uint64_t now_ns)
{
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        cairn_node_set bit = (cairn_node_set)1 << peer;
        char text[128];

        assert(worker->slow.seen_ns[peer] <= now_ns);
        if (peer == worker->self)
            continue;
        /* A peer out of reach is told of as that, not as slow. */
        if (!(worker->reach & bit)) {
            worker->slow.owes[peer] = NULL;
            worker->slow.peers &= ~bit;
        } else if (describe(worker, peer, now_ns, text, sizeof(text))) {
            if (!(worker->slow.peers & bit))
                node_event(worker, EVENT_PEER_SLOW, NULL, peer, 0, 0, "%s", text);
            worker->slow.peers |= bit;
            worker->slow.seen_ns[peer] = now_ns;
        } else if ((worker->slow.peers & bit) && now_ns - worker->slow.seen_ns[peer] > CALM_NS) {
            node_event(worker, EVENT_PEER_STEADY, NULL, peer, 0, 0, "%s keeps up again",
                       worker->config->cluster->names[peer]);
            worker->slow.peers &= ~bit;
        }
    }
    /* Who is out of reach, or is this node itself, is not slow. */
    assert((worker->slow.peers & ~worker->reach) == 0);
    assert(!(worker->slow.peers >> worker->self & 1));
}

static void
tell(struct worker *worker, enum event_kind kind, uint64_t now_ns, uint64_t for_ns)
{
    struct node_event event = {
        .t_ns = now_ns, .kind = kind, .log = UINT32_MAX, .worker = worker->task.number, .peer = worker->self};
    const char *format = kind == EVENT_WORKER_HUNG
                             ? "its worker has taken no turn for %lu ms: to the others this node is gone"
                             : "its worker takes turns again, after %lu ms";

    snprintf(event.reason, sizeof(event.reason), format, (unsigned long)(for_ns / 1000000));
    control_event(worker->node, &event);
}

void
watch_worker(struct worker *worker, uint64_t now_ns)
{
    struct worker_watch *watch = &worker->node->control->watch[worker->task.number];
    uint64_t polls = atomic_load_explicit(&worker->task.polls, memory_order_relaxed);
    uint64_t limit_ns = HUNG_TIMEOUTS * worker->detector.config.timeout_ns, still_ns;
    bool unseen = now_ns - watch->looked_ns > UNSEEN_NS;

    if (limit_ns < HUNG_LEAST_NS)
        limit_ns = HUNG_LEAST_NS;
    assert(watch->moved_ns <= watch->looked_ns && watch->looked_ns <= now_ns);
    assert(watch->polls <= polls);
    still_ns = now_ns - watch->moved_ns;
    watch->looked_ns = now_ns;
    if (polls != watch->polls || (unseen && !watch->hung)) {
        if (watch->hung)
            tell(worker, EVENT_WORKER_BACK, now_ns, still_ns);
        watch->hung = false;
        watch->polls = polls;
        watch->moved_ns = now_ns;
    } else if (!watch->hung && still_ns > limit_ns) {
        watch->hung = true;
        tell(worker, EVENT_WORKER_HUNG, now_ns, still_ns);
    }
    atomic_store_explicit(&worker->hung, watch->hung, memory_order_relaxed);
}
