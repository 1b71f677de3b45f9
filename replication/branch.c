/* Entries that this node accepted alone: docs/cap.md.
 *
 * Every entry a node accepts, as the trunk's leader or alone, gets the next sequence of its origin.
 * The branch holds those that are not known to be on the trunk; they leave it only when the trunk's
 * committed mark of this node reaches them. */
#include "state.h"

/* Up to where the trunk holds what this node accepted in a life. */
static uint64_t
own_mark(const struct core *core, const struct marks *marks, uint32_t incarnation)
{
    return marks_get(marks, core->config.self, incarnation);
}

/* The life that is handed off next. */
static void
branch_open(struct core *core, uint32_t incarnation, uint64_t last_seq)
{
    uint64_t base_seq = own_mark(core, &core->committed_marks, incarnation);

    core->branch = (struct branch){
        .incarnation = incarnation,
        .base_seq = base_seq,
        .sent_seq = base_seq,
        .marked_seq = base_seq,
        .last_seq = last_seq,
    };
}

/* The last sequence of a life on the branch; 0: none of that life is there. */
static uint64_t
branch_last_seq(const struct core *core, uint32_t incarnation)
{
    if (core->branch.last_seq != 0 && core->branch.incarnation == incarnation)
        return core->branch.last_seq;
    for (uint32_t i = 0; i < core->later_lives_count; i++) {
        if (core->later_lives[i].incarnation == incarnation)
            return core->later_lives[i].last_seq;
    }
    return 0;
}

/* May the branch take an entry of that life? Lives follow each other: one that has had a later one takes no more. */
static bool
branch_room(const struct core *core, uint32_t incarnation)
{
    const uint32_t count = core->later_lives_count;
    uint32_t newest = count == 0 ? core->branch.incarnation : core->later_lives[count - 1].incarnation;

    if (core->branch.last_seq == 0 || incarnation == newest)
        return true;
    return incarnation > newest && count < LIVES_MAX;
}

/* The branch reaches to last_seq of that life now. */
bool
branch_extend(struct core *core, uint32_t incarnation, uint64_t last_seq)
{
    const uint32_t count = core->later_lives_count;

    if (last_seq <= branch_last_seq(core, incarnation) || !branch_room(core, incarnation))
        return false;
    if (core->branch.last_seq == 0) {
        branch_open(core, incarnation, last_seq);
    } else if (core->branch.incarnation == incarnation) {
        core->branch.last_seq = last_seq;
    } else {
        uint32_t place = count > 0 && core->later_lives[count - 1].incarnation == incarnation ? count - 1 : count;

        core->later_lives[place].incarnation = incarnation;
        core->later_lives[place].last_seq = last_seq;
        core->later_lives_count = place + 1;
    }
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
    return follows(&here, id);
}

enum cairn_error
core_append_branch(struct core *core, const struct entry_id *id, struct accepted *out)
{
    enum cairn_error error = CAIRN_OK;

    assert(core->role != ROLE_LEADER);
    if (core->config.recovering)
        return CAIRN_RECOVERING;
    memset(out, 0, sizeof(*out));
    out->on_branch = true;
    if (id->producer != 0)
        error = branch_check(core, id, out);
    if (error != CAIRN_OK || out->repeated)
        return error;
    if (!branch_room(core, core->config.incarnation))
        return CAIRN_FULL;
    out->seq = ++core->seq;
    out->incarnation = core->config.incarnation;
    branch_extend(core, out->incarnation, out->seq);
    producers_note(&core->branch_producers, id, branch_place(out->incarnation, out->seq));
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
    return lsn;
}

static void
keep(struct core *core, const struct run *run, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_KEEP};

    assert(run->first_seq > branch_last_seq(core, run->incarnation));
    assert(run->first_lsn > core->commit_lsn);
    if (!branch_extend(core, run->incarnation, run->first_seq + run->count - 1))
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

    for (uint32_t i = 0; i <= run->count; i++) {
        bool kept = i < run->count && run->first_seq + i > branch_last_seq(core, run->incarnation) &&
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
}

/* Of this life, or of the former ones that a disk remembers. */
static void
keep_own(struct core *core, bool former, const struct sink *sink)
{
    uint64_t up_to_lsn = outliving_lsn(core);

    for (uint32_t i = core->runs.head; i != core->runs.tail; i++) {
        const struct run *run = &core->runs.items[i & (RUNS_MAX - 1)];

        /* What others handed off is theirs to keep until it is committed. */
        if (run->kind == ENTRY_DATA && run->origin == core->config.self &&
            (run->incarnation < core->config.incarnation) == former)
            keep_run(core, run, up_to_lsn, sink);
    }
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
    keep_own(core, true, sink);
}

bool
branch_adopted(const struct core *core)
{
    return core->branch.last_seq == 0 ||
           (core->later_lives_count == 0 &&
            own_mark(core, &core->marks, core->branch.incarnation) >= core->branch.last_seq);
}

/* All of a life is on the trunk: the next one's turn. */
static void
branch_next_life(struct core *core)
{
    core->branch = (struct branch){0};
    if (core->later_lives_count == 0) {
        producers_clear(&core->branch_producers);
        return;
    }
    branch_open(core, core->later_lives[0].incarnation, core->later_lives[0].last_seq);
    core->later_lives_count--;
    memmove(core->later_lives, core->later_lives + 1, core->later_lives_count * sizeof(core->later_lives[0]));
}

/* What of the life that is handed off is on the trunk now? false: no more than was known. */
static bool
settle_life(struct core *core, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_BRANCH_TRIM};
    struct branch *branch = &core->branch;
    uint64_t mark;

    if (branch->last_seq == 0)
        return false;
    mark = own_mark(core, &core->committed_marks, branch->incarnation);
    if (mark <= branch->base_seq && mark < branch->last_seq)
        return false;
    branch->base_seq = mark;
    if (branch->sent_seq <= mark) {
        branch->sent_seq = mark;
        branch->in_flight = 0;
        branch->probing = false;
    }
    if (branch->marked_seq < mark)
        branch->marked_seq = mark;
    effect.branch.seq = mark;
    effect.branch.incarnation = branch->incarnation;
    if (mark < branch->last_seq) {
        emit(sink, &effect);
        return false;
    }
    branch_next_life(core);
    emit(sink, &effect);
    return true;
}

/* The trunk has committed more: what of the branch is on it now? */
void
branch_settle(struct core *core, const struct sink *sink)
{
    while (settle_life(core, sink))
        ;
}
