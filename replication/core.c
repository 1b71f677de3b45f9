/* A core in its memory, and what it says of itself. */
#include "replication/state.h"

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
    assert(((uintptr_t)memory & 63) == 0);
    assert(undo_max > 0 && (undo_max & (undo_max - 1)) == 0);
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
    /* window_open() keeps two places free; a table of producers is three quarters full at most. */
    assert(config->window_entries > 2 && config->producers_max >= 4);

    memset(memory, 0, core_footprint(config));
    core->config = *config;
    core->stopped = config->stopped;
    if (core->config.nodes == 0)
        core->config.nodes = config->members.voters | config->members.learners;
    assert(core->config.nodes & node_bit(config->self));
    assert(((config->members.voters | config->members.learners) & ~core->config.nodes) == 0);
    membership_start(core, &config->members);
    core->transfer_target = CAIRN_NODE_NONE;
    core->random = config->seed * 0x9e3779b97f4a7c15u + config->self + 1;
    core->voted_for = core->leader = core->reply_to = core->ahead = CAIRN_NODE_NONE;
    core->reach = node_bit(config->self);
    core->levels = (uint8_t *)rest;
    rest = producers_place(&core->producers, rest + aligned(config->window_entries), config->producers_max,
                           config->window_entries);
    rest = producers_place(&core->branch_producers, rest, config->producers_max, BRANCH_UNDO);
    assert(rest == (char *)memory + core_footprint(config));
    core->lives[config->self] = config->incarnation;
    /* A former life may have promised a lease. */
    if (config->incarnation > 1)
        core->promise_until_ns = now_ns + (config->promised_ns > config->election_timeout_ns
                                               ? config->promised_ns
                                               : config->election_timeout_ns);
    core->recovery_nonce = ((uint64_t)config->incarnation << 32) | 1;
    election_reset(core, now_ns);
    core_check(core);
    return core;
}

void
core_set_writer(struct core *core, uint64_t producer)
{
    core->writer = producer;
    assert_costly(core_is_sound(core));
}

void
core_set_policy(struct core *core, enum cairn_policy policy)
{
    core->config.policy = policy;
    assert_costly(core_is_sound(core));
}

void
core_set_nodes(struct core *core, cairn_node_set nodes)
{
    assert(nodes & node_bit(core->config.self));
    core->config.nodes = nodes | core->committed_members.voters | core->committed_members.learners;
    core_check(core);
}

uint64_t
core_deadline_ns(const struct core *core)
{
    assert_costly(core->role != ROLE_LEADER || !core->producers_partial);
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

enum role
core_role(const struct core *core)
{
    assert_costly(core->role != ROLE_LEADER || core->leader == core->config.self);
    assert_costly(!core->failed || core->role == ROLE_FOLLOWER);
    return core->role;
}

uint8_t
core_leader(const struct core *core)
{
    assert_costly((core->role == ROLE_LEADER) == (core->leader == core->config.self));
    assert_costly(core->stopped == STOP_NONE || core->leader == CAIRN_NODE_NONE);
    return core->leader;
}

uint64_t
core_term(const struct core *core)
{
    assert_costly(core->term > 0 || (core->role != ROLE_LEADER && core->role != ROLE_CANDIDATE));
    return core->term;
}

uint8_t
core_voted_for(const struct core *core)
{
    assert_costly(core->role != ROLE_LEADER || core->voted_for == core->config.self);
    assert_costly(core->role != ROLE_CANDIDATE || core->voted_for == core->config.self);
    return core->voted_for;
}

uint64_t
core_last_lsn(const struct core *core)
{
    assert_costly(core->last_lsn >= core->held_lsn && core->last_lsn >= core->match_lsn);
    assert_costly(core->last_lsn >= core->commit_lsn);
    return core->last_lsn;
}

uint64_t
core_commit_lsn(const struct core *core)
{
    assert_costly(core->base_lsn <= core->commit_lsn && core->commit_lsn <= core->last_lsn);
    assert_costly(core->role == ROLE_LEADER || core->commit_lsn <= core->match_lsn);
    return core->commit_lsn;
}

uint64_t
core_compared_lsn(const struct core *core)
{
    assert_costly(core->compared_lsn <= core->last_lsn);
    return core->compared_lsn;
}

uint64_t
core_all_lsn(const struct core *core)
{
    assert_costly(core->role != ROLE_LEADER || core->all_lsn <= core->commit_lsn);
    return core->all_lsn;
}

uint64_t
core_term_at(const struct core *core, uint64_t lsn)
{
    assert_costly(history_is_sound(&core->history));
    return history_term(&core->history, lsn);
}

bool
core_recovering(const struct core *core)
{
    assert_costly(!core->config.recovering || core->role == ROLE_FOLLOWER);
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
    assert_costly(branch_is_sound(core, core->config.self));
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

        assert(progress->match_lsn < progress->next_lsn && progress->next_lsn <= core->last_lsn + 1);
        if (progress->match_lsn < limit)
            limit = progress->match_lsn;
    }
    return limit;
}
