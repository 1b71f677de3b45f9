#include "cli/recover.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DECIDE_NS 5000000000u

static cairn_node_set
bit(uint8_t node)
{
    return (cairn_node_set)1 << node;
}

/* Has it a state that counts? Then its answer's rows say what it holds. */
static bool
is_intact(const json_t *answer)
{
    const json_t *standing = json_object_get(answer, "standing");

    return strcmp(cli_text(standing, "standing"), "member") == 0 &&
           !json_is_true(json_object_get(standing, "recovering"));
}

/* Is that more than half of them? */
static bool
is_most(cairn_node_set some, cairn_node_set all)
{
    return __builtin_popcount(some & all) > __builtin_popcount(all) / 2;
}

/* Who votes in the catalog, by that answer. */
static cairn_node_set
voters_by(const struct cluster_config *cluster, const json_t *answer)
{
    return cli_set_of(cluster, json_object_get(cli_log_row(answer, CATALOG_NAME), "voters"));
}

/* Those of the nodes that the node hears, itself among them, where they are enough to go on by themselves: else none. */
static cairn_node_set
enough_around(const struct cluster_config *cluster, const struct cli_answers *answers, cairn_node_set intact,
              uint8_t node)
{
    const json_t *own = answers->by_node[node];
    cairn_node_set well = intact & (cli_set_of(cluster, json_object_get(own, "reach")) | bit(node));

    return is_most(well, cli_present(cluster)) && is_most(well, voters_by(cluster, own)) ? well : 0;
}

/* The node refuses the same, but it knows only whom it hears itself, and only once it is told to decide: what else is
 * wrong must not hide this, nor suggest giving up nodes that are well. A node is well by its own word. If enough of
 * them are heard by any of them, these go on, whether or not the node that it would go on from is cut off from them. */
static int
refuse_needless(const struct cluster_config *cluster, const struct cli_answers *answers, uint8_t from)
{
    cairn_node_set intact = 0, well = 0;

    for (uint8_t i = 0; i < cluster->nodes; i++)
        intact |= is_intact(answers->by_node[i]) ? bit(i) : 0;
    if (intact == 0)
        return cli_fail(
            "nothing is decided: %s has forgotten what it promised, or waits, and so has every node that "
            "answers: start one that has its state, or put a backup back on one and take the directories of "
            "all others away, since they know of lives that it lacks",
            cluster->names[from]);
    if (!(intact & bit(from)))
        return cli_fail("nothing is decided: %s has forgotten what it promised, or waits: choose another",
                        cluster->names[from]);
    for (uint8_t i = 0; i < cluster->nodes; i++)
        well |= intact & bit(i) ? enough_around(cluster, answers, intact, i) : 0;
    /* The node knows what was decided before: then it alone votes, and to say it again does no harm. */
    if (!is_most(well, voters_by(cluster, answers->by_node[from])))
        return 0;
    return cli_fail(
        "nothing is decided: more than half of all nodes are well: the rest recovers from them, and nothing "
        "need be given up%s%s%s",
        well & bit(from) ? "" : " (", well & bit(from) ? "" : cluster->names[from],
        well & bit(from) ? "" : " is cut off from them: mend that)");
}

/* A node that may still know what was promised must have been named to be given up. */
static int
refuse_unnamed(const struct cluster_config *cluster, const struct cli_answers *answers, uint8_t from,
               cairn_node_set without)
{
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        const json_t *answer = answers->by_node[i];

        if (i == from || (without & bit(i)) || !(cli_present(cluster) & bit(i)))
            continue;
        if (answer == NULL) {
            cli_fail("nothing is decided: %s does not answer from here; if it has its state, start it, or it is lost "
                     "(--without "
                     "%s gives it up)",
                     cluster->names[i], cluster->names[i]);
            return EXIT_REFUSED;
        }
        if (is_intact(answer))
            return cli_fail("nothing is decided: %s has a state of its own (--without %s gives it up)",
                            cluster->names[i], cluster->names[i]);
    }
    return 0;
}

