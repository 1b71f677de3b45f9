/* How much of the journal may still be taken, and what was let in and is not written yet. */
#include "node/worker/space.h"

#include "assert_costly.h"
#include "node/worker/durable.h"
#include "node/worker/worker.h"

/* What was let in takes its part of the journal from then on, and not only once it is written: else a burst takes what is kept
 * for others. */
void
durable_claim_some(struct worker *worker, struct node_log *log, size_t size_bytes)
{
    if (worker->restoring)
        return;
    log->durable->claimed_bytes += size_bytes + sizeof(struct journal_block);
    worker->claimed_bytes += size_bytes + sizeof(struct journal_block);
    assert_costly(log->durable->claimed_bytes <= worker->claimed_bytes);
}

/* So much is written, or is not to be written any more; never more than what is claimed. */
void
unclaim(struct worker *worker, struct node_log *log, uint64_t size_bytes)
{
    assert_costly(!worker->restoring);
    assert_costly(log->durable->claimed_bytes <= worker->claimed_bytes);
    if (size_bytes > log->durable->claimed_bytes)
        size_bytes = log->durable->claimed_bytes;
    log->durable->claimed_bytes -= size_bytes;
    worker->claimed_bytes -= size_bytes;
    assert_costly(log->durable->claimed_bytes <= worker->claimed_bytes);
}

enum journal_space
durable_space(const struct worker *worker, const struct node_log *log, size_t size_bytes, enum journal_use use)
{
    assert_costly(log->worker == worker);
    if (log->durable == NULL)
        return SPACE_YES;
    return journal_space(&worker->journal, worker->claimed_bytes + size_bytes + sizeof(struct journal_block),
                         log->id == CATALOG_LOG ? USE_ORDER : use);
}
