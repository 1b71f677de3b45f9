/* cairn fault partition|link|heal: rules for the ports of a cluster started with --allow-faults. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* drop, duplicate, ... of each directed link; kept here only to send whole sets of rules. */
struct rules {
    json_t *by_node[CAIRN_NODES_MAX];
};

static void
add_rule(struct rules *rules, const struct cluster_config *cluster, uint8_t from, uint8_t to, json_t *rule)
{
    json_object_set_new(rule, "to", json_string(cluster->names[to]));
    json_array_append_new(rules->by_node[from], rule);
}

/* 'n1,n2|n3': the group of each node. Nodes not named are alone. */
static int
parse_partition(const struct cluster_config *cluster, const char *text, int *group)
{
    char copy[512], *rest_groups = NULL;
    int number = 1;

    snprintf(copy, sizeof(copy), "%s", text);
    for (uint32_t i = 0; i < cluster->nodes; i++)
        group[i] = -1 - (int)i;
    for (char *part = strtok_r(copy, "|", &rest_groups); part != NULL; part = strtok_r(NULL, "|", &rest_groups)) {
        char *rest_names = NULL;

        for (char *name = strtok_r(part, ", ", &rest_names); name != NULL; name = strtok_r(NULL, ", ", &rest_names)) {
            uint8_t node;
            int status = cli_node(cluster, name, &node);

            if (status != 0)
                return status;
            if (group[node] > 0)
                return cli_usage("fault partition: '%s' is named twice", name);
            group[node] = number;
        }
        number++;
    }
    return 0;
}

static int
partition(struct rules *rules, const struct cluster_config *cluster, const char *text)
{
    int group[CAIRN_NODES_MAX];
    int status = parse_partition(cluster, text, group);

    for (uint8_t from = 0; status == 0 && from < cluster->nodes; from++) {
        for (uint8_t to = 0; to < cluster->nodes; to++) {
            if (from != to && group[from] != group[to])
                add_rule(rules, cluster, from, to, json_pack("{s:f}", "drop", 1.0));
        }
    }
    return status;
}

static int
parse_effect(const char *text, json_t *rule)
{
    static const char *const keys[] = {"drop", "delay_us", "dup", "reorder", "corrupt"};
    const char *equals = strchr(text, '=');

    for (size_t i = 0; equals != NULL && i < sizeof(keys) / sizeof(*keys); i++) {
        char *end;
        double value = strtod(equals + 1, &end);

        if (strlen(keys[i]) != (size_t)(equals - text) || strncmp(keys[i], text, strlen(keys[i])) != 0)
            continue;
        if (*end != '\0' || end == equals + 1 || value < 0 || (i != 1 && value > 1) || value > 1e7)
            return cli_usage("fault link: '%s' is out of range (shares are 0 to 1, delay_us up to 10000000)", text);
        json_object_set_new(rule, keys[i], json_real(value));
        return 0;
    }
    return cli_usage("fault link: '%s' is none of drop= delay_us= dup= reorder= corrupt=", text);
}

static int
link_rule(struct rules *rules, const struct cluster_config *cluster, int argc, char **argv)
{
    char copy[160], *to_name;
    json_t *rule = json_object();
    uint8_t from, to;
    int status;

    snprintf(copy, sizeof(copy), "%s", argv[0]);
    to_name = strchr(copy, '>');
    if (to_name == NULL) {
        json_decref(rule);
        return cli_usage("fault link: '%s' should read 'n1>n3'", argv[0]);
    }
    *to_name++ = '\0';
    if ((status = cli_node(cluster, copy, &from)) == 0)
        status = cli_node(cluster, to_name, &to);
    for (int i = 1; status == 0 && i < argc; i++)
        status = parse_effect(argv[i], rule);
    if (status == 0 && (from == to || argc < 2))
        status = cli_usage("fault link: it needs two nodes and an effect, e.g. 'n1>n3' drop=0.2");
    if (status == 0)
        add_rule(rules, cluster, from, to, rule);
    else
        json_decref(rule);
    return status;
}

/* A partition or a heal replaces all rules of every node; a link's rule joins those there are. */
static int
apply(const struct cluster_config *cluster, struct rules *rules, bool merge)
{
    json_t *requests[CAIRN_NODES_MAX] = {0};
    struct cli_answers answers = {0};
    uint32_t told;
    char text[512];
    int status = EXIT_DONE;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (!merge || json_array_size(rules->by_node[i]) > 0)
            requests[i] = json_pack("{s:s,s:O,s:b}", "cmd", "faults", "rules", rules->by_node[i], "merge", merge);
    }
    told = cli_ask_each(cluster, requests, CLI_ALL, &answers);
    for (uint8_t i = 0; i < cluster->nodes && status == EXIT_DONE; i++) {
        if (answers.by_node[i] != NULL && !json_is_true(json_object_get(answers.by_node[i], "ok")))
            status = cli_fail("%s: %s (start the cluster with --allow-faults)", cluster->names[i],
                              cli_text(answers.by_node[i], "detail"));
    }
    if (told == 0)
        status = cli_unanswered(&answers);
    else if (answers.silent != 0)
        fprintf(stderr, "cairn: %s\n", cli_silent_text(cluster, answers.silent, text, sizeof(text)));
    /* One that is not there has no faults, and will have none when it starts. */
    if (status == EXIT_DONE && answers.hung != 0) {
        cli_fail("not in force everywhere: what does not answer keeps the faults that it has (say it again)");
        status = EXIT_REFUSED;
    }
    cli_answers_free(&answers);
    return status;
}

int
cmd_fault(int argc, char **argv)
{
    const char *cluster_file = NULL;
    bool json = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_TEXT, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"json", OPTION_FLAG, &json, "a JSON row when it is in force"},
        OPTIONS_END,
    };
    struct cluster_config cluster;
    struct rules rules;
    const char *verb;
    int first, status;

    if (!cli_parse(argc, argv, "fault partition 'n1,n2|n3' | link 'n1>n3' drop=0.2 delay_us=50 ... | heal", options, 1,
                   8, &first, &status))
        return status;
    if ((status = cli_cluster(cluster_file, &cluster)) != 0)
        return status;
    for (uint32_t i = 0; i < cluster.nodes; i++)
        rules.by_node[i] = json_array();
    verb = argv[first];
    if (strcmp(verb, "partition") == 0 && argc - first == 2)
        status = partition(&rules, &cluster, argv[first + 1]);
    else if (strcmp(verb, "link") == 0 && argc - first >= 2)
        status = link_rule(&rules, &cluster, argc - first - 1, argv + first + 1);
    else if (strcmp(verb, "heal") != 0 || argc - first != 1)
        status = cli_usage("fault: use partition 'n1,n2|n3', link 'n1>n3' EFFECT..., or heal");
    if (status == 0)
        status = apply(&cluster, &rules, strcmp(verb, "link") == 0);
    for (uint32_t i = 0; i < cluster.nodes; i++)
        json_decref(rules.by_node[i]);
    if (status == EXIT_DONE && json)
        cli_row(json_pack("{s:s,s:I}", "fault", verb, "t_ns", (json_int_t)cli_now_ns()));
    return status == EXIT_DONE ? cli_end(status) : status;
}
