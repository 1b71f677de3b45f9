/* cairn member add|remove|promote|transfer|replace: who holds a log, who votes, who leads, whose state is lost. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "dial.h"
#include "recover.h"

#define WAIT_NS 20000000000u
#define ATTEMPT_NS 2000000000u
#define DIAL_NS 100000000u
/* Before the next node is asked: to ask again does no harm. */
#define ANSWER_NS 300000000u

struct change {
    const struct cluster_config *cluster;
    enum cairn_member_op op;
    uint8_t node;
    uint64_t end_ns;
};

static void
rest(void)
{
    struct timespec pause = {.tv_nsec = 5000000};

    nanosleep(&pause, NULL);
}

/* One attempt at one node. */
static enum cairn_error
attempt(const struct change *change, uint8_t via, const char *log, struct cairn_result *result)
{
    uint64_t end_ns = cli_now_ns() + ANSWER_NS;
    struct cairn_client *client;
    char path[384], detail[256];
    enum cairn_error error;
    uint32_t id;

    snprintf(path, sizeof(path), "%s/%s.sock", change->cluster->directory, change->cluster->names[via]);
    error = client_connect(path, true, DIAL_NS, &client, detail, sizeof(detail));
    if (error != CAIRN_OK)
        return error;
    error = cairn_open(client, log, DIAL_NS, &id, detail, sizeof(detail));
    if (error == CAIRN_OK)
        error = cairn_member(client, id, change->op, change->node, 1);
    if (error == CAIRN_OK) {
        error = CAIRN_TIMEOUT;
        while (error == CAIRN_TIMEOUT && cli_now_ns() < end_ns) {
            int found = cairn_poll(client, result);

            if (found != 0)
                error = found < 0 ? CAIRN_CLOSED : result->error;
            else
                cairn_wait(client, 2000000);
        }
    }
    cairn_disconnect(client);
    return error;
}

/* Round and round, among those that are of the cluster. */
static uint8_t
next_of(const struct cluster_config *cluster, uint8_t node)
{
    do
        node = (uint8_t)((node + 1) % cluster->nodes);
    while (!(cli_present(cluster) >> node & 1));
    return node;
}

/* Goes to the leader, wherever that is by now, and waits out what is only a matter of time. */
static enum cairn_error
change_log(const struct change *change, const char *log)
{
    enum cairn_error error = CAIRN_NO_LEADER;
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    cairn_node_set lacking = 0;
    uint8_t via = next_of(change->cluster, (uint8_t)(change->cluster->nodes - 1));

    while (cli_now_ns() < change->end_ns) {
        struct cairn_result result = {.leader = CAIRN_NODE_NONE};

        error = attempt(change, via, log, &result);
        if (error != CAIRN_NO_LOG)
            lacking &= ~((cairn_node_set)1 << via);
        switch (error) {
        case CAIRN_NOT_LEADER:
            if (result.leader < change->cluster->nodes && result.leader != via) {
                via = result.leader;
                continue;
            }
            break;
        case CAIRN_AGAIN:
        case CAIRN_BEHIND:
        case CAIRN_UNKNOWN:
            break;
        /* Another may know better, or have room. */
        case CAIRN_NO_LOG:
            lacking |= (cairn_node_set)1 << via;
            if ((lacking & cli_present(change->cluster)) == cli_present(change->cluster))
                return error;
            via = next_of(change->cluster, via);
            break;
        case CAIRN_RECOVERING:
        case CAIRN_FULL:
        case CAIRN_NO_LEADER:
        case CAIRN_TIMEOUT:
        case CAIRN_CLOSED:
        case CAIRN_IO:
            via = next_of(change->cluster, via);
            break;
        default:
            return error;
        }
        cli_waits(&waiting, "for the leader of log '%s' to make the change: %s", log, cairn_error_text(error));
        rest();
    }
    return error;
}

static const char *
leader_of(const struct cluster_config *cluster, const char *log, char *name, size_t name_bytes)
{
    struct cli_answers answers = {0};
    json_int_t term = -1;

    name[0] = '\0';
    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *row = cli_log_row(answers.by_node[i], log);

        /* A former leader may not know yet that it is. */
        if (strcmp(cli_text(row, "role"), "leader") != 0 || json_integer_value(json_object_get(row, "term")) <= term)
            continue;
        term = json_integer_value(json_object_get(row, "term"));
        snprintf(name, name_bytes, "%s", cli_text(row, "node"));
    }
    cli_answers_free(&answers);
    return name;
}

/* A transfer has only begun when it is answered. */
static enum cairn_error
wait_for_leader(const struct change *change, const char *log)
{
    char name[CAIRN_NAME_BYTES];
    uint64_t end_ns = cli_now_ns() + ATTEMPT_NS;
    struct cli_waiting waiting = {0};

    while (cli_now_ns() < end_ns) {
        cli_waits(&waiting, "for %s to lead log '%s'", change->cluster->names[change->node], log);
        if (strcmp(leader_of(change->cluster, log, name, sizeof(name)), change->cluster->names[change->node]) == 0)
            return CAIRN_OK;
        rest();
    }
    return CAIRN_TIMEOUT;
}

