/* Entries that a node accepted alone: docs/cap.md.
 *
 * Every entry a node accepts, as the trunk's leader or alone, gets the next sequence of its origin.
 * The branch holds those that are not known to be on the trunk; they leave it only when the trunk's
 * committed mark of the origin reaches them. Beside its own a node may hold copies of others' branches. */
#include "replication/state.h"

/* Opens the life that is handed off next. after_seq: everything up to it is settled. */
static void
branch_open(struct core *core, uint8_t origin, uint32_t incarnation, uint64_t after_seq, uint64_t last_seq)
{
    struct branch *branch = &core->branches[origin];
    uint64_t base_seq = marks_get(&core->committed_marks, origin, incarnation);

    assert(last_seq > 0 && after_seq < last_seq);
    if (base_seq < after_seq)
        base_seq = after_seq;
    branch->incarnation = incarnation;
    branch->base_seq = branch->sent_seq = branch->marked_seq = base_seq;
    branch->last_seq = last_seq;
    branch->in_flight = 0;
    branch->probing = branch->due = false;
    branch->rests_ns = 0;
    core->branches_held |= node_bit(origin);
    assert(branch->base_seq >= after_seq && branch->marked_seq == branch->sent_seq);
}

struct branch *
own_branch(struct core *core)
{
    return &core->branches[core->config.self];
}

cairn_node_set
core_branches_held(const struct core *core)
{
    assert_costly(core_branch_pending(core) == ((core->branches_held & node_bit(core->config.self)) != 0));
    return core->branches_held;
}

bool
core_branch_settled(const struct core *core, uint8_t origin, uint32_t incarnation, uint64_t seq)
{
    /* The marks that came with a base may be of entries that this trunk has not yet. */
    return core->commit_lsn >= core->marks_lsn && marks_get(&core->committed_marks, origin, incarnation) >= seq;
}

/* The last sequence of a life on the branch; 0: none of that life is there. */
static uint64_t
branch_last_seq(const struct branch *branch, uint32_t incarnation)
{
    assert(branch->later_lives_count <= LIVES_MAX);
    assert(branch->later_lives_count == 0 || branch->last_seq != 0);
    if (branch->last_seq != 0 && branch->incarnation == incarnation)
        return branch->last_seq;
    for (uint32_t i = 0; i < branch->later_lives_count; i++) {
        if (branch->later_lives[i].incarnation == incarnation)
            return branch->later_lives[i].last_seq;
    }
    return 0;
}

bool
core_branch_holds(const struct core *core, uint8_t origin, uint32_t incarnation, uint64_t seq)
{
    const struct branch *branch = &core->branches[origin];
    uint64_t gap_place = branch->gap_place;

    assert_costly(branch_is_sound(core, origin));
    /* Entries that their origin knows to be on the trunk need not be on this node's yet; and a node may have
     * forgotten a life of which nothing is here, between or before those that are. */
    return branch_place(incarnation, seq) > gap_place && seq <= branch_last_seq(branch, incarnation) &&
           core_branch_settled(core, origin, branch_place_incarnation(gap_place), branch_place_seq(gap_place));
}

/* The place of the last entry, 0: the branch is empty. */
uint64_t
branch_last_place(const struct branch *branch)
{
    const uint32_t count = branch->later_lives_count;

    assert(count <= LIVES_MAX && (count == 0 || branch->last_seq != 0));
    if (branch->last_seq == 0)
        return 0;
    assert(count == 0 || branch->later_lives[count - 1].incarnation > branch->incarnation);
    if (count == 0)
        return branch_place(branch->incarnation, branch->last_seq);
    return branch_place(branch->later_lives[count - 1].incarnation, branch->later_lives[count - 1].last_seq);
}

/* Is some of the own branch lost here, and not known to be on the trunk? */
bool
branch_is_holed(const struct core *core)
{
    uint64_t gap_place = core->branches[core->config.self].gap_place;

    return gap_place != 0 && !core_branch_settled(core, core->config.self, branch_place_incarnation(gap_place),
                                                  branch_place_seq(gap_place));
}

