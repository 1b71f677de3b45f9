/* Does a log have anything that a peer has not been sent? */
#include "node/worker/unsent.h"

#include "assert_costly.h"
#include "node/worker/room.h"
#include "node/worker/space.h"
#include "node/worker/worker.h"

/* About as much as is adopted at once. */
#define ADOPTED_BYTES 2048u

/* Can a leader take its own branch now? Without space the branch waits for a tick at which there is some. */
static bool
can_adopt(const struct worker *worker, const struct node_log *log)
{
    /* Nobody else takes its own branch without a frame. */
    assert_costly(core_role(log->core) == ROLE_LEADER);
    return trunk_has_room(worker, log, ADOPTED_BYTES) &&
           durable_space(worker, log, ADOPTED_BYTES, USE_FOLLOWER) == SPACE_YES;
}

static bool
branches_unsent(const struct worker *worker, const struct node_log *log)
{
    uint64_t after;
    uint32_t incarnation;
    uint8_t leader;

    for (cairn_node_set held = core_branches_held(log->core); held != 0; held &= held - 1) {
        if (core_hand_off_window(log->core, (uint8_t)__builtin_ctz(held), &incarnation, &after, &leader) &&
            (leader != worker->self || can_adopt(worker, log)))
            return true;
    }
    for (uint8_t peer = 0; log->own->entries > 0 && peer < worker->nodes; peer++) {
        if (core_spread_window(log->core, peer, &after)) {
            assert_costly(peer != worker->self && after < log->own->store.last);
            return true;
        }
    }
    return false;
}

/* Something that may be sent now: to a follower, or of a branch. */
bool
node_has_unsent(const struct worker *worker, const struct node_log *log)
{
    uint64_t from, to;

    assert_costly(log->worker == worker);
    if (log->lend_from_lsn != 0 || branches_unsent(worker, log))
        return true;
    if (core_role(log->core) != ROLE_LEADER)
        return false;
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (peer != worker->self &&
            (core_send_window(log->core, peer, &from, &to) || core_wants_base(log->core, peer) ||
             core_wants_producers(log->core, peer)) &&
            worker->ports[peer].pool != NULL)
            return true;
    }
    return false;
}
