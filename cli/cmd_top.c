/* cairn top: what every log does on every node, live: rates and latencies of the last interval. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "node/latencies.h"

#define ROWS_MAX 256u
#define EVENTS_SHOWN 6u
#define HOME_AND_CLEAR "\x1b[H\x1b[J"

/* What a node said of a log when it was asked last. */
struct look {
    char node[CAIRN_NAME_BYTES], log[CAIRN_NAME_BYTES];
    uint64_t t_ns;
    uint64_t appended, appended_bytes, refused, read, commit_lsn;
    uint64_t counts[LATENCY_LEVELS][LATENCY_BUCKETS];
    json_t *row;
};

struct looks {
    struct look looks[ROWS_MAX];
    uint32_t count;
};

/* Of one level, in one interval. */
struct quantiles {
    uint64_t appends, p50_ns, p99_ns;
};

struct top {
    struct cluster_config cluster;
    const char *log; /* NULL: all */
    uint32_t interval_ms, count;
    bool json, screen;
    struct looks now, before;
    json_int_t events_next[CAIRN_NODES_MAX];
    json_t *events; /* the last ones */
    cairn_node_set silent;
    uint32_t left_out;      /* rows */
    enum cairn_error error; /* why nobody answered, and */
    char detail[256];
};

/* latencies: by level, the buckets that are not empty, as pairs of number and count. */
static void
read_counts(struct look *look, const json_t *latencies)
{
    for (enum cairn_ack ack = CAIRN_ACK_LOCAL; ack <= CAIRN_ACK_ALL; ack++) {
        const json_t *pair;
        size_t i;

        json_array_foreach (json_object_get(latencies, cairn_ack_name(ack)), i, pair) {
            json_int_t bucket = json_integer_value(json_array_get(pair, 0));

            if (bucket >= 0 && bucket < (json_int_t)LATENCY_BUCKETS)
                look->counts[ack][bucket] = (uint64_t)json_integer_value(json_array_get(pair, 1));
        }
    }
}

static void
look_at(struct top *top, json_t *row)
{
    struct look *look = &top->now.looks[top->now.count];

    if (top->log != NULL && strcmp(top->log, cli_text(row, "log")) != 0)
        return;
    if (top->now.count == ROWS_MAX) {
        top->left_out++;
        return;
    }
    memset(look, 0, sizeof(*look));
    snprintf(look->node, sizeof(look->node), "%s", cli_text(row, "node"));
    snprintf(look->log, sizeof(look->log), "%s", cli_text(row, "log"));
    look->t_ns = cli_now_ns();
    look->appended = cli_number(row, "appended");
    look->appended_bytes = cli_number(row, "appended_bytes");
    look->refused = cli_number(row, "refused");
    look->read = cli_number(row, "read");
    look->commit_lsn = cli_number(row, "commit_lsn");
    read_counts(look, json_object_get(row, "latencies"));
    look->row = json_incref(row);
    top->now.count++;
}

static void
forget(struct looks *looks)
{
    for (uint32_t i = 0; i < looks->count; i++)
        json_decref(looks->looks[i].row);
    looks->count = 0;
}

/* How many nodes answered. */
static uint32_t
look_round(struct top *top)
{
    json_t *requests[CAIRN_NODES_MAX] = {0}, *row;
    struct cli_answers answers = {0};
    uint32_t answering;
    size_t r;

    forget(&top->before);
    top->before = top->now;
    top->now.count = 0;
    top->left_out = 0;
    for (uint8_t i = 0; i < top->cluster.nodes; i++)
        requests[i] = !(cli_present(&top->cluster) >> i & 1) ? NULL
                                                             : json_pack("{s:s,s:b}", "cmd", "status", "latencies", 1);
    answering = cli_ask_each(&top->cluster, requests, CLI_HEARD, &answers);
    top->silent = answers.silent;
    for (uint8_t i = 0; i < top->cluster.nodes; i++) {
        json_array_foreach (json_object_get(answers.by_node[i], "rows"), r, row) {
            look_at(top, row);
        }
    }
    top->error = answers.forbidden ? CAIRN_FORBIDDEN : CAIRN_CLOSED;
    snprintf(top->detail, sizeof(top->detail), "%s", cli_answers_detail(&answers));
    cli_answers_free(&answers);
    return answering;
}

/* The same log on the same node, the last time. NULL: it was not there. */
static const struct look *
earlier(const struct top *top, const struct look *now)
{
    for (uint32_t i = 0; i < top->before.count; i++) {
        const struct look *look = &top->before.looks[i];

        /* A node that started anew counts from the beginning. */
        if (strcmp(look->node, now->node) == 0 && strcmp(look->log, now->log) == 0)
            return look->appended > now->appended || look->read > now->read ? NULL : look;
    }
    return NULL;
}

