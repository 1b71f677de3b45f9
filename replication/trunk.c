/* The trunk grows by runs and is cut off: everything that follows from what it holds follows here. */
#include "assert_costly.h"
#include "replication/state.h"

/* What is not committed is in runs, from the first entry after the commit lsn to the last. */
static void
trunk_assert(const struct core *core)
{
    const struct runs *runs = &core->runs;
    const struct run *first = &runs->items[runs->head & (RUNS_MAX - 1)];
    const struct run *last = &runs->items[(runs->tail - 1) & (RUNS_MAX - 1)];

    assert_costly((runs->tail == runs->head) == (core->last_lsn == core->commit_lsn));
    assert_costly(runs->tail == runs->head || first->first_lsn == core->commit_lsn + 1);
    assert_costly(runs->tail == runs->head || last->first_lsn + last->count == core->last_lsn + 1);
    assert_costly(runs->tail == runs->head || last->term == last_term(core));
    assert_costly(core->changes_count == 0 || (core->changes[0].lsn > core->commit_lsn &&
                                               core->changes[core->changes_count - 1].lsn <= core->last_lsn));
}

/* What the leader owes the client of an lsn in the window. */
uint8_t *
level_of(struct core *core, uint64_t lsn)
{
    assert_costly(lsn > core->commit_lsn);
    assert_costly(lsn - core->commit_lsn <= core->config.window_entries + RUNS_RESERVED);
    return &core->levels[lsn & (core->config.window_entries - 1)];
}

bool
core_acked_alone(const struct core *core, uint64_t first_lsn, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (first_lsn + i > core->commit_lsn &&
            core->levels[(first_lsn + i) & (core->config.window_entries - 1)] == CAIRN_ACK_LOCAL)
            return true;
    }
    return false;
}

bool
window_open(const struct core *core)
{
    assert_costly(core->role == ROLE_LEADER);
    assert_costly(core->commit_lsn <= core->last_lsn);
    return core->transfer_target == CAIRN_NODE_NONE &&
           core->last_lsn - core->commit_lsn < core->config.window_entries - 2 && !runs_full(&core->runs) &&
           producers_room(&core->producers);
}

/* The trunk grows by run: everything that follows from the log follows here. ids is NULL for
 * entries that nobody produced. */
void
trunk_note(struct core *core, const struct run *run, const struct entry_id *ids)
{
    assert(run->first_lsn == core->last_lsn + 1);
    assert(run->term >= last_term(core));
    assert_costly(run->count > 0);
    trunk_assert(core);
    history_add(&core->history, run->term, run->first_lsn);
    runs_add(&core->runs, run);
    marks_apply(&core->marks, run);
    if (run->kind == ENTRY_CONFIG)
        membership_note(core, run);
    if (ids != NULL && run->kind == ENTRY_DATA) {
        for (uint32_t i = 0; i < run->count; i++)
            producers_note(&core->producers, &ids[i], run->first_lsn + i);
    }
    core->last_lsn += run->count;
    assert_costly(last_term(core) == run->term);
    trunk_assert(core);
}

void
store_control(struct core *core, enum entry_kind kind, uint8_t origin, uint32_t incarnation, uint64_t seq,
              const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STORE_CONTROL};

    assert(core->role == ROLE_LEADER);
    assert(last_term(core) <= core->term);
    assert(kind != ENTRY_DATA);
    assert((kind == ENTRY_NOOP) == (seq == 0));
    effect.store.run = (struct run){
        .term = core->term,
        .first_lsn = core->last_lsn + 1,
        .first_seq = seq,
        .count = 1,
        .incarnation = incarnation,
        .origin = origin,
        .kind = (uint8_t)kind,
    };
    trunk_note(core, &effect.store.run, NULL);
    emit(sink, &effect);
}

/* Drops what conflicts with the leader's trunk. Committed entries never do. */
void
truncate_from(struct core *core, uint64_t from_lsn, const struct sink *sink)
{
    assert(from_lsn > core->commit_lsn);
    assert(from_lsn <= core->last_lsn);
    assert(core->role != ROLE_LEADER);
    assert(from_lsn > core->base_lsn);
    trunk_assert(core);
    history_truncate(&core->history, from_lsn);
    runs_truncate(&core->runs, from_lsn);
    marks_rebuild(&core->marks, &core->committed_marks, &core->runs);
    producers_truncate(&core->producers, from_lsn);
    membership_truncate(core, from_lsn);
    core->last_lsn = from_lsn - 1;
    if (core->held_lsn > core->last_lsn)
        core->held_lsn = core->last_lsn;
    if (core->match_lsn > core->last_lsn)
        core->match_lsn = core->last_lsn;
    if (core->compared_lsn > core->last_lsn)
        core->compared_lsn = core->last_lsn;
    trunk_assert(core);
    assert(core->match_lsn <= core->last_lsn && core->held_lsn <= core->last_lsn);
    emit_lsn(sink, EFFECT_TRUNCATE, from_lsn);
}

/* Room for the run's entries, or some of them? A follower may lag in what it knows to be committed. */
uint32_t
follower_room(const struct core *core, const struct run *run, uint32_t count)
{
    uint64_t uncommitted = core->last_lsn - core->commit_lsn, room;
    uint64_t undo = core->producers.undo_mask + 1 - (core->producers.undo_tail - core->producers.undo_head);

    assert_costly(core->role != ROLE_LEADER);
    assert_costly(core->commit_lsn <= core->last_lsn);
    assert_costly(undo <= core->producers.undo_mask + 1);
    if (run->kind == ENTRY_CONFIG && !membership_room(core))
        return 0;
    if (run->kind != ENTRY_DATA)
        return runs_exhausted(&core->runs) || uncommitted >= core->config.window_entries + RUNS_RESERVED ? 0 : count;
    if (runs_full(&core->runs) || uncommitted >= core->config.window_entries)
        return 0;
    room = core->config.window_entries - uncommitted;
    if (room > undo)
        room = undo;
    return count < room ? count : (uint32_t)room;
}
