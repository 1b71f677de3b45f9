/* A log is made, or changed, by an entry of the catalog, and that is waited for until it is in force. */
#include "cli/log_change.h"

#include <string.h>
#include <time.h>

#include "cli/agree.h"

#define WAIT_NS 10000000000u
#define CUT_OFF_WAIT_NS 500000000u
/* A node that answers and has not come to a new log, as one whose disk is full, is waited for so long. */
#define LAGGARD_WAIT_NS 2000000000u

/* How a log stands over the nodes that answer. */
struct standing {
    uint32_t answering, knowing, agreeing;
    struct {
        uint32_t logs;
        uint64_t entries_per_s, bytes_per_s; /* lately, at all nodes */
    } workers[CAIRN_WORKERS_MAX];
    uint32_t worker; /* that has the log */
    cairn_node_set silent;
    cairn_node_set voters; /* as its leader has it, else any that holds it */
    bool led;
    char policy[16], deny[16];
    char trouble[160];      /* " (n1: its disk hangs)": what ails a node that knows it, if anything does */
    enum cairn_error error; /* why nobody answers, where nobody does, and */
    char detail[256];
};

/* Does the row say all that is wanted? */
static bool
agrees(const json_t *row, json_t *wanted)
{
    const char *key;
    json_t *value;

    json_object_foreach(wanted, key, value)
    {
        /* What has gone further has gone as far. */
        if (strcmp(key, "trim_before") == 0 &&
            json_integer_value(json_object_get(row, key)) >= json_integer_value(value))
            continue;
        if (!json_equal(json_object_get(row, key), value))
            return false;
    }
    return true;
}

static void
take_workers(const json_t *answer, struct standing *standing)
{
    const json_t *row;
    size_t i;

    json_array_foreach (json_object_get(answer, "workers"), i, row) {
        json_int_t worker = json_integer_value(json_object_get(row, "worker"));
        uint32_t logs;

        if (worker < 0 || worker >= CAIRN_WORKERS_MAX)
            continue;
        logs = cli_logs_at(answer, (uint32_t)worker);
        if (logs > standing->workers[worker].logs)
            standing->workers[worker].logs = logs;
        standing->workers[worker].entries_per_s += (uint64_t)json_integer_value(json_object_get(row, "entries_per_s"));
        standing->workers[worker].bytes_per_s += (uint64_t)json_integer_value(json_object_get(row, "bytes_per_s"));
    }
}

/* lags: the node does not have what is asked for, so its trouble comes before others'. */
static void
note_trouble(const char *name, const json_t *answer, bool lags, struct standing *standing)
{
    if (lags || standing->trouble[0] == '\0')
        cli_trouble_note(name, answer, standing->trouble, sizeof(standing->trouble));
}

/* wanted: the keys of a status row that have to be so; NULL: nothing has to be. */
static struct standing
standing_of(const struct cluster_config *cluster, const char *log, json_t *wanted)
{
    struct standing standing = {0};
    struct cli_answers answers = {0};

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    standing.silent = answers.silent;
    standing.error = answers.forbidden ? CAIRN_FORBIDDEN : CAIRN_CLOSED;
    snprintf(standing.detail, sizeof(standing.detail), "%s", cli_answers_detail(&answers));
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *answer = answers.by_node[i], *row = cli_log_row(answer, log);

        standing.answering += answer != NULL;
        note_trouble(cluster->names[i], answer, row == NULL || (wanted != NULL && !agrees(row, wanted)), &standing);
        take_workers(answer, &standing);
        if (row != NULL) {
            standing.knowing++;
            snprintf(standing.policy, sizeof(standing.policy), "%s", cli_text(row, "policy"));
            snprintf(standing.deny, sizeof(standing.deny), "%s", cli_text(row, "deny"));
            standing.worker = (uint32_t)json_integer_value(json_object_get(row, "worker"));
            standing.agreeing += wanted != NULL && agrees(row, wanted);
            if (!standing.led && json_array_size(json_object_get(row, "voters")) > 0)
                standing.voters = cli_set_of(cluster, json_object_get(row, "voters"));
            standing.led |= strcmp(cli_text(row, "role"), "leader") == 0;
        }
    }
    cli_answers_free(&answers);
    return standing;
}

