/* Who holds a log, who votes, who leads: changed log by log. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/member.h"
#include "client/dial.h"

#define WAIT_NS 20000000000u
/* A leader that hands over has either done so by then, or goes on as before. */
#define HANDED_OVER_NS 2000000000u
#define DIAL_NS 100000000u
/* Before the next node is asked: to ask again does no harm. */
#define ANSWER_NS 300000000u
/* Before it is believed that nobody hears a majority: a node that starts, or an election, is over by then. */
#define LACKING_NS 700000000u
/* Nobody has heard the node that is to catch up for so long: it is not waited for any more. */
#define UNHEARD_NS 3000000000u

struct change {
    const struct cluster_config *cluster;
    enum cairn_member_op op;
    uint8_t node;
    uint64_t end_ns;
    uint64_t lacking_ns; /* since then no quorum of the log is seen; 0: one is, or nobody can tell */
    uint64_t unheard_ns; /* since then nobody that answers hears the node, nor does it answer; 0: somebody does */
    char why[384];       /* it failed, in more than the error's words; "": in those */
};

static void
rest(void)
{
    struct timespec pause = {.tv_nsec = 5000000};

    nanosleep(&pause, NULL);
}

/* One attempt at one node. */
static enum cairn_error
attempt(const struct change *change, uint8_t via, const char *log, struct cairn_result *result)
{
    uint64_t end_ns = cli_now_ns() + ANSWER_NS;
    const char *name = change->cluster->names[change->node];
    struct dial_seats seats = {0};
    struct cairn_client *client;
    char path[384], detail[256];
    enum cairn_error error;
    uint8_t number = change->node;
    uint32_t id;

    snprintf(path, sizeof(path), "%s/%s.sock", change->cluster->directory, change->cluster->names[via]);
    error = client_connect(path, true, DIAL_NS, &client, &seats, detail, sizeof(detail));
    if (error != CAIRN_OK)
        return error;
    /* The node by the number that this one has for it. Where this one has not heard of it yet, it is behind. */
    if (seats.count > 0)
        number = dial_seat(&seats, name);
    if (number == CAIRN_NODE_NONE) {
        cairn_disconnect(client);
        return CAIRN_RECOVERING;
    }
    error = cairn_open(client, log, DIAL_NS, &id, detail, sizeof(detail));
    if (error == CAIRN_OK)
        error = cairn_member(client, id, change->op, number, 1);
    if (error == CAIRN_OK) {
        error = CAIRN_TIMEOUT;
        while (error == CAIRN_TIMEOUT && cli_now_ns() < end_ns) {
            int found = cairn_poll(client, result);

            if (found != 0)
                error = found < 0 ? CAIRN_CLOSED : result->error;
            else
                cairn_wait(client, 2000000);
        }
    }
    cairn_disconnect(client);
    if (result->leader < seats.count)
        result->leader = cluster_config_node(change->cluster, seats.names[result->leader]);
    return error;
}

/* Round and round, among those that are of the cluster. */
static uint8_t
next_of(const struct cluster_config *cluster, uint8_t node)
{
    do
        node = (uint8_t)((node + 1) % cluster->nodes);
    while (!(cli_present(cluster) >> node & 1));
    return node;
}

/* The nodes that a node's own row names as heard, and itself, among those that vote. */
static cairn_node_set
voters_heard(const struct cluster_config *cluster, uint8_t node, const json_t *row, cairn_node_set *voters)
{
    *voters = cli_set_of(cluster, json_object_get(row, "voters"));
    return *voters & (cli_set_of(cluster, json_object_get(row, "hears")) | (cairn_node_set)1 << node);
}