/* What others are known to hold of a log beyond that. */
static json_int_t
held_elsewhere(const struct cluster_config *cluster, const struct cli_answers *answers, const char *log)
{
    json_int_t most = 0;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        json_int_t last = json_integer_value(json_object_get(cli_log_row(answers->by_node[i], log), "last_lsn"));

        if (last > most)
            most = last;
    }
    return most;
}

static void
say_what_is_lost(const struct cluster_config *cluster, const struct cli_answers *answers, uint8_t from, bool json)
{
    const json_t *row;
    size_t i;

    json_array_foreach (json_object_get(answers->by_node[from], "rows"), i, row) {
        json_int_t last = json_integer_value(json_object_get(row, "last_lsn"));
        json_int_t most = held_elsewhere(cluster, answers, cli_text(row, "log"));
        bool held = strcmp(cli_text(row, "role"), "none") != 0;

        if (json)
            cli_row(json_pack("{s:s,s:s,s:b,s:I,s:I}", "log", cli_text(row, "log"), "from", cluster->names[from],
                              "held", held, "last_lsn", last, "given_up", most > last ? most - last : 0));
        else if (!held)
            printf("%s: %s does not hold it: it stays as it is\n", cli_text(row, "log"), cluster->names[from]);
        else if (most > last)
            printf("%s: %s goes on behind lsn %lld; entries up to %lld, which others hold, are given up\n",
                   cli_text(row, "log"), cluster->names[from], last, most);
        else
            printf("%s: %s goes on behind lsn %lld; what others acknowledged beyond that, if anything, is lost\n",
                   cli_text(row, "log"), cluster->names[from], last);
    }
    fflush(stdout);
}

/* Asked until it says that it is done. node: who is given up; NULL: all others. */
static int
decide(const struct cluster_config *cluster, uint8_t via, const char *node)
{
    uint64_t end_ns = cli_now_ns() + DECIDE_NS;
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    struct timespec pause = {.tv_nsec = 5000000};
    json_int_t ask = (json_int_t)waiting.begun_ns;
    char detail[512] = "";

    while (cli_now_ns() < end_ns) {
        json_t *request = node == NULL ? json_pack("{s:s,s:I}", "cmd", "recover", "ask", ask)
                                       : json_pack("{s:s,s:s,s:I}", "cmd", "replace", "node", node, "ask", ask);
        json_t *answer = cli_ask(cluster, via, request, detail, sizeof(detail));
        int status = -1;

        if (answer == NULL)
            return cli_fail("%s", detail);
        if (!json_is_true(json_object_get(answer, "ok")))
            status = cli_fail("nothing is decided: %s", cli_text(answer, "detail"));
        else if (strcmp(cli_text(answer, "state"), "done") == 0)
            status = EXIT_DONE;
        json_decref(answer);
        if (status >= 0)
            return status;
        cli_waits(&waiting, "for %s to keep what is decided, and others to hear of it", cluster->names[via]);
        nanosleep(&pause, NULL);
    }
    return cli_fail("%s does not say that it is so ('cairn cluster show' shows it; to say it again does no harm)",
                    cluster->names[via]);
}

/* Those that answer, and have forgotten what they promised. */
static cairn_node_set
forgetful(const struct cluster_config *cluster, const struct cli_answers *answers)
{
    cairn_node_set set = 0;

    for (uint8_t i = 0; i < cluster->nodes; i++)
        set |= answers->by_node[i] != NULL && !is_intact(answers->by_node[i]) ? bit(i) : 0;
    return set;
}

/* Who starts in the node's place recovers a log from more than half of its voters beside it: its voters, where they are too
 * few for that, else none. They are as the log's leader has them, else as whoever is asked. */
static cairn_node_set
voters_too_few_without(const struct cluster_config *cluster, const struct cli_answers *answers, const char *log,
                       const json_t *row, uint8_t node)
{
    const json_t *leads = cli_leader_row(cluster, answers, log);
    cairn_node_set voters = cli_set_of(cluster, json_object_get(leads != NULL ? leads : row, "voters"));

    return (voters & bit(node)) && !is_most(~(bit(node) | forgetful(cluster, answers)), voters) ? voters : 0;
}

