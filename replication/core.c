/* Construction, dispatch of events, and the invariants that hold between them. */
#include "state.h"

static size_t
aligned(size_t size_bytes)
{
    return (size_bytes + 63) & ~(size_t)63;
}

static size_t
producers_bytes(uint32_t producers_max, uint32_t undo_max)
{
    return aligned(sizeof(struct producer) * producers_max) + aligned(sizeof(struct undo) * undo_max);
}

/* A branch is never truncated by a trunk, so its producers need no undo. */
#define BRANCH_UNDO 1u

size_t
core_footprint(const struct core_config *config)
{
    return aligned(sizeof(struct core)) + aligned(config->window_entries) +
           producers_bytes(config->producers_max, config->window_entries) +
           producers_bytes(config->producers_max, BRANCH_UNDO);
}

static char *
producers_place(struct producers *producers, char *memory, uint32_t producers_max, uint32_t undo_max)
{
    producers->slots = (struct producer *)(void *)memory;
    producers->undo = (struct undo *)(void *)(memory + aligned(sizeof(struct producer) * producers_max));
    producers->capacity = producers_max;
    producers->undo_mask = undo_max - 1;
    return memory + producers_bytes(producers_max, undo_max);
}

struct core *
core_init(void *memory, const struct core_config *config, uint64_t now_ns)
{
    struct core *core = memory;
    char *rest = (char *)memory + aligned(sizeof(*core));

    assert((config->window_entries & (config->window_entries - 1)) == 0);
    assert((config->producers_max & (config->producers_max - 1)) == 0);

    memset(memory, 0, core_footprint(config));
    core->config = *config;
    core->stopped = config->stopped;
    if (core->config.nodes == 0)
        core->config.nodes = config->members.voters | config->members.learners;
    assert(core->config.nodes & node_bit(config->self));
    membership_start(core, &config->members);
    core->transfer_target = CAIRN_NODE_NONE;
    core->random = config->seed * 0x9e3779b97f4a7c15u + config->self + 1;
    core->voted_for = core->leader = core->reply_to = core->ahead = CAIRN_NODE_NONE;
    core->reach = node_bit(config->self);
    core->levels = (uint8_t *)rest;
    rest = producers_place(&core->producers, rest + aligned(config->window_entries), config->producers_max,
                           config->window_entries);
    producers_place(&core->branch_producers, rest, config->producers_max, BRANCH_UNDO);
    core->lives[config->self] = config->incarnation;
    /* A former life may have promised a lease. */
    if (config->incarnation > 1)
        core->promise_until_ns = now_ns + (config->promised_ns > config->election_timeout_ns
                                               ? config->promised_ns
                                               : config->election_timeout_ns);
    core->recovery_nonce = ((uint64_t)config->incarnation << 32) | 1;
    election_reset(core, now_ns);
    return core;
}

void
core_set_policy(struct core *core, enum cairn_policy policy)
{
    core->config.policy = policy;
}

void
core_set_nodes(struct core *core, cairn_node_set nodes)
{
    assert(nodes & node_bit(core->config.self));
    core->config.nodes = nodes | core->committed_members.voters | core->committed_members.learners;
}

struct message
core_message(const struct core *core, enum message_type type, uint8_t to)
{
    struct message message;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)type;
    message.from = core->config.self;
    message.to = to;
    message.incarnation = core->config.incarnation;
    message.term = core->term;
    message.recovering = core->config.recovering;
    return message;
}

void
core_send(const struct message *message, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_SEND, .message = *message};

    assert(message->to != message->from);
    emit(sink, &effect);
}

/* To every other voter. */
void
core_broadcast(const struct core *core, struct message *message, const struct sink *sink)
{
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peer == core->config.self || !is_voter(core, peer))
            continue;
        message->to = peer;
        core_send(message, sink);
    }
}

/* What must hold between any two events. */
void
core_check(const struct core *core)
{
    assert(core->commit_lsn <= core->last_lsn);
    assert(core->held_lsn <= core->last_lsn);
    assert(core->match_lsn <= core->last_lsn);
    assert(core->base_lsn <= core->commit_lsn);
    assert(core->last_lsn - core->commit_lsn <= core->config.window_entries + RUNS_RESERVED);
    assert(core->role != ROLE_LEADER || core->leader == core->config.self);
    assert(core->role == ROLE_LEADER || core->leader != core->config.self);
    assert(!core->config.recovering || core->role == ROLE_FOLLOWER);
    assert(core->stopped == STOP_NONE || (core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE));
}

