/* The log as a node's disk has it, told in the order in which it was written.
 *
 * Restoring is running again: entries are taken as a follower takes them, each written with the commit lsn
 * that was known then, so that the same windows hold. What was written over what stood there truncates it.
 * Nothing is decided here that was not decided before, but for the end: what this node may have acknowledged
 * alone is kept on its branch, since a crash deposes a leader as surely as a partition does. */
#include "assert_costly.h"
#include "replication/state.h"

/* What holds until all is told: the core has heard of no leader, and nothing waits for it. */
static void
restore_assert(const struct core *core)
{
    assert(core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE);
    assert(core->base_lsn <= core->commit_lsn && core->commit_lsn <= core->last_lsn);
    assert(core->held_lsn <= core->last_lsn && core->match_lsn <= core->last_lsn);
    assert(core->reads_count == 0 && core->transfer_target == CAIRN_NODE_NONE);
    assert(core->history.count == 0 || core->history.rows[core->history.count - 1].first_lsn <= core->last_lsn);
}

bool
core_restore_base(struct core *core, const struct core_base *base, const struct sink *sink)
{
    restore_assert(core);
    if (base_is_nothing(base)) {
        base_give_up(core, &base->members, sink);
        return true;
    }
    if (!base_sane(base, UINT64_MAX))
        return false;
    if (base->lsn > core->commit_lsn)
        base_begin(core, base, 0, sink);
    else if (core->last_lsn >
             core->commit_lsn) /* restoring began behind the base: what stood there before is void all the same */
        truncate_from(core, core->commit_lsn + 1, sink);
    assert(core->commit_lsn >= base->lsn);
    assert(core->last_lsn == core->commit_lsn);
    restore_assert(core);
    return true;
}

static bool
terms_sane(const struct core_checkpoint *checkpoint)
{
    const struct term_row *rows = checkpoint->terms;

    if (checkpoint->terms_count == 0 || checkpoint->terms_count > HISTORY_TERMS_MAX)
        return false;
    for (uint32_t i = 0; i < checkpoint->terms_count; i++) {
        if (rows[i].term == 0 || rows[i].first_lsn == 0 || rows[i].first_lsn > checkpoint->base.lsn ||
            (i > 0 && (rows[i].term <= rows[i - 1].term || rows[i].first_lsn <= rows[i - 1].first_lsn)))
            return false;
    }
    return rows[checkpoint->terms_count - 1].term == checkpoint->base.base_term;
}

void
core_checkpoint(const struct core *core, struct core_checkpoint *out)
{
    core_check(core);
    core_base(core, &out->base);
    out->base.lsn = core->commit_lsn;
    out->base.base_term = history_term(&core->history, core->commit_lsn);
    out->base.producer_floor = core->producers.evicted_floor;
    out->trunk_base_lsn = core->base_lsn;
    out->trunk_base_term = core->base_term;
    out->term = core->term;
    out->voted_for = core->voted_for;
    out->terms = core->history.rows;
    out->terms_count = core->history.count;
    while (out->terms_count > 0 && out->terms[out->terms_count - 1].first_lsn > core->commit_lsn)
        out->terms_count--;
    assert(out->trunk_base_lsn <= out->base.lsn && out->base.lsn <= out->base.marks_lsn);
    assert(out->base.base_term <= out->term);
    /* What is written here is believed when it is read again: core_restore_checkpoint(). */
    assert(out->base.base_term == 0 || terms_sane(out));
}

bool
core_restore_checkpoint(struct core *core, const struct core_checkpoint *checkpoint, const struct sink *sink)
{
    restore_assert(core);
    if (!base_sane(&checkpoint->base, checkpoint->term) || !terms_sane(checkpoint) ||
        checkpoint->base.lsn <= core->commit_lsn || checkpoint->trunk_base_lsn > checkpoint->base.lsn)
        return false;
    base_begin(core, &checkpoint->base, 0, sink);
    core->base_lsn = checkpoint->trunk_base_lsn;
    core->base_term = checkpoint->trunk_base_term;
    core->history.count = checkpoint->terms_count;
    memcpy(core->history.rows, checkpoint->terms, checkpoint->terms_count * sizeof(*checkpoint->terms));
    core_restore_state(core, checkpoint->term, checkpoint->voted_for);
    assert(last_term(core) == checkpoint->base.base_term);
    assert(core->last_lsn == checkpoint->base.lsn && core->commit_lsn == core->last_lsn);
    assert(core->term >= last_term(core));
    restore_assert(core);
    core_check(core);
    return true;
}