/* May the branch take an entry of that life? Lives follow each other: one that has had a later one takes no more. */
static bool
branch_room(const struct branch *branch, uint32_t incarnation)
{
    const uint32_t count = branch->later_lives_count;
    uint32_t newest = count == 0 ? branch->incarnation : branch->later_lives[count - 1].incarnation;

    if (branch->last_seq == 0 || incarnation == newest)
        return true;
    return incarnation > newest && count < LIVES_MAX;
}

/* The origin's branch reaches to last_seq of that life now. after_seq counts where the branch was empty. */
bool
branch_extend(struct core *core, uint8_t origin, uint32_t incarnation, uint64_t after_seq, uint64_t last_seq)
{
    struct branch *branch = &core->branches[origin];
    const uint32_t count = branch->later_lives_count;

    assert_costly(branch_is_sound(core, origin));
    if (last_seq <= branch_last_seq(branch, incarnation) || !branch_room(branch, incarnation))
        return false;
    if (branch->last_seq == 0) {
        branch_open(core, origin, incarnation, after_seq, last_seq);
    } else if (branch->incarnation == incarnation) {
        assert(count == 0);
        branch->last_seq = last_seq;
    } else {
        uint32_t place = count > 0 && branch->later_lives[count - 1].incarnation == incarnation ? count - 1 : count;

        branch->later_lives[place].incarnation = incarnation;
        branch->later_lives[place].last_seq = last_seq;
        branch->later_lives_count = place + 1;
    }
    assert(branch_last_place(branch) == branch_place(incarnation, last_seq));
    assert_costly(branch_is_sound(core, origin));
    return true;
}

/* Is the entry the next after what its producer has at `last`? */
static enum cairn_error
follows(const struct producer *last, const struct entry_id *id)
{
    if (last->seq != 0 && id->epoch < last->epoch)
        return CAIRN_FENCED;
    if (last->seq == 0 || id->epoch > last->epoch)
        return id->producer_seq == 1 ? CAIRN_OK : CAIRN_OUT_OF_ORDER;
    return id->producer_seq == last->seq + 1 ? CAIRN_OK : CAIRN_OUT_OF_ORDER;
}

/* A producer's sequences are dense on the trunk and on every branch, counted from what is committed:
 * so a sequence at or below the trunk's last is always a repeat, also when branches meet. What
 * this node holds uncommitted does not count; it may yet go. */
static enum cairn_error
branch_check(struct core *core, const struct entry_id *id, struct accepted *out)
{
    struct producer committed = producers_committed(&core->producers, id->producer);
    struct producer here = producers_last(&core->branch_producers, id->producer);
    uint64_t lsn, place, unused;
    enum cairn_error on_trunk = producers_check(&core->producers, id, &lsn, &unused);

    assert(id->producer != 0);
    assert(core->role != ROLE_LEADER);
    if (committed.seq != 0 && id->epoch == committed.epoch && id->producer_seq <= committed.seq) {
        out->repeated = true;
        out->lsn = lsn;
        out->term = lsn == 0 ? 0 : history_term(&core->history, lsn);
        return CAIRN_OK;
    }
    out->on_branch = true;
    if (producers_check(&core->branch_producers, id, &place, &unused) == CAIRN_AGAIN) {
        out->repeated = true;
        out->seq = branch_place_seq(place);
        out->incarnation = branch_place_incarnation(place);
        return CAIRN_OK;
    }
    if (committed.seq == 0 && here.seq == 0 && on_trunk == CAIRN_PRODUCER_EVICTED)
        return on_trunk;
    if (here.seq == 0 || here.epoch < committed.epoch || (here.epoch == committed.epoch && here.seq < committed.seq))
        here = committed;
    assert(here.epoch >= committed.epoch);
    return follows(&here, id);
}

