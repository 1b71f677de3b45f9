/* cairn log create|set|trim|list: entries of the catalog, and waiting until they are in force. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agree.h"
#include "plausible.h"

#define WAIT_NS 10000000000u
#define TRIM_WAIT_NS 1000000000u
#define CUT_OFF_WAIT_NS 500000000u
#define NOT_GIVEN UINT64_MAX
#define NS_PER_MS 1000000u
/* Within what nodes apply: what is agreed on comes into force. */
#define RETAIN_BYTES_MAX (1ull << 60)
#define RETAIN_AGE_MIN_NS 1000000000u
#define RETAIN_AGE_MAX_NS (36500ull * 86400 * 1000000000)

struct log_options {
    const char *cluster_file, *durability, *members, *when_cut, *from, *without;
    uint64_t retain_bytes, retain_age_ns, worker; /* NOT_GIVEN */
    uint64_t trim_before;                         /* 0: not given */
    int policy, deny;
    bool json;
};

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
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct timespec pause = {.tv_nsec = 3000000};
    char note[520];

    cli_waits(waiting, "for log '%s' to be led", name);
    while (cli_now_ns() < end_ns) {
        struct standing standing = standing_of(cluster, name, wanted);

        if (standing.led && standing.agreeing == standing.answering)
            return 0;
        cli_waits(waiting, "for log '%s' to be known to %u of %u nodes and led%s", name, standing.answering,
                  cli_present_count(cluster), cli_silent_note(cluster, standing.silent, note, sizeof(note)));
        if (standing.knowing > 0 && standing.agreeing == 0 && standing.knowing == standing.answering)
            return cli_fail("log '%s' exists with policy %s, deny %s ('cairn log set' changes it)", name,
                            standing.policy, standing.deny);
        nanosleep(&pause, NULL);
    }
    return cli_fail("log '%s' is agreed on, but no node leads it after 10 s ('cairn status' shows why)", name);
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

/* One that is there already is not given other members by this. */
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

/* Has the one less to do than the other: fewer entries and bytes lately, else fewer logs? */
static bool
is_less_loaded(const struct standing *standing, uint32_t one, uint32_t other)
{
    if (load_of(standing, one) != load_of(standing, other))
        return load_of(standing, one) < load_of(standing, other);
    return standing->workers[one].logs < standing->workers[other].logs;
}

/* The worker that is to have it: the one that is named (NOT_GIVEN: none is), else of those with room the one with least to do. */
static int
choose_worker(const struct cluster_config *cluster, const char *name, const struct standing *standing, uint64_t named,
              uint32_t *out)
{
    struct agreed agreed = {.workers = 1};
    uint32_t most;

    cli_agreed(cluster, &agreed);
    most = agreed_logs_max(agreed.now.memory_mib, agreed.workers, agreed.durability);
    if (named != NOT_GIVEN && named >= agreed.workers)
        return cli_fail("log '%s': there is no worker %lu (each node has %u, from 0 on)", name, (unsigned long)named,
                        agreed.workers);
    *out = named == NOT_GIVEN ? 0 : (uint32_t)named;
    for (uint32_t worker = 1; worker < agreed.workers && named == NOT_GIVEN; worker++) {
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

/* One that is there already is not moved by this. */
static int
refuse_other_worker(const char *name, const struct standing *standing, uint64_t named)
{
    return standing->knowing == 0 || named == NOT_GIVEN || named == standing->worker
               ? 0
               : cli_fail("log '%s' exists at worker %u (it stays there)", name, standing->worker);
}

static int
create_and_wait(const struct cluster_config *cluster, const char *name, json_t *rules, const char *durability,
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
    int status = create_and_wait(cluster, name, rules, durability, members, NOT_GIVEN);

    json_decref(rules);
    return status;
}

/* operation: "set", or "trim"; they differ in nothing but what is said to people. */
static int
set_and_wait(const struct cluster_config *cluster, const char *operation, const char *name, json_t *rules)
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
        /* Who is cut off, or does not answer, cannot know yet. */
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

/* Where the log begins at each node that answers; *behind: at one of them before lsn. */
static json_t *
beginnings(const struct cluster_config *cluster, const char *name, uint64_t lsn, bool *behind)
{
    struct cli_answers answers = {0};
    json_t *rows = json_array();

    *behind = false;
    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *row = cli_log_row(answers.by_node[i], name);

        if (row != NULL)
            json_array_append_new(rows, json_pack("{s:s,s:O,s:O}", "node", cluster->names[i], "first_lsn",
                                                  json_object_get(row, "first_lsn"), "commit_lsn",
                                                  json_object_get(row, "commit_lsn")));
        *behind |= row != NULL && (uint64_t)json_integer_value(json_object_get(row, "first_lsn")) < lsn;
    }
    cli_answers_free(&answers);
    return rows;
}

/* What is not there yet is not trimmed ahead of time: a wrong number would take what comes later. */
static int
refuse_beyond_end(const struct cluster_config *cluster, const char *name, uint64_t lsn)
{
    struct cli_answers answers = {0};
    json_int_t last_lsn = -1;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *row = cli_log_row(answers.by_node[i], name);
        json_int_t last = row == NULL ? -1 : json_integer_value(json_object_get(row, "last_lsn"));

        last_lsn = last > last_lsn ? last : last_lsn;
    }
    cli_answers_free(&answers);
    /* Where no node knows the log, that is said by who asks next. */
    if (last_lsn < 0 || lsn <= (uint64_t)last_lsn + 1)
        return 0;
    return cli_fail("nothing is trimmed: --before %lu is beyond the end of log '%s', whose last lsn is %lld",
                    (unsigned long)lsn, name, last_lsn);
}

