/* Commands of the admin socket. */
#include "node/control/commands.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/identity_file.h"
#include "node/control/attach.h"
#include "node/control/control.h"
#include "node/control/status_rows.h"

#define EVENTS_PER_REPLY 256u
#define FAULT_DELAY_US_MAX 3600e6

static json_t *
event_row(const struct node *node, const struct node_event *event)
{
    bool modes = event->kind == EVENT_MODE_CHANGED;

    assert(event->worker < node->workers_count);
    return json_pack("{s:I,s:s,s:s,s:o,s:o,s:o,s:o,s:s,s:i}", "t_ns", (json_int_t)event->t_ns, "node", node->name,
                     "event", event_name(event->kind), "log",
                     event->log == UINT32_MAX ? json_null() : json_string(event->log_name), "from",
                     modes ? json_string(cairn_mode_name((enum cairn_mode)event->from)) : json_null(), "to",
                     modes ? json_string(cairn_mode_name((enum cairn_mode)event->to)) : json_null(), "peer",
                     node_name_or_null(node, event->peer), "reason", event->reason, "worker", event->worker);
}

static json_t *
events(struct node *node, const json_t *request)
{
    static struct node_event found[EVENTS_PER_REPLY];
    uint64_t next = (uint64_t)json_integer_value(json_object_get(request, "next"));
    uint32_t count = node_events(node, &next, found, EVENTS_PER_REPLY);
    json_t *rows = json_array();

    assert(count <= EVENTS_PER_REPLY);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(rows, event_row(node, &found[i]));
    return json_pack("{s:b,s:o,s:I}", "ok", 1, "rows", rows, "next", (json_int_t)next);
}

static json_t *
failure(const char *error, const char *detail)
{
    return json_pack("{s:b,s:s,s:s}", "ok", 0, "error", error, "detail", detail);
}

/* The names of all that ever were of it, by number. */
static json_t *
seats_of(const struct agreed *agreed)
{
    json_t *names = json_array();

    for (uint8_t seat = 0; seat < agreed->now.nodes; seat++)
        json_array_append_new(names, json_string(agreed->names[seat]));
    return names;
}

static json_t *
for_administrators(void)
{
    return failure("forbidden", "only an administrator may ask that: root, or the node's own user");
}

/* The rings to a worker. NULL: reply has them. */
static json_t *
attach_to(struct node *node, struct visitor *visitor, const json_t *number, struct admin_reply *reply)
{
    json_int_t worker = json_integer_value(number);

    if (!json_is_integer(number) || worker < 0 || worker >= node->workers_count)
        return failure("invalid", "the node has no such worker");
    if (visitor->at[worker] != NULL)
        return failure("invalid", "this connection is attached to that worker already");
    pthread_mutex_lock(&node->control->lock);
    visitor->at[worker] = attachment_make(node, (uint8_t)worker, visitor->kind);
    pthread_mutex_unlock(&node->control->lock);
    if (visitor->at[worker] == NULL)
        return failure("full", "the node has no room for another client");
    assert(visitor->at[worker]->administrator == (visitor->kind >= ATTACHED_ADMINISTRATOR));
    reply->fd = visitor->at[worker]->channel.fd;
    return NULL;
}

/* A client comes, and gets the rings to a worker where it names one, now or later. */
static json_t *
attach(struct node *node, void **connection, bool administrator, const json_t *request, struct admin_reply *reply)
{
    enum phase phase = introduction_phase(&node->introduction);
    const json_t *worker = json_object_get(request, "worker");
    bool system = json_is_true(json_object_get(request, "system"));
    struct standing_view view;
    json_t *refusal = NULL;
    char standing[384];

    if (system && !administrator)
        return for_administrators();
    if (*connection != NULL && worker == NULL)
        return failure("invalid", "this connection is attached already");
    if (phase == PHASE_OUTSIDE || phase == PHASE_ENDED) {
        node_standing(node, standing, sizeof(standing));
        return failure("recovering", standing);
    }
    if (*connection == NULL)
        *connection = visitor_make(node, system          ? ATTACHED_SYSTEM
                                         : administrator ? ATTACHED_ADMINISTRATOR
                                                         : ATTACHED_CLIENT);
    if (*connection == NULL)
        return failure("full", "the node has no room for another client");
    if (worker != NULL)
        refusal = attach_to(node, *connection, worker, reply);
    if (refusal != NULL)
        return refusal;
    introduction_show(node, &view);
    return json_pack("{s:b,s:o,s:i}", "ok", 1, "seats", seats_of(&view.agreed), "workers", node->workers_count);
}

