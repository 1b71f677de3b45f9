/* cairn log adopt: a log has stopped on all nodes since its replicas contradict each other, or it waits for ever since
 * too few voters know what they promised. Here an administrator decides whose history goes on, by an entry of the
 * catalog that each node carries out (node/worker/adoption.h). */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "replication/plausible.h"

#define WAIT_NS 20000000000u

struct adoption {
    const struct cluster_config *cluster;
    const char *log;
    cairn_node_set without;
    uint64_t term;
};

static cairn_node_set
bit(uint8_t node)
{
    return (cairn_node_set)1 << node;
}

static const json_t *
row_of(const struct cli_answers *answers, const char *log, uint8_t node)
{
    return cli_log_row(answers->by_node[node], log);
}

/* The nodes whose row has that word under that key. */
static cairn_node_set
who_says(const struct adoption *adoption, const struct cli_answers *answers, const char *key, const char *word)
{
    cairn_node_set set = 0;

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        if (strcmp(cli_text(row_of(answers, adoption->log, i), key), word) == 0)
            set |= bit(i);
    }
    return set;
}

/* The voters, as that node has them. */
static cairn_node_set
voters_by(const struct adoption *adoption, const struct cli_answers *answers, uint8_t by)
{
    return cli_set_of(adoption->cluster, json_object_get(row_of(answers, adoption->log, by), "voters"));
}

/* All that any answer names as voters: histories that contradict each other may have other members, too. */
static cairn_node_set
voters_of(const struct adoption *adoption, const struct cli_answers *answers)
{
    cairn_node_set set = 0;

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++)
        set |= voters_by(adoption, answers, i);
    return set;
}

/* Is it lost: do too few of its voters know what they promised? Then those that have forgotten; else nobody. */
static cairn_node_set
forgetful(const struct adoption *adoption, const struct cli_answers *answers)
{
    cairn_node_set voters = voters_of(adoption, answers), all = who_says(adoption, answers, "role", "recovering");
    bool led = who_says(adoption, answers, "role", "leader") != 0;

    return !led && 2 * __builtin_popcount(voters & ~all) <= __builtin_popcount(voters) ? voters & all : 0;
}

/* The nodes that hold a history that could go on: those on which the log has stopped; where it is lost, those that
 * still know what it promised, and where none does, all. */
static cairn_node_set
candidates(const struct adoption *adoption, const struct cli_answers *answers)
{
    cairn_node_set stopped = who_says(adoption, answers, "stopped", "log"), lost = forgetful(adoption, answers),
                   known = 0;

    if (stopped != 0 || lost == 0)
        return stopped;
    for (uint8_t i = 0; i < adoption->cluster->nodes; i++)
        known |= row_of(answers, adoption->log, i) != NULL ? bit(i) : 0;
    known &= voters_of(adoption, answers) & ~lost;
    return known != 0 ? known : lost;
}

/* A node that may still be acknowledging entries, or is not heard, must be named: what it holds is given up by this. */
static int
refuse_unheard(const struct adoption *adoption, const struct cli_answers *answers, cairn_node_set stopped)
{
    cairn_node_set voters = voters_of(adoption, answers) & ~stopped & ~adoption->without &
                            ~forgetful(adoption, answers);

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        const char *name = adoption->cluster->names[i];

        if (!(voters >> i & 1))
            continue;
        if (row_of(answers, adoption->log, i) == NULL)
            cli_fail(
                "nothing is decided: %s does not answer, and may hold what is given up (start it; or --without %s)",
                name, name);
        else
            cli_fail("nothing is decided: log '%s' has not stopped at %s yet (ask again in a second; or --without %s)",
                     adoption->log, name, name);
        return EXIT_REFUSED;
    }
    return 0;
}

/* Does this node hold all that the other is known to hold? Both have committed the same, and nothing lies beyond. */
static bool
holds_all_of(const json_t *row, const json_t *other)
{
    return cli_number(row, "commit_lsn") == cli_number(other, "commit_lsn") &&
           cli_number(other, "last_lsn") == cli_number(other, "commit_lsn") &&
           cli_number(other, "branch_entries") == 0 && strcmp(cli_text(row, "digest"), cli_text(other, "digest")) == 0;
}

