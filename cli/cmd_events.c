/* cairn events: what the nodes saw and decided, in the order of time. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

/* A node keeps 4,096, and gives 256 at once: what more than that comes while it is asked waits for the next time. */
#define PAGES_MAX 64u

static long long
time_of(const json_t *row)
{
    return json_integer_value(json_object_get(row, "t_ns"));
}

static int
by_time(const void *left, const void *right)
{
    long long a = time_of(*(json_t *const *)left), b = time_of(*(json_t *const *)right);

    return a < b ? -1 : a > b;
}

static void
print_row(const json_t *row)
{
    const json_t *log = json_object_get(row, "log"), *from = json_object_get(row, "from");

    printf("%14.6f  %-6s %-20s %-16s ", (double)time_of(row) / 1e9, cli_text(row, "node"), cli_text(row, "event"),
           json_is_string(log) ? json_string_value(log) : "-");
    if (json_is_string(from))
        printf("%s -> %s: ", json_string_value(from), cli_text(row, "to"));
    printf("%s\n", cli_text(row, "reason"));
}

/* Takes what the node gave. true: it may have more. A node that says so and does not go on has none. */
static bool
take_page(const json_t *answer, json_int_t *next, json_t *rows)
{
    json_int_t before = *next;

    if (answer == NULL)
        return false;
    json_array_extend(rows, json_object_get(answer, "rows"));
    if (json_is_integer(json_object_get(answer, "next")))
        *next = json_integer_value(json_object_get(answer, "next"));
    return *next > before && json_array_size(json_object_get(answer, "rows")) > 0;
}

uint32_t
cli_collect_events(const struct cluster_config *cluster, cairn_node_set nodes, json_int_t *next, json_t *rows,
                   struct cli_answers *answers)
{
    struct cli_answers page = {0};
    uint32_t answering = 0, pages = 0;
    bool first = true, more = true, has_more[CAIRN_NODES_MAX] = {false};
    json_t *requests[CAIRN_NODES_MAX] = {0};

    cli_answers_free(answers);
    while (more && pages++ < PAGES_MAX) {
        more = false;
        for (uint32_t i = 0; i < cluster->nodes; i++) {
            if (first ? nodes >> i & 1 : has_more[i])
                requests[i] = json_pack("{s:s,s:I}", "cmd", "events", "next", next[i]);
            more |= requests[i] != NULL;
        }
        if (!more)
            break;
        cli_ask_each(cluster, requests, CLI_ALL, first ? answers : &page);
        if (first) {
            answering = (uint32_t)__builtin_popcount(nodes & ~answers->silent);
            for (uint32_t i = 0; i < cluster->nodes; i++)
                page.by_node[i] = json_incref(answers->by_node[i]);
        }
        first = false;
        for (uint32_t i = 0; i < cluster->nodes; i++)
            has_more[i] = take_page(page.by_node[i], &next[i], rows);
    }
    cli_answers_free(&page);
    return answering;
}

void
cli_sort_events(json_t *rows)
{
    size_t count = json_array_size(rows);
    json_t **sorted = calloc(count + 1, sizeof(*sorted));

    if (sorted == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_incref(json_array_get(rows, i));
    qsort(sorted, count, sizeof(*sorted), by_time);
    for (size_t i = 0; i < count; i++)
        json_array_set_new(rows, i, sorted[i]);
    free(sorted);
}

static void
print_rows(json_t *rows, bool json)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        if (json)
            cli_row(json_incref(row));
        else
            print_row(row);
    }
}

int
cmd_events(int argc, char **argv)
{
    const char *cluster_file = NULL, *via = NULL;
    bool json = false, follow = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"via", OPTION_NODE, &via, "only what this node saw and decided"},
        {"follow", OPTION_FLAG, &follow, "go on as things happen"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"events", "", 0, 0, .options = options};
    struct timespec pause = {.tv_nsec = 30000000};
    json_int_t next[CAIRN_NODES_MAX] = {0};
    struct cli_answers answers = {0};
    cairn_node_set silent = 0, nodes;
    struct cluster_config cluster;
    char text[512];
    int first, status;
    uint8_t node;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_know_all(&cluster, cluster_file)) != 0 ||
        (status = cli_node(&cluster, via, &node)) != 0)
        return status;
    nodes = via == NULL ? cli_present(&cluster) : (cairn_node_set)1 << node;
    do {
        json_t *rows = json_array();
        uint32_t answering = cli_collect_events(&cluster, nodes, next, rows, &answers);

        cli_sort_events(rows);
        print_rows(rows, json);
        json_decref(rows);
        if (answering == 0)
            return cli_unanswered(&cluster, node, &answers);
        fflush(stdout);
        if (answers.silent != silent && answers.silent != 0)
            fprintf(stderr, "cairn: %s\n", cli_silent_text(&cluster, answers.silent, text, sizeof(text)));
        silent = answers.silent;
        if (follow)
            nanosleep(&pause, NULL);
    } while (follow && cli_output_alive());
    cli_answers_free(&answers);
    return cli_end(EXIT_DONE);
}
