/* Logs come and go. */
#include "node/control/logs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/look.h"
#include "node/state.h"
#include "node/worker/apply.h"
#include "node/worker/durable.h"
#include "node/worker/pending.h"
#include "node/worker/worker.h"

/* A replica that contradicted others does not count by being restarted. */
static enum core_stop
stop_of_life_before(const struct worker *worker, uint32_t id)
{
    uint32_t kind = identity_stopped(&worker->node->introduction.begun, id).kind;

    return kind > STOP_LOG ? STOP_LOG : (enum core_stop)kind;
}

/* Lives before may have gone by a shorter timeout that they had not kept yet. */
static uint64_t
longest_promise_ns(const struct identity *identity)
{
    return identity->promised_ns > identity->agreed.now.timeout_ns ? identity->promised_ns
                                                                   : identity->agreed.now.timeout_ns;
}

static struct core_config
core_settings(const struct worker *worker, uint32_t id, const struct log_settings *asked, bool recovering)
{
    struct cluster_timing timing = cluster_timing(worker->config->cluster);

    /* The life has its number: all that the log ever names carries it. */
    assert(worker->codec.incarnation > 0 && worker->codec.incarnation == worker->node->incarnation);
    return (struct core_config){
        .self = worker->self,
        .nodes = agreed_present(&worker->node->snapshot->agreed) | asked->voters,
        .members.voters = asked->voters,
        .incarnation = worker->codec.incarnation,
        .seed = worker->config->seed + id,
        .election_timeout_ns = timing.timeout_ns,
        .promised_ns = longest_promise_ns(&worker->node->introduction.begun),
        .election_patience = worker->config->election_patience == 0 ? 1 : worker->config->election_patience,
        .retransmit_ns = timing.timeout_ns / 2,
        .window_entries = worker->config->window_entries,
        .producers_max = worker->config->producers_max,
        .policy = asked->rules.policy,
        .durable = worker->disk != NULL && asked->durability == CAIRN_DISK,
        .recovering = recovering,
        .stopped = stop_of_life_before(worker, id),
    };
}

bool
log_make_room(struct worker *worker, struct node_log *log, uint8_t origin)
{
    log->branches[origin].trim_cursor.position = 1;
    return log->branches[origin].store.segments != NULL || store_init(&log->branches[origin].store, &worker->segments);
}

static bool
branches_init(struct worker *worker, struct node_log *log)
{
    for (uint8_t origin = 0; origin < worker->node->cluster.nodes; origin++) {
        if (!log_make_room(worker, log, origin))
            return false;
    }
    return true;
}

struct node_log *
node_log_create(struct worker *worker, uint32_t id, const struct log_settings *asked, bool recovering)
{
    struct core_config settings = core_settings(worker, id, asked, recovering);
    struct node_log *log = calloc(1, sizeof(*log));

    assert(id != CATALOG_LOG || worker_is_first(worker));
    assert(worker->node->snapshot->count < LOGS_MAX);
    if (log == NULL)
        return NULL;
    log->id = id;
    log->worker = worker;
    log->self = worker->self;
    log->led_by = CAIRN_NODE_NONE;
    log->stopped_term = identity_stopped(&worker->node->introduction.begun, id).last_term;
    log->stopped_for_good = identity_stopped(&worker->node->introduction.begun, STOP_EVERY_LOG).kind != 0;
    snprintf(log->name, sizeof(log->name), "%s", asked->name);
    log->rules = asked->rules;
    log->status.writer = asked->rules.writer;
    log->status.sealed = asked->rules.sealed;
    log->own = &log->branches[worker->self];
    log->commit_cursor.position = 1;
    log->mode = asked->rules.policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_DENIED;
    log->memory = aligned_alloc(64, core_footprint(&settings));
    log->waits = malloc(WAITS_MAX * sizeof(*log->waits));
    if (log->memory == NULL || log->waits == NULL || !store_init(&log->trunk, &worker->segments) ||
        !branches_init(worker, log) || !pending_ring_init(&log->pending, settings.window_entries) ||
        !pending_ring_init(&log->pending_all, settings.window_entries) ||
        (settings.durable && !durable_init(worker, log))) {
        node_log_free(log);
        return NULL;
    }
    log->sink = (struct sink){.apply = apply_effect, .holds = apply_holds, .context = log};
    log->core = core_init(log->memory, &settings, node_now_ns(worker->node));
    assert((log->durable != NULL) == settings.durable);
    assert(!log->stopped_for_good || core_stopped(log->core) != STOP_NONE);
    assert(log->own->entries == 0 && core_last_lsn(log->core) == 0);
    return log;
}

void
node_log_free(struct node_log *log)
{
    if (log->trunk.segments != NULL)
        store_fini(&log->trunk);
    for (uint8_t origin = 0; origin < CAIRN_NODES_MAX; origin++) {
        if (log->branches[origin].store.segments != NULL)
            store_fini(&log->branches[origin].store);
    }
    durable_fini(log);
    free(log->pending.items);
    free(log->pending_all.items);
    free(log->waits);
    free(log->memory);
    free(log);
}
