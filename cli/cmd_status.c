/* cairn status: a row per node and log. */
#include <string.h>

#include "cli/cli.h"
#include "cli/matrix.h"

/* workers: of each node; where there is one, all logs are its. */
static void
print_header(size_t workers)
{
    printf("%-6s %-16s %s%-10s %5s %-8s %-9s %10s %10s %15s  %-16s %s\n", "node", "log", workers > 1 ? "worker " : "",
           "role", "term", "mode", "policy", "commit_lsn", "last_lsn", "branch", "digest", "hears");
}

static void
print_row(const json_t *row, size_t workers)
{
    const char *text[] = {"node", "log", "role", "mode", "policy", "digest"};
    const char *values[6];
    char hears[256] = "", branch[48], worker[16] = "";
    json_int_t left = json_integer_value(json_object_get(row, "branch_entries"));
    json_int_t merging = json_integer_value(json_object_get(row, "merge_entries"));
    json_t *name;
    size_t i;

    for (i = 0; i < 6; i++)
        values[i] = cli_text(row, text[i]);
    json_array_foreach (json_object_get(row, "hears"), i, name) {
        strncat(hears, i == 0 ? "" : ",", sizeof(hears) - strlen(hears) - 1);
        strncat(hears, json_string_value(name), sizeof(hears) - strlen(hears) - 1);
    }
    snprintf(branch, sizeof(branch), merging != 0 ? "%lld of %lld" : "%lld", left, merging);
    if (workers > 1)
        snprintf(worker, sizeof(worker), "%6lld ", json_integer_value(json_object_get(row, "worker")));
    printf("%-6s %-16s %s%-10s %5lld %-8s %-9s %10lld %10lld %15s  %-16s %s\n", values[0], values[1], worker, values[2],
           json_integer_value(json_object_get(row, "term")), values[3], values[4],
           json_integer_value(json_object_get(row, "commit_lsn")), json_integer_value(json_object_get(row, "last_lsn")),
           branch, values[5], hears);
}

static void
print_rows(const json_t *rows, size_t workers, bool json)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        if (json)
            cli_row(json_incref(row));
        else
            print_row(row, workers);
    }
}

/* A node that does not take part, or not with all of its logs, says why. */
static void
tell_standing(const json_t *answer)
{
    const json_t *standing = json_object_get(answer, "standing");

    fflush(stdout);
    if (json_is_true(json_object_get(standing, "recovering")))
        fprintf(stderr, "cairn: %s\n", cli_text(standing, "detail"));
}

/* The first row of a log that this worker has. */
static const json_t *
row_at(const json_t *rows, json_int_t worker)
{
    const json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        if (json_integer_value(json_object_get(row, "worker")) == worker)
            return row;
    }
    return NULL;
}

/* What is out of the ordinary with one worker of a node, which says what befalls all of them. */
static void
add_troubles(const char *name, const json_t *row, const json_t *said, char *text, size_t text_bytes)
{
    size_t used = strlen(text);

    if (cli_text(row, "trouble")[0] != '\0' &&
        (said == NULL || strcmp(cli_text(row, "trouble"), cli_text(said, "trouble")) != 0))
        snprintf(text + used, text_bytes - used, "%s: %s\n", name, cli_text(row, "trouble"));
    used = strlen(text);
    if (cli_text(row, "timeout_why")[0] != '\0' &&
        (said == NULL || strcmp(cli_text(row, "timeout_why"), cli_text(said, "timeout_why")) != 0))
        snprintf(text + used, text_bytes - used, "%s waits %.1f ms for others, not %.1f: %s\n", name,
                 json_number_value(json_object_get(row, "timeout_ms")),
                 json_number_value(json_object_get(row, "agreed_timeout_ms")), cli_text(row, "timeout_why"));
}

static void
print_troubles(const char *name, const json_t *rows, char *text, size_t text_bytes)
{
    const json_t *first = row_at(rows, 0);

    add_troubles(name, first, NULL, text, text_bytes);
    for (json_int_t worker = 1; worker < CAIRN_WORKERS_MAX; worker++) {
        char named[CAIRN_NAME_BYTES + 24];

        snprintf(named, sizeof(named), "%s, worker %lld,", name, worker);
        add_troubles(named, row_at(rows, worker), first, text, text_bytes);
    }
}

/* Logs that wait for an administrator: each is named once, whichever node says so. */
static void
print_lost(const json_t *rows, char *text, size_t text_bytes)
{
    const json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        char line[384];
        size_t used = strlen(text);

        if (cli_is_lost(row, line, sizeof(line)) && strstr(text, line) == NULL && used + strlen(line) + 2 < text_bytes)
            snprintf(text + used, text_bytes - used, "%s\n", line);
    }
}

static void
show(const struct cluster_config *cluster, const struct cli_answers *answers, bool json)
{
    char troubles[256 * CAIRN_NODES_MAX] = "", lost[4096] = "";
    struct matrix matrix = {.workers = 1};

    for (uint8_t i = 0; i < cluster->nodes; i++)
        matrix_learn(cluster, i, answers->by_node[i], &matrix);
    if (!json)
        print_header(matrix.workers);
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *rows = json_object_get(answers->by_node[i], "rows");

        if (answers->by_node[i] == NULL)
            continue;
        print_rows(rows, matrix.workers, json);
        print_troubles(cluster->names[i], rows, troubles, sizeof(troubles));
        print_lost(rows, lost, sizeof(lost));
        tell_standing(answers->by_node[i]);
    }
    if (!json && cli_present_count(cluster) > 1)
        matrix_print(cluster, &matrix);
    if (!json && strlen(troubles) + strlen(lost) > 0)
        printf("\n%s%s", troubles, lost);
    fflush(stdout);
}

int
cmd_status(int argc, char **argv)
{
    const char *cluster_file = NULL, *via = NULL;
    bool json = false;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"via", OPTION_NODE, &via, "only this node"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"status", "", 0, 0, .options = options};
    struct cluster_config cluster;
    struct cli_answers answers = {0};
    char text[512];
    uint32_t answering;
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_know_all(&cluster, cluster_file)) != 0 ||
        (status = cli_node(&cluster, via, &node)) != 0)
        return status;
    answering = cli_ask_status(&cluster, node, CLI_ALL, &answers);
    if (answering == 0) {
        status = cli_unanswered(&cluster, node, &answers);
        cli_answers_free(&answers);
        return status;
    }
    show(&cluster, &answers, json);
    if (answers.silent != 0)
        fprintf(stderr, "cairn: %s\n", cli_silent_text(&cluster, answers.silent, text, sizeof(text)));
    cli_answers_free(&answers);
    return cli_end(EXIT_DONE);
}
