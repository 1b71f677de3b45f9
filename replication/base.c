/* Where the trunk begins, and how a follower that is behind it goes on.
 *
 * What is trimmed is committed, and is not sent any more. A follower that still needs some of it is told the
 * base, and begins anew there: at the last lsn that is gone, with all that follows from the entries up to
 * there. The marks it gets may be of later entries too: those are committed, so whoever
 * comes to lead holds them. What is known of single producers stays behind; ids up to the floor that
 * are not met again are refused, not taken twice. */
#include "replication/state.h"

void
core_trimmed(struct core *core, uint64_t lsn)
{
    assert(lsn <= core->commit_lsn);
    if (lsn <= core->base_lsn)
        return;
    core->base_term = history_term(&core->history, lsn);
    core->base_lsn = lsn;
    assert(core->base_term <= last_term(core));
    core_check(core);
}

uint64_t
core_base_lsn(const struct core *core)
{
    assert_costly(core->base_lsn <= core->commit_lsn);
    return core->base_lsn;
}

bool
core_wants_base(const struct core *core, uint8_t peer)
{
    const struct progress *progress = &core->progress[peer];

    if (core->role != ROLE_LEADER || peer == core->config.self || !is_member(core, peer))
        return false;
    assert_costly(progress->match_lsn < progress->next_lsn);
    assert_costly(progress->next_lsn <= core->last_lsn + 1);
    return progress->next_lsn <= core->base_lsn && !progress->probe_sent;
}

void
core_base(const struct core *core, struct core_base *out)
{
    out->lsn = core->base_lsn;
    out->base_term = core->base_term;
    out->producer_floor = producers_highest(&core->producers);
    out->marks_lsn = core->marks_lsn > core->commit_lsn ? core->marks_lsn : core->commit_lsn;
    out->members = core->committed_members;
    out->marks = core->committed_marks.items;
    out->marks_count = core->committed_marks.count;
    assert(out->lsn <= out->marks_lsn && out->marks_count <= MARKS_MAX);
    assert(members_sane(&out->members));
}

void
core_base_message(const struct core *core, uint8_t peer, struct message *out)
{
    assert(core->role == ROLE_LEADER);
    assert(peer != core->config.self && core_wants_base(core, peer));
    *out = core_message(core, MESSAGE_BASE, peer);
    core_base(core, &out->base);
    assert(out->base.lsn > core->progress[peer].match_lsn);
}

void
core_base_sent(struct core *core, uint8_t peer, uint64_t now_ns)
{
    struct progress *progress = &core->progress[peer];

    assert(core->role == ROLE_LEADER);
    assert(peer != core->config.self);
    /* What it is told to begin at is more than it is known to hold. */
    assert(progress->match_lsn < core->base_lsn);
    progress->state = PROGRESS_PROBE;
    progress->probe_sent = true;
    progress->sent_ns = now_ns;
    core_check(core);
}

static void
begin_behind(struct core *core, const struct core_base *base, const struct sink *sink)
{
    assert(core->role == ROLE_FOLLOWER);
    assert(core->reads_count == 0 && core->transfer_target == CAIRN_NODE_NONE);
    assert(base->marks_count <= MARKS_MAX);
    memset(&core->history, 0, sizeof(core->history));
    core->runs.head = core->runs.tail = 0;
    if (base->lsn > 0)
        history_add(&core->history, base->base_term, base->lsn);
    producers_clear(&core->producers);
    core->producers.evicted_floor = base->producer_floor;
    core->marks_lsn = base->marks_lsn;
    core->committed_marks.count = base->marks_count;
    memcpy(core->committed_marks.items, base->marks, base->marks_count * sizeof(struct mark));
    core->marks = core->committed_marks;
    membership_start(core, &base->members);
    core->base_lsn = base->lsn;
    core->base_term = base->base_term;
    core->last_lsn = core->held_lsn = core->commit_lsn = core->match_lsn = core->compared_lsn = base->lsn;
    assert_costly(core_is_sound(core));
    emit_lsn(sink, EFFECT_REBASE, base->lsn);
}

/* Everything held is given up for the leader's base. Entries of it that were acknowledged are on this
 * node's branch, or committed and in the base. */
void
base_begin(struct core *core, const struct core_base *base, uint64_t now_ns, const struct sink *sink)
{
    assert(base->lsn > core->commit_lsn);
    assert(base->base_term > 0);
    producers_lost(core, now_ns);
    begin_behind(core, base, sink);
    branch_settle(core, sink);
    assert(core->producers_partial && core->last_lsn == core->base_lsn);
    assert(last_term(core) == core->base_term);
}

/* Everything on the trunk is given up, what was committed among it: an administrator has decided for another history. */
void
base_give_up(struct core *core, const struct members *members, const struct sink *sink)
{
    const struct core_base nothing = {.members = *members, .marks = core->committed_marks.items};

    assert(core->role == ROLE_FOLLOWER);
    core->producers_partial = false;
    core->told_commit_lsn = 0;
    core->promised_lsn = core->promised_term = 0;
    begin_behind(core, &nothing, sink);
    branches_reopen(core);
    assert(core->last_lsn == 0 && core->base_lsn == 0 && last_term(core) == 0);
    assert(core->changes_count == 0 && core->runs.head == core->runs.tail);
}

bool
base_sane(const struct core_base *base, uint64_t term)
{
    return base_plausible(base) && base->base_term > 0 && base->base_term <= term;
}

void
receive_base(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    if (message->term < core->term || (message->term == core->term && core->role == ROLE_LEADER))
        return;
    follow(core, message->term, message->from, now_ns, sink);
    assert(core->term == message->term && core->leader == message->from);
    if (!base_sane(&message->base, core->term))
        return;
    if (message->base.lsn > core->commit_lsn)
        base_begin(core, &message->base, now_ns, sink);
    else if (core->match_lsn < message->base.lsn)
        core->match_lsn = message->base.lsn;
    assert(core->match_lsn >= message->base.lsn && core->commit_lsn >= message->base.lsn);
    core->reply_to = message->from;
}
