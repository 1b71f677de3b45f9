/* cairn log copy: a log goes to another cluster, live, and at the switch producers follow it.
 *
 * The copy has one producer, which its log's rules name as the only one that may write, so nobody's entries come between. Its
 * sequence counts the entries. Whoever copies begins behind the last entry that the copy holds, which it looks for in the log by
 * its clock, and goes on in the sequence: so a copy that was ended goes on, and two that run at once write each entry once.
 *
 * The switch: the log is sealed on all its members; then what is on branches is waited for, the rest is copied, and the copy
 * is opened. Repeats of what was appended before are told apart at the sealed log as ever. */
#include "log_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log_change.h"
#include "log_seal.h"

#define DEADLINE_NS 30000000000u
#define IDLE_NS 20000000
#define LOOK_BACK 64u
#define ENDED_HERE (-3) /* a read that was ended by who takes its entries */

/* The last entry that the copy holds. */
struct last_copied {
    uint8_t *bytes; /* its payload, and its key behind it; NULL: it holds none */
    uint32_t payload_bytes;
    uint16_t key_bytes;
    uint64_t seq, hlc, writer;
};

struct copying {
    const struct log_copy *given;
    uint64_t writer;   /* the copy's producer */
    uint64_t next_lsn; /* of the log */
    uint64_t copied;   /* entries that the copy is known to hold: the last one's sequence */
    uint64_t sought_hlc;
    struct last_copied last;
    struct session *session;
    struct session_sockets sockets;
    int status; /* why an entry could not be copied */
};

static volatile sig_atomic_t ended;

static void
end_it(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

static bool
take_ends(void)
{
    struct sigaction action = {.sa_handler = end_it};

    return sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0;
}

/* A log's row as its leader has it, else as any node does; the caller's. NULL: no node that answers knows the log. */
static json_t *
row_of(const struct cluster_config *cluster, const char *log, int *status)
{
    struct cli_answers answers = {0};
    const json_t *row = NULL;
    json_t *out;

    *status = cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers) == 0
                  ? cli_unanswered(cluster, CAIRN_NODE_NONE, &answers)
                  : 0;
    if (*status == 0)
        row = cli_leader_row(cluster, &answers, log);
    for (uint8_t i = 0; i < cluster->nodes && row == NULL; i++)
        row = cli_log_row(answers.by_node[i], log);
    out = json_deep_copy(row);
    cli_answers_free(&answers);
    return out;
}

static uint64_t
number(const json_t *row, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(row, key));
}

static int
keep_last(void *context, const struct cairn_result *result)
{
    struct last_copied *last = context;
    const struct cairn_entry *entry = &result->entry;

    if (result->type == CAIRN_RESULT_END)
        return EXIT_DONE;
    free(last->bytes);
    *last = (struct last_copied){
        .bytes = malloc((size_t)entry->payload_bytes + entry->key_bytes + 1),
        .payload_bytes = entry->payload_bytes,
        .key_bytes = entry->key_bytes,
        .seq = entry->producer_seq,
        .hlc = result->hlc,
        .writer = entry->producer,
    };
    if (last->bytes == NULL)
        return cli_fail("no memory for an entry of the copy");
    if (entry->payload_bytes > 0)
        memcpy(last->bytes, entry->payload, entry->payload_bytes);
    if (entry->key_bytes > 0)
        memcpy(last->bytes + entry->payload_bytes, entry->key, entry->key_bytes);
    return EXIT_DONE;
}

/* What the copy holds last: entries are looked at from its end on, further back until there is one. */
static int
find_last(struct copying *copying)
{
    const struct log_copy *given = copying->given;
    struct cli_read_request request = {.log = given->as, .level = CAIRN_READ_LINEARIZABLE};
    int status;
    json_t *row = row_of(given->to, given->as, &status);
    uint64_t first_lsn = number(row, "first_lsn"), end_lsn = number(row, "commit_lsn");

    json_decref(row);
    for (uint64_t back = LOOK_BACK; status == 0 && copying->last.bytes == NULL; back *= 8) {
        request.from = end_lsn > first_lsn + back ? end_lsn - back : first_lsn;
        status = cli_read(given->to, CAIRN_NODE_NONE, &request, keep_last, &copying->last);
        if (request.from == first_lsn)
            break;
    }
    if (status == 0 && copying->last.bytes != NULL && copying->last.writer != copying->writer)
        return cli_fail("log '%s' has entries of others than this copy: name another with --as", given->as);
    copying->copied = copying->last.seq;
    copying->sought_hlc = copying->last.hlc;
    return status;
}

