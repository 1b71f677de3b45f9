#include "rules/agreed.h"

#include <assert.h>
#include <string.h>

cairn_node_set
agreed_present(const struct agreed *agreed)
{
    assert(agreed->now.nodes <= CAIRN_NODES_MAX);
    return (((cairn_node_set)1 << agreed->now.nodes) - 1) & ~agreed->removed;
}

uint8_t
agreed_seat(const struct agreed *agreed, const char *name)
{
    for (uint8_t seat = 0; seat < agreed->now.nodes; seat++) {
        if (strcmp(agreed->names[seat], name) == 0)
            return seat;
    }
    return CAIRN_NODE_NONE;
}

void
agreed_as_founded(const struct agreed *agreed, struct agreed *out)
{
    assert(agreed->founded.nodes <= agreed->now.nodes);
    *out = *agreed;
    out->lsn = 0;
    out->removed = 0;
    out->now = agreed->founded;
    for (uint32_t seat = out->now.nodes; seat < CAIRN_NODES_MAX; seat++)
        memset(out->names[seat], 0, sizeof(out->names[seat]));
}

bool
agreed_timing_makes_sense(uint64_t heartbeat_ns, uint64_t timeout_ns)
{
    return heartbeat_ns >= HEARTBEAT_MIN_NS && timeout_ns <= TIMEOUT_MAX_NS &&
           timeout_ns >= HEARTBEATS_IN_TIMEOUT * heartbeat_ns;
}

static enum agreed_refusal
apply_figures(struct agreed_figures *figures, const struct agreed_change *change, uint32_t logs,
              const struct agreed *agreed)
{
    if (change->heartbeat_ns != 0)
        figures->heartbeat_ns = change->heartbeat_ns;
    if (change->timeout_ns != 0)
        figures->timeout_ns = change->timeout_ns;
    if (change->clock_bound_ns != 0)
        figures->clock_bound_ns = change->clock_bound_ns;
    if (change->memory_mib != 0)
        figures->memory_mib = change->memory_mib;
    if (!agreed_timing_makes_sense(figures->heartbeat_ns, figures->timeout_ns))
        return AGREED_NO_TIMING;
    if (figures->clock_bound_ns < CLOCK_BOUND_MIN_NS || figures->clock_bound_ns > CLOCK_BOUND_MAX_NS)
        return AGREED_NO_BOUND;
    if (change->memory_mib != 0 && (change->memory_mib < MEMORY_MIB_MIN || change->memory_mib > MEMORY_MIB_MAX ||
                                    change->memory_mib < agreed_memory_mib(logs, agreed->workers, agreed->durability)))
        return AGREED_NO_MEMORY;
    return AGREED_TAKEN;
}

/* A node that was of the cluster before comes back to its seat, as another member. */
static enum agreed_refusal
add(struct agreed *agreed, const struct agreed_change *change, uint8_t *seat)
{
    uint8_t found = agreed_seat(agreed, change->add);

    if (!cairn_name_is_valid(change->add))
        return AGREED_NO_NAME;
    if (found == CAIRN_NODE_NONE) {
        if (agreed->now.nodes == CAIRN_NODES_MAX)
            return AGREED_NO_SEAT;
        found = (uint8_t)agreed->now.nodes++;
        memcpy(agreed->names[found], change->add, sizeof(agreed->names[found]));
    } else if (!(agreed->removed >> found & 1)) {
        return AGREED_IS_THERE;
    }
    agreed->removed &= ~((cairn_node_set)1 << found);
    assert(agreed_present(agreed) >> found & 1 && agreed_seat(agreed, change->add) == found);
    *seat = found;
    return AGREED_TAKEN;
}

static enum agreed_refusal
take_away(struct agreed *agreed, const struct agreed_change *change, uint8_t *seat)
{
    uint8_t found = agreed_seat(agreed, change->remove);

    if (found == CAIRN_NODE_NONE || (agreed->removed >> found & 1))
        return AGREED_NOT_THERE;
    if ((agreed_present(agreed) & ~((cairn_node_set)1 << found)) == 0)
        return AGREED_LAST;
    agreed->removed |= (cairn_node_set)1 << found;
    assert(agreed_present(agreed) != 0);
    *seat = found;
    return AGREED_TAKEN;
}

/* What no change may do, whatever it says. */
static void
assert_follows(const struct agreed *next, const struct agreed *agreed)
{
    assert(next->lsn > agreed->lsn && next->now.nodes >= agreed->now.nodes);
    assert(next->number == agreed->number && next->durability == agreed->durability);
    assert(next->workers == agreed->workers && next->founded.nodes == agreed->founded.nodes);
    /* Majorities before and after have a member in common. */
    assert(__builtin_popcount(agreed_present(next) ^ agreed_present(agreed)) <= 1);
    assert(agreed_plausible(next) || !agreed_plausible(agreed));
}

