/* cairn fault partition|link|heal: rules for the ports of a cluster started with --allow-faults. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

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

/* One group, 'n1,n2', which gets that number. */
static int
parse_group(const struct cluster_config *cluster, char *names, int number, int *group)
{
    char *rest = names, *name;

    while ((name = strsep(&rest, ",")) != NULL) {
        uint8_t node;
        int status = cli_member(cluster, name, &node);

        if (status != 0)
            return status;
        if (group[node] > 0)
            return cli_usage("fault partition: '%s' is named twice", name);
        group[node] = number;
    }
    return 0;
}

/* 'n1,n2|n3': the group of each node. Nodes not named are alone. */
static int
parse_partition(const struct cluster_config *cluster, const char *text, int *group)
{
    char *copy = strdup(text), *rest = copy, *part;
    int number = 1, status = copy == NULL ? cli_fail("no memory") : 0;

    for (uint32_t i = 0; i < cluster->nodes; i++)
        group[i] = -1 - (int)i;
    while (status == 0 && (part = strsep(&rest, "|")) != NULL) {
        if (part[0] == '\0')
            status = cli_usage("fault partition: '%s' has a group of nobody (expected groups such as 'n1,n2|n3')",
                               text);
        else
            status = parse_group(cluster, part, number++, group);
    }
    free(copy);
    return status;
}

static int
partition(struct rules *rules, const struct cluster_config *cluster, const char *text)
{
    int group[CAIRN_NODES_MAX];
    int status = parse_partition(cluster, text, group);

    for (uint8_t from = 0; status == 0 && from < cluster->nodes; from++) {
        for (uint8_t to = 0; to < cluster->nodes; to++) {
            if (from != to && group[from] != group[to] && (cli_present(cluster) >> to & 1))
                add_rule(rules, cluster, from, to, json_pack("{s:f}", "drop", 1.0));
        }
    }
    return status;
}

/* What a link does to what goes over it. */
struct effects {
    double drop, delay_us, dup, reorder, corrupt; /* below 0: not given */
};

static json_t *
rule_of(const struct cli_option *effects)
{
    json_t *rule = json_object();

    for (; effects->name != NULL; effects++) {
        double value = *(const double *)effects->value;

        if (value >= 0)
            json_object_set_new(rule, effects->name, json_real(value));
    }
    return rule;
}

/* text: 'n1>n3' */
static int
link_rule(struct rules *rules, const struct cluster_config *cluster, const char *text, const struct cli_option *effects)
{
    char *names = strdup(text), *to_name = names == NULL ? NULL : strchr(names, '>');
    uint8_t from = CAIRN_NODE_NONE, to = CAIRN_NODE_NONE;
    int status = names == NULL ? cli_fail("no memory") : 0;

    if (status == 0 && to_name == NULL)
        status = cli_usage("fault link: '%s' does not say which link (expected 'n1>n3')", text);
    else if (status == 0) {
        *to_name++ = '\0';
        if ((status = cli_member(cluster, names, &from)) == 0)
            status = cli_member(cluster, to_name, &to);
    }
    if (status == 0 && from == to)
        status = cli_usage("fault link: '%s' is no link: it needs two nodes, such as 'n1>n3'", text);
    if (status == 0)
        add_rule(rules, cluster, from, to, rule_of(effects));
    free(names);
    return status;
}

static int
refused_by(const char *node, const json_t *answer)
{
    const char *mend = strcmp(cli_text(answer, "error"), "denied") == 0 ? " (start the cluster with --allow-faults)"
                                                                        : "";

    return cli_fail("%s: %s%s", node, cli_text(answer, "detail"), mend);
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
        if ((cli_present(cluster) >> i & 1) && (!merge || json_array_size(rules->by_node[i]) > 0))
            requests[i] = json_pack("{s:s,s:O,s:b}", "cmd", "faults", "rules", rules->by_node[i], "merge", merge);
    }
    told = cli_ask_each(cluster, requests, CLI_ALL, &answers);
    for (uint8_t i = 0; i < cluster->nodes && status == EXIT_DONE; i++) {
        if (answers.by_node[i] != NULL && !json_is_true(json_object_get(answers.by_node[i], "ok")))
            status = refused_by(cluster->names[i], answers.by_node[i]);
    }
    if (told == 0)
        status = cli_unanswered(cluster, CAIRN_NODE_NONE, &answers);
    else if (answers.silent != 0)
        fprintf(stderr, "cairn: %s\n", cli_silent_text(cluster, answers.silent, text, sizeof(text)));
    /* A node that is not there has no faults, and will have none when it starts. */
    if (status == EXIT_DONE && answers.hung != 0) {
        cli_fail("not in force everywhere: what does not answer keeps the faults that it has (say it again)");
        status = EXIT_REFUSED;
    }
    cli_answers_free(&answers);
    return status;
}

/* Of the verb that is named. */
static int
collect_rules(struct rules *rules, const struct cluster_config *cluster, const char *verb, const char *text,
              const struct cli_option *effects)
{
    if (strcmp(verb, "partition") == 0)
        return partition(rules, cluster, text);
    return strcmp(verb, "link") == 0 ? link_rule(rules, cluster, text, effects) : 0;
}

int
cmd_fault(int argc, char **argv)
{
    static const struct cli_verb verbs[] = {
        {"partition", "'n1,n2|n3'", 1, 1}, {"link", "'n1>n3' EFFECT...", 2, 6}, {"heal", "", 0, 0}, {NULL, NULL, 0, 0}};
    const char *cluster_file = NULL;
    bool json = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"json", OPTION_FLAG, &json, "a JSON row when it is in force"},
        OPTIONS_END,
    };
    struct effects given = {-1, -1, -1, -1, -1};
    const struct cli_option effects[] = {
        {"drop", OPTION_DECIMAL, &given.drop, "link: the share of frames that are lost", .max = 1},
        {"delay_us", OPTION_DECIMAL, &given.delay_us, "link: how late each is", .max = 10000000, .unit = "us"},
        {"dup", OPTION_DECIMAL, &given.dup, "link: the share that comes twice", .max = 1},
        {"reorder", OPTION_DECIMAL, &given.reorder, "link: the share that is overtaken", .max = 1},
        {"corrupt", OPTION_DECIMAL, &given.corrupt, "link: the share that is damaged", .max = 1},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"fault", .verbs = verbs, .options = options, .effects = effects};
    struct cluster_config cluster;
    struct rules rules = {0};
    const char *verb;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    verb = argv[first];
    if ((strcmp(verb, "link") == 0 &&
         (status = cli_effects("fault link", effects, argc - first - 2, argv + first + 2)) != 0) ||
        (status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_know_all(&cluster, cluster_file)) != 0)
        return status;
    for (uint32_t i = 0; i < cluster.nodes; i++)
        rules.by_node[i] = json_array();
    status = collect_rules(&rules, &cluster, verb, argv[first + 1], effects);
    if (status == 0)
        status = apply(&cluster, &rules, strcmp(verb, "link") == 0);
    for (uint32_t i = 0; i < cluster.nodes; i++)
        json_decref(rules.by_node[i]);
    if (status == EXIT_DONE && json)
        cli_row(json_pack("{s:s,s:I}", "fault", verb, "t_ns", (json_int_t)cli_now_ns()));
    return status == EXIT_DONE ? cli_end(status) : status;
}
