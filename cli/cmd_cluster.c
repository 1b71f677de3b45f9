/* cairn cluster: that a cluster comes to be, what its nodes agree on, and that it goes on where too few are left. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli/agree.h"
#include "cli/recover.h"

#define WAIT_NS 5000000000u

/* One node's answer, or with CAIRN_NODE_NONE that of whoever can be asked from here; the caller frees it. */
static json_t *
ask(const struct cluster_config *cluster, const char *command, uint8_t via, uint8_t *who, char *detail,
    size_t detail_bytes)
{
    struct cli_answers answers = {0};
    json_t *answer;

    cli_ask_all(cluster, command, via, CLI_FIRST, &answers);
    *who = cli_answerer(cluster, &answers);
    answer = *who == CAIRN_NODE_NONE ? NULL : json_incref(answers.by_node[*who]);
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

        for (uint8_t i = 0; i < cluster->nodes; i++) {
            if (cli_present(cluster) >> i & 1)
                json_array_append_new(names, json_string(cluster->names[i]));
        }
        cli_row(
            json_pack("{s:s,s:s,s:o}", "state", "founded", "cluster", cli_text(standing, "cluster"), "nodes", names));
    } else {
        printf("founded: cluster %s of %u nodes\n", cli_text(standing, "cluster"), cli_present_count(cluster));
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

        served = json_array_size(json_object_get(answer, "reach")) == cli_present_count(cluster) &&
                 json_is_string(json_object_get(catalog, "leader"));
        json_decref(answer);
        if (!served)
            nanosleep(&pause, NULL);
    }
}

/* The first node asks the others: all must be there, and wait. It alone founds, so that two who ask at the same time
 * cannot found two. */
static int
bootstrap(struct cluster_config *cluster, bool json)
{
    struct agreed agreed;
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
            /* By the files of its nodes, which may list others than this one. */
            if (cli_agreed_said(cluster, CLI_FIRST, &agreed))
                cli_go_by(cluster, &agreed);
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

struct given {
    uint32_t heartbeat_us, timeout_us, clock_bound_ms, memory_mib;
};

/* What `set`, `add` and `remove` ask for; 0, or what to exit with. */
static int
take_change(const char *verb, const char *name, const struct given *given, struct agreed_change *out)
{
    *out = (struct agreed_change){
        .heartbeat_ns = given->heartbeat_us * 1000ull,
        .timeout_ns = given->timeout_us * 1000ull,
        .clock_bound_ns = given->clock_bound_ms * 1000000ull,
        .memory_mib = given->memory_mib,
    };
    if (strcmp(verb, "set") == 0 && given->heartbeat_us == 0 && given->timeout_us == 0 && given->clock_bound_ms == 0 &&
        given->memory_mib == 0)
        return cli_usage(
            "cluster set: what is to change (--heartbeat-us, --timeout-us, --clock-bound-ms, --memory-mib)?");
    if (name == NULL)
        return 0;
    if (!cairn_name_is_valid(name))
        return cli_usage("cluster %s: '%s': %s", verb, name, agreed_refusal_text(AGREED_NO_NAME));
    snprintf(verb[0] == 'a' ? out->add : out->remove, CAIRN_NAME_BYTES, "%s", name);
    return 0;
}

int
cmd_cluster(int argc, char **argv)
{
    const char *cluster_file = NULL, *via = NULL, *from = NULL, *without = NULL, *verb, *name;
    bool json = false, changes;
    struct given given = {0};
    struct agreed_change change;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"via", OPTION_NODE, &via, "ask this node", .verbs = "show"},
        {"from", OPTION_NODE, &from, "go on from what this node holds", .verbs = "recover"},
        {"without", OPTION_NODES, &without, "give up what these nodes may hold", .verbs = "recover"},
        {"heartbeat-us", OPTION_U32, &given.heartbeat_us, "how often each node tells all others that it lives",
         .min = HEARTBEAT_MIN_NS / 1000, .max = TIMEOUT_MAX_NS / 3000, .unit = "us", .verbs = "set"},
        {"timeout-us", OPTION_U32, &given.timeout_us, "so long unheard, a node is suspected, and leases rest on it",
         .min = 3 * HEARTBEAT_MIN_NS / 1000, .max = TIMEOUT_MAX_NS / 1000, .unit = "us", .verbs = "set"},
        {"clock-bound-ms", OPTION_U32, &given.clock_bound_ms, "how far wall clocks may be apart",
         .min = CLOCK_BOUND_MIN_NS / 1000000, .max = CLOCK_BOUND_MAX_NS / 1000000, .unit = "ms", .verbs = "set"},
        {"memory-mib", OPTION_U32, &given.memory_mib, "what each node has for its logs, at least",
         .min = MEMORY_MIB_MIN, .max = MEMORY_MIB_MAX, .unit = "MiB", .verbs = "set"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"bootstrap", "", 0, 0}, {"show", "", 0, 0},       {"set", "", 0, 0},
                                            {"add", "NODE", 1, 1},   {"remove", "NODE", 1, 1}, {"recover", "", 0, 0},
                                            {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"cluster", .verbs = verbs, .options = options};
    struct cluster_config cluster;
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    verb = argv[first];
    name = argv[first + 1];
    changes = name != NULL || strcmp(verb, "set") == 0;
    if (strcmp(verb, "recover") == 0 && from == NULL)
        return cli_usage("cluster recover: --from NODE says whose state is what counts from now on");
    if ((status = take_change(verb, name, &given, &change)) != 0 ||
        (status = cli_cluster(cluster_file, &cluster)) != 0 ||
        (strcmp(verb, "bootstrap") != 0 && (status = cli_know_all(&cluster, cluster_file)) != 0) ||
        (status = from != NULL ? cli_member(&cluster, from, &node) : cli_node(&cluster, via, &node)) != 0)
        return status;
    if (changes)
        return cli_agreed_change(&cluster, &change, json);
    if (strcmp(verb, "recover") == 0)
        return cli_recover(&cluster, node, without, json);
    return strcmp(verb, "show") == 0 ? cli_agreed_show(&cluster, node, json) : bootstrap(&cluster, json);
}