static struct quantiles
quantiles(const struct look *now, const struct look *before, enum cairn_ack ack)
{
    struct quantiles found = {0};
    uint64_t seen = 0;

    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
        found.appends += now->counts[ack][i] - before->counts[ack][i];
    for (uint32_t i = 0; i < LATENCY_BUCKETS && seen < found.appends; i++) {
        uint64_t highest_ns = log_linear_highest(i, LATENCY_PART_BITS);

        if (now->counts[ack][i] == before->counts[ack][i])
            continue;
        if (2 * seen < found.appends)
            found.p50_ns = highest_ns;
        if (100 * seen < 99 * found.appends)
            found.p99_ns = highest_ns;
        seen += now->counts[ack][i] - before->counts[ack][i];
    }
    return found;
}

static double
rate(uint64_t now, uint64_t before, uint64_t ns)
{
    return ns == 0 ? 0 : (double)(now - before) * 1e9 / (double)ns;
}

/* How far the node is behind the one that knows of most. */
static uint64_t
behind(const struct top *top, const struct look *look)
{
    uint64_t most = look->commit_lsn;

    for (uint32_t i = 0; i < top->now.count; i++) {
        if (strcmp(top->now.looks[i].log, look->log) == 0 && top->now.looks[i].commit_lsn > most)
            most = top->now.looks[i].commit_lsn;
    }
    return most - look->commit_lsn;
}

static void
json_look(const struct top *top, const struct look *look, const struct look *before)
{
    uint64_t ns = look->t_ns - before->t_ns;
    json_t *row = json_pack(
        "{s:I,s:s,s:s,s:I,s:s,s:s,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:I}", "t_ns", (json_int_t)look->t_ns,
        "node", look->node, "log", look->log, "worker", (json_int_t)cli_number(look->row, "worker"), "role",
        cli_text(look->row, "role"), "mode", cli_text(look->row, "mode"), "policy", cli_text(look->row, "policy"),
        "interval_ms", (double)ns / 1e6, "appends_per_s", rate(look->appended, before->appended, ns), "bytes_per_s",
        rate(look->appended_bytes, before->appended_bytes, ns), "refused_per_s",
        rate(look->refused, before->refused, ns), "reads_per_s", rate(look->read, before->read, ns), "commits_per_s",
        rate(look->commit_lsn, before->commit_lsn, ns), "commit_lsn", (json_int_t)look->commit_lsn, "behind",
        (json_int_t)behind(top, look), "branch_entries", (json_int_t)cli_number(look->row, "branch_entries"),
        "merge_entries", (json_int_t)cli_number(look->row, "merge_entries"), "merge_ms",
        (json_int_t)cli_number(look->row, "merge_ms"));

    for (enum cairn_ack ack = CAIRN_ACK_LOCAL; ack <= CAIRN_ACK_ALL; ack++) {
        struct quantiles found = quantiles(look, before, ack);

        if (found.appends > 0)
            json_object_set_new(row, cairn_ack_name(ack),
                                json_pack("{s:I,s:I,s:I}", "appends", (json_int_t)found.appends, "p50_ns",
                                          (json_int_t)found.p50_ns, "p99_ns", (json_int_t)found.p99_ns));
    }
    cli_row(row);
}

