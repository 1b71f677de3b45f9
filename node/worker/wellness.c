/* A sick leader steps aside: one whose disk is full, hangs or is slow, or whose memory or slots are used up, lets a voter lead
 * that is better off. Nobody hands over to an equal, nor to one that was sick a moment ago, so leadership does not go to
 * and fro; and where all are in the same trouble they stay what they are. */
#include "node/worker/wellness.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "assert_costly.h"
#include "node/attachment.h"
#include "node/events.h"
#include "node/worker/due.h"
#include "node/worker/log.h"
#include "node/worker/readers.h"
#include "node/worker/room.h"
#include "node/worker/worker.h"

/* A trouble that does not come back is no ailment: after so long without it the node is well. */
#define CALM_NS 1000000000u
/* Trouble that may pass by itself is given so long before leadership moves because of it. */
#define PASSING_NS 250000000u
#define PASSING (AIL_DISK_SLOW | AIL_DISK_TIGHT | AIL_NO_MEMORY | AIL_NO_SLOTS)
/* A hand-over that comes to nothing is tried again, but not at once. */
#define ASIDE_EVERY_NS 1000000000u
/* What is on its way to voters whose last file this is: they must have room for it when they say that they are full. */
#define ON_THE_WAY_MAX (64u << 10)

_Static_assert(AILMENTS == (1u << AILMENT_BITS) - 1 && (PASSING & ~AILMENTS) == 0, "a bit for each");

