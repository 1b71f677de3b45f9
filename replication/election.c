/* Who leads: pre-vote, votes, check-quorum (Raft section 5.2, 5.4.1; thesis 4.2.3, 6.2, 9.6). */
#include "replication/state.h"

/* alone: the membership that it begins with, by decision; else NULL. */
static void
lead(struct core *core, const struct members *alone, uint64_t now_ns, const struct sink *sink)
{
    assert(core->role == ROLE_CANDIDATE);
    assert(!core->config.recovering);
    assert(core->voted_for == core->config.self && core->stopped == STOP_NONE && !core->failed);
    assert(last_term(core) <= core->term);
    assert(core->reads_count == 0 && core->transfer_target == CAIRN_NODE_NONE);
    core->role = ROLE_LEADER;
    core->leader = core->config.self;
    core->elections = 0;
    /* Nobody has more, or nobody has led for long. */
    core->producers_partial = false;
    core->quorum_ns = now_ns;
    core->term_first_lsn = core->last_lsn + 1;
    core->lease_over = false;
    core->lease_floor_seq = core->confirm_seq;
    core->transfer_target = CAIRN_NODE_NONE;
    core->beyond = 0;
    memset(core->levels, 0, core->config.window_entries);
    progress_start(core, now_ns);
    hand_off_restart(core);
    reads_fail(core, sink);
    role_changed(sink);
    /* Entries of earlier terms commit only through one of this term (Raft 5.4.2, figure 8). A decision is one entry, so that
     * no crash leaves the term without the membership that goes with it. */
    store_control(core, alone == NULL ? ENTRY_NOOP : ENTRY_CONFIG, core->config.self, core->config.incarnation,
                  alone == NULL ? 0 : members_encode(alone), sink);
    assert(core->last_lsn == core->term_first_lsn && last_term(core) == core->term);
    assert(core->commit_lsn < core->term_first_lsn);
    assert(alone == NULL || voters_of(core) == node_bit(core->config.self));
}

static void
ask_for_votes(struct core *core, enum message_type type, uint64_t term, bool transfer, const struct sink *sink)
{
    struct message message = core_message(core, type, CAIRN_NODE_NONE);

    assert(term == core->term + (type == MESSAGE_PREVOTE));
    assert(core->role == (type == MESSAGE_PREVOTE ? ROLE_PRECANDIDATE : ROLE_CANDIDATE));
    assert(last_term(core) < term && core->leader == CAIRN_NODE_NONE);
    message.term = term;
    message.transfer = transfer;
    message.vote.last_lsn = core->last_lsn;
    message.vote.last_term = last_term(core);
    message.vote.round = core->prevote_round;
    core_broadcast(core, &message, sink);
}

/* Votes that count: none from a life that its node has ended since. A node that lost its memory may have voted
 * before in the term that it votes in now; whoever answered its recovery knows of the new life, and at
 * least one of any quorum without it has. */
static cairn_node_set
votes(const struct core *core)
{
    cairn_node_set set = core->own_vote_pending ? 0 : node_bit(core->config.self);

    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if ((core->granted & node_bit(peer)) && core->granted_lives[peer] >= core->lives[peer])
            set |= node_bit(peer);
    }
    assert(core->role == ROLE_CANDIDATE);
    assert((set & ~core->granted) == 0);
    return set;
}

static void
campaign(struct core *core, bool transfer, uint64_t now_ns, const struct sink *sink)
{
    assert(!core->config.recovering);
    assert(core->role == ROLE_PRECANDIDATE);
    assert(core->leader == CAIRN_NODE_NONE && core->stopped == STOP_NONE);
    assert(!core->failed && last_term(core) <= core->term);
    core->role = ROLE_CANDIDATE;
    enter_term(core, core->term + 1, core->config.self, sink);
    core->granted = node_bit(core->config.self);
    core->own_vote_pending = core->config.durable;
    assert(core->voted_for == core->config.self && core->term > last_term(core));
    election_wait_for_votes(core, now_ns);
    role_changed(sink);
    if (has_quorum(core, votes(core))) {
        lead(core, NULL, now_ns, sink);
        return;
    }
    ask_for_votes(core, MESSAGE_VOTE, core->term, transfer, sink);
}

