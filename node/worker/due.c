/* Which logs have something to do in this turn, and which at the next tick. */
#include "node/worker/due.h"

#include "assert_costly.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

/* Something happened to the log: its next tick is due, and its status. */
void
node_touch(struct worker *worker, struct node_log *log)
{
    assert_costly(log->worker == worker);
    log->touched = true;
    worker->status_due = true;
}

/* The log has something to send, to acknowledge or to commit this turn. */
void
node_activate(struct worker *worker, struct node_log *log)
{
    node_touch(worker, log);
    if (log->active)
        return;
    assert_costly(worker->active_count < worker->logs_count);
    log->active = true;
    worker->active[worker->active_count++] = log;
}

/* There is work again: the next heartbeat comes at the interval that belongs to it. */
void
node_wake_up(struct worker *worker, uint64_t now_ns)
{
    uint64_t next_ns = now_ns + worker->detector.config.interval_ns;

    worker->worked_ns = now_ns;
    if (worker->heartbeat_ns > next_ns)
        worker->heartbeat_ns = next_ns;
}
