#include "detector.h"

#include <assert.h>
#include <string.h>

#define LEARN_EVERY 64u
#define LEARN_FROM 256u
#define WITHIN_THOUSANDTHS 999u

static cairn_node_set
bit(uint8_t node)
{
    return (cairn_node_set)1 << node;
}

void
detector_init(struct detector *detector, const struct detector_config *config, uint64_t now_ns)
{
    assert(config->nodes <= CAIRN_NODES_MAX && config->self < config->nodes);
    assert(config->timeout_ns > config->interval_ns);
    assert(config->ceiling_ns == 0 ||
           (config->floor_ns > config->interval_ns && config->floor_ns <= config->ceiling_ns));
    memset(detector, 0, sizeof(*detector));
    detector->config = *config;
    detector->ticked_ns = now_ns;
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
    return DETECTOR_RESTARTED;
}

uint64_t
detector_rest_pace_ns(const struct detector *detector)
{
    const struct detector_config *config = &detector->config;
    uint64_t pace_ns = (config->ceiling_ns != 0 ? config->floor_ns : config->timeout_ns) / 3;

    return pace_ns > config->interval_ns ? pace_ns : config->interval_ns;
}

/* Bounded below, since the pace is a peer's word. */
static uint64_t
peer_timeout_ns(const struct detector_config *config, const struct detector_peer *known)
{
    uint64_t timeout_ns = known->learned_ns != 0 ? known->learned_ns : config->timeout_ns;
    uint64_t least_ns = timeout_ns / 2;

    if (known->pace_ns <= config->interval_ns)
        return timeout_ns;
    if (known->pace_ns - config->interval_ns > timeout_ns - least_ns)
        return least_ns;
    return timeout_ns - (known->pace_ns - config->interval_ns);
}

/* A heartbeat has come, at now_ns. One that comes after a cut counts as a timeout late: how long a cut lasts says nothing
 * of lateness. */
static void
learn(const struct detector_config *config, struct detector_peer *known, uint64_t now_ns)
{
    uint64_t due_ns = known->heard_ns + known->pace_ns, late_ns = now_ns > due_ns ? now_ns - due_ns : 0;
    uint64_t most_ns = config->ceiling_ns != 0 ? config->ceiling_ns : config->timeout_ns, timeout_ns;

    if (known->heard_ns == 0)
        return;
    lateness_note(&known->lateness, late_ns < most_ns ? late_ns : most_ns);
    known->slow = known->lateness.mean_ns > config->timeout_ns / (known->slow ? 16 : 4);
    if (config->ceiling_ns == 0 || known->lateness.count < LEARN_FROM || known->lateness.count % LEARN_EVERY != 0)
        return;
    timeout_ns = 2 * lateness_quantile_ns(&known->lateness, WITHIN_THOUSANDTHS) + 2 * config->interval_ns;
    known->learned_ns = timeout_ns < config->floor_ns     ? config->floor_ns
                        : timeout_ns > config->ceiling_ns ? config->ceiling_ns
                                                          : timeout_ns;
}

unsigned
detector_observe(struct detector *detector, uint8_t peer, uint32_t incarnation, cairn_node_set hears, uint64_t pace_ns,
                 uint64_t now_ns)
{
    struct detector_peer *known = &detector->peers[peer];
    unsigned verdict = (unsigned)detector_incarnation(detector, peer, incarnation);

    if (verdict & DETECTOR_STALE)
        return verdict;
    known->hears = hears;
    learn(&detector->config, known, now_ns);
    known->pace_ns = pace_ns;
    known->timeout_ns = peer_timeout_ns(&detector->config, known);
    known->heard_ns = now_ns;
    if (known->alive)
        return verdict;
    if (known->beats == 0)
        known->back_ns = now_ns;
    if (known->beats < detector->config.rejoin_beats)
        known->beats++;
    if (known->beats < detector->config.rejoin_beats || now_ns - known->back_ns < known->hold_ns)
        return verdict;
    known->alive = true;
    known->alive_ns = now_ns;
    return verdict | DETECTOR_HEARD;
}

/* A peer that counted is suspected: how long is it held back? */
static void
hold_back(const struct detector_config *config, struct detector_peer *known, uint64_t now_ns)
{
    uint32_t doublings = 0;

    if (now_ns - known->alive_ns >= 2 * config->hold_max_ns)
        known->flaps = 0;
    known->hold_ns = 0;
    for (; doublings < known->flaps && known->hold_ns < config->hold_max_ns; doublings++)
        known->hold_ns = doublings == 0 ? 2 * config->timeout_ns : 2 * known->hold_ns;
    if (known->hold_ns > config->hold_max_ns)
        known->hold_ns = config->hold_max_ns;
    if (known->flaps < UINT8_MAX)
        known->flaps++;
}

/* After a pause every peer gets time for its next heartbeats. */
static void
forgive_own_pause(struct detector *detector, uint64_t now_ns)
{
    uint64_t grace_ns = now_ns - detector->config.timeout_ns / 2;

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        struct detector_peer *known = &detector->peers[peer];

        if (known->alive && known->heard_ns < grace_ns)
            known->heard_ns = grace_ns;
    }
}

cairn_node_set
detector_tick(struct detector *detector, uint64_t now_ns, bool drained)
{
    cairn_node_set suspected = 0;

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
    return slow;
}

uint64_t
detector_deadline_ns(const struct detector *detector)
{
    uint64_t deadline_ns = UINT64_MAX;

    for (uint8_t peer = 0; peer < detector->config.nodes; peer++) {
        const struct detector_peer *known = &detector->peers[peer];

        if (known->alive && known->heard_ns + known->timeout_ns < deadline_ns)
            deadline_ns = known->heard_ns + known->timeout_ns;
    }
    return deadline_ns;
}
