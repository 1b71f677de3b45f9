/* Events from outside, each to whoever deals with it: a message, the time, what is durable now, a peer's new life. */
#include "replication/state.h"

/* Who leads, and what a node that has forgotten asks. */
static void
receive_of_elections(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_PREVOTE:
        receive_prevote(core, message, now_ns, sink);
        break;
    case MESSAGE_PREVOTE_REPLY:
        receive_prevote_reply(core, message, now_ns, sink);
        break;
    case MESSAGE_VOTE:
        receive_vote(core, message, now_ns, sink);
        break;
    case MESSAGE_VOTE_REPLY:
        receive_vote_reply(core, message, now_ns, sink);
        break;
    case MESSAGE_TIMEOUT_NOW:
        receive_timeout_now(core, message, now_ns, sink);
        break;
    case MESSAGE_RECOVER:
        receive_recover(core, message, sink);
        break;
    case MESSAGE_RECOVER_REPLY:
        receive_recover_reply(core, message, sink);
        break;
    /* The callers deal with these, or they are none; without a default the compiler names a new one that is not here. */
    case MESSAGE_APPEND:
    case MESSAGE_APPEND_REPLY:
    case MESSAGE_CONFIRM:
    case MESSAGE_CONFIRM_REPLY:
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_REPLY:
    case MESSAGE_BASE:
    case MESSAGE_PRODUCERS_WANTED:
    case MESSAGE_PRODUCERS:
    case MESSAGE_HAND_OFF:
    case MESSAGE_HAND_OFF_REPLY:
    case MESSAGE_SPREAD:
    case MESSAGE_SPREAD_REPLY:
    case MESSAGE_PULL:
    case MESSAGE_LEND:
    case MESSAGE_NONE:
    case MESSAGE_TYPES:
        break;
    }
}

static void
receive_of_branches(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                    const struct sink *sink)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_HAND_OFF:
        receive_hand_off(core, message, ids, now_ns, sink);
        break;
    case MESSAGE_HAND_OFF_REPLY:
        receive_hand_off_reply(core, message, now_ns);
        break;
    case MESSAGE_SPREAD:
        receive_spread(core, message, sink);
        break;
    case MESSAGE_SPREAD_REPLY:
        receive_spread_reply(core, message, now_ns);
        break;
    case MESSAGE_PULL:
        receive_pull(core, message, sink);
        break;
    case MESSAGE_LEND:
        receive_lend(core, message, ids, now_ns, sink);
        break;
    default:
        receive_of_elections(core, message, now_ns, sink);
        break;
    }
}

/* The most frequent messages first. */
static void
receive_of_trunk(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                 const struct sink *sink)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_APPEND:
        receive_append(core, message, ids, now_ns, sink);
        break;
    case MESSAGE_APPEND_REPLY:
        receive_append_reply(core, message, now_ns, sink);
        break;
    case MESSAGE_CONFIRM:
        receive_confirm(core, message, now_ns, sink);
        break;
    case MESSAGE_CONFIRM_REPLY:
        receive_confirm_reply(core, message, sink);
        break;
    case MESSAGE_READ_INDEX:
        receive_read_index(core, message, now_ns, sink);
        break;
    case MESSAGE_READ_INDEX_REPLY:
        receive_read_index_reply(core, message, now_ns, sink);
        break;
    case MESSAGE_BASE:
        receive_base(core, message, now_ns, sink);
        break;
    case MESSAGE_PRODUCERS_WANTED:
        receive_producers_wanted(core, message);
        break;
    case MESSAGE_PRODUCERS:
        receive_producers(core, message, now_ns, sink);
        break;
    default:
        receive_of_branches(core, message, ids, now_ns, sink);
        break;
    }
}