static enum cairn_error
apply_to(struct change *change, const char *log, bool learner)
{
    enum cairn_error error = change_log(change, log);

    if (error == CAIRN_OK && change->op == CAIRN_MEMBER_TRANSFER)
        return wait_for_leader(change, log);
    /* A new voter is a learner first, until it has caught up. */
    if (error == CAIRN_OK && change->op == CAIRN_MEMBER_ADD && !learner) {
        struct change promote = *change;

        promote.op = CAIRN_MEMBER_PROMOTE;
        return change_log(&promote, log);
    }
    return error;
}

/* Every log that any node which answers knows of; the one that is to be a member may know of none yet. */
static json_t *
all_logs(const struct cluster_config *cluster, enum cairn_error *error, char *detail, size_t detail_bytes)
{
    struct cli_answers answers = {0};
    json_t *names;
    const json_t *row;
    uint8_t node;
    size_t j;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    *error = answers.forbidden ? CAIRN_FORBIDDEN : CAIRN_CLOSED;
    snprintf(detail, detail_bytes, "%s", cli_answers_detail(&answers));
    node = cli_knows_most_logs(cluster, &answers);
    names = node == CAIRN_NODE_NONE ? NULL : json_array();
    json_array_foreach (node == CAIRN_NODE_NONE ? NULL : json_object_get(answers.by_node[node], "rows"), j, row) {
        json_array_append(names, json_object_get(row, "log"));
    }
    cli_answers_free(&answers);
    return names;
}

static int
apply_to_all(struct change *change, const json_t *names, bool learner, bool json)
{
    const json_t *name;
    int status = EXIT_DONE;
    size_t i;

    json_array_foreach (names, i, name) {
        const char *log = json_string_value(name);
        enum cairn_error error = apply_to(change, log, learner);

        if (json)
            cli_row(json_pack("{s:s,s:s,s:b,s:s}", "log", log, "node", change->cluster->names[change->node], "ok",
                              error == CAIRN_OK, "error", error == CAIRN_OK ? "" : cairn_error_name(error)));
        else if (error == CAIRN_OK)
            printf("%s: done\n", log);
        if (error != CAIRN_OK && status == EXIT_DONE) {
            cli_fail("log '%s': %s", log, cairn_error_text(error));
            status = cli_exit_status(error);
        }
    }
    return status;
}

/* log: NULL: all there are. */
static int
change_logs(struct change *change, const char *log, bool learner, bool json)
{
    char detail[256] = "";
    enum cairn_error error = CAIRN_CLOSED;
    json_t *names = log != NULL ? json_pack("[s]", log) : all_logs(change->cluster, &error, detail, sizeof(detail));
    int status;

    if (names == NULL)
        return cli_unreached(error, detail);
    change->end_ns = cli_now_ns() + WAIT_NS;
    status = apply_to_all(change, names, learner, json);
    json_decref(names);
    return status;
}

int
cli_member_add(const struct cluster_config *cluster, uint8_t node, bool json)
{
    struct change change = {.cluster = cluster, .op = CAIRN_MEMBER_ADD, .node = node};

    return change_logs(&change, NULL, false, json);
}

int
cli_member_of(const struct cluster_config *cluster, const char *log, uint8_t node, bool votes)
{
    struct change change = {.cluster = cluster, .op = CAIRN_MEMBER_ADD, .node = node, .end_ns = cli_now_ns() + WAIT_NS};
    enum cairn_error error = apply_to(&change, log, !votes);

    return error == CAIRN_OK ? EXIT_DONE
                             : (cli_fail("log '%s': %s", log, cairn_error_text(error)), cli_exit_status(error));
}

static bool
parse_op(const char *word, enum cairn_member_op *out)
{
    static const char *const words[] = {"add", "promote", "remove", "transfer"};

    for (unsigned i = 0; i < 4; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (enum cairn_member_op)i;
            return true;
        }
    }
    return false;
}

int
cmd_member(int argc, char **argv)
{
    const char *cluster_file = NULL, *log = NULL;
    bool json = false, learner = false, replace;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"log", OPTION_LOG, &log, "only this log; default: all of them", .verbs = "add|remove|promote|transfer"},
        {"learner", OPTION_FLAG, &learner, "leave it a learner, which holds the log and does not vote", .verbs = "add"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"add", "NODE", 1, 1},     {"remove", "NODE", 1, 1},
                                            {"promote", "NODE", 1, 1}, {"transfer", "NODE", 1, 1},
                                            {"replace", "NODE", 1, 1}, {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"member", .verbs = verbs, .options = options};
    struct cluster_config cluster;
    struct change change = {.cluster = &cluster};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    replace = !parse_op(argv[first], &change.op);
    if ((status = cli_cluster(cluster_file, &cluster)) != 0)
        return status;
    cli_know_all(&cluster);
    if ((status = cli_node(&cluster, argv[first + 1], &change.node)) != 0)
        return status;
    if (replace)
        return cli_replace(&cluster, change.node, json);
    return cli_end(change_logs(&change, log, learner, json));
}