bool
core_receive(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
             const struct sink *sink)
{
    assert(message->from < CAIRN_NODES_MAX);
    assert(message->from != core->config.self || message->type == MESSAGE_HAND_OFF);
    /* Whoever is of the cluster is heard, member or not: a node that lags in what it knows of the
     * membership must still follow a leader, and vote for one, that it does not count yet (thesis 4.1).
     * That one who was removed does no harm is what pre-vote and loyalty to a live leader see to. */
    if (!(core->config.nodes & node_bit(message->from)))
        return true;
    /* Nor is what a former life said (0: the life is not told). */
    if (message->incarnation != 0 && message->incarnation < core->lives[message->from])
        return true;
    if (!term_plausible(message->term, core->term))
        return false;
    if (message->incarnation > core->lives[message->from])
        core->lives[message->from] = message->incarnation;
    if (core->stopped != STOP_NONE) {
        if (message->type == MESSAGE_APPEND || message->type == MESSAGE_BASE)
            adoption_heard(core, message->term, sink);
        /* What follows comes again. */
        return true;
    }

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
    case MESSAGE_HAND_OFF:
        receive_hand_off(core, message, ids, now_ns, sink);
        break;
    case MESSAGE_HAND_OFF_REPLY:
        receive_hand_off_reply(core, message, now_ns);
        break;
    case MESSAGE_RECOVER:
        receive_recover(core, message, sink);
        break;
    case MESSAGE_RECOVER_REPLY:
        receive_recover_reply(core, message, sink);
        break;
    case MESSAGE_TIMEOUT_NOW:
        receive_timeout_now(core, message, now_ns, sink);
        break;
    case MESSAGE_BASE:
        receive_base(core, message, now_ns, sink);
        break;
    case MESSAGE_PULL:
        receive_pull(core, message, sink);
        break;
    case MESSAGE_LEND:
        receive_lend(core, message, ids, now_ns, sink);
        break;
    case MESSAGE_SPREAD:
        receive_spread(core, message, sink);
        break;
    case MESSAGE_SPREAD_REPLY:
        receive_spread_reply(core, message, now_ns);
        break;
    case MESSAGE_PRODUCERS_WANTED:
        receive_producers_wanted(core, message);
        break;
    case MESSAGE_PRODUCERS:
        receive_producers(core, message, now_ns, sink);
        break;
    case MESSAGE_NONE:
    case MESSAGE_TYPES:
        break;
    }
    core_check(core);
    return true;
}

void
core_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    if (core->stopped != STOP_NONE)
        return;
    if (core->config.recovering)
        recovery_tick(core, now_ns, sink);
    else
        election_tick(core, now_ns, sink);
    if (core->role == ROLE_LEADER)
        progress_tick(core, now_ns);
    grants_tick(core, now_ns, sink);
    reads_tick(core, now_ns, sink);
    hand_off_tick(core, now_ns);
    spread_tick(core, now_ns);
    producers_tick(core, now_ns, sink);
    core_check(core);
}

uint64_t
core_deadline_ns(const struct core *core)
{
    if (core->config.recovering || core->reads_count > 0 || core->branches_held != 0 || core->producers_partial ||
        core->transfer_target != CAIRN_NODE_NONE)
        return 0;
    if (core->role == ROLE_LEADER)
        return has_quorum(core, core->reach) && progress_is_quiet(core) && !core->grants_held_back &&
                       is_voter(core, core->config.self)
                   ? UINT64_MAX
                   : 0;
    return core->election_ns;
}

void
core_held(struct core *core, uint64_t lsn, uint64_t now_ns, const struct sink *sink)
{
    assert(lsn <= core->last_lsn);
    if (lsn > core->held_lsn) {
        /* What was received before it was held is owed an answer yet. */
        if (core->role == ROLE_FOLLOWER && core->leader != CAIRN_NODE_NONE && core->match_lsn > core->held_lsn)
            core->reply_to = core->leader;
        core->held_lsn = lsn;
    }
    if (core->role == ROLE_LEADER) {
        commit_advance(core, now_ns, sink);
    } else {
        /* The leader waits for the one, nobody for the other. */
        append_acknowledge(core, sink);
        append_commit(core, sink);
    }
    if (core->config.recovering)
        recovery_check(core, sink);
}

void
core_peer_restarted(struct core *core, uint8_t peer, uint32_t incarnation)
{
    if (core->lives[peer] < incarnation)
        core->lives[peer] = incarnation;
    if (peer == core->leader)
        core->leader_heard_ns = 0;
    progress_reset(core, peer, 0);
    core->progress[peer].recovering = true;
    core->spreads[peer] = (struct spread){0};
}

enum role
core_role(const struct core *core)
{
    return core->role;
}

uint8_t
core_leader(const struct core *core)
{
    return core->leader;
}

uint64_t
core_term(const struct core *core)
{
    return core->term;
}

uint8_t
core_voted_for(const struct core *core)
{
    return core->voted_for;
}

uint64_t
core_last_lsn(const struct core *core)
{
    return core->last_lsn;
}

uint64_t
core_commit_lsn(const struct core *core)
{
    return core->commit_lsn;
}

uint64_t
core_all_lsn(const struct core *core)
{
    return core->all_lsn;
}

uint64_t
core_term_at(const struct core *core, uint64_t lsn)
{
    return history_term(&core->history, lsn);
}

bool
core_recovering(const struct core *core)
{
    return core->config.recovering;
}

uint64_t
core_recovery_lsn(const struct core *core)
{
    return core->recovery_lsn;
}

bool
core_branch_pending(const struct core *core)
{
    return core->branches[core->config.self].last_seq != 0;
}

uint64_t
core_trim_limit(const struct core *core)
{
    const struct members *members = core_members(core);
    cairn_node_set others = core->reach & (members->voters | members->learners) & ~node_bit(core->config.self);
    uint64_t limit = core->commit_lsn;

    if (core->role != ROLE_LEADER)
        return 0;
    for (; others != 0; others &= others - 1) {
        const struct progress *progress = &core->progress[__builtin_ctz(others)];

        if (progress->match_lsn < limit)
            limit = progress->match_lsn;
    }
    return limit;
}
