/* A worker that takes no turns is seen by its node's control thread. */
#include "node/control/hung.h"

#include <assert.h>
#include <stdio.h>

#include "node/control/control.h"
#include "node/worker/worker.h"

/* A worker at rest takes a turn every third of a timeout. */
#define HUNG_TIMEOUTS 10u
#define HUNG_LEAST_NS 250000000u
/* The control thread itself did not run: it cannot say what the worker did meanwhile. */
#define UNSEEN_NS 150000000u

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
hung_review(struct worker *worker, uint64_t now_ns)
{
    struct hung_watch *watch = &worker->node->control->watch[worker->task.number];
    uint64_t polls = atomic_load_explicit(&worker->task.polls, memory_order_relaxed);
    uint64_t limit_ns = HUNG_TIMEOUTS * worker->detector.config.timeout_ns, still_ns;
    bool unseen = now_ns - watch->looked_ns > UNSEEN_NS;

    if (limit_ns < HUNG_LEAST_NS)
        limit_ns = HUNG_LEAST_NS;
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