/* For the other nodes of this machine. */
static json_t *
bell(const struct node *node, const json_t *request, struct admin_reply *reply)
{
    json_int_t worker = json_integer_value(json_object_get(request, "worker"));
    struct standing_view view;

    if (worker < 0 || worker >= node->workers_count || node->config.bell_fds[worker] <= 0)
        return failure("invalid", "the node has no such bell");
    reply->fd = node->config.bell_fds[worker];
    introduction_show(node, &view);
    return json_pack("{s:b,s:o}", "ok", 1, "life", id_or_null(&view.life));
}

static json_t *
open_log(struct node *node, const struct visitor *visitor, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "log"));
    struct node_log_view view;

    if (name != NULL && name[0] == '_' && (visitor == NULL || visitor->kind < ATTACHED_SYSTEM))
        return failure("forbidden",
                       "names that begin with '_' belong to the system: its logs are changed by commands alone");
    if (name == NULL || !node_view(node, name, &view))
        return failure("no_log", "no such log");
    return json_pack("{s:b,s:i,s:i}", "ok", 1, "id", (int)view.id, "worker", view.worker);
}

/* A number from 0 to max, which is 0 where it is not said. false: it is something else. */
static bool
take_figure(const json_t *rule, const char *key, double max, double *out)
{
    const json_t *said = json_object_get(rule, key);

    *out = json_number_value(said);
    return (said == NULL || json_is_number(said)) && *out >= 0 && *out <= max;
}

static bool
take_rule(const json_t *row, struct fault_rule *out)
{
    struct fault_rule rule = {.drop = 0};
    double delay_us;

    if (!take_figure(row, "drop", 1, &rule.drop) || !take_figure(row, "dup", 1, &rule.duplicate) ||
        !take_figure(row, "reorder", 1, &rule.reorder) || !take_figure(row, "corrupt", 1, &rule.corrupt) ||
        !take_figure(row, "delay_us", FAULT_DELAY_US_MAX, &delay_us))
        return false;
    rule.delay_ns = (uint64_t)(delay_us * 1000);
    *out = rule;
    return true;
}

static json_t *
faults(struct node *node, const json_t *request)
{
    struct fault_rule rules[CAIRN_NODES_MAX];
    const json_t *rule;
    size_t i;

    if (!node->config.allow_faults)
        return failure("denied", "the node was not started with --allow-faults");
    memset(rules, 0, sizeof(rules));
    /* "merge": links that are not named keep their rules. */
    if (json_is_true(json_object_get(request, "merge")))
        memcpy(rules, node->snapshot->faults, sizeof(rules));
    json_array_foreach (json_object_get(request, "rules"), i, rule) {
        const char *to = json_string_value(json_object_get(rule, "to"));
        uint8_t peer = to == NULL ? CAIRN_NODE_NONE : cluster_config_node(node->config.cluster, to);

        if (peer == CAIRN_NODE_NONE)
            return failure("invalid", "a rule names no node of the cluster");
        if (!take_rule(rule, &rules[peer]))
            return failure("invalid", "a rule's shares are numbers from 0 to 1, its delay_us is one up to an hour");
    }
    node_set_faults(node, rules);
    return json_pack("{s:b}", "ok", 1);
}

static json_t *
member_row(const struct standing_view *view, uint8_t seat)
{
    return json_pack("{s:s,s:o,s:o,s:I,s:b}", "node", view->agreed.names[seat], "member",
                     id_or_null(&view->members[seat]), "life", id_or_null(&view->lives[seat].id), "start",
                     (json_int_t)view->lives[seat].number, "introduced", view->introduced >> seat & 1);
}

/* The members of the cluster, and what all have agreed on. */
static json_t *
cluster(const struct node *node)
{
    struct standing_view view;
    json_t *rows = json_array(), *answer;
    const struct agreed_figures *now = &view.agreed.now;
    char text[384], fingerprint[17];

    introduction_show(node, &view);
    node_standing(node, text, sizeof(text));
    if (!cairn_id_is_set(&view.cluster)) {
        json_decref(rows);
        return failure("waiting", text);
    }
    for (uint8_t seat = 0; seat < now->nodes; seat++) {
        if (agreed_present(&view.agreed) >> seat & 1)
            json_array_append_new(rows, member_row(&view, seat));
    }
    snprintf(fingerprint, sizeof(fingerprint), "%016lx", (unsigned long)agreed_fingerprint(&view.agreed));
    answer = json_pack("{s:b,s:o,s:o,s:o,s:s,s:s,s:s}", "ok", 1, "cluster", id_or_null(&view.cluster), "rows", rows,
                       "seats", seats_of(&view.agreed), "durability", cairn_durability_name(view.agreed.durability),
                       "fingerprint", fingerprint, "detail", text);
    json_object_set_new(answer, "reach", names_of(node, node->workers[0]->reach));
    json_object_set_new(answer, "agreed_lsn", json_integer((json_int_t)view.agreed.lsn));
    json_object_set_new(answer, "kept_lsn", json_integer((json_int_t)node->introduction.kept_agreed_lsn));
    json_object_set_new(answer, "heartbeat_us", json_integer((json_int_t)(now->heartbeat_ns / 1000)));
    json_object_set_new(answer, "timeout_us", json_integer((json_int_t)(now->timeout_ns / 1000)));
    json_object_set_new(answer, "clock_bound_ms", json_integer((json_int_t)(now->clock_bound_ns / 1000000)));
    json_object_set_new(answer, "memory_mib", json_integer(now->memory_mib));
    json_object_set_new(answer, "workers", json_integer(view.agreed.workers));
    json_object_set_new(answer, "has_memory_mib", json_integer((json_int_t)(node->config.memory_bytes >> 20)));
    return answer;
}

