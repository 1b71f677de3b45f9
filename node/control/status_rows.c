/* What a node says of itself: the answer to `status`. */
#include "node/control/status_rows.h"

#include <assert.h>

#include <jansson.h>

#include "node/control/catalog.h"
#include "node/control/control.h"
#include "node/look.h"
#include "node/state.h"

json_t *
names_of(const struct node *node, cairn_node_set set)
{
    json_t *names = json_array();

    for (uint8_t i = 0; i < node->workers[0]->nodes; i++) {
        if (set & ((cairn_node_set)1 << i))
            json_array_append_new(names, json_string(node->config.cluster->names[i]));
    }
    assert(json_array_size(names) <= (size_t)__builtin_popcount(set));
    return names;
}

json_t *
node_name_or_null(const struct node *node, uint8_t index)
{
    return index < node->workers[0]->nodes ? json_string(node->config.cluster->names[index]) : json_null();
}

/* May this node be restarted now? The others that are well must be a majority of the log's voters, for it to go on
 * meanwhile, and for this node to recover from. */
static bool
is_safe_to_restart(const struct node *node, const struct node_log_view *view, cairn_node_set well)
{
    cairn_node_set self = (cairn_node_set)1 << node->self;

    assert((view->voters & view->learners) == 0);
    return (view->voters != 0 && !(view->voters & self)) ||
           2 * (uint32_t)__builtin_popcount(well & view->voters & ~self) > (uint32_t)__builtin_popcount(view->voters);
}

/* well: the nodes that are. */
static json_t *
status_row(struct node *node, const struct node_log_view *view, cairn_node_set well)
{
    const struct worker *worker = node->workers[view->worker];
    static const char *const stops[] = {[STOP_NONE] = "", [STOP_REPLICA] = "replica", [STOP_LOG] = "log"};
    uint64_t merge_ns = view->merge_entries != 0 ? node_now_ns(node) - view->merge_begun_ns : 0;
    char digest[20];

    assert(view->worker < node->workers_count);
    assert(view->first_lsn <= view->last_lsn + 1 && view->commit_lsn <= view->last_lsn);
    snprintf(digest, sizeof(digest), "%016" PRIx64, view->digest);
    return json_pack(
        "{s:s,s:s,s:i,s:s,s:o,s:I,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:o,s:o,s:o,s:s,s:I,s:I,s:b,s:s,s:I,"
        "s:I,s:I,s:o,s:b,s:I,s:I,s:I,s:I,s:b,s:s,s:b,s:i,s:I,s:I,s:o}",
        "node", node->name, "log", view->name, "id", (int)view->id, "role", view->role, "leader",
        node_name_or_null(node, view->leader), "term", (json_int_t)view->term, "mode", cairn_mode_name(view->mode),
        "policy", cairn_policy_name(view->policy), "deny", cairn_deny_name(view->deny), "commit_lsn",
        (json_int_t)view->commit_lsn, "last_lsn", (json_int_t)view->last_lsn, "first_lsn", (json_int_t)view->first_lsn,
        "branch_entries", (json_int_t)view->branch_entries, "digest", digest, "appended",
        (json_int_t)view->counters.appended, "refused", (json_int_t)view->counters.refused, "hears",
        names_of(node, worker->hears), "voters", names_of(node, view->voters), "learners",
        names_of(node, view->learners), "durability", cairn_durability_name(view->durability), "held_lsn",
        (json_int_t)view->held_lsn, "lacks_lsn", (json_int_t)view->lacks_lsn, "disk_failed", view->disk_failed,
        "when_cut", view->falls_to_cp ? "cp" : "deny", "retain_bytes", (json_int_t)view->retain_bytes, "retain_age_ms",
        (json_int_t)(view->retain_age_ns / 1000000), "trim_before", (json_int_t)view->trim_before_lsn, "slow",
        names_of(node, worker->slow.peers), "worker_hung", atomic_load_explicit(&worker->hung, memory_order_relaxed),
        "merge_entries", (json_int_t)view->merge_entries, "merge_ms", (json_int_t)(merge_ns / 1000000),
        "appended_bytes", (json_int_t)view->counters.appended_bytes, "read", (json_int_t)view->counters.read,
        "safe_to_restart", is_safe_to_restart(node, view, well), "stopped", stops[view->stopped], "lost", view->lost,
        "worker", view->worker, "writer", (json_int_t)view->writer, "sealed", (json_int_t)view->sealed, "copies",
        names_of(node, view->copies));
}

