#include "node/worker/introduce.h"

#include <assert.h>
#include <stdio.h>

#include "node/events.h"
#include "node/state.h"
#include "node/worker/hellos.h"
#include "node/worker/recovered.h"
#include "node/worker/worker.h"

_Static_assert(sizeof(struct hello) != sizeof(struct lesson), "their sizes tell them apart");

/* A node that rests beats slowly; one that has no logs yet beats so often at most. */
#define OUTSIDE_BEAT_NS 1000000u
/* A peer that knows who this node is hears it again after so long, with how far this node's journal is. */
#define AGAIN_NS 100000000u
/* It takes so much of that time at least to go through all peers that know this node. */
#define SHARE_OF_AGAIN 8u
#define RIVAL_AFTER_NS 200000000u
#define FRESH_NS 1000000000u

/* Nodes on whom the others' majorities may rest. */
static cairn_node_set
well(const struct worker *worker)
{
    const struct lives *lives = &worker->node->introduction.lives;
    cairn_node_set set = lives->recovering ? 0 : (cairn_node_set)1 << worker->self;

    assert(worker->reach >> worker->self & 1);
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (peer != worker->self && (worker->reach >> peer & 1) && !lives->peers[peer].recovering)
            set |= (cairn_node_set)1 << peer;
    }
    return set;
}

static void
show(struct worker *worker)
{
    struct introduction *introduction = &worker->node->introduction;
    const struct identity *identity = &introduction->lives.identity;
    uint32_t sequence = atomic_load_explicit(&introduction->sequence, memory_order_relaxed);
    struct standing_view *shown = &introduction->shown;

    assert(sequence % 2 == 0);
    assert(!(introduction->lives.granted_by >> identity->self & 1));
    assert(introduction->lives.standing != STANDING_MEMBER || identity->life.number > 0);
    atomic_store_explicit(&introduction->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    *shown = (struct standing_view){
        .standing = introduction->lives.standing,
        .forgotten = identity->forgotten,
        .born = identity->born,
        .cluster = identity->cluster,
        .agreed = identity->agreed,
        .life = identity->life.id,
        .number = identity->life.number,
        .asked_number = introduction->lives.asked_number,
        .granted_by = introduction->lives.granted_by,
    };
    memcpy(shown->members, identity->members, sizeof(shown->members));
    for (uint8_t peer = 0; peer < identity->agreed.now.nodes; peer++) {
        shown->lives[peer] = peer == identity->self ? identity->life : identity->known[peer].life;
        shown->unseating |= introduction->complained[peer] & LIVES_UNSEATED ? (cairn_node_set)1 << peer : 0;
        shown->differing |= introduction->complained[peer] & LIVES_DIFFERS ? (cairn_node_set)1 << peer : 0;
        shown->introduced |= introduction->lives.peers[peer].introduced ? (cairn_node_set)1 << peer : 0;
        shown->waiting |= cairn_id_is_set(&introduction->lives.peers[peer].waiting) ? (cairn_node_set)1 << peer : 0;
    }
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&introduction->sequence, sequence + 2, memory_order_release);
}

void
introduction_init(struct node *node)
{
    struct introduction *introduction = &node->introduction;
    const struct identity *identity = node->config.identity;
    uint64_t timeout_ns = cluster_timing(&node->cluster).timeout_ns;

    assert(identity->self == node->self);
    lives_init(&introduction->lives, identity, node->config.standing,
               timeout_ns > RIVAL_AFTER_NS / 2 ? 2 * timeout_ns : RIVAL_AFTER_NS);
    if (node->config.asked_number > introduction->lives.asked_number)
        introduction->lives.asked_number = node->config.asked_number;
    /* What it begins with is kept, or there is nothing to keep; before it takes part it is kept again. */
    introduction->offered_version = introduction->lives.version;
    atomic_store(&introduction->kept_version, introduction->lives.version);
    introduction->kept_agreed_lsn = identity->agreed.lsn;
    show(node->workers[0]);
}