static json_int_t
row_number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

/* Nothing has gone anywhere: that is no success, whatever is agreed on. */
static int
say_what_holds(const json_t *before, const json_t *rows)
{
    const json_t *row, *lowest = NULL;
    size_t i;

    json_array_foreach (rows, i, row) {
        const json_t *former;
        size_t j;

        json_array_foreach (before, j, former) {
            if (strcmp(cli_text(former, "node"), cli_text(row, "node")) == 0 &&
                row_number(former, "first_lsn") != row_number(row, "first_lsn"))
                return cli_end(EXIT_DONE);
        }
        if (lowest == NULL || row_number(row, "commit_lsn") < row_number(lowest, "commit_lsn"))
            lowest = row;
    }
    if (lowest == NULL)
        return cli_end(EXIT_DONE);
    return cli_fail(
        "the trim is agreed on, but nothing has gone on any node yet: what goes is committed, and held by every "
        "member in reach, of which %s has least, up to lsn %lld ('cairn status' shows how it is)",
        cli_text(lowest, "node"), row_number(lowest, "commit_lsn"));
}

/* Until every node that answers has given up what it may, or for a second: a member that lags behind holds it back. */
static int
trim_and_tell(const struct cluster_config *cluster, const char *name, uint64_t lsn, bool json)
{
    json_t *rules, *rows = NULL, *before, *row;
    uint64_t end_ns;
    struct timespec pause = {.tv_nsec = 10000000};
    struct cli_waiting waiting = {0};
    bool behind;
    int status;
    size_t i;

    if ((status = refuse_beyond_end(cluster, name, lsn)) != 0)
        return status;
    before = beginnings(cluster, name, lsn, &behind);
    rules = json_pack("{s:I}", "trim_before", (json_int_t)lsn);
    status = set_and_wait(cluster, "trim", name, rules);
    json_decref(rules);
    end_ns = cli_now_ns() + TRIM_WAIT_NS;
    behind = true;
    while (status == 0 && behind && cli_now_ns() < end_ns) {
        json_decref(rows);
        rows = beginnings(cluster, name, lsn, &behind);
        cli_waits(&waiting, "for all members to give up what is below lsn %lu (one that lags holds the others back)",
                  (unsigned long)lsn);
        nanosleep(&pause, NULL);
    }
    json_array_foreach (rows, i, row) {
        if (json)
            cli_row(json_incref(row));
        else
            printf("%s: begins at lsn %lld\n", cli_text(row, "node"),
                   json_integer_value(json_object_get(row, "first_lsn")));
    }
    if (status == 0)
        status = behind ? say_what_holds(before, rows) : cli_end(EXIT_DONE);
    json_decref(before);
    json_decref(rows);
    return status;
}

