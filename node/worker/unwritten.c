/* Which durable logs have something that is not written yet. */
#include "node/worker/unwritten.h"

#include "assert_costly.h"
#include "node/worker/durable.h"
#include "node/worker/held.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

static bool
has_unwritten_branch(const struct node_log *log)
{
    for (cairn_node_set left = written_branches(log); left != 0; left &= left - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(left);

        if (log->branches[origin].store.last >= log->durable->branches[origin].cursor.position)
            return true;
    }
    return false;
}

bool
has_unwritten(const struct node_log *log)
{
    const struct durable *durable = log->durable;

    assert_costly(durable->state_held <= durable->state_written && durable->state_written <= durable->state_wanted);
    assert_costly(durable->trunk.position <= core_last_lsn(log->core) + 1);
    return durable->state_written != durable->state_wanted || durable->base_due || durable->trim_due ||
           durable->producers_due || log->trunk.last >= durable->trunk.position || has_unwritten_branch(log);
}

void
list_unwritten(struct worker *worker, struct node_log *log)
{
    if (log->durable->listed || worker->restoring)
        return;
    /* Each at most once. */
    assert(worker->unwritten_count < worker->logs_count);
    log->durable->listed = true;
    worker->unwritten[worker->unwritten_count++] = log;
}

void
durable_want(struct worker *worker, struct node_log *log)
{
    if (log->durable == NULL)
        return;
    /* The producers that were missing when the base was written are here now. */
    if (log->durable->producers_missing && !core_producers_partial(log->core)) {
        log->durable->producers_missing = false;
        log->durable->trim_due = true;
    }
    assert_costly(log->worker == worker);
    if (has_unwritten(log))
        list_unwritten(worker, log);
}
