/* Memory is given up of what is on disk, while there is little left. */
#include "node/worker/evict.h"

#include <assert.h>

#include "node/worker/apply.h"
#include "node/worker/durable.h"
#include "node/worker/held.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/room.h"
#include "node/worker/worker.h"

/* Segments that eviction keeps free: one part of so many. */
#define FREE_SHARE 8u

bool
evict_one(struct node_log *log)
{
    uint64_t safe_lsn = log->digest_lsn < durable_held_lsn(log) ? log->digest_lsn : durable_held_lsn(log);
    const struct segment *segment = store_front(&log->trunk);
    uint32_t count = log->trunk.tail - log->trunk.head;

    log_assert(log);
    /* Readers at the end have had time for what was committed at the tick before. */
    if (safe_lsn > log->ticked_lsn)
        safe_lsn = log->ticked_lsn;
    if (log->durable != NULL && safe_lsn > log->durable->rewritten_lsn)
        safe_lsn = log->durable->rewritten_lsn;
    if (log->durable == NULL || log->id == CATALOG_LOG || count < 2 || segment->blocks == 0)
        return false;
    if (segment_block(segment, segment->blocks - 1)->first_lsn + segment_block(segment, segment->blocks - 1)->count >
        safe_lsn + 1)
        return false;
    /* The digest has gone over it, so the segment says what that was before it. */
    assert(safe_lsn <= log->digest_lsn && store_first(&log->trunk) <= safe_lsn);
    note_cut(&log->durable->index, segment);
    store_trim_one(&log->trunk, safe_lsn + 1);
    assert(log->trunk.tail - log->trunk.head == count - 1);
    log_assert(log);
    return true;
}

uint64_t
oldest_file(const struct node_log *log, uint64_t durable_place)
{
    const struct durable *durable = log->durable;
    uint32_t item = index_find(&durable->index, log->base_lsn + 1);
    bool indexed = item < durable->index.count;
    const uint64_t places[] = {
        durable->tail_place,
        indexed ? durable->index.items[item].place : durable->tail_place,
        durable_branches_place(log, durable->tail_place),
        log->base_lsn > 0 ? durable->base_place : durable->tail_place,
    };
    uint64_t oldest = UINT64_MAX;

    assert(!indexed || durable->index.items[item].lsn <= log->base_lsn + 1);
    /* What is not said yet, or not durably, leaves what was said before in force. */
    if (durable->base_due || durable->trim_due || (!indexed && core_last_lsn(log->core) > log->base_lsn))
        return 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        if (places[i] >= durable_place)
            return 0;
        if (places[i] < oldest)
            oldest = places[i];
    }
    assert(oldest < durable_place);
    return oldest >> 32;
}

void
evict(struct worker *worker)
{
    while (segments_free(worker) < worker->segments.count / FREE_SHARE + 1) {
        bool any = false;

        /* A segment of each that has more than its share; then of whichever has one to give. */
        for (uint32_t i = 0; i < worker->logs_count; i++) {
            if (worker->logs[i]->trunk.bytes > worker->config->memory_bytes / (2 * worker->logs_count))
                any |= evict_one(worker->logs[i]);
        }
        for (uint32_t i = 0; i < worker->logs_count && !any; i++)
            any = evict_one(worker->logs[i]);
        if (!any)
            return;
    }
}
