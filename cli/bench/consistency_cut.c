/* The price list in a partition: what each policy refuses, serves and merges. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bench/load.h"
#include "cli/bench/consistency.h"
#include "cli/cli.h"

#define AWAY 2u
#define CUT_NS 300000000u
#define LIVE_NS 2000000000u
#define LOOK_EVERY_NS 1000000u

static void
tell_cut(const struct consistency *bench, const struct consistency_cut *f)
{
    const char *policy = cairn_policy_name(f->policy);

    if (bench->options->json)
        cli_row(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "bench", "consistency", "phase",
                          "partition", "policy", policy, "detection_ns", (json_int_t)f->detection_ns, "majority_served",
                          (json_int_t)f->served[0], "majority_refused", (json_int_t)f->refused[0], "minority_served",
                          (json_int_t)f->served[1], "minority_refused", (json_int_t)f->refused[1], "stale_lsns",
                          (json_int_t)f->stale_lsns, "branch_entries", (json_int_t)f->branch_entries, "merge_ns",
                          (json_int_t)f->merge_ns, "live_p99_ns", (json_int_t)f->live_p99_ns, "merging_p99_ns",
                          (json_int_t)f->merging_p99_ns));
    else
        printf("  %-9s %9.2f %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
               " %9.1f %9.1f %9.1f\n",
               policy, (double)f->detection_ns / 1e6, f->served[0], f->refused[0], f->served[1], f->refused[1],
               f->stale_lsns, f->branch_entries, (double)f->merge_ns / 1e6, (double)f->live_p99_ns / 1e3,
               (double)f->merging_p99_ns / 1e3);
    fflush(stdout);
}

static void
set_cut(struct consistency *bench, bool cut)
{
    for (uint8_t from = 0; from < CONSISTENCY_NODES; from++) {
        struct fault_rule rules[CAIRN_NODES_MAX];

        memset(rules, 0, sizeof(rules));
        for (uint8_t to = 0; to < CONSISTENCY_NODES; to++)
            rules[to].drop = cut && from != to && (from == AWAY || to == AWAY);
        node_set_faults(bench->local.nodes[from], rules);
    }
}

static bool
equal(struct consistency *bench, const char *log)
{
    struct node_log_view first = {0}, view;

    for (uint8_t node = 0; node < CONSISTENCY_NODES; node++) {
        if (!node_view(bench->local.nodes[node], log, &view) || view.branch_entries != 0 ||
            view.commit_lsn != view.last_lsn)
            return false;
        if (node == 0)
            first = view;
        if (view.commit_lsn != first.commit_lsn || view.digest != first.digest)
            return false;
    }
    return true;
}

/* Until n3's branch is on the trunk. */
struct merge_watch {
    struct consistency *bench;
    uint32_t place;
    uint64_t look_ns;
    bool merged;
};

static void
watch_merge(void *context, uint64_t now_ns)
{
    struct merge_watch *watch = context;
    struct node_log_view view;

    if (now_ns < watch->look_ns)
        return;
    watch->look_ns = now_ns + LOOK_EVERY_NS;
    watch->merged = node_view(watch->bench->local.nodes[AWAY], cairn_policy_name(consistency_policies[watch->place]),
                              &view) &&
                    view.branch_entries == 0 && view.mode != CAIRN_MODE_MERGING;
}

/* Appends at the leader at half of what it can take, for that long, or until n3's branch is on the trunk. Their p99. */
static uint64_t
live_p99_ns(struct consistency *bench, uint32_t place, uint64_t for_ns, bool until_merged)
{
    struct merge_watch watch = {.bench = bench, .place = place};
    uint64_t seq = 0;
    struct load_config load = {
        .client = bench->clients[0],
        .log = bench->logs[place],
        .ack = CAIRN_ACK_POLICY,
        .payload_bytes = bench->options->payload_bytes,
        .rate_per_s = bench->full_per_s[place] / 2,
        .in_flight = 4096,
        .duration_ns = for_ns,
        .producer = session_new_producer(),
        .seq = &seq,
        .poll = until_merged ? watch_merge : NULL,
        .context = &watch,
        .stop = &watch.merged,
    };

    histogram_reset(bench->histogram);
    load_run(&load, bench->histogram);
    return histogram_at(bench->histogram, 99);
}

