/* Histories that contradict each other: that must never be, so nothing is stepped over and nothing mended (a leader has
 * every entry that was committed before its term: Raft 5.4.3). What was committed here and stands otherwise with the
 * leader of a later term was lost by more nodes than may lose anything, or is a lie: no node can tell which of the two goes on.
 * The replica stops where it is, and with it the log, until somebody decides. Where a replica has as much as its leader and
 * only its bytes differ, it alone stops. */
#include "replication/state.h"

/* Is what was committed here at lsn of another term with the leader? 0: a term that is not known any more. */
static bool
contradicts(const struct core *core, uint64_t lsn, uint64_t term)
{
    uint64_t own = 0;

    if (lsn == core->base_lsn)
        own = core->base_term;
    else if (lsn > core->base_lsn && lsn <= core->commit_lsn)
        own = history_term(&core->history, lsn);
    return own != 0 && term != 0 && own != term;
}

bool
contradiction_found(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    const struct run *run = &message->append.run;
    uint64_t lsn = 0, last_lsn;

    assert_costly(core->role == ROLE_FOLLOWER && core->stopped == STOP_NONE);
    assert_costly(core->leader == message->from && core->term == message->term);
    if (message->append.prev_lsn > core->commit_lsn)
        return false;
    last_lsn = message->append.prev_lsn + run->count;
    if (last_lsn > core->commit_lsn)
        last_lsn = core->commit_lsn;
    if (contradicts(core, message->append.prev_lsn, message->append.prev_term))
        lsn = message->append.prev_lsn;
    /* A run is of one term, and terms never fall along a log: one look at each end of what is committed is enough. */
    else if (run->count > 0 && contradicts(core, run->first_lsn, run->term))
        lsn = run->first_lsn;
    else if (last_lsn > message->append.prev_lsn && contradicts(core, last_lsn, run->term))
        lsn = last_lsn;
    if (lsn == 0)
        return false;
    assert(lsn >= core->base_lsn && lsn <= core->commit_lsn);
    core_stop(core, core->config.recovering ? STOP_REPLICA : STOP_LOG, message->from, lsn, now_ns, sink);
    assert(core->stopped != STOP_NONE);
    return true;
}

void
core_stop(struct core *core, enum core_stop stop, uint8_t peer, uint64_t lsn, uint64_t now_ns, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STOPPED, .contradiction = {.lsn = lsn, .peer = peer}};

    if (stop <= core->stopped)
        return;
    if (core->role != ROLE_FOLLOWER || core->leader != CAIRN_NODE_NONE)
        follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
    assert(core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE);
    assert(core->transfer_target == CAIRN_NODE_NONE);
    core->stopped = stop;
    core->reply_to = CAIRN_NODE_NONE;
    reads_fail(core, sink);
    assert(core->reads_count == 0);
    emit(sink, &effect);
    core_check(core);
}

void
core_adopt(struct core *core, uint64_t term)
{
    assert(core->stopped != STOP_NONE);
    assert(term > 0 && term <= TERM_MAX);
    core->adopted_term = term;
    core_check(core);
}

uint64_t
core_adopts(const struct core *core)
{
    assert(core->adopted_term == 0 || core->stopped != STOP_NONE);
    return core->adopted_term;
}

/* A leader of that term is heard. Nothing that was promised here counts any more; but this node has yet to learn which
 * trunk counts, and who votes: so it recovers as one that has forgotten (recovery.c). */
void
adoption_heard(struct core *core, uint64_t term, const struct sink *sink)
{
    if (core->adopted_term == 0 || term < core->adopted_term)
        return;
    assert(core->stopped != STOP_NONE);
    assert(core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE);
    core->adopted_term = 0;
    core->stopped = STOP_NONE;
    core->config.recovering = true;
    core->recovery_known = false;
    core->recovery_replies = core->recovery_leaders = 0;
    core->recovery_nonce++;
    base_give_up(core, &core->config.members, sink);
    /* Nothing that it held counts, and it neither votes nor is counted before it has recovered. */
    assert(core->last_lsn == 0 && core->promised_lsn == 0);
    assert(core->config.recovering && !core->recovery_known);
    core_check(core);
}

void
core_end_stop(struct core *core)
{
    assert(core->stopped != STOP_NONE);
    assert(core->role == ROLE_FOLLOWER && core->reads_count == 0);
    core->stopped = STOP_NONE;
    core->adopted_term = 0;
    core_check(core);
}

enum core_stop
core_stopped(const struct core *core)
{
    assert_costly(core->stopped == STOP_NONE || core->role == ROLE_FOLLOWER);
    assert_costly(core->stopped == STOP_NONE || core->reply_to == CAIRN_NODE_NONE);
    return core->stopped;
}