bool
core_receive(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
             const struct sink *sink)
{
    const uint64_t term = core->term, commit_lsn = core->commit_lsn;
    const uint8_t voted_for = core->voted_for;

    assert(message->from < CAIRN_NODES_MAX);
    assert_costly(core_is_sound(core));
    assert(message->from != core->config.self || message->type == MESSAGE_HAND_OFF);
    assert(message->from != core->config.self || core->role == ROLE_LEADER);
    /* Whoever is of the cluster is heard, member or not: a node that lags in what it knows of the
     * membership must still follow a leader, and vote for one, that it does not count yet (thesis 4.1).
     * Pre-vote and loyalty to a live leader see to it that a removed node does no harm. */
    if (!(core->config.nodes & node_bit(message->from)))
        return true;
    /* What a former life said is not heard either (0: the life is not told). */
    if (message->incarnation != 0 && message->incarnation < core->lives[message->from])
        return true;
    if (!term_plausible(message->term, core->term))
        return false;
    if (message->incarnation > core->lives[message->from])
        core->lives[message->from] = message->incarnation;
    if (message->recovering)
        core->forgetful |= node_bit(message->from);
    else
        core->forgetful &= ~node_bit(message->from);
    if (core->stopped != STOP_NONE) {
        if (message->type == MESSAGE_APPEND || message->type == MESSAGE_BASE)
            adoption_heard(core, message->term, sink);
        core_check(core);
        /* What the message says will be sent again. */
        return true;
    }

    receive_of_trunk(core, message, ids, now_ns, sink);
    /* Whatever was said, no term is taken back, and nothing but a decision takes back what is committed. */
    assert_costly(core->term >= term && core->commit_lsn >= commit_lsn);
    assert_costly(core->term > term || core->voted_for == voted_for || voted_for == CAIRN_NODE_NONE);
    core_check(core);
    return true;
}

void
core_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    const uint64_t term = core->term, commit_lsn = core->commit_lsn;

    assert_costly(core_is_sound(core));
    if (core->stopped != STOP_NONE)
        return;
    if (core->config.recovering)
        recovery_tick(core, now_ns, sink);
    else
        election_tick(core, now_ns, sink);
    if (core->role == ROLE_LEADER)
        progress_tick(core, now_ns);
    commit_tick(core, now_ns, sink);
    reads_tick(core, now_ns, sink);
    hand_off_tick(core, now_ns);
    spread_tick(core, now_ns);
    producers_tick(core, now_ns, sink);
    assert_costly(core->term - term <= 1 && core->commit_lsn >= commit_lsn);
    assert_costly(core->held_lsn <= core->last_lsn);
    core_check(core);
}

void
core_held(struct core *core, uint64_t lsn, uint64_t now_ns, const struct sink *sink)
{
    assert(lsn <= core->last_lsn);
    assert_costly(core_is_sound(core));
    if (lsn > core->held_lsn) {
        /* Entries that were received before they were held are still owed an answer. */
        if (core->role == ROLE_FOLLOWER && core->leader != CAIRN_NODE_NONE && core->match_lsn > core->held_lsn)
            core->reply_to = core->leader;
        core->held_lsn = lsn;
    }
    if (core->role == ROLE_LEADER) {
        commit_advance(core, now_ns, sink);
    } else {
        /* The leader waits for the acknowledgement; nobody waits for this node's own commit. */
        append_acknowledge(core, sink);
        append_commit(core, sink);
    }
    if (core->config.recovering)
        recovery_check(core, sink);
    assert_costly(core->held_lsn >= lsn);
    assert_costly(core_is_sound(core));
}

void
core_peer_restarted(struct core *core, uint8_t peer, uint32_t incarnation)
{
    assert(peer != core->config.self);
    if (core->lives[peer] < incarnation)
        core->lives[peer] = incarnation;
    if (peer == core->leader)
        core->leader_heard_ns = 0;
    progress_reset(core, peer, 0);
    core->progress[peer].recovering = true;
    core->spreads[peer] = (struct spread){0};
    /* It counts for nothing that it held. */
    assert(core->progress[peer].match_lsn == 0 && core->progress[peer].next_lsn == core->last_lsn + 1);
    core_check(core);
}
