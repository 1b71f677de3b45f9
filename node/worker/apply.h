/* Effects of the core become work of the dataplane. */
#ifndef NODE_WORKER_APPLY_H
#define NODE_WORKER_APPLY_H

#include <assert.h>

#include "node/worker/durable.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"
#include "replication/core.h"

struct stretch;

/* Nothing of it is held; what comes next stands behind the place. */
void branch_begin(struct held_branch *branch, uint64_t place);
void apply_effect(void *context, const struct effect *effect);
bool apply_holds(void *context, const struct entry_id *id);
/* The chain digest goes over a stretch of the trunk that is committed, and the log's cursor with it. */
void digest_over(struct node_log *log, const struct stretch *stretch);

/* What holds of a branch's entries between any two events. */
static inline void
branch_assert(const struct held_branch *branch)
{
    assert(branch->entries <= branch->store.entries);
    assert(branch->entries == 0 || branch->trim_cursor.position <= branch->store.last);
    assert(branch->entries > 0 || branch->store.entries == 0);
}

/* What holds of a log between any two events: its core and its stores say the same. Off the path of an append. */
static inline void
log_assert(const struct node_log *log)
{
    const uint64_t last_lsn = core_last_lsn(log->core);

    assert(log->digest_lsn == core_commit_lsn(log->core));
    assert(log->commit_cursor.position == log->digest_lsn + 1);
    assert(log->base_lsn == core_base_lsn(log->core) && log->base_lsn <= log->digest_lsn);
    assert(log->data_lsn <= log->digest_lsn && log->ticked_lsn <= log->digest_lsn);
    assert(store_first(&log->trunk) == 0 || log->trunk.last == last_lsn);
    assert(log->uncommitted_bytes <= log->worker->uncommitted_bytes);
    assert(core_role(log->core) == ROLE_LEADER || log->uncommitted_bytes == 0);
    branch_assert(log->own);
    if (log->durable == NULL)
        return;
    assert(log->durable->held_lsn <= last_lsn);
    assert(log->durable->claimed_bytes <= log->worker->claimed_bytes);
    durable_assert(log->durable, log->worker->restoring);
}

#endif
