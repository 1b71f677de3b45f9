/* The invariants that hold between any two events. */
#include "state.h"

void
core_check(const struct core *core)
{
    assert(core->commit_lsn <= core->last_lsn);
    assert(core->held_lsn <= core->last_lsn);
    assert(core->match_lsn <= core->last_lsn);
    assert(core->base_lsn <= core->commit_lsn);
    assert(core->last_lsn - core->commit_lsn <= core->config.window_entries + RUNS_RESERVED);
    assert(core->role != ROLE_LEADER || core->leader == core->config.self);
    assert(core->role == ROLE_LEADER || core->leader != core->config.self);
    assert(!core->config.recovering || core->role == ROLE_FOLLOWER);
    assert(core->stopped == STOP_NONE || (core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE));
}
