/* What the leader knows of each follower, and what it may send there (thesis 10.2.1).
 *
 * A follower is probed, one frame at a time, until a place is found from which it follows; then
 * entries are pipelined without waiting. A hole reported, or silence for retransmit_ns with
 * entries under way, goes back to the first one not acknowledged. */
#include "assert_costly.h"
#include "replication/state.h"

#define REFUSED_BELOW 3u

/* What holds for each follower between any two events, while this node leads. */
static void
progress_assert(const struct core *core, const struct progress *progress)
{
    assert_costly(progress->match_lsn < progress->next_lsn);
    assert_costly(progress->next_lsn <= core->last_lsn + 1);
    assert_costly(progress->owed_lsn <= core->last_lsn);
    assert_costly(progress->rewound_to_lsn <= core->last_lsn + 1);
    assert_costly(progress->confirmed_seq <= core->confirm_seq);
    assert_costly(progress->state == PROGRESS_PROBE || !progress->probe_sent);
}

/* Nothing is known of what the peer holds. */
void
progress_reset(struct core *core, uint8_t peer, uint64_t now_ns)
{
    struct progress *progress = &core->progress[peer];
    bool recovering = progress->recovering;

    *progress = (struct progress){
        .next_lsn = core->last_lsn + 1,
        .heard_ns = now_ns,
        .recovering = recovering,
    };
}

void
progress_start(struct core *core, uint64_t now_ns)
{
    assert(core->role == ROLE_LEADER);
    assert(core->term_first_lsn == core->last_lsn + 1);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++)
        progress_reset(core, peer, now_ns);
    core->all_lsn = 0;
    pace_start(core);
    core->starved = 0;
}

bool
core_send_window(const struct core *core, uint8_t peer, uint64_t *from, uint64_t *to)
{
    const struct progress *progress = &core->progress[peer];

    if (core->role != ROLE_LEADER || peer == core->config.self || !is_member(core, peer))
        return false;
    progress_assert(core, progress);
    *from = progress->next_lsn;
    *to = core->last_lsn;
    if (progress->next_lsn <= core->base_lsn)
        return false; /* core_wants_base() */
    if (progress->state == PROGRESS_PROBE)
        return !progress->probe_sent;
    if (*to - progress->match_lsn > core->config.window_entries)
        *to = progress->match_lsn + core->config.window_entries;
    assert_costly(*to <= core->last_lsn);
    assert_costly(*from > core->base_lsn);
    return *from <= *to;
}

void
core_sent(struct core *core, uint8_t peer, uint64_t last_lsn, uint64_t now_ns)
{
    struct progress *progress = &core->progress[peer];

    assert(core->role == ROLE_LEADER);
    assert(peer != core->config.self);
    assert(last_lsn <= core->last_lsn);
    assert(progress->match_lsn < progress->next_lsn || progress->next_lsn == 0);
    /* Nothing is left out; a probe may say again what went before. */
    assert_costly(last_lsn + 1 >= progress->next_lsn);
    assert_costly(progress->state == PROGRESS_REPLICATE || !progress->probe_sent);
    /* The retransmission clock runs from the oldest entry under way. */
    if (progress->next_lsn == progress->match_lsn + 1 || progress->state == PROGRESS_PROBE)
        progress->sent_ns = now_ns;
    if (progress->state == PROGRESS_PROBE)
        progress->probe_sent = true;
    else if (last_lsn >= progress->next_lsn)
        progress->next_lsn = last_lsn + 1;
}

/* Peers that are in reach again are probed at once. */
void
progress_reached(struct core *core, cairn_node_set peers)
{
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peers & node_bit(peer))
            core->progress[peer].probe_sent = false;
    }
}

/* Everything is with everybody: no clock runs. */
bool
progress_is_quiet(const struct core *core)
{
    assert_costly(core->role == ROLE_LEADER);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peer != core->config.self && is_member(core, peer) &&
            (core->progress[peer].match_lsn != core->last_lsn || core->progress[peer].recovering))
            return false;
    }
    return true;
}

/* A follower that acknowledges at all soon does so for the last entry of a tick; one that catches up from far owes nothing yet. */
static void
note_owed(const struct core *core, struct progress *progress, uint64_t now_ns)
{
    assert_costly(progress->match_lsn <= core->last_lsn);
    assert_costly(progress->owed_lsn <= core->last_lsn);
    if (progress->owed_lsn > progress->match_lsn)
        return;
    progress->owed_lsn = core->last_lsn - progress->match_lsn <= core->config.window_entries ? core->last_lsn : 0;
    progress->owed_ns = now_ns;
}

uint64_t
core_owes_ns(const struct core *core, uint8_t peer, uint64_t now_ns, uint64_t *lsn)
{
    const struct progress *progress = &core->progress[peer];

    assert(core->role != ROLE_LEADER || progress->owed_lsn <= core->last_lsn);
    *lsn = progress->owed_lsn;
    return core->role == ROLE_LEADER && is_member(core, peer) && progress->owed_lsn > progress->match_lsn
               ? now_ns - progress->owed_ns
               : 0;
}