/* By level, the buckets that are not empty: pairs of number and count. */
static json_t *
latencies_row(const struct latencies *latencies)
{
    json_t *levels = json_object();

    for (enum cairn_ack ack = CAIRN_ACK_LOCAL; ack <= CAIRN_ACK_ALL; ack++) {
        json_t *pairs = json_array();

        for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
            uint64_t count = atomic_load_explicit(&latencies->levels[ack].counts[bucket], memory_order_relaxed);

            if (count > 0)
                json_array_append_new(pairs, json_pack("[I,I]", (json_int_t)bucket, (json_int_t)count));
        }
        json_object_set_new(levels, cairn_ack_name(ack), pairs);
    }
    return levels;
}

static json_t *
sight_row(const struct node *node, uint8_t from, const struct sight *sight)
{
    json_t *heard_ms = json_object(), *modes = json_object();

    assert(from < node->workers[0]->nodes && sight->told_ns != 0);
    for (uint8_t to = 0; to < node->workers[0]->nodes; to++) {
        if (to != from && sight->heard[to] != SIGHT_LONG)
            json_object_set_new(heard_ms, node->config.cluster->names[to],
                                json_real((double)sight->heard[to] * SIGHT_UNIT_NS / 1e6));
    }
    for (enum cairn_mode mode = CAIRN_MODE_CP; mode < CAIRN_MODES; mode++) {
        if (sight->modes[mode] > 0)
            json_object_set_new(modes, cairn_mode_name(mode), json_integer(sight->modes[mode]));
    }
    return json_pack("{s:s,s:f,s:o,s:o,s:o,s:f}", "node", node->config.cluster->names[from], "told_ms",
                     (double)(node_now_ns(node) - sight->told_ns) / 1e6, "hears", names_of(node, sight->hears),
                     "heard_ms", heard_ms, "modes", modes, "clock_ahead_ms", (double)sight->clock_ns / 1e6);
}

/* For every node that was ever heard: whom its worker of that number hears, as it said last. */
static json_t *
matrix(const struct node *node, uint8_t worker)
{
    struct sight sights[CAIRN_NODES_MAX];
    json_t *rows = json_array();

    sights_read(node->workers[worker], sights, NULL);
    for (uint8_t from = 0; from < node->workers[worker]->nodes; from++) {
        if (sights[from].told_ns != 0)
            json_array_append_new(rows, sight_row(node, from, &sights[from]));
    }
    return rows;
}

/* An identity, or null where there is none yet. */
json_t *
id_or_null(const struct cairn_id *id)
{
    char text[CAIRN_ID_TEXT_BYTES];

    cairn_id_text(id, text);
    return cairn_id_is_set(id) ? json_string(text) : json_null();
}

/* Who this node is, and whether it takes part. */
json_t *
standing_row(const struct node *node)
{
    static const char *const names[] = {"waiting", "forgotten", "member", "lapsed", "refused", "learned", "removed"};
    struct standing_view view;
    char text[384];

    introduction_show(node, &view);
    node_standing(node, text, sizeof(text));
    return json_pack("{s:s,s:b,s:o,s:o,s:o,s:I,s:o,s:s}", "standing", names[view.standing], "recovering",
                     view.forgotten || introduction_phase(&node->introduction) != PHASE_INSIDE, "cluster",
                     id_or_null(&view.cluster), "member", id_or_null(&view.members[node->self]), "life",
                     id_or_null(&view.life), "start", (json_int_t)view.number, "introduced",
                     names_of(node, view.introduced), "detail", text);
}

