/* Asking nodes over their admin sockets, several side by side. */
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "client/call.h"

#define PATIENCE_NS 600000000u
#define UNHEARD_NS 100000000u
#define HEDGE_NS 15000000u
#define SAY_NS 400000000u

struct asking {
    const struct cluster_config *cluster;
    struct cli_answers *answers;
    struct call calls[CAIRN_NODES_MAX];
    json_t **requests;
    uint64_t begun_ns, answered_ns; /* when the last one answered that is settled; 0: none did */
    enum cli_patience patience;
    uint32_t answered, settled, asked;
    cairn_node_set heard; /* by those that answered */
};

void
cli_answers_free(struct cli_answers *answers)
{
    for (uint32_t i = 0; i < CAIRN_NODES_MAX; i++)
        json_decref(answers->by_node[i]);
    memset(answers, 0, sizeof(*answers));
}

const char *
cli_answers_detail(const struct cli_answers *answers)
{
    for (uint32_t i = CAIRN_NODES_MAX; i > 0; i--) {
        if (answers->details[i - 1][0] != '\0')
            return answers->details[i - 1];
    }
    return "no node answers";
}

int
cli_unreached(enum cairn_error error, const char *detail)
{
    bool absent = strncmp(detail, "no node answers at", strlen("no node answers at")) == 0;

    if (error == CAIRN_FORBIDDEN)
        return cli_fail("%s", detail);
    return cli_fail("the cluster is down: %s%s", detail,
                    absent ? " (is the cluster running? 'cairn dev' starts one)" : "");
}

int
cli_unreached_at(const struct cluster_config *cluster, uint8_t via, enum cairn_error error, const char *detail)
{
    if (via == CAIRN_NODE_NONE || error == CAIRN_FORBIDDEN)
        return cli_unreached(error, detail);
    return cli_fail("%s does not answer: %s (without --via others are asked)", cluster->names[via], detail);
}

int
cli_unanswered(const struct cluster_config *cluster, uint8_t via, const struct cli_answers *answers)
{
    return cli_unreached_at(cluster, via, answers->forbidden ? CAIRN_FORBIDDEN : CAIRN_CLOSED,
                            cli_answers_detail(answers));
}

const char *
cli_silent_text(const struct cluster_config *cluster, cairn_node_set silent, char *text, size_t text_bytes)
{
    size_t used = 0;
    uint32_t count = (uint32_t)__builtin_popcount(silent), named = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < cluster->nodes && used < text_bytes; i++) {
        if (!(silent >> i & 1))
            continue;
        named++;
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s",
                                 named == 1       ? ""
                                 : named == count ? " and "
                                                  : ", ",
                                 cluster->names[i]);
    }
    if (count > 0 && used < text_bytes)
        snprintf(text + used, text_bytes - used, count == 1 ? " does not answer" : " do not answer");
    return text;
}

static void
note_heard(struct asking *asking, const json_t *answer)
{
    asking->heard |= cli_set_of(asking->cluster, json_object_get(answer, "reach"));
}

/* Is the node of the cluster, and does it know all that it knew before it was started? Else another may know better. */
static bool
is_settled(const json_t *answer)
{
    const json_t *standing = json_object_get(answer, "standing");

    if (!json_is_true(json_object_get(answer, "ok")) || json_is_null(json_object_get(answer, "cluster")))
        return false;
    return standing == NULL || (strcmp(cli_text(standing, "standing"), "member") == 0 &&
                                !json_is_true(json_object_get(standing, "recovering")));
}

uint8_t
cli_answerer(const struct cluster_config *cluster, const struct cli_answers *answers)
{
    uint8_t any = CAIRN_NODE_NONE;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (answers->by_node[i] == NULL)
            continue;
        if (is_settled(answers->by_node[i]))
            return i;
        any = any == CAIRN_NODE_NONE ? i : any;
    }
    return any;
}

