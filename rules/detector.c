#include "rules/detector.h"

#include <string.h>

#include "assert_costly.h"

#define LEARN_EVERY 64u
#define LEARN_FROM 256u
#define WITHIN_THOUSANDTHS 999u

static cairn_node_set
bit(uint8_t node)
{
    assert(node < CAIRN_NODES_MAX);
    return (cairn_node_set)1 << node;
}

uint64_t
detector_rest_pace_ns(const struct detector *detector)
{
    const struct detector_config *config = &detector->config;
    uint64_t pace_ns = config->timeout_ns / 3;

    assert(pace_ns < config->timeout_ns && config->interval_ns < config->timeout_ns);
    return pace_ns > config->interval_ns ? pace_ns : config->interval_ns;
}

/* The agreed timeout is long enough for shorter stalls. */
static uint64_t
least_stall_ns(const struct detector_config *config)
{
    return config->timeout_ns / 2;
}

/* What holds of a peer between any two calls; true, for assert_costly(). */
static bool
peer_is_sound(const struct detector *detector, uint8_t peer)
{
    const struct detector_config *config = &detector->config;
    const struct detector_peer *known = &detector->peers[peer];

    assert(peer != config->self);
    assert(known->timeout_ns <= known->wait_ns && known->timeout_ns >= known->wait_ns / 2);
    assert(known->wait_ns == 0 || known->wait_ns >= config->timeout_ns);
    assert(known->wait_ns <= config->ceiling_ns && known->wait_ns <= detector->patience.wait_ns);
    assert(known->beats <= config->rejoin_beats);
    assert(!known->alive || known->beats == config->rejoin_beats);
    assert(!known->alive || (known->wait_ns != 0 && known->read_ns != 0));
    assert(!known->alive || known->alive_ns - known->back_ns >= known->hold_ns);
    assert(known->alive || !known->slow || known->read_ns != 0);
    assert(known->hold_ns == 0 || known->flaps > 1);
    assert(known->late_ns == 0 || known->lateness.count != 0);
    return true;
}

static bool
is_sound(const struct detector *detector)
{
    const struct detector_patience *patience = &detector->patience;

    assert(!detector->peers[detector->config.self].alive);
    assert(patience->wait_ns >= detector->config.timeout_ns && patience->wait_ns <= detector->config.ceiling_ns);
    assert((patience->reason == DETECTOR_AGREED) == (patience->peer == detector->config.self));
    assert((patience->reason == DETECTOR_AGREED) == (patience->wait_ns == detector->config.timeout_ns));
    assert((patience->reason == DETECTOR_AGREED) == (patience->cause_ns == 0));
    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        if (peer != detector->config.self)
            peer_is_sound(detector, peer);
    }
    return true;
}

static uint64_t
twice_and_two_beats_ns(const struct detector_config *config, uint64_t cause_ns)
{
    return cause_ns == 0 ? 0 : 2 * cause_ns + 2 * config->interval_ns;
}

/* How long the peer is waited for, and why. A peer's word is bounded as all else is. */
static struct detector_patience
peer_patience(const struct detector *detector, uint8_t peer)
{
    const struct detector_config *config = &detector->config;
    const struct detector_peer *known = &detector->peers[peer];
    const uint64_t causes_ns[] = {0, detector->stalls.longest_ns, known->stall_ns, known->late_ns};
    struct detector_patience patience = {.wait_ns = config->timeout_ns, .peer = peer};

    for (enum detector_reason reason = DETECTOR_OWN_STALLS; reason <= DETECTOR_PEER_LATE; reason++) {
        uint64_t cause_ns = causes_ns[reason] < config->ceiling_ns ? causes_ns[reason] : config->ceiling_ns;
        uint64_t wait_ns = twice_and_two_beats_ns(config, cause_ns);

        assert(cause_ns <= config->ceiling_ns && wait_ns >= cause_ns);
        if (wait_ns > config->ceiling_ns)
            wait_ns = config->ceiling_ns;
        if (wait_ns > patience.wait_ns)
            patience = (struct detector_patience){
                .wait_ns = wait_ns, .cause_ns = causes_ns[reason], .reason = reason, .peer = peer};
    }
    assert(patience.wait_ns >= config->timeout_ns && patience.wait_ns <= config->ceiling_ns);
    assert((patience.reason == DETECTOR_AGREED) == (patience.wait_ns == config->timeout_ns));
    return patience;
}