/* Until every node that answers has it as asked and one leads. */
static int
wait_in_force(const struct cluster_config *cluster, const char *name, json_t *wanted, struct cli_waiting *waiting)
{
    uint64_t begun_ns = cli_now_ns(), end_ns = begun_ns + WAIT_NS;
    struct timespec pause = {.tv_nsec = 3000000};
    struct standing standing = {0};
    char note[520];

    cli_waits(waiting, "for log '%s' to be led", name);
    while (cli_now_ns() < end_ns) {
        standing = standing_of(cluster, name, wanted);
        if (standing.led && standing.agreeing == standing.answering)
            return 0;
        if (standing.led && standing.agreeing > cli_present_count(cluster) / 2 &&
            cli_now_ns() - begun_ns > LAGGARD_WAIT_NS) {
            fprintf(stderr, "cairn: note: log '%s' is known to %u of %u nodes%s; the others follow when they can\n",
                    name, standing.agreeing, cli_present_count(cluster), standing.trouble);
            return 0;
        }
        cli_waits(waiting, "for log '%s' to be known to %u of %u nodes and led%s", name, standing.answering,
                  cli_present_count(cluster), cli_silent_note(cluster, standing.silent, note, sizeof(note)));
        if (standing.knowing > 0 && standing.agreeing == 0 && standing.knowing == standing.answering)
            return cli_fail("log '%s' exists with policy %s, deny %s ('cairn log set' changes it)", name,
                            standing.policy, standing.deny);
        nanosleep(&pause, NULL);
    }
    return cli_fail("log '%s' is agreed on, but after 10 s %s%s ('cairn status' shows how it is)", name,
                    standing.led ? "not all nodes that answer have it as asked" : "no node leads it", standing.trouble);
}

static json_t *
names_of(const struct cluster_config *cluster, cairn_node_set set)
{
    json_t *names = json_array();

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (set >> i & 1)
            json_array_append_new(names, json_string(cluster->names[i]));
    }
    return names;
}

/* A log that is there already is not given other members by this. */
static int
refuse_other_members(const struct cluster_config *cluster, const char *name, const struct standing *standing,
                     cairn_node_set wanted)
{
    char text[CAIRN_NODES_MAX * (CAIRN_NAME_BYTES + 1)] = "";
    size_t used = 0;

    if (standing->knowing == 0 || wanted == 0 || standing->voters == 0 || wanted == standing->voters)
        return 0;
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (standing->voters >> i & 1)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used == 0 ? "" : ",", cluster->names[i]);
    }
    return cli_fail("log '%s' exists with members %s ('cairn member add' and 'remove' change them)", name, text);
}

/* The entry of the catalog that makes or changes a log: an operation, a name, and how the log is to be. */
static json_t *
catalog_entry(const char *operation, const char *name, json_t *rules)
{
    json_t *entry = json_pack("{s:s,s:s}", "op", operation, "name", name);

    json_object_update(entry, rules);
    return entry;
}

/* How much a worker has lately had to do, in steps of what is worth mentioning. An entry costs what some hundred bytes do. */
static uint64_t
load_of(const struct standing *standing, uint32_t worker)
{
    return (standing->workers[worker].entries_per_s * 128 + standing->workers[worker].bytes_per_s) >> 18;
}

/* Does one worker have less to do than the other: fewer entries and bytes lately, else fewer logs? */
static bool
is_less_loaded(const struct standing *standing, uint32_t one, uint32_t other)
{
    if (load_of(standing, one) != load_of(standing, other))
        return load_of(standing, one) < load_of(standing, other);
    return standing->workers[one].logs < standing->workers[other].logs;
}

/* The worker that is to have it: the one that is named (LOG_WORKER_ANY: none is), else of those with room the one with least to do. */
static int
choose_worker(const struct cluster_config *cluster, const char *name, const struct standing *standing, uint64_t named,
              uint32_t *out)
{
    struct agreed agreed = {.workers = 1};
    uint32_t most;

    cli_agreed(cluster, &agreed);
    most = agreed_logs_max(agreed.now.memory_mib, agreed.workers, agreed.durability);
    if (named != LOG_WORKER_ANY && named >= agreed.workers)
        return cli_fail("log '%s': there is no worker %lu (each node has %u, from 0 on)", name, (unsigned long)named,
                        agreed.workers);
    *out = named == LOG_WORKER_ANY ? 0 : (uint32_t)named;
    for (uint32_t worker = 1; worker < agreed.workers && named == LOG_WORKER_ANY; worker++) {
        bool fits = standing->workers[worker].logs < most, fitted = standing->workers[*out].logs < most;

        if (fits && (!fitted || is_less_loaded(standing, worker, *out)))
            *out = worker;
    }
    return standing->workers[*out].logs < most
               ? 0
               : cli_fail("log '%s': the cluster's memory_mib (%u) is enough for %u logs%s ('cairn cluster set "
                          "--memory-mib' raises it)",
                          name, agreed.now.memory_mib, most, agreed.workers > 1 ? " at each worker" : "");
}