/* Three or four digits and a unit. */
static const char *
short_time(uint64_t ns, char *out, size_t out_bytes)
{
    if (ns < 1000)
        snprintf(out, out_bytes, "%luns", (unsigned long)ns);
    else if (ns < 1000000)
        snprintf(out, out_bytes, "%.*fus", ns < 10000 ? 1 : 0, (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(out, out_bytes, "%.*fms", ns < 10000000 ? 1 : 0, (double)ns / 1e6);
    else
        snprintf(out, out_bytes, "%.1fs", (double)ns / 1e9);
    return out;
}

/* "majority 12us 40us", of the level that most were acknowledged at. */
static void
latency_text(const struct look *look, const struct look *before, char *out, size_t out_bytes)
{
    struct quantiles most = {0};
    enum cairn_ack level = CAIRN_ACK_POLICY;
    char p50[16], p99[16];

    for (enum cairn_ack ack = CAIRN_ACK_LOCAL; ack <= CAIRN_ACK_ALL; ack++) {
        struct quantiles found = quantiles(look, before, ack);

        if (found.appends > most.appends) {
            most = found;
            level = ack;
        }
    }
    if (most.appends == 0)
        snprintf(out, out_bytes, "%-8s %6s %6s", "-", "-", "-");
    else
        snprintf(out, out_bytes, "%-8s %6s %6s", cairn_ack_name(level), short_time(most.p50_ns, p50, sizeof(p50)),
                 short_time(most.p99_ns, p99, sizeof(p99)));
}

/* Where each node has one, all logs are its. */
static bool
shows_workers(const struct top *top)
{
    for (uint32_t i = 0; i < top->now.count; i++) {
        if (cli_number(top->now.looks[i].row, "worker") > 0)
            return true;
    }
    return false;
}

static void
print_look(const struct top *top, const struct look *look, const struct look *before)
{
    uint64_t ns = look->t_ns - before->t_ns, left = cli_number(look->row, "branch_entries");
    uint64_t merging = cli_number(look->row, "merge_entries");
    char latency[40], branch[40], worker[24] = "";

    if (shows_workers(top))
        snprintf(worker, sizeof(worker), "%6lu ", (unsigned long)cli_number(look->row, "worker"));
    latency_text(look, before, latency, sizeof(latency));
    if (merging == 0)
        snprintf(branch, sizeof(branch), "%lu", (unsigned long)left);
    else
        snprintf(branch, sizeof(branch), "%lu of %lu, %.1f s", (unsigned long)left, (unsigned long)merging,
                 (double)cli_number(look->row, "merge_ms") / 1e3);
    printf("%-6s %-16.16s %s%-10s %-8s %9.0f %8.2f %9.0f %9.0f  %s %12lu %8lu  %s\n", look->node, look->log, worker,
           cli_text(look->row, "role"), cli_text(look->row, "mode"), rate(look->appended, before->appended, ns),
           rate(look->appended_bytes, before->appended_bytes, ns) / 1e6, rate(look->refused, before->refused, ns),
           rate(look->read, before->read, ns), latency, (unsigned long)look->commit_lsn,
           (unsigned long)behind(top, look), branch);
}

static void
print_head(const struct top *top)
{
    time_t now = time(NULL);
    struct tm local;
    char clock[16];

    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
    if (top->screen)
        fputs(HOME_AND_CLEAR, stdout);
    printf("%s  %u nodes, every %u ms", clock, cli_present_count(&top->cluster), top->interval_ms);
    for (uint8_t i = 0; i < top->cluster.nodes; i++) {
        if (top->silent >> i & 1)
            printf("  %s DOES NOT ANSWER", top->cluster.names[i]);
    }
    if (top->left_out > 0)
        printf("  (%u rows more: choose a log with --log)", top->left_out);
    printf("\n\n%-6s %-16s %s%-10s %-8s %9s %8s %9s %9s  %-8s %6s %6s %12s %8s  %s\n", "node", "log",
           shows_workers(top) ? "worker " : "", "role", "mode", "appends/s", "MB/s", "refused/s", "reads/s", "acked by",
           "p50", "p99", "commit_lsn", "behind", "branch");
}

/* Keeps the last events, and shows them. */
static void
print_events(struct top *top)
{
    struct cli_answers answers = {0};
    const json_t *event;
    size_t i;

    cli_collect_events(&top->cluster, cli_present(&top->cluster), top->events_next, top->events, &answers);
    cli_answers_free(&answers);
    cli_sort_events(top->events);
    while (json_array_size(top->events) > EVENTS_SHOWN)
        json_array_remove(top->events, 0);
    putchar('\n');
    json_array_foreach (top->events, i, event) {
        printf("%8.1f s ago  %-6s %-20s %s\n", (double)(cli_now_ns() - cli_number(event, "t_ns")) / 1e9,
               cli_text(event, "node"), cli_text(event, "event"), cli_text(event, "reason"));
    }
}

static void
show(struct top *top)
{
    if (!top->json)
        print_head(top);
    for (uint32_t i = 0; i < top->now.count; i++) {
        const struct look *look = &top->now.looks[i], *before = earlier(top, look);

        if (before == NULL)
            continue;
        if (top->json)
            json_look(top, look, before);
        else
            print_look(top, look, before);
    }
    if (!top->json)
        print_events(top);
    fflush(stdout);
}

static int
run(struct top *top)
{
    struct timespec pause = {.tv_sec = top->interval_ms / 1000, .tv_nsec = (long)(top->interval_ms % 1000) * 1000000};

    if (look_round(top) == 0)
        return cli_unreached(top->error, top->detail);
    if (top->log != NULL && top->now.count == 0)
        return cli_fail("no log '%s' ('cairn log list' shows them)", top->log);
    for (uint32_t round = 0; (top->count == 0 || round < top->count) && cli_output_alive(); round++) {
        nanosleep(&pause, NULL);
        if (look_round(top) == 0)
            return cli_unreached(top->error, top->detail);
        show(top);
    }
    return EXIT_DONE;
}

int
cmd_top(int argc, char **argv)
{
    static struct top top = {.interval_ms = 1000};
    const char *cluster_file = NULL;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"log", OPTION_LOG, &top.log, "only this log"},
        {"interval-ms", OPTION_U32, &top.interval_ms, "how often; default 1000", .min = 10, .max = 86400000,
         .unit = "ms"},
        {"count", OPTION_U32, &top.count, "so many times; default 0, until ^C", .max = UINT32_MAX},
        {"json", OPTION_FLAG, &top.json, "JSON rows"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"top", "", 0, 0, .options = options};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if ((status = cli_cluster(cluster_file, &top.cluster)) != 0)
        return status;
    if ((status = cli_know_all(&top.cluster, cluster_file)) != 0)
        return status;
    top.screen = isatty(STDOUT_FILENO);
    top.events = json_array();
    status = run(&top);
    forget(&top.now);
    forget(&top.before);
    json_decref(top.events);
    return cli_end(status);
}
