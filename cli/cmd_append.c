/* cairn append: a line, an entry. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/append_look_up.h"
#include "cli/cli.h"
#include "cli/lines.h"
#include "replication/plausible.h"

#define DEADLINE_MS_MAX 86400000u
#define LOOK_UP_NS 5000000000u

struct append {
    struct cluster_config cluster;
    struct session_config session_config;
    struct session *session;
    struct lines lines;
    struct session_sockets sockets;
    bool json, whole;
    const char *key_until;    /* a line's key ends before this; NULL: entries have none */
    const char *session_file; /* NULL: none */
    struct cairn_token token;
    struct cairn_id cluster_id; /* not set: no node said */
    bool may_create;
    uint64_t look_up_ns;            /* what may be spent on looking repeats up */
    struct cli_waiting waiting;     /* for the next answer */
    uint32_t voters, voters_needed; /* how many vote in the log, asked when so many were needed; 0: nobody said */
    int status;
    uint64_t acked, refused, unknown;
};

static void
worse(struct append *append, enum cairn_error error)
{
    int status = cli_exit_status(error);

    if (append->status == EXIT_DONE || status == EXIT_UNKNOWN)
        append->status = status;
}

static bool
lacks_quorum(const struct session_result *result)
{
    return result->error == CAIRN_NO_QUORUM && result->result.reached < result->result.needed;
}

/* A refusal says how many nodes it takes, but not of how many. */
static void
learn_voters(struct append *append, const struct session_result *result)
{
    if (!lacks_quorum(result) || append->voters_needed == result->result.needed)
        return;
    append->voters_needed = result->result.needed;
    append->voters = cli_voters(&append->cluster, append->session_config.log, append->session_config.via);
}

static void
detail_of(const struct append *append, const struct session_result *result, char *text, size_t text_bytes)
{
    char reach[64];

    if (lacks_quorum(result))
        snprintf(text, text_bytes, "no quorum: %s",
                 cli_reach_text(&result->result, append->voters, reach, sizeof(reach)));
    else
        snprintf(text, text_bytes, "%s", cairn_error_text(result->error));
}

/* A producer belongs to one cluster: in another its names would mean other entries. "": no node has said which it is. */
static const char *
cluster_text(const struct append *append, char text[CAIRN_ID_TEXT_BYTES])
{
    text[0] = '\0';
    if (cairn_id_is_set(&append->cluster_id))
        cairn_id_text(&append->cluster_id, text);
    return text;
}

/* Of an entry that is unknown: why the last node that was asked did not take it. "": none said so. */
static const char *
last_answer(const struct cairn_result *answer)
{
    return answer->error == CAIRN_OK || answer->error == CAIRN_UNKNOWN ? "" : cairn_error_text(answer->error);
}

static json_t *
row_of(const struct append *append, const struct session_result *result)
{
    const struct cairn_result *answer = &result->result;
    char detail[128], cluster[CAIRN_ID_TEXT_BYTES];
    json_t *row;

    if (result->error == CAIRN_OK && answer->on_branch)
        row = json_pack("{s:{s:s,s:I},s:I,s:s,s:b,s:I}", "branch", "origin",
                        append->sockets.names[answer->origin % append->sockets.nodes], "seq", (json_int_t)answer->seq,
                        "fork_lsn", (json_int_t)answer->fork_lsn, "ack", cairn_ack_name(answer->ack), "repeated",
                        answer->repeated, "latency_ns", (json_int_t)result->latency_ns);
    else if (result->error == CAIRN_OK)
        row = json_pack("{s:I,s:I,s:s,s:b,s:I}", "lsn", (json_int_t)answer->lsn, "term", (json_int_t)answer->term,
                        "ack", cairn_ack_name(answer->ack), "repeated", answer->repeated, "latency_ns",
                        (json_int_t)result->latency_ns);
    else if (result->error == CAIRN_UNKNOWN)
        row = json_pack("{s:s,s:I,s:I,s:I,s:s,s:s}", "error", "unknown", "producer", (json_int_t)result->producer,
                        "epoch", (json_int_t)result->producer_epoch, "seq", (json_int_t)result->seq, "cluster",
                        cluster_text(append, cluster), "detail", last_answer(answer));
    else {
        detail_of(append, result, detail, sizeof(detail));
        row = json_pack("{s:s,s:s}", "error", cairn_error_name(result->error), "detail", detail);
    }
    if (result->error == CAIRN_OK && answer->repeated)
        json_object_set_new(row, "compared", json_boolean(answer->compared));
    return row;
}

