/* cairn read, cairn tail: entries to standard output. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "replication/plausible.h"

#define LAG_MIN_NS 1000u
#define LAG_MAX_NS 3600000000000u
#define NS_PER_S 1000000000u

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static json_t *
base64_text(const uint8_t *bytes, size_t size_bytes)
{
    char *text = malloc((size_bytes + 2) / 3 * 4 + 1), *at = text;
    json_t *json;

    if (text == NULL)
        return json_null();
    for (size_t i = 0; i < size_bytes; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16;

        word |= i + 1 < size_bytes ? (uint32_t)bytes[i + 1] << 8 : 0;
        word |= i + 2 < size_bytes ? bytes[i + 2] : 0;
        *at++ = base64[word >> 18];
        *at++ = base64[(word >> 12) & 63];
        *at++ = i + 1 < size_bytes ? base64[(word >> 6) & 63] : '=';
        *at++ = i + 2 < size_bytes ? base64[word & 63] : '=';
    }
    json = json_stringn(text, (size_t)(at - text));
    free(text);
    return json;
}

json_t *
cli_bytes(const void *bytes, size_t size_bytes, bool *encoded)
{
    json_t *json = json_stringn(bytes, size_bytes);

    if (encoded != NULL)
        *encoded = json == NULL;
    return json == NULL ? base64_text(bytes, size_bytes) : json;
}

static json_t *
row_of(const struct cluster_config *cluster, const struct cairn_result *result)
{
    const struct cairn_entry *entry = &result->entry;
    bool encoded;
    json_t *payload = cli_bytes(entry->payload, entry->payload_bytes, &encoded);
    json_t *key = entry->key_bytes == 0 ? json_null() : cli_bytes(entry->key, entry->key_bytes, NULL);
    json_t *row;

    row = json_pack("{s:o,s:o,s:s,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "lsn",
                    result->on_branch ? json_null() : json_integer((json_int_t)result->lsn), "term",
                    result->on_branch ? json_null() : json_integer((json_int_t)result->term), "origin",
                    cluster->names[result->origin % cluster->nodes], "incarnation", (json_int_t)result->incarnation,
                    "seq", (json_int_t)result->seq, "fork_lsn", (json_int_t)result->fork_lsn, "hlc",
                    (json_int_t)result->hlc, "producer", (json_int_t)entry->producer, "key", key, "payload", payload);
    if (encoded)
        json_object_set_new(row, "encoding", json_string("base64"));
    if (result->on_branch)
        json_object_set_new(row, "tentative", json_true());
    if (result->clock_doubtful)
        json_object_set_new(row, "clock_doubtful", json_true());
    return row;
}

struct printing {
    const struct cluster_config *cluster;
    struct cairn_token token;
    bool json;
    bool line_is_open; /* what was printed last has no newline behind it */
};

static int
print_entry(void *context, const struct cairn_result *result)
{
    struct printing *printing = context;

    cairn_token_note(&printing->token, result);
    cairn_token_settle(&printing->token, result);
    if (result->type == CAIRN_RESULT_END)
        return EXIT_DONE;

    if (printing->json) {
        cli_row(row_of(printing->cluster, result));
        return EXIT_DONE;
    }
    /* The last line of a file that does not end in a newline comes back as it was, unless something follows: that begins a line. */
    if (printing->line_is_open)
        putchar('\n');
    if (result->entry.payload_bytes > 0)
        cli_put(result->entry.payload, result->entry.payload_bytes);
    printing->line_is_open = (result->entry.flags & CAIRN_ENTRY_UNTERMINATED) != 0;
    if (!printing->line_is_open)
        putchar('\n');
    return EXIT_DONE;
}

/* Which levels go with what else was asked for. */
static int
check_request(const char *command, const struct cli_read_request *request, bool follow, const char *session)
{
    const enum cairn_read_level level = request->level;

    if (request->to != 0 && request->to < request->from)
        return cli_usage("%s: --to %" PRIu64 " is before --from %" PRIu64, command, request->to, request->from);
    if (session != NULL && (follow || (level != CAIRN_READ_POLICY && level != CAIRN_READ_SESSION)))
        return cli_usage("%s: --session goes with read alone, and its level is session", command);
    if (level == CAIRN_READ_SESSION && session == NULL)
        return cli_usage("%s: --level session needs --session FILE", command);
    if (request->max_lag_ns != 0 &&
        (follow || session != NULL || (level != CAIRN_READ_POLICY && level != CAIRN_READ_STALE)))
        return cli_usage("%s: --max-lag goes with read alone, and its level is stale", command);
    return 0;
}

static int
read_command(int argc, char **argv, bool follow)
{
    const char *cluster_file = NULL, *via = NULL, *session = NULL;
    uint64_t since_ns = 0;
    bool tentative = false;
    struct printing printing = {0};
    struct cli_read_request request = {.level = CAIRN_READ_POLICY};
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"from", OPTION_U64, &request.from, "the first lsn; default 0, where the log begins", .max = LSN_MAX},
        {"since", OPTION_MOMENT, &since_ns,
         "from the first entry accepted then: 2026-11-27T06:00:00Z, 10m (ago), or an hlc", .apart = "from"},
        {"to", OPTION_U64, &request.to, "the last lsn; default: the end", .min = 1, .max = LSN_MAX},
        {"via", OPTION_NODE, &via, "the node to read from; default: the first that serves it"},
        {"level", OPTION_LEVEL, &request.level, "how current; default: the policy's"},
        {"max-lag", OPTION_DURATION, &request.max_lag_ns,
         "how stale at most (50ms, 2s): nothing committed longer ago is missing", .min = LAG_MIN_NS, .max = LAG_MAX_NS},
        {"session", OPTION_FILE, &session, "a file: nothing of what it has seen and written is missing"},
        {"tentative", OPTION_FLAG, &tentative,
         "also what is not on the trunk yet: the node's branch, and copies of others'"},
        {"json", OPTION_FLAG, &printing.json, "a JSON row for each entry"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {follow ? "tail" : "read", "NAME", 1, 1, .options = options};
    struct cluster_config cluster;
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status) || (status = cli_log_name(grammar.name, argv[first])) != 0 ||
        (status = check_request(grammar.name, &request, follow, session)) != 0)
        return status;
    if (since_ns != 0)
        request.from = since_ns;
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_know_all(&cluster, cluster_file)) != 0 ||
        (status = cli_node(&cluster, via, &node)) != 0 ||
        (session != NULL && (status = cli_session_load(session, &cluster, argv[first], &printing.token)) != 0))
        return status;
    request.log = argv[first];
    request.token = session == NULL ? NULL : &printing.token;
    request.flags = (follow ? CAIRN_READ_FOLLOW : 0u) | (tentative ? CAIRN_READ_TENTATIVE : 0u) |
                    (since_ns != 0 ? CAIRN_READ_SINCE : 0u);
    printing.cluster = &cluster;
    status = cli_read(&cluster, node, &request, print_entry, &printing);
    if (session != NULL && status == EXIT_DONE)
        status = cli_session_save(session, argv[first], &printing.token);
    return cli_end(status);
}

int
cmd_read(int argc, char **argv)
{
    return read_command(argc, argv, false);
}

int
cmd_tail(int argc, char **argv)
{
    return read_command(argc, argv, true);
}
