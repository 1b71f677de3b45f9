/* cairn log create|set|list: entries of the catalog, and waiting until they are in force. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define WAIT_NS 10000000000u

static bool
name_is_good(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= CAIRN_NAME_BYTES || name[0] == '_')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

/* How a log stands over the nodes that answer. */
struct standing {
    uint32_t answering, knowing, agreeing, logs;
    bool led;
    char policy[16], deny[16];
};

static struct standing
standing_of(const struct cluster_config *cluster, const char *log, const char *policy, const char *deny)
{
    struct standing standing = {0};
    char detail[256];

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        json_t *answer = cli_ask(cluster, i, json_pack("{s:s}", "cmd", "status"), detail, sizeof(detail));
        const json_t *row = cli_log_row(answer, log);

        standing.answering += answer != NULL;
        if (json_array_size(json_object_get(answer, "rows")) > standing.logs + 1)
            standing.logs = (uint32_t)json_array_size(json_object_get(answer, "rows")) - 1;
        if (row != NULL) {
            standing.knowing++;
            snprintf(standing.policy, sizeof(standing.policy), "%s", cli_text(row, "policy"));
            snprintf(standing.deny, sizeof(standing.deny), "%s", cli_text(row, "deny"));
            standing.agreeing += policy != NULL && strcmp(cli_text(row, "policy"), policy) == 0 &&
                                 strcmp(cli_text(row, "deny"), deny) == 0;
            standing.led |= strcmp(cli_text(row, "role"), "leader") == 0;
        }
        json_decref(answer);
    }
    return standing;
}

static int
catalog_append(const struct cluster_config *cluster, json_t *change)
{
    const char *names[CAIRN_NODES_MAX];
    struct session_sockets sockets = cli_sockets(cluster, names);
    struct session_config config = {
        .nodes = cluster->nodes,
        .connect = session_connect_shm,
        .connect_context = &sockets,
        .log = "_catalog",
        .via = CAIRN_NODE_NONE,
        .ack = CAIRN_ACK_MAJORITY,
        .deadline_ns = WAIT_NS,
    };
    struct session_result result;
    struct session *session;
    struct cairn_entry entry;
    char *text = json_dumps(change, JSON_COMPACT), detail[256] = "";
    enum cairn_error error;

    json_decref(change);
    error = session_open(&config, &session, detail, sizeof(detail));
    if (error != CAIRN_OK) {
        free(text);
        return cli_fail("the cluster is down: %s", detail);
    }
    entry = (struct cairn_entry){.payload = text, .payload_bytes = (uint32_t)strlen(text)};
    session_append(session, &entry);
    while (!session_poll(session, &result))
        session_wait(session);
    session_close(session);
    free(text);
    if (result.error == CAIRN_OK)
        return 0;
    cli_fail("the catalog cannot be changed: %s (reaching %u of %u)", cairn_error_text(result.error),
             result.result.reached, cluster->nodes);
    return cli_exit_status(result.error);
}

/* Until every node that answers has it as asked and one leads. */
static int
wait_in_force(const struct cluster_config *cluster, const char *name, const char *policy, const char *deny)
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct timespec pause = {.tv_nsec = 3000000};

    while (cli_now_ns() < end_ns) {
        struct standing standing = standing_of(cluster, name, policy, deny);

        if (standing.led && standing.agreeing == standing.answering)
            return 0;
        if (standing.knowing > 0 && standing.agreeing == 0 && standing.knowing == standing.answering)
            return cli_fail("log '%s' exists with policy %s, deny %s ('cairn log set' changes it)", name,
                            standing.policy, standing.deny);
        nanosleep(&pause, NULL);
    }
    return cli_fail("log '%s' is agreed on, but no node leads it after 10 s ('cairn status' shows why)", name);
}

/* "n1,n2" as a list of names that the cluster has. */
static int
member_names(const struct cluster_config *cluster, const char *members, json_t *names)
{
    char text[512], *rest = NULL;

    snprintf(text, sizeof(text), "%s", members == NULL ? "" : members);
    for (char *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        uint8_t node;
        int status = cli_node(cluster, word, &node);

        if (status != 0)
            return status;
        json_array_append_new(names, json_string(word));
    }
    return 0;
}

int
log_create_and_wait(const struct cluster_config *cluster, const char *name, enum cairn_policy policy,
                    enum cairn_deny deny, const char *durability, const char *members)
{
    struct standing standing = standing_of(cluster, name, NULL, NULL);
    json_t *names = json_array(), *entry;
    int status = member_names(cluster, members, names);

    if (status != 0) {
        json_decref(names);
        return status;
    }

    if (standing.knowing == 0 && standing.logs >= cluster_logs_max(cluster))
        return cli_fail("log '%s': the cluster's memory_mib (%u) is enough for %u logs (raise it in the cluster file)",
                        name, cluster->memory_mib, cluster_logs_max(cluster));
    if (!name_is_good(name))
        return cli_usage("'%s' is no name for a log (1 to 63 letters, digits, '.', '-' and '_', not starting with _)",
                         name);
    entry = json_pack("{s:s,s:s,s:s,s:s}", "op", "create", "name", name, "policy", cairn_policy_name(policy), "deny",
                      cairn_deny_name(deny));
    if (durability != NULL)
        json_object_set_new(entry, "durability", json_string(durability));
    if (json_array_size(names) > 0)
        json_object_set(entry, "members", names);
    json_decref(names);
    status = catalog_append(cluster, entry);
    return status != 0 ? status : wait_in_force(cluster, name, cairn_policy_name(policy), cairn_deny_name(deny));
}