static uint32_t
in_us(uint64_t ns)
{
    return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

static uint32_t
write_us(const struct worker *worker)
{
    return in_us(worker->health.pulse.usual_ns);
}

/* For how long the oldest write has been under way; 0: none is. */
static uint64_t
under_way_ns(const struct worker *worker, uint64_t now_ns)
{
    const struct journal_write *write = worker->disk == NULL ? NULL : journal_under_way(&worker->journal);

    return write == NULL ? 0 : detector_awake_since_ns(&worker->detector, write->submitted_ns, now_ns);
}

static uint32_t
disk_ailments(const struct worker *worker, uint64_t now_ns)
{
    const struct pulse *pulse = &worker->health.pulse;
    uint64_t for_ns = under_way_ns(worker, now_ns);

    if (worker->disk == NULL)
        return 0;
    return (worker->journal_failed ? AIL_DISK_FAILED : 0u) | (pulse_hangs(pulse, for_ns) ? AIL_DISK_HANGS : 0u) |
           (worker->journal_full    ? AIL_DISK_FULL
            : worker->journal_short ? AIL_DISK_WAITS
                                    : 0u) |
           (journal_is_tight(&worker->journal) ? AIL_DISK_TIGHT : 0u) |
           (pulse_is_slow(pulse, for_ns) || (pulse->slow_ns != 0 && now_ns - pulse->slow_ns < CALM_NS) ? AIL_DISK_SLOW
                                                                                                       : 0u);
}

static bool
slots_taken(const struct worker *worker)
{
    uint32_t attached = 0;

    assert(worker->readers_used <= worker->readers_end && worker->readers_end <= READERS_MAX);
    assert(worker->attachments_end <= ATTACHMENTS_MAX);
    if (worker->readers_used >= READERS_MAX - READERS_KEPT)
        return true;
    if (worker->attachments_end < ATTACHMENTS_MAX - ATTACHMENTS_KEPT)
        return false;
    for (uint32_t i = 0; i < worker->attachments_end; i++)
        attached += worker->attachments[i] != NULL;
    return attached >= ATTACHMENTS_MAX - ATTACHMENTS_KEPT;
}

static void
tell_disk(struct worker *worker, uint32_t before, uint64_t now_ns)
{
    const struct pulse *pulse = &worker->health.pulse;
    uint32_t now = worker->health.ailments, slow = AIL_DISK_SLOW | AIL_DISK_HANGS;
    uint64_t for_ns = under_way_ns(worker, now_ns);

    if (now & ~before & AIL_DISK_HANGS)
        node_event(worker, EVENT_DISK_HANGS, NULL, worker->self, 0, 0,
                   "a write of the journal has been under way for %" PRIu64 " ms; usually one takes %" PRIu64 " us",
                   for_ns / 1000000, pulse->usual_ns / 1000);
    else if (now & ~before & AIL_DISK_SLOW)
        node_event(worker, EVENT_DISK_SLOW, NULL, worker->self, 0, 0,
                   "a write of the journal takes %" PRIu64 " ms; usually one takes %" PRIu64 " us",
                   (for_ns > pulse->took_ns ? for_ns : pulse->took_ns) / 1000000, pulse->usual_ns / 1000);
    if ((before & slow) && !(now & slow) && !(now & AIL_DISK_FAILED))
        node_event(worker, EVENT_DISK_STEADY, NULL, worker->self, 0, 0,
                   "writes of the journal take as long as usual again, %" PRIu64 " us", pulse->usual_ns / 1000);
}

static void
look_at_itself(struct worker *worker, uint64_t now_ns)
{
    struct node_health *health = &worker->health;
    uint32_t before = health->ailments;

    health->ailments = disk_ailments(worker, now_ns) | (segments_free(worker) == 0 ? AIL_NO_MEMORY : 0u) |
                       (slots_taken(worker) ? AIL_NO_SLOTS : 0u);
    for (uint32_t bit = 0; bit < AILMENT_BITS; bit++) {
        if (health->ailments & ~before & 1u << bit)
            health->since_ns[bit] = now_ns;
    }
    assert((health->ailments & ~AILMENTS) == 0);
    tell_disk(worker, before, now_ns);
}

/* What others said of themselves last. */
static void
look_at_others(struct worker *worker, uint64_t now_ns)
{
    struct node_health *health = &worker->health;

    health->unwritable = health->waited_for = health->tight = 0;
    health->slower = false;
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        uint32_t ailments = peer == worker->self ? health->ailments
                                                 : worker->sights.now[peer].health.ailments & AILMENTS;

        if (ailments & (AIL_DISK_FULL | AIL_DISK_FAILED))
            health->unwritable |= (cairn_node_set)1 << peer;
        if (ailments & (AIL_DISK_FULL | AIL_DISK_FAILED | AIL_DISK_WAITS))
            health->waited_for |= (cairn_node_set)1 << peer;
        if (ailments & (AIL_DISK_FULL | AIL_DISK_FAILED | AIL_DISK_WAITS | AIL_DISK_TIGHT))
            health->tight |= (cairn_node_set)1 << peer;
        if (ailments & ~AIL_DISK_WAITS)
            health->ailing_ns[peer] = now_ns;
        health->slower |= health_is_slower(write_us(worker), worker->sights.now[peer].health.write_us);
    }
    /* Who can take nothing is waited for, and who is waited for has no other file. */
    assert((health->unwritable & ~health->waited_for) == 0);
    assert((health->waited_for & ~health->tight) == 0);
}

/* This node's own ailments, without those that may pass and are not old enough. */
static uint32_t
lasting_ailments(const struct worker *worker, uint64_t now_ns)
{
    uint32_t lasting = worker->health.ailments;

    for (uint32_t bit = 0; bit < AILMENT_BITS; bit++) {
        if ((PASSING >> bit & 1) && now_ns - worker->health.since_ns[bit] < PASSING_NS)
            lasting &= ~(1u << bit);
    }
    assert((lasting & ~worker->health.ailments) == 0);
    return lasting;
}

cairn_node_set
health_better_off(const struct worker *worker, const struct node_log *log, uint64_t now_ns)
{
    cairn_node_set voters = core_members(log->core)->voters & worker->reach, better = 0;
    bool durable = log->durable != NULL;
    uint32_t rank = health_rank(lasting_ailments(worker, now_ns), durable);

    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        const struct wire_health *told = &worker->sights.now[peer].health;
        uint32_t theirs = health_rank(told->ailments & AILMENTS, durable);
        bool slower = durable && health_is_slower(write_us(worker), told->write_us);

        if (peer == worker->self || !(voters >> peer & 1) || theirs >= (slower && rank == 0 ? 1 : rank))
            continue;
        if (worker->health.ailing_ns[peer] == 0 || now_ns - worker->health.ailing_ns[peer] >= CALM_NS)
            better |= (cairn_node_set)1 << peer;
    }
    assert((better & ~worker->reach) == 0 && !(better >> worker->self & 1));
    return better;
}

