#include "agree.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "events.h"
#include "look.h"
#include "peers.h"
#include "reassess.h"

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

static void
adopt_timing(struct worker *worker, const struct snapshot *snapshot)
{
    const struct agreed *agreed = &snapshot->agreed;
    struct detector_config detector = worker->detector.config;
    struct clocks_config clocks = worker->clocks.config;

    detector.nodes = clocks.nodes = (uint8_t)agreed->now.nodes;
    detector.interval_ns = agreed->now.heartbeat_ns;
    detector.timeout_ns = agreed->now.timeout_ns;
    detector.ceiling_ns = snapshot->ceiling_ns;
    detector.hold_max_ns = snapshot->hold_max_ns;
    assert(agreed_timing_makes_sense(detector.interval_ns, detector.timeout_ns));
    clocks.members = agreed_present(agreed);
    clocks.bound_ns = agreed->now.clock_bound_ns;
    detector_reconfigure(&worker->detector, &detector, agreed->removed);
    clocks_reconfigure(&worker->clocks, &clocks);
}

/* The first worker tells the others once what it has agreed on is kept. */
static void
note_kept_timeout(struct worker *worker)
{
    struct introduction *introduction = &worker->node->introduction;
    const struct lives *lives = &introduction->lives;

    assert(worker_is_first(worker));
    assert(lives->kept_version <= lives->version && lives->life_version <= lives->version);
    if (lives->kept_version >= lives->life_version)
        atomic_store_explicit(&introduction->kept_timeout_ns, lives->identity.agreed.now.timeout_ns,
                              memory_order_release);
}

/* A shorter timeout counts at once. A longer one when it is kept: what is promised by it must be known to the next life. */
static void
set_timeout(struct worker *worker)
{
    uint64_t timeout_ns = worker->agreed.now.timeout_ns, kept_ns;

    if (worker_is_first(worker))
        note_kept_timeout(worker);
    if (timeout_ns == worker->core_timeout_ns)
        return;
    kept_ns = atomic_load_explicit(&worker->node->introduction.kept_timeout_ns, memory_order_acquire);
    if (timeout_ns > worker->core_timeout_ns && kept_ns != timeout_ns)
        return;
    worker->core_timeout_ns = timeout_ns;
    for (uint32_t i = 0; i < worker->logs_count; i++)
        core_set_election_timeout(worker->logs[i]->core, timeout_ns);
}

void
agree_welcome_log(const struct worker *worker, struct node_log *log)
{
    assert(log->worker == worker);
    core_set_election_timeout(log->core, worker->core_timeout_ns);
    core_set_nodes(log->core, worker->present);
}

static void
tell_agreed(struct worker *worker, const struct agreed *before, const struct agreed *now)
{
    cairn_node_set came = agreed_present(now) & ~agreed_present(before);
    cairn_node_set went = agreed_present(before) & ~agreed_present(now);

    assert(before->lsn < now->lsn);
    assert((went & ~now->removed) == 0);
    if (came != 0)
        node_event(worker, EVENT_AGREED, NULL, (uint8_t)__builtin_ctz(came), 0, 0,
                   "%s is of the cluster, from lsn %lu on", now->names[__builtin_ctz(came)], (unsigned long)now->lsn);
    else if (went != 0)
        node_event(worker, EVENT_AGREED, NULL, (uint8_t)__builtin_ctz(went), 0, 0,
                   "%s is of the cluster no more, from lsn %lu on", now->names[__builtin_ctz(went)],
                   (unsigned long)now->lsn);
    else
        node_event(worker, EVENT_AGREED, NULL, worker->self, 0, 0,
                   "heartbeat %lu us, timeout %lu us, clocks %lu ms, memory %u MiB, from lsn %lu on",
                   (unsigned long)(now->now.heartbeat_ns / 1000), (unsigned long)(now->now.timeout_ns / 1000),
                   (unsigned long)(now->now.clock_bound_ns / 1000000), now->now.memory_mib, (unsigned long)now->lsn);
}

void
agree_adopt(struct worker *worker, const struct snapshot *snapshot, uint64_t now_ns)
{
    const struct agreed *agreed = &snapshot->agreed;
    struct agreed before;

    if (agreed->lsn <= worker->agreed.lsn)
        return;
    before = worker->agreed;
    worker->agreed = *agreed;
    worker->fingerprint = agreed_fingerprint(agreed);
    /* Seats are only ever added. */
    assert(agreed->now.nodes >= worker->nodes && agreed->now.nodes >= before.now.nodes);
    if (agreed->removed >> worker->self & 1) {
        /* The other workers are told by the phase. */
        if (worker_is_first(worker))
            introduction_agree(worker, agreed, snapshot->members);
        return;
    }
    if (agreed->now.timeout_ns < before.now.timeout_ns)
        worker->promise_set_ns = now_ns;
    for (uint8_t seat = worker->nodes; seat < agreed->now.nodes; seat++)
        node_attach_port(worker, seat);
    worker->nodes = (uint8_t)agreed->now.nodes;
    worker->present = agreed_present(agreed);
    assert(worker->present >> worker->self & 1);
    adopt_timing(worker, snapshot);
    for (uint32_t i = 0; i < worker->logs_count; i++)
        core_set_nodes(worker->logs[i]->core, worker->present);
    if (worker_is_first(worker)) {
        tell_agreed(worker, &before, agreed);
        introduction_agree(worker, agreed, snapshot->members);
    }
    set_timeout(worker);
    atomic_store_explicit(&worker->adopted_lsn, agreed->lsn, memory_order_release);
    node_reassess(worker, now_ns);
}

/* Until then another worker may promise by what was agreed on before. */
static bool
all_have_adopted(const struct node *node, uint64_t lsn)
{
    bool all = true;

    assert(node->workers[0]->agreed.lsn == lsn);
    for (uint8_t number = 1; number < node->workers_count; number++)
        all &= atomic_load_explicit(&node->workers[number]->adopted_lsn, memory_order_acquire) >= lsn;
    return all;
}

void
agree_beat(struct worker *worker, uint64_t now_ns)
{
    struct lives *lives = &worker->node->introduction.lives;

    set_timeout(worker);
    if (!worker_is_first(worker) || lives->identity.promised_ns == 0)
        return;
    /* Of the life before, too: whatever it promised ends after so long. */
    if (worker->promise_set_ns == 0 || !all_have_adopted(worker->node, worker->agreed.lsn))
        worker->promise_set_ns = now_ns;
    assert(worker->promise_set_ns <= now_ns);
    if (now_ns - worker->promise_set_ns < lives->identity.promised_ns)
        return;
    lives->identity.promised_ns = 0;
    lives->version++;
}
