/* A branch onto the trunk, in order and once, whatever is lost, repeated or crashes.
 *
 * Batches are chained: each names the sequence before its first, and a leader takes one only if its
 * mark of that origin has reached it. The mark follows from the trunk itself, so a new leader knows
 * it, and what survived by another way is recognised and skipped.
 *
 * The leader says with each answer how many more entries it has room for (credits, as in RFC 9293 3.8.6), and says so
 * again when there is room after there was little: an overrun would cost the time until a batch counts as lost. */
#include "replication/state.h"

#define REFILL_MOST_NS 1000000u
#define COPIES_FIRST_TIMEOUTS 16u

static void
restart(struct branch *branch)
{
    assert(branch->last_seq != 0);
    branch->sent_seq = branch->marked_seq = branch->base_seq;
    branch->in_flight = 0;
    branch->room = 0;
    branch->told = false;
    branch->rests_ns = 0;
    branch->probing = branch->due = false;
}

void
hand_off_restart(struct core *core)
{
    for (cairn_node_set held = core->branches_held; held != 0; held &= held - 1)
        restart(&core->branches[__builtin_ctz(held)]);
    assert_costly(branch_is_sound(core, core->config.self));
}

/* Entries that may be under way. */
static uint32_t
window_entries(const struct core *core, const struct branch *branch)
{
    uint32_t first = core->config.window_entries / 4;

    assert(branch->last_seq != 0 && core->leader != CAIRN_NODE_NONE);
    assert(core->role != ROLE_LEADER || branch->in_flight == 0);
    /* The leader's own goes straight to its trunk, and nothing is ever under way. */
    if (core->role == ROLE_LEADER)
        return 1;
    if (!branch->told)
        return first < HAND_OFF_FIRST_ENTRIES ? first : HAND_OFF_FIRST_ENTRIES;
    /* Where the leader has been silent for long its word on its room may be lost. */
    if (branch->probing && branch->room == 0)
        return 1;
    return branch->room < HAND_OFF_WINDOW_ENTRIES ? branch->room : HAND_OFF_WINDOW_ENTRIES;
}

/* May this node hand off what it has of the branch? */
static bool
is_turn(const struct core *core, uint8_t origin)
{
    const struct branch *branch = &core->branches[origin];

    assert(core->branches_held & node_bit(origin));
    return branch->due || (origin == core->config.self && !branch_is_holed(core));
}

bool
core_hand_off_window(const struct core *core, uint8_t origin, uint32_t *incarnation, uint64_t *after_seq,
                     uint8_t *leader)
{
    const struct branch *branch = &core->branches[origin];

    assert_costly(branch_is_sound(core, origin));
    if (core->config.recovering || branch->last_seq == 0 || core->leader == CAIRN_NODE_NONE)
        return false;
    if (!(core->reach & node_bit(core->leader)) || !is_turn(core, origin))
        return false;
    if (branch->sent_seq >= branch->last_seq || branch->in_flight >= window_entries(core, branch))
        return false;
    if (branch->told && branch->rate_per_s != 0 && branch->allowed <= 0)
        return false;
    if (branch->probing && branch->in_flight > 0)
        return false;
    if (core->role == ROLE_LEADER && !window_open(core))
        return false;
    *incarnation = branch->incarnation;
    *after_seq = branch->sent_seq;
    *leader = core->leader;
    assert(*after_seq < branch->last_seq && *after_seq >= branch->marked_seq);
    assert(core->stopped == STOP_NONE);
    assert((core->role == ROLE_LEADER) == (*leader == core->config.self));
    return true;
}

/* Only entries that go under a rate count against it: those that went before the leader said one are no debt. */
static void
spend(struct branch *branch, uint32_t count)
{
    assert(count > 0);
    if (branch->told && branch->rate_per_s != 0)
        branch->allowed -= count;
}

static void
rate_told(struct branch *branch, uint32_t rate_per_s)
{
    if (!branch->told || branch->rate_per_s == 0)
        branch->allowed = 0;
    branch->told = true;
    branch->rate_per_s = rate_per_s;
}