void
introduction_show(const struct node *node, struct standing_view *out)
{
    const struct introduction *introduction = &node->introduction;
    uint32_t before, after;

    do {
        before = atomic_load_explicit(&introduction->sequence, memory_order_acquire);
        *out = introduction->shown;
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&introduction->sequence, memory_order_relaxed);
    } while (before != after || before % 2 != 0);
    out->well = atomic_load_explicit(&introduction->well, memory_order_relaxed);
}

/* Hands the identity over to be kept, unless the one before is still being kept. */
static void
offer(struct introduction *introduction)
{
    struct lives *lives = &introduction->lives;
    uint64_t kept_version = atomic_load_explicit(&introduction->kept_version, memory_order_acquire);

    /* Nothing is kept but what was offered, nor offered but what there is. */
    assert(kept_version <= introduction->offered_version);
    assert(introduction->offered_version <= lives->version);
    if (kept_version > lives->kept_version)
        lives_kept(lives, kept_version);
    if (introduction->offered_version == lives->version ||
        atomic_load_explicit(&introduction->offered, memory_order_acquire))
        return;
    introduction->offer = lives->identity;
    introduction->offer_version = introduction->offered_version = lives->version;
    atomic_store_explicit(&introduction->offered, true, memory_order_release);
}

/* An event tells once of what is wrong with a peer's hellos, until they are right again. */
static void
complain(struct worker *worker, uint8_t from, unsigned verdict)
{
    static const struct {
        unsigned verdict;
        const char *text;
    } complaints[] = {
        {LIVES_FOREIGN,
         "%s is of another cluster: not believed ('cairn status' shows which; one of the two has the other's address)"},
        {LIVES_STRANGER,
         "%s is not the member that has this place: its identity was retired, or is another's; not believed"},
        {LIVES_DIFFERS,
         "%s is configured otherwise (nodes, heartbeat, timeout, clock_bound_ms, durability or memory_mib): not "
         "believed until its cluster file says the same"},
        {LIVES_UNSEATED, "%s is of a cluster that has no place for this node ('cairn cluster add' gives it one)"},
        {LIVES_TWICE, "%s runs twice: the one that came later is refused"},
    };
    unsigned *known = &worker->node->introduction.complained[from];

    for (size_t i = 0; i < sizeof(complaints) / sizeof(*complaints); i++) {
        if ((verdict & complaints[i].verdict) && !(*known & complaints[i].verdict))
            node_event(worker, EVENT_STRANGER, NULL, from, 0, 0, complaints[i].text,
                       worker->config->cluster->names[from]);
        *known |= verdict & complaints[i].verdict;
    }
    if (verdict & LIVES_INTRODUCED)
        *known = 0;
}

/* This life may not go on: it takes no part from now on. */
static void
end_life(struct worker *worker, unsigned verdict)
{
    assert(worker_is_first(worker));
    if (verdict & LIVES_LEARNED)
        node_event(worker, EVENT_AGREED, NULL, worker->self, 0, 0,
                   "the others have agreed on more than this node's cluster file says: it starts anew by that");
    else if (verdict & LIVES_REMOVED)
        node_event(worker, EVENT_STRANGER, NULL, worker->self, 0, 0, "%s was removed from the cluster", worker->name);
    else if (verdict & LIVES_FORGOT)
        node_event(worker, EVENT_FORGOTTEN, NULL, worker->self, 0, 0,
                   "others know of a life of %s that its journal does not: it starts anew as one that has forgotten",
                   worker->name);
    else
        node_event(worker, EVENT_STRANGER, NULL, worker->self, 0, 0, "%s runs already elsewhere: this one is refused",
                   worker->name);
    atomic_store_explicit(&worker->node->introduction.phase, PHASE_ENDED, memory_order_release);
}

static void
believe(struct introduction *introduction, uint8_t peer, uint64_t life)
{
    atomic_store_explicit(&introduction->believed[peer], life, memory_order_relaxed);
}