/* What is given on the command line of how a log is to be, in the words of a status row. */
static void
rules_of(const struct log_options *given, json_t *rules)
{
    if (given->policy >= 0)
        json_object_set_new(rules, "policy", json_string(cairn_policy_name((enum cairn_policy)given->policy)));
    if (given->deny != 0)
        json_object_set_new(rules, "deny", json_string(cairn_deny_name((enum cairn_deny)given->deny)));
    if (given->when_cut != NULL)
        json_object_set_new(rules, "when_cut", json_string(given->when_cut));
    if (given->retain_bytes != NOT_GIVEN)
        json_object_set_new(rules, "retain_bytes", json_integer((json_int_t)given->retain_bytes));
    if (given->retain_age_ns != NOT_GIVEN)
        json_object_set_new(rules, "retain_age_ms", json_integer((json_int_t)(given->retain_age_ns / NS_PER_MS)));
}

static void
list_row(const json_t *row)
{
    static const char *const keys[] = {"log",          "policy",        "deny",      "durability", "when_cut",
                                       "retain_bytes", "retain_age_ms", "first_lsn", "worker"};
    json_t *out = json_object();

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        json_object_set(out, keys[i], json_object_get(row, keys[i]));
    cli_row(out);
}

static void
print_log(const json_t *row)
{
    long long bytes = json_integer_value(json_object_get(row, "retain_bytes"));
    long long age_ms = json_integer_value(json_object_get(row, "retain_age_ms"));

    printf("%-24s %-9s deny %-7s %s, worker %lld", cli_text(row, "log"), cli_text(row, "policy"), cli_text(row, "deny"),
           cli_text(row, "durability"), json_integer_value(json_object_get(row, "worker")));
    if (strcmp(cli_text(row, "policy"), "ca") == 0)
        printf(", when cut %s", cli_text(row, "when_cut"));
    if (bytes != 0)
        printf(", keeps %lld bytes", bytes);
    if (age_ms != 0)
        printf(", keeps %lld s", age_ms / 1000);
    putchar('\n');
}

static int
list(const struct cluster_config *cluster, bool json)
{
    struct cli_answers answers = {0};
    const json_t *row;
    int status = EXIT_DONE;
    uint8_t node;
    size_t i;

    if (cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers) == 0)
        status = cli_unanswered(cluster, CAIRN_NODE_NONE, &answers);
    node = cli_knows_most_logs(cluster, &answers);
    json_array_foreach (node == CAIRN_NODE_NONE ? NULL : json_object_get(answers.by_node[node], "rows"), i, row) {
        if (cli_text(row, "log")[0] == '_')
            continue;
        if (json)
            list_row(row);
        else
            print_log(row);
    }
    cli_answers_free(&answers);
    return status == EXIT_DONE ? cli_end(status) : status;
}

static int
run_verb(const struct cluster_config *cluster, const char *verb, const char *name, struct log_options *given)
{
    json_t *rules = json_object();
    int status;

    if (strcmp(verb, "create") == 0 && given->deny == 0)
        given->deny = CAIRN_DENY_WRITES;
    rules_of(given, rules);
    if (strcmp(verb, "create") == 0)
        status = create_and_wait(cluster, name, rules, given->durability, given->members, given->worker);
    else if (json_object_size(rules) == 0)
        status = cli_usage("log set: nothing to change is given ('cairn log set --help' shows what there is)");
    else
        status = set_and_wait(cluster, "set", name, rules);
    json_decref(rules);
    return status;
}

