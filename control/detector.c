#include "detector.h"

#include <assert.h>
#include <string.h>

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
    uint64_t pace_ns = detector->config.timeout_ns / 3;

    return pace_ns > detector->config.interval_ns ? pace_ns : detector->config.interval_ns;
}

/* Bounded below, since the pace is a peer's word. */
static uint64_t
peer_timeout_ns(const struct detector_config *config, uint64_t pace_ns)
{
    uint64_t least_ns = config->timeout_ns / 2;

    if (pace_ns <= config->interval_ns)
        return config->timeout_ns;
    if (pace_ns - config->interval_ns > config->timeout_ns - least_ns)
        return least_ns;
    return config->timeout_ns - (pace_ns - config->interval_ns);
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
    known->timeout_ns = peer_timeout_ns(&detector->config, pace_ns);
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
