/* Whom each worker of each node hears, as nodes that answer `status` say. */
#include "cli/matrix.h"

#include <string.h>

#define NOT_HEARD (-1.0)
/* Clocks that are further off are shown. */
#define CLOCK_OFF_MS 1000.0

static const char *
cell(const struct matrix_row *row, uint8_t from, uint8_t to, char *out, size_t out_bytes)
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

static void
print_row(const struct cluster_config *cluster, const struct matrix_row *row, uint8_t from)
{
    cairn_node_set present = cli_present(cluster);

    printf("%-10s", cluster->names[from]);
    for (uint8_t to = 0; to < cluster->nodes; to++) {
        char text[24];

        if (present >> to & 1)
            printf(" %-6s", cell(row, from, to, text, sizeof(text)));
    }
    if (row->known && row->teller != from)
        printf(" as %s heard %.0f ms ago", cluster->names[row->teller], row->told_ms);
    if (row->clock_ahead_ms >= CLOCK_OFF_MS || row->clock_ahead_ms <= -CLOCK_OFF_MS)
        printf(" clock %+.1f s", row->clock_ahead_ms / 1000);
    putchar('\n');
}

static void
print_rows(const struct cluster_config *cluster, const char *title, const struct matrix_row *rows)
{
    cairn_node_set present = cli_present(cluster);

    printf("\n%-10s", title);
    for (uint8_t to = 0; to < cluster->nodes; to++) {
        if (present >> to & 1)
            printf(" %-6s", cluster->names[to]);
    }
    putchar('\n');
    for (uint8_t from = 0; from < cluster->nodes; from++) {
        if (present >> from & 1)
            print_row(cluster, &rows[from], from);
    }
}

/* Times are left aside: they always differ. */
static bool
differs(const struct matrix_row *rows, const struct matrix_row *others)
{
    for (uint8_t from = 0; from < CAIRN_NODES_MAX; from++) {
        if (rows[from].known && (rows[from].hears != others[from].hears || rows[from].hung != others[from].hung))
            return true;
    }
    return false;
}

void
matrix_print(const struct cluster_config *cluster, const struct matrix *matrix)
{
    print_rows(cluster, "hears", matrix->rows[0]);
    for (size_t worker = 1; worker < matrix->workers; worker++) {
        char title[24];

        snprintf(title, sizeof(title), "worker %zu", worker);
        if (differs(matrix->rows[worker], matrix->rows[0]))
            print_rows(cluster, title, matrix->rows[worker]);
    }
}

static void
take_row(const struct cluster_config *cluster, uint8_t teller, const json_t *told, struct matrix_row *rows)
{
    uint8_t from = cluster_config_node(cluster, cli_text(told, "node"));
    double told_ms = json_number_value(json_object_get(told, "told_ms"));

    if (from == CAIRN_NODE_NONE ||
        (from != teller && rows[from].known && (rows[from].teller == from || rows[from].told_ms <= told_ms)))
        return;
    rows[from] = (struct matrix_row){.hears = cli_set_of(cluster, json_object_get(told, "hears")),
                                     .told_ms = told_ms,
                                     .clock_ahead_ms = json_number_value(json_object_get(told, "clock_ahead_ms")),
                                     .teller = teller,
                                     .known = true};
    for (uint8_t to = 0; to < cluster->nodes; to++) {
        const json_t *heard_ms = json_object_get(json_object_get(told, "heard_ms"), cluster->names[to]);

        rows[from].heard_ms[to] = heard_ms == NULL ? NOT_HEARD : json_number_value(heard_ms);
    }
}

void
matrix_learn(const struct cluster_config *cluster, uint8_t teller, const json_t *answer, struct matrix *matrix)
{
    const json_t *row, *told;
    size_t i, j;

    json_array_foreach (json_object_get(answer, "workers"), i, row) {
        json_int_t worker = json_integer_value(json_object_get(row, "worker"));
        struct matrix_row *rows = worker >= 0 && worker < CAIRN_WORKERS_MAX ? matrix->rows[worker] : NULL;

        if (rows == NULL)
            continue;
        if ((size_t)worker >= matrix->workers)
            matrix->workers = (size_t)worker + 1;
        json_array_foreach (json_object_get(row, "matrix"), j, told) {
            take_row(cluster, teller, told, rows);
        }
        rows[teller].slow = cli_set_of(cluster, json_object_get(row, "slow"));
        rows[teller].hung = json_is_true(json_object_get(row, "hung"));
    }
}
