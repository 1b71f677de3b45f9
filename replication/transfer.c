/* Leadership handed over on purpose (Raft thesis 3.10): the leader takes nothing new, waits until the
 * target holds all it has and nobody answers reads by its grants any more, and tells it to campaign at once, without
 * asking first whether it may. If nothing has come of that within an election timeout the leader goes on as before. */
#include "replication/state.h"

enum cairn_error
core_transfer(struct core *core, uint8_t target, uint64_t now_ns)
{
    const struct progress *progress;

    assert(core->transfer_target == CAIRN_NODE_NONE || core->role == ROLE_LEADER);
    if (core->role != ROLE_LEADER)
        return CAIRN_NOT_LEADER;
    if (target >= CAIRN_NODES_MAX || target == core->config.self || !is_voter(core, target))
        return CAIRN_INVALID;
    if (core->transfer_target != CAIRN_NODE_NONE || core->changes_count > 0)
        return CAIRN_AGAIN;
    progress = &core->progress[target];
    assert(progress->match_lsn <= core->last_lsn);
    if (progress->recovering || !(core->reach & node_bit(target)) ||
        progress->match_lsn + core->config.window_entries / 2 < core->last_lsn)
        return CAIRN_BEHIND;
    core->transfer_target = target;
    core->transfer_until_ns = (grants_run(core, now_ns) ? core->grants_until_ns : now_ns) + election_wait_ns(core);
    core->transfer_sent = false;
    assert(core->transfer_until_ns > now_ns);
    assert(!grants_run(core, now_ns) || core->transfer_until_ns > core->grants_until_ns);
    return CAIRN_OK;
}

enum cairn_error
core_hand_away(struct core *core, cairn_node_set among, uint64_t now_ns)
{
    uint8_t best;

    if (core->role != ROLE_LEADER)
        return CAIRN_NOT_LEADER;
    best = transfer_best_target(core, core->reach & among);
    assert(best == CAIRN_NODE_NONE || (core->reach & among & node_bit(best)));
    return best == CAIRN_NODE_NONE ? CAIRN_BEHIND : core_transfer(core, best, now_ns);
}

bool
core_transferring(const struct core *core)
{
    assert(core->transfer_target == CAIRN_NODE_NONE || core->role == ROLE_LEADER);
    return core->role == ROLE_LEADER && core->transfer_target != CAIRN_NODE_NONE;
}

uint8_t
core_transfer_target(const struct core *core)
{
    assert(core->transfer_target != core->config.self);
    return core->transfer_target;
}

/* The target may campaign whenever this arrives, so this leader's lease is over for its term. */
void
transfer_send(struct core *core, uint8_t target, const struct sink *sink)
{
    struct message message = core_message(core, MESSAGE_TIMEOUT_NOW, target);

    assert(core->role == ROLE_LEADER);
    assert(target != core->config.self && is_voter(core, target));
    assert(!core->progress[target].recovering || target == core->transfer_target);
    core->lease_over = true;
    assert(reads_lease_end_ns(core) == 0);
    core_send(&message, sink);
}

void
transfer_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    uint8_t target = core->transfer_target;

    assert(core->role == ROLE_LEADER);
    assert(target != core->config.self);
    if (target == CAIRN_NODE_NONE)
        return;
    if (now_ns >= core->transfer_until_ns) {
        core->transfer_target = CAIRN_NODE_NONE;
        return;
    }
    if (core->transfer_sent || core->progress[target].match_lsn < core->last_lsn || grants_run(core, now_ns))
        return;
    core->transfer_sent = true;
    assert(core->progress[target].match_lsn == core->last_lsn);
    assert(core->changes_count == 0);
    transfer_send(core, target, sink);
}

/* The voter in the set that holds most. */
uint8_t
transfer_best_target(const struct core *core, cairn_node_set among)
{
    uint8_t best = CAIRN_NODE_NONE;

    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peer == core->config.self || !(among & node_bit(peer)) || !is_voter(core, peer) ||
            core->progress[peer].recovering)
            continue;
        assert(core->progress[peer].match_lsn <= core->last_lsn);
        if (best == CAIRN_NODE_NONE || core->progress[peer].match_lsn > core->progress[best].match_lsn)
            best = peer;
    }
    assert(best != core->config.self);
    assert(best == CAIRN_NODE_NONE || (among & voters_of(core) & node_bit(best)));
    return best;
}
