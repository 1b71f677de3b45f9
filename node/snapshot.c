/* What the control thread has decided, handed to the worker: by liburcu, as quiescent states (QSBR). */
#include "node/snapshot.h"

#include "node/state.h"

#include <assert.h>
#include <stdlib.h>

#include <urcu/urcu-qsbr.h>

/* A snapshot goes on from the one before: logs are only ever added, and what is agreed on only moves on. */
static void
assert_follows(const struct snapshot *before, const struct snapshot *next)
{
    assert(next != before && next->version == before->version);
    assert(next->count >= before->count && next->count <= LOGS_MAX);
    assert(next->agreed.lsn >= before->agreed.lsn);
    for (uint32_t i = 0; i < before->count; i++)
        assert(next->logs[i].log == before->logs[i].log);
    for (uint32_t i = before->count; i < next->count; i++)
        assert(i == 0 || next->logs[i].log->id > next->logs[i - 1].log->id);
}

struct snapshot *
snapshot_copy(const struct node *node)
{
    struct snapshot *copy = malloc(sizeof(*copy));

    if (copy != NULL)
        *copy = *node->snapshot;
    return copy;
}

/* Puts next in force, with the control lock held; returns the former one, for snapshot_retire(). */
struct snapshot *
snapshot_publish(struct node *node, struct snapshot *next)
{
    struct snapshot *before = node->snapshot;

    assert_follows(before, next);
    next->version = before->version + 1;
    rcu_assign_pointer(node->snapshot, next);
    for (uint8_t number = 0; number < node->workers_count; number++)
        worker_wake(node->workers[number]);
    return before;
}

/* Frees a former snapshot once no worker can be looking at it. Never with the lock held: whoever
 * waits for the lock may be the very thread that polls. */
void
snapshot_retire(struct snapshot *former)
{
    if (former == NULL)
        return;
    urcu_qsbr_synchronize_rcu();
    free(former);
}
