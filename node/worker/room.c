/* How much memory entries may still take, so that each log can always go on. */
#include "node/worker/room.h"

#include "assert_costly.h"
#include "node/worker/excerpts.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

/* Segments that only control entries may still take, without which a log could not change its leader. */
#define SEGMENTS_RESERVED 3u

/* Segments that data may take: one is kept for each log's trunk to go on, and one for each excerpt that has none yet. */
uint32_t
segments_free(const struct worker *worker)
{
    uint32_t kept = worker->segments.in_use + SEGMENTS_RESERVED + worker->logs_count + excerpts_idle(worker);

    assert_costly(worker->segments.in_use <= worker->segments.count);
    assert_costly(worker->logs_count <= LOGS_MAX);
    return kept < worker->segments.count ? worker->segments.count - kept : 0;
}

/* In the segment that is written to now? */
static bool
last_segment_has_room(const struct store *store, size_t size_bytes)
{
    const struct segment *segment;

    assert_costly(store->tail - store->head <= store->mask + 1);
    if (store->tail == store->head)
        return false;
    segment = store->segments[(store->tail - 1) & store->mask];
    assert_costly(segment->used_bytes + segment->blocks * sizeof(uint32_t) <= segment->size_bytes);
    return segment_room(segment) >= size_bytes + sizeof(struct block);
}

/* So many segments hold that much for certain: large records leave the ends of each unused. */
static uint64_t
room_bytes(const struct worker *worker, uint32_t segments)
{
    assert_costly(segments <= worker->segments.count);
    return (uint64_t)segments * (worker->segments.segment_bytes / 2);
}

enum room
append_room(const struct worker *worker, const struct node_log *log, size_t size_bytes)
{
    uint32_t left = segments_free(worker);

    assert_costly(log->uncommitted_bytes <= worker->uncommitted_bytes);
    if (!last_segment_has_room(&log->trunk, size_bytes)) {
        if (left == 0)
            return worker->uncommitted_bytes > 0 ? ROOM_LATER : ROOM_NONE;
        if (!segment_is_ready(&worker->segments))
            return ROOM_LATER;
        left--;
    }
    return worker->uncommitted_bytes == 0 || worker->uncommitted_bytes + size_bytes <= room_bytes(worker, left)
               ? ROOM_YES
               : ROOM_LATER;
}

/* Is a segment free beside those that may be needed for what clients appended here? */
static bool
is_one_left(const struct worker *worker)
{
    uint32_t left = segments_free(worker);

    /* What control entries need is never among what is free. */
    assert_costly(left == 0 || left + SEGMENTS_RESERVED <= worker->segments.count);
    return left > 0 && segment_is_ready(&worker->segments) &&
           (worker->uncommitted_bytes == 0 || worker->uncommitted_bytes <= room_bytes(worker, left - 1));
}

/* Is none free, and referred to by no frame, but what only control entries may take? */
static bool
only_reserved_left(const struct worker *worker)
{
    return worker->segments.in_use + SEGMENTS_RESERVED >= worker->segments.count ||
           !segment_is_ready(&worker->segments);
}

/* A trunk may always have a second segment: however much of the memory waits on branches for it to go on, it goes on. What is
 * in the first of a durable log is committed and given up then. */
bool
trunk_has_room(const struct worker *worker, const struct node_log *log, size_t size_bytes)
{
    assert_costly(log->trunk.pool == &worker->segments);
    return last_segment_has_room(&log->trunk, size_bytes) || is_one_left(worker) ||
           (log->trunk.tail - log->trunk.head <= 1 && !only_reserved_left(worker));
}

bool
restore_has_room(const struct worker *worker, const struct store *store, size_t size_bytes)
{
    assert(worker->restoring);
    return last_segment_has_room(store, size_bytes) || !only_reserved_left(worker);
}

bool
restore_can_keep(const struct worker *worker, uint64_t size_bytes)
{
    uint32_t taken = worker->segments.in_use + SEGMENTS_RESERVED;

    assert(!worker->restoring);
    return size_bytes == 0 ||
           (taken < worker->segments.count && size_bytes <= room_bytes(worker, worker->segments.count - taken));
}

bool
branch_has_room(const struct worker *worker, const struct held_branch *branch, size_t size_bytes)
{
    uint64_t free_bytes = room_bytes(worker, segments_free(worker));

    assert(branch->entries <= branch->store.entries);
    if (!last_segment_has_room(&branch->store, size_bytes) && !is_one_left(worker))
        return false;
    return branch->store.bytes + size_bytes < free_bytes + worker->segments.segment_bytes;
}
