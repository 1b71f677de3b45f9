/* cairn view: a log by key, with what was written apart resolved. */
#include <inttypes.h>

#include "cairn/view.h"
#include "cli/cli.h"

struct viewing {
    struct cairn_view *view;
    enum cairn_resolve resolve;
    bool json;
    uint64_t left_out;
};

static int
take_entry(void *context, const struct cairn_result *result)
{
    struct viewing *viewing = context;
    enum cairn_error error = result->type == CAIRN_RESULT_END ? CAIRN_OK : cairn_view_add(viewing->view, result);

    viewing->left_out += error == CAIRN_INVALID;
    return error == CAIRN_OK || error == CAIRN_INVALID ? EXIT_DONE : cli_fail("%s", cairn_error_text(error));
}

static bool
has_one_value(enum cairn_resolve resolve)
{
    return resolve == CAIRN_RESOLVE_LWW || resolve == CAIRN_RESOLVE_COUNTER;
}

static json_t *
row_of(enum cairn_resolve resolve, const void *key, size_t key_bytes, const struct cairn_value *values, size_t count)
{
    json_t *row = json_object(), *array;

    json_object_set_new(row, "key", cli_bytes(key, key_bytes, NULL));
    if (has_one_value(resolve)) {
        json_object_set_new(row, "value", cli_bytes(values[0].bytes, values[0].bytes_count, NULL));
        return row;
    }
    array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, cli_bytes(values[i].bytes, values[i].bytes_count, NULL));
    json_object_set_new(row, "values", array);
    return row;
}

static void
show(void *context, const void *key, size_t key_bytes, const struct cairn_value *values, size_t count)
{
    const struct viewing *viewing = context;

    if (viewing->json) {
        cli_row(row_of(viewing->resolve, key, key_bytes, values, count));
        return;
    }
    cli_put(key, key_bytes);
    putchar(':');
    for (size_t i = 0; i < count; i++) {
        fputs(i == 0 ? " " : " | ", stdout);
        cli_put(values[i].bytes, values[i].bytes_count);
    }
    putchar('\n');
}

static int
view_log(const struct cluster_config *cluster, uint8_t via, const struct cli_read_request *request,
         struct viewing *viewing)
{
    int status;

    viewing->view = cairn_view_create(viewing->resolve);
    if (viewing->view == NULL)
        return cli_fail("%s", cairn_error_text(CAIRN_NO_MEMORY));
    status = cli_read(cluster, via, request, take_entry, viewing);
    if (status == EXIT_DONE && !cairn_view_each(viewing->view, show, viewing))
        status = cli_fail("%s", cairn_error_text(CAIRN_NO_MEMORY));
    if (viewing->left_out > 0)
        fprintf(stderr, "cairn: %" PRIu64 " entries left out: %s\n", viewing->left_out,
                viewing->resolve == CAIRN_RESOLVE_SET ? "neither +ELEMENT nor -ELEMENT" : "no whole numbers");
    cairn_view_free(viewing->view);
    return status;
}

int
cmd_view(int argc, char **argv)
{
    const char *cluster_file = NULL, *via = NULL, *resolve = "siblings";
    struct cli_read_request request = {.level = CAIRN_READ_POLICY};
    bool committed = false;
    struct viewing viewing = {0};
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"resolve", OPTION_WORD, &resolve, "what becomes of values written apart; default siblings",
         .unit = "siblings|lww|counter|set"},
        {"via", OPTION_NODE, &via, "the node to read from; default: the first that serves it"},
        {"level", OPTION_LEVEL, &request.level, "how current; default: the policy's"},
        {"committed", OPTION_FLAG, &committed, "the trunk alone, not what is tentative"},
        {"json", OPTION_FLAG, &viewing.json, "a JSON row for each key"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"view", "NAME", 1, 1, .options = options};
    struct cluster_config cluster;
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status) || (status = cli_log_name("view", argv[first])) != 0)
        return status;
    cairn_resolve_parse(resolve, &viewing.resolve);
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_know_all(&cluster, cluster_file)) != 0 ||
        (status = cli_node(&cluster, via, &node)) != 0)
        return status;
    request.log = argv[first];
    request.flags = committed ? 0u : CAIRN_READ_TENTATIVE;
    return cli_end(view_log(&cluster, node, &request, &viewing));
}
