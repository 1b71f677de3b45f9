/* What a log is like now, told by its worker to whoever asks, by a sequence lock. */
#include "node/status.h"

#include <assert.h>
#include <string.h>

#include "node/worker/durable.h"
#include "node/worker/held.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

/* What is in the store is the core's trunk, as far as it is in memory. */
static void
assert_trunk(const struct node_log *log)
{
    const struct store *trunk = &log->trunk;

    assert(store_first(trunk) == 0 || trunk->last == core_last_lsn(log->core));
    assert(log->durable != NULL || store_first(trunk) <= log->base_lsn + 1);
    assert(log->commit_cursor.position == log->digest_lsn + 1);
}

static void
assert_durable(const struct node_log *log)
{
    const struct durable *durable = log->durable;

    assert(durable->state_held <= durable->state_written && durable->state_written <= durable->state_wanted);
    assert(durable->held_lsn <= core_last_lsn(log->core));
    assert(durable->trunk.position <= core_last_lsn(log->core) + 1);
    assert(durable->claimed_bytes <= log->worker->claimed_bytes);
    assert(durable->parked_count <= PARKED_MAX);
}

void
status_assert(const struct node_log *log)
{
    assert(log->base_lsn == core_base_lsn(log->core) && log->base_lsn <= log->digest_lsn);
    assert(log->digest_lsn == core_commit_lsn(log->core));
    assert(log->ticked_lsn <= log->digest_lsn && log->data_lsn <= log->digest_lsn);
    assert(log->own->entries <= log->own->store.entries);
    assert(log->uncommitted_bytes <= log->worker->uncommitted_bytes);
    assert_trunk(log);
    if (log->durable != NULL)
        assert_durable(log);
}

/* Sequence lock: odd while it is written. One writer. */
void
status_publish(struct node_log *log)
{
    uint32_t sequence = atomic_load_explicit(&log->status_sequence, memory_order_relaxed);
    uint64_t lacks_lsn, lacks_term;

    assert((sequence & 1) == 0);
    atomic_store_explicit(&log->status_sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    log->status = (struct log_status){
        .role = core_role(log->core),
        .mode = log->mode,
        .leader = core_leader(log->core),
        .recovering = core_recovering(log->core),
        .lost = core_is_lost(log->core),
        .left = log->left,
        .failed = core_failed(log->core),
        .stopped = core_stopped(log->core),
        .reaches_all = core_reaches_all(log->core),
        .held_lsn = durable_held_lsn(log),
        .lacks_lsn = core_lacks(log->core, &lacks_lsn, &lacks_term) ? lacks_lsn : 0,
        .term = core_term(log->core),
        .commit_lsn = core_commit_lsn(log->core),
        .last_lsn = core_last_lsn(log->core),
        .first_lsn = log->base_lsn + 1,
        .branch_entries = log->own->entries,
        .merge = log->merge,
        .digest = log->digest,
        .recovery_lsn = core_recovery_lsn(log->core),
        .members = *core_members(log->core),
        .self = log->self,
        .writer = log->rules.writer,
        .sealed = log->rules.sealed,
        .copies = core_branches_held(log->core) & ~((cairn_node_set)1 << log->self),
        .counters = log->counters,
    };
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&log->status_sequence, sequence + 2, memory_order_release);
}

void
status_read(const struct node_log *log, struct log_status *out)
{
    uint32_t before, after;

    do {
        before = atomic_load_explicit(&log->status_sequence, memory_order_acquire);
        *out = log->status;
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&log->status_sequence, memory_order_relaxed);
    } while ((before & 1) != 0 || before != after);
}