void
core_restore_commit(struct core *core, uint64_t commit_lsn, const struct sink *sink)
{
    restore_assert(core);
    core->match_lsn = core->last_lsn;
    commit_to(core, commit_lsn < core->last_lsn ? commit_lsn : core->last_lsn, sink);
    assert(core->commit_lsn >= commit_lsn || core->commit_lsn == core->last_lsn);
}

/* Everything of the run that is not committed already, in place of what stood there. */
static bool
restore_run(struct core *core, const struct run *run, const struct entry_id *ids, uint32_t skip,
            const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STORE};

    assert(skip < run->count);
    assert(run->kind == ENTRY_DATA || skip == 0);
    effect.store.run = *run;
    effect.store.index = skip;
    effect.store.run.first_lsn += skip;
    effect.store.run.first_seq += run->kind == ENTRY_DATA ? skip : 0;
    effect.store.run.count = run->count - skip;
    assert(effect.store.run.first_lsn > core->commit_lsn);
    assert(effect.store.run.first_lsn <= core->last_lsn + 1);
    if (effect.store.run.first_lsn <= core->last_lsn)
        truncate_from(core, effect.store.run.first_lsn, sink);
    if (run->term < last_term(core) ||
        follower_room(core, &effect.store.run, effect.store.run.count) != effect.store.run.count)
        return false;
    trunk_note(core, &effect.store.run, ids == NULL ? NULL : ids + skip);
    assert(core->last_lsn == run->first_lsn + run->count - 1);
    assert(last_term(core) == run->term);
    emit(sink, &effect);
    return true;
}

/* Entries are written again where a log's old files are given up. That does not take away what follows them (Raft 5.3: an entry
 * is known by its lsn and term). */
uint32_t
core_stands(const struct core *core, const struct run *run)
{
    uint64_t lsn = run->first_lsn, end_lsn = run->first_lsn + run->count;

    if (lsn <= core->commit_lsn)
        lsn = core->commit_lsn + 1;
    while (lsn < end_lsn && lsn <= core->last_lsn && history_term(&core->history, lsn) == run->term)
        lsn++;
    assert(lsn > core->commit_lsn && lsn >= run->first_lsn);
    assert(lsn <= core->last_lsn + 1 || lsn == run->first_lsn);
    return lsn < end_lsn ? (uint32_t)(lsn - run->first_lsn) : run->count;
}

bool
core_restore_entries(struct core *core, const struct run *run, const struct entry_id *ids, uint64_t commit_lsn,
                     bool acked, const struct sink *sink)
{
    uint32_t skip;

    restore_assert(core);
    /* Some of this run may have been committed already; until it stands here, only what is before it may be. */
    core_restore_commit(core, commit_lsn < run->first_lsn ? commit_lsn : run->first_lsn - 1, sink);
    if (run->count == 0 || run->term == 0 || run->first_lsn > core->last_lsn + 1)
        return false;
    skip = core_stands(core, run);
    if (skip < run->count && !restore_run(core, run, ids, skip, sink))
        return false;
    for (uint32_t i = skip; i < run->count; i++)
        *level_of(core, run->first_lsn + i) = acked ? CAIRN_ACK_LOCAL : CAIRN_ACK_MAJORITY;
    if (run->term > core->term)
        core->term = run->term;
    core_restore_commit(core, commit_lsn < run->first_lsn + run->count ? commit_lsn : run->first_lsn + run->count - 1,
                        sink);
    assert(core->last_lsn >= run->first_lsn + run->count - 1);
    assert(core->term >= run->term);
    restore_assert(core);
    return true;
}

/* Is the entry there neither here nor on the trunk? */
static bool
is_missing(const struct core *core, uint8_t origin, uint64_t place)
{
    return place > branch_last_place(&core->branches[origin]) &&
           marks_get(&core->committed_marks, origin, branch_place_incarnation(place)) < branch_place_seq(place);
}

