/* How much of the journal may still be taken. */
#ifndef NODE_WORKER_SPACE_H
#define NODE_WORKER_SPACE_H

#include "dataplane/journal.h"
#include "node/worker/log.h"

struct worker;

/* What was let in takes its part of the journal, until it is written. */
void durable_claim_some(struct worker *worker, struct node_log *log, size_t size_bytes);
static inline void
durable_claim(struct worker *worker, struct node_log *log, size_t size_bytes)
{
    if (log->durable != NULL)
        durable_claim_some(worker, log, size_bytes);
}
/* May entries of that size be let in? What the catalog says counts as order, whoever gives it. */
enum journal_space durable_space(const struct worker *worker, const struct node_log *log, size_t size_bytes,
                                 enum journal_use use);
/* So much of what was let in is written. */
void unclaim(struct worker *worker, struct node_log *log, uint64_t size_bytes);

#endif