static void
say_choice(const struct adoption *adoption, const struct cli_answers *answers, cairn_node_set stopped, uint8_t from)
{
    const json_t *row = row_of(answers, adoption->log, from);
    const char *separator = "";

    printf("%s from %s: goes on behind lsn %lu (%lu committed, digest %s%s); gives up ", adoption->log,
           adoption->cluster->names[from], cli_number(row, "last_lsn"), cli_number(row, "commit_lsn"),
           cli_text(row, "digest"), cli_number(row, "branch_entries") > 0 ? ", and its branch is merged" : "");
    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        const json_t *other = row_of(answers, adoption->log, i);

        if (i == from || !(stopped >> i & 1) || holds_all_of(row, other))
            continue;
        printf("%swhat %s has otherwise, up to lsn %lu (%lu committed, digest %s)", separator,
               adoption->cluster->names[i], cli_number(other, "last_lsn"), cli_number(other, "commit_lsn"),
               cli_text(other, "digest"));
        separator = "; ";
    }
    printf("%s\n", *separator == '\0' ? "nothing that any other is known to hold" : "");
}

/* What others hold beyond what that node does; below, they may differ as well. */
static uint64_t
beyond(const struct adoption *adoption, const struct cli_answers *answers, cairn_node_set stopped, uint8_t from)
{
    uint64_t last = cli_number(row_of(answers, adoption->log, from), "last_lsn"), most = last;

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        if ((stopped >> i & 1) && cli_number(row_of(answers, adoption->log, i), "last_lsn") > most)
            most = cli_number(row_of(answers, adoption->log, i), "last_lsn");
    }
    return most - last;
}

static void
say_choices(const struct adoption *adoption, const struct cli_answers *answers, cairn_node_set stopped, uint8_t from,
            bool json)
{
    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        const json_t *row = row_of(answers, adoption->log, i);

        if (!(stopped >> i & 1))
            continue;
        if (json)
            cli_row(json_pack("{s:s,s:s,s:O,s:O,s:O,s:O,s:I,s:b}", "log", adoption->log, "from",
                              adoption->cluster->names[i], "last_lsn", json_object_get(row, "last_lsn"), "commit_lsn",
                              json_object_get(row, "commit_lsn"), "digest", json_object_get(row, "digest"),
                              "branch_entries", json_object_get(row, "branch_entries"), "given_up",
                              (json_int_t)beyond(adoption, answers, stopped, i), "chosen", i == from));
        else
            say_choice(adoption, answers, stopped, i);
    }
    fflush(stdout);
}

/* A term above all that any node has come to that answers. 0: there is none. */
static uint64_t
term_to_go_on_in(const struct adoption *adoption, const struct cli_answers *answers)
{
    uint64_t term = 0;

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        uint64_t known = cli_number(row_of(answers, adoption->log, i), "term");

        term = known > term ? known : term;
    }
    return term_decided(term);
}

static bool
goes_on(const struct adoption *adoption, const struct cli_answers *answers, uint8_t node, uint8_t from)
{
    const json_t *row = row_of(answers, adoption->log, node);

    return *cli_text(row, "stopped") == '\0' && cli_number(row, "term") >= adoption->term &&
           (node != from || strcmp(cli_text(row, "role"), "leader") == 0);
}

/* Until the log goes on at `node`. */
static int
wait_for(const struct adoption *adoption, uint8_t node, uint8_t from)
{
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    struct timespec pause = {.tv_nsec = 5000000};
    uint64_t end_ns = cli_now_ns() + WAIT_NS;

    while (cli_now_ns() < end_ns) {
        struct cli_answers answers = {0};
        bool done;

        cli_ask_status(adoption->cluster, node, CLI_HEARD, &answers);
        done = goes_on(adoption, &answers, node, from);
        cli_answers_free(&answers);
        if (done)
            return 0;
        cli_waits(&waiting, "for log '%s' to go on at %s", adoption->log, adoption->cluster->names[node]);
        nanosleep(&pause, NULL);
    }
    return cli_fail(
        "it is decided, and log '%s' does not go on at %s yet ('cairn events' says why; to decide again, also for "
        "another node, does no harm)",
        adoption->log, adoption->cluster->names[node]);
}

/* The other nodes begin anew and catch up by themselves; that they vote again has to be asked for. */
static int
bring_back(const struct adoption *adoption, cairn_node_set voters, cairn_node_set answering, uint8_t from)
{
    int status = 0;

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++) {
        const char *name = adoption->cluster->names[i];

        if (i == from || !(voters >> i & 1))
            continue;
        if (!(answering >> i & 1)) {
            fprintf(stderr,
                    "cairn: note: %s does not answer: once it runs, 'cairn member add %s --log %s' lets it vote\n",
                    name, name, adoption->log);
            continue;
        }
        if (wait_for(adoption, i, from) != 0 || cli_member_of(adoption->cluster, adoption->log, i, true) != EXIT_DONE)
            status = EXIT_FAILED;
    }
    return status;
}