/* How this node's worker does; how long it waits for others, and why. */
static void
add_health(const struct worker *worker, json_t *row)
{
    struct sight sights[CAIRN_NODES_MAX];
    struct detector_patience patience;
    const struct wire_health *health;
    char why[96];

    sights_read(worker, sights, &patience);
    health = &sights[worker->self].health;
    health_why(worker, &patience, why, sizeof(why));
    json_object_set_new(row, "timeout_ms", json_real((double)patience.wait_ns / 1e6));
    json_object_set_new(row, "agreed_timeout_ms", json_real((double)worker->detector.config.timeout_ns / 1e6));
    json_object_set_new(row, "timeout_why", json_string(why));
    json_object_set_new(row, "trouble", json_string(health_text(health->ailments)));
    json_object_set_new(row, "write_us", json_integer(health->write_us));
    json_object_set_new(row, "clock_ahead_ms", json_real((double)sights[worker->self].clock_ns / 1e6));
}

/* A node that has no logs yet says so in the catalog's place. */
static json_t *
row_outside(struct node *node, const struct standing_view *standing)
{
    struct node_log_view view = {
        .name = "_catalog",
        .policy = CAIRN_POLICY_CP,
        .deny = CAIRN_DENY_WRITES,
        .mode = CAIRN_MODE_DENIED,
        .durability = durability_default(node),
        .leader = CAIRN_NODE_NONE,
        .recovering = true,
    };

    view.role = standing->standing == STANDING_WAITING ? "waiting" : "recovering";
    return status_row(node, &view, standing->well);
}

/* What each worker has, and has lately had to do. */
static json_t *
worker_rows(struct node *node)
{
    const struct worker_load *load = &node->control->load;
    uint32_t logs[CAIRN_WORKERS_MAX] = {0};
    json_t *rows = json_array();

    for (uint32_t i = 0; i < node->snapshot->count; i++)
        logs[node->snapshot->logs[i].log->worker->task.number]++;
    /* The catalog is the first worker's. */
    assert(node->snapshot->count == 0 || logs[0] > 0);
    for (uint8_t i = 0; i < node->workers_count; i++) {
        const struct worker *worker = node->workers[i];

        json_array_append_new(
            rows,
            json_pack("{s:i,s:I,s:I,s:I,s:b,s:o,s:o,s:o}", "worker", i, "logs", (json_int_t)logs[i], "entries_per_s",
                      (json_int_t)load->of[i].entries_per_s, "bytes_per_s", (json_int_t)load->of[i].bytes_per_s, "hung",
                      atomic_load_explicit(&worker->hung, memory_order_relaxed), "reach", names_of(node, worker->reach),
                      "slow", names_of(node, worker->slow.peers), "matrix", matrix(node, i)));
    }
    return rows;
}

json_t *
status_answer(struct node *node, const json_t *request)
{
    bool with_latencies = json_is_true(json_object_get(request, "latencies"));
    json_t *rows = json_array();
    struct node_log_view view;
    struct standing_view standing;

    introduction_show(node, &standing);
    if (introduction_phase(&node->introduction) == PHASE_OUTSIDE)
        json_array_append_new(rows, row_outside(node, &standing));
    for (uint32_t i = 0; node_view_at(node, i, &view); i++) {
        json_t *row = status_row(node, &view, standing.well);

        add_health(node->workers[view.worker], row);
        if (with_latencies)
            json_object_set_new(row, "latencies", latencies_row(node_latencies(node, i)));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:b,s:o,s:o,s:o,s:o,s:o}", "ok", 1, "rows", rows, "reach",
                     names_of(node, node->workers[0]->reach), "matrix", matrix(node, 0), "standing", standing_row(node),
                     "workers", worker_rows(node));
}
