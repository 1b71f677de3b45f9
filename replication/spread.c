/* Branches spread: while no leader is in reach, what a node accepted alone goes to whoever is. A copy keeps the
 * entries where their origin dies for ever, shows them to readers there, and is handed off by its holder where the
 * origin does not (hand_off.c); the origin's mark sees to it that the trunk takes them once, whoever hands them off.
 *
 * A copy has no gaps: a batch names the place before its first, and is taken only where everything up to there is
 * held or on the trunk. So whatever the trunk may conclude from an origin's chain holds for copies as well. */
#include "assert_costly.h"
#include "replication/state.h"

#define SPREAD_WINDOW_BATCHES 16u

/* What holds between any two events. */
static void
spread_assert(const struct spread *spread)
{
    assert_costly(spread->held_place <= spread->sent_place);
    assert_costly(spread->in_flight <= SPREAD_WINDOW_BATCHES);
}

/* Up to where the own branch is on the trunk. */
static uint64_t
settled_place(const struct core *core)
{
    const struct branch *branch = &core->branches[core->config.self];

    assert(branch->last_seq != 0 || branch->base_seq == 0);
    return branch_place(branch->incarnation, branch->base_seq);
}

bool
core_spread_window(const struct core *core, uint8_t peer, uint64_t *after_place)
{
    const struct spread *spread = &core->spreads[peer];
    const struct branch *branch = &core->branches[core->config.self];

    spread_assert(spread);
    assert_costly((branch->last_seq != 0) == ((core->branches_held & node_bit(core->config.self)) != 0));
    if (branch->last_seq == 0 || peer == core->config.self || !(core->reach & node_bit(peer)) ||
        !is_member(core, peer) || core->stopped != STOP_NONE)
        return false;
    /* A copy would not know what is missing. */
    if (branch_is_holed(core))
        return false;
    /* A leader in reach is the shorter way. */
    if (core->leader != CAIRN_NODE_NONE && (core->reach & node_bit(core->leader)))
        return false;
    if (spread->in_flight >= SPREAD_WINDOW_BATCHES || spread->sent_place >= branch_last_place(branch))
        return false;
    *after_place = spread->sent_place > settled_place(core) ? spread->sent_place : settled_place(core);
    return true;
}

void
core_spread_message(const struct core *core, uint8_t peer, uint64_t after_place, struct message *out)
{
    assert(core->stopped == STOP_NONE);
    assert(core->branches_held & node_bit(core->config.self));
    assert(after_place >= settled_place(core));
    *out = core_message(core, MESSAGE_SPREAD, peer);
    out->spread.prev_place = after_place;
    out->spread.settled_place = settled_place(core);
}

void
core_spread_sent(struct core *core, uint8_t peer, uint64_t last_place, uint64_t now_ns)
{
    struct spread *spread = &core->spreads[peer];

    assert(last_place > spread->sent_place);
    assert(last_place <= branch_last_place(own_branch(core)));
    assert(spread->in_flight < SPREAD_WINDOW_BATCHES);
    assert(peer != core->config.self);
    if (spread->in_flight == 0)
        spread->sent_ns = now_ns;
    spread->sent_place = last_place;
    spread->in_flight++;
}

void
spread_tick(struct core *core, uint64_t now_ns)
{
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        struct spread *spread = &core->spreads[peer];

        spread_assert(spread);
        if (spread->in_flight == 0 || now_ns - spread->sent_ns < 2 * core->config.retransmit_ns)
            continue;
        spread->sent_place = spread->held_place;
        spread->in_flight = 0;
    }
}

/* Is everything before the batch held here, or on the trunk? */
static bool
follows(const struct core *core, const struct message *message)
{
    uint64_t prev_place = message->spread.prev_place;
    uint64_t mark = marks_get(&core->committed_marks, message->from, branch_place_incarnation(prev_place));

    return prev_place <= message->spread.settled_place ||
           prev_place <= branch_last_place(&core->branches[message->from]) || mark >= branch_place_seq(prev_place);
}

