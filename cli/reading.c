/* Entries of a log, from the node that was named or from the first that serves them. A node that does not answer at
 * once is left to its time, and the next node is asked beside it. A tail that loses its node goes on at another, behind
 * the last entry that it has shown. */
#include <inttypes.h>
#include <time.h>

#include "cli/cli.h"
#include "client/dial.h"

#define READ_TOKEN 1u
#define WAIT_NS 50000000u
/* Before the next node is asked too: where one cannot be reached, and where it takes long to serve. */
#define DIAL_HEDGE_NS 15000000u
#define SERVE_HEDGE_NS 150000000u
/* A node gives up a read by itself, after two seconds; one that says nothing for so long is hung. */
#define SILENT_NS 4000000000u
/* A tail that has lost its node looks for another for so long. */
#define GO_ON_NS 10000000000u
#define GO_ON_PAUSE_NS 50000000
#define PENDING (-2)
#define ASK_NEXT (-1)

enum attempt_state { ATTEMPT_NONE, ATTEMPT_DIALS, ATTEMPT_READS, ATTEMPT_OVER };

/* To read from one node. */
struct attempt {
    enum attempt_state state;
    struct dial dial;
    struct cairn_client *client;
    uint64_t since_ns; /* it is in this state, or heard something last */
};

struct reading {
    const struct cluster_config *cluster;
    struct cli_read_request request;
    uint8_t via; /* CAIRN_NODE_NONE: whoever serves it */
    cli_take_entry *take;
    void *context;
    struct attempt attempts[CAIRN_NODES_MAX];
    struct cli_waiting waiting;
    bool taken;                  /* something was, from the node that is read from */
    uint64_t lost_ns;            /* since then a tail looks for another node; 0: it does not */
    uint64_t taken_lsn;          /* of the last that was taken from the trunk */
    bool branch_taken;           /* something was that is on a branch */
    uint64_t lost_lsn;           /* the same, when a node was lost last, */
    uint32_t losses;             /* so often in a row */
    uint8_t refused_by;          /* the last node that did, CAIRN_NODE_NONE: none, */
    struct cairn_result refusal; /* and its reason */
    char detail[256];            /* why a node could not even be asked */
};

/* Where the log begins at the node that refused; 0: it does not say. */
static uint64_t
first_lsn(const struct reading *reading)
{
    struct cli_answers answers = {0};
    json_int_t first;

    cli_ask_status(reading->cluster, reading->refused_by, CLI_ALL, &answers);
    first = json_integer_value(
        json_object_get(cli_log_row(answers.by_node[reading->refused_by], reading->request.log), "first_lsn"));
    cli_answers_free(&answers);
    return first > 0 ? (uint64_t)first : 0;
}

static int
not_served(const struct reading *reading)
{
    const struct cairn_result *end = &reading->refusal;
    const char *node;
    uint64_t first;
    char text[64];

    if (reading->refused_by == CAIRN_NODE_NONE)
        return cli_unreached_at(reading->cluster, reading->via, CAIRN_CLOSED, reading->detail);
    node = reading->cluster->names[reading->refused_by];
    if (end->error == CAIRN_NO_QUORUM)
        cli_fail("%s cannot serve this read: no quorum: %s (--level stale reads what it has)", node,
                 cli_reach_text(end, cli_voters(reading->cluster, reading->request.log, reading->refused_by), text,
                                sizeof(text)));
    else if (end->error == CAIRN_BEHIND)
        cli_fail(
            "%s has not yet what was asked for: what the session has seen and written, or what was committed so long "
            "ago (try again, or another node with --via)",
            node);
    else if (end->error == CAIRN_TRIMMED && (first = first_lsn(reading)) != 0)
        cli_fail("%s cannot serve this read: %s (--from %" PRIu64 " is where it begins)", node,
                 cairn_error_text(end->error), first);
    else
        cli_fail("%s cannot serve this read: %s", node, cairn_error_text(end->error));
    return cli_exit_status(end->error);
}

static bool
follows(const struct reading *reading)
{
    return (reading->request.flags & CAIRN_READ_FOLLOW) != 0;
}

