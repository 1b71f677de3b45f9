#include "cli/agree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/identity_file.h"

#define WAIT_NS 10000000000u
/* A node that is cut off cannot know yet. */
#define CUT_OFF_WAIT_NS 2000000000u

static void
show_people(const struct cluster_config *cluster, const json_t *answer, uint8_t who)
{
    const json_t *row;
    size_t i;

    printf("cluster %s, as %s has it from lsn %" PRIu64 " of the catalog on: heartbeat %" PRIu64 " us, timeout %" PRIu64
           " us, clocks within %" PRIu64 " ms, durability %s, memory %" PRIu64 " MiB, workers %" PRIu64 "\n",
           cli_text(answer, "cluster"), cluster->names[who], cli_number(answer, "agreed_lsn"),
           cli_number(answer, "heartbeat_us"), cli_number(answer, "timeout_us"), cli_number(answer, "clock_bound_ms"),
           cli_text(answer, "durability"), cli_number(answer, "memory_mib"), cli_number(answer, "workers"));
    json_array_foreach (json_object_get(answer, "rows"), i, row) {
        printf("%-10s member %s, life %" PRIu64 " (%s)\n", cli_text(row, "node"), cli_text(row, "member"),
               cli_number(row, "start"), cli_text(row, "life"));
    }
}

static void
show_rows(const json_t *answer)
{
    static const char *const keys[] = {"agreed_lsn", "fingerprint", "heartbeat_us", "timeout_us", "clock_bound_ms",
                                       "memory_mib", "durability",  "workers",      "seats"};
    json_t *agreed = json_object(), *row;
    size_t i;

    for (size_t key = 0; key < sizeof(keys) / sizeof(*keys); key++)
        json_object_set(agreed, keys[key], json_object_get(answer, keys[key]));
    json_array_foreach (json_object_get(answer, "rows"), i, row) {
        json_object_set(row, "cluster", json_object_get(answer, "cluster"));
        json_object_set(row, "agreed", agreed);
        cli_row(json_incref(row));
    }
    json_decref(agreed);
}

int
cli_agreed_show(const struct cluster_config *cluster, uint8_t via, bool json)
{
    struct cli_answers answers = {0};
    const json_t *answer;
    int status = EXIT_DONE;
    uint8_t who;

    cli_ask_all(cluster, "cluster", via, CLI_FIRST, &answers);
    who = cli_answerer(cluster, &answers);
    answer = who == CAIRN_NODE_NONE ? NULL : answers.by_node[who];
    if (answer == NULL)
        status = cli_unanswered(cluster, via, &answers);
    else if (!json_is_true(json_object_get(answer, "ok")))
        status = cli_fail("%s", cli_text(answer, "detail"));
    else if (json)
        show_rows(answer);
    else
        show_people(cluster, answer, who);
    cli_answers_free(&answers);
    return answer == NULL ? status : cli_end(status);
}

bool
cli_cluster_identity(const struct cluster_config *cluster, struct cairn_id *out)
{
    struct cli_answers answers = {0};
    bool known = false;

    cli_ask_all(cluster, "cluster", CAIRN_NODE_NONE, CLI_QUICK, &answers);
    for (uint8_t i = 0; i < cluster->nodes && !known; i++)
        known = cairn_id_parse(cli_text(answers.by_node[i], "cluster"), out);
    cli_answers_free(&answers);
    return known;
}

/* Before a change of memory: which logs there are, and whether every node has so much. */
static int
refuse_memory(const struct cluster_config *cluster, const struct cli_answers *answers, const struct agreed *now,
              uint32_t memory_mib, uint32_t logs)
{
    uint32_t least_mib = agreed_memory_mib(logs, now->workers, now->durability);

    if (memory_mib < least_mib)
        return cli_fail("memory_mib %u is %u less than the %u logs%s need (at least %u)", memory_mib,
                        least_mib - memory_mib, logs, now->workers > 1 ? " of one worker" : "", least_mib);
    for (uint8_t i = 0; i < cluster->nodes; i++) {
        uint64_t has_mib = cli_number(answers->by_node[i], "has_memory_mib");

        if (!(agreed_present(now) >> i & 1))
            continue;
        if (has_mib == 0 && memory_mib > now->now.memory_mib) {
            cli_fail("%s does not answer: it cannot be told whether it has %u MiB", cluster->names[i], memory_mib);
            return EXIT_REFUSED;
        }
        if (has_mib != 0 && has_mib < memory_mib)
            return cli_fail("%s has %" PRIu64 " MiB, %" PRIu64
                            " less than that (write memory_mib: %u in its cluster file and start it anew, first)",
                            cluster->names[i], has_mib, memory_mib - has_mib, memory_mib);
    }
    return 0;
}

