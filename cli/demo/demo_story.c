/* The story: a healthy cluster, a cut, a heal; and the accounts at the end.
 *
 * Two logs take part. `bank` (cp) refuses on the cut-off node; `feed` (adaptive) goes on accepting
 * there, and every line of the input ends up on it exactly once: the first third by the producer
 * `together`; while the node is away, line by line in turn by `together` on the majority's side and
 * by `alone` on the cut-off node; the last third by `together` again. */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/raw.h"
#include "cli/cli.h"
#include "cli/demo/demo.h"
#include "dataplane/eal.h"

#define LATENCY_SAMPLES 20000u
#define LATENCY_PAYLOAD_MAX 1024u
#define WAIT_NS 30000000000u
#define DEADLINE_NS 20000000000u
#define BANK_LINES 100u

/* --- latency --- */

/* A pair of rings between two threads, with nothing on top. */
static int
measure_raw(struct demo *demo)
{
    static struct raw_pair pair;
    char detail[256];
    bool measured;

    if (raw_pair_open(&pair, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("raw transport: %s", detail);
    pair.yields = demo->one_core;
    if (!raw_pair_start(&pair, false))
        return cli_fail("a thread cannot be started");
    eal_enter_thread();
    measured = raw_round_trips(&pair.near, LATENCY_SAMPLES, demo->one_core, demo->figures.raw);
    eal_leave_thread();
    raw_pair_stop(&pair);
    raw_pair_close(&pair);
    return measured ? 0 : cli_fail("the raw transport does not answer");
}

/* One append at a time, the file's own lines. */
static int
measure_level(struct demo *demo, enum cairn_ack ack, struct histogram *histogram)
{
    struct cairn_client *client;
    struct cairn_result result;

    if (node_attach(demo->local.nodes[0], &client) != CAIRN_OK)
        return cli_fail("no place for a client");
    for (uint32_t i = 0; i < LATENCY_SAMPLES; i++) {
        struct cairn_entry entry = {0};
        const uint8_t *bytes;
        uint64_t start_ns = cli_now_ns();
        int got;

        demo_line(&demo->lines, i % demo->lines.count, &bytes, &entry.payload_bytes);
        entry.payload = bytes;
        if (entry.payload_bytes > LATENCY_PAYLOAD_MAX)
            entry.payload_bytes = LATENCY_PAYLOAD_MAX;
        cairn_append(client, demo->speed, &entry, ack, i);
        cairn_flush(client);
        while ((got = cairn_poll(client, &result)) == 0 && cli_now_ns() - start_ns < WAIT_NS) {
            if (demo->one_core)
                sched_yield();
        }
        if (got != 1 || result.error != CAIRN_OK)
            return cli_fail("an append while measuring was not acknowledged: %s (is the machine too busy?)",
                            cairn_error_text(got == 1 ? result.error : CAIRN_TIMEOUT));
        if (i >= LATENCY_SAMPLES / 10)
            histogram_add(histogram, cli_now_ns() - start_ns);
    }
    cairn_disconnect(client);
    return 0;
}

static int
measure(struct demo *demo)
{
    struct demo_figures *f = &demo->figures;
    int status;

    f->raw = histogram_new();
    f->local = histogram_new();
    f->majority = histogram_new();
    if (f->raw == NULL || f->local == NULL || f->majority == NULL)
        return cli_fail("no memory for histograms");
    /* The nodes rest meanwhile, so that the two threads of the measurement have a core each. */
    lcore_stop(&demo->local.lcores[0]);
    status = measure_raw(demo);
    if (!lcore_start(&demo->local.lcores[0]))
        return cli_fail("a thread cannot be started");
    if (status == 0)
        status = measure_level(demo, CAIRN_ACK_LOCAL, f->local);
    if (status == 0)
        status = measure_level(demo, CAIRN_ACK_MAJORITY, f->majority);
    return status;
}

/* --- appends --- */

static struct session *
open_session(struct demo *demo, const char *log, uint8_t node, int *status)
{
    struct session_config config = {
        .nodes = demo->nodes,
        .connect = local_connect,
        .connect_context = &demo->local,
        .log = log,
        .via = node,
        .deadline_ns = DEADLINE_NS,
    };
    struct session *session;
    char detail[256] = "";

    if (session_open(&config, &session, detail, sizeof(detail)) == CAIRN_OK)
        return session;
    *status = cli_fail("log %s cannot be opened: %s", log, detail);
    return NULL;
}

static int
take_results(struct demo *demo, struct session *session)
{
    struct session_result result;

    while (session_poll(session, &result)) {
        if (result.error != CAIRN_OK)
            return cli_fail("an append was not acknowledged: %s (is the machine too busy?)",
                            cairn_error_text(result.error));
        demo->figures.acked++;
        demo->figures.on_branch += result.result.on_branch;
        if (result.result.lsn > demo->figures.last_lsn)
            demo->figures.last_lsn = result.result.lsn;
    }
    return 0;
}

static struct cairn_entry
entry_of(const struct demo *demo, uint64_t index)
{
    const uint8_t *bytes;
    uint32_t size_bytes;
    bool terminated = demo_line(&demo->lines, index, &bytes, &size_bytes);

    return (struct cairn_entry){
        .payload = bytes,
        .payload_bytes = size_bytes,
        .flags = terminated ? 0 : CAIRN_ENTRY_UNTERMINATED,
    };
}

static int
give(struct demo *demo, struct session *session, uint64_t index)
{
    struct cairn_entry entry = entry_of(demo, index);
    int status = 0;

    while (status == 0 && session_append(session, &entry) == CAIRN_AGAIN) {
        status = take_results(demo, session);
        if (status == 0 && session_in_flight(session) > 0)
            session_wait(session);
    }
    return status;
}

static int
finish(struct demo *demo, struct session *session)
{
    int status = 0;

    while (status == 0 && session_in_flight(session) > 0) {
        session_wait(session);
        status = take_results(demo, session);
    }
    return status;
}

static int
append_together(struct demo *demo, uint64_t from, uint64_t to)
{
    int status = 0;

    for (uint64_t i = from; i < to && status == 0; i++) {
        demo->together_lines[demo->together_count++] = i;
        status = give(demo, demo->together, i);
    }
    return status == 0 ? finish(demo, demo->together) : status;
}

static int
append_both(struct demo *demo, uint64_t from, uint64_t to)
{
    int status = 0;

    for (uint64_t i = from; i < to && status == 0; i++) {
        if (i % 2 == 0) {
            demo->together_lines[demo->together_count++] = i;
            status = give(demo, demo->together, i);
        } else {
            demo->alone_lines[demo->alone_count++] = i;
            status = give(demo, demo->alone, i);
        }
    }
    if (status == 0)
        status = finish(demo, demo->alone);
    return status == 0 ? finish(demo, demo->together) : status;
}

/* One line into the bank, by the first node or by the one that is cut off; what it answered. */
static enum cairn_error
bank_append(struct demo *demo, bool by_away, uint64_t line, struct session_result *result)
{
    struct session *session = demo->bank_at[by_away];
    struct cairn_entry entry = entry_of(demo, line % demo->lines.count);

    session_append(session, &entry);
    while (!session_poll(session, result))
        session_wait(session);
    return result->error;
}

/* --- cut, heal, and what follows --- */

static bool
is_mode(struct demo *demo, const char *log, enum cairn_mode mode)
{
    struct node_log_view view;

    return node_view(demo->local.nodes[demo->away], log, &view) && view.mode == mode;
}

static int
wait_mode(struct demo *demo, const char *log, enum cairn_mode mode)
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;

    while (!is_mode(demo, log, mode)) {
        if (cli_now_ns() > end_ns)
            return cli_fail("%s does not go to mode %s for log %s", demo->local.cluster.names[demo->away],
                            cairn_mode_name(mode), log);
        usleep(500);
    }
    return 0;
}

static void
set_cut(struct demo *demo, bool cut)
{
    for (uint8_t from = 0; from < demo->nodes; from++) {
        struct fault_rule rules[CAIRN_NODES_MAX];

        memset(rules, 0, sizeof(rules));
        for (uint8_t to = 0; to < demo->nodes; to++) {
            if (cut && from != to && (from == demo->away || to == demo->away))
                rules[to].drop = 1;
        }
        node_set_faults(demo->local.nodes[from], rules);
    }
}

static bool
same_everywhere(struct demo *demo, const char *log, uint64_t least_lsn, char digest[20])
{
    struct node_log_view first = {0}, view;

    for (uint32_t i = 0; i < demo->nodes; i++) {
        if (!node_view(demo->local.nodes[i], log, &view) || view.branch_entries != 0 ||
            view.commit_lsn != view.last_lsn || view.commit_lsn < least_lsn)
            return false;
        if (i == 0)
            first = view;
        if (view.commit_lsn != first.commit_lsn || view.digest != first.digest)
            return false;
    }
    snprintf(digest, 20, "%016" PRIx64, first.digest);
    return true;
}

static int
wait_same(struct demo *demo, const char *log, uint64_t least_lsn, char digest[20])
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;

    while (!same_everywhere(demo, log, least_lsn, digest)) {
        if (cli_now_ns() > end_ns)
            return cli_fail("the replicas of %s do not converge", log);
        usleep(500);
    }
    return 0;
}