/* More may be known of others' lives now than was. */
static void
doubt_strangers(struct worker *worker)
{
    struct introduction *introduction = &worker->node->introduction;

    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (peer != worker->self && !introduction->lives.peers[peer].introduced)
            believe(introduction, peer, 0);
    }
}

/* What a hello led to goes with what is known since. */
static void
assert_verdict(const struct lives *lives, uint8_t from, unsigned verdict)
{
    assert(from != lives->identity.self || verdict == 0);
    assert(!(verdict & LIVES_INTRODUCED) || lives->peers[from].introduced);
    assert(!(verdict & LIVES_DIFFERS) || !lives->peers[from].introduced);
    assert(!(verdict & LIVES_FORGOT) || lives->standing == STANDING_LAPSED);
    assert(!(verdict & LIVES_REFUSED) || lives->standing == STANDING_REFUSED);
    assert(!(verdict & LIVES_LEARNED) || lives->standing == STANDING_LEARNED);
    assert(!(verdict & LIVES_REMOVED) || lives->standing == STANDING_REMOVED);
}

static void
take_verdict(struct worker *worker, uint8_t from, unsigned verdict, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;
    const struct lives *lives = &introduction->lives;
    const struct life *life = &lives->identity.known[from].life;

    assert_verdict(lives, from, verdict);
    /* Whatever is believed of the peer now, frames of another life of it are not. */
    believe(introduction, from,
            lives->peers[from].introduced ? codec_life(identity_tag(&lives->identity.cluster, &life->id), life->number)
                                          : 0);
    complain(worker, from, verdict);
    if (verdict & (LIVES_FORGOT | LIVES_REFUSED | LIVES_LEARNED | LIVES_REMOVED))
        end_life(worker, verdict);
    if (verdict != 0) {
        introduction->due_beat = 0;
        offer(introduction);
        show(worker);
    }
    if (verdict & LIVES_TEACH)
        hello_teach(worker, from, now_ns);
    if (verdict & LIVES_REPLY)
        hello_reply(worker, from, now_ns);
}

static void
hear_lesson(struct worker *worker, const struct decoded *decoded, uint64_t now_ns)
{
    struct lesson lesson;

    memcpy(&lesson, decoded->hello, sizeof(lesson));
    take_verdict(worker, decoded->from, lives_learn(&worker->node->introduction.lives, decoded->from, &lesson), now_ns);
}

bool
introduction_is_sized(const struct decoded *decoded)
{
    return decoded->hello_bytes == sizeof(struct hello) || decoded->hello_bytes == sizeof(struct lesson);
}

void
introduction_hear(struct worker *worker, const struct decoded *decoded, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;
    /* By its frames: how long it would be waited for is another matter. */
    bool heard = now_ns - introduction->heard_ns[decoded->from] < worker->detector.config.timeout_ns;
    struct hello hello;
    unsigned verdict;

    assert(introduction_is_sized(decoded));
    if (decoded->hello_bytes == sizeof(struct lesson)) {
        hear_lesson(worker, decoded, now_ns);
        return;
    }
    memcpy(&hello, decoded->hello, sizeof(hello));
    verdict = lives_hear(&introduction->lives, decoded->from, &hello, heard, now_ns);
    doubt_strangers(worker);
    take_verdict(worker, decoded->from, verdict, now_ns);
}

bool
introduction_compare(struct worker *worker, uint8_t from, uint64_t agreed_lsn, uint64_t fingerprint, uint64_t now_ns)
{
    unsigned verdict = lives_compare(&worker->node->introduction.lives, from, agreed_lsn, fingerprint);

    if (verdict != 0)
        take_verdict(worker, from, verdict, now_ns);
    return verdict == 0;
}

void
introduction_stranger(struct worker *worker, uint8_t from, uint64_t now_ns)
{
    if (from < worker->nodes && introduction_phase(&worker->node->introduction) != PHASE_ENDED)
        hello_reply(worker, from, now_ns);
}

