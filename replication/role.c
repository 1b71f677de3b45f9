/* A node's place under a term and its leader, and whose trunk is as far as another (Raft 5.1, 5.4.1). */
#include "assert_costly.h"
#include "replication/state.h"

void
role_changed(const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_ROLE};

    emit(sink, &effect);
}

/* Leadership ends: what clients still wait for is settled, and what was acknowledged alone moves to
 * the branch before anything can truncate it. */
static void
depose(struct core *core, const struct sink *sink)
{
    assert(core->role == ROLE_LEADER);
    assert(core->leader == core->config.self);
    branch_keep_deposed(core, sink);
    core->role = ROLE_FOLLOWER;
    core->leader = CAIRN_NODE_NONE;
    core->match_lsn = core->commit_lsn;
    core->transfer_target = CAIRN_NODE_NONE;
    emit_lsn(sink, EFFECT_DEPOSED, core->commit_lsn);
    reads_fail(core, sink);
    assert(core->reads_count == 0);
}

/* What was known of a former term's leader says nothing of the next one: neither how much of this trunk is the next
 * leader's too, nor how far that one has committed. */
void
enter_term(struct core *core, uint64_t term, uint8_t voted_for, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STATE};

    assert(term > core->term);
    /* A leader is deposed before the term changes, and no node votes for another unasked. */
    assert(core->role != ROLE_LEADER);
    assert(voted_for == CAIRN_NODE_NONE || voted_for == core->config.self);
    core->term = term;
    core->voted_for = voted_for;
    core->match_lsn = core->commit_lsn;
    core->compared_lsn = 0;
    core->told_commit_lsn = 0;
    core->reply_to = CAIRN_NODE_NONE;
    core->elections++;
    assert(core->match_lsn <= core->last_lsn);
    emit(sink, &effect);
}

/* Takes its place under term and leader (which may be nobody yet). */
void
follow(struct core *core, uint64_t term, uint8_t leader, uint64_t now_ns, const struct sink *sink)
{
    bool changed = core->term != term || core->leader != leader || core->role != ROLE_FOLLOWER;

    assert(term >= core->term);
    assert(leader != core->config.self);
    /* No term has two leaders. */
    assert_costly(core->role != ROLE_LEADER || term > core->term || leader == CAIRN_NODE_NONE);
    assert_costly(leader == CAIRN_NODE_NONE || (core->config.nodes & node_bit(leader)));
    assert_costly(core->role == ROLE_LEADER || core->transfer_target == CAIRN_NODE_NONE);
    if (core->role == ROLE_LEADER)
        depose(core, sink);
    if (term > core->term)
        enter_term(core, term, CAIRN_NODE_NONE, sink);
    core->role = ROLE_FOLLOWER;
    if (leader != CAIRN_NODE_NONE) {
        core->ahead = CAIRN_NODE_NONE;
        core->elections = 0;
        core->leader_heard_ns = now_ns;
        /* Still a timeout away: as good as drawn anew. */
        if (core->election_ns < now_ns + election_wait_ns(core))
            election_reset(core, now_ns);
    }
    assert_costly(core->reads_count == 0);
    if (!changed)
        return;
    if (core->leader != leader)
        hand_off_restart(core);
    core->leader = leader;
    reads_fail(core, sink);
    role_changed(sink);
}

static bool
is_as_far(uint64_t term, uint64_t last_lsn, uint64_t than_term, uint64_t than_lsn)
{
    return term != than_term ? term > than_term : last_lsn >= than_lsn;
}

/* Has this node lost some of what it held, and not yet got it back? */
bool
lacks_promised(const struct core *core)
{
    return core->promised_lsn != 0 &&
           !is_as_far(last_term(core), core->last_lsn, core->promised_term, core->promised_lsn);
}

/* Is a trunk that ends so at least as far as this one, or as this one was before some of it was lost (Raft
 * 5.4.1)? */
bool
up_to_date(const struct core *core, uint64_t term, uint64_t last_lsn)
{
    assert(last_term(core) <= core->term);
    assert(core->promised_lsn != 0 || core->promised_term == 0);
    return is_as_far(term, last_lsn, last_term(core), core->last_lsn) &&
           (core->promised_lsn == 0 || is_as_far(term, last_lsn, core->promised_term, core->promised_lsn));
}

bool
hears_leader(const struct core *core, uint64_t now_ns)
{
    assert_costly(core->role != ROLE_LEADER);
    assert_costly(core->leader != core->config.self);
    return core->leader != CAIRN_NODE_NONE && now_ns - core->leader_heard_ns < election_wait_ns(core);
}
