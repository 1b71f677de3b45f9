/* The invariants that hold between any two events. Sinks that look at a core within one may find them broken, so what only
 * tells of a core (core_role() and its like) does not ask for them. */
#include "replication/state.h"

static void
check_places(const struct core *core)
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

/* Who campaigns or leads has voted for nobody else, and no follower is left with what is a leader's. */
static void
check_role(const struct core *core)
{
    const bool leads = core->role == ROLE_LEADER;
    const bool campaigns = core->role == ROLE_CANDIDATE || core->role == ROLE_PRECANDIDATE;

    assert(!campaigns || core->leader == CAIRN_NODE_NONE);
    assert((!leads && core->role != ROLE_CANDIDATE) || core->voted_for == core->config.self);
    assert((!leads && core->role != ROLE_CANDIDATE) || core->term > 0);
    assert(core->role != ROLE_CANDIDATE || (core->granted & node_bit(core->config.self)) != 0);
    assert(!leads || core->elections == 0);
    assert(!leads || !core->producers_partial);
    assert(!core->failed || core->role == ROLE_FOLLOWER);
    assert(core->transfer_target == CAIRN_NODE_NONE || leads);
    assert(core->transfer_target != core->config.self);
    assert(core->reply_to != core->config.self && core->ahead != core->config.self);
    assert(core->stopped == STOP_NONE || core->reply_to == CAIRN_NODE_NONE);
    assert(core->adopted_term == 0 || core->stopped != STOP_NONE);
    assert((core->reach & node_bit(core->config.self)) != 0);
    assert(core->patience_ns == 0 || core->patience_ns >= core->config.election_timeout_ns);
}

/* A follower's trunk is its leader's as far as it is committed. What is not committed stands in runs without a gap. */
static void
check_trunk(const struct core *core)
{
    const struct runs *runs = &core->runs;
    const struct run *oldest = &runs->items[runs->head & (RUNS_MAX - 1)];
    const struct run *newest = &runs->items[(runs->tail - 1) & (RUNS_MAX - 1)];
    const bool empty = runs->head == runs->tail;

    assert(core->role == ROLE_LEADER || core->commit_lsn <= core->match_lsn);
    assert(runs->tail - runs->head <= RUNS_MAX);
    assert(empty == (core->commit_lsn == core->last_lsn));
    assert(empty || oldest->first_lsn == core->commit_lsn + 1);
    assert(empty || newest->first_lsn + newest->count - 1 == core->last_lsn);
    assert(core->marks.count <= MARKS_MAX && core->committed_marks.count <= MARKS_MAX);
    assert(core->producers.undo_tail - core->producers.undo_head <= core->producers.undo_mask + 1);
    assert(core->producers.used < core->producers.capacity);
    assert(core->branch_producers.used < core->branch_producers.capacity);
    assert(core->seq <= SEQ_MAX);
}

/* Changes of the membership stand on the part of the trunk that is not committed, in the order of their places. */
static void
check_changes(const struct core *core)
{
    uint64_t before_lsn = core->commit_lsn;

    assert(core->changes_count <= CHANGES_MAX);
    for (uint32_t i = 0; i < core->changes_count; i++) {
        assert(core->changes[i].lsn > before_lsn);
        before_lsn = core->changes[i].lsn;
    }
    assert(before_lsn <= core->last_lsn);
    assert(core->committed_members.voters != 0);
}

/* What this leader believes of its followers, none of which can hold what it has not got. */
static void
check_progress(const struct core *core)
{
    assert(core->all_lsn <= core->commit_lsn);
    assert(core->term_first_lsn > 0 && core->term_first_lsn <= core->last_lsn);
    assert(history_term(&core->history, core->term_first_lsn) == core->term);
    assert(!(core->beyond & node_bit(core->config.self)));
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        const struct progress *progress = &core->progress[peer];

        assert(progress->match_lsn < progress->next_lsn);
        assert(progress->next_lsn <= core->last_lsn + 1);
        assert(progress->owed_lsn <= core->last_lsn);
        assert(progress->confirmed_seq <= core->confirm_seq);
        assert(core->granted_until_ns[peer] <= core->grants_until_ns);
    }
}

/* Only a leader keeps reads; each waits for a round of its own, which has begun. */
static void
check_reads(const struct core *core)
{
    const struct read *newest = &core->reads[core->reads_count == 0 ? 0 : core->reads_count - 1];

    assert(core->reads_count <= READS_MAX);
    assert(core->reads_count == 0 || core->role == ROLE_LEADER);
    assert(core->reads_count == 0 || newest->seq <= core->confirm_seq);
    assert(core->reads_count == 0 || newest->seq >= core->reads[0].seq + (core->reads_count - 1));
    assert(core->reads_count == 0 || newest->lsn <= core->commit_lsn);
    assert(core->lease_floor_seq <= core->confirm_seq);
}

bool
branch_is_sound(const struct core *core, uint8_t origin)
{
    const struct branch *branch = &core->branches[origin];
    uint32_t life = branch->incarnation;

    assert((branch->last_seq != 0) == ((core->branches_held & node_bit(origin)) != 0));
    assert(branch->marked_seq <= branch->sent_seq);
    assert(branch->in_flight == 0 || branch->marked_seq < branch->sent_seq);
    assert(branch->later_lives_count <= LIVES_MAX);
    assert(branch->later_lives_count == 0 || branch->last_seq != 0);
    for (uint32_t i = 0; i < branch->later_lives_count; i++) {
        assert(branch->later_lives[i].incarnation > life);
        assert(branch->later_lives[i].last_seq != 0);
        life = branch->later_lives[i].incarnation;
    }
    return true;
}

bool
core_is_sound(const struct core *core)
{
    const struct history *history = &core->history;

    check_places(core);
    check_role(core);
    check_trunk(core);
    check_changes(core);
    check_reads(core);
    if (core->role == ROLE_LEADER)
        check_progress(core);
    for (uint8_t origin = 0; origin < CAIRN_NODES_MAX; origin++)
        branch_is_sound(core, origin);
    history_is_sound(history);
    assert(history->count == 0 || history->rows[history->count - 1].first_lsn <= core->last_lsn);
    return true;
}

void
core_check(const struct core *core)
{
    check_places(core);
    assert_costly(core_is_sound(core));
}
