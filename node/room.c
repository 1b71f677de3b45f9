/* How much memory data may still take, beside what is kept for entries without which a log could not change its leader. */
#include "room.h"

#include "excerpts.h"
#include "log.h"
#include "worker.h"

/* Segments that only control entries may still take, beside one for each log. */
#define SEGMENTS_RESERVED 3u

/* Segments that data may take: each log keeps one for entries without which it could not change its
 * leader, and each excerpt the one that it is read into. */
uint32_t
segments_free(const struct worker *worker)
{
    uint32_t kept = worker->segments.in_use + SEGMENTS_RESERVED + worker->logs_count + excerpts_idle(worker);

    return kept < worker->segments.count ? worker->segments.count - kept : 0;
}

/* In the segment that is written to now? */
static bool
last_segment_has_room(const struct store *store, size_t size_bytes)
{
    const struct segment *segment;

    if (store->tail == store->head)
        return false;
    segment = store->segments[(store->tail - 1) & store->mask];
    return segment_room(segment) >= size_bytes + sizeof(struct block);
}

/* Is there room for data, beside what is reserved for control entries? */
bool
store_has_room(const struct worker *worker, const struct store *store, size_t size_bytes)
{
    return last_segment_has_room(store, size_bytes) || segments_free(worker) > 0;
}

/* Logs of which something is on a branch here, this one among them. */
static uint32_t
logs_with_branches(const struct worker *worker, const struct held_branch *branch)
{
    uint32_t count = branch->entries == 0;

    for (uint32_t i = 0; i < worker->logs_count; i++) {
        bool any = false;

        for (uint8_t origin = 0; origin < worker->nodes; origin++)
            any |= worker->logs[i]->branches[origin].entries > 0;
        count += any;
    }
    return count;
}

/* However many branches there are, the trunk that they leave by can go on to another segment. */
bool
branch_has_room(const struct worker *worker, const struct held_branch *branch, size_t size_bytes)
{
    uint64_t free_bytes = (uint64_t)segments_free(worker) * (worker->segments.segment_bytes / 2);

    if (!last_segment_has_room(&branch->store, size_bytes) &&
        segments_free(worker) <= logs_with_branches(worker, branch))
        return false;
    return branch->store.bytes + size_bytes < free_bytes + worker->segments.segment_bytes;
}