static bool
is_last_copied(const struct last_copied *last, const struct cairn_result *result)
{
    const struct cairn_entry *entry = &result->entry;

    return result->hlc == last->hlc && entry->payload_bytes == last->payload_bytes &&
           entry->key_bytes == last->key_bytes &&
           (entry->payload_bytes == 0 || memcmp(entry->payload, last->bytes, entry->payload_bytes) == 0) &&
           (entry->key_bytes == 0 || memcmp(entry->key, last->bytes + last->payload_bytes, entry->key_bytes) == 0);
}

/* false: an entry was not taken. */
static bool
take_answers(struct copying *copying)
{
    struct session_result result;

    while (copying->status == 0 && session_poll(copying->session, &result)) {
        if (result.error == CAIRN_OK) {
            copying->copied = result.seq;
            continue;
        }
        cli_fail("entry %" PRIu64 " of the copy: %s", result.seq, cairn_error_text(result.error));
        copying->status = cli_exit_status(result.error);
    }
    return copying->status == 0;
}

static int
copy_entry(struct copying *copying, const struct cairn_result *result)
{
    struct cairn_entry entry = result->entry;
    enum cairn_error error;

    entry.hlc = result->hlc;
    entry.clock_doubtful = result->clock_doubtful;
    while ((error = session_append(copying->session, &entry)) == CAIRN_AGAIN) {
        if (!take_answers(copying))
            return copying->status;
        session_wait(copying->session);
    }
    if (error != CAIRN_OK)
        return cli_fail("lsn %" PRIu64 " is not copied: %s", result->lsn, cairn_error_text(error));
    return take_answers(copying) ? EXIT_DONE : copying->status;
}

static int
take(void *context, const struct cairn_result *result)
{
    struct copying *copying = context;
    bool sought = copying->sought_hlc != 0;

    if (result->type == CAIRN_RESULT_END) {
        if (sought)
            return cli_fail(
                "what '%s' holds last is not in '%s' any more: it was trimmed before what follows it was copied "
                "(copy it anew, with --as NAME)",
                copying->given->as, copying->given->log);
        if (result->lsn >= copying->next_lsn)
            copying->next_lsn = result->lsn + 1;
        return EXIT_DONE;
    }
    if (ended)
        return ENDED_HERE;
    copying->next_lsn = result->lsn + 1;
    if (!sought)
        return copy_entry(copying, result);
    if (is_last_copied(&copying->last, result))
        copying->sought_hlc = 0;
    return EXIT_DONE;
}

/* Until all that was sent is answered for. */
static int
drain(struct copying *copying)
{
    while (take_answers(copying) && session_in_flight(copying->session) > 0)
        session_wait(copying->session);
    return copying->status;
}

/* From where it stands up to last_lsn; 0: to the end as it is now. */
static int
copy_on(struct copying *copying, enum cairn_read_level level, uint64_t last_lsn)
{
    struct cli_read_request request = {.log = copying->given->log, .level = level, .to = last_lsn};
    int status;

    if (last_lsn != 0 && copying->next_lsn > last_lsn)
        return drain(copying);
    request.from = copying->sought_hlc != 0 ? copying->sought_hlc : copying->next_lsn;
    request.flags = copying->sought_hlc != 0 ? CAIRN_READ_SINCE : 0;
    status = cli_read(copying->given->from, CAIRN_NODE_NONE, &request, take, copying);
    if (copying->status != 0)
        return copying->status;
    if (status != EXIT_DONE && status != ENDED_HERE)
        return status;
    return drain(copying);
}