static bool
names_member(const json_t *row, const char *key, const char *name)
{
    const json_t *member;
    size_t i;

    json_array_foreach (json_object_get(row, key), i, member) {
        if (json_is_string(member) && strcmp(json_string_value(member), name) == 0)
            return true;
    }
    return false;
}

/* A node that is still of a log does not go: the log's majority would miss it for good. */
static int
refuse_member(const struct cluster_config *cluster, const struct cli_answers *status, const char *name)
{
    const json_t *row;
    size_t i;

    for (uint8_t node = 0; node < cluster->nodes; node++) {
        json_array_foreach (json_object_get(status->by_node[node], "rows"), i, row) {
            const char *log = cli_text(row, "log");
            const json_t *leader = cli_leader_row(cluster, status, log);
            const json_t *says = leader != NULL ? leader : row;

            if (!names_member(says, "voters", name) && !names_member(says, "learners", name))
                continue;
            if (leader != NULL)
                return cli_fail("%s is a member of log '%s' ('cairn member remove %s' takes it out of all logs)", name,
                                log, name);
            cli_fail("log '%s' has no leader that answers: it cannot be told whether %s is a member", log, name);
            return EXIT_REFUSED;
        }
    }
    return 0;
}

static uint32_t
logs_known(const struct cluster_config *cluster, const struct cli_answers *status)
{
    uint32_t most = 0;

    for (uint8_t i = 0; i < cluster->nodes; i++) {
        for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++) {
            uint32_t count = cli_logs_at(status->by_node[i], worker);

            most = count > most ? count : most;
        }
    }
    return most;
}

/* Would it be refused, as things are? */
static int
refuse_change(const struct cluster_config *cluster, const struct cli_answers *answers, const struct agreed *now,
              const struct agreed_change *change)
{
    struct cli_answers status = {0};
    struct agreed next = *now;
    enum agreed_refusal refusal;
    uint8_t seat;
    uint32_t logs;
    int failed = 0;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &status);
    logs = logs_known(cluster, &status);
    if (change->memory_mib != 0)
        failed = refuse_memory(cluster, answers, now, change->memory_mib, logs);
    if (failed == 0 && change->remove[0] != '\0')
        failed = refuse_member(cluster, &status, change->remove);
    cli_answers_free(&status);
    if (failed != 0)
        return failed;
    refusal = agreed_apply(&next, change, now->lsn + 1, logs, &seat);
    return refusal == AGREED_TAKEN ? 0 : cli_fail("nothing is changed: %s", agreed_refusal_text(refusal));
}

static void
put_number(json_t *entry, const char *key, uint64_t number)
{
    if (number != 0)
        json_object_set_new(entry, key, json_integer((json_int_t)number));
}

static json_t *
entry_of(const struct agreed_change *change)
{
    json_t *entry = json_pack("{s:s}", "op", "agree");
    char text[CAIRN_ID_TEXT_BYTES];

    put_number(entry, "heartbeat_us", change->heartbeat_ns / 1000);
    put_number(entry, "timeout_us", change->timeout_ns / 1000);
    put_number(entry, "clock_bound_ms", change->clock_bound_ns / 1000000);
    put_number(entry, "memory_mib", change->memory_mib);
    if (change->remove[0] != '\0')
        json_object_set_new(entry, "remove", json_string(change->remove));
    if (change->add[0] == '\0')
        return entry;
    cairn_id_text(&change->member, text);
    json_object_set_new(entry, "add", json_string(change->add));
    json_object_set_new(entry, "member", json_string(text));
    return entry;
}

/* Until all that answer have come to the entry, and start by it from now on. *out: what is in force then. */
static int
wait_in_force(const struct cluster_config *cluster, uint64_t lsn, const struct agreed_change *change,
              struct cli_waiting *waiting, struct agreed *out)
{
    uint64_t begun_ns = cli_now_ns();
    struct timespec pause = {.tv_nsec = 3000000};
    char note[520];