void
core_state_held(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert_costly(core_is_sound(core));
    core->own_vote_pending = false;
    if (core->role == ROLE_CANDIDATE && has_quorum(core, votes(core)))
        lead(core, NULL, now_ns, sink);
    core_check(core);
}

/* The leader of this term has asked for it: nobody has to be asked whether it still lives. */
static void
campaign_at_once(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    uint64_t term = core->term;

    assert(core->role != ROLE_LEADER);
    assert(core->transfer_target == CAIRN_NODE_NONE);
    core->role = ROLE_PRECANDIDATE;
    core->leader = CAIRN_NODE_NONE;
    campaign(core, true, now_ns, sink);
    assert(core->term == term + 1);
}

static void
precampaign(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    bool changed = core->leader != CAIRN_NODE_NONE;

    assert(core->role != ROLE_LEADER && !core->config.recovering && !core->failed);
    assert(core->stopped == STOP_NONE && !lacks_promised(core));
    core->role = ROLE_PRECANDIDATE;
    core->leader = CAIRN_NODE_NONE;
    core->granted = node_bit(core->config.self);
    election_reset(core, now_ns);
    if (changed)
        role_changed(sink);
    if (has_quorum(core, core->granted)) {
        campaign(core, false, now_ns, sink);
        return;
    }
    lend_ask(core, now_ns, sink);
    core->ahead = CAIRN_NODE_NONE;
    core->prevote_round++;
    ask_for_votes(core, MESSAGE_PREVOTE, core->term + 1, false, sink);
    /* Nothing is promised yet: a node that asks in vain has disturbed nobody. */
    assert(core->role == ROLE_PRECANDIDATE && core->granted == node_bit(core->config.self));
}

/* A leader that the detector never saw with a majority has one timeout to be seen. */
static void
check_quorum(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert(core->role == ROLE_LEADER);
    assert(core->reach & node_bit(core->config.self));
    if (has_quorum(core, core->reach))
        core->quorum_ns = now_ns;
    else if (now_ns - core->quorum_ns > election_wait_ns(core))
        follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
}

/* A leader that is no voter any more has led as long as it had to (thesis 4.2.2). */
static void
leave_when_removed(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    uint8_t next = transfer_best_target(core, core->config.nodes);

    assert(core->role == ROLE_LEADER);
    assert(next != core->config.self);
    if (core->changes_count > 0 || is_voter(core, core->config.self) || grants_run(core, now_ns))
        return;
    if (next != CAIRN_NODE_NONE)
        transfer_send(core, next, sink);
    follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
    assert(core->role == ROLE_FOLLOWER && !core_may_lead(core));
}

static void
leader_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert(core->leader == core->config.self);
    check_quorum(core, now_ns, sink);
    if (core->role == ROLE_LEADER)
        transfer_tick(core, now_ns, sink);
    if (core->role == ROLE_LEADER)
        leave_when_removed(core, now_ns, sink);
}

void
election_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert(!core->config.recovering && core->stopped == STOP_NONE);
    if (core->role == ROLE_LEADER)
        leader_tick(core, now_ns, sink);
    else if (now_ns >= core->election_ns && now_ns >= core->promise_until_ns && core_may_lead(core) &&
             core->term < TERM_MAX && !runs_exhausted(&core->runs) && !core->failed && !lacks_promised(core) &&
             !producers_forbid_lead(core, now_ns))
        precampaign(core, now_ns, sink);
}

enum cairn_error
core_go_on_alone(struct core *core, uint64_t term, uint64_t now_ns, const struct sink *sink)
{
    const uint64_t decided = term_decided(core->term), term_before = core->term;
    const struct members now = *core_members(core);
    const cairn_node_set self = node_bit(core->config.self);
    const struct members alone = {.voters = self, .learners = (now.voters | now.learners) & ~self};

    core_check(core);
    if ((core->config.recovering && !core_is_lost(core)) || core->failed)
        return CAIRN_RECOVERING;
    if (!membership_room(core) || runs_exhausted(&core->runs) || decided == 0)
        return CAIRN_AGAIN;
    if (core->config.recovering)
        recovery_end(core, sink);
    if (core->role == ROLE_LEADER)
        follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
    enter_term(core, term > core->term ? term : decided, core->config.self, sink);
    core->stopped = STOP_NONE;
    core->adopted_term = 0;
    /* What is missing here is missing everywhere now. */
    core->promised_lsn = core->promised_term = 0;
    core->promise_until_ns = 0;
    core->own_vote_pending = false;
    core->role = ROLE_CANDIDATE;
    lead(core, &alone, now_ns, sink);
    assert(core->term > term_before && core->term >= term);
    assert(core->role == ROLE_LEADER && voters_of(core) == self);
    core_check(core);
    return CAIRN_OK;
}