void
core_handed(struct core *core, uint8_t origin, uint64_t last_seq, uint32_t count, uint64_t now_ns)
{
    struct branch *branch = &core->branches[origin];

    assert(count > 0);
    assert(core->role != ROLE_LEADER);
    /* Taking it may have settled the branch already, where this node leads alone. */
    if (last_seq <= branch->sent_seq || branch->last_seq == 0)
        return;
    assert(core->leader != CAIRN_NODE_NONE);
    assert_costly(count <= last_seq - branch->sent_seq);
    if (branch->in_flight == 0)
        branch->sent_ns = now_ns;
    branch->sent_seq = last_seq;
    branch->in_flight += count;
    spend(branch, count);
    assert(branch->marked_seq < branch->sent_seq);
    core_check(core);
}

/* Nothing has happened to the branch for so long: nobody else hands it off. */
static void
wait_for_others(struct branch *branch, uint64_t timeout_ns, uint64_t now_ns)
{
    assert(branch->last_seq != 0);
    if (branch->rests_ns == 0)
        branch->rests_ns = now_ns;
    else if (now_ns - branch->rests_ns >= timeout_ns)
        branch->due = true;
}

/* Whose turn is it? The origin of a copy comes first: the trunk takes it once, but twice the frames would be paid for it. An
 * origin that lacks some of its branch lets copies come first, since the trunk takes nothing that is before what it has.
 * Whoever may hold one is waited for, unless this node leads: then what its clients append waits for the branch. */
static void
take_turns(struct core *core, uint8_t origin, uint64_t now_ns)
{
    struct branch *branch = &core->branches[origin];
    cairn_node_set members = core_members(core)->voters | core_members(core)->learners;

    assert(core->branches_held & node_bit(origin));
    if (origin != core->config.self)
        wait_for_others(branch, core->config.election_timeout_ns, now_ns);
    else if (!branch_is_holed(core))
        branch->rests_ns = 0;
    else if (core->role == ROLE_LEADER || (core->leader != CAIRN_NODE_NONE && (members & ~core->reach) == 0))
        wait_for_others(branch, COPIES_FIRST_TIMEOUTS * core->config.election_timeout_ns, now_ns);
    else
        branch->rests_ns = 0;
}

static void
tick(struct core *core, struct branch *branch, uint64_t now_ns)
{
    assert(branch->last_seq != 0 && branch->marked_seq <= branch->sent_seq);
    /* Marks answered for but not yet committed may be lost with their leader, so in the end only
     * the committed mark counts. */
    bool waits_for_room = branch->told && branch->room == 0 && branch->sent_seq < branch->last_seq;

    if ((branch->sent_seq == branch->base_seq && !waits_for_room) ||
        now_ns - branch->sent_ns < 2 * core->config.retransmit_ns)
        return;
    branch->sent_seq = branch->marked_seq;
    branch->in_flight = 0;
    branch->sent_ns = now_ns;
    branch->probing = true;
    if (branch->sent_seq >= branch->last_seq)
        branch->sent_seq = branch->marked_seq = branch->base_seq;
}

/* Adds the entries that the time since the last refill is worth. A node that has slept does not make up for all of it at once. */
static void
refill(struct branch *branch, uint64_t now_ns)
{
    uint64_t since_ns = now_ns - branch->refilled_ns < REFILL_MOST_NS ? now_ns - branch->refilled_ns : REFILL_MOST_NS;
    uint64_t entries = since_ns * branch->rate_per_s / 1000000000u;

    assert(entries <= branch->rate_per_s);
    if (entries == 0)
        return;
    branch->refilled_ns = now_ns;
    branch->allowed = branch->allowed + (int64_t)entries < (int64_t)entries ? branch->allowed + (int64_t)entries
                                                                            : (int64_t)entries;
}

void
hand_off_tick(struct core *core, uint64_t now_ns)
{
    for (cairn_node_set held = core->branches_held; held != 0; held &= held - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(held);

        take_turns(core, origin, now_ns);
        tick(core, &core->branches[origin], now_ns);
        refill(&core->branches[origin], now_ns);
        assert_costly(branch_is_sound(core, origin));
    }
}