static void attempt_end(struct attempt *attempt);

/* All are asked anew, for what is behind the last entry that was shown. */
static void
begin_anew(struct reading *reading)
{
    for (uint8_t i = 0; i < reading->cluster->nodes; i++) {
        attempt_end(&reading->attempts[i]);
        reading->attempts[i].state = ATTEMPT_NONE;
    }
    reading->taken = false;
    if (reading->taken_lsn == 0)
        return;
    reading->request.from = reading->taken_lsn + 1;
    reading->request.flags &= ~(uint32_t)CAIRN_READ_SINCE;
}

/* May another node show the rest? What a branch had was this node's, and would be shown once more: a tail says so. After a loss at which no more was shown than at the
 * last one, as often as there are nodes, none can. */
static bool
goes_on(struct reading *reading)
{
    if (reading->via != CAIRN_NODE_NONE ||
        (!follows(reading) && ((reading->request.flags & CAIRN_READ_TENTATIVE) || reading->branch_taken)))
        return false;
    if (follows(reading) || reading->lost_lsn != reading->taken_lsn)
        reading->losses = 0;
    reading->lost_lsn = reading->taken_lsn;
    return reading->losses++ < reading->cluster->nodes;
}

static int
go_on(struct reading *reading, uint8_t node, const char *how)
{
    const char *name = reading->cluster->names[node];

    fprintf(stderr, "cairn: node %s %s: goes on at another, from lsn %" PRIu64 "\n", name, how, reading->taken_lsn + 1);
    reading->lost_ns = follows(reading) || reading->request.patient ? cli_now_ns() : 0;
    begin_anew(reading);
    return ASK_NEXT;
}

/* The node that was read from has gone, or says nothing any more. */
static int
lost(struct reading *reading, uint8_t node, const char *how)
{
    if (goes_on(reading))
        return go_on(reading, node, how);
    return cli_fail("node %s %s: go on with --from %" PRIu64 ", at another node with --via",
                    reading->cluster->names[node], how, reading->taken_lsn + 1);
}

/* Nobody serves it at the moment. A tail that went well until now waits for elections and restarts, and so does a
 * patient read. */
static int
nobody(struct reading *reading)
{
    struct timespec pause = {.tv_nsec = GO_ON_PAUSE_NS};
    int status;

    if (reading->lost_ns == 0 || cli_now_ns() - reading->lost_ns > GO_ON_NS) {
        status = not_served(reading);
        if (reading->lost_ns != 0 || reading->losses > 0)
            cli_fail("go on with --from %" PRIu64, reading->taken_lsn + 1);
        return status;
    }
    cli_waits(&reading->waiting, "for a node that goes on from lsn %" PRIu64, reading->taken_lsn + 1);
    begin_anew(reading);
    nanosleep(&pause, NULL);
    return ASK_NEXT;
}

static int
refused(struct reading *reading, uint8_t node, const struct cairn_result *end)
{
    int status;

    reading->refused_by = node;
    reading->refusal = *end;
    if (cli_exit_status(end->error) != EXIT_REFUSED)
        return not_served(reading);
    if (!reading->taken)
        return ASK_NEXT;
    if (goes_on(reading))
        return go_on(reading, node, "does not serve it any more");
    status = not_served(reading);
    cli_fail("go on with --from %" PRIu64, reading->taken_lsn + 1);
    return status;
}

static void
attempt_end(struct attempt *attempt)
{
    dial_end(&attempt->dial);
    cairn_disconnect(attempt->client);
    attempt->client = NULL;
    attempt->state = ATTEMPT_OVER;
}

/* Its first entry, or its end, makes a node the one that is read from. */
static void
choose(struct reading *reading, uint8_t node)
{
    for (uint8_t i = 0; i < reading->cluster->nodes; i++) {
        if (i != node)
            attempt_end(&reading->attempts[i]);
    }
    reading->taken = true;
    reading->lost_ns = 0;
}

