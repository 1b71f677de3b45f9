/* What nodes say that they have agreed on. */
#include <string.h>

#include "cli/agree.h"

static uint64_t
number_of(const json_t *answer, const char *key, uint64_t scale)
{
    return (uint64_t)json_integer_value(json_object_get(answer, key)) * scale;
}

/* A node's answer as what it says. false: it is none. */
bool
cli_agreed_of(const json_t *answer, struct agreed *out)
{
    const json_t *name, *row, *seats = json_object_get(answer, "seats");
    size_t i;

    *out = (struct agreed){.removed = UINT32_MAX};
    if (!json_is_true(json_object_get(answer, "ok")) || !json_is_array(seats) ||
        json_array_size(seats) > CAIRN_NODES_MAX || json_array_size(seats) == 0)
        return false;
    out->lsn = number_of(answer, "agreed_lsn", 1);
    cairn_durability_parse(cli_text(answer, "durability"), &out->durability);
    out->workers = (uint32_t)number_of(answer, "workers", 1);
    if (out->workers < 1 || out->workers > CAIRN_WORKERS_MAX)
        return false;
    out->now = (struct agreed_figures){
        .heartbeat_ns = number_of(answer, "heartbeat_us", 1000),
        .timeout_ns = number_of(answer, "timeout_us", 1000),
        .clock_bound_ns = number_of(answer, "clock_bound_ms", 1000000),
        .memory_mib = (uint32_t)number_of(answer, "memory_mib", 1),
        .nodes = (uint32_t)json_array_size(seats),
    };
    /* Names become parts of paths, and stand for their numbers. */
    json_array_foreach (seats, i, name) {
        const char *text = json_string_value(name);

        if (text == NULL || !cairn_name_is_valid(text) || agreed_seat(out, text) != CAIRN_NODE_NONE)
            return false;
        snprintf(out->names[i], sizeof(out->names[i]), "%s", text);
    }
    json_array_foreach (json_object_get(answer, "rows"), i, row) {
        uint8_t seat = agreed_seat(out, cli_text(row, "node"));

        if (seat != CAIRN_NODE_NONE)
            out->removed &= ~((cairn_node_set)1 << seat);
    }
    out->removed &= ((cairn_node_set)1 << out->now.nodes) - 1;
    return true;
}

/* The newest of what the nodes say; how many answered. */
uint32_t
cli_agreed_newest(const struct cluster_config *cluster, const struct cli_answers *answers, struct agreed *out)
{
    uint32_t answered = 0;
    struct agreed agreed;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (!cli_agreed_of(answers->by_node[i], &agreed))
            continue;
        if (answered++ == 0 || agreed.lsn > out->lsn)
            *out = agreed;
    }
    return answered;
}

bool
cli_agreed_said(const struct cluster_config *cluster, enum cli_patience patience, struct agreed *out)
{
    struct cli_answers answers = {0};
    uint32_t answered;

    cli_ask_all(cluster, "cluster", CAIRN_NODE_NONE, patience, &answers);
    answered = cli_agreed_newest(cluster, &answers, out);
    cli_answers_free(&answers);
    return answered > 0;
}

void
cli_agreed(const struct cluster_config *cluster, struct agreed *out)
{
    if (!cli_agreed_said(cluster, CLI_QUICK, out))
        *out = cluster_agreed(cluster);
}