/* Bounded below, since the pace is a peer's word. */
static uint64_t
less_pace_ns(const struct detector_config *config, uint64_t wait_ns, uint64_t pace_ns)
{
    uint64_t least_ns = wait_ns / 2;

    assert(wait_ns >= config->timeout_ns);
    if (pace_ns <= config->interval_ns)
        return wait_ns;
    if (pace_ns - config->interval_ns > wait_ns - least_ns)
        return least_ns;
    return wait_ns - (pace_ns - config->interval_ns);
}

static void
find_longest(struct detector *detector)
{
    detector->patience = (struct detector_patience){.wait_ns = detector->config.timeout_ns,
                                                    .peer = detector->config.self};
    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        struct detector_patience patience = peer_patience(detector, peer);

        if (peer != detector->config.self && patience.wait_ns > detector->patience.wait_ns)
            detector->patience = patience;
    }
    assert(detector->patience.wait_ns >= detector->config.timeout_ns);
    assert((detector->patience.reason == DETECTOR_AGREED) == (detector->patience.peer == detector->config.self));
}

static void
review(struct detector *detector, uint8_t peer)
{
    struct detector_peer *known = &detector->peers[peer];

    known->wait_ns = peer_patience(detector, peer).wait_ns;
    known->timeout_ns = less_pace_ns(&detector->config, known->wait_ns, known->pace_ns);
    find_longest(detector);
    assert(known->timeout_ns <= known->wait_ns && known->timeout_ns >= detector->config.timeout_ns / 2);
    assert(known->wait_ns <= detector->patience.wait_ns || peer == detector->config.self);
}

void
detector_init(struct detector *detector, const struct detector_config *config, uint64_t now_ns)
{
    assert(config->nodes <= CAIRN_NODES_MAX && config->self < config->nodes);
    assert(config->timeout_ns > config->interval_ns && config->ceiling_ns >= config->timeout_ns);
    memset(detector, 0, sizeof(*detector));
    detector->config = *config;
    detector->ticked_ns = now_ns;
    find_longest(detector);
    assert(detector_reach(detector) == bit(config->self));
    assert_costly(is_sound(detector));
}

void
detector_reconfigure(struct detector *detector, const struct detector_config *config, cairn_node_set gone)
{
    assert(config->self == detector->config.self && !(gone & bit(config->self)));
    assert(config->nodes <= CAIRN_NODES_MAX && config->nodes >= detector->config.nodes);
    assert(config->timeout_ns > config->interval_ns && config->ceiling_ns >= config->timeout_ns);
    assert(config->rejoin_beats == detector->config.rejoin_beats);
    assert_costly(is_sound(detector));
    detector->config = *config;
    for (uint8_t peer = 0; peer < config->nodes; peer++) {
        if (gone & bit(peer))
            detector->peers[peer] = (struct detector_peer){.incarnation = detector->peers[peer].incarnation};
        if (peer != config->self)
            review(detector, peer);
    }
    /* A node that is alone has reviewed nobody. */
    find_longest(detector);
    assert((detector_hears(detector) & gone) == 0);
    assert_costly(is_sound(detector));
}

enum detector_verdict
detector_incarnation(struct detector *detector, uint8_t peer, uint32_t incarnation)
{
    struct detector_peer *known = &detector->peers[peer];

    assert(peer < detector->config.nodes && peer != detector->config.self);
    if (incarnation == known->incarnation)
        return DETECTOR_SAME;
    if (incarnation < known->incarnation) {
        detector->stale++;
        return DETECTOR_STALE;
    }
    /* The first life seen is no restart. */
    if (known->incarnation == 0) {
        known->incarnation = incarnation;
        return DETECTOR_SAME;
    }
    *known = (struct detector_peer){.incarnation = incarnation};
    find_longest(detector);
    assert_costly(is_sound(detector));
    assert(!(detector_hears(detector) & bit(peer)));
    return DETECTOR_RESTARTED;
}

/* By how much this node itself is late at the moment. */
static uint64_t
own_delay_ns(const struct detector *detector, uint64_t now_ns)
{
    return detector->due_ns != 0 && now_ns > detector->due_ns ? now_ns - detector->due_ns : 0;
}

/* For how long what is read now may have waited for this node. */
static uint64_t
waited_ns(const struct detector *detector, uint64_t now_ns)
{
    uint64_t delay_ns = own_delay_ns(detector, now_ns);

    return delay_ns > detector->unread_ns ? delay_ns : detector->unread_ns;
}