bool
core_restore_branch(struct core *core, const struct run *run, uint64_t prev_place, const struct entry_id *ids,
                    bool *settled)
{
    bool holed;

    restore_assert(core);
    if (run->count == 0 || run->origin != core->config.self || run->incarnation >= core->config.incarnation)
        return false;
    if (branch_place(run->incarnation, run->first_seq) <= branch_last_place(own_branch(core)))
        branch_clear(core, core->config.self);
    *settled = marks_get(&core->committed_marks, run->origin, run->incarnation) >= run->first_seq + run->count - 1;
    if (*settled)
        return true;
    holed = is_missing(core, run->origin, prev_place);
    if (!branch_extend(core, run->origin, run->incarnation, 0, run->first_seq + run->count - 1))
        return false;
    assert(branch_last_place(own_branch(core)) == branch_place(run->incarnation, run->first_seq + run->count - 1));
    assert(core->branches_held & node_bit(core->config.self));
    if (holed)
        own_branch(core)->gap_place = prev_place;
    for (uint32_t i = 0; i < run->count; i++)
        producers_note(&core->branch_producers, &ids[i], branch_place(run->incarnation, run->first_seq + i));
    return true;
}

bool
core_restore_copy(struct core *core, const struct run *run, uint64_t prev_place, bool *kept)
{
    struct branch *branch;
    uint64_t first_place = branch_place(run->incarnation, run->first_seq), after_seq = 0;

    restore_assert(core);
    if (run->count == 0 || run->first_seq == 0 || run->origin == core->config.self || run->origin >= CAIRN_NODES_MAX ||
        prev_place >= first_place)
        return false;
    branch = &core->branches[run->origin];
    *kept = false;
    if (first_place <= branch_last_place(branch))
        branch_clear(core, run->origin);
    if (marks_get(&core->committed_marks, run->origin, run->incarnation) >= run->first_seq + run->count - 1)
        return true;
    if (is_missing(core, run->origin, prev_place))
        return true;
    if (branch_place_incarnation(prev_place) == run->incarnation)
        after_seq = branch_place_seq(prev_place);
    *kept = branch_extend(core, run->origin, run->incarnation, after_seq, run->first_seq + run->count - 1);
    assert(!*kept || branch_last_place(branch) == first_place + run->count - 1);
    assert(!*kept || (core->branches_held & node_bit(run->origin)));
    /* The trunk as its origin knew it may have had entries that this node's has not. */
    if (*kept && prev_place == 0)
        branch->gap_place = first_place - 1;
    return true;
}

void
core_restore_state(struct core *core, uint64_t term, uint8_t voted_for)
{
    restore_assert(core);
    if (term < core->term || (term == core->term && voted_for == CAIRN_NODE_NONE))
        return;
    core->term = term;
    core->voted_for = voted_for;
}

void
core_restore_end(struct core *core, uint64_t promised_lsn, uint64_t promised_term, uint64_t now_ns,
                 const struct sink *sink)
{
    restore_assert(core);
    if (core->term < last_term(core))
        core->term = last_term(core);
    core->held_lsn = core->last_lsn;
    core->match_lsn = core->commit_lsn;
    core->compared_lsn = 0;
    core->promised_lsn = promised_lsn;
    core->promised_term = promised_term;
    if (!lacks_promised(core))
        core->promised_lsn = core->promised_term = 0;
    if (core->producers_partial)
        producers_lost(core, now_ns);
    branch_settle(core, sink);
    branch_keep_restored(core, sink);
    election_reset(core, now_ns);
    assert(core->held_lsn == core->last_lsn && core->match_lsn == core->commit_lsn);
    assert(core->term >= last_term(core));
    /* The branch is of former lives alone: this one has accepted nothing yet. */
    assert(branch_place_incarnation(branch_last_place(own_branch(core))) <= core->config.incarnation);
    assert(core->seq == 0);
    core_check(core);
}

void
core_restore_doubt(struct core *core)
{
    assert(core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE);
    assert(!core->recovery_known);
    core->config.recovering = true;
}

bool
core_lacks(const struct core *core, uint64_t *lsn, uint64_t *term)
{
    assert(core->promised_lsn != 0 || core->promised_term == 0);
    *lsn = core->promised_lsn;
    *term = core->promised_term;
    return lacks_promised(core);
}

void
core_fail(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    core->failed = true;
    if (core->role == ROLE_LEADER || core->role == ROLE_CANDIDATE || core->role == ROLE_PRECANDIDATE)
        follow(core, core->term, CAIRN_NODE_NONE, now_ns, sink);
    core->reply_to = CAIRN_NODE_NONE;
    assert(core->role == ROLE_FOLLOWER);
    assert(core->leader != core->config.self);
}

bool
core_failed(const struct core *core)
{
    return core->failed;
}