enum cairn_error
core_append_branch(struct core *core, const struct entry_id *id, struct accepted *out)
{
    enum cairn_error error = CAIRN_OK;

    assert(core->role != ROLE_LEADER);
    assert_costly(core_is_sound(core));
    if (core->config.recovering)
        return CAIRN_RECOVERING;
    memset(out, 0, sizeof(*out));
    out->on_branch = true;
    if (id->producer != 0)
        error = branch_check(core, id, out);
    if (error != CAIRN_OK || out->repeated)
        return error;
    if (is_sealed_to(core, id))
        return CAIRN_SEALED;
    if (!branch_room(own_branch(core), core->config.incarnation) || core->seq == SEQ_MAX)
        return CAIRN_FULL;
    out->seq = ++core->seq;
    out->incarnation = core->config.incarnation;
    branch_extend(core, core->config.self, out->incarnation, 0, out->seq);
    producers_note(&core->branch_producers, id, branch_place(out->incarnation, out->seq));
    assert(core_branch_pending(core));
    assert_costly(producers_holds(&core->branch_producers, id) || id->producer == 0);
    assert_costly(core_is_sound(core));
    return CAIRN_OK;
}

/* Up to where do entries outlive their leader? What was acknowledged does, always; what was not, where
 * the policy keeps accepting, and where something acknowledged stands behind it: a producer's entries
 * must not reach the trunk with one missing before them. */
static uint64_t
outliving_lsn(struct core *core)
{
    uint64_t lsn = core->last_lsn;

    if (core->config.policy == CAIRN_POLICY_AP || core->config.policy == CAIRN_POLICY_ADAPTIVE)
        return lsn;
    for (; lsn > core->commit_lsn; lsn--) {
        const struct run *run = runs_find(&core->runs, lsn);

        if (run->kind == ENTRY_DATA && run->origin == core->config.self && *level_of(core, lsn) == CAIRN_ACK_LOCAL)
            break;
    }
    assert(lsn >= core->commit_lsn && lsn <= core->last_lsn);
    return lsn;
}

static void
keep(struct core *core, const struct run *run, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_KEEP};

    assert(run->first_seq > branch_last_seq(own_branch(core), run->incarnation));
    assert(run->first_lsn > core->commit_lsn);
    assert(run->first_lsn + run->count - 1 <= core->last_lsn);
    assert(run->kind == ENTRY_DATA && run->origin == core->config.self);
    if (!branch_extend(core, run->origin, run->incarnation, 0, run->first_seq + run->count - 1))
        return;
    effect.store.run = *run;
    producers_copy(&core->producers, run->first_lsn, run->count, &core->branch_producers,
                   branch_place(run->incarnation, run->first_seq));
    emit(sink, &effect);
}

/* The stretches of one run that outlive. */
static void
keep_run(struct core *core, const struct run *run, uint64_t up_to_lsn, const struct sink *sink)
{
    uint32_t start = 0;

    assert(run->count > 0 && run->first_lsn > core->commit_lsn);
    assert(up_to_lsn <= core->last_lsn);
    for (uint32_t i = 0; i <= run->count; i++) {
        bool kept = i < run->count && run->first_seq + i > branch_last_seq(own_branch(core), run->incarnation) &&
                    run->first_lsn + i <= up_to_lsn;
        struct run part = *run;

        if (kept)
            continue;
        part.first_lsn += start;
        part.first_seq += start;
        part.count = i - start;
        if (part.count > 0)
            keep(core, &part, sink);
        start = i + 1;
    }
    assert(start == run->count + 1);
}

/* Keeps own entries: of this life, or of the former ones that a disk remembers. */
static void
keep_own(struct core *core, bool former, const struct sink *sink)
{
    uint64_t up_to_lsn = outliving_lsn(core), last_lsn = core->last_lsn;

    for (uint32_t i = core->runs.head; i != core->runs.tail; i++) {
        const struct run *run = &core->runs.items[i & (RUNS_MAX - 1)];

        /* What others handed off is theirs to keep until it is committed. */
        if (run->kind == ENTRY_DATA && run->origin == core->config.self &&
            (run->incarnation < core->config.incarnation) == former)
            keep_run(core, run, up_to_lsn, sink);
    }
    /* Copied, not moved: the trunk may keep them yet. */
    assert(core->last_lsn == last_lsn);
    assert_costly(branch_is_sound(core, core->config.self));
}

void
branch_keep_deposed(struct core *core, const struct sink *sink)
{
    assert(core->role == ROLE_LEADER);
    keep_own(core, false, sink);
}