/* As many as fit the time, one at a time on either side in turn; then many at once on the branch, where there is one. */
static void
requests_while_cut(struct consistency *bench, uint32_t place, struct consistency_cut *f)
{
    uint64_t end_ns = cli_now_ns() + CUT_NS;
    struct load_config load = {
        .client = bench->clients[AWAY],
        .log = bench->logs[place],
        .ack = CAIRN_ACK_POLICY,
        .payload_bytes = bench->options->payload_bytes,
        .in_flight = 256,
        .duration_ns = CUT_NS,
        .seq = &bench->seq,
    };

    while (cli_now_ns() < end_ns) {
        for (int side = 0; side < 2; side++) {
            uint8_t node = side == 0 ? 0 : AWAY;
            bool served = consistency_append(bench, node, bench->logs[place], CAIRN_ACK_POLICY) == CAIRN_OK;

            f->served[side] += served;
            f->refused[side] += !served;
        }
    }
    if (f->served[1] == 0)
        return;
    load.producer = session_new_producer();
    bench->seq = 0;
    f->served[1] += load_run(&load, bench->histogram).entries;
}

/* n3 has noticed that it is cut off; under ap that changes nothing. */
static void
wait_noticed(struct consistency *bench, const char *log, enum cairn_mode mode)
{
    uint64_t end_ns = cli_now_ns() + CONSISTENCY_WAIT_NS;
    struct node_log_view view;

    while ((!node_view(bench->local.nodes[AWAY], log, &view) || view.mode != mode) && cli_now_ns() < end_ns)
        usleep(200);
}

static int
through_a_cut(struct consistency *bench, uint32_t place, struct consistency_cut *f)
{
    const char *log = cairn_policy_name(consistency_policies[place]);
    enum cairn_mode noticed = consistency_policies[place] == CAIRN_POLICY_ADAPTIVE ? CAIRN_MODE_AP : CAIRN_MODE_DENIED;
    struct node_log_view away, here;
    uint64_t end_ns;

    memset(f, 0, sizeof(*f));
    f->policy = consistency_policies[place];
    f->live_p99_ns = live_p99_ns(bench, place, LIVE_NS, false);
    f->cut_ns = cli_now_ns();
    set_cut(bench, true);
    usleep(30000);
    if (consistency_policies[place] != CAIRN_POLICY_AP)
        wait_noticed(bench, log, noticed);
    requests_while_cut(bench, place, f);
    node_view(bench->local.nodes[0], log, &here);
    node_view(bench->local.nodes[AWAY], log, &away);
    f->stale_lsns = here.commit_lsn - away.commit_lsn;
    f->branch_entries = away.branch_entries;
    f->heal_ns = cli_now_ns();
    set_cut(bench, false);
    f->merging_p99_ns = live_p99_ns(bench, place, CONSISTENCY_WAIT_NS, true);
    end_ns = cli_now_ns() + CONSISTENCY_WAIT_NS;
    while (!equal(bench, log) && cli_now_ns() < end_ns)
        usleep(200);
    f->merge_ns = cli_now_ns() - f->heal_ns;
    if (!equal(bench, log))
        return cli_fail("bench: the replicas of %s do not converge", log);
    page_collect(&f->events, &bench->local, CONSISTENCY_NODES);
    f->detection_ns = page_mode_ns(&f->events, AWAY, log, noticed, f->cut_ns) - f->cut_ns;
    /* The next cut is a new one, no flapping link. */
    usleep(2100000);
    return 0;
}

int
consistency_cuts(struct consistency *bench)
{
    if (!bench->options->json)
        printf("\n  %-9s %9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n  %-9s %9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n",
               "n3 cut", "detected", "majority", "majority", "n3", "n3", "n3 stale", "branch", "healed", "live p99",
               "while", "off", "after ms", "served", "refused", "served", "refused", "by lsns", "entries", "after ms",
               "before us", "merging");
    for (uint32_t place = 0; place < CONSISTENCY_LOGS; place++) {
        struct consistency_cut *cut = &bench->figures.cuts[bench->figures.cuts_count++];
        int status = through_a_cut(bench, place, cut);

        if (status != 0)
            return status;
        tell_cut(bench, cut);
    }
    return 0;
}