/* Whoever hears a leader, or has promised it a lease, does not help to depose it. */
static bool
leader_is_alive(const struct core *core, uint64_t now_ns)
{
    assert(core->stopped == STOP_NONE);
    if (now_ns < core->promise_until_ns)
        return true;
    if (core->role == ROLE_LEADER)
        return has_quorum(core, core->reach);
    return hears_leader(core, now_ns);
}

/* Nothing is promised by a pre-vote, so nothing is remembered of it. */
void
receive_prevote(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    struct message reply = core_message(core, MESSAGE_PREVOTE_REPLY, message->from);
    bool alive = leader_is_alive(core, now_ns);
    bool enough = up_to_date(core, message->vote.last_term, message->vote.last_lsn);

    reply.vote.round = message->vote.round;
    reply.yes = !core->config.recovering && !core->failed && message->term > core->term && enough && !alive;
    if (!core->config.recovering && !core->failed && !enough && !alive) {
        reply.vote.last_lsn = core->last_lsn;
        reply.vote.last_term = last_term(core);
    }
    /* A grant names the term asked for, and the round: one of an earlier round is not counted. */
    assert(!reply.yes || reply.vote.last_lsn == 0);
    assert(reply.term == core->term && last_term(core) <= core->term);
    if (reply.yes)
        reply.term = message->term;
    core_send(&reply, sink);
}

void
receive_prevote_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    bool ahead = !message->yes && message->vote.last_lsn > 0 && core->role == ROLE_PRECANDIDATE &&
                 up_to_date(core, message->vote.last_term, message->vote.last_lsn);

    if (!message->yes && message->term > core->term)
        follow(core, message->term, CAIRN_NODE_NONE, now_ns, sink);
    if (ahead)
        core->ahead = message->from;
    if (core->role != ROLE_PRECANDIDATE || !message->yes || message->term != core->term + 1 ||
        message->vote.round != core->prevote_round)
        return;
    assert(core->leader == CAIRN_NODE_NONE && (core->granted & node_bit(core->config.self)) != 0);
    core->granted |= node_bit(message->from);
    if (has_quorum(core, core->granted))
        campaign(core, false, now_ns, sink);
}

void
receive_vote(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STATE};
    struct message reply;

    /* A request that comes while a leader is alive is from someone who lost touch (thesis 4.2.3). */
    if (message->term > core->term && (message->transfer || !leader_is_alive(core, now_ns)))
        follow(core, message->term, CAIRN_NODE_NONE, now_ns, sink);

    reply = core_message(core, MESSAGE_VOTE_REPLY, message->from);
    reply.yes = !core->config.recovering && !core->failed && message->term == core->term &&
                (message->transfer || now_ns >= core->promise_until_ns) &&
                (core->role == ROLE_FOLLOWER || core->role == ROLE_PRECANDIDATE) &&
                (core->voted_for == CAIRN_NODE_NONE || core->voted_for == message->from) &&
                up_to_date(core, message->vote.last_term, message->vote.last_lsn);
    memcpy(reply.vote_reply.lives, core->lives, sizeof(core->lives));
    if (reply.yes) {
        if (core->voted_for == CAIRN_NODE_NONE) {
            core->voted_for = message->from;
            emit(sink, &effect);
        }
        core->role = ROLE_FOLLOWER;
        election_wait_for_votes(core, now_ns);
        assert(core->voted_for == message->from);
    }
    core_send(&reply, sink);
}