enum agreed_refusal
agreed_apply(struct agreed *agreed, const struct agreed_change *change, uint64_t lsn, uint32_t logs, uint8_t *seat)
{
    struct agreed next = *agreed;
    enum agreed_refusal refusal = apply_figures(&next.now, change, logs, agreed);

    assert(lsn > agreed->lsn);
    *seat = CAIRN_NODE_NONE;
    /* One comes or goes at a time, so that majorities before and after have a member in common. */
    if (refusal == AGREED_TAKEN && change->add[0] != '\0')
        refusal = change->remove[0] != '\0' ? AGREED_NO_SEAT : add(&next, change, seat);
    else if (refusal == AGREED_TAKEN && change->remove[0] != '\0')
        refusal = take_away(&next, change, seat);
    if (refusal == AGREED_TAKEN && *seat == CAIRN_NODE_NONE && memcmp(&next.now, &agreed->now, sizeof(next.now)) == 0)
        refusal = AGREED_NOTHING;
    if (refusal != AGREED_TAKEN)
        return refusal;
    next.lsn = lsn;
    assert_follows(&next, agreed);
    *agreed = next;
    return AGREED_TAKEN;
}

const char *
agreed_refusal_text(enum agreed_refusal refusal)
{
    static const char *const texts[AGREED_REFUSALS] = {
        [AGREED_TAKEN] = "agreed",
        [AGREED_NO_TIMING] = "a heartbeat is at least 10 us, and the timeout at least three of them and at most 60 s",
        [AGREED_NO_BOUND] = "the bound of clocks is 100 ms to an hour",
        [AGREED_NO_MEMORY] = "so little memory is not enough for the logs that there are, or too much for any node",
        [AGREED_NO_NAME] =
            "a node's name is 1 to 63 letters, digits, '.', '-' and '_', not starting with '.', '-' or '_'",
        [AGREED_IS_THERE] = "the node is of the cluster already",
        [AGREED_NO_SEAT] = "one node comes or goes at a time, and a cluster has 16 places at most",
        [AGREED_NOT_THERE] = "the node is not of the cluster",
        [AGREED_LAST] = "the last node cannot go",
        [AGREED_NOTHING] = "it is so already",
    };

    return (unsigned)refusal < AGREED_REFUSALS ? texts[refusal] : "?";
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits: tells differences, not attackers. */
static uint64_t
mix(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size_bytes; i++)
        // Whole words, and text up to its end, are given. NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

uint64_t
agreed_fingerprint(const struct agreed *agreed)
{
    const struct agreed_figures *now = &agreed->now;
    const uint64_t numbers[] = {agreed->lsn,         agreed->number,    agreed->removed,
                                now->nodes,          now->heartbeat_ns, now->timeout_ns,
                                now->clock_bound_ns, now->memory_mib,   (uint64_t)agreed->durability,
                                agreed->workers};
    uint64_t hash = mix(0xcbf29ce484222325u, numbers, sizeof(numbers));

    assert(now->nodes <= CAIRN_NODES_MAX);
    for (uint32_t i = 0; i < now->nodes; i++)
        hash = mix(hash, agreed->names[i], strlen(agreed->names[i]) + 1);
    return hash;
}

static bool
figures_plausible(const struct agreed_figures *figures)
{
    return agreed_timing_makes_sense(figures->heartbeat_ns, figures->timeout_ns) &&
           figures->clock_bound_ns >= CLOCK_BOUND_MIN_NS && figures->clock_bound_ns <= CLOCK_BOUND_MAX_NS &&
           figures->memory_mib >= MEMORY_MIB_MIN && figures->memory_mib <= MEMORY_MIB_MAX && figures->nodes > 0 &&
           figures->nodes <= CAIRN_NODES_MAX;
}

bool
agreed_plausible(const struct agreed *agreed)
{
    if (!figures_plausible(&agreed->now) || !figures_plausible(&agreed->founded) ||
        agreed->founded.nodes > agreed->now.nodes || agreed->removed >> agreed->now.nodes != 0 ||
        agreed_present(agreed) == 0 || agreed->lsn > AGREED_LSN_MAX ||
        (agreed->durability != CAIRN_MEMORY && agreed->durability != CAIRN_DISK) || agreed->workers < 1 ||
        agreed->workers > CAIRN_WORKERS_MAX ||
        agreed->now.memory_mib < agreed_memory_mib(0, agreed->workers, agreed->durability))
        return false;
    for (uint32_t i = 0; i < agreed->now.nodes; i++) {
        if (memchr(agreed->names[i], '\0', sizeof(agreed->names[i])) == NULL ||
            !cairn_name_is_valid(agreed->names[i]) || agreed_seat(agreed, agreed->names[i]) != i)
            return false;
    }
    return true;
}

/* Each log takes two segments. So many logs' worth is kept back: some for all, and with entries on disk alone some to
 * read them into. */
static uint32_t
kept_back(enum cairn_durability durability)
{
    return durability == CAIRN_DISK ? 5 : 3;
}

uint32_t
agreed_logs_max(uint32_t memory_mib, uint32_t workers, enum cairn_durability durability)
{
    uint32_t kept = kept_back(durability), share_mib = memory_mib / workers;
    uint32_t logs = share_mib / 8 > kept ? share_mib / 8 - kept : 1;

    assert(agreed_memory_mib(logs, workers, durability) <= memory_mib || share_mib < MEMORY_MIB_MIN);
    return logs;
}

uint32_t
agreed_memory_mib(uint32_t logs, uint32_t workers, enum cairn_durability durability)
{
    uint32_t least_mib = 8 * (logs + kept_back(durability));

    return workers * (logs <= 1 || least_mib < MEMORY_MIB_MIN ? MEMORY_MIB_MIN : least_mib);
}
