/* Logs come and go. */
#include "logs.h"

#include <stdio.h>
#include <stdlib.h>

#include "apply.h"
#include "durable.h"
#include "look.h"
#include "pending.h"
#include "state.h"

/* A replica that contradicted others does not count by being restarted. */
static enum core_stop
stop_of_life_before(const struct node *node, uint32_t id)
{
    uint32_t kind = identity_stopped(&node->introduction.begun, id).kind;

    return kind > STOP_LOG ? STOP_LOG : (enum core_stop)kind;
}

/* Of the lives before: they may have gone by a shorter timeout that they had not kept yet. */
static uint64_t
longest_promise_ns(const struct identity *identity)
{
    return identity->promised_ns > identity->agreed.now.timeout_ns ? identity->promised_ns
                                                                   : identity->agreed.now.timeout_ns;
}

static struct core_config
core_settings(const struct node *node, uint32_t id, const struct log_settings *asked, bool recovering)
{
    struct cluster_timing timing = cluster_timing(node->config.cluster);

    return (struct core_config){
        .self = node->self,
        .nodes = agreed_present(&node->snapshot->agreed) | asked->voters,
        .members.voters = asked->voters,
        .incarnation = node->incarnation,
        .seed = node->config.seed + id,
        .election_timeout_ns = timing.timeout_ns,
        .promised_ns = longest_promise_ns(&node->introduction.begun),
        .election_patience = node->config.election_patience == 0 ? 1 : node->config.election_patience,
        .retransmit_ns = timing.timeout_ns / 2,
        .window_entries = node->config.window_entries,
        .producers_max = node->config.producers_max,
        .policy = asked->rules.policy,
        .durable = node->config.disk != NULL && asked->durability == CAIRN_DISK,
        .recovering = recovering,
        .stopped = stop_of_life_before(node, id),
    };
}

bool
log_make_room(struct node *node, struct node_log *log, uint8_t origin)
{
    log->branches[origin].trim_cursor.position = 1;
    return log->branches[origin].store.segments != NULL || store_init(&log->branches[origin].store, &node->segments);
}

static bool
branches_init(struct node *node, struct node_log *log)
{
    for (uint8_t origin = 0; origin < node->cluster.nodes; origin++) {
        if (!log_make_room(node, log, origin))
            return false;
    }
    return true;
}

struct node_log *
node_log_create(struct node *node, uint32_t id, const struct log_settings *asked, bool recovering)
{
    struct core_config settings = core_settings(node, id, asked, recovering);
    struct node_log *log = calloc(1, sizeof(*log));

    if (log == NULL)
        return NULL;
    log->id = id;
    log->node = node;
    log->self = node->self;
    log->led_by = CAIRN_NODE_NONE;
    log->stopped_term = identity_stopped(&node->introduction.begun, id).last_term;
    snprintf(log->name, sizeof(log->name), "%s", asked->name);
    log->rules = asked->rules;
    log->own = &log->branches[node->self];
    log->commit_cursor.position = 1;
    log->mode = asked->rules.policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_DENIED;
    log->memory = aligned_alloc(64, core_footprint(&settings));
    log->waits = malloc(WAITS_MAX * sizeof(*log->waits));
    if (log->memory == NULL || log->waits == NULL || !store_init(&log->trunk, &node->segments) ||
        !branches_init(node, log) || !pending_ring_init(&log->pending, settings.window_entries) ||
        !pending_ring_init(&log->pending_all, settings.window_entries) ||
        (settings.durable && !durable_init(node, log))) {
        node_log_free(log);
        return NULL;
    }
    log->sink = (struct sink){.apply = apply_effect, .holds = apply_holds, .context = log};
    log->core = core_init(log->memory, &settings, node_now_ns(node));
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
