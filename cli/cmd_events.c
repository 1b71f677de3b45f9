/* cairn events: what the nodes saw and decided, in the order of time. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

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

    printf("%14.6f  %-6s %-20s %-16s ", (double)time_of(row) / 1e9, json_string_value(json_object_get(row, "node")),
           json_string_value(json_object_get(row, "event")), json_is_string(log) ? json_string_value(log) : "-");
    if (json_is_string(from))
        printf("%s -> %s: ", json_string_value(from), json_string_value(json_object_get(row, "to")));
    printf("%s\n", json_string_value(json_object_get(row, "reason")));
}

bool
cli_collect_events(const struct cluster_config *cluster, uint8_t node, json_int_t *next, json_t *rows, char *detail,
                   size_t detail_bytes)
{
    for (;;) {
        json_t *request = json_pack("{s:s,s:I}", "cmd", "events", "next", *next);
        json_t *answer = cli_ask(cluster, node, request, detail, detail_bytes);
        json_t *found = json_object_get(answer, "rows");
        size_t count = json_array_size(found);

        if (answer == NULL)
            return false;
        json_array_extend(rows, found);
        *next = json_integer_value(json_object_get(answer, "next"));
        json_decref(answer);
        if (count == 0)
            return true;
    }
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
    const char *cluster_file = NULL;
    bool json = false, follow = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_TEXT, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"follow", OPTION_FLAG, &follow, "go on as things happen"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    struct timespec pause = {.tv_nsec = 30000000};
    json_int_t next[CAIRN_NODES_MAX] = {0};
    struct cluster_config cluster;
    char detail[256] = "";
    int first, status;

    if (!cli_parse(argc, argv, "events [OPTIONS]", options, 0, 0, &first, &status))
        return status;
    if ((status = cli_cluster(cluster_file, &cluster)) != 0)
        return status;
    do {
        json_t *rows = json_array();
        uint32_t answering = 0;

        for (uint8_t i = 0; i < cluster.nodes; i++)
            answering += cli_collect_events(&cluster, i, &next[i], rows, detail, sizeof(detail));
        cli_sort_events(rows);
        print_rows(rows, json);
        json_decref(rows);
        if (answering == 0)
            return cli_fail("the cluster is down: %s", detail);
        if (follow) {
            fflush(stdout);
            nanosleep(&pause, NULL);
        }
    } while (follow && cli_output_alive());
    return cli_end(EXIT_DONE);
}
