/* Entries onto the trunk: the leader's side of a client's append, the follower's side of the
 * leader's (Raft figure 2, AppendEntries). */
#include "replication/state.h"

/* A repeat is answered with the first copy's place, also where that is still on its way. */
static enum cairn_error
repeated(uint64_t lsn, const struct core *core, struct accepted *out)
{
    assert(core->role == ROLE_LEADER);
    out->repeated = true;
    out->lsn = lsn;
    out->term = lsn == 0 ? 0 : history_term(&core->history, lsn);
    return CAIRN_OK;
}

/* Is the producer's entry before this one another node's, and not committed yet? If this leader were deposed
 * the two would go to the trunk by different branches, in either order. */
static bool
follows_anothers(const struct core *core, const struct entry_id *id)
{
    struct producer producer = producers_last(&core->producers, id->producer);
    const struct run *run;

    if (id->producer == 0 || producer.seq == 0 || producer.lsn <= core->commit_lsn)
        return false;
    run = runs_find(&core->runs, producer.lsn);
    return run == NULL || run->origin != core->config.self || run->incarnation != core->config.incarnation;
}

enum cairn_error
core_append(struct core *core, const struct entry_id *id, enum cairn_ack ack, struct accepted *out)
{
    uint64_t known_lsn, known_seq;
    struct run run;
    enum cairn_error error;

    assert_costly(core_is_sound(core));
    if (core->role != ROLE_LEADER)
        return core->leader == CAIRN_NODE_NONE ? CAIRN_NO_LEADER : CAIRN_NOT_LEADER;
    memset(out, 0, sizeof(*out));
    error = producers_check(&core->producers, id, &known_lsn, &known_seq);
    if (error == CAIRN_AGAIN)
        return repeated(known_lsn, core, out);
    if (error == CAIRN_OK && is_sealed_to(core, id))
        return CAIRN_SEALED;
    /* A node that becomes leader puts its own branch on the trunk before anything new. */
    if (!branch_adopted(core) || !window_open(core))
        return CAIRN_AGAIN;
    if (error != CAIRN_OK)
        return error;
    if (follows_anothers(core, id))
        return CAIRN_AGAIN;
    /* Its next life goes on from 1. */
    if (core->seq == SEQ_MAX)
        return CAIRN_FULL;
    /* The entry stands behind the first of this leader's term, so that it commits by counting. */
    assert_costly(core->term_first_lsn <= core->last_lsn && last_term(core) == core->term);

    run = (struct run){
        .term = core->term,
        .first_lsn = core->last_lsn + 1,
        .first_seq = ++core->seq,
        .count = 1,
        .incarnation = core->config.incarnation,
        .origin = core->config.self,
        .kind = ENTRY_DATA,
    };
    trunk_note(core, &run, id);
    *level_of(core, run.first_lsn) = (uint8_t)ack;
    core->appended_lsn = run.first_lsn;
    out->lsn = run.first_lsn;
    out->term = run.term;
    out->seq = run.first_seq;
    assert_costly(core->last_lsn == out->lsn);
    assert_costly(core_is_sound(core));
    return CAIRN_OK;
}

/* Tells the leader where to go on. One lost frame makes every later one of the pipeline arrive
 * out of place, so the same answer is not repeated at once. */
static void
refuse_append(struct core *core, const struct message *message, uint64_t hint_lsn, uint64_t now_ns,
              const struct sink *sink)
{
    struct message reply = core_message(core, MESSAGE_APPEND_REPLY, message->from);

    assert(hint_lsn <= core->last_lsn);
    assert(message->term < core->term || core->role == ROLE_FOLLOWER);
    if (core->gap_reported_lsn == hint_lsn && now_ns - core->gap_reported_ns < core->config.retransmit_ns / 4)
        return;
    core->gap_reported_lsn = hint_lsn;
    core->gap_reported_ns = now_ns;
    reply.append_reply.match_lsn = core->match_lsn;
    reply.append_reply.hint_lsn = hint_lsn;
    core_send(&reply, sink);
}

/* Does the entry before the new ones match? Committed ones always do. */
bool
append_fits(const struct core *core, const struct message *message)
{
    if (message->append.prev_lsn <= core->commit_lsn)
        return true;
    return message->append.prev_lsn <= core->last_lsn &&
           history_term(&core->history, message->append.prev_lsn) == message->append.prev_term;
}

/* Where the leader should try next: before this node's whole term that conflicts (Raft 5.3). */
static uint64_t
probe_hint(const struct core *core, const struct message *message)
{
    uint64_t hint;

    assert(core->role == ROLE_FOLLOWER);
    assert(message->append.prev_lsn > core->commit_lsn);
    if (message->append.prev_lsn > core->last_lsn)
        return core->last_lsn;
    hint = history_first_lsn(&core->history, message->append.prev_lsn);
    assert(hint > 0 && hint <= message->append.prev_lsn);
    return hint - 1 < core->commit_lsn ? core->commit_lsn : hint - 1;
}

/* Skips what is already held; truncates at the first conflict. Returns how many of the run's
 * entries are held already. */