/* What is said of a repeat. */
static const char *
repeat_text(const struct cairn_result *answer)
{
    if (!answer->repeated)
        return "";
    return answer->compared ? " (held already)" : " (held already by this name; its bytes were not compared)";
}

static void
print_text(const struct append *append, const struct session_result *result)
{
    const struct cairn_result *answer = &result->result;
    char detail[128], cluster[CAIRN_ID_TEXT_BYTES];

    if (result->error == CAIRN_OK && answer->on_branch)
        printf("branch %s/%" PRIu64 " after lsn %" PRIu64 ", %s: tentative until it is merged%s\n",
               append->sockets.names[answer->origin % append->sockets.nodes], answer->seq, answer->fork_lsn,
               cairn_ack_name(answer->ack), repeat_text(answer));
    else if (result->error == CAIRN_OK)
        printf("lsn %" PRIu64 ", %s, %.1f us%s\n", answer->lsn, cairn_ack_name(answer->ack),
               (double)result->latency_ns / 1000, repeat_text(answer));
    else if (result->error == CAIRN_UNKNOWN)
        printf("unknown: it may yet appear; 'cairn append --producer %" PRIu64 "%s%s --epoch %" PRIu32 " --seq %" PRIu64
               "' settles it%s%s\n",
               result->producer, *cluster_text(append, cluster) == '\0' ? "" : "@", cluster, result->producer_epoch,
               result->seq, *last_answer(answer) == '\0' ? "" : "; the last answer was: ", last_answer(answer));
    else {
        detail_of(append, result, detail, sizeof(detail));
        printf("refused: %s\n", detail);
    }
}

static void
report(struct append *append, struct session_result *result)
{
    if (result->error == CAIRN_UNKNOWN && result->result.error == CAIRN_PRODUCER_EVICTED)
        append_look_up(&append->cluster, append->session_config.log, result, &append->look_up_ns);
    append->acked += result->error == CAIRN_OK;
    append->unknown += result->error == CAIRN_UNKNOWN;
    append->refused += result->error != CAIRN_OK && result->error != CAIRN_UNKNOWN;
    if (result->error != CAIRN_OK)
        worse(append, result->error);
    /* A token that has no more room keeps what it has: one command does not meet more lives of nodes than it holds. */
    cairn_token_note(&append->token, &result->result);
    learn_voters(append, result);
    if (append->json)
        cli_row(row_of(append, result));
    else
        print_text(append, result);
}

static bool
drain(struct append *append)
{
    struct session_result result;
    bool any = false;

    while (session_poll(append->session, &result)) {
        report(append, &result);
        any = true;
    }
    if (any)
        append->waiting.begun_ns = 0;
    else if (session_in_flight(append->session) > 0)
        cli_waits(&append->waiting, "for log '%s' to take what was given to it ('cairn status' shows how it is)",
                  append->session_config.log);
    return any;
}

/* Waits for input and answers both; shows what there is while the input pauses. */
static void
pause_for_input(struct append *append)
{
    struct pollfd input = {.fd = append->lines.fd, .events = POLLIN};

    if (session_in_flight(append->session) > 0) {
        if (poll(&input, 1, 0) == 0 && !drain(append))
            session_wait(append->session);
        return;
    }
    fflush(stdout);
    poll(&input, 1, 200);
}

/* The line as an entry: with --key-until its key, and the rest. false: it has none. */
static bool
entry_of(const struct append *append, const struct line *line, struct cairn_entry *out)
{
    const char *end;

    *out = (struct cairn_entry){
        .payload = line->bytes,
        .payload_bytes = (uint32_t)line->size_bytes,
        .flags = line->terminated || append->whole ? 0 : CAIRN_ENTRY_UNTERMINATED,
    };
    if (append->key_until == NULL)
        return true;
    end = memchr(line->bytes, append->key_until[0], line->size_bytes);
    if (end == NULL || end - line->bytes > (ptrdiff_t)CAIRN_KEY_BYTES_MAX)
        return false;
    out->key = line->bytes;
    out->key_bytes = (uint16_t)(end - line->bytes);
    out->payload = end + 1;
    out->payload_bytes -= out->key_bytes + 1u;
    return true;
}

