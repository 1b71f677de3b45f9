/* cairn read, cairn tail: entries to standard output. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin_client.h"
#include "cli.h"

#define LAG_MAX_NS 3600000000000u
#define NS_PER_S 1000000000u
#define READ_TOKEN 1u

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
    return row;
}

static int
ended(const struct cluster_config *cluster, uint8_t node, const struct cairn_result *result)
{
    if (result->error == CAIRN_OK)
        return EXIT_DONE;
    if (result->error == CAIRN_NO_QUORUM)
        cli_fail("%s cannot serve this read: no quorum: reaching %u of %u, need %u (--level stale reads what it has)",
                 cluster->names[node], result->reached, cluster->nodes, result->needed);
    else if (result->error == CAIRN_BEHIND)
        cli_fail(
            "%s has not yet what was asked for: what the session has seen and written, or what was committed so long "
            "ago (try again, or another node with --via)",
            cluster->names[node]);
    else
        cli_fail("%s cannot serve this read: %s", cluster->names[node], cairn_error_text(result->error));
    return cli_exit_status(result->error);
}

int
cli_read(const struct cluster_config *cluster, struct cairn_client *client, uint8_t node, cli_take_entry *take,
         void *context)
{
    struct cairn_result result;
    int got, status;

    for (;;) {
        while ((got = cairn_poll(client, &result)) > 0) {
            if (result.type == CAIRN_RESULT_END)
                return take(context, &result) != EXIT_DONE ? EXIT_FAILED : ended(cluster, node, &result);
            if (result.error != CAIRN_OK)
                return cli_fail("lsn %" PRIu64 ": %s", result.lsn, cairn_error_text(result.error));
            if ((status = take(context, &result)) != EXIT_DONE)
                return status;
        }
        if (got < 0 || !cairn_client_alive(client))
            return cli_fail("node %s went away (read from another with --via)", cluster->names[node]);
        fflush(stdout);
        if (!cli_output_alive())
            return EXIT_FAILED;
        cairn_wait(client, 50000000);
    }
}

struct printing {
    const struct cluster_config *cluster;
    struct cairn_token token;
    bool json;
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
    if (result->entry.payload_bytes > 0)
        fwrite(result->entry.payload, 1, result->entry.payload_bytes, stdout);
    if (!(result->entry.flags & CAIRN_ENTRY_UNTERMINATED))
        putchar('\n');
    return EXIT_DONE;
}

/* A moment (2026-11-27T06:00:00Z), how long ago (10m), or nanoseconds since 1970, as `--json` shows them. */
static bool
parse_since(const char *text, uint64_t *out)
{
    static const char *const units[] = {"ns", "ms", "s", "m", "h", "d", NULL};
    static const uint64_t scales_ns[] = {1, 1000000, 1000000000, 60000000000, 3600000000000, 86400000000000};
    struct tm moment = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &moment);
    struct timespec now;
    uint64_t ns;

    if (end != NULL && *end == '\0') {
        time_t seconds = timegm(&moment);

        *out = (uint64_t)seconds * NS_PER_S;
        return seconds > 0;
    }
    if (!cli_with_unit(text, units, scales_ns, &ns))
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    if (text[strlen(text) - 1] >= '0' && text[strlen(text) - 1] <= '9')
        *out = ns;
    else
        *out = ns < *out ? *out - ns : 1;
    return *out > 0;
}

static int
read_command(int argc, char **argv, bool follow)
{
    const char *cluster_file = NULL, *via = NULL, *session = NULL, *max_lag = NULL, *since = NULL;
    uint64_t from = 0, to = 0, max_lag_ns = 0;
    enum cairn_read_level level = CAIRN_READ_POLICY;
    bool tentative = false;
    struct printing printing = {0};
    static const char *const lag_units[] = {"us", "ms", "s", "m", "h", NULL};
    static const uint64_t lags_ns[] = {1000, 1000000, 1000000000, 60000000000, 3600000000000};
    const struct cli_option options[] = {
        {"cluster", OPTION_TEXT, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"from", OPTION_U64, &from, "the first lsn; default: where the log begins"},
        {"since", OPTION_TEXT, &since,
         "from the first entry accepted then: 2026-11-27T06:00:00Z, 10m (ago), or an hlc"},
        {"to", OPTION_U64, &to, "the last lsn; default: the end"},
        {"via", OPTION_TEXT, &via, "the node to read from"},
        {"level", OPTION_LEVEL, &level, "how current; default: the policy's"},
        {"max-lag", OPTION_TEXT, &max_lag, "how stale at most (50ms, 2s): nothing committed longer ago is missing"},
        {"session", OPTION_TEXT, &session, "a file: nothing of what it has seen and written is missing"},
        {"tentative", OPTION_FLAG, &tentative,
         "also what is not on the trunk yet: the node's branch, and copies of others'"},
        {"json", OPTION_FLAG, &printing.json, "a JSON row for each entry"},
        OPTIONS_END,
    };
    unsigned flags = (follow ? CAIRN_READ_FOLLOW : 0u);
    struct cluster_config cluster;
    struct cairn_client *client;
    enum cairn_error error;
    uint8_t node;
    uint32_t log;
    int first, status;

    if (!cli_parse(argc, argv, follow ? "tail NAME [OPTIONS]" : "read NAME [OPTIONS]", options, 1, 1, &first, &status))
        return status;
    if (session != NULL && (follow || (level != CAIRN_READ_POLICY && level != CAIRN_READ_SESSION)))
        return cli_usage("--session goes with read alone, and its level is session");
    if (level == CAIRN_READ_SESSION && session == NULL)
        return cli_usage("--level session needs --session FILE");
    if (max_lag != NULL && (follow || session != NULL || (level != CAIRN_READ_POLICY && level != CAIRN_READ_STALE)))
        return cli_usage("--max-lag goes with read alone, and its level is stale");
    if (max_lag != NULL && (!cli_with_unit(max_lag, lag_units, lags_ns, &max_lag_ns) || max_lag_ns < lags_ns[0] ||
                            max_lag_ns > LAG_MAX_NS))
        return cli_usage("--max-lag does not take '%s' (such as 500us, 50ms, 2s; at most 1h)", max_lag);
    if (since != NULL && from != 0)
        return cli_usage("--from and --since do not go together");
    if (since != NULL && !parse_since(since, &from))
        return cli_usage("--since does not take '%s' (such as 2026-11-27T06:00:00Z, 10m, 2h, or an hlc)", since);
    if (session != NULL && (status = cli_session_load(session, argv[first], &printing.token)) != 0)
        return status;
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_node(&cluster, via, &node)) != 0 ||
        (status = cli_open(&cluster, node, argv[first], &client, &log, &node)) != 0)
        return status;
    printing.cluster = &cluster;
    flags |= (tentative ? CAIRN_READ_TENTATIVE : 0u) | (since != NULL ? CAIRN_READ_SINCE : 0u);
    if (session != NULL)
        error = cairn_read_session(client, log, from, to, &printing.token, flags, READ_TOKEN);
    else if (max_lag != NULL)
        error = cairn_read_bounded(client, log, from, to, max_lag_ns, flags, READ_TOKEN);
    else
        error = cairn_read(client, log, from, to, level, flags, READ_TOKEN);
    if (error != CAIRN_OK)
        status = cli_fail("node %s takes no request", cluster.names[node]);
    else
        status = cli_read(&cluster, client, node, print_entry, &printing);
    if (session != NULL && status == EXIT_DONE)
        status = cli_session_save(session, argv[first], &printing.token);
    cairn_disconnect(client);
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