static uint32_t
skip_held(struct core *core, const struct run *run, const struct sink *sink)
{
    uint64_t end_lsn = run->first_lsn + run->count; /* one past */

    assert(run->first_lsn <= core->last_lsn + 1);
    for (uint64_t lsn = run->first_lsn; lsn < end_lsn && lsn <= core->last_lsn; lsn++) {
        if (lsn <= core->commit_lsn || history_term(&core->history, lsn) == run->term)
            continue;
        truncate_from(core, lsn, sink);
        assert(core->last_lsn == lsn - 1 && lsn >= run->first_lsn);
        return (uint32_t)(lsn - run->first_lsn);
    }
    return end_lsn <= core->last_lsn + 1 ? run->count : (uint32_t)(core->last_lsn + 1 - run->first_lsn);
}

static void
store_run(struct core *core, const struct run *run, uint32_t skip, const struct entry_id *ids, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STORE};

    assert(core->role != ROLE_LEADER);
    assert_costly(run->first_lsn + skip == core->last_lsn + 1);
    assert_costly(skip < run->count);
    /* Terms never fall along a log; a run that says so did not come from a leader's. */
    if (run->term == 0 || run->term < last_term(core) || run->term > core->term)
        return;
    effect.store.run = *run;
    effect.store.index = skip;
    effect.store.run.first_lsn += skip;
    effect.store.run.first_seq += skip;
    effect.store.run.count = follower_room(core, run, run->count - skip);
    if (effect.store.run.count == 0)
        return;
    trunk_note(core, &effect.store.run, ids == NULL ? NULL : ids + skip);
    assert_costly(last_term(core) == run->term);
    assert_costly(core->last_lsn < run->first_lsn + run->count);
    emit(sink, &effect);
}

/* Takes the entries of the message's run that are not held yet, and cuts off what conflicts. Returns the lsn up to
 * which this trunk is now the sender's. */
uint64_t
append_take(struct core *core, const struct message *message, const struct entry_id *ids, const struct sink *sink)
{
    const struct run *run = &message->append.run;
    uint64_t end_lsn = message->append.prev_lsn + run->count;
    uint64_t commit_lsn = core->commit_lsn;
    uint32_t skip;

    assert(append_fits(core, message));
    assert(core->role != ROLE_LEADER);
    if (run->count > 0) {
        assert(run->first_lsn == message->append.prev_lsn + 1);
        skip = skip_held(core, run, sink);
        if (skip < run->count)
            store_run(core, run, skip, ids, sink);
    }
    assert_costly(core->commit_lsn == commit_lsn && core->last_lsn >= commit_lsn);
    assert_costly(history_is_sound(&core->history));
    return end_lsn < core->last_lsn ? end_lsn : core->last_lsn;
}

void
receive_append(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
               const struct sink *sink)
{
    uint64_t end_lsn;

    if (message->term < core->term) {
        refuse_append(core, message, core->last_lsn, now_ns, sink);
        return;
    }
    /* One term cannot have two leaders: who says so is not believed. */
    if (message->term == core->term && core->role == ROLE_LEADER)
        return;
    follow(core, message->term, message->from, now_ns, sink);
    assert_costly(core->term == message->term && core->leader == message->from);
    if (contradiction_found(core, message, now_ns, sink))
        return;
    if (!append_fits(core, message)) {
        refuse_append(core, message, probe_hint(core, message), now_ns, sink);
        return;
    }
    end_lsn = append_take(core, message, ids, sink);
    assert_costly(end_lsn <= core->last_lsn);
    if (end_lsn > core->match_lsn)
        core->match_lsn = end_lsn;
    if (end_lsn > core->compared_lsn)
        core->compared_lsn = end_lsn;
    core->reply_to = message->from;
    if (message->append.commit_lsn > core->told_commit_lsn)
        core->told_commit_lsn = message->append.commit_lsn;
}

/* Commits what the leader said to be committed, as far as this trunk is known to be the leader's. */
void
append_commit(struct core *core, const struct sink *sink)
{
    uint64_t lsn = core->told_commit_lsn < core->match_lsn ? core->told_commit_lsn : core->match_lsn;

    if (core->stopped != STOP_NONE)
        return;
    assert_costly(core->role != ROLE_LEADER && lsn <= core->last_lsn);
    commit_to(core, lsn, sink);
    assert_costly(core->commit_lsn >= lsn);
}

/* One cumulative acknowledgement for all that arrived in this poll. */
void
append_acknowledge(struct core *core, const struct sink *sink)
{
    struct message reply;

    if (core->reply_to == CAIRN_NODE_NONE || core->failed)
        return;
    assert_costly(core->role != ROLE_LEADER && core->stopped == STOP_NONE);
    reply = core_message(core, MESSAGE_APPEND_REPLY, core->reply_to);
    reply.yes = true;
    reply.append_reply.match_lsn = core->match_lsn < core->held_lsn ? core->match_lsn : core->held_lsn;
    /* What is on its way to the medium need not be sent again. */
    reply.append_reply.hint_lsn = core->match_lsn;
    assert_costly(reply.append_reply.match_lsn <= reply.append_reply.hint_lsn);
    assert_costly(reply.append_reply.hint_lsn <= core->last_lsn);
    core->reply_to = CAIRN_NODE_NONE;
    core_send(&reply, sink);
}
