/* Entries of a log, from the node that was named or from the first that serves them. */
#include <inttypes.h>

#include "admin_client.h"
#include "cli.h"

#define READ_TOKEN 1u
#define WAIT_NS 50000000u
#define ASK_NEXT (-1)

struct reading {
    const struct cluster_config *cluster;
    const struct cli_read_request *request;
    cli_take_entry *take;
    void *context;
    bool taken;                  /* something was: nobody else can go on from there */
    uint8_t refused_by;          /* the last node that did, CAIRN_NODE_NONE: none, */
    struct cairn_result refusal; /* and its reason */
    char detail[256];            /* why a node could not even be asked */
};

static int
not_served(const struct reading *reading)
{
    const struct cairn_result *end = &reading->refusal;
    const char *node;

    if (reading->refused_by == CAIRN_NODE_NONE)
        return cli_fail("the cluster is down: %s", reading->detail);
    node = reading->cluster->names[reading->refused_by];
    if (end->error == CAIRN_NO_QUORUM)
        cli_fail("%s cannot serve this read: no quorum: reaching %u of %u, need %u (--level stale reads what it has)",
                 node, end->reached, reading->cluster->nodes, end->needed);
    else if (end->error == CAIRN_BEHIND)
        cli_fail(
            "%s has not yet what was asked for: what the session has seen and written, or what was committed so long "
            "ago (try again, or another node with --via)",
            node);
    else
        cli_fail("%s cannot serve this read: %s", node, cairn_error_text(end->error));
    return cli_exit_status(end->error);
}

static int
refused(struct reading *reading, uint8_t node, const struct cairn_result *end)
{
    reading->refused_by = node;
    reading->refusal = *end;
    return !reading->taken && cli_exit_status(end->error) == EXIT_REFUSED ? ASK_NEXT : not_served(reading);
}

/* Until the read ends. */
static int
take_all(struct reading *reading, uint8_t node, struct cairn_client *client)
{
    struct cairn_result result;
    int got, status;

    for (;;) {
        while ((got = cairn_poll(client, &result)) > 0) {
            if (result.type == CAIRN_RESULT_END && result.error != CAIRN_OK)
                return refused(reading, node, &result);
            if (result.error != CAIRN_OK)
                return cli_fail("lsn %" PRIu64 ": %s", result.lsn, cairn_error_text(result.error));
            status = reading->take(reading->context, &result);
            if (status != EXIT_DONE || result.type == CAIRN_RESULT_END)
                return status;
            reading->taken = true;
        }
        if (got < 0 || !cairn_client_alive(client)) {
            snprintf(reading->detail, sizeof(reading->detail), "node %s went away", reading->cluster->names[node]);
            return reading->taken ? cli_fail("%s (read from another with --via)", reading->detail) : ASK_NEXT;
        }
        fflush(stdout);
        if (!cli_output_alive())
            return EXIT_FAILED;
        cairn_wait(client, WAIT_NS);
    }
}

static enum cairn_error
ask(const struct cli_read_request *request, struct cairn_client *client, uint32_t log)
{
    if (request->token != NULL)
        return cairn_read_session(client, log, request->from, request->to, request->token, request->flags, READ_TOKEN);
    if (request->max_lag_ns != 0)
        return cairn_read_bounded(client, log, request->from, request->to, request->max_lag_ns, request->flags,
                                  READ_TOKEN);
    return cairn_read(client, log, request->from, request->to, request->level, request->flags, READ_TOKEN);
}

/* At one node. ASK_NEXT: it does not serve, which is noted, and another might. */
static int
read_at(struct reading *reading, uint8_t node)
{
    const struct cli_read_request *request = reading->request;
    const char *names[CAIRN_NODES_MAX];
    struct session_sockets sockets = cli_sockets(reading->cluster, names);
    struct cairn_client *client;
    enum cairn_error error;
    uint32_t log;
    int status = ASK_NEXT;

    if (session_connect_shm(&sockets, node, &client, reading->detail, sizeof(reading->detail)) != CAIRN_OK)
        return ASK_NEXT;
    error = cairn_open(client, request->log, &log, reading->detail, sizeof(reading->detail));
    if (error == CAIRN_NO_LOG)
        status = cli_fail("no log '%s' ('cairn log create %s --policy cp' makes it, 'cairn log list' shows them)",
                          request->log, request->log);
    else if (error == CAIRN_OK && ask(request, client, log) == CAIRN_OK)
        status = take_all(reading, node, client);
    else if (error == CAIRN_OK)
        snprintf(reading->detail, sizeof(reading->detail), "node %s takes no request", names[node]);
    cairn_disconnect(client);
    return status;
}

int
cli_read(const struct cluster_config *cluster, uint8_t via, const struct cli_read_request *request,
         cli_take_entry *take, void *context)
{
    struct reading reading = {cluster, request, take, context, .refused_by = CAIRN_NODE_NONE};
    int status = ASK_NEXT;

    for (uint8_t node = 0; node < cluster->nodes && status == ASK_NEXT; node++) {
        if (via == CAIRN_NODE_NONE || via == node)
            status = read_at(&reading, node);
    }
    return status == ASK_NEXT ? not_served(&reading) : status;
}