static int
set_and_wait(const struct cluster_config *cluster, const char *name, const char *policy_given, const char *deny_given)
{
    struct standing standing = standing_of(cluster, name, NULL, NULL);
    const char *policy = policy_given != NULL ? policy_given : standing.policy;
    const char *deny = deny_given != NULL ? deny_given : standing.deny;
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct timespec pause = {.tv_nsec = 3000000};
    int status;

    if (standing.answering == 0)
        return cli_fail("the cluster is down: no node answers ('cairn dev' starts one)");
    if (standing.knowing == 0)
        return cli_fail("no log '%s' ('cairn log create' makes it)", name);
    status = catalog_append(cluster,
                            json_pack("{s:s,s:s,s:s,s:s}", "op", "set", "name", name, "policy", policy, "deny", deny));
    while (status == 0 && cli_now_ns() < end_ns) {
        struct standing now = standing_of(cluster, name, policy, deny);

        if (now.agreeing == now.answering)
            return 0;
        nanosleep(&pause, NULL);
    }
    return status != 0 ? status : cli_fail("the change is agreed on, but not every node has applied it yet");
}

static int
list(const struct cluster_config *cluster, bool json)
{
    char detail[256] = "";

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        json_t *answer = cli_ask(cluster, i, json_pack("{s:s}", "cmd", "status"), detail, sizeof(detail)), *row;
        size_t j;

        if (answer == NULL)
            continue;
        json_array_foreach (json_object_get(answer, "rows"), j, row) {
            if (cli_text(row, "log")[0] == '_')
                continue;
            if (json)
                cli_row(json_pack("{s:s,s:s,s:s,s:s}", "log", cli_text(row, "log"), "policy", cli_text(row, "policy"),
                                  "deny", cli_text(row, "deny"), "durability", cli_text(row, "durability")));
            else
                printf("%-24s %-9s deny %-7s %s\n", cli_text(row, "log"), cli_text(row, "policy"),
                       cli_text(row, "deny"), cli_text(row, "durability"));
        }
        json_decref(answer);
        return cli_end(EXIT_DONE);
    }
    return cli_fail("the cluster is down: %s", detail);
}

int
cmd_log(int argc, char **argv)
{
    const char *cluster_file = NULL, *durability = NULL, *members = NULL;
    enum cairn_durability parsed = CAIRN_MEMORY;
    int policy = -1, deny = 0;
    bool json = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_TEXT, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"policy", OPTION_POLICY, &policy, "what the log does when cut off from a majority"},
        {"deny", OPTION_DENY, &deny, "what a cut-off node denies; default writes"},
        {"members", OPTION_TEXT, &members, "create: who votes in the beginning, e.g. n1,n2,n3 (all)"},
        {"durability", OPTION_TEXT, &durability, "create: memory or disk; default: as the cluster file says"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    struct cluster_config cluster;
    const char *verb;
    int first, status;

    if (!cli_parse(argc, argv, "log create|set|list [NAME] [OPTIONS]", options, 1, 2, &first, &status))
        return status;
    verb = argv[first];
    if (strcmp(verb, "list") != 0 && strcmp(verb, "create") != 0 && strcmp(verb, "set") != 0)
        return cli_usage("log: unknown verb '%s' (create, set, list)", verb);
    if (strcmp(verb, "list") != 0 && argc - first != 2)
        return cli_usage("log %s: a NAME is missing", verb);
    if (durability != NULL && !cairn_durability_parse(durability, &parsed))
        return cli_usage("log: --durability does not take '%s' (memory, disk)", durability);
    if (durability != NULL && strcmp(verb, "create") != 0)
        return cli_usage("log %s: --durability is chosen when a log is created", verb);
    if (strcmp(verb, "create") == 0 && policy < 0)
        return cli_usage("log create: --policy cp|ap|adaptive|ca is missing");
    if ((status = cli_cluster(cluster_file, &cluster)) != 0)
        return status;
    if (strcmp(verb, "list") == 0)
        return list(&cluster, json);
    if (durability != NULL && parsed == CAIRN_DISK && cluster.durability != CAIRN_DISK)
        return cli_fail("log '%s': the cluster keeps no journal ('durability: disk' in its file, or 'cairn dev "
                        "--durability disk', makes one that does)",
                        argv[first + 1]);
    if (strcmp(verb, "create") == 0)
        return log_create_and_wait(&cluster, argv[first + 1], (enum cairn_policy)policy,
                                   deny == 0 ? CAIRN_DENY_WRITES : (enum cairn_deny)deny, durability, members);
    return set_and_wait(&cluster, argv[first + 1], policy < 0 ? NULL : cairn_policy_name((enum cairn_policy)policy),
                        deny == 0 ? NULL : cairn_deny_name((enum cairn_deny)deny));
}