static int
decide(struct adoption *adoption, const struct cli_answers *answers, cairn_node_set stopped, uint8_t from)
{
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    int status;

    assert(from < CAIRN_NODES_MAX);
    if (json_is_true(json_object_get(row_of(answers, adoption->log, from), "disk_failed")))
        return cli_fail(
            "nothing is decided: the disk of %s has failed, so nothing can go on from there (start it anew, or "
            "choose another)",
            adoption->cluster->names[from]);
    if (!(stopped >> from & 1) && (forgetful(adoption, answers) >> from & 1))
        return cli_fail("nothing is decided: %s has forgotten what it held of log '%s', and %s has not (choose that)",
                        adoption->cluster->names[from], adoption->log,
                        adoption->cluster->names[__builtin_ctz(stopped)]);
    if (!(stopped >> from & 1))
        return cli_fail(
            "nothing is decided: log '%s' has not stopped at %s%s", adoption->log, adoption->cluster->names[from],
            answers->by_node[from] == NULL ? ", which does not answer" : " ('cairn status' says how it is)");
    if ((status = refuse_unheard(adoption, answers, stopped)) != 0)
        return status;
    adoption->term = term_to_go_on_in(adoption, answers);
    if (adoption->term == 0)
        return cli_fail("nothing is decided: log '%s' has no terms left", adoption->log);
    status = cli_catalog_append(adoption->cluster,
                                json_pack("{s:s,s:s,s:s,s:I}", "op", "adopt", "name", adoption->log, "from",
                                          adoption->cluster->names[from], "term", (json_int_t)adoption->term),
                                answers->silent, &waiting, NULL);
    return status != 0 ? status : wait_for(adoption, from, from);
}

/* What either choice loses, and where one is given, that. */
static int
say_and_decide(struct adoption *adoption, const struct cli_answers *answers, uint8_t from, bool json)
{
    cairn_node_set stopped = candidates(adoption, answers);
    bool known = false;

    for (uint8_t i = 0; i < adoption->cluster->nodes; i++)
        known |= row_of(answers, adoption->log, i) != NULL;
    if (!known)
        return cli_fail("no log '%s' ('cairn log list' shows them)", adoption->log);
    if (stopped == 0)
        return cli_fail("nothing to decide: log '%s' has not stopped on any node that answers, nor is it lost (one "
                        "replica that has "
                        "stopped alone is 'cairn member replace')",
                        adoption->log);
    say_choices(adoption, answers, stopped, from, json);
    if (forgetful(adoption, answers) != 0)
        fprintf(stderr, "cairn: note: %s\n",
                stopped == forgetful(adoption, answers)
                    ? "all have forgotten what they held: what was acknowledged is lost, and the log begins empty"
                    : "what only those held that have forgotten is lost by it, acknowledged or not");
    if (from != CAIRN_NODE_NONE)
        return decide(adoption, answers, stopped, from);
    fprintf(stderr, "cairn: note: nothing is decided yet: --from NODE says whose history goes on\n");
    return 0;
}

int
cli_adopt(const struct cluster_config *cluster, const char *log, const char *from_name, const char *without, bool json)
{
    struct adoption adoption = {.cluster = cluster, .log = log};
    struct cli_answers answers = {0};
    cairn_node_set voters = 0, answering = 0;
    uint8_t from = CAIRN_NODE_NONE;
    int status;

    if (strcmp(log, "_catalog") == 0)
        return cli_usage("log adopt: what the catalog holds is decided by 'cairn cluster recover --from NODE'");
    if ((status = cli_members(cluster, without, &adoption.without)) != 0 ||
        (from_name != NULL && (status = cli_member(cluster, from_name, &from)) != 0))
        return status;
    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_ALL, &answers);
    if (from != CAIRN_NODE_NONE)
        voters = voters_by(&adoption, &answers, from);
    for (uint8_t i = 0; i < cluster->nodes; i++)
        answering |= answers.by_node[i] == NULL ? 0 : bit(i);
    status = answering == 0 ? cli_unanswered(cluster, CAIRN_NODE_NONE, &answers)
                            : say_and_decide(&adoption, &answers, from, json);
    cli_answers_free(&answers);
    if (status == 0 && from != CAIRN_NODE_NONE)
        status = bring_back(&adoption, voters, answering, from);
    return status == 0 ? cli_end(EXIT_DONE) : status;
}