/* Logs that go on with what the node held, or never: each is named. How many there are. */
static uint32_t
name_what_waits(const struct cluster_config *cluster, const struct cli_answers *answers, uint8_t node)
{
    uint8_t who = cli_knows_most_logs(cluster, answers);
    const char *name = cluster->names[node];
    uint32_t count = 0;
    const json_t *row;
    size_t i;

    json_array_foreach (who == CAIRN_NODE_NONE ? NULL : json_object_get(answers->by_node[who], "rows"), i, row) {
        const char *log = cli_text(row, "log");
        cairn_node_set voters = voters_too_few_without(cluster, answers, log, row, node);

        /* About the catalog, the node that decides says it. */
        if (voters == 0 || strcmp(log, CATALOG_NAME) == 0)
            continue;
        count++;
        if (voters == bit(node))
            cli_fail("log '%s' is held by %s alone: its entries are lost by this, and it waits for them for good", log,
                     name);
        else
            cli_fail("log '%s' has no majority of well voters beside %s: it waits for good for what %s held", log, name,
                     name);
    }
    return count;
}

int
cli_replace(const struct cluster_config *cluster, uint8_t node, bool anyway, bool json)
{
    struct cli_answers answers = {0};
    int status = -1;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_ALL, &answers);
    /* Where the node itself runs, whichever node is asked refuses. */
    if (answers.by_node[node] == NULL && name_what_waits(cluster, &answers, node) > 0 && !anyway)
        status = cli_fail("nothing is decided: put the disk of %s back and start it, or give these logs up (--anyway)",
                          cluster->names[node]);
    for (uint8_t i = 0; i < cluster->nodes && status < 0; i++) {
        if (i != node && is_intact(answers.by_node[i]))
            status = decide(cluster, i, cluster->names[node]);
    }
    if (status < 0 && answers.forbidden)
        status = cli_unanswered(cluster, CAIRN_NODE_NONE, &answers);
    if (status < 0)
        status = cli_fail("none of the others that answer can decide that ('cairn status' says how they do)");
    cli_answers_free(&answers);
    if (status != EXIT_DONE)
        return status;
    if (json)
        cli_row(json_pack("{s:s,s:b}", "node", cluster->names[node], "ok", 1));
    else
        printf("%s: what it held counts no more; whoever starts in its place recovers from the others\n",
               cluster->names[node]);
    return cli_end(EXIT_DONE);
}

/* They come back by themselves, and hold the logs as learners; that they vote is asked for. */
static int
bring_back(const struct cluster_config *cluster, const struct cli_answers *answers, uint8_t from, bool json)
{
    int status = EXIT_DONE;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        if (i == from || !(cli_present(cluster) & bit(i)))
            continue;
        if (answers->by_node[i] == NULL) {
            fprintf(stderr, "cairn: %s does not answer: once it runs again, 'cairn member add %s' lets it vote\n",
                    cluster->names[i], cluster->names[i]);
            continue;
        }
        if (cli_member_add(cluster, i, json) != EXIT_DONE)
            status = EXIT_FAILED;
    }
    return status;
}

int
cli_recover(const struct cluster_config *cluster, uint8_t from, const char *without, bool json)
{
    struct cli_answers answers = {0};
    cairn_node_set given_up;
    int status = cli_members(cluster, without, &given_up);

    if (status != 0)
        return status;
    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_ALL, &answers);
    if (answers.forbidden)
        status = cli_unanswered(cluster, from, &answers);
    else if (answers.by_node[from] == NULL)
        status = cli_fail("%s does not answer: it must run to go on from it", cluster->names[from]);
    else
        status = refuse_needless(cluster, &answers, from);
    if (status == 0)
        status = refuse_unnamed(cluster, &answers, from, given_up);
    if (status == 0)
        status = decide(cluster, from, NULL);
    /* Not before: what is printed is so. */
    if (status == 0) {
        say_what_is_lost(cluster, &answers, from, json);
        status = bring_back(cluster, &answers, from, json);
    }
    cli_answers_free(&answers);
    return status == 0 ? cli_end(EXIT_DONE) : status;
}