/* What the worker said of a new cluster that was asked for. */
static json_t *
founding_refused(const struct node *node, const struct founding *founding)
{
    char detail[384];

    assert(founding->missing == CAIRN_NODE_NONE || founding->missing < node->config.cluster->nodes);
    if (founding->missing == CAIRN_NODE_NONE)
        snprintf(detail, sizeof(detail), "%s is of a cluster already", node->name);
    else if (founding->differs)
        snprintf(detail, sizeof(detail),
                 "%s is configured otherwise (its cluster file must say the same of nodes, heartbeat, timeout, "
                 "clock_bound_ms, durability and memory_mib)",
                 node->config.cluster->names[founding->missing]);
    else
        snprintf(detail, sizeof(detail),
                 "%s is not heard waiting: it does not run, cannot be reached, or has a state of its own",
                 node->config.cluster->names[founding->missing]);
    return failure("refused", detail);
}

/* Asked again and again until there is an answer: the worker gives it, in its next turn. */
static json_t *
bootstrap(struct node *node)
{
    struct founding *founding = &node->introduction.founding;
    enum founding_state state = (enum founding_state)atomic_load_explicit(&founding->state, memory_order_acquire);

    if (state == FOUNDING_REFUSED) {
        atomic_store_explicit(&founding->state, FOUNDING_NONE, memory_order_relaxed);
        return founding_refused(node, founding);
    }
    if (introduction_phase(&node->introduction) == PHASE_INSIDE) {
        atomic_store_explicit(&founding->state, FOUNDING_NONE, memory_order_relaxed);
        if (state == FOUNDING_DONE)
            return json_pack("{s:b,s:s,s:o}", "ok", 1, "state", "founded", "standing", standing_row(node));
        founding->missing = CAIRN_NODE_NONE;
        return founding_refused(node, founding);
    }
    if (node->self != 0) {
        char detail[192];

        snprintf(detail, sizeof(detail), "%s founds it, not %s", node->config.cluster->names[0], node->name);
        return failure("refused", detail);
    }
    if (state == FOUNDING_NONE) {
        bool drawn = identity_draw(&founding->cluster);

        for (uint8_t i = 0; i < node->workers[0]->nodes; i++)
            drawn &= identity_draw(&founding->members[i]);
        if (!drawn)
            return failure("io", "the kernel has no random bits for a new cluster");
        atomic_store_explicit(&founding->state, FOUNDING_ASKED, memory_order_release);
    }
    return json_pack("{s:b,s:s}", "ok", 1, "state", "asked");
}

static json_t *
rescue_refused(struct node *node)
{
    const struct rescue *rescue = &node->rescue;
    char detail[256];

    assert(rescue->error != CAIRN_OK);
    if (rescue->error == CAIRN_RECOVERING)
        snprintf(detail, sizeof(detail), "%s has forgotten what it promised, or waits: it cannot decide that",
                 node->name);
    else if (rescue->error == CAIRN_NO_QUORUM)
        snprintf(detail, sizeof(detail),
                 "too few others are well to go on by themselves ('cairn cluster recover' goes on from one)");
    else if (rescue->alone)
        snprintf(detail, sizeof(detail),
                 "more than half of all nodes are well: the rest recovers from them, and nothing need be given up");
    else
        snprintf(detail, sizeof(detail), "that node runs and is heard: stop it first");
    atomic_store_explicit(&node->rescue.state, RESCUE_NONE, memory_order_relaxed);
    return failure("refused", detail);
}

/* What has become of that question; RESCUE_NONE: it was not asked yet. An answer to another one, or to who has not waited for
 * it, is nobody's any more. */