void
receive_vote_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    if (message->term > core->term) {
        follow(core, message->term, CAIRN_NODE_NONE, now_ns, sink);
        return;
    }
    if (core->role != ROLE_CANDIDATE || !message->yes || message->term != core->term)
        return;
    assert(core->voted_for == core->config.self && core->leader == CAIRN_NODE_NONE);
    core->granted |= node_bit(message->from);
    core->granted_lives[message->from] = message->incarnation;
    for (uint8_t node = 0; node < CAIRN_NODES_MAX; node++) {
        if (core->lives[node] < message->vote_reply.lives[node])
            core->lives[node] = message->vote_reply.lives[node];
    }
    if (has_quorum(core, votes(core)))
        lead(core, NULL, now_ns, sink);
}

/* The leader hands over (transfer.c). */
void
receive_timeout_now(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    if (message->term != core->term || core->role == ROLE_LEADER || core->leader != message->from ||
        !is_voter(core, core->config.self) || core->config.recovering || core->failed || lacks_promised(core) ||
        runs_exhausted(&core->runs) || core->producers_partial || core->term == TERM_MAX)
        return;
    assert(core->role == ROLE_FOLLOWER && core->stopped == STOP_NONE);
    campaign_at_once(core, now_ns, sink);
}

/* A leader of a term that is over here: this node campaigned, its requests were lost or came to those who heard the
 * leader. Where the log rests nothing else would tell the leader, and this node would have none for good (etcd answers
 * such heartbeats for the same reason). A removed node says nothing. */
static void
tell_term(struct core *core, uint8_t leader, uint64_t now_ns, const struct sink *sink)
{
    struct message message = core_message(core, MESSAGE_PREVOTE_REPLY, leader);

    if (core->leader != CAIRN_NODE_NONE || core->config.recovering || !is_voter(core, core->config.self) ||
        now_ns - core->told_term_ns < core->config.election_timeout_ns)
        return;
    assert(core->role != ROLE_LEADER && leader != core->config.self);
    core->told_term_ns = now_ns;
    core_send(&message, sink);
}

bool
core_leader_alive(struct core *core, uint8_t leader, uint64_t term, uint64_t commit_lsn, uint64_t now_ns,
                  const struct sink *sink)
{
    assert_costly(core_is_sound(core));
    if (leader == core->config.self || !(core->config.nodes & node_bit(leader)))
        return true;
    if (!term_plausible(term, core->term))
        return false;
    if (core->stopped != STOP_NONE) {
        adoption_heard(core, term, sink);
        if (core->stopped != STOP_NONE)
            return true;
    }
    if (term < core->term) {
        tell_term(core, leader, now_ns, sink);
        return true;
    }
    if (term == core->term && core->role == ROLE_LEADER)
        return true;
    follow(core, term, leader, now_ns, sink);
    if (commit_lsn > core->match_lsn)
        commit_lsn = core->match_lsn;
    assert(core->role == ROLE_FOLLOWER && core->leader == leader && core->term == term);
    commit_to(core, commit_lsn, sink);
    core_check(core);
    return true;
}

bool
core_reaches_all(const struct core *core)
{
    cairn_node_set others = voters_of(core) & ~node_bit(core->config.self);

    assert_costly(core->reach & node_bit(core->config.self));
    return core->leader != CAIRN_NODE_NONE && others != 0 && (others & ~core->reach) == 0;
}

void
core_reach(struct core *core, cairn_node_set reach, uint64_t now_ns, const struct sink *sink)
{
    bool had_quorum = has_quorum(core, core->reach);

    assert_costly(core_is_sound(core));
    progress_reached(core, reach & ~core->reach);
    /* What was handed off while the leader was out of reach is lost. */
    if (core->leader != CAIRN_NODE_NONE && (reach & ~core->reach & node_bit(core->leader)))
        hand_off_restart(core);
    core->reach = reach | node_bit(core->config.self);
    if (core->role == ROLE_LEADER && had_quorum && !has_quorum(core, core->reach))
        follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
    if (core->role == ROLE_FOLLOWER && core->leader != CAIRN_NODE_NONE && !(core->reach & node_bit(core->leader))) {
        core->leader_heard_ns = now_ns - election_wait_ns(core);
        election_soon(core, now_ns);
    }
    core_check(core);
}