uint8_t
cli_knows_most_logs(const struct cluster_config *cluster, const struct cli_answers *answers)
{
    uint8_t most = CAIRN_NODE_NONE;
    size_t logs = 0;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        size_t known = json_array_size(json_object_get(answers->by_node[i], "rows"));

        if (known <= logs)
            continue;
        logs = known;
        most = i;
    }
    return most;
}

/* A node's call is done. */
static void
note_done(struct asking *asking, uint32_t node)
{
    struct call *call = &asking->calls[node];
    struct cli_answers *answers = asking->answers;
    bool forbidden = strcmp(cli_text(call->answer, "error"), "forbidden") == 0;

    answers->forbidden |= forbidden;
    if (forbidden || strcmp(cli_text(call->answer, "error"), "full") == 0) {
        snprintf(answers->details[node], sizeof(answers->details[node]), "%s", cli_text(call->answer, "detail"));
        return;
    }
    if (call->answer == NULL) {
        answers->forbidden |= call->error == CAIRN_FORBIDDEN;
        snprintf(answers->details[node], sizeof(answers->details[node]), "%s", call->detail);
        return;
    }
    answers->by_node[node] = call->answer;
    call->answer = NULL;
    answers->silent &= ~((cairn_node_set)1 << node);
    asking->answered++;
    /* A node that waits for a cluster, or recovers, does not know whom else to wait for. */
    if (is_settled(answers->by_node[node])) {
        asking->settled++;
        asking->answered_ns = cli_now_ns();
    }
    note_heard(asking, answers->by_node[node]);
}

static bool
wants_one(enum cli_patience patience)
{
    return patience == CLI_FIRST || patience == CLI_QUICK;
}

/* Where the first answer will do, the next node is asked when those before have failed or take long. */
static bool
is_due(const struct asking *asking, uint32_t under_way, uint64_t now_ns)
{
    return !wants_one(asking->patience) || under_way == 0 ||
           now_ns - asking->begun_ns >= (uint64_t)asking->asked * HEDGE_NS;
}

static void
begin(struct asking *asking, uint32_t node)
{
    char path[384];

    snprintf(path, sizeof(path), "%s/%s.sock", asking->cluster->directory, asking->cluster->names[node]);
    call_begin(&asking->calls[node], path, asking->requests[node]);
    asking->requests[node] = NULL;
    asking->asked++;
}

/* Is its answer still worth waiting for? */
static bool
is_awaited(const struct asking *asking, uint32_t node, uint64_t now_ns)
{
    if (asking->patience == CLI_HEARD && asking->settled > 0 && !(asking->heard >> node & 1))
        return now_ns - asking->answered_ns < UNHEARD_NS;
    return now_ns - asking->begun_ns < (asking->patience == CLI_QUICK ? UNHEARD_NS : PATIENCE_NS);
}

/* Begins what is due and goes on with what is under way: those that are to be waited for. */
static uint32_t
step_all(struct asking *asking, struct call **pending)
{
    uint64_t now_ns = cli_now_ns();
    uint32_t count = 0;

    for (uint32_t i = 0; i < asking->cluster->nodes; i++) {
        struct call *call = &asking->calls[i];

        if (asking->requests[i] != NULL && is_due(asking, count, now_ns))
            begin(asking, i);
        if (call->state == CALL_NONE || call->state == CALL_DONE)
            continue;
        if (call_step(call))
            note_done(asking, i);
        else if (is_awaited(asking, i, now_ns))
            pending[count++] = call;
    }
    return count;
}

static void
end_all(struct asking *asking)
{
    for (uint32_t i = 0; i < asking->cluster->nodes; i++) {
        char *detail = asking->answers->details[i];

        if (asking->calls[i].state != CALL_NONE && asking->calls[i].state != CALL_DONE) {
            asking->answers->hung |= (cairn_node_set)1 << i;
            snprintf(detail, sizeof(asking->answers->details[i]), "node %s does not answer (is it stopped?)",
                     asking->cluster->names[i]);
        }
        call_end(&asking->calls[i]);
        json_decref(asking->requests[i]);
        asking->requests[i] = NULL;
    }
}