static int
rescue_state(struct rescue *rescue, bool same, uint64_t ask)
{
    int state = atomic_load_explicit(&rescue->state, memory_order_acquire);

    if (state != RESCUE_DONE && state != RESCUE_REFUSED)
        return state;
    if (same && rescue->ask == ask)
        return state;
    atomic_store_explicit(&rescue->state, RESCUE_NONE, memory_order_relaxed);
    return RESCUE_NONE;
}

/* Asked again and again until there is an answer, as bootstrap() is, by the same number. given_up 0: all others, and the cluster
 * goes on from this node. */
static json_t *
give_up(struct node *node, cairn_node_set given_up, uint64_t ask)
{
    struct rescue *rescue = &node->rescue;
    const bool alone = given_up == 0, same = rescue->alone == alone && (alone || rescue->given_up == given_up);
    struct standing_view view;
    cairn_node_set others;
    struct cairn_id drawn[CAIRN_NODES_MAX];
    int state = rescue_state(rescue, same, ask);

    assert(!(given_up >> node->self & 1));
    introduction_show(node, &view);
    others = agreed_present(&view.agreed) & ~((cairn_node_set)1 << node->self);
    if (introduction_phase(&node->introduction) != PHASE_INSIDE) {
        rescue->error = CAIRN_RECOVERING;
        return rescue_refused(node);
    }
    if ((state == RESCUE_ASKED || state == RESCUE_KEEPING) && !same)
        return failure("refused", "another decision is under way here: ask again when it is over");
    rescue->ask = ask;
    if (state == RESCUE_REFUSED)
        return rescue_refused(node);
    if (state == RESCUE_DONE) {
        atomic_store_explicit(&rescue->state, RESCUE_NONE, memory_order_relaxed);
        return json_pack("{s:b,s:s}", "ok", 1, "state", "done");
    }
    if (state == RESCUE_NONE) {
        for (uint8_t i = 0; i < node->workers[0]->nodes; i++) {
            if (!identity_draw(&drawn[i]))
                return failure("io", "the kernel has no random bits");
        }
        rescue_ask(node, alone ? others : given_up, alone, drawn);
    }
    return json_pack("{s:b,s:s}", "ok", 1, "state", "asked");
}

static json_t *
decide(struct node *node, const json_t *request, bool all_others)
{
    const char *name = json_string_value(json_object_get(request, "node"));
    uint8_t given_up = name == NULL ? CAIRN_NODE_NONE : cluster_config_node(node->config.cluster, name);
    uint64_t ask = (uint64_t)json_integer_value(json_object_get(request, "ask"));

    if (all_others)
        return give_up(node, 0, ask);
    if (given_up == CAIRN_NODE_NONE || given_up == node->self)
        return failure("invalid", "which other node is given up?");
    return give_up(node, (cairn_node_set)((cairn_node_set)1 << given_up), ask);
}

/* What changes more than a log's entries. */
static json_t *
administer(struct node *node, const char *command, const json_t *request, struct admin_reply *reply)
{
    if (strcmp(command, "faults") == 0)
        return faults(node, request);
    if (strcmp(command, "bootstrap") == 0)
        return bootstrap(node);
    if (strcmp(command, "recover") == 0)
        return decide(node, request, true);
    if (strcmp(command, "replace") == 0)
        return decide(node, request, false);
    if (strcmp(command, "bell") == 0)
        return bell(node, request, reply);
    return NULL;
}

static bool
is_for_administrators(const char *command)
{
    static const char *const commands[] = {"faults", "bootstrap", "recover", "replace", "bell"};

    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(commands[i], command) == 0)
            return true;
    }
    return false;
}

void
admin_command(void *context, void **connection, bool administrator, const void *request_object,
              struct admin_reply *reply)
{
    struct node *node = context;
    const json_t *request = request_object;
    const char *command = json_string_value(json_object_get(request, "cmd"));

    if (command == NULL)
        reply->body = failure("invalid", "a request needs a cmd");
    else if (is_for_administrators(command))
        reply->body = administrator ? administer(node, command, request, reply) : for_administrators();
    else if (strcmp(command, "attach") == 0)
        reply->body = attach(node, connection, administrator, request, reply);
    else if (strcmp(command, "open") == 0)
        reply->body = open_log(node, *connection, request);
    else if (strcmp(command, "status") == 0)
        reply->body = status_answer(node, request);
    else if (strcmp(command, "events") == 0)
        reply->body = events(node, request);
    else if (strcmp(command, "cluster") == 0)
        reply->body = cluster(node);
    else
        reply->body = failure("invalid", "no such cmd (is the command of another release than the node?)");
}

void
admin_closed(void *context, void *connection)
{
    if (connection != NULL)
        visitor_leave(context, connection);
}