/* A log that is there already is not moved by this. */
static int
refuse_other_worker(const char *name, const struct standing *standing, uint64_t named)
{
    return standing->knowing == 0 || named == LOG_WORKER_ANY || named == standing->worker
               ? 0
               : cli_fail("log '%s' exists at worker %u (it stays there)", name, standing->worker);
}

int
log_create(const struct cluster_config *cluster, const char *name, json_t *rules, const char *durability,
           const char *members, uint64_t named_worker)
{
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    struct standing standing = standing_of(cluster, name, NULL);
    cairn_node_set wanted;
    uint32_t worker = 0;
    json_t *entry;
    int status = cli_members(cluster, members, &wanted);

    if (status != 0 || (status = refuse_other_members(cluster, name, &standing, wanted)) != 0 ||
        (status = refuse_other_worker(name, &standing, named_worker)) != 0 ||
        (standing.knowing == 0 && (status = choose_worker(cluster, name, &standing, named_worker, &worker)) != 0))
        return status;
    entry = catalog_entry("create", name, rules);
    json_object_set_new(entry, "worker", json_integer(worker));
    if (durability != NULL)
        json_object_set_new(entry, "durability", json_string(durability));
    if (wanted != 0)
        json_object_set_new(entry, "members", names_of(cluster, wanted));
    status = cli_catalog_append(cluster, entry, standing.silent, &waiting, NULL);
    return status != 0 ? status : wait_in_force(cluster, name, rules, &waiting);
}

int
log_create_and_wait(const struct cluster_config *cluster, const char *name, enum cairn_policy policy,
                    enum cairn_deny deny, const char *durability, const char *members)
{
    json_t *rules = json_pack("{s:s,s:s}", "policy", cairn_policy_name(policy), "deny", cairn_deny_name(deny));
    int status = log_create(cluster, name, rules, durability, members, LOG_WORKER_ANY);

    json_decref(rules);
    return status;
}

int
log_set(const struct cluster_config *cluster, const char *operation, const char *name, json_t *rules)
{
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    struct standing standing = standing_of(cluster, name, NULL);
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct timespec pause = {.tv_nsec = 3000000};
    uint32_t nodes = cli_present_count(cluster);
    char note[520];
    int status;

    if (standing.answering == 0)
        return cli_unreached(standing.error, standing.detail);
    if (standing.knowing == 0)
        return cli_fail("no log '%s' ('cairn log create' makes it)", name);
    status = cli_catalog_append(cluster, catalog_entry(operation, name, rules), standing.silent, &waiting, NULL);
    while (status == 0 && cli_now_ns() < end_ns) {
        struct standing now = standing_of(cluster, name, rules);
        bool most = now.agreeing > nodes / 2;

        if (now.agreeing == nodes)
            return 0;
        /* A node that is cut off, or does not answer, cannot know yet. */
        if (most && (now.agreeing == now.answering || cli_now_ns() > end_ns - WAIT_NS + CUT_OFF_WAIT_NS)) {
            fprintf(stderr, "cairn: note: in force on %u of %u nodes; the others follow when they are in reach\n",
                    now.agreeing, nodes);
            return 0;
        }
        cli_waits(&waiting, "for the change to be in force on %u nodes, it is on %u%s", now.answering, now.agreeing,
                  cli_silent_note(cluster, now.silent, note, sizeof(note)));
        nanosleep(&pause, NULL);
    }
    return status != 0 ? status : cli_fail("the change is agreed on, but not even a majority has applied it yet");
}

json_t *
log_row(const struct cluster_config *cluster, const char *log, int *status)
{
    struct cli_answers answers = {0};
    const json_t *row = NULL;
    json_t *out;

    *status = cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers) == 0
                  ? cli_unanswered(cluster, CAIRN_NODE_NONE, &answers)
                  : 0;
    if (*status == 0)
        row = cli_leader_row(cluster, &answers, log);
    for (uint8_t i = 0; i < cluster->nodes && row == NULL; i++)
        row = cli_log_row(answers.by_node[i], log);
    out = json_deep_copy(row);
    cli_answers_free(&answers);
    return out;
}
