/* cairn cluster: that a cluster comes to be, what its nodes agree on, and that it goes on where too few are left. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "recover.h"

#define WAIT_NS 5000000000u

/* One node's answer, or with CAIRN_NODE_NONE that of whoever can be asked from here; the caller frees it. */
static json_t *
ask(const struct cluster_config *cluster, const char *command, uint8_t via, uint8_t *who, char *detail,
    size_t detail_bytes)
{
    struct cli_answers answers = {0};
    json_t *answer = NULL;

    cli_ask_all(cluster, command, via, CLI_FIRST, &answers);
    for (uint8_t i = 0; i < cluster->nodes && answer == NULL; i++) {
        *who = i;
        answer = json_incref(answers.by_node[i]);
    }
    snprintf(detail, detail_bytes, "%s", cli_answers_detail(&answers));
    cli_answers_free(&answers);
    return answer;
}

static bool
is_ok(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "ok"));
}

static int
tell_founded(const struct cluster_config *cluster, const json_t *answer, bool json)
{
    const json_t *standing = json_object_get(answer, "standing");

    if (json) {
        json_t *names = json_array();

        for (uint8_t i = 0; i < cluster->nodes; i++)
            json_array_append_new(names, json_string(cluster->names[i]));
        cli_row(
            json_pack("{s:s,s:s,s:o}", "state", "founded", "cluster", cli_text(standing, "cluster"), "nodes", names));
    } else {
        printf("founded: cluster %s of %u nodes\n", cli_text(standing, "cluster"), cluster->nodes);
    }
    return cli_end(EXIT_DONE);
}

/* Until every node has heard of it, and somebody leads the catalog: then it can be used. */
static void
wait_until_served(const struct cluster_config *cluster, uint8_t via, uint64_t end_ns)
{
    struct timespec pause = {.tv_nsec = 5000000};
    bool served = false;
    char detail[256];

    while (!served && cli_now_ns() < end_ns) {
        uint8_t who;
        json_t *answer = ask(cluster, "status", via, &who, detail, sizeof(detail));
        const json_t *catalog = json_array_get(json_object_get(answer, "rows"), 0);

        served = json_array_size(json_object_get(answer, "reach")) == cluster->nodes &&
                 json_is_string(json_object_get(catalog, "leader"));
        json_decref(answer);
        if (!served)
            nanosleep(&pause, NULL);
    }
}

/* The first node asks the others: all must be there, and wait. It alone founds, so that two who ask at the same time
 * cannot found two. */
static int
bootstrap(const struct cluster_config *cluster, bool json)
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct timespec pause = {.tv_nsec = 5000000};
    char detail[512] = "";

    while (cli_now_ns() < end_ns) {
        uint8_t who;
        json_t *answer = ask(cluster, "bootstrap", 0, &who, detail, sizeof(detail));
        int status = -1;

        if (answer == NULL)
            return cli_fail("no cluster is founded: %s (%s founds it: run this where that runs, once all nodes do)",
                            detail, cluster->names[0]);
        if (!is_ok(answer))
            status = cli_fail("no cluster is founded: %s", cli_text(answer, "detail"));
        else if (strcmp(cli_text(answer, "state"), "founded") == 0) {
            wait_until_served(cluster, 0, end_ns);
            status = tell_founded(cluster, answer, json);
        }
        json_decref(answer);
        if (status >= 0)
            return status;
        nanosleep(&pause, NULL);
    }
    return cli_fail("no cluster is founded: %s does not say what became of it ('cairn status' shows it)",
                    cluster->names[0]);
}

static int
show(const struct cluster_config *cluster, uint8_t via, bool json)
{
    char detail[512] = "";
    uint8_t who;
    json_t *answer = ask(cluster, "cluster", via, &who, detail, sizeof(detail)), *row;
    size_t i;

    if (answer == NULL)
        return cli_fail("the cluster is down: %s", detail);
    if (!is_ok(answer)) {
        int status = cli_fail("%s", cli_text(answer, "detail"));

        json_decref(answer);
        return status;
    }
    if (!json)
        printf("cluster %s, as %s has it: heartbeat %lld us, timeout %lld us, durability %s, memory %lld MiB\n",
               cli_text(answer, "cluster"), cluster->names[who],
               json_integer_value(json_object_get(answer, "heartbeat_us")),
               json_integer_value(json_object_get(answer, "timeout_us")), cli_text(answer, "durability"),
               json_integer_value(json_object_get(answer, "memory_mib")));
    json_array_foreach (json_object_get(answer, "rows"), i, row) {
        if (json)
            cli_row(json_incref(row));
        else
            printf("%-10s member %s, life %lld (%s)\n", cli_text(row, "node"), cli_text(row, "member"),
                   json_integer_value(json_object_get(row, "start")), cli_text(row, "life"));
    }
    json_decref(answer);
    return cli_end(EXIT_DONE);
}

int
cmd_cluster(int argc, char **argv)
{
    const char *cluster_file = NULL, *via = NULL, *from = NULL, *without = NULL, *verb;
    bool json = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_TEXT, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"via", OPTION_TEXT, &via, "show: ask this node"},
        {"from", OPTION_TEXT, &from, "recover: go on from what this node holds"},
        {"without", OPTION_TEXT, &without, "recover: give up what these nodes may hold, names with commas"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    struct cluster_config cluster;
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, "cluster bootstrap|show|recover [OPTIONS]", options, 1, 1, &first, &status))
        return status;
    verb = argv[first];
    if (strcmp(verb, "bootstrap") != 0 && strcmp(verb, "show") != 0 && strcmp(verb, "recover") != 0)
        return cli_usage("cluster: unknown verb '%s' (bootstrap, show, recover)", verb);
    if (strcmp(verb, "recover") == 0 && from == NULL)
        return cli_usage("cluster recover: --from NODE says whose state is what counts from now on");
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 ||
        (status = cli_node(&cluster, from != NULL ? from : via, &node)) != 0)
        return status;
    if (strcmp(verb, "recover") == 0)
        return cli_recover(&cluster, node, without, json);
    return strcmp(verb, "show") == 0 ? show(&cluster, node, json) : bootstrap(&cluster, json);
}