/* Does none of those that answer hear more than half of those that vote? Then nobody can lead; why: says so. */
static bool
sees_no_quorum(struct change *change, const char *log)
{
    const struct cluster_config *cluster = change->cluster;
    struct cli_answers answers = {0};
    struct cairn_result most = {0};
    uint32_t count = 0;
    char text[64];

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        cairn_node_set voters, heard = voters_heard(cluster, i, cli_log_row(answers.by_node[i], log), &voters);

        if (voters == 0 || (uint8_t)__builtin_popcount(heard) < most.reached)
            continue;
        count = (uint32_t)__builtin_popcount(voters);
        most.reached = (uint8_t)__builtin_popcount(heard);
        most.needed = (uint8_t)(count / 2 + 1);
    }
    cli_answers_free(&answers);
    snprintf(change->why, sizeof(change->why), "no quorum: %s", cli_reach_text(&most, count, text, sizeof(text)));
    return count > 0 && most.reached < most.needed;
}

/* Has it been so for longer than what passes by itself? */
static bool
lacks_quorum(struct change *change, const char *log)
{
    uint64_t now_ns = cli_now_ns();

    if (!sees_no_quorum(change, log)) {
        change->lacking_ns = 0;
        change->why[0] = '\0';
        return false;
    }
    if (change->lacking_ns == 0)
        change->lacking_ns = now_ns;
    return now_ns - change->lacking_ns > LACKING_NS;
}

