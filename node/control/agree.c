#include "node/control/agree.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "node/control/control.h"
#include "node/control/peers.h"
#include "node/events.h"
#include "node/look.h"

void
agree_begin(struct node *node, const struct identity *identity)
{
    assert(node->control->applied_lsn == 0);
    agreed_as_founded(&identity->agreed, &node->control->replayed);
    node->snapshot->agreed = identity->agreed;
    memcpy(node->snapshot->members, identity->members, sizeof(node->snapshot->members));
    for (uint8_t number = 0; number < node->workers_count; number++) {
        struct worker *worker = node->workers[number];

        assert(!worker->entered && worker->logs_count == 0);
        worker->agreed = identity->agreed;
        worker->fingerprint = agreed_fingerprint(&identity->agreed);
        atomic_store_explicit(&worker->adopted_lsn, identity->agreed.lsn, memory_order_relaxed);
    }
    atomic_store_explicit(&node->introduction.kept_timeout_ns, identity->agreed.now.timeout_ns, memory_order_relaxed);
}

static bool
take_u64(const json_t *entry, const char *key, uint64_t scale, uint64_t max, uint64_t *out)
{
    const json_t *number = json_object_get(entry, key);

    if (number == NULL)
        return true;
    if (!json_is_integer(number) || json_integer_value(number) <= 0 ||
        (uint64_t)json_integer_value(number) > max / scale)
        return false;
    *out = (uint64_t)json_integer_value(number) * scale;
    assert(*out > 0 && *out <= max);
    return true;
}

static bool
take_name(const json_t *entry, const char *key, char out[CAIRN_NAME_BYTES])
{
    const json_t *name = json_object_get(entry, key);

    if (name == NULL)
        return true;
    if (!json_is_string(name) || !cairn_name_is_valid(json_string_value(name)))
        return false;
    snprintf(out, CAIRN_NAME_BYTES, "%s", json_string_value(name));
    /* No valid name is cut off. */
    assert(strcmp(out, json_string_value(name)) == 0);
    return true;
}

/* false: it is none of this version's. */
static bool
take_change(const json_t *entry, struct agreed_change *out)
{
    const char *member = json_string_value(json_object_get(entry, "member"));
    uint64_t memory_mib = 0;

    *out = (struct agreed_change){0};
    if (!take_u64(entry, "heartbeat_us", 1000, TIMEOUT_MAX_NS, &out->heartbeat_ns) ||
        !take_u64(entry, "timeout_us", 1000, TIMEOUT_MAX_NS, &out->timeout_ns) ||
        !take_u64(entry, "clock_bound_ms", 1000000, CLOCK_BOUND_MAX_NS, &out->clock_bound_ns) ||
        !take_u64(entry, "memory_mib", 1, MEMORY_MIB_MAX, &memory_mib) || !take_name(entry, "add", out->add) ||
        !take_name(entry, "remove", out->remove))
        return false;
    assert(memory_mib <= MEMORY_MIB_MAX);
    out->memory_mib = (uint32_t)memory_mib;
    if (out->add[0] == '\0')
        return true;
    return member != NULL && strlen(member) == CAIRN_ID_TEXT_BYTES - 1 && cairn_id_parse(member, &out->member) &&
           cairn_id_is_set(&out->member);
}

/* How many logs the worker that has most had when the entry was made: the same on every node, whatever it holds already of
 * what came later. */
static uint32_t
logs_before(const struct snapshot *snapshot, uint64_t lsn)
{
    uint32_t counts[CAIRN_WORKERS_MAX] = {0}, most = 0;

    for (uint32_t i = 0; i < snapshot->count; i++) {
        const struct node_log *log = snapshot->logs[i].log;
        uint32_t *count = &counts[log->worker->task.number];

        *count += log->id != CATALOG_LOG && log->id < lsn;
        most = *count > most ? *count : most;
    }
    assert(most <= snapshot->count);
    return most;
}

/* All seats that were not there before get ports, and room for what comes from there. */
static void
welcome(struct node *node, const struct agreed *before, const struct snapshot *next)
{
    char detail[256];

    assert(before->now.nodes <= next->agreed.now.nodes && next->agreed.now.nodes <= CAIRN_NODES_MAX);
    for (uint8_t seat = (uint8_t)before->now.nodes; seat < next->agreed.now.nodes; seat++) {
        if (peers_welcome(node, seat, next, detail, sizeof(detail)) != CAIRN_OK)
            snprintf(node->control->agree_failure, sizeof(node->control->agree_failure),
                     "%s cannot be reached until %s is started anew: %s", next->agreed.names[seat], node->name, detail);
    }
}

bool
agree_apply(struct node *node, uint64_t lsn, const json_t *entry, struct snapshot *next)
{
    struct agreed *replayed = &node->control->replayed;
    const struct agreed before = next->agreed;
    struct agreed_change change;
    uint8_t seat;

    assert(lsn == node->control->applied_lsn && lsn > replayed->lsn);
    if (!take_change(entry, &change) ||
        agreed_apply(replayed, &change, lsn, logs_before(next, lsn), &seat) != AGREED_TAKEN)
        return false;
    /* What it knew when it started was in force before its catalog had come so far. */
    if (lsn <= next->agreed.lsn)
        return false;
    next->agreed = *replayed;
    assert(next->agreed.lsn == lsn && next->agreed.now.nodes >= before.now.nodes);
    assert(next->agreed.founded.nodes == before.founded.nodes && next->agreed.workers == before.workers);
    assert(seat == CAIRN_NODE_NONE || seat < next->agreed.now.nodes);
    if (seat != CAIRN_NODE_NONE)
        next->members[seat] = change.member;
    cluster_config_adopt(&node->cluster, &next->agreed);
    next->ceiling_ns = cluster_timing(&node->cluster).ceiling_ns;
    next->hold_max_ns = node_hold_max_ns(node);
    welcome(node, &before, next);
    if (node->config.memory_bytes >> 20 < next->agreed.now.memory_mib && !node->config.stepped)
        snprintf(node->control->agree_failure, sizeof(node->control->agree_failure),
                 "%s has %lu MiB of memory less than was agreed on: its next start needs memory_mib %u", node->name,
                 (unsigned long)(next->agreed.now.memory_mib - (node->config.memory_bytes >> 20)),
                 next->agreed.now.memory_mib);
    return true;
}
