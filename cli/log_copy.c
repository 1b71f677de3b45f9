/* cairn log copy: a log goes to another cluster, live, and at the switch producers follow it.
 *
 * The copy has one producer, which its log's rules name as the only one that may write, so nobody's entries come between. Its
 * sequence counts the entries. Whoever copies begins behind the last entry that the copy holds, which it looks for in the log by
 * its clock, and goes on in the sequence: so a copy that was ended goes on, and two that run at once write each entry once.
 *
 * The switch: the log is sealed on all its members; then what is on branches is waited for, the rest is copied, and the copy
 * is opened, and kept from then on for as long as the log was. Repeats of what was appended before are told apart at the sealed log
 * as ever. */
#include "cli/log_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/log_change.h"
#include "cli/log_copied.h"
#include "cli/log_seal.h"

#define DEADLINE_NS 30000000000u
#define IDLE_NS 20000000
/* With so few entries left it is sealed: they take less than a second. */
#define SEAL_ENTRIES 20000u
/* Statuses of its own. */
#define ENOUGH (-3)     /* a read has shown what was wanted */
#define BY_ANOTHER (-4) /* another run has switched over */

struct copying {
    const struct log_copy *given;
    uint64_t writer;   /* the copy's producer */
    uint64_t next_lsn; /* of the log; 0: where it begins */
    uint64_t copied;   /* entries that the copy is known to hold: the last one's sequence */
    bool seeks;        /* the last one that the copy holds, from the moment of its clock on, */
    bool seeks_all; /* or from the beginning: the clocks of a log that is a copy itself may be later than its moments */
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

/* The copy's writer now; 0: it takes anybody's entries, or is not there. */
static uint64_t
writer_now(const struct copying *copying)
{
    int status;
    json_t *row = log_row(copying->given->to, copying->given->as, &status);
    uint64_t writer = cli_number(row, "writer");

    json_decref(row);
    return writer;
}

/* false: an entry was not taken. */
static bool
take_answers(struct copying *copying)
{
    struct session_result result;

    while (copying->status == 0 && session_poll(copying->session, &result)) {
        if (result.error == CAIRN_OK) {
            copying->copied = result.seq;
        } else if (result.error == CAIRN_SEALED && writer_now(copying) == 0) {
            copying->status = BY_ANOTHER;
        } else {
            cli_fail("entry %" PRIu64 " of the copy: %s (run this again, it goes on behind entry %" PRIu64 ")",
                     result.seq, cairn_error_text(result.error), copying->copied);
            copying->status = cli_exit_status(result.error);
        }
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
        if (ended)
            return ENOUGH;
        session_wait(copying->session);
    }
    if (error != CAIRN_OK)
        return cli_fail("lsn %" PRIu64 " is not copied: %s", result->lsn, cairn_error_text(error));
    copying->next_lsn = result->lsn + 1;
    return take_answers(copying) ? EXIT_DONE : copying->status;
}

static int
end_of_read(struct copying *copying, const struct cairn_result *end)
{
    const struct log_copy *given = copying->given;

    if (copying->seeks && copying->seeks_all)
        return cli_fail(
            "what '%s' holds last is not in '%s': it was trimmed before what follows it was copied (copy it anew, "
            "with --as NAME)",
            given->as, given->log);
    if (copying->seeks)
        copying->seeks_all = true;
    else if (end->lsn >= copying->next_lsn)
        copying->next_lsn = end->lsn + 1;
    return EXIT_DONE;
}

static int
take(void *context, const struct cairn_result *result)
{
    struct copying *copying = context;

    if (result->type == CAIRN_RESULT_END)
        return end_of_read(copying, result);
    if (ended)
        return ENOUGH;
    if (!copying->seeks)
        return copy_entry(copying, result);
    if (last_copied_is(&copying->last, result)) {
        copying->seeks = false;
        copying->next_lsn = result->lsn + 1;
    }
    return EXIT_DONE;
}

/* Until all that was sent is answered for. */
static int
drain(struct copying *copying)
{
    while (!ended && take_answers(copying) && session_in_flight(copying->session) > 0)
        session_wait(copying->session);
    return copying->status;
}

/* From where it stands up to last_lsn; 0: to the end as it is now. */
static int
copy_on(struct copying *copying, enum cairn_read_level level, uint64_t last_lsn)
{
    struct cli_read_request request = {
        .log = copying->given->log, .level = level, .from = copying->next_lsn, .to = last_lsn, .patient = true};
    int status;

    if (last_lsn != 0 && copying->next_lsn > last_lsn)
        return drain(copying);
    if (copying->seeks) {
        request.from = copying->seeks_all ? 0 : copying->last.hlc;
        request.flags = copying->seeks_all ? 0 : CAIRN_READ_SINCE;
    }
    status = cli_read(copying->given->from, CAIRN_NODE_NONE, &request, take, copying);
    if (copying->status != 0)
        return copying->status;
    return status != EXIT_DONE && status != ENOUGH ? status : drain(copying);
}

/* The copy's log, as the log is, if there is none yet. It keeps all until the switch: whoever goes on looks for its
 * last entry. */
static int
make_copy(struct copying *copying, const json_t *row)
{
    static const char *const rules[] = {"policy", "deny", "when_cut"};
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
    json_object_set_new(wanted, "writer", json_integer((json_int_t)session_new_producer()));
    status = log_create(given->to, given->as, wanted, durability, NULL, given->worker);
    json_decref(wanted);
    /* Another run may have made it. */
    copying->writer = writer_now(copying);
    return copying->writer != 0 ? 0 : status != 0 ? status : cli_fail("log '%s' is no copy any more", given->as);
}

static int
is_first_of_copy(void *context, const struct cairn_result *result)
{
    uint64_t *writer = context;

    if (result->type == CAIRN_RESULT_ENTRY)
        *writer = result->entry.producer;
    return ENOUGH;
}

/* The copy takes anybody's entries: is it this log's, sealed for it, so that nothing is left to do? */
static int
already_open(const struct copying *copying, uint64_t sealed)
{
    const struct log_copy *given = copying->given;
    const struct cli_read_request request = {.log = given->as, .level = CAIRN_READ_STALE};
    uint64_t writer = 0;

    if (sealed != 0 && cli_read(given->to, CAIRN_NODE_NONE, &request, is_first_of_copy, &writer) == ENOUGH &&
        writer == sealed)
        return BY_ANOTHER;
    return cli_fail("log '%s' is there and takes anybody's entries: no copy is under way (name another with --as)",
                    given->as);
}

/* Both logs are there, and one is, or becomes, the copy of the other. */
static int
begin(struct copying *copying)
{
    const struct log_copy *given = copying->given;
    int status;
    json_t *row = log_row(given->from, given->log, &status);
    json_t *copy = status == 0 ? log_row(given->to, given->as, &status) : NULL;
    uint64_t sealed = cli_number(row, "sealed");

    copying->writer = cli_number(copy, "writer");
    if (status == 0 && row == NULL)
        status = cli_fail("no log '%s' ('cairn log list' shows those there are)", given->log);
    else if (status == 0 && cli_number(row, "writer") != 0)
        status = cli_fail("log '%s' is a copy that is under way itself", given->log);
    else if (status == 0 && cli_number(copy, "sealed") != 0)
        status = cli_fail("log '%s' is sealed: it was copied elsewhere itself", given->as);
    else if (status == 0 && copy != NULL && copying->writer == 0)
        status = already_open(copying, sealed);
    else if (status == 0 && sealed != 0 && sealed != copying->writer)
        status = cli_fail("log '%s' is sealed, and for another copy ('cairn log set %s --open' takes that back)",
                          given->log, given->log);
    if (status == 0 && copy == NULL)
        status = make_copy(copying, row);
    json_decref(copy);
    json_decref(row);
    if (status == 0)
        status = last_copied_find(given->to, given->as, copying->writer, &copying->last);
    copying->copied = copying->last.seq;
    copying->seeks = copying->last.bytes != NULL;
    return status;
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
count_entry(void *context, const struct cairn_result *result)
{
    uint64_t *count = context;

    *count += result->type == CAIRN_RESULT_ENTRY;
    return EXIT_DONE;
}

/* Has somebody opened the log meanwhile, and has it taken anything that the copy lacks? */
static int
check_nothing_is_left(const struct copying *copying, uint64_t copied_lsn)
{
    const struct log_copy *given = copying->given;
    struct cli_read_request request = {.log = given->log, .level = CAIRN_READ_LINEARIZABLE, .patient = true};
    uint64_t lsn, count = 0;
    int status = log_sealed_up_to(given->from, given->log, copying->writer, &lsn);

    if (status != 0 || lsn == copied_lsn)
        return status;
    request.from = copied_lsn + 1;
    request.to = lsn;
    status = cli_read(given->from, CAIRN_NODE_NONE, &request, count_entry, &count);
    if (status == EXIT_DONE && count > 0)
        return cli_fail("'%s' was opened while it was switched over: %" PRIu64 " entries behind lsn %" PRIu64
                        " are not in '%s', which takes anybody's now",
                        given->log, count, copied_lsn, given->as);
    return status;
}

/* From now on it is a log like others, which keeps what the log kept. */
static int
open_copy(const struct copying *copying)
{
    const struct log_copy *given = copying->given;
    int status;
    json_t *row = log_row(given->from, given->log, &status), *rules = json_pack("{s:i}", "writer", 0);

    json_object_set(rules, "retain_bytes", json_object_get(row, "retain_bytes"));
    json_object_set(rules, "retain_age_ms", json_object_get(row, "retain_age_ms"));
    if (status == 0)
        status = log_set(given->to, "set", given->as, rules);
    json_decref(rules);
    json_decref(row);
    return status;
}

static int
switch_over(struct copying *copying)
{
    const struct log_copy *given = copying->given;
    uint64_t lsn = 0, before;
    int status = log_seal(given->from, given->log, copying->writer, &ended, &lsn);

    /* A leader that changes puts an entry of its own behind. */
    do {
        before = lsn;
        if (status == 0)
            status = copy_on(copying, CAIRN_READ_LINEARIZABLE, lsn);
        if (status == 0 && ended)
            status = cli_fail(
                "interrupted: '%s' is sealed, and '%s' not opened yet: run this again, or 'cairn log set %s --open'",
                given->log, given->as, given->log);
        if (status == 0)
            status = log_sealed_up_to(given->from, given->log, copying->writer, &lsn);
    } while (status == 0 && lsn != before);
    if (status == 0)
        status = open_copy(copying);
    return status != 0 ? status : check_nothing_is_left(copying, lsn);
}

static void
tell(const struct copying *copying, bool switched)
{
    const struct log_copy *given = copying->given;
    uint64_t lsn = copying->next_lsn == 0 ? 0 : copying->next_lsn - 1;

    if (given->json)
        cli_row(json_pack("{s:s,s:s,s:I,s:I,s:b}", "log", given->log, "copy", given->as, "entries",
                          (json_int_t)copying->copied, "lsn", (json_int_t)lsn, "switched", switched));
    else
        printf("'%s' is copied up to lsn %" PRIu64 ": '%s' has %" PRIu64 " entries%s\n", given->log, lsn, given->as,
               copying->copied, switched ? ", and takes anybody's from now on; the log takes none any more" : "");
}

static void
tell_caught_up(const struct copying *copying)
{
    fprintf(stderr,
            "cairn: '%s' has caught up with '%s' at lsn %" PRIu64
            ", and follows it ('cairn log copy --switch' ends that)\n",
            copying->given->as, copying->given->log, copying->next_lsn == 0 ? 0 : copying->next_lsn - 1);
}

/* Follows the log until a signal ends it; where it is to be switched over, until little is left, or it gets no nearer. Any member's
 * word will do while there is something to copy; that there is nothing more is a leader's. */
static int
follow(struct copying *copying)
{
    struct timespec pause = {.tv_nsec = IDLE_NS};
    enum cairn_read_level level = CAIRN_READ_LINEARIZABLE;
    uint64_t round_before = UINT64_MAX;
    bool told = false;
    int status = 0;

    while (status == 0 && !ended) {
        uint64_t before = copying->copied, round;

        status = copy_on(copying, copying->seeks ? CAIRN_READ_LINEARIZABLE : level, 0);
        round = copying->copied - before;
        if (status != 0 || copying->seeks)
            continue;
        if (round == 0 && level == CAIRN_READ_STALE) {
            level = CAIRN_READ_LINEARIZABLE;
            continue;
        }
        if (copying->given->switches && (round < SEAL_ENTRIES || round >= round_before) &&
            level == CAIRN_READ_LINEARIZABLE)
            return 0;
        round_before = level == CAIRN_READ_LINEARIZABLE ? round : round_before;
        level = round == 0 || copying->given->switches ? CAIRN_READ_LINEARIZABLE : CAIRN_READ_STALE;
        if (round > 0)
            continue;
        if (!told)
            tell_caught_up(copying);
        told = true;
        nanosleep(&pause, NULL);
    }
    return status;
}

int
log_copy(const struct log_copy *given)
{
    struct copying copying = {.given = given};
    bool switched = false;
    int status;

    if (!take_ends())
        return cli_fail("signals cannot be taken: %s", strerror(errno));
    status = begin(&copying);
    if (status == 0)
        status = open_session(&copying);
    if (status == 0)
        status = follow(&copying);
    if (status == 0 && given->switches && ended)
        status = cli_fail("interrupted: '%s' is not switched over", given->log);
    else if (status == 0 && given->switches)
        switched = (status = switch_over(&copying)) == 0;
    if (copying.session != NULL)
        session_close(copying.session);
    free(copying.last.bytes);
    if (status == BY_ANOTHER) {
        fprintf(stderr, "cairn: '%s' is switched over already, to '%s'\n", given->log, given->as);
        return cli_end(EXIT_DONE);
    }
    if (status != 0)
        return status;
    tell(&copying, switched);
    return cli_end(EXIT_DONE);
}
