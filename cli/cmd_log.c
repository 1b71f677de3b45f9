/* cairn log create|set|trim|list: entries of the catalog, and waiting until they are in force. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/log_change.h"
#include "cli/log_copy.h"
#include "replication/plausible.h"

#define TRIM_WAIT_NS 1000000000u
#define NOT_GIVEN LOG_WORKER_ANY
#define NS_PER_MS 1000000u
/* Within what nodes apply: what is agreed on comes into force. */
#define RETAIN_BYTES_MAX (1ull << 60)
#define RETAIN_AGE_MIN_NS 1000000000u
#define RETAIN_AGE_MAX_NS (36500ull * 86400 * 1000000000)

struct log_options {
    const char *cluster_file, *durability, *members, *when_cut, *from, *without, *to, *as;
    uint64_t retain_bytes, retain_age_ns, worker; /* NOT_GIVEN */
    uint64_t trim_before;                         /* 0: not given */
    int policy, deny;
    bool opens, switches, json;
};

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

/* Entries that are not there yet are not trimmed ahead of time: a wrong number would take what comes later. */
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
    /* Where no node knows the log, the command that asks next says so. */
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
    status = log_set(cluster, "trim", name, rules);
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
    if (given->opens)
        json_object_update_new(rules, json_pack("{s:i,s:i}", "writer", 0, "sealed", 0));
    if (given->retain_age_ns != NOT_GIVEN)
        json_object_set_new(rules, "retain_age_ms", json_integer((json_int_t)(given->retain_age_ns / NS_PER_MS)));
}

static void
list_row(const json_t *row)
{
    static const char *const keys[] = {"log",           "policy",    "deny",   "durability", "when_cut", "retain_bytes",
                                       "retain_age_ms", "first_lsn", "worker", "writer",     "sealed"};
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
    if (json_integer_value(json_object_get(row, "sealed")) != 0)
        printf(", sealed");
    else if (json_integer_value(json_object_get(row, "writer")) != 0)
        printf(", a copy under way");
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
        status = log_create(cluster, name, rules, given->durability, given->members, given->worker);
    else if (json_object_size(rules) == 0)
        status = cli_usage("log set: nothing to change is given ('cairn log set --help' shows what there is)");
    else
        status = log_set(cluster, "set", name, rules);
    json_decref(rules);
    return status;
}

static int
copy(const struct cluster_config *from, const char *name, const struct log_options *given)
{
    struct cluster_config to;
    struct log_copy asked = {
        .from = from,
        .to = &to,
        .log = name,
        .as = given->as == NULL ? name : given->as,
        .worker = given->worker,
        .switches = given->switches,
        .json = given->json,
    };
    struct cairn_id here, there;
    int status = cli_cluster(given->to, &to);

    if (status != 0 || (status = cli_know_all(&to, given->to)) != 0)
        return status;
    if (strcmp(asked.as, name) == 0 && cli_cluster_identity(from, &here) && cli_cluster_identity(&to, &there) &&
        cairn_id_equal(&here, &there))
        return cli_fail("log '%s' is of that cluster: a copy of it there needs a name of its own (--as NAME)", name);
    return log_copy(&asked);
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
    if (strcmp(verb, "copy") == 0 && given->to == NULL)
        return cli_usage("log copy: --to FILE says where the copy is to be: the cluster file there");
    if (given->as != NULL && cli_log_name("log copy --as", given->as) != 0)
        return EXIT_USAGE;
    /* About the catalog, adopt itself says why not. */
    if (name == NULL || (strcmp(verb, "adopt") == 0 && strcmp(name, CATALOG_NAME) == 0))
        return 0;
    snprintf(what, sizeof(what), "log %s", verb);
    return cli_log_name(what, name);
}

static int
carry_out(const struct cluster_config *cluster, const char *verb, const char *name, struct log_options *given)
{
    if (strcmp(verb, "list") == 0)
        return list(cluster, given->json);
    if (given->durability != NULL && strcmp(given->durability, "disk") == 0 && cluster->durability != CAIRN_DISK)
        return cli_fail("log '%s': the cluster keeps no journal ('durability: disk' in its file, or 'cairn dev "
                        "--durability disk', makes one that does)",
                        name);
    if (strcmp(verb, "adopt") == 0)
        return cli_adopt(cluster, name, given->from, given->without, given->json);
    if (strcmp(verb, "copy") == 0)
        return copy(cluster, name, given);
    if (strcmp(verb, "trim") == 0)
        return trim_and_tell(cluster, name, given->trim_before, given->json);
    return run_verb(cluster, verb, name, given);
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
         .max = CAIRN_WORKERS_MAX - 1, .verbs = "create|copy"},
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
        {"open", OPTION_FLAG, &given.opens, "take anybody's entries again, after a copy that was given up",
         .verbs = "set"},
        {"to", OPTION_FILE, &given.to, "the cluster file of where the copy is to be", .verbs = "copy"},
        {"as", OPTION_LOG, &given.as, "the copy's name; default: the log's", .verbs = "copy"},
        {"switch", OPTION_FLAG, &given.switches, "then seal the log, copy the rest, and let producers at the copy",
         .verbs = "copy"},
        {"json", OPTION_FLAG, &given.json, "JSON rows"},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"create", "NAME", 1, 1}, {"set", "NAME", 1, 1},  {"trim", "NAME", 1, 1},
                                            {"adopt", "NAME", 1, 1},  {"copy", "NAME", 1, 1}, {"list", "", 0, 0},
                                            {NULL, NULL, 0, 0}};
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
    return carry_out(&cluster, verb, argv[first + 1], &given);
}