void
introduction_beat(struct worker *worker, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;
    uint64_t again_beats;

    introduction->beats++;
    if (introduction->beats < introduction->due_beat)
        return;
    again_beats = AGAIN_NS / (worker->pace_ns == 0 ? OUTSIDE_BEAT_NS : worker->pace_ns) + 1;
    introduction->due_beat = introduction->beats + again_beats / SHARE_OF_AGAIN;
    offer(introduction);
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        uint64_t since = introduction->beats - introduction->told_beat[peer];

        introduction->replies[peer] = 0;
        if (peer == worker->self || !(worker->present >> peer & 1))
            continue;
        assert(introduction->told_beat[peer] <= introduction->beats);
        /* One that is unacquainted may be down for long: it will say hello itself. */
        if (lives_unacquainted(&introduction->lives, peer)) {
            introduction->due_beat = 0;
            if (introduction->lives.standing != STANDING_MEMBER || since * 16 >= again_beats)
                hello_tell(worker, peer, now_ns);
        } else if (since >= again_beats) {
            hello_tell(worker, peer, now_ns);
        } else if (introduction->due_beat > introduction->told_beat[peer] + again_beats) {
            introduction->due_beat = introduction->told_beat[peer] + again_beats;
        }
    }
    assert(introduction->due_beat <= introduction->beats + again_beats);
}

/* What an administrator asked for. */
static void
found(struct worker *worker, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;
    struct founding *founding = &introduction->founding;
    bool founded;

    if (atomic_load_explicit(&founding->state, memory_order_acquire) != FOUNDING_ASKED)
        return;
    founded = lives_found(&introduction->lives, &founding->cluster, founding->members, FRESH_NS, now_ns,
                          &founding->missing, &founding->differs);
    assert(!founded || (introduction->lives.identity.life.number > 0 && founding->missing == CAIRN_NODE_NONE));
    atomic_store_explicit(&founding->state, founded ? FOUNDING_DONE : FOUNDING_REFUSED, memory_order_release);
}

void
introduction_turn(struct worker *worker, uint64_t now_ns)
{
    enum phase phase = introduction_phase(&worker->node->introduction);

    worker->suspect_ns = UINT64_MAX;
    if (phase == PHASE_OUTSIDE && worker_is_first(worker))
        found(worker, now_ns);
    if (now_ns < worker->heartbeat_ns)
        return;
    worker->heartbeat_ns = now_ns + OUTSIDE_BEAT_NS;
    if (phase == PHASE_BEGINNING || !worker_is_first(worker))
        return;
    if (phase == PHASE_OUTSIDE) {
        introduction_beat(worker, now_ns);
    } else {
        offer(&worker->node->introduction);
    }
}

void
introduction_enter(struct worker *worker)
{
    struct introduction *introduction = &worker->node->introduction;
    struct identity *identity = &introduction->lives.identity;

    assert(identity->life.number == introduction->begun.life.number && identity->chain_count > 0);
    assert(worker_is_first(worker) && !worker->entered);
    identity->begun = true;
    identity->discard = introduction->begun.discard;
    memcpy(identity->chain, introduction->begun.chain, sizeof(identity->chain));
    ends_merge(&worker->ends, identity);
    show(worker);
}

/* What those workers' journals say from now on is all that they promised. */
static void
trust_journals(const struct worker *worker, uint32_t workers)
{
    for (uint8_t number = 0; number < worker->node->workers_count; number++) {
        if (workers >> number & 1)
            atomic_store_explicit(&worker->node->workers[number]->journal.doubtful, false, memory_order_relaxed);
    }
}

/* Workers that had forgotten, and have recovered all that their journals are to hold. A log in memory, which every life has to
 * recover, does not keep the others waiting: it may be lost for good. */