static int
check_usage(const struct log_options *given, const char *verb, const char *name)
{
    char what[32];

    if (given->when_cut != NULL && given->policy >= 0 && given->policy != CAIRN_POLICY_CA)
        return cli_usage("log %s: --when-cut is for --policy ca (a log under %s has one way to go on)", verb,
                         cairn_policy_name((enum cairn_policy)given->policy));
    if (strcmp(verb, "create") == 0 && given->policy < 0)
        return cli_usage("log create: --policy cp|ap|adaptive|ca is missing");
    if (strcmp(verb, "trim") == 0 && given->trim_before == 0)
        return cli_usage("log trim: --before LSN says what may go: entries below LSN");
    /* Of the catalog it says itself why not. */
    if (name == NULL || (strcmp(verb, "adopt") == 0 && strcmp(name, CATALOG_NAME) == 0))
        return 0;
    snprintf(what, sizeof(what), "log %s", verb);
    return cli_log_name(what, name);
}

int
cmd_log(int argc, char **argv)
{
    struct log_options given = {
        .policy = -1, .retain_bytes = NOT_GIVEN, .retain_age_ns = NOT_GIVEN, .worker = NOT_GIVEN};
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &given.cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"policy", OPTION_POLICY, &given.policy, "what the log does when cut off from a majority",
         .verbs = "create|set"},
        {"deny", OPTION_DENY, &given.deny, "what a cut-off node denies; default writes", .verbs = "create|set"},
        {"when-cut", OPTION_WORD, &given.when_cut, "under ca, with a member cut off: deny, or go on as cp",
         .unit = "deny|cp", .verbs = "create|set"},
        {"members", OPTION_NODES, &given.members, "who votes in the beginning, e.g. n1,n2,n3; default all",
         .verbs = "create"},
        {"worker", OPTION_U64, &given.worker, "which worker of each node has it; default: the one with least to do",
         .max = CAIRN_WORKERS_MAX - 1, .verbs = "create"},
        {"durability", OPTION_WORD, &given.durability, "where its entries are; default: as the cluster file says",
         .unit = "memory|disk", .verbs = "create"},
        {"retain-bytes", OPTION_SIZE, &given.retain_bytes, "keep at least so much; 0: everything", .min = 1,
         .max = RETAIN_BYTES_MAX, .or_zero = true, .verbs = "create|set"},
        {"retain-age", OPTION_DURATION, &given.retain_age_ns, "keep what is younger (30s, 10m, 12h, 7d); 0: everything",
         .min = RETAIN_AGE_MIN_NS, .max = RETAIN_AGE_MAX_NS, .step = NS_PER_MS, .or_zero = true, .verbs = "create|set"},
        {"before", OPTION_U64, &given.trim_before, "entries below this lsn may go", .min = 2, .max = LSN_MAX,
         .verbs = "trim"},
        {"from", OPTION_NODE, &given.from, "the node whose history goes on; without it: what either choice loses",
         .verbs = "adopt"},
        {"without", OPTION_NODES, &given.without, "nodes that do not answer, given up unheard", .verbs = "adopt"},
        {"json", OPTION_FLAG, &given.json, "JSON rows"},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"create", "NAME", 1, 1}, {"set", "NAME", 1, 1}, {"trim", "NAME", 1, 1},
                                            {"adopt", "NAME", 1, 1},  {"list", "", 0, 0},    {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"log", .verbs = verbs, .options = options};
    struct cluster_config cluster;
    const char *verb;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    verb = argv[first];
    if ((status = check_usage(&given, verb, argv[first + 1])) != 0 ||
        (status = cli_cluster(given.cluster_file, &cluster)) != 0)
        return status;
    if ((status = cli_know_all(&cluster, given.cluster_file)) != 0)
        return status;
    if (strcmp(verb, "list") == 0)
        return list(&cluster, given.json);
    if (given.durability != NULL && strcmp(given.durability, "disk") == 0 && cluster.durability != CAIRN_DISK)
        return cli_fail("log '%s': the cluster keeps no journal ('durability: disk' in its file, or 'cairn dev "
                        "--durability disk', makes one that does)",
                        argv[first + 1]);
    if (strcmp(verb, "adopt") == 0)
        return cli_adopt(&cluster, argv[first + 1], given.from, given.without, given.json);
    if (strcmp(verb, "trim") == 0)
        return trim_and_tell(&cluster, argv[first + 1], given.trim_before, given.json);
    return run_verb(&cluster, verb, argv[first + 1], &given);
}
