/* Histories that contradict each other: this must not be, so nothing is stepped over and nothing made good (a leader has
 * every entry that was committed before its term: Raft 5.4.3). What was committed here and stands otherwise with the
 * leader of a later term was lost by more nodes than may lose anything, or is a lie: no node can tell which of the two goes on.
 * The replica stops where it is, and with it the log, until somebody decides. Where a replica has as much as its leader and
 * only its bytes differ, it alone stops. */
#include "state.h"

/* Is what was committed here at lsn of another term with the leader? 0: a term that is not known any more. */
static bool
contradicts(const struct core *core, uint64_t lsn, uint64_t term)
{
    uint64_t own = lsn > core->base_lsn && lsn <= core->commit_lsn ? history_term(&core->history, lsn) : 0;

    return own != 0 && term != 0 && own != term;
}

bool
contradiction_found(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    const struct run *run = &message->append.run;
    uint64_t lsn = 0, last_lsn;

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
    core_stop(core, core->config.recovering ? STOP_REPLICA : STOP_LOG, message->from, lsn, now_ns, sink);
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
    core->stopped = stop;
    core->reply_to = CAIRN_NODE_NONE;
    reads_fail(core, sink);
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
    return core->adopted_term;
}

/* A leader of that term is heard. Of what was promised here nothing counts any more; but which trunk it is that counts, and
 * who votes, this node has yet to learn: so it recovers as one that has forgotten (recovery.c). */
void
adoption_heard(struct core *core, uint64_t term, const struct sink *sink)
{
    if (core->adopted_term == 0 || term < core->adopted_term)
        return;
    assert(core->stopped != STOP_NONE);
    core->adopted_term = 0;
    core->stopped = STOP_NONE;
    core->config.recovering = true;
    core->recovery_known = false;
    core->recovery_replies = core->recovery_leaders = 0;
    core->recovery_nonce++;
    base_give_up(core, &core->config.members, sink);
    core_check(core);
}

void
core_end_stop(struct core *core)
{
    core->stopped = STOP_NONE;
    core->adopted_term = 0;
}

enum core_stop
core_stopped(const struct core *core)
{
    return core->stopped;
}