static uint32_t
free_entries(const struct core *core)
{
    assert_costly(core->role == ROLE_LEADER);
    assert_costly(!window_open(core) || core->last_lsn - core->commit_lsn < core->config.window_entries - 2);
    return window_open(core) ? core->config.window_entries - 2 - (uint32_t)(core->last_lsn - core->commit_lsn) : 0;
}

/* Not yes: there was too little room, now there is, and all behind the mark is to be sent again. */
static void
reply_to(struct core *core, uint8_t to, uint8_t origin, uint32_t incarnation, bool yes, uint32_t rate_per_s,
         const struct sink *sink)
{
    struct message reply = core_message(core, MESSAGE_HAND_OFF_REPLY, to);

    assert(core->role == ROLE_LEADER && to != core->config.self);
    reply.yes = yes;
    reply.hand_off_reply.mark = marks_get(&core->marks, origin, incarnation);
    reply.hand_off_reply.incarnation = incarnation;
    reply.hand_off_reply.rate_per_s = rate_per_s;
    reply.hand_off_reply.room = free_entries(core);
    reply.hand_off_reply.origin = origin;
    assert(reply.hand_off_reply.room <= core->config.window_entries);
    core_send(&reply, sink);
}

static bool
has_ample_room(const struct core *core)
{
    return free_entries(core) >= core->config.window_entries / 2;
}

void
hand_off_resume(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert_costly(core->role == ROLE_LEADER);
    if (core->starved == 0 || !has_ample_room(core))
        return;
    assert(window_open(core) && core->transfer_target == CAIRN_NODE_NONE);
    for (cairn_node_set left = core->starved; left != 0; left &= left - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(left);

        assert(core->starved_by[origin].from != core->config.self);
        reply_to(core, core->starved_by[origin].from, origin, core->starved_by[origin].incarnation,
                 !core->starved_by[origin].refused, pace_rate(core, origin, now_ns), sink);
        core->starved_by[origin].refused = false;
    }
    core->starved = 0;
}

static void
hand_off_reply(struct core *core, const struct message *message, uint64_t mark, uint64_t now_ns,
               const struct sink *sink)
{
    const struct run *run = &message->hand_off.run;
    uint32_t rate_per_s = pace_rate(core, run->origin, now_ns);

    assert(core->role == ROLE_LEADER);
    assert(mark <= marks_get(&core->marks, run->origin, run->incarnation));
    if (message->from == core->config.self) {
        struct branch *branch = &core->branches[run->origin];

        branch->marked_seq = branch->sent_seq = mark;
        branch->in_flight = 0;
        rate_told(branch, rate_per_s);
        spend(branch, run->count);
        assert_costly(branch_is_sound(core, run->origin));
        return;
    }
    if (!has_ample_room(core)) {
        core->starved |= node_bit(run->origin);
        core->starved_by[run->origin].incarnation = run->incarnation;
        core->starved_by[run->origin].from = message->from;
        core->starved_by[run->origin].refused |= mark < run->first_seq + run->count - 1;
    }
    reply_to(core, message->from, run->origin, run->incarnation, true, rate_per_s, sink);
}

/* Takes entries [start, end) of the batch. */
static void
take(struct core *core, const struct run *batch, uint32_t start, uint32_t end, const struct entry_id *ids,
     const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_STORE};

    assert(core->role == ROLE_LEADER);
    assert(start <= end && end <= batch->count);
    if (start == end)
        return;
    assert_costly(window_open(core));
    assert_costly(marks_get(&core->marks, batch->origin, batch->incarnation) < batch->first_seq + start);
    effect.store.index = start;
    effect.store.run = *batch;
    effect.store.run.term = core->term;
    effect.store.run.kind = ENTRY_DATA;
    effect.store.run.first_lsn = core->last_lsn + 1;
    effect.store.run.first_seq = batch->first_seq + start;
    effect.store.run.count = end - start;
    for (uint32_t i = start; i < end; i++)
        *level_of(core, effect.store.run.first_lsn + (i - start)) = 0;
    trunk_note(core, &effect.store.run, ids + start);
    assert(core->last_lsn == effect.store.run.first_lsn + (end - start) - 1);
    assert_costly(marks_get(&core->marks, batch->origin, batch->incarnation) == batch->first_seq + end - 1);
    emit(sink, &effect);
}