/* How many of the run's entries are held already, or on the trunk? */
static uint32_t
known_entries(const struct core *core, const struct run *run)
{
    uint64_t held_place = branch_last_place(&core->branches[run->origin]);
    uint64_t known_seq = marks_get(&core->committed_marks, run->origin, run->incarnation);

    if (branch_place_incarnation(held_place) > run->incarnation)
        return run->count;
    if (branch_place_incarnation(held_place) == run->incarnation && branch_place_seq(held_place) > known_seq)
        known_seq = branch_place_seq(held_place);
    if (known_seq < run->first_seq)
        return 0;
    assert(branch_place_incarnation(held_place) < run->incarnation || known_seq >= branch_place_seq(held_place));
    return known_seq - run->first_seq + 1 < run->count ? (uint32_t)(known_seq - run->first_seq + 1) : run->count;
}

static bool
keep_copy(struct core *core, const struct message *message, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_KEEP_COPY};
    struct branch *branch = &core->branches[message->from];
    struct run run = message->spread.run;
    uint32_t known = known_entries(core, &run);
    uint64_t prev_place = message->spread.prev_place, held_place = branch_last_place(branch);
    bool same_life = branch_place_incarnation(prev_place) == run.incarnation;

    assert(known <= run.count);
    assert(message->from != core->config.self);
    if (known == run.count)
        return true;
    run.first_seq += known;
    run.count -= known;
    run.first_lsn = branch_place(run.incarnation, run.first_seq);
    assert(run.first_lsn > held_place);
    assert(run.first_lsn > prev_place);
    if (!branch_extend(core, run.origin, run.incarnation, same_life ? branch_place_seq(prev_place) : 0,
                       run.first_seq + run.count - 1))
        return false;
    assert(branch_last_place(branch) == run.first_lsn + run.count - 1);
    assert(core->branches_held & node_bit(message->from));
    if (prev_place > held_place)
        branch->gap_place = prev_place;
    else
        effect.store.prev_place = known > 0 ? branch_place(run.incarnation, run.first_seq - 1) : prev_place;
    assert(branch->gap_place < run.first_lsn);
    assert(effect.store.prev_place < run.first_lsn);
    branch->rests_ns = 0;
    branch->due = false;
    effect.store.run = run;
    effect.store.index = known;
    emit(sink, &effect);
    return true;
}

void
receive_spread(struct core *core, const struct message *message, const struct sink *sink)
{
    const struct run *run = &message->spread.run;
    struct message reply;

    if (run->origin != message->from || run->kind != ENTRY_DATA || run->count == 0 || run->first_seq == 0 ||
        message->spread.prev_place >= branch_place(run->incarnation, run->first_seq))
        return;
    reply = core_message(core, MESSAGE_SPREAD_REPLY, message->from);
    reply.yes = follows(core, message) && keep_copy(core, message, sink);
    reply.spread_reply.held_place = branch_last_place(&core->branches[run->origin]);
    /* Entries that are on the trunk already need not come again either. */
    if (reply.yes && reply.spread_reply.held_place < branch_place(run->incarnation, run->first_seq + run->count - 1))
        reply.spread_reply.held_place = branch_place(run->incarnation, run->first_seq + run->count - 1);
    core_send(&reply, sink);
}

void
receive_spread_reply(struct core *core, const struct message *message, uint64_t now_ns)
{
    struct spread *spread = &core->spreads[message->from];
    uint64_t held_place = message->spread_reply.held_place;

    spread_assert(spread);
    if (!message->yes) {
        /* Something before is missing there: from where it has all, but not at once. */
        if (held_place < spread->held_place)
            spread->held_place = held_place;
        spread->sent_place = spread->held_place;
        spread->in_flight = SPREAD_WINDOW_BATCHES;
        spread->sent_ns = now_ns;
        spread_assert(spread);
        return;
    }
    if (held_place > branch_last_place(own_branch(core)))
        return; /* of a branch that is settled meanwhile */
    if (held_place > spread->held_place)
        spread->held_place = held_place;
    spread->sent_ns = now_ns;
    if (spread->in_flight > 0)
        spread->in_flight--;
    if (spread->held_place >= spread->sent_place) {
        spread->sent_place = spread->held_place;
        spread->in_flight = 0;
    }
    spread_assert(spread);
}