    while (cli_now_ns() < begun_ns + WAIT_NS) {
        struct cli_answers answers = {0};
        uint32_t answered = 0, there = 0, expected;
        cairn_node_set silent;
        struct agreed agreed;

        cli_ask_all(cluster, "cluster", CAIRN_NODE_NONE, CLI_HEARD, &answers);
        silent = answers.silent;
        for (uint8_t i = 0; i < cluster->nodes; i++) {
            /* The node that goes need not hear of it by the catalog. */
            if (!cli_agreed_of(answers.by_node[i], &agreed) || strcmp(cluster->names[i], change->remove) == 0)
                continue;
            answered++;
            there += agreed.lsn >= lsn && cli_number(answers.by_node[i], "kept_lsn") >= lsn;
            if (agreed.lsn >= lsn)
                *out = agreed;
        }
        cli_answers_free(&answers);
        expected = (uint32_t)__builtin_popcount(agreed_present(out)) - (change->add[0] != '\0');
        if (2 * there > expected && (there == answered || cli_now_ns() > begun_ns + CUT_OFF_WAIT_NS)) {
            if (there < expected)
                fprintf(stderr, "cairn: note: in force on %u of %u nodes; the others follow when they are in reach\n",
                        there, expected);
            return 0;
        }
        cli_waits(waiting, "for the change to be in force on %u nodes, it is on %u%s", answered, there,
                  cli_silent_note(cluster, silent, note, sizeof(note)));
        nanosleep(&pause, NULL);
    }
    return cli_fail(
        "the change stands at lsn %" PRIu64
        " of the catalog, and is not known to be in force on a majority ('cairn cluster show' says what is)",
        lsn);
}

/* Is what was asked for in force? */
static bool
is_so(const struct agreed *now, const struct agreed_change *change)
{
    uint8_t added = agreed_seat(now, change->add), removed = agreed_seat(now, change->remove);

    return (change->heartbeat_ns == 0 || change->heartbeat_ns == now->now.heartbeat_ns) &&
           (change->timeout_ns == 0 || change->timeout_ns == now->now.timeout_ns) &&
           (change->clock_bound_ns == 0 || change->clock_bound_ns == now->now.clock_bound_ns) &&
           (change->memory_mib == 0 || change->memory_mib == now->now.memory_mib) &&
           (change->add[0] == '\0' || (added != CAIRN_NODE_NONE && !(now->removed >> added & 1))) &&
           (change->remove[0] == '\0' || (removed != CAIRN_NODE_NONE && (now->removed >> removed & 1)));
}

static void
tell_done(const struct agreed *agreed, const struct agreed_change *change, bool json)
{
    if (json)
        cli_row(json_pack("{s:I,s:s,s:s}", "agreed_lsn", (json_int_t)agreed->lsn, "added", change->add, "removed",
                          change->remove));
    else if (change->add[0] != '\0')
        printf("%s is of the cluster, from lsn %" PRIu64
               " on: start it with a cluster file that lists it, as node %u; 'cairn member add %s' then makes it a "
               "member of the logs\n",
               change->add, agreed->lsn, agreed_seat(agreed, change->add) + 1u, change->add);
    else if (change->remove[0] != '\0')
        printf("%s is of the cluster no more, from lsn %" PRIu64
               " on (its line in the cluster files stays: its place is "
               "not given to another name)\n",
               change->remove, agreed->lsn);
    else
        printf("in force from lsn %" PRIu64
               " on (where a cluster file states it otherwise, mend that: its node does not "
               "start again before)\n",
               agreed->lsn);
}

/* The new node is a learner of the catalog from now on. */
static int
follow_catalog(const struct cluster_config *cluster, const struct agreed *now, const char *name)
{
    struct cluster_config grown = *cluster;

    cli_go_by(&grown, now);
    return cli_member_of(&grown, CATALOG_NAME, agreed_seat(now, name), false);
}

int
cli_agreed_change(const struct cluster_config *cluster, const struct agreed_change *asked, bool json)
{
    struct cli_waiting waiting = {.begun_ns = cli_now_ns()};
    struct agreed_change change = *asked;
    struct cli_answers answers = {0};
    struct agreed now = {0};
    uint64_t lsn = 0;
    int status;

    if (change.add[0] != '\0' && !identity_draw(&change.member))
        return cli_fail("the kernel has no random bits for a member's identity");
    cli_ask_all(cluster, "cluster", CAIRN_NODE_NONE, CLI_HEARD, &answers);
    if (cli_agreed_newest(cluster, &answers, &now) == 0)
        status = cli_unanswered(cluster, CAIRN_NODE_NONE, &answers);
    else
        status = refuse_change(cluster, &answers, &now, &change);
    if (status == 0)
        status = cli_catalog_append(cluster, entry_of(&change), answers.silent, &waiting, &lsn);
    cli_answers_free(&answers);
    if (status == 0)
        status = wait_in_force(cluster, lsn, &change, &waiting, &now);
    if (status == 0 && !is_so(&now, &change))
        status = cli_fail("somebody else changed it at the same time ('cairn cluster show' says what is in force)");
    if (status == 0 && change.add[0] != '\0')
        status = follow_catalog(cluster, &now, change.add);
    if (status != 0)
        return status;
    tell_done(&now, &change, json);
    return cli_end(EXIT_DONE);
}
