/* Who leads: pre-vote, votes, check-quorum (Raft section 5.2, 5.4.1; thesis 4.2.3, 6.2, 9.6). */
#include "state.h"

/* Of the wait for votes: 128 timeouts, or more than a second of the profile `shared`. */
#define DOUBLINGS_MAX 7u
/* One that cannot lead for another reason tries again so often in a timeout, and not at every turn. */
#define ALONE_SOONER 16u

/* xorshift64*; deterministic for a seed. */
static uint64_t
random_below(struct core *core, uint64_t bound)
{
    core->random ^= core->random >> 12;
    core->random ^= core->random << 25;
    core->random ^= core->random >> 27;
    return bound == 0 ? 0 : (core->random * 0x2545f4914f6cdd1du) % bound;
}

/* How many times as long it waits as others do. */
static uint32_t
patience_times(const struct core *core)
{
    uint32_t times = core->patience_times > core->config.election_patience ? core->patience_times
                                                                           : core->config.election_patience;

    return times > 1 ? times : 1;
}

/* How long this node waits for a leader: as long as was agreed on, or what its machine takes. Leases never look at it. */
uint64_t
election_wait_ns(const struct core *core)
{
    assert(core->patience_ns == 0 || core->patience_ns >= core->config.election_timeout_ns);
    return core->patience_ns != 0 ? core->patience_ns : core->config.election_timeout_ns;
}

void
core_set_patience(struct core *core, uint64_t wait_ns, uint32_t times)
{
    core->patience_ns = wait_ns > core->config.election_timeout_ns ? wait_ns : core->config.election_timeout_ns;
    core->patience_times = times;
}

void
core_set_election_timeout(struct core *core, uint64_t election_timeout_ns)
{
    if (core->config.election_timeout_ns == election_timeout_ns)
        return;
    core->config.election_timeout_ns = election_timeout_ns;
    core->config.retransmit_ns = election_timeout_ns / 2;
    if (core->patience_ns != 0 && core->patience_ns < election_timeout_ns)
        core->patience_ns = election_timeout_ns;
}

/* Between one and two timeouts; the only voter has nobody to wait for. */
static uint64_t
drawn_wait_ns(struct core *core, uint64_t timeout_ns)
{
    uint64_t wait_ns = timeout_ns + random_below(core, timeout_ns);

    if (core_members(core)->voters == node_bit(core->config.self))
        wait_ns /= ALONE_SOONER;
    return wait_ns * patience_times(core);
}

/* So long this node waits before it campaigns. */
void
election_reset(struct core *core, uint64_t now_ns)
{
    core->election_ns = now_ns + drawn_wait_ns(core, election_wait_ns(core));
}

/* A vote is answered when it is durable. Where that takes longer than the wait, nobody is elected before somebody else
 * campaigns: so each election without a leader leaves the next one twice the time (as PBFT's view changes do; Castro
 * and Liskov, OSDI '99, 4.5.2). */
static void
wait_for_votes(struct core *core, uint64_t now_ns)
{
    uint32_t doublings = core->elections > 1 ? core->elections - 1 : 0;
    uint64_t wait_ns = drawn_wait_ns(core, core->config.election_timeout_ns), learned_ns = 0;

    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    /* What was learned may be fifty timeouts already, and is not doubled. */
    if (election_wait_ns(core) > core->config.election_timeout_ns)
        learned_ns = drawn_wait_ns(core, election_wait_ns(core));
    wait_ns <<= doublings;
    core->election_ns = now_ns + (wait_ns > learned_ns ? wait_ns : learned_ns);
}

/* The detector has already waited a timeout for this leader: only the jitter remains. */
static void
election_soon(struct core *core, uint64_t now_ns)
{
    uint64_t soon_ns = now_ns + random_below(core, election_wait_ns(core) / 2);

    if (patience_times(core) > 1)
        soon_ns += election_wait_ns(core);

    if (core->election_ns > soon_ns)
        core->election_ns = soon_ns;
}

static void
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
    branch_keep_deposed(core, sink);
    core->role = ROLE_FOLLOWER;
    core->leader = CAIRN_NODE_NONE;
    core->match_lsn = core->commit_lsn;
    core->transfer_target = CAIRN_NODE_NONE;
    emit_lsn(sink, EFFECT_DEPOSED, core->commit_lsn);
    reads_fail(core, sink);
}

/* What was known of a former term's leader says nothing of the next one's: not what of this trunk is its
 * trunk too, nor how far it has committed. */
static void
enter_term(struct core *core, uint64_t term, uint8_t voted_for, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STATE};

    assert(term > core->term);
    core->term = term;
    core->voted_for = voted_for;
    core->match_lsn = core->commit_lsn;
    core->told_commit_lsn = 0;
    core->reply_to = CAIRN_NODE_NONE;
    core->elections++;
    emit(sink, &effect);
}

/* Takes its place under term and leader (which may be nobody yet). */
void
follow(struct core *core, uint64_t term, uint8_t leader, uint64_t now_ns, const struct sink *sink)
{
    bool changed = core->term != term || core->leader != leader || core->role != ROLE_FOLLOWER;

    assert(term >= core->term);
    assert(leader != core->config.self);
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
    if (!changed)
        return;
    if (core->leader != leader)
        hand_off_restart(core);
    core->leader = leader;
    reads_fail(core, sink);
    role_changed(sink);
}