static int
play_cut(struct demo *demo, uint64_t from, uint64_t to)
{
    const char *away = demo->local.cluster.names[demo->away];
    struct demo_figures *f = &demo->figures;
    struct session_result result = {0};
    int status = 0;

    f->cut_ns = cli_now_ns();
    set_cut(demo, true);
    demo_tell(demo, "cut", "%s is cut off from the others", away);
    if ((status = wait_mode(demo, "bank", CAIRN_MODE_DENIED)) != 0 ||
        (status = wait_mode(demo, "feed", CAIRN_MODE_AP)) != 0)
        return status;
    for (uint64_t i = 0; i < BANK_LINES; i++) {
        if (bank_append(demo, true, i, &result) != CAIRN_NO_QUORUM)
            return cli_fail("%s took an append to the cp log while cut off", away);
        f->refused++;
    }
    snprintf(f->refusal, sizeof(f->refusal), "no quorum: reaching %u of %u, need %u", result.result.reached,
             demo->nodes, result.result.needed);
    demo_tell(demo, "deny", "bank (cp): %s refuses %" PRIu64 " of %u appends: %s", away, f->refused, BANK_LINES,
              f->refusal);
    if (bank_append(demo, false, 1, &result) != CAIRN_OK)
        return cli_fail("the majority does not go on: %s", cairn_error_text(result.error));
    demo_tell(demo, "go on", "bank (cp): the majority goes on, lsn %" PRIu64, result.result.lsn);
    demo->alone = open_session(demo, "feed", demo->away, &status);
    if (status == 0)
        status = append_both(demo, from, to);
    if (status == 0)
        demo_tell(demo, "accept",
                  "feed (adaptive): %s accepted %" PRIu64 " lines alone, %" PRIu64
                  " of them on its branch; the others %" PRIu64,
                  away, demo->alone_count, f->on_branch, (to - from) - demo->alone_count);
    return status;
}

