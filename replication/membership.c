/* How the membership changes: the leader's side (Raft thesis 4.1 to 4.3).
 *
 * One voter comes or goes at a time, so that any two memberships in a row have a majority in common; and a leader changes
 * nothing before an entry of its own term is committed, since else two leaders of different terms could each take one step
 * from the same place and have none (Ongaro, raft-dev 2015, "bug in single-server membership changes"). */
#include "replication/state.h"

/* At most one voter comes or goes. */
static bool
one_step(const struct members *now, const struct members *next)
{
    assert(members_sane(now));
    assert(members_sane(next));
    return set_size(now->voters ^ next->voters) <= 1;
}

/* Would a new voter hold back commits? It has to have come close as a learner first. */
static bool
caught_up(const struct core *core, cairn_node_set added)
{
    assert(core->role == ROLE_LEADER);
    assert(set_size(added) <= 1);
    assert((added & voters_of(core)) == 0);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if ((added & node_bit(peer)) && peer != core->config.self &&
            (core->progress[peer].recovering ||
             core->progress[peer].match_lsn + core->config.window_entries / 2 < core->commit_lsn ||
             core->progress[peer].match_lsn == 0))
            return false;
    }
    return true;
}

/* Would the new membership be able to agree on anything, with the voters that are well now? */
static bool
can_serve(const struct core *core, cairn_node_set voters)
{
    cairn_node_set well = 0;

    assert(core->role == ROLE_LEADER);
    assert(core->reach & node_bit(core->config.self));
    assert((voters & ~core->config.nodes) == 0);
    for (uint8_t node = 0; node < CAIRN_NODES_MAX; node++) {
        if ((core->reach & node_bit(node)) && (node == core->config.self || !core->progress[node].recovering))
            well |= node_bit(node);
    }
    return is_majority(well, voters);
}

enum cairn_error
core_change_members(struct core *core, const struct members *next, uint64_t now_ns, const struct sink *sink,
                    uint64_t *lsn)
{
    const struct members now = *core_members(core);
    cairn_node_set arriving = (next->voters | next->learners) & ~(now.voters | now.learners);

    if (core->role != ROLE_LEADER)
        return CAIRN_NOT_LEADER;
    if (!members_sane(next) || !one_step(&now, next) || ((next->voters | next->learners) & ~core->config.nodes) != 0)
        return CAIRN_INVALID;
    if (core->changes_count > 0 || core->commit_lsn < core->term_first_lsn ||
        core->transfer_target != CAIRN_NODE_NONE || runs_exhausted(&core->runs))
        return CAIRN_AGAIN;
    if (!caught_up(core, next->voters & ~now.voters))
        return CAIRN_BEHIND;
    if (!can_serve(core, next->voters))
        return CAIRN_NO_QUORUM;
    store_control(core, ENTRY_CONFIG, core->config.self, core->config.incarnation, members_encode(next), sink);
    *lsn = core->last_lsn;
    assert(*lsn > core->term_first_lsn && *lsn > core->commit_lsn);
    assert(core->changes_count == 1 && core->changes[0].lsn == *lsn);
    assert(voters_of(core) == next->voters);
    core->lease_floor_seq = core->confirm_seq;
    /* No lease rests on the voters that were. */
    assert(reads_lease_end_ns(core) == 0);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (arriving & node_bit(peer))
            progress_reset(core, peer, now_ns);
    }
    return CAIRN_OK;
}