static void
end_forgetting(struct worker *worker)
{
    struct lives *lives = &worker->node->introduction.lives;
    uint32_t forgetful = lives->identity.forgetful_workers, over = 0;

    if (forgetful == 0)
        return;
    for (uint8_t number = 1; number < worker->node->workers_count; number++) {
        if ((forgetful >> number & 1) && recovered_kept_at(worker, number))
            over |= 1u << number;
    }
    if (over == 0)
        return;
    lives->identity.forgetful_workers &= ~over;
    lives->version++;
    trust_journals(worker, over);
    node_event(worker, EVENT_RECOVERED, NULL, worker->self, 0, 0, "%s has recovered all logs of worker %u",
               worker->name, (unsigned)__builtin_ctz(over));
}

void
introduction_review(struct worker *worker)
{
    struct lives *lives = &worker->node->introduction.lives;

    assert(worker_is_first(worker));
    lives->recovering = !recovered_all(worker) || lives->identity.stops_count > 0;
    end_forgetting(worker);
    atomic_store_explicit(&worker->node->introduction.well, well(worker), memory_order_relaxed);
    /* What was changed outside of hellos is kept, too. */
    offer(&worker->node->introduction);
    if (!lives->identity.forgotten || !recovered_kept(worker))
        return;
    lives->identity.forgotten = false;
    lives->version++;
    trust_journals(worker, WORKERS_ALL);
    node_event(worker, EVENT_RECOVERED, NULL, worker->self, 0, 0, "%s has recovered all of its logs", worker->name);
    show(worker);
}

void
introduction_agree(struct worker *worker, const struct agreed *agreed, const struct cairn_id *members)
{
    struct introduction *introduction = &worker->node->introduction;

    assert(agreed->lsn == worker->agreed.lsn);
    lives_agree(&introduction->lives, agreed, members);
    assert(introduction->lives.fingerprint == worker->fingerprint);
    doubt_strangers(worker);
    offer(introduction);
    show(worker);
    if (introduction->lives.standing == STANDING_REMOVED)
        end_life(worker, LIVES_REMOVED);
}

void
introduction_take_note(struct worker *worker, const struct note *note)
{
    struct lives *lives = &worker->node->introduction.lives;
    bool changed = false;

    assert(worker_is_first(worker));
    switch ((enum note_kind)note->kind) {
    case NOTE_STOPPED:
        changed = identity_stop(&lives->identity, note->log, note->stop, note->term);
        break;
    case NOTE_DECIDED:
        changed = identity_end_stops(&lives->identity, note->log, note->term);
        break;
    }
    if (!changed)
        return;
    lives->version++;
    offer(&worker->node->introduction);
}

/* Workers other than the first say it by way of the control thread. A note that finds no place is said again by the next
 * life, which meets the same contradiction. */
static void
note(struct worker *worker, struct note *note)
{
    if (worker_is_first(worker))
        introduction_take_note(worker, note);
    else
        rte_ring_sp_enqueue_elem(worker->notes, note, sizeof(*note));
}

void
introduction_note_stop(struct worker *worker, uint32_t log, enum core_stop stop, uint64_t last_term)
{
    assert(stop == STOP_REPLICA || stop == STOP_LOG);
    note(worker, &(struct note){.kind = NOTE_STOPPED, .log = log, .stop = (uint16_t)stop, .term = last_term});
}

void
introduction_end_stops(struct worker *worker, uint32_t log, uint64_t decided_term)
{
    assert(decided_term > 0);
    note(worker, &(struct note){.kind = NOTE_DECIDED, .log = log, .term = decided_term});
}

void
introduction_give_up(struct worker *worker, cairn_node_set given_up, const struct cairn_id *drawn, bool alone)
{
    struct introduction *introduction = &worker->node->introduction;

    lives_give_up(&introduction->lives, given_up, drawn, alone);
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (!(given_up >> peer & 1))
            continue;
        assert(peer != worker->self && !introduction->lives.peers[peer].introduced);
        believe(introduction, peer, 0);
    }
    offer(introduction);
    show(worker);
}