/* A heartbeat has come, at now_ns. The time by which this node itself was late is not the peer's doing; neither is
 * the length of a cut that the heartbeat ends. */
static void
learn(const struct detector *detector, struct detector_peer *known, uint64_t now_ns)
{
    const struct detector_config *config = &detector->config;
    uint64_t due_ns = known->read_ns + known->pace_ns + waited_ns(detector, now_ns);

    if (known->read_ns == 0 || !known->alive)
        return;
    assert(known->wait_ns != 0 && known->beats == config->rejoin_beats);
    lateness_note(&known->lateness, now_ns > due_ns ? now_ns - due_ns : 0);
    known->slow = known->lateness.mean_ns > config->timeout_ns / (known->slow ? 16 : 4);
    if (known->lateness.count >= LEARN_FROM && known->lateness.count % LEARN_EVERY == 0)
        known->late_ns = lateness_quantile_ns(&known->lateness, WITHIN_THOUSANDTHS);
    assert(known->lateness.count > 0);
}

unsigned
detector_observe(struct detector *detector, uint8_t peer, const struct detector_beat *beat, uint64_t now_ns)
{
    struct detector_peer *known = &detector->peers[peer];
    unsigned verdict = (unsigned)detector_incarnation(detector, peer, beat->incarnation);
    uint64_t late_ns;
    bool changed;

    if (verdict & DETECTOR_STALE)
        return verdict;
    assert(known->incarnation == beat->incarnation && peer != detector->config.self);
    known->hears = beat->hears;
    late_ns = known->late_ns;
    learn(detector, known, now_ns);
    changed = late_ns != known->late_ns || known->pace_ns != beat->pace_ns || known->stall_ns != beat->stall_ns ||
              known->wait_ns == 0;
    known->pace_ns = beat->pace_ns;
    known->stall_ns = beat->stall_ns;
    known->read_ns = now_ns;
    /* The heartbeat may have waited here for as long as this node was late. */
    known->heard_ns = now_ns - waited_ns(detector, now_ns);
    if (changed)
        review(detector, peer);
    assert_costly(is_sound(detector));
    if (known->alive)
        return verdict;
    assert(!(verdict & DETECTOR_RESTARTED) || (known->beats == 0 && known->hold_ns == 0));
    if (known->beats == 0)
        known->back_ns = now_ns;
    if (known->beats < detector->config.rejoin_beats)
        known->beats++;
    if (known->beats < detector->config.rejoin_beats || now_ns - known->back_ns < known->hold_ns)
        return verdict;
    known->alive = true;
    known->alive_ns = now_ns;
    assert(known->beats == detector->config.rejoin_beats && known->wait_ns != 0);
    assert_costly(peer_is_sound(detector, peer));
    return verdict | DETECTOR_HEARD;
}

/* A peer that counted is suspected: how long is it held back? */
static void
hold_back(const struct detector_config *config, struct detector_peer *known, uint64_t now_ns)
{
    uint32_t doublings = 0;

    assert(!known->alive && known->beats == 0);
    if (now_ns - known->alive_ns >= 2 * config->hold_max_ns)
        known->flaps = 0;
    known->hold_ns = 0;
    for (; doublings < known->flaps && known->hold_ns < config->hold_max_ns; doublings++)
        known->hold_ns = doublings == 0 ? 2 * config->timeout_ns : 2 * known->hold_ns;
    if (known->hold_ns > config->hold_max_ns)
        known->hold_ns = config->hold_max_ns;
    assert(known->hold_ns <= config->hold_max_ns && (known->flaps != 0 || known->hold_ns == 0));
    if (known->flaps < UINT8_MAX)
        known->flaps++;
}

/* After a pause every peer gets time for its next heartbeats: half an agreed timeout from now on. */
static void
forgive_own_pause(struct detector *detector, uint64_t now_ns)
{
    uint64_t grace_ns = detector->config.timeout_ns / 2;

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        struct detector_peer *known = &detector->peers[peer];

        if (known->alive && known->heard_ns + known->timeout_ns < now_ns + grace_ns)
            known->heard_ns = now_ns + grace_ns - known->timeout_ns;
        /* The grace is for one timeout: nobody is heard in the future by it. */
        assert(!known->alive || known->timeout_ns >= grace_ns);
    }
}