/* Must an append be kept out, since too many voters are among those without room for it? */
static bool
too_many(const struct node_log *log, cairn_node_set without_room, enum cairn_ack ack)
{
    cairn_node_set voters = core_members(log->core)->voters, full = voters & without_room;
    uint32_t able = (uint32_t)__builtin_popcount(voters & ~full);

    if (log->durable == NULL || log->id == CATALOG_LOG || full == 0 || ack == CAIRN_ACK_LOCAL)
        return false;
    return ack == CAIRN_ACK_ALL || able <= (uint32_t)__builtin_popcount(voters) / 2;
}

bool
health_forbids(const struct worker *worker, const struct node_log *log, enum cairn_ack ack)
{
    return too_many(log, worker->health.unwritable, ack);
}

bool
health_delays(const struct worker *worker, const struct node_log *log, enum cairn_ack ack)
{
    assert_costly((worker->health.unwritable & ~worker->health.waited_for) == 0);
    return too_many(log, worker->health.waited_for, ack) ||
           (log->uncommitted_bytes > ON_THE_WAY_MAX && too_many(log, worker->health.tight, ack));
}

static void
step_aside(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    cairn_node_set better;
    uint32_t ailments = worker->health.ailments;

    if (core_role(log->core) != ROLE_LEADER || core_transferring(log->core) ||
        (log->aside_ns != 0 && now_ns - log->aside_ns < ASIDE_EVERY_NS))
        return;
    better = health_better_off(worker, log, now_ns);
    if (better == 0 || core_hand_away(log->core, better, now_ns) != CAIRN_OK)
        return;
    assert(core_transferring(log->core) && (better >> core_transfer_target(log->core) & 1));
    log->aside_ns = now_ns;
    node_activate(worker, log);
    node_event(worker, EVENT_STEPS_ASIDE, log, core_transfer_target(log->core), 0, 0, "%s lets %s lead: %s",
               worker->name, worker->config->cluster->names[core_transfer_target(log->core)],
               ailments != 0 ? health_text(ailments) : "its disk is much slower");
}

void
health_tick(struct worker *worker, uint64_t now_ns)
{
    look_at_itself(worker, now_ns);
    look_at_others(worker, now_ns);
    if ((worker->health.ailments & ~AIL_DISK_WAITS) == 0 && !worker->health.slower)
        return;
    for (uint32_t i = 0; i < worker->logs_count; i++)
        step_aside(worker, worker->logs[i], now_ns);
}

void
health_heard(struct worker *worker, uint64_t now_ns)
{
    look_at_others(worker, now_ns);
}

void
health_wrote(struct worker *worker, const struct journal_write *write, uint64_t now_ns)
{
    if (write != NULL)
        pulse_note(&worker->health.pulse, detector_awake_since_ns(&worker->detector, write->submitted_ns, now_ns),
                   now_ns);
}

struct wire_health
health_told(const struct worker *worker)
{
    return (struct wire_health){.ailments = worker->health.ailments,
                                .write_us = write_us(worker),
                                .stall_us = in_us(detector_stall_ns(&worker->detector))};
}

void
health_why(const struct worker *worker, const struct detector_patience *patience, char *text, size_t text_bytes)
{
    const char *peer = worker->config->cluster->names[patience->peer];
    double cause_ms = (double)patience->cause_ns / 1e6;

    switch (patience->reason) {
    case DETECTOR_AGREED:
        snprintf(text, text_bytes, "%s", "");
        break;
    case DETECTOR_OWN_STALLS:
        snprintf(text, text_bytes, "%s stalls for up to %.1f ms", worker->name, cause_ms);
        break;
    case DETECTOR_PEER_STALLS:
        snprintf(text, text_bytes, "%s says that it stalls for up to %.1f ms", peer, cause_ms);
        break;
    case DETECTOR_PEER_LATE:
        snprintf(text, text_bytes, "heartbeats of %s come up to %.1f ms late", peer, cause_ms);
        break;
    }
}