/* What there is from this node. */
static int
take_some(struct reading *reading, uint8_t node)
{
    struct attempt *attempt = &reading->attempts[node];
    struct cairn_result result;
    int got, status;

    while ((got = cairn_poll(attempt->client, &result)) > 0) {
        attempt->since_ns = cli_now_ns();
        if (result.type == CAIRN_RESULT_END && result.error != CAIRN_OK)
            return refused(reading, node, &result);
        if (result.error != CAIRN_OK)
            return cli_fail("lsn %" PRIu64 ": %s", result.lsn, cairn_error_text(result.error));
        if (!reading->taken)
            choose(reading, node);
        if (!result.on_branch)
            reading->taken_lsn = result.lsn;
        else if (result.type == CAIRN_RESULT_ENTRY)
            reading->branch_taken = true;
        status = reading->take(reading->context, &result);
        if (status != EXIT_DONE || result.type == CAIRN_RESULT_END)
            return status;
    }
    if (got == 0 && cairn_client_alive(attempt->client))
        return PENDING;
    if (reading->taken)
        return lost(reading, node, "went away");
    snprintf(reading->detail, sizeof(reading->detail), "node %s went away", reading->cluster->names[node]);
    return ASK_NEXT;
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

/* A step towards a node that serves. */
static int
dial_some(struct reading *reading, uint8_t node)
{
    struct attempt *attempt = &reading->attempts[node];
    const char *log_name = reading->request.log;
    struct session_sockets sockets = cli_sockets(reading->cluster);
    struct cairn_client *client;
    uint32_t log = 0;
    enum cairn_error error = session_connect_shm(&sockets, node, &attempt->dial, &client, reading->detail,
                                                 sizeof(reading->detail));

    if (error == CAIRN_OK && cli_follows(reading->cluster, &attempt->dial.seats) != 0)
        return EXIT_FAILED;
    if (error == CAIRN_OK)
        error = dial_open(&attempt->dial, log_name, &log, reading->detail, sizeof(reading->detail));
    if (error == CAIRN_AGAIN)
        return PENDING;
    if (error == CAIRN_NO_LOG && !reading->request.patient)
        return cli_fail("no log '%s' ('cairn log create %s --policy cp' makes it, 'cairn log list' shows them)",
                        log_name, log_name);
    if (error == CAIRN_FORBIDDEN)
        return cli_unreached(error, reading->detail);
    if (error != CAIRN_OK)
        return ASK_NEXT;
    attempt->client = attempt->dial.client;
    attempt->dial.client = NULL;
    attempt->state = ATTEMPT_READS;
    attempt->since_ns = cli_now_ns();
    if (ask(&reading->request, attempt->client, log) == CAIRN_OK)
        return PENDING;
    snprintf(reading->detail, sizeof(reading->detail), "node %s takes no request", sockets.names[node]);
    return ASK_NEXT;
}

/* A tail may have nothing new: does its node still answer anything? */
static int
probe(struct reading *reading, uint8_t node, uint64_t now_ns)
{
    struct attempt *attempt = &reading->attempts[node];
    json_t *answer;

    if (now_ns - attempt->since_ns < SILENT_NS / 2)
        return PENDING;
    answer = cli_ask(reading->cluster, node, json_pack("{s:s}", "cmd", "cluster"), reading->detail,
                     sizeof(reading->detail));
    attempt->since_ns = cli_now_ns();
    json_decref(answer);
    if (answer != NULL)
        return PENDING;
    return reading->taken ? lost(reading, node, "does not answer any more") : ASK_NEXT;
}

/* Nothing has come from it since then. PENDING: it may yet. */
static int
look_after(struct reading *reading, uint8_t node, uint64_t now_ns)
{
    struct attempt *attempt = &reading->attempts[node];
    bool reads = attempt->state == ATTEMPT_READS;

    if (reads && follows(reading))
        return probe(reading, node, now_ns);
    if (reading->taken && now_ns - attempt->since_ns > SILENT_NS / 2)
        return lost(reading, node, "does not answer any more");
    if (now_ns - attempt->since_ns < SILENT_NS) {
        cli_waits(&reading->waiting, "for node %s to %s", reading->cluster->names[node],
                  !reads           ? "answer (is it stopped?)"
                  : reading->taken ? "go on"
                                   : "serve this read");
        return PENDING;
    }
    snprintf(reading->detail, sizeof(reading->detail), "node %s does not answer (is it stopped?)",
             reading->cluster->names[node]);
    return ASK_NEXT;
}

static int
step(struct reading *reading, uint8_t node)
{
    struct attempt *attempt = &reading->attempts[node];
    int status = attempt->state == ATTEMPT_DIALS ? dial_some(reading, node) : take_some(reading, node);

    if (status == PENDING)
        status = look_after(reading, node, cli_now_ns());
    if (status == ASK_NEXT)
        attempt_end(attempt);
    return status == PENDING || status == ASK_NEXT ? ASK_NEXT : status;
}

static bool
may_serve(const struct reading *reading, uint8_t via, uint8_t node)
{
    return via == CAIRN_NODE_NONE ? cli_present(reading->cluster) >> node & 1 : via == node;
}

/* The next node is asked when none is, or when all that are take long. */
static void
ask_more(struct reading *reading, uint8_t via)
{
    uint64_t now_ns = cli_now_ns();

    for (uint8_t node = 0; node < reading->cluster->nodes && !reading->taken; node++) {
        struct attempt *attempt = &reading->attempts[node];
        bool reads = attempt->state == ATTEMPT_READS;

        if (!may_serve(reading, via, node))
            continue;
        if (attempt->state == ATTEMPT_NONE) {
            attempt->state = ATTEMPT_DIALS;
            attempt->since_ns = now_ns;
            return;
        }
        if (attempt->state != ATTEMPT_OVER &&
            ((reads && follows(reading)) || now_ns - attempt->since_ns < (reads ? SERVE_HEDGE_NS : DIAL_HEDGE_NS)))
            return;
    }
}

static void
rest(struct reading *reading)
{
    struct timespec pause = {.tv_nsec = 200000};
    struct cairn_client *only = NULL;
    uint32_t under_way = 0;

    for (uint8_t node = 0; node < reading->cluster->nodes; node++) {
        if (reading->attempts[node].state == ATTEMPT_DIALS || reading->attempts[node].state == ATTEMPT_READS)
            under_way++;
        if (reading->attempts[node].state == ATTEMPT_READS)
            only = reading->attempts[node].client;
    }
    if (under_way == 1 && only != NULL)
        cairn_wait(only, WAIT_NS);
    else
        nanosleep(&pause, NULL);
}

/* Until somebody has served it to its end, or nobody will. */
static int
read_on(struct reading *reading, uint8_t via)
{
    for (;;) {
        uint32_t under_way = 0;
        int status;

        ask_more(reading, via);
        for (uint8_t node = 0; node < reading->cluster->nodes; node++) {
            enum attempt_state state = reading->attempts[node].state;

            status = state == ATTEMPT_DIALS || state == ATTEMPT_READS ? step(reading, node) : ASK_NEXT;

            if (status != ASK_NEXT)
                return status;
        }
        for (uint8_t node = 0; node < reading->cluster->nodes; node++)
            under_way += reading->attempts[node].state != ATTEMPT_OVER && may_serve(reading, via, node);
        if (under_way == 0 && (status = nobody(reading)) != ASK_NEXT)
            return status;
        fflush(stdout);
        if (!cli_output_alive())
            return EXIT_FAILED;
        rest(reading);
    }
}

int
cli_read(const struct cluster_config *cluster, uint8_t via, const struct cli_read_request *request,
         cli_take_entry *take, void *context)
{
    struct reading reading = {.cluster = cluster,
                              .request = *request,
                              .via = via,
                              .take = take,
                              .context = context,
                              .lost_ns = request->patient ? cli_now_ns() : 0,
                              .refused_by = CAIRN_NODE_NONE};
    int status = read_on(&reading, via);

    for (uint8_t node = 0; node < cluster->nodes; node++)
        attempt_end(&reading.attempts[node]);
    return status;
}