/* The copy's log, as the log is, if there is none yet. */
static int
make_copy(struct copying *copying, const json_t *row)
{
    static const char *const rules[] = {"policy", "deny", "when_cut", "retain_bytes", "retain_age_ms"};
    const struct log_copy *given = copying->given;
    json_t *wanted = json_object();
    const char *durability = cli_text(row, "durability");
    int status;

    if (strcmp(durability, "disk") == 0 && given->to->durability != CAIRN_DISK) {
        fprintf(stderr, "cairn: note: '%s' is on disk, and '%s' will be in memory: that cluster keeps no journal\n",
                given->log, given->as);
        durability = "memory";
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
        json_object_set(wanted, rules[i], json_object_get(row, rules[i]));
    copying->writer = session_new_producer();
    json_object_set_new(wanted, "writer", json_integer((json_int_t)copying->writer));
    status = log_create(given->to, given->as, wanted, durability, NULL, given->worker);
    json_decref(wanted);
    return status;
}

/* Both logs are there, and one is, or becomes, the copy of the other. */
static int
begin(struct copying *copying)
{
    const struct log_copy *given = copying->given;
    int status, there;
    json_t *row = row_of(given->from, given->log, &status);
    json_t *copy = status == 0 ? row_of(given->to, given->as, &status) : NULL;
    uint64_t writer = number(row, "writer");

    copying->writer = number(copy, "writer");
    there = copy != NULL;
    json_decref(copy);
    if (status == 0 && row == NULL)
        status = cli_fail("no log '%s' ('cairn log list' shows those there are)", given->log);
    if (status == 0 && there && copying->writer == 0)
        status = cli_fail(
            "log '%s' is there and takes anybody's entries: no copy is under way (name another with --as)", given->as);
    if (status == 0 && writer != 0 && writer != copying->writer)
        status = cli_fail("log '%s' is sealed, and for another copy ('cairn log set %s --open' takes that back)",
                          given->log, given->log);
    if (status == 0 && !there)
        status = make_copy(copying, row);
    json_decref(row);
    return status != 0 ? status : find_last(copying);
}

static int
open_session(struct copying *copying)
{
    const struct log_copy *given = copying->given;
    struct session_config config = {
        .nodes = given->to->nodes,
        .connect = session_connect_shm,
        .connect_context = &copying->sockets,
        .log = given->as,
        .via = CAIRN_NODE_NONE,
        .ack = CAIRN_ACK_MAJORITY,
        .deadline_ns = DEADLINE_NS,
        .producer = copying->writer,
        .first_seq = copying->copied + 1,
    };
    char detail[256] = "";
    enum cairn_error error;

    copying->sockets = cli_sockets(given->to);
    error = session_open(&config, &copying->session, detail, sizeof(detail));
    return error == CAIRN_OK ? 0 : cli_unreached(error, detail);
}

static int
switch_over(struct copying *copying)
{
    json_t *rules;
    uint64_t lsn;
    int status = log_seal(copying->given->from, copying->given->log, copying->writer, &lsn);

    if (status == 0)
        status = copy_on(copying, CAIRN_READ_LINEARIZABLE, lsn);
    if (status != 0 || ended)
        return status;
    rules = json_pack("{s:i}", "writer", 0);
    status = log_set(copying->given->to, "set", copying->given->as, rules);
    json_decref(rules);
    return status;
}

static void
tell(const struct copying *copying, bool switched)
{
    const struct log_copy *given = copying->given;

    if (given->json)
        cli_row(json_pack("{s:s,s:s,s:I,s:I,s:b}", "log", given->log, "copy", given->as, "entries",
                          (json_int_t)copying->copied, "lsn", (json_int_t)copying->next_lsn - 1, "switched", switched));
    else
        printf("'%s' is copied up to lsn %" PRIu64 ": '%s' has %" PRIu64 " entries%s\n", given->log,
               copying->next_lsn - 1, given->as, copying->copied,
               switched ? " and takes anybody's now, where that takes none any more" : "");
}

/* Follows the log until a signal ends it; where it is to be switched over, until it has caught up. */
static int
follow(struct copying *copying)
{
    struct timespec pause = {.tv_nsec = IDLE_NS};
    bool told = false;
    int status = 0;

    while (status == 0 && !ended) {
        uint64_t before = copying->copied;

        status = copy_on(copying, CAIRN_READ_STALE, 0);
        if (status != 0 || copying->copied != before)
            continue;
        if (copying->given->switches)
            return 0;
        if (!told)
            fprintf(stderr,
                    "cairn: '%s' has caught up with '%s' at lsn %" PRIu64 ", and follows it ('cairn log copy "
                    "--switch' ends that)\n",
                    copying->given->as, copying->given->log, copying->next_lsn - 1);
        told = true;
        nanosleep(&pause, NULL);
    }
    return status;
}

int
log_copy(const struct log_copy *given)
{
    struct copying copying = {.given = given, .next_lsn = 1};
    bool switched = false;
    int status;

    if (!take_ends())
        return cli_fail("signals cannot be taken: %s", strerror(errno));
    status = begin(&copying);
    if (status == 0)
        status = open_session(&copying);
    if (status == 0)
        status = follow(&copying);
    if (status == 0 && given->switches && !ended) {
        status = switch_over(&copying);
        switched = status == 0 && !ended;
    }
    if (copying.session != NULL)
        session_close(copying.session);
    free(copying.last.bytes);
    if (status != 0)
        return status;
    tell(&copying, switched);
    return cli_end(EXIT_DONE);
}
