/* Which logs of a node recover no more. */
#include "node/worker/recovered.h"

#include <assert.h>

#include <urcu/urcu-qsbr.h>

#include "node/state.h"
#include "node/worker/ends.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

/* None of the worker's recovers any more; kept: of those that its node keeps over its lives, all where it has no disk. */
static bool
own_logs_count(const struct worker *worker, bool kept)
{
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        const struct node_log *log = worker->logs[i];

        if (core_recovering(log->core) && (!kept || worker->disk == NULL || log->durable != NULL))
            return false;
    }
    return true;
}

/* By what a worker said last. A log that came since does not recover. */
static bool
reaches_all(const struct node *node, uint32_t rows)
{
    return rows != 0 && rows >= atomic_load_explicit(&node->recovering_rows, memory_order_acquire);
}

static bool
has_kept(const struct worker *worker)
{
    return reaches_all(worker->node, atomic_load_explicit(&worker->kept_rows, memory_order_acquire));
}

/* All workers' logs count; kept: as above. */
static bool
all_count(const struct worker *first, bool kept)
{
    const struct node *node = first->node;

    assert(worker_is_first(first));
    if (!own_logs_count(first, kept))
        return false;
    for (uint8_t number = 1; number < node->workers_count; number++) {
        const struct worker *other = node->workers[number];

        if (!reaches_all(node,
                         atomic_load_explicit(kept ? &other->kept_rows : &other->recovered_rows, memory_order_acquire)))
            return false;
    }
    return true;
}

/* The catalog as it was recovered, and all logs of which it tells. */
static bool
knows_all_logs(const struct worker *worker)
{
    const struct node_log *catalog = worker->logs[CATALOG_LOG];

    assert(worker_is_first(worker) && catalog->id == CATALOG_LOG);
    assert(catalog->data_lsn <= core_commit_lsn(catalog->core));
    /* Logs are only ever added. */
    assert(worker->snapshot_rows <= rcu_dereference(worker->node->snapshot)->count);
    return core_commit_lsn(catalog->core) >= core_recovery_lsn(catalog->core) &&
           atomic_load_explicit(&worker->node->catalog_applied_lsn, memory_order_acquire) >= catalog->data_lsn &&
           worker->snapshot_rows == rcu_dereference(worker->node->snapshot)->count;
}

bool
recovered_all(const struct worker *first)
{
    return knows_all_logs(first) && all_count(first, false);
}

bool
recovered_kept(const struct worker *first)
{
    return knows_all_logs(first) && all_count(first, true);
}

bool
recovered_kept_at(const struct worker *first, uint8_t number)
{
    assert(number > 0 && number < first->node->workers_count);
    return knows_all_logs(first) && has_kept(first->node->workers[number]);
}

void
recovered_report(struct worker *worker)
{
    assert(!worker_is_first(worker));
    assert(worker->logs_count <= worker->snapshot_rows);
    /* Of logs that all count those that are kept do, too. */
    assert(!own_logs_count(worker, false) || own_logs_count(worker, true));
    /* No journal is ever told to have come less far than before. */
    assert(worker->disk == NULL ||
           atomic_load_explicit(&worker->told_place, memory_order_relaxed) <= ends_place(worker));
    if (worker->disk != NULL)
        atomic_store_explicit(&worker->told_place, ends_place(worker), memory_order_relaxed);
    atomic_store_explicit(&worker->recovered_rows, own_logs_count(worker, false) ? worker->snapshot_rows : 0,
                          memory_order_release);
    atomic_store_explicit(&worker->kept_rows, own_logs_count(worker, true) ? worker->snapshot_rows : 0,
                          memory_order_release);
}