/* Makes the log where no node that could be asked knows it, though it took long to hear so. */
static int
make_log(struct append *append)
{
    const char *log = append->session_config.log;
    int status;

    if (!append->may_create || !append->cluster.auto_create)
        return cli_fail("no log '%s' ('cairn log create %s --policy cp' makes it)", log, log);
    append->may_create = false;
    status = log_create_and_wait(&append->cluster, log, CAIRN_POLICY_CP, CAIRN_DENY_WRITES, NULL, NULL);
    if (status == 0)
        fprintf(stderr, "cairn: log '%s' created, policy cp\n", log);
    return status;
}

/* Takes answers, or waits for some. */
static int
answer_some(struct append *append)
{
    if (append->may_create && session_lacks_log(append->session))
        return make_log(append);
    if (!drain(append))
        session_wait(append->session);
    return 0;
}

static int
give_line(struct append *append, const struct line *line)
{
    struct cairn_entry entry;
    int status = 0;

    if (!entry_of(append, line, &entry) && append->whole)
        return cli_fail("input %s: no key of at most %u bytes before a '%s'", append->lines.name, CAIRN_KEY_BYTES_MAX,
                        append->key_until);
    if (!entry_of(append, line, &entry))
        return cli_fail("line %" PRIu64 ": no key of at most %u bytes before a '%s'", line->number, CAIRN_KEY_BYTES_MAX,
                        append->key_until);
    while (status == 0) {
        enum cairn_error error = session_append(append->session, &entry);

        if (error == CAIRN_OK)
            return 0;
        if (error != CAIRN_AGAIN && append->whole)
            return cli_fail("input %s: %s", append->lines.name, cairn_error_text(error));
        if (error != CAIRN_AGAIN)
            return cli_fail("line %" PRIu64 ": %s", line->number, cairn_error_text(error));
        status = answer_some(append);
    }
    return status;
}

static int
append_all(struct append *append)
{
    struct line line;
    enum lines_status got;
    int status = 0;

    while (status == 0 && (got = lines_next(&append->lines, &line)) != LINES_END && cli_output_alive()) {
        if (got == LINES_ERROR)
            status = cli_fail("input %s: %s", append->lines.name, append->lines.detail);
        else if (got == LINES_PAUSE)
            pause_for_input(append);
        else
            status = give_line(append, &line);
        drain(append);
    }
    if (status != 0)
        append->status = status;
    /* What is under way is answered in any case. */
    while (session_in_flight(append->session) > 0 && cli_output_alive()) {
        status = answer_some(append);
        if (status != 0)
            append->status = status;
    }
    return append->status;
}

static int
open_session(struct append *append)
{
    char detail[512] = "";
    enum cairn_error error = session_open(&append->session_config, &append->session, detail, sizeof(detail));
    int status;

    if (error == CAIRN_NO_LOG) {
        status = make_log(append);
        if (status != 0)
            return status;
        error = session_open(&append->session_config, &append->session, detail, sizeof(detail));
    }
    return error == CAIRN_OK ? 0 : cli_unreached_at(&append->cluster, append->session_config.via, error, detail);
}

/* A log's durability never changes, so it is asked for once. */
static int
check_durable(const struct cluster_config *cluster, const char *log)
{
    struct cli_answers answers = {0};
    bool durable = false;

    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t i = 0; i < cluster->nodes && !durable; i++) {
        const json_t *row = cli_log_row(answers.by_node[i], log);

        durable = row != NULL && strcmp(cli_text(row, "durability"), "disk") == 0;
    }
    cli_answers_free(&answers);
    if (durable)
        return 0;
    cli_fail(
        "log '%s' is kept in memory: refused, as --durability disk asks for more (create it with --durability disk)",
        log);
    return EXIT_REFUSED;
}

/* of: the cluster that the producer is one of; not set: this one. */
static int
check_cluster(struct append *append, const struct cairn_id *of)
{
    char texts[2][CAIRN_ID_TEXT_BYTES];

    if (!cli_cluster_identity(&append->cluster, &append->cluster_id))
        return cairn_id_is_set(of) ? cli_fail("no node says which cluster this is, and the producer is of one") : 0;
    if (!cairn_id_is_set(of) || cairn_id_equal(of, &append->cluster_id))
        return 0;
    cairn_id_text(of, texts[0]);
    cairn_id_text(&append->cluster_id, texts[1]);
    return cli_fail("the producer is of cluster %s, and this is %s: what it tried there means nothing here", texts[0],
                    texts[1]);
}