static int
play_heal(struct demo *demo)
{
    char digest[20];
    int status;

    demo->figures.heal_ns = cli_now_ns();
    set_cut(demo, false);
    demo_tell(demo, "heal", "the link is back");
    status = wait_same(demo, "feed", demo->figures.last_lsn, demo->figures.digest);
    if (status == 0)
        status = wait_same(demo, "bank", 0, digest);
    demo->figures.merged_ns = cli_now_ns();
    if (status == 0)
        demo_tell(demo, "merge", "the branch is on the trunk of every node, %.1f ms after the heal",
                  (double)(demo->figures.merged_ns - demo->figures.heal_ns) / 1e6);
    return status;
}

static int
make_logs(struct demo *demo)
{
    static const struct {
        const char *name;
        enum cairn_policy policy;
    } logs[] = {{"bank", CAIRN_POLICY_CP}, {"feed", CAIRN_POLICY_ADAPTIVE}, {"speed", CAIRN_POLICY_CP}};
    uint32_t *ids[] = {&demo->bank, &demo->feed, &demo->speed};

    for (uint32_t i = 0; i < 3; i++) {
        enum cairn_error error = local_create_log(demo->local.nodes[0], logs[i].name, logs[i].policy, CAIRN_MEMORY, 0,
                                                  NULL, NULL, ids[i]);

        if (error != CAIRN_OK)
            return cli_fail("log %s cannot be made: %s (is the machine too busy?)", logs[i].name,
                            cairn_error_text(error));
    }
    return 0;
}