/* Would the trunk hold this producer's entry twice? An order that the branch's own node kept is not
 * questioned: what it acknowledged is never refused. */
static bool
is_repeat(const struct core *core, const struct entry_id *id, const struct sink *sink)
{
    if (producers_forgot(&core->producers, id))
        return sink->holds != NULL && sink->holds(sink->context, id);
    return producers_holds(&core->producers, id);
}

/* Entries one by one: a repeat ends a stretch and is stepped over. Returns the mark reached. */
static uint64_t
take_batch(struct core *core, const struct run *batch, uint64_t mark, const struct entry_id *ids,
           const struct sink *sink)
{
    const uint64_t before = mark;
    uint64_t repeated_seq = 0;

    assert(batch->count > 0 && batch->first_seq > 0);
    assert(mark == marks_get(&core->marks, batch->origin, batch->incarnation));
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t seq = batch->first_seq + i;

        if (seq <= mark)
            continue;
        /* A repeat wants room too: for the mark, where the batch ends with it. */
        if (!window_open(core))
            break;
        if (is_repeat(core, &ids[i], sink)) {
            repeated_seq = mark = seq;
            continue;
        }
        /* One at a time, so that a producer met twice in a batch is recognised; runs_add and the
         * store join what follows on. */
        take(core, batch, i, i + 1, ids, sink);
        mark = seq;
    }
    /* Only stepped over at the end: the trunk must remember it, or the next batch's chain breaks. */
    if (repeated_seq == mark && repeated_seq != 0)
        store_control(core, ENTRY_MARK, batch->origin, batch->incarnation, mark, sink);
    assert(mark >= before && (mark == before || mark < batch->first_seq + batch->count));
    assert(mark == marks_get(&core->marks, batch->origin, batch->incarnation));
    return mark;
}

void
receive_hand_off(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                 const struct sink *sink)
{
    const struct run *batch = &message->hand_off.run;
    uint64_t mark;

    if (core->role != ROLE_LEADER || batch->origin >= CAIRN_NODES_MAX)
        return;
    mark = marks_get(&core->marks, batch->origin, batch->incarnation);
    if (mark >= message->hand_off.prev_seq)
        mark = take_batch(core, batch, mark, ids, sink);
    /* All of it that is on the trunk now is known to be, so that the next batch's chain holds. */
    assert(mark == marks_get(&core->marks, batch->origin, batch->incarnation));
    hand_off_reply(core, message, mark, now_ns, sink);
    assert(core->role == ROLE_LEADER);
}

void
receive_hand_off_reply(struct core *core, const struct message *message, uint64_t now_ns)
{
    struct branch *branch = &core->branches[message->hand_off_reply.origin];
    uint64_t mark = message->hand_off_reply.mark;

    if (branch->last_seq == 0 || message->from != core->leader || message->term != core->term ||
        message->hand_off_reply.incarnation != branch->incarnation)
        return;
    if (mark < branch->base_seq || mark < branch->marked_seq)
        return;
    if (mark > branch->marked_seq)
        branch->probing = false;
    branch->marked_seq = mark;
    branch->sent_ns = now_ns;
    rate_told(branch, message->hand_off_reply.rate_per_s);
    branch->room = message->hand_off_reply.room;
    if (mark >= branch->sent_seq || !message->yes) {
        branch->sent_seq = mark;
        branch->in_flight = 0;
    } else {
        uint64_t under_way = branch->sent_seq - mark;

        branch->in_flight = under_way < branch->in_flight ? (uint32_t)under_way : branch->in_flight;
    }
    assert(branch->sent_seq >= branch->marked_seq && branch->marked_seq >= branch->base_seq);
    assert(branch->in_flight <= branch->sent_seq - branch->marked_seq);
}