/* alone: the membership that it begins with, by decision; else NULL. */
static void
lead(struct core *core, const struct members *alone, uint64_t now_ns, const struct sink *sink)
{
    assert(core->role == ROLE_CANDIDATE);
    assert(!core->config.recovering);
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
}

static void
ask_for_votes(struct core *core, enum message_type type, uint64_t term, bool transfer, const struct sink *sink)
{
    struct message message = core_message(core, type, CAIRN_NODE_NONE);

    message.term = term;
    message.transfer = transfer;
    message.vote.last_lsn = core->last_lsn;
    message.vote.last_term = last_term(core);
    message.vote.round = core->prevote_round;
    core_broadcast(core, &message, sink);
}

/* Votes that count: none of a life that a node has had since. A node that lost its memory may have voted
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
    return set;
}

static void
campaign(struct core *core, bool transfer, uint64_t now_ns, const struct sink *sink)
{
    assert(!core->config.recovering);
    assert(core->role == ROLE_PRECANDIDATE);
    core->role = ROLE_CANDIDATE;
    enter_term(core, core->term + 1, core->config.self, sink);
    core->granted = node_bit(core->config.self);
    core->own_vote_pending = core->config.durable;
    wait_for_votes(core, now_ns);
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
    core->own_vote_pending = false;
    if (core->role == ROLE_CANDIDATE && has_quorum(core, votes(core)))
        lead(core, NULL, now_ns, sink);
    core_check(core);
}

/* The leader of this term has asked for it: nobody has to be asked whether it still lives. */
void
campaign_at_once(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert(core->role != ROLE_LEADER);
    core->role = ROLE_PRECANDIDATE;
    core->leader = CAIRN_NODE_NONE;
    campaign(core, true, now_ns, sink);
}

static void
precampaign(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    bool changed = core->leader != CAIRN_NODE_NONE;

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
}

/* A leader that the detector never saw with a majority has one timeout to be seen. */
static void
check_quorum(struct core *core, uint64_t now_ns, const struct sink *sink)
{
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

    if (core->changes_count > 0 || is_voter(core, core->config.self) || grants_run(core, now_ns))
        return;
    if (next != CAIRN_NODE_NONE)
        transfer_send(core, next, sink);
    follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
}

static void
leader_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    check_quorum(core, now_ns, sink);
    if (core->role == ROLE_LEADER)
        transfer_tick(core, now_ns, sink);
    if (core->role == ROLE_LEADER)
        leave_when_removed(core, now_ns, sink);
}

void
election_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    if (core->role == ROLE_LEADER)
        leader_tick(core, now_ns, sink);
    else if (now_ns >= core->election_ns && now_ns >= core->promise_until_ns && core_may_lead(core) &&
             !runs_exhausted(&core->runs) && !core->failed && !lacks_promised(core) &&
             !producers_forbid_lead(core, now_ns))
        precampaign(core, now_ns, sink);
}

enum cairn_error
core_go_on_alone(struct core *core, uint64_t term, uint64_t now_ns, const struct sink *sink)
{
    const uint64_t decided = term_decided(core->term);
    const struct members now = *core_members(core);
    const cairn_node_set self = node_bit(core->config.self);
    const struct members alone = {.voters = self, .learners = (now.voters | now.learners) & ~self};

    if (core->config.recovering || core->failed)
        return CAIRN_RECOVERING;
    if (!membership_room(core) || runs_exhausted(&core->runs) || decided == 0)
        return CAIRN_AGAIN;
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
    core_check(core);
    return CAIRN_OK;
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
    return is_as_far(term, last_lsn, last_term(core), core->last_lsn) &&
           (core->promised_lsn == 0 || is_as_far(term, last_lsn, core->promised_term, core->promised_lsn));
}

bool
hears_leader(const struct core *core, uint64_t now_ns)
{
    return core->leader != CAIRN_NODE_NONE && now_ns - core->leader_heard_ns < election_wait_ns(core);
}

/* Whoever hears a leader, or has promised it a lease, does not help to depose it. */
static bool
leader_is_alive(const struct core *core, uint64_t now_ns)
{
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
        wait_for_votes(core, now_ns);
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
    core->granted |= node_bit(message->from);
    core->granted_lives[message->from] = message->incarnation;
    for (uint8_t node = 0; node < CAIRN_NODES_MAX; node++) {
        if (core->lives[node] < message->vote_reply.lives[node])
            core->lives[node] = message->vote_reply.lives[node];
    }
    if (has_quorum(core, votes(core)))
        lead(core, NULL, now_ns, sink);
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
    core->told_term_ns = now_ns;
    core_send(&message, sink);
}

bool
core_leader_alive(struct core *core, uint8_t leader, uint64_t term, uint64_t commit_lsn, uint64_t now_ns,
                  const struct sink *sink)
{
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
    commit_to(core, commit_lsn, sink);
    core_check(core);
    return true;
}

bool
core_reaches_all(const struct core *core)
{
    cairn_node_set others = voters_of(core) & ~node_bit(core->config.self);

    return core->leader != CAIRN_NODE_NONE && others != 0 && (others & ~core->reach) == 0;
}

void
core_reach(struct core *core, cairn_node_set reach, uint64_t now_ns, const struct sink *sink)
{
    bool had_quorum = has_quorum(core, core->reach);

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
