/* A log takes no new entries any more, and all that it has taken are committed. */
#include "cli/log_seal.h"

#include <string.h>
#include <time.h>

#include "cli/log_change.h"

#define QUIET_WAIT_NS 10000000000u
#define PAUSE_NS 20000000

struct sealing {
    const struct cluster_config *cluster;
    const char *log;
    uint64_t writer;
    const volatile sig_atomic_t *interrupted;
};

/* How the log stands over its members. */
struct quiet {
    bool led;
    const char *lacking;  /* a member that does not answer, or holds something of a branch, */
    const char *unsealed; /* and one that takes new entries; NULL: none is */
    uint64_t lsn;         /* the last, where all members hold it and know it to be committed; 0: not all do */
};

/* Copies of others' branches count like a node's own: they may be all that is left of those branches. */
static bool
holds_branches(const json_t *row)
{
    return cli_number(row, "branch_entries") > 0 || json_array_size(json_object_get(row, "copies")) > 0;
}

/* Does the member stand where the leader does, with nothing under way? Another that takes itself for the leader does
 * not. */
static bool
is_level(const json_t *row, const json_t *leader)
{
    return cli_number(row, "term") == cli_number(leader, "term") &&
           cli_number(row, "last_lsn") == cli_number(leader, "commit_lsn") &&
           cli_number(row, "commit_lsn") == cli_number(leader, "commit_lsn") &&
           (strcmp(cli_text(row, "role"), "leader") != 0 ||
            strcmp(cli_text(row, "node"), cli_text(leader, "node")) == 0);
}

static struct quiet
how_quiet(const struct sealing *sealing)
{
    const struct cluster_config *cluster = sealing->cluster;
    struct cli_answers answers = {0};
    struct quiet quiet = {0};
    const json_t *leader;
    cairn_node_set members;
    bool level;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_ALL, &answers);
    leader = cli_leader_row(cluster, &answers, sealing->log);
    members = cli_set_of(cluster, json_object_get(leader, "voters")) |
              cli_set_of(cluster, json_object_get(leader, "learners"));
    quiet.led = level = leader != NULL;
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *row = cli_log_row(answers.by_node[i], sealing->log);

        if (!(members >> i & 1))
            continue;
        if (row == NULL || holds_branches(row))
            quiet.lacking = cluster->names[i];
        if (cli_number(row, "sealed") != sealing->writer)
            quiet.unsealed = cluster->names[i];
        level = level && row != NULL && is_level(row, leader);
    }
    if (level)
        quiet.lsn = cli_number(leader, "commit_lsn");
    cli_answers_free(&answers);
    return quiet;
}

static int
tell_not_quiet(const struct sealing *sealing, const struct quiet *quiet, bool sealed)
{
    const char *log = sealing->log, *seal = sealed ? "; it is sealed: try again, or 'cairn log set --open'" : "";

    if (quiet->lacking != NULL)
        cli_fail(
            "'%s' is not switched over: what %s may have accepted alone is missing (let it come back, or take it out: "
            "'cairn member remove')%s",
            log, quiet->lacking, seal);
    else if (sealed && quiet->unsealed != NULL)
        cli_fail("'%s' is not switched over: it is not sealed at %s, or has been opened meanwhile (try again)", log,
                 quiet->unsealed);
    else
        cli_fail("'%s' is not switched over: %s%s", log,
                 quiet->led ? "what was appended before is not committed on all members yet" : "nobody leads it", seal);
    return EXIT_REFUSED;
}

static int
tell_interrupted(const struct sealing *sealing, bool sealed)
{
    return cli_fail("interrupted: '%s' is %s", sealing->log,
                    sealed ? "sealed, and not switched over: run this again, or 'cairn log set --open'"
                           : "not switched over");
}

/* Until it is so; before it is sealed all that was taken need not be committed. */
static int
wait_quiet(const struct sealing *sealing, bool sealed, uint64_t *lsn)
{
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct cli_waiting waiting = {0};
    uint64_t end_ns = cli_now_ns() + QUIET_WAIT_NS;

    for (;;) {
        struct quiet quiet = how_quiet(sealing);

        *lsn = quiet.lsn;
        if (quiet.led && quiet.lacking == NULL && (!sealed || (quiet.unsealed == NULL && quiet.lsn != 0)))
            return 0;
        if (*sealing->interrupted)
            return tell_interrupted(sealing, sealed);
        if (cli_now_ns() > end_ns || (!sealed && quiet.led))
            return tell_not_quiet(sealing, &quiet, sealed);
        cli_waits(&waiting, "for what '%s' has taken to be committed on all its members", sealing->log);
        nanosleep(&pause, NULL);
    }
}

/* Is all that the catalog's leader knows to be agreed on in the journal of each node that answers? */
static bool
catalog_is_held(const struct cluster_config *cluster)
{
    struct cli_answers answers = {0};
    const json_t *leader;
    bool held;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_ALL, &answers);
    leader = cli_leader_row(cluster, &answers, CATALOG_NAME);
    held = leader != NULL;
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *row = cli_log_row(answers.by_node[i], CATALOG_NAME);

        held &= row == NULL || cli_number(row, "held_lsn") >= cli_number(leader, "commit_lsn");
    }
    cli_answers_free(&answers);
    return held;
}

/* The seal is said again: a journal that holds this says that the first was agreed on, so no start forgets it. */
static int
seal_for_good(const struct sealing *sealing, json_t *rules)
{
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct cli_waiting waiting = {0};
    uint64_t end_ns = cli_now_ns() + QUIET_WAIT_NS;
    int status = log_set(sealing->cluster, "set", sealing->log, rules);

    while (status == 0 && !catalog_is_held(sealing->cluster)) {
        if (*sealing->interrupted)
            return tell_interrupted(sealing, true);
        if (cli_now_ns() > end_ns) {
            cli_fail("'%s' is sealed, but a node has not written that yet: try again", sealing->log);
            return EXIT_REFUSED;
        }
        cli_waits(&waiting, "for all nodes to have written that '%s' is sealed", sealing->log);
        nanosleep(&pause, NULL);
    }
    return status;
}

int
log_seal(const struct cluster_config *cluster, const char *log, uint64_t writer,
         const volatile sig_atomic_t *interrupted, uint64_t *last_lsn)
{
    const struct sealing sealing = {.cluster = cluster, .log = log, .writer = writer, .interrupted = interrupted};
    json_t *rules = json_pack("{s:I}", "sealed", (json_int_t)writer);
    int status = wait_quiet(&sealing, false, last_lsn);

    if (status == 0)
        status = log_set(cluster, "set", log, rules);
    if (status == 0)
        status = wait_quiet(&sealing, true, last_lsn);
    if (status == 0)
        status = seal_for_good(&sealing, rules);
    /* What one member said before another was sealed may have changed since. */
    if (status == 0)
        status = wait_quiet(&sealing, true, last_lsn);
    json_decref(rules);
    return status;
}

int
log_sealed_up_to(const struct cluster_config *cluster, const char *log, uint64_t writer, uint64_t *last_lsn)
{
    static const volatile sig_atomic_t never = 0;
    const struct sealing sealing = {.cluster = cluster, .log = log, .writer = writer, .interrupted = &never};

    return wait_quiet(&sealing, true, last_lsn);
}
