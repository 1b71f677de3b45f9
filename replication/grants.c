/* Leases that let the followers of a `ca` log answer current reads alone (Moraru et al., Paxos Quorum Leases, SoCC 2014;
 * that a reader waits for the fate of what it holds: Katsarakis et al., Hermes, ASPLOS 2020). The leader lends out its
 * own lease, to voters that hold all that is committed; and while a grant runs it commits nothing that its holder
 * does not hold. So whatever was acknowledged by a commit, or shown as committed anywhere, is in the trunk of every
 * holder: it reads up to the end of what it holds, and waits until that is known to be committed.
 *
 * A grant ends no later than the leader's lease, so no other leader knows less of it than this one: until then whoever
 * made the lease helps nobody else to lead, nor does the leader, and it hands leadership to nobody. A change of
 * membership, by which a majority may come to be without any of them, is not committed before. */
#include "replication/state.h"

/* A holder asks for the next grant once less than half of an election timeout is left of this one. */
#define RENEW_SHARE 2u

bool
grants_run(const struct core *core, uint64_t now_ns)
{
    return now_ns < core->grants_until_ns;
}

/* Leader: until when, by the asker's clock, the asker may answer itself; 0: it may not. The asker's clock was read
 * before the leader's, so however long the answer takes, the grant ends with the lease. */
uint64_t
grants_give(struct core *core, const struct read *read)
{
    const struct progress *progress = &core->progress[read->from];
    uint64_t end_ns = reads_lease_end_ns(core), length_ns;

    assert(core->role == ROLE_LEADER && read->from != core->config.self);
    assert(core->granted_until_ns[read->from] <= core->grants_until_ns);
    if (core->config.policy != CAIRN_POLICY_CA || read->clock_ns == 0 || end_ns <= read->asked_ns)
        return 0;
    if (!is_voter(core, read->from) || !is_voter(core, core->config.self) || core->changes_count > 0 ||
        core->transfer_target != CAIRN_NODE_NONE || progress->recovering || progress->match_lsn < core->commit_lsn)
        return 0;
    if (core->granted_until_ns[read->from] < end_ns)
        core->granted_until_ns[read->from] = end_ns;
    if (core->grants_until_ns < end_ns)
        core->grants_until_ns = end_ns;
    if (core->promise_until_ns < end_ns)
        core->promise_until_ns = end_ns;
    /* While it runs this node helps nobody else to lead, and hands leadership to nobody. */
    assert(core->granted_until_ns[read->from] >= end_ns && core->grants_until_ns >= end_ns);
    assert(core->promise_until_ns >= end_ns && !core->lease_over);
    assert(progress->match_lsn >= core->commit_lsn && progress->match_lsn <= core->last_lsn);
    length_ns = end_ns - read->asked_ns;
    assert(length_ns > 0 && length_ns / LEASE_DRIFT_SHARE < length_ns);
    return read->clock_ns + length_ns - length_ns / LEASE_DRIFT_SHARE;
}

/* Leader: how far the grants that run let it commit. */
uint64_t
grants_limit(const struct core *core, uint64_t now_ns)
{
    uint64_t limit = UINT64_MAX;

    if (!grants_run(core, now_ns))
        return limit;
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (core->granted_until_ns[peer] > now_ns && core->progress[peer].match_lsn < limit)
            limit = core->progress[peer].match_lsn;
    }
    if (core->changes_count > 0 && core->changes[0].lsn <= limit)
        limit = core->changes[0].lsn - 1;
    assert(core->role == ROLE_LEADER && (core->changes_count == 0 || limit < core->changes[0].lsn));
    return limit;
}

/* Follower: a question to the leader; one to which a lease will do asks for a grant too. */
void
grants_ask(struct core *core, uint64_t token, bool lease, uint64_t now_ns, const struct sink *sink)
{
    struct message message = core_message(core, MESSAGE_READ_INDEX, core->leader);

    assert(core->role == ROLE_FOLLOWER && core->leader != CAIRN_NODE_NONE);
    assert(core->leader != core->config.self && core->stopped == STOP_NONE);
    message.read_index.token = token;
    message.yes = lease;
    if (lease)
        message.read_index.clock_ns = core->grant_asked_ns = now_ns;
    core_send(&message, sink);
}

/* Follower: answers a read by its grant. false: none runs. */
bool
grants_read(struct core *core, uint64_t token, uint64_t now_ns, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_READ_READY};

    if (core->role != ROLE_FOLLOWER || core->leader == CAIRN_NODE_NONE || core->config.recovering ||
        core->grant_term != core->term || now_ns >= core->grant_until_ns)
        return false;
    assert(core->stopped == STOP_NONE && core->leader != core->config.self);
    assert(core->held_lsn <= core->last_lsn);
    if (core->grant_until_ns - now_ns < core->config.election_timeout_ns / RENEW_SHARE &&
        now_ns - core->grant_asked_ns >= core->config.retransmit_ns)
        grants_ask(core, READ_TOKEN_NONE, true, now_ns, sink);
    effect.read.token = token;
    effect.read.lsn = core->held_lsn;
    effect.read.here = true;
    emit(sink, &effect);
    return true;
}

/* Follower: the leader's answer may bring a grant. */
void
grants_take(struct core *core, const struct message *message, uint64_t now_ns)
{
    uint64_t until_ns = message->yes ? message->read_index.clock_ns : 0;

    if (core->role != ROLE_FOLLOWER || message->term != core->term || core->leader != message->from)
        return;
    if (core->grant_term == core->term && core->grant_until_ns >= until_ns)
        return;
    /* No lease is longer, and it began before now. */
    if (until_ns > now_ns && until_ns - now_ns > core->config.election_timeout_ns)
        return;
    assert(core->grant_term <= core->term && core->leader != core->config.self);
    core->grant_term = core->term;
    core->grant_until_ns = until_ns;
}