/* How late is this tick? Peers are told of it, and judged by it, from now on. */
static void
note_own_stall(struct detector *detector, uint64_t now_ns, bool drained)
{
    const struct detector_config *config = &detector->config;
    uint64_t stall_ns = own_delay_ns(detector, now_ns), known_ns = detector->stalls.longest_ns;

    detector->unread_ns = drained ? 0 : waited_ns(detector, now_ns);
    /* What no patience covers was an outage: waiting longer for the next of its kind would save nothing. */
    if (stall_ns >= least_stall_ns(config) && stall_ns < config->ceiling_ns)
        stalls_note(&detector->stalls, stall_ns, now_ns);
    detector->stalled_ns += stall_ns;
    stalls_longest_ns(&detector->stalls, least_stall_ns(config), now_ns);
    detector->due_ns = 0;
    for (uint8_t peer = 0; peer < config->nodes && detector->stalls.longest_ns != known_ns; peer++)
        review(detector, peer);
}

void
detector_expect(struct detector *detector, uint64_t due_ns)
{
    detector->due_ns = due_ns;
}

uint64_t
detector_awake_ns(const struct detector *detector, uint64_t now_ns)
{
    uint64_t stalled_ns = detector->stalled_ns + own_delay_ns(detector, now_ns);

    return now_ns > stalled_ns ? now_ns - stalled_ns : 0;
}

uint64_t
detector_awake_since_ns(const struct detector *detector, uint64_t awake_ns, uint64_t now_ns)
{
    uint64_t awake_now_ns = detector_awake_ns(detector, now_ns);

    return awake_now_ns > awake_ns ? awake_now_ns - awake_ns : 0;
}

uint64_t
detector_stall_ns(const struct detector *detector)
{
    return detector->stalls.longest_ns;
}

void
detector_patience(const struct detector *detector, struct detector_patience *out)
{
    assert_costly(is_sound(detector));
    *out = detector->patience;
}

cairn_node_set
detector_tick(struct detector *detector, uint64_t now_ns, bool drained)
{
    cairn_node_set suspected = 0, heard = detector_hears(detector);

    assert_costly(is_sound(detector));
    note_own_stall(detector, now_ns, drained);
    if (now_ns - detector->ticked_ns > detector->config.timeout_ns / 2)
        forgive_own_pause(detector, now_ns);
    detector->ticked_ns = now_ns;
    if (!drained)
        return 0;
    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        struct detector_peer *known = &detector->peers[peer];

        if (peer == detector->config.self || now_ns - known->heard_ns < known->timeout_ns)
            continue;
        known->beats = 0;
        known->hears = 0;
        if (!known->alive)
            continue;
        known->alive = false;
        hold_back(&detector->config, known, now_ns);
        suspected |= bit(peer);
    }
    assert((suspected & bit(detector->config.self)) == 0);
    assert_costly(detector_hears(detector) == (heard & ~suspected));
    assert_costly(is_sound(detector));
    return suspected;
}

cairn_node_set
detector_hears(const struct detector *detector)
{
    cairn_node_set hears = bit(detector->config.self);

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        if (detector->peers[peer].alive)
            hears |= bit(peer);
    }
    assert_costly(!detector->peers[detector->config.self].alive);
    return hears;
}

cairn_node_set
detector_reach(const struct detector *detector)
{
    cairn_node_set reach = bit(detector->config.self);

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        const struct detector_peer *known = &detector->peers[peer];

        if (known->alive && (known->hears & bit(detector->config.self)))
            reach |= bit(peer);
    }
    assert_costly((reach & ~detector_hears(detector)) == 0);
    return reach;
}

cairn_node_set
detector_slow(const struct detector *detector)
{
    cairn_node_set slow = 0;

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        if (detector->peers[peer].alive && detector->peers[peer].slow)
            slow |= bit(peer);
    }
    assert_costly((slow & ~detector_hears(detector)) == 0 && !(slow & bit(detector->config.self)));
    return slow;
}

uint64_t
detector_deadline_ns(const struct detector *detector)
{
    uint64_t deadline_ns = UINT64_MAX;

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        const struct detector_peer *known = &detector->peers[peer];

        assert_costly(!known->alive || (known->timeout_ns != 0 && peer != detector->config.self));
        if (known->alive && known->heard_ns + known->timeout_ns < deadline_ns)
            deadline_ns = known->heard_ns + known->timeout_ns;
    }
    return deadline_ns;
}