uint32_t
cli_ask_each(const struct cluster_config *cluster, json_t **requests, enum cli_patience patience,
             struct cli_answers *answers)
{
    struct asking asking = {
        .cluster = cluster, .answers = answers, .requests = requests, .begun_ns = cli_now_ns(), .patience = patience};
    struct call *pending[CAIRN_NODES_MAX];
    uint32_t count;

    cli_answers_free(answers);
    for (uint32_t i = 0; i < cluster->nodes; i++)
        answers->silent |= (cairn_node_set)(requests[i] != NULL) << i;
    while ((count = step_all(&asking, pending)) > 0 && (!wants_one(patience) || asking.settled == 0))
        calls_wait(pending, count, HEDGE_NS);
    end_all(&asking);
    return asking.answered;
}

uint32_t
cli_ask_all(const struct cluster_config *cluster, const char *command, uint8_t via, enum cli_patience patience,
            struct cli_answers *answers)
{
    json_t *requests[CAIRN_NODES_MAX] = {0};
    cairn_node_set present = cli_present(cluster);

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (via == CAIRN_NODE_NONE ? present >> i & 1 : via == i)
            requests[i] = json_pack("{s:s}", "cmd", command);
    }
    return cli_ask_each(cluster, requests, patience, answers);
}

uint32_t
cli_ask_status(const struct cluster_config *cluster, uint8_t via, enum cli_patience patience,
               struct cli_answers *answers)
{
    return cli_ask_all(cluster, "status", via, patience, answers);
}

json_t *
cli_ask(const struct cluster_config *cluster, uint8_t node, json_t *request, char *detail, size_t detail_bytes)
{
    json_t *requests[CAIRN_NODES_MAX] = {0};
    struct cli_answers answers = {0};
    json_t *answer;

    requests[node] = request;
    cli_ask_each(cluster, requests, CLI_ALL, &answers);
    answer = json_incref(answers.by_node[node]);
    if (answer == NULL)
        snprintf(detail, detail_bytes, "%s", answers.details[node]);
    cli_answers_free(&answers);
    return answer;
}

const json_t *
cli_leader_row(const struct cluster_config *cluster, const struct cli_answers *status, const char *log)
{
    const json_t *leader = NULL;
    json_int_t term = -1;

    for (uint8_t node = 0; node < cluster->nodes; node++) {
        const json_t *row = cli_log_row(status->by_node[node], log);

        /* A former leader may not know yet that it is. */
        if (strcmp(cli_text(row, "role"), "leader") != 0 || json_integer_value(json_object_get(row, "term")) <= term)
            continue;
        term = json_integer_value(json_object_get(row, "term"));
        leader = row;
    }
    return leader;
}

uint32_t
cli_voters(const struct cluster_config *cluster, const char *log, uint8_t via)
{
    struct cli_answers answers = {0};
    size_t voters = 0;

    cli_ask_status(cluster, via, CLI_QUICK, &answers);
    for (uint8_t i = 0; i < cluster->nodes && voters == 0; i++)
        voters = json_array_size(json_object_get(cli_log_row(answers.by_node[i], log), "voters"));
    cli_answers_free(&answers);
    return (uint32_t)voters;
}

const char *
cli_reach_text(const struct cairn_result *refusal, uint32_t voters, char *text, size_t text_bytes)
{
    /* The voters may have changed since it was refused. */
    if (voters >= refusal->needed && voters >= refusal->reached)
        snprintf(text, text_bytes, "reaching %u of %u, need %u", refusal->reached, voters, refusal->needed);
    else
        snprintf(text, text_bytes, "reaching %u, need %u", refusal->reached, refusal->needed);
    return text;
}

void
cli_waits(struct cli_waiting *waiting, const char *what, ...)
{
    va_list arguments;

    if (waiting->begun_ns == 0)
        waiting->begun_ns = cli_now_ns();
    if (waiting->said || cli_now_ns() - waiting->begun_ns < SAY_NS)
        return;
    waiting->said = true;
    fflush(stdout);
    fputs("cairn: waiting: ", stderr);
    va_start(arguments, what);
    vfprintf(stderr, what, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