void
branch_keep_restored(struct core *core, const struct sink *sink)
{
    assert(core->role == ROLE_FOLLOWER);
    assert(core->leader == CAIRN_NODE_NONE && core->held_lsn == core->last_lsn);
    keep_own(core, true, sink);
}

bool
branch_adopted(const struct core *core)
{
    const struct branch *branch = &core->branches[core->config.self];

    assert_costly(branch_is_sound(core, core->config.self));
    return branch->last_seq == 0 ||
           (branch->later_lives_count == 0 &&
            marks_get(&core->marks, core->config.self, branch->incarnation) >= branch->last_seq);
}

/* Nothing of it is left. */
void
branch_clear(struct core *core, uint8_t origin)
{
    core->branches[origin] = (struct branch){0};
    core->branches_held &= ~node_bit(origin);
    if (origin == core->config.self)
        producers_clear(&core->branch_producers);
    assert_costly(branch_is_sound(core, origin));
}

/* The trunk that the branches followed is given up, and with it those of their entries that were on it. Others may have
 * copies of these, which come first. */
void
branches_reopen(struct core *core)
{
    cairn_node_set before = core->branches_held;

    assert(core->commit_lsn == 0 && core->last_lsn == 0);
    for (cairn_node_set held = before; held != 0; held &= held - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(held);
        struct branch *branch = &core->branches[origin];

        if (origin == core->config.self && branch->gap_place == 0 && branch->base_seq > 0)
            branch->gap_place = branch_place(branch->incarnation, branch->base_seq);
        branch_open(core, origin, branch->incarnation, 0, branch->last_seq);
        assert_costly(branch_is_sound(core, origin));
    }
    assert(core->branches_held == before);
}

/* All of a life is on the trunk: the next one's turn. */
static void
branch_next_life(struct core *core, uint8_t origin)
{
    struct branch *branch = &core->branches[origin];

    assert(branch->last_seq != 0);
    assert(marks_get(&core->committed_marks, origin, branch->incarnation) >= branch->last_seq);
    if (branch->later_lives_count == 0) {
        branch_clear(core, origin);
        return;
    }
    branch_open(core, origin, branch->later_lives[0].incarnation, 0, branch->later_lives[0].last_seq);
    branch->later_lives_count--;
    memmove(branch->later_lives, branch->later_lives + 1, branch->later_lives_count * sizeof(branch->later_lives[0]));
    assert_costly(branch_is_sound(core, origin));
}

/* Which entries of the life that is handed off are on the trunk now? false: no more than were known. */
static bool
settle_life(struct core *core, uint8_t origin, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_BRANCH_TRIM};
    struct branch *branch = &core->branches[origin];
    uint64_t mark;

    if (branch->last_seq == 0)
        return false;
    mark = marks_get(&core->committed_marks, origin, branch->incarnation);
    if (mark <= branch->base_seq && mark < branch->last_seq)
        return false;
    branch->base_seq = mark;
    branch->rests_ns = 0;
    /* A node that has waited for copies of its own branch need not do so again. */
    branch->due &= origin == core->config.self;
    if (branch->sent_seq <= mark) {
        branch->sent_seq = mark;
        branch->in_flight = 0;
        branch->probing = false;
    }
    if (branch->marked_seq < mark)
        branch->marked_seq = mark;
    effect.branch.seq = mark;
    effect.branch.incarnation = branch->incarnation;
    effect.branch.origin = origin;
    assert(mark > 0 && branch->base_seq <= branch->marked_seq);
    if (mark < branch->last_seq) {
        assert(core->branches_held & node_bit(origin));
        assert_costly(branch_is_sound(core, origin));
        emit(sink, &effect);
        return false;
    }
    branch_next_life(core, origin);
    emit(sink, &effect);
    return true;
}

/* The trunk has committed more: which entries of the branches are on it now? */
void
branch_settle(struct core *core, const struct sink *sink)
{
    cairn_node_set before = core->branches_held;

    for (cairn_node_set held = before; held != 0; held &= held - 1) {
        while (settle_life(core, (uint8_t)__builtin_ctz(held), sink))
            ;
    }
    assert_costly((core->branches_held & ~before) == 0);
}
