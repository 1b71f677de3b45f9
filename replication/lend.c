/* A node that alone reaches a majority may be behind those it reaches, and they cannot elect each other
 * ("constrained election", OmniPaxos, EuroSys 2023). It then borrows what it misses from one of them.
 *
 * Taking over another node's trunk is safe where that one's last entry has a higher term than one's own
 * last, or the same and is not shorter. An entry committed in term t with this node's help is in the
 * trunk of every leader of a later term (leader completeness), so also in a trunk that ends in such a
 * term; and two trunks that end in one term are prefixes of its leader's. What is cut off here can
 * therefore never have been committed, nor become so. A part of such a trunk is as good as all of it. */
#include "replication/state.h"

/* Asks whoever has more, whenever a round of pre-votes has failed because of that. */
void
lend_ask(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    struct message message;

    if (core->ahead == CAIRN_NODE_NONE)
        return;
    assert(core->ahead != core->config.self);
    assert(core->role != ROLE_LEADER && core->leader == CAIRN_NODE_NONE);
    assert(last_term(core) <= core->term && core->stopped == STOP_NONE);
    message = core_message(core, MESSAGE_PULL, core->ahead);
    message.vote.last_lsn = core->last_lsn;
    message.vote.last_term = last_term(core);
    core->pulled_ns = now_ns;
    core_send(&message, sink);
}

/* Where the asker's trunk and this one part, as far as the asker's last entry tells. */
void
receive_pull(struct core *core, const struct message *message, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_LEND};
    uint64_t from_lsn = message->vote.last_lsn + 1;

    if (core->role == ROLE_LEADER || core->config.recovering || core->last_lsn == 0)
        return;
    if (from_lsn > core->last_lsn + 1)
        from_lsn = core->last_lsn + 1;
    if (from_lsn > 1 && (from_lsn - 1 != message->vote.last_lsn ||
                         history_term(&core->history, from_lsn - 1) != message->vote.last_term))
        from_lsn = history_first_lsn(&core->history, from_lsn - 1);
    if (from_lsn <= core->base_lsn)
        from_lsn = core->base_lsn + 1;
    if (from_lsn == 0 || from_lsn > core->last_lsn)
        return;
    assert(from_lsn > core->base_lsn && from_lsn <= core->last_lsn);
    assert(from_lsn <= message->vote.last_lsn + 1 || from_lsn == core->base_lsn + 1);
    assert(message->from != core->config.self);
    effect.lend.to = message->from;
    effect.lend.from_lsn = from_lsn;
    emit(sink, &effect);
}

void
core_lend_message(const struct core *core, uint8_t to, struct message *out)
{
    assert(to != core->config.self);
    assert_costly(core_is_sound(core));
    *out = core_message(core, MESSAGE_LEND, to);
    out->append.last_lsn = core->last_lsn;
    out->append.last_term = last_term(core);
    assert(out->append.last_term <= out->term && out->append.last_lsn >= core->base_lsn);
}

void
receive_lend(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
             const struct sink *sink)
{
    uint64_t before_lsn = core->last_lsn, commit_lsn = core->commit_lsn;

    if (core->role == ROLE_LEADER || core->leader != CAIRN_NODE_NONE || core->config.recovering)
        return;
    if (!up_to_date(core, message->append.last_term, message->append.last_lsn) || !append_fits(core, message))
        return;
    append_take(core, message, ids, sink);
    assert(core->leader == CAIRN_NODE_NONE && core->commit_lsn == commit_lsn);
    assert(core->last_lsn >= commit_lsn && last_term(core) <= core->term);
    /* There is more where this came from. */
    if (core->last_lsn > before_lsn && core->last_lsn < message->append.last_lsn &&
        now_ns - core->pulled_ns >= core->config.retransmit_ns / 4)
        lend_ask(core, now_ns, sink);
}
