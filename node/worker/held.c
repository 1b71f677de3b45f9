/* What of a log is durable. */
#include "node/worker/held.h"

#include "assert_costly.h"
#include "node/worker/durable.h"
#include "node/worker/log.h"

/* The own branch is written also where it is settled already, since answers wait for it. A copy need not be. */
cairn_node_set
written_branches(const struct node_log *log)
{
    return core_branches_held(log->core) | (cairn_node_set)1 << log->self;
}

uint64_t
durable_held_lsn(const struct node_log *log)
{
    assert_costly(log->durable == NULL || log->durable->held_lsn <= core_last_lsn(log->core));
    return log->durable == NULL ? core_last_lsn(log->core) : log->durable->held_lsn;
}

uint64_t
durable_branches_place(const struct node_log *log, uint64_t none)
{
    uint64_t oldest = none;

    for (cairn_node_set left = written_branches(log); left != 0; left &= left - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(left);
        uint64_t place = log->durable->branches[origin].place;

        if (log->branches[origin].entries > 0 && place != 0 && place < oldest)
            oldest = place;
    }
    return oldest;
}