static bool
is_heard(const struct change *change)
{
    struct cli_answers answers = {0};
    bool heard;

    cli_ask_status(change->cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    heard = answers.by_node[change->node] != NULL;
    for (uint8_t i = 0; i < change->cluster->nodes && !heard; i++)
        heard = cli_set_of(change->cluster, json_object_get(answers.by_node[i], "reach")) >> change->node & 1;
    cli_answers_free(&answers);
    return heard;
}

/* A node that does not run does not catch up: has it been so for longer than a start takes? why: says so. */
static bool
is_absent(struct change *change)
{
    const char *name = change->cluster->names[change->node];
    uint64_t now_ns = cli_now_ns();

    if (change->op == CAIRN_MEMBER_REMOVE || is_heard(change)) {
        change->unheard_ns = 0;
        return false;
    }
    if (change->unheard_ns == 0)
        change->unheard_ns = now_ns;
    if (now_ns - change->unheard_ns <= UNHEARD_NS)
        return false;
    if (change->op == CAIRN_MEMBER_TRANSFER)
        snprintf(change->why, sizeof(change->why), "%s is not heard, and cannot lead (start it first)", name);
    else
        snprintf(change->why, sizeof(change->why),
                 "%s is not heard, and stays a learner (once it runs, 'cairn member add %s' lets it vote)", name, name);
    return true;
}

/* Goes to the leader, wherever that is by now, and waits out what is only a matter of time. */
static enum cairn_error
change_log(struct change *change, const char *log)
{
    enum cairn_error error = CAIRN_NO_LEADER;
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    cairn_node_set lacking = 0;
    uint8_t via = next_of(change->cluster, (uint8_t)(change->cluster->nodes - 1));

    while (cli_now_ns() < change->end_ns) {
        struct cairn_result result = {.leader = CAIRN_NODE_NONE};

        assert(via < CAIRN_NODES_MAX);
        error = attempt(change, via, log, &result);
        if (error != CAIRN_NO_LOG)
            lacking &= ~((cairn_node_set)1 << via);
        switch (error) {
        case CAIRN_NOT_LEADER:
            if (result.leader < change->cluster->nodes && result.leader != via) {
                via = result.leader;
                continue;
            }
            break;
        case CAIRN_BEHIND:
            if (is_absent(change))
                return error;
            break;
        case CAIRN_AGAIN:
        case CAIRN_UNKNOWN:
            break;
        /* Another may know better, or have room. */
        case CAIRN_NO_LOG:
            lacking |= (cairn_node_set)1 << via;
            if ((lacking & cli_present(change->cluster)) == cli_present(change->cluster))
                return error;
            via = next_of(change->cluster, via);
            break;
        case CAIRN_RECOVERING:
        case CAIRN_FULL:
        case CAIRN_NO_LEADER:
        case CAIRN_TIMEOUT:
        case CAIRN_CLOSED:
        case CAIRN_IO:
            via = next_of(change->cluster, via);
            break;
        default:
            return error;
        }
        if (lacks_quorum(change, log))
            return CAIRN_NO_QUORUM;
        cli_waits(&waiting, "for the leader of log '%s' to make the change: %s", log, cairn_error_text(error));
        rest();
    }
    return error;
}

static const char *
leader_of(const struct cluster_config *cluster, const char *log, char *name, size_t name_bytes)
{
    struct cli_answers answers = {0};

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    snprintf(name, name_bytes, "%s", cli_text(cli_leader_row(cluster, &answers, log), "node"));
    cli_answers_free(&answers);
    return name;
}

/* Does the node come to lead the log? */
static enum cairn_error
wait_for_leader(struct change *change, const char *log, struct cli_waiting *waiting)
{
    char name[CAIRN_NAME_BYTES];
    uint64_t end_ns = cli_now_ns() + HANDED_OVER_NS;

    while (cli_now_ns() < end_ns) {
        cli_waits(waiting, "for %s to lead log '%s'", change->cluster->names[change->node], log);
        if (strcmp(leader_of(change->cluster, log, name, sizeof(name)), change->cluster->names[change->node]) == 0)
            return CAIRN_OK;
        if (lacks_quorum(change, log))
            return CAIRN_NO_QUORUM;
        rest();
    }
    return CAIRN_TIMEOUT;
}

/* A transfer has only begun when it is answered, and comes to nothing where the machine stalls for longer than an election
 * waits: so it is asked for again. Who leads already says that it does. */
static enum cairn_error
hand_over(struct change *change, const char *log)
{
    struct cli_waiting waiting = {0};
    enum cairn_error error;

    do {
        error = change_log(change, log);
        if (error == CAIRN_OK)
            error = wait_for_leader(change, log, &waiting);
    } while (error == CAIRN_TIMEOUT && cli_now_ns() < change->end_ns);
    return error;
}

static enum cairn_error
apply_to(struct change *change, const char *log, bool learner)
{
    enum cairn_error error;

    if (change->op == CAIRN_MEMBER_TRANSFER)
        return hand_over(change, log);
    error = change_log(change, log);
    /* A new voter is a learner first, until it has caught up. */
    if (error == CAIRN_OK && change->op == CAIRN_MEMBER_ADD && !learner) {
        struct change promote = *change;

        promote.op = CAIRN_MEMBER_PROMOTE;
        error = change_log(&promote, log);
        memcpy(change->why, promote.why, sizeof(change->why));
        change->unheard_ns = promote.unheard_ns;
    }
    return error;
}

/* Those that vote, as the log's leader has it; none: nobody leads it. */
static cairn_node_set
voters_of(const struct cluster_config *cluster, const char *log)
{
    struct cli_answers answers = {0};
    cairn_node_set voters;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    voters = cli_set_of(cluster, json_object_get(cli_leader_row(cluster, &answers, log), "voters"));
    cli_answers_free(&answers);
    return voters;
}

/* As a person asked for it: what makes no sense is said in the words of the log. */
static enum cairn_error
apply_asked(struct change *change, const char *log, bool learner)
{
    const char *name = change->cluster->names[change->node];
    cairn_node_set self = (cairn_node_set)1 << change->node;
    enum cairn_error error;

    change->why[0] = '\0';
    change->lacking_ns = 0;
    if (learner && (voters_of(change->cluster, log) & self)) {
        snprintf(change->why, sizeof(change->why),
                 "%s votes in it already ('cairn member remove %s' first, then add it)", name, name);
        return CAIRN_INVALID;
    }
    error = apply_to(change, log, learner);
    if (error == CAIRN_INVALID && change->op == CAIRN_MEMBER_REMOVE && voters_of(change->cluster, log) == self)
        snprintf(change->why, sizeof(change->why), "%s is the last that votes in it", name);
    return error;
}

/* Every log that any node which answers knows of; the one that is to be a member may know of none yet. */
static json_t *
all_logs(const struct cluster_config *cluster, enum cairn_error *error, char *detail, size_t detail_bytes)
{
    struct cli_answers answers = {0};
    json_t *names;
    const json_t *row;
    uint8_t node;
    size_t j;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    *error = answers.forbidden ? CAIRN_FORBIDDEN : CAIRN_CLOSED;
    snprintf(detail, detail_bytes, "%s", cli_answers_detail(&answers));
    node = cli_knows_most_logs(cluster, &answers);
    names = node == CAIRN_NODE_NONE ? NULL : json_array();
    json_array_foreach (node == CAIRN_NODE_NONE ? NULL : json_object_get(answers.by_node[node], "rows"), j, row) {
        if (cli_text(row, "log")[0] != '\0')
            json_array_append(names, json_object_get(row, "log"));
    }
    cli_answers_free(&answers);
    return names;
}

/* Returns what to exit with. */
static int
say_failed(const struct change *change, const char *log, enum cairn_error error)
{
    if (change->why[0] != '\0')
        cli_fail("log '%s': %s", log, change->why);
    else
        cli_fail("log '%s', node %s: %s", log, change->cluster->names[change->node], cairn_error_text(error));
    return cli_exit_status(error);
}

/* Nobody leads a log that is lost, however long one waits: somebody has to decide. */
static void
explain_lost(struct change *change, const char *log)
{
    struct cli_answers answers = {0};

    cli_ask_status(change->cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t node = 0; node < change->cluster->nodes && change->why[0] == '\0'; node++) {
        if (!cli_is_lost(cli_log_row(answers.by_node[node], log), change->why, sizeof(change->why)))
            change->why[0] = '\0';
    }
    cli_answers_free(&answers);
}

static int
apply_to_all(struct change *change, const json_t *names, bool learner, bool json)
{
    const json_t *name;
    int status = EXIT_DONE;
    size_t i;

    json_array_foreach (names, i, name) {
        const char *log = json_string_value(name);
        enum cairn_error error;

        /* One that takes long takes nothing from those behind it. */
        change->end_ns = cli_now_ns() + WAIT_NS;
        error = apply_asked(change, log, learner);
        if (error == CAIRN_NO_LEADER)
            explain_lost(change, log);
        if (json)
            cli_row(json_pack("{s:s,s:s,s:b,s:s}", "log", log, "node", change->cluster->names[change->node], "ok",
                              error == CAIRN_OK, "error", error == CAIRN_OK ? "" : cairn_error_name(error)));
        else if (error == CAIRN_OK)
            printf("%s: %s: done\n", change->cluster->names[change->node], log);
        if (error != CAIRN_OK && status == EXIT_DONE)
            status = say_failed(change, log, error);
    }
    return status;
}

/* log: NULL: all there are. */
static int
change_logs(struct change *change, const char *log, bool learner, bool json)
{
    char detail[256] = "";
    enum cairn_error error = CAIRN_CLOSED;
    json_t *names = log != NULL ? json_pack("[s]", log) : all_logs(change->cluster, &error, detail, sizeof(detail));
    int status;

    if (names == NULL)
        return cli_unreached(error, detail);
    status = apply_to_all(change, names, learner, json);
    json_decref(names);
    return status;
}

int
cli_member_change(const struct cluster_config *cluster, enum cairn_member_op op, uint8_t node, const char *log,
                  bool learner, bool json)
{
    struct change change = {.cluster = cluster, .op = op, .node = node};

    return change_logs(&change, log, learner, json);
}

int
cli_member_add(const struct cluster_config *cluster, uint8_t node, bool json)
{
    struct change change = {.cluster = cluster, .op = CAIRN_MEMBER_ADD, .node = node};

    return change_logs(&change, NULL, false, json);
}

int
cli_member_of(const struct cluster_config *cluster, const char *log, uint8_t node, bool votes)
{
    struct change change = {.cluster = cluster, .op = CAIRN_MEMBER_ADD, .node = node, .end_ns = cli_now_ns() + WAIT_NS};
    enum cairn_error error = apply_to(&change, log, !votes);

    return error == CAIRN_OK ? EXIT_DONE : say_failed(&change, log, error);
}
