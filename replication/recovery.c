/* A node that restarts without its memory (Viewstamped Replication Revisited, section 4.3).
 *
 * It may have acknowledged entries, and granted votes, that it no longer knows of. Until it is sure
 * to hold every entry it could have acknowledged it neither votes nor counts:
 *   1. it asks every other node for its term and membership;
 *   2. the answer with the highest term must come from the leader of that term, and more than half of
 *      the voters of that leader's membership, this node not among them, must have answered: a leader
 *      that does not know the membership in force has a lower term than one of them, since two
 *      memberships in a row have a majority in common;
 *   3. it follows that leader until it holds what the leader held when it answered.
 * Any entry it acknowledged went to a leader of some term t; any majority contains a member that
 * took part in electing every committed term up to the highest, so the highest answer's leader has
 * a term of at least t, and by leader completeness its log holds every entry that was committed
 * with the lost acknowledgement's help. */
#include "replication/state.h"

void
recovery_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    struct message message;

    assert(core->config.recovering && core->role == ROLE_FOLLOWER);
    assert(core->recovery_nonce != 0);
    if (core->recovery_known || now_ns - core->recovery_sent_ns < core->config.retransmit_ns)
        return;
    core->recovery_sent_ns = now_ns;
    message = core_message(core, MESSAGE_RECOVER, CAIRN_NODE_NONE);
    message.recover.nonce = core->recovery_nonce;
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peer == core->config.self || !(core->config.nodes & node_bit(peer)))
            continue;
        message.to = peer;
        core_send(&message, sink);
    }
}

void
receive_recover(struct core *core, const struct message *message, const struct sink *sink)
{
    struct message reply;

    if (core->config.recovering)
        return;
    reply = core_message(core, MESSAGE_RECOVER_REPLY, message->from);
    reply.recover.nonce = message->recover.nonce;
    reply.recover.last_lsn = core->last_lsn;
    reply.recover.members = *core_members(core);
    reply.recover.leader = core->role == ROLE_LEADER;
    assert(members_sane(&reply.recover.members));
    assert(reply.recover.leader == (core->leader == core->config.self));
    /* A leader's own first entry is among what the other has to come to. */
    assert(!reply.recover.leader || reply.recover.last_lsn >= core->term_first_lsn);
    core_send(&reply, sink);
}

bool
core_is_lost(const struct core *core)
{
    cairn_node_set forgetful = core->forgetful | (core->config.recovering ? node_bit(core->config.self) : 0);

    assert(!(core->forgetful & node_bit(core->config.self)));
    return core->leader == CAIRN_NODE_NONE && forgetful != 0 &&
           !is_majority(core_members(core)->voters & ~forgetful, core_members(core)->voters);
}

/* It counts from now on. */
void
recovery_end(struct core *core, const struct sink *sink)
{
    const struct effect effect = {.type = EFFECT_RECOVERED};

    assert(core->config.recovering);
    assert(core->role == ROLE_FOLLOWER);
    core->config.recovering = false;
    emit(sink, &effect);
}

void
recovery_check(struct core *core, const struct sink *sink)
{
    assert(core->config.recovering);
    assert(core->role == ROLE_FOLLOWER);
    assert(core->match_lsn <= core->last_lsn);
    if (!core->recovery_known || core->term < core->recovery_term || core->held_lsn < core->recovery_lsn ||
        core->match_lsn < core->recovery_lsn)
        return;
    assert(core->last_lsn >= core->recovery_lsn);
    /* Its vote in this term may have been given before the restart: it gives no second one. */
    if (core->voted_for == CAIRN_NODE_NONE)
        core->voted_for = core->leader;
    recovery_end(core, sink);
}

/* The node whose answer has the highest term, or nobody while too few have answered. */
static uint8_t
highest_answer(const struct core *core)
{
    uint8_t best = CAIRN_NODE_NONE;
    cairn_node_set voters;

    assert(!(core->recovery_replies & node_bit(core->config.self)));
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (!(core->recovery_replies & node_bit(peer)))
            continue;
        if (best == CAIRN_NODE_NONE || core->recovery_terms[peer] > core->recovery_terms[best] ||
            (core->recovery_terms[peer] == core->recovery_terms[best] && (core->recovery_leaders & node_bit(peer))))
            best = peer;
        assert(core->recovery_terms[peer] <= core->recovery_terms[best]);
    }
    if (best == CAIRN_NODE_NONE || !(core->recovery_leaders & node_bit(best)))
        return CAIRN_NODE_NONE;
    assert(best != core->config.self);
    assert(core->recovery_replies & node_bit(best));
    voters = core->recovery_voters[best];
    return is_majority(core->recovery_replies, voters) ? best : CAIRN_NODE_NONE;
}

void
receive_recover_reply(struct core *core, const struct message *message, const struct sink *sink)
{
    uint8_t leader;

    if (!core->config.recovering || core->recovery_known || message->recover.nonce != core->recovery_nonce)
        return;
    core->recovery_replies |= node_bit(message->from);
    core->recovery_terms[message->from] = message->term;
    core->recovery_last_lsn[message->from] = message->recover.last_lsn;
    core->recovery_voters[message->from] = message->recover.members.voters;
    core->recovery_leaders &= ~node_bit(message->from);
    if (message->recover.leader)
        core->recovery_leaders |= node_bit(message->from);
    assert(!(core->recovery_replies & node_bit(core->config.self)));
    assert((core->recovery_leaders & ~core->recovery_replies) == 0);
    leader = highest_answer(core);
    if (leader == CAIRN_NODE_NONE)
        return;
    assert(core->recovery_leaders & node_bit(leader));
    core->recovery_known = true;
    core->recovery_term = core->recovery_terms[leader];
    core->recovery_lsn = core->recovery_last_lsn[leader];
    recovery_check(core, sink);
}