static int
play_all(struct demo *demo)
{
    uint64_t third = demo->lines.count / 3, count = demo->lines.count;
    struct session_result result = {0};
    int status = 0;

    demo_tell(demo, "start", "%u nodes in this process; %" PRIu64 " lines of %s", demo->nodes, count, demo->input);
    if ((status = make_logs(demo)) != 0 || (status = measure(demo)) != 0)
        return status;
    demo->together = open_session(demo, "feed", 0, &status);
    for (uint32_t i = 0; i < 2 && status == 0; i++)
        demo->bank_at[i] = open_session(demo, "bank", i == 0 ? 0 : demo->away, &status);
    if (status != 0 || (status = append_together(demo, 0, third)) != 0)
        return status;
    for (uint64_t i = 0; i < BANK_LINES; i++) {
        if (bank_append(demo, false, i, &result) != CAIRN_OK)
            return cli_fail("bank: %s", cairn_error_text(result.error));
    }
    demo_tell(demo, "append", "%" PRIu64 " lines on every node, %u in the bank", third, BANK_LINES);
    if ((status = play_cut(demo, third, 2 * third)) != 0 || (status = play_heal(demo)) != 0 ||
        (status = append_together(demo, 2 * third, count)) != 0 ||
        (status = wait_same(demo, "feed", demo->figures.last_lsn, demo->figures.digest)) != 0)
        return status;
    demo_tell(demo, "append", "%" PRIu64 " more lines on every node", count - 2 * third);
    return demo_verify(demo);
}

static void
close_session(struct session *session)
{
    if (session != NULL)
        session_close(session);
}

int
demo_play(struct demo *demo)
{
    struct demo_figures *f = &demo->figures;
    int status;

    demo->away = (uint8_t)(demo->nodes - 1);
    demo->together_lines = malloc(demo->lines.count * sizeof(uint64_t));
    demo->alone_lines = malloc(demo->lines.count * sizeof(uint64_t));
    if (demo->together_lines == NULL || demo->alone_lines == NULL)
        return cli_fail("no memory for the accounts");
    f->start_ns = cli_now_ns();
    status = play_all(demo);
    f->end_ns = cli_now_ns();
    page_collect(&f->events, &demo->local, demo->nodes);
    f->denied_ns = page_mode_ns(&f->events, demo->away, "bank", CAIRN_MODE_DENIED, f->cut_ns);
    f->accepting_ns = page_mode_ns(&f->events, demo->away, "feed", CAIRN_MODE_AP, f->cut_ns);
    close_session(demo->together);
    close_session(demo->alone);
    close_session(demo->bank_at[0]);
    close_session(demo->bank_at[1]);
    return status;
}