void
progress_tick(struct core *core, uint64_t now_ns)
{
    assert(core->role == ROLE_LEADER);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        struct progress *progress = &core->progress[peer];
        /* A follower that recovers is asked until it says that it has. */
        bool under_way = progress->probe_sent || progress->next_lsn > progress->match_lsn + 1 || progress->recovering;

        if (peer == core->config.self || !is_member(core, peer))
            continue;
        progress_assert(core, progress);
        note_owed(core, progress, now_ns);
        if (!under_way)
            continue;
        if (now_ns - progress->sent_ns < core->config.retransmit_ns ||
            now_ns - progress->heard_ns < core->config.retransmit_ns)
            continue;
        /* Silence: go back, and do not flood a follower that may be gone. */
        if (progress->state == PROGRESS_REPLICATE)
            progress->next_lsn = progress->match_lsn + 1;
        progress->state = PROGRESS_PROBE;
        progress->probe_sent = false;
        progress->sent_ns = now_ns;
    }
}

/* The follower holds what is up to match_lsn, and has received what is up to received_lsn. */
static void
acknowledged(struct progress *progress, uint64_t match_lsn, uint64_t received_lsn, uint64_t now_ns)
{
    if (match_lsn > progress->match_lsn) {
        progress->match_lsn = match_lsn;
        progress->sent_ns = now_ns;
        progress->rewound_to_lsn = 0;
    }
    progress->refused_below = 0;
    if (progress->next_lsn <= progress->match_lsn)
        progress->next_lsn = progress->match_lsn + 1;
    if (progress->state == PROGRESS_PROBE) {
        /* The place is found: all after it is still to be sent. */
        progress->next_lsn = (received_lsn > progress->match_lsn ? received_lsn : progress->match_lsn) + 1;
        progress->state = PROGRESS_REPLICATE;
        progress->probe_sent = false;
    }
    assert_costly(progress->match_lsn >= match_lsn);
    assert_costly(progress->next_lsn > progress->match_lsn);
}

/* The follower misses what comes after hint_lsn. */
static void
rewind_to(struct core *core, struct progress *progress, uint64_t hint_lsn, uint64_t now_ns)
{
    uint64_t next_lsn = hint_lsn + 1;

    assert_costly(core->role == ROLE_LEADER);
    if (next_lsn > core->last_lsn + 1)
        next_lsn = core->last_lsn + 1;
    if (next_lsn <= progress->match_lsn)
        next_lsn = progress->match_lsn + 1;
    /* Reports of the same hole keep coming until what was resent has arrived. */
    if (progress->state == PROGRESS_REPLICATE && progress->rewound_to_lsn == next_lsn &&
        now_ns - progress->rewound_ns < core->config.retransmit_ns / 4)
        return;
    assert(next_lsn > progress->match_lsn);
    assert(next_lsn <= core->last_lsn + 1);
    progress->rewound_to_lsn = next_lsn;
    progress->rewound_ns = now_ns;
    progress->next_lsn = next_lsn;
    progress->probe_sent = false;
}

/* Told once of each in a term. */
static void
acknowledged_beyond(struct core *core, const struct message *message, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_BEYOND,
                            .contradiction = {.lsn = message->append_reply.match_lsn, .peer = message->from}};

    assert(core->role == ROLE_LEADER);
    assert(message->append_reply.match_lsn > core->last_lsn);
    if (core->beyond & node_bit(message->from))
        return;
    core->beyond |= node_bit(message->from);
    emit(sink, &effect);
}

/* Does it hold less than it has acknowledged in this term? It may: it has given that up by an administrator's decision, or was
 * lent another trunk by who is further. One refusal may have come late; several in a row, without an acknowledgement
 * between, have not. */
static bool
holds_less(struct progress *progress, const struct message *message)
{
    assert(!message->yes);
    if (message->append_reply.match_lsn >= progress->match_lsn)
        return false;
    return ++progress->refused_below >= REFUSED_BELOW || message->recovering;
}

void
receive_append_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    struct progress *progress = &core->progress[message->from];

    if (message->term > core->term) {
        follow(core, message->term, CAIRN_NODE_NONE, now_ns, sink);
        return;
    }
    if (core->role != ROLE_LEADER || message->term < core->term)
        return;
    progress_assert(core, progress);
    progress->heard_ns = now_ns;
    progress->recovering = message->recovering;
    if (!message->yes) {
        if (holds_less(progress, message))
            progress_reset(core, message->from, now_ns);
        rewind_to(core, progress, message->append_reply.hint_lsn, now_ns);
        progress_assert(core, progress);
        return;
    }
    /* A follower cannot hold what this leader has not got: it counts for nothing. */
    if (message->append_reply.match_lsn > core->last_lsn) {
        acknowledged_beyond(core, message, sink);
        return;
    }
    acknowledged(progress, message->append_reply.match_lsn,
                 message->append_reply.hint_lsn <= core->last_lsn ? message->append_reply.hint_lsn : 0, now_ns);
    progress_assert(core, progress);
    commit_advance(core, now_ns, sink);
    assert_costly(core->role == ROLE_LEADER && core->all_lsn <= core->commit_lsn);
}
