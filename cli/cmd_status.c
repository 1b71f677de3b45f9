/* cairn status: a row per node and log. */
#include <string.h>

#include "cli.h"

static void
print_header(void)
{
    printf("%-6s %-16s %-10s %5s %-8s %-9s %10s %10s %15s  %-16s %s\n", "node", "log", "role", "term", "mode", "policy",
           "commit_lsn", "last_lsn", "branch", "digest", "hears");
}

static void
print_row(const json_t *row)
{
    const char *text[] = {"node", "log", "role", "mode", "policy", "digest"};
    const char *values[6];
    char hears[256] = "", branch[48];
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
    printf("%-6s %-16s %-10s %5lld %-8s %-9s %10lld %10lld %15s  %-16s %s\n", values[0], values[1], values[2],
           json_integer_value(json_object_get(row, "term")), values[3], values[4],
           json_integer_value(json_object_get(row, "commit_lsn")), json_integer_value(json_object_get(row, "last_lsn")),
           branch, values[5], hears);
}

static void
print_rows(const json_t *rows, bool json)
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

#define NOT_HEARD (-1.0)
/* Clocks that are further off are shown. */
#define CLOCK_OFF_MS 1000.0

/* What is known of whom one node hears. */
struct matrix_row {
    cairn_node_set hears, slow;
    double heard_ms[CAIRN_NODES_MAX]; /* how long ago; NOT_HEARD */
    double told_ms;                   /* how long ago it said so to the node that is asked */
    double clock_ahead_ms;            /* of the time that most agree on */
    uint8_t teller;                   /* whom it is known from: itself, or who was asked in its place */
    bool known, hung;
};

static const char *
matrix_cell(const struct matrix_row *row, uint8_t from, uint8_t to, char *out, size_t out_bytes)
{
    if (from == to)
        return row->hung ? "HUNG" : "-";
    if (!row->known)
        return "?";
    if (!(row->hears >> to & 1))
        return "NO";
    snprintf(out, out_bytes, row->heard_ms[to] < 0 ? "yes" : "%.1fms", row->heard_ms[to]);
    return row->slow >> to & 1 ? "slow" : out;
}

/* Whom each node hears, and how long ago it did; of one that does not answer, what it said to others last. */
static void
print_matrix(const struct cluster_config *cluster, const struct matrix_row *rows)
{
    cairn_node_set present = cli_present(cluster);

    printf("\n%-10s", "hears");
    for (uint8_t to = 0; to < cluster->nodes; to++) {
        if (present >> to & 1)
            printf(" %-6s", cluster->names[to]);
    }
    putchar('\n');
    for (uint8_t from = 0; from < cluster->nodes; from++) {
        if (!(present >> from & 1))
            continue;
        printf("%-10s", cluster->names[from]);
        for (uint8_t to = 0; to < cluster->nodes; to++) {
            char cell[24];

            if (!(present >> to & 1))
                continue;
            printf(" %-6s", matrix_cell(&rows[from], from, to, cell, sizeof(cell)));
        }
        if (rows[from].known && rows[from].teller != from)
            printf(" as %s heard %.0f ms ago", cluster->names[rows[from].teller], rows[from].told_ms);
        if (rows[from].clock_ahead_ms >= CLOCK_OFF_MS || rows[from].clock_ahead_ms <= -CLOCK_OFF_MS)
            printf(" clock %+.1f s", rows[from].clock_ahead_ms / 1000);
        putchar('\n');
    }
}

static cairn_node_set
named(const struct cluster_config *cluster, const json_t *names)
{
    cairn_node_set set = 0;
    const json_t *name;
    size_t i;

    json_array_foreach (names, i, name) {
        uint8_t node = cluster_config_node(cluster, json_string_value(name));

        if (node != CAIRN_NODE_NONE)
            set |= (cairn_node_set)1 << node;
    }
    return set;
}

/* What the node `teller` knows, unless it is known better. */
static void
matrix_learn(const struct cluster_config *cluster, uint8_t teller, const json_t *answer, struct matrix_row *rows)
{
    const json_t *log = json_array_get(json_object_get(answer, "rows"), 0), *told;
    size_t i;

    json_array_foreach (json_object_get(answer, "matrix"), i, told) {
        uint8_t from = cluster_config_node(cluster, cli_text(told, "node"));
        double told_ms = json_number_value(json_object_get(told, "told_ms"));

        if (from == CAIRN_NODE_NONE ||
            (from != teller && rows[from].known && (rows[from].teller == from || rows[from].told_ms <= told_ms)))
            continue;
        rows[from] = (struct matrix_row){.hears = named(cluster, json_object_get(told, "hears")),
                                         .told_ms = told_ms,
                                         .clock_ahead_ms = json_number_value(json_object_get(told, "clock_ahead_ms")),
                                         .teller = teller,
                                         .known = true};
        for (uint8_t to = 0; to < cluster->nodes; to++) {
            const json_t *heard_ms = json_object_get(json_object_get(told, "heard_ms"), cluster->names[to]);

            rows[from].heard_ms[to] = heard_ms == NULL ? NOT_HEARD : json_number_value(heard_ms);
        }
    }
    rows[teller].slow = named(cluster, json_object_get(log, "slow"));
    rows[teller].hung = json_is_true(json_object_get(log, "worker_hung"));
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

/* What is out of the ordinary with a node itself. */
static void
print_troubles(const char *name, const json_t *log, char *text, size_t text_bytes)
{
    size_t used = strlen(text);

    if (strlen(cli_text(log, "trouble")) > 0)
        snprintf(text + used, text_bytes - used, "%s: %s\n", name, cli_text(log, "trouble"));
    used = strlen(text);
    if (strlen(cli_text(log, "timeout_why")) > 0)
        snprintf(text + used, text_bytes - used, "%s waits %.1f ms for others, not %.1f: %s\n", name,
                 json_number_value(json_object_get(log, "timeout_ms")),
                 json_number_value(json_object_get(log, "agreed_timeout_ms")), cli_text(log, "timeout_why"));
}

/* What waits for nobody but an administrator: once for each log, whoever says so. */
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
    char troubles[256 * CAIRN_NODES_MAX] = "", lost[4096] = "";
    struct matrix_row matrix[CAIRN_NODES_MAX] = {0};
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
    if (!json)
        print_header();
    for (uint8_t i = 0; i < cluster.nodes; i++) {
        if (answers.by_node[i] == NULL)
            continue;
        print_rows(json_object_get(answers.by_node[i], "rows"), json);
        matrix_learn(&cluster, i, answers.by_node[i], matrix);
        print_troubles(cluster.names[i], json_array_get(json_object_get(answers.by_node[i], "rows"), 0), troubles,
                       sizeof(troubles));
        print_lost(json_object_get(answers.by_node[i], "rows"), lost, sizeof(lost));
        tell_standing(answers.by_node[i]);
    }
    if (!json && cli_present_count(&cluster) > 1)
        print_matrix(&cluster, matrix);
    if (!json && strlen(troubles) + strlen(lost) > 0)
        printf("\n%s%s", troubles, lost);
    fflush(stdout);
    if (answers.silent != 0)
        fprintf(stderr, "cairn: %s\n", cli_silent_text(&cluster, answers.silent, text, sizeof(text)));
    cli_answers_free(&answers);
    return cli_end(EXIT_DONE);
}