/* argument: behind the log's name; *file: by --file. NULL: not given. 0, or what to exit with. */
static int
choose_input(const char *argument, const char **file)
{
    if (argument != NULL && *file != NULL)
        return cli_usage("append: '%s' and --file do not go together (give one of them)", argument);
    if (argument != NULL && argument[0] == '\0')
        return cli_usage("append: '' is no input (expected a path, or - for standard input)");
    if (*file == NULL)
        *file = argument != NULL ? argument : "-";
    return 0;
}

/* Everything is known: from the session to its end. */
static int
append_to(struct append *append, const char *log, const struct cli_producer *producer, enum cairn_durability wanted)
{
    int status;

    append->sockets = cli_sockets(&append->cluster);
    append->may_create = true;
    append->look_up_ns = LOOK_UP_NS;
    status = open_session(append);
    if (status == 0)
        status = check_cluster(append, &producer->of);
    if (status == 0 && wanted == CAIRN_DISK)
        status = check_durable(&append->cluster, log);
    if (status == 0)
        status = append_all(append);
    if (append->session_file != NULL && append->acked > 0 &&
        cli_session_save(append->session_file, log, &append->token) != 0)
        status = EXIT_FAILED;
    if (append->session != NULL)
        session_close(append->session);
    lines_close(&append->lines);
    return cli_end(status);
}

int
cmd_append(int argc, char **argv)
{
    static struct append append;
    const char *cluster = NULL, *file = NULL, *via = NULL, *durability = NULL;
    uint64_t deadline_ms = 10000, seq = 0;
    struct cli_producer producer = {0};
    uint32_t epoch = 0;
    enum cairn_ack ack = CAIRN_ACK_POLICY;
    enum cairn_durability wanted = CAIRN_MEMORY;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster, "the cluster file (or CAIRN_CLUSTER)"},
        {"file", OPTION_FILE, &file, "what to append, a line an entry; - is standard input, the default"},
        {"whole", OPTION_FLAG, &append.whole, "the file is one entry"},
        {"ack", OPTION_ACK, &ack, "how many replicas hold an entry before it is acknowledged; default: the policy's"},
        {"durability", OPTION_WORD, &durability, "disk: refuse where the log is kept in memory alone",
         .unit = "memory|disk"},
        {"key-until", OPTION_CHARACTER, &append.key_until, "each line is a key, this character, and the payload"},
        {"via", OPTION_NODE, &via, "the node to talk to first; where it refuses, no other is asked"},
        {"session", OPTION_FILE, &append.session_file, "a file that remembers what was written, for read --session"},
        {"deadline-ms", OPTION_U64, &deadline_ms, "for each entry; default 10000", .min = 1, .max = DEADLINE_MS_MAX,
         .unit = "ms"},
        {"producer", OPTION_PRODUCER, &producer,
         "as this producer: line k is its sequence k, also where one is refused"},
        {"epoch", OPTION_U32, &epoch, "the producer's; default 0", .max = UINT32_MAX, .needs = "producer"},
        {"seq", OPTION_U64, &seq, "a repeat: line k is the producer's sequence N + k - 1", .min = 1,
         .max = PRODUCER_SEQ_MAX, .needs = "producer"},
        {"json", OPTION_FLAG, &append.json, "a JSON row for each entry"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"append", "NAME [FILE | -]", 1, 2, .options = options};
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status) || (status = cli_log_name("append", argv[first])) != 0 ||
        (status = choose_input(argc - first == 2 ? argv[first + 1] : NULL, &file)) != 0)
        return status;
    if (durability != NULL)
        cairn_durability_parse(durability, &wanted);
    if ((status = cli_cluster(cluster, &append.cluster)) != 0 ||
        (status = cli_know_all(&append.cluster, cluster)) != 0 || (status = cli_node(&append.cluster, via, &node)) != 0)
        return status;
    if (append.session_file != NULL &&
        (status = cli_session_load(append.session_file, &append.cluster, argv[first], &append.token)) != 0)
        return status;
    if (!lines_open(&append.lines, file, append.whole))
        return cli_fail("input %s: %s", file, append.lines.detail);
    append.session_config = (struct session_config){
        .nodes = append.cluster.nodes,
        .connect = session_connect_shm,
        .connect_context = &append.sockets,
        .log = argv[first],
        .via = node,
        .ack = ack,
        .deadline_ns = deadline_ms * 1000000,
        .producer = producer.id,
        .first_seq = seq,
        .producer_epoch = epoch,
    };
    return append_to(&append, argv[first], &producer, wanted);
}
