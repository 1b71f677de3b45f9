/* The price list: three nodes on one core of this process, the client on another; the same cluster for all rows, and
 * the raw transport of the same run. docs/performance.md says how to read it. */
#include "cli/bench/bench_consistency.h"

#include <assert.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "bench/load.h"
#include "bench/raw.h"
#include "cli/bench/consistency.h"
#include "cli/bench/consistency_page.h"
#include "cli/cli.h"
#include "dataplane/eal.h"

#define MEMORY_MIB 1024u
#define CHANNEL_BYTES (1u << 20)
#define SAMPLES 10000u
#define SAMPLES_ON_DISK 2000u
#define RAW_SAMPLES 20000u

const enum cairn_policy consistency_policies[CONSISTENCY_LOGS] = {CAIRN_POLICY_CP, CAIRN_POLICY_CA,
                                                                  CAIRN_POLICY_ADAPTIVE, CAIRN_POLICY_AP};
static enum cairn_durability
durability(const struct consistency *bench)
{
    return bench->options->directory == NULL ? CAIRN_MEMORY : CAIRN_DISK;
}

static uint32_t
samples(const struct consistency *bench)
{
    return durability(bench) == CAIRN_DISK ? SAMPLES_ON_DISK : SAMPLES;
}

static int
refused(const char *what, enum cairn_error error)
{
    return cli_fail("bench: %s was not served: %s (is the machine too busy?)", what, cairn_error_text(error));
}

/* --- rows --- */

/* What a row is a multiple of: an append on disk, of a raw write; all else, of a frame there and back. */
static uint64_t
raw_ns(const struct consistency *bench, const char *phase)
{
    return durability(bench) == CAIRN_DISK && strcmp(phase, "append") == 0 ? bench->figures.raw_write_p50_ns
                                                                           : bench->figures.raw_p50_ns;
}

static void
tell_cost(struct consistency *bench, const char *phase, enum cairn_policy policy, const char *level, const char *at,
          uint64_t per_s)
{
    struct consistency_figures *figures = &bench->figures;
    struct consistency_cost *cost = &figures->costs[figures->costs_count++];
    const struct histogram *h = bench->histogram;

    assert(figures->costs_count <= CONSISTENCY_COSTS_MAX);
    *cost = (struct consistency_cost){
        .phase = phase,
        .policy = cairn_policy_name(policy),
        .level = level,
        .at = at,
        .samples = histogram_count(h),
        .p50_ns = histogram_at(h, 50),
        .p99_ns = histogram_at(h, 99),
        .p999_ns = histogram_at(h, 99.9),
        .entries_per_s = per_s,
    };
    cost->ratio = raw_ns(bench, phase) == 0 ? 0 : (double)cost->p50_ns / (double)raw_ns(bench, phase);
    snprintf(cost->name, sizeof(cost->name), "%s, %s, %s", cost->policy, level, at);
    plot_curve_take(&cost->curve, cost->name, h);
    if (bench->options->json)
        cli_row(json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "bench", "consistency",
                          "phase", phase, "policy", cost->policy, "level", level, "at", at, "durability",
                          cairn_durability_name(durability(bench)), "samples", (json_int_t)cost->samples, "p50_ns",
                          (json_int_t)cost->p50_ns, "p99_ns", (json_int_t)cost->p99_ns, "p999_ns",
                          (json_int_t)cost->p999_ns, "entries_per_s", (json_int_t)per_s, "raw_rtt_p50_ns",
                          (json_int_t)figures->raw_p50_ns, "raw_rtt_p99_ns", (json_int_t)figures->raw_p99_ns,
                          "raw_write_p50_ns", (json_int_t)figures->raw_write_p50_ns, "ratio_p50", cost->ratio));
    else
        printf("  %-8s %-9s %-13s %-9s %9.2f %9.2f %9.2f %7.1f %12" PRIu64 "\n", phase, cost->policy, level, at,
               (double)cost->p50_ns / 1e3, (double)cost->p99_ns / 1e3, (double)cost->p999_ns / 1e3, cost->ratio, per_s);
    fflush(stdout);
}

/* --- healthy --- */

static int
measure_append(struct consistency *bench, uint32_t place, enum cairn_ack ack)
{
    struct load_config load = {
        .client = bench->clients[0],
        .log = bench->logs[place],
        .ack = ack,
        .payload_bytes = bench->options->payload_bytes,
        .in_flight = 256,
        .warm_up_ns = 50000000,
        .duration_ns = bench->options->seconds * 1000000000u,
        .seq = &bench->seq,
    };
    struct load_result result;
    uint64_t per_s;

    bench->producer = session_new_producer();
    bench->seq = 0;
    load.producer = bench->producer;
    result = load_run(&load, bench->histogram);
    if (result.error != CAIRN_OK)
        return refused("an append", result.error);
    per_s = result.entries * 1000000000u / result.duration_ns;
    if (bench->full_per_s[place] == 0 || ack == CAIRN_ACK_MAJORITY)
        bench->full_per_s[place] = per_s;
    histogram_reset(bench->histogram);
    for (uint32_t i = 0; i < samples(bench); i++) {
        uint64_t start_ns = cli_now_ns();
        enum cairn_error error = consistency_append(bench, 0, bench->logs[place], ack);

        if (error != CAIRN_OK)
            return refused("an append", error);
        if (i >= samples(bench) / 10)
            histogram_add(bench->histogram, cli_now_ns() - start_ns);
    }
    tell_cost(bench, "append", consistency_policies[place], cairn_ack_name(ack), "leader", per_s);
    return 0;
}

static int
measure_read(struct consistency *bench, uint32_t place, enum cairn_read_level level, const char *name, uint8_t node)
{
    struct node_log_view view;

    if (!node_view(bench->local.nodes[node], cairn_policy_name(consistency_policies[place]), &view))
        return cli_fail("bench: no such log");
    histogram_reset(bench->histogram);
    for (uint32_t i = 0; i < samples(bench); i++) {
        uint64_t start_ns = cli_now_ns();
        enum cairn_error error = consistency_read(bench, node, bench->logs[place], level, view.commit_lsn);

        if (error != CAIRN_OK)
            return refused("a read", error);
        if (i >= samples(bench) / 10)
            histogram_add(bench->histogram, cli_now_ns() - start_ns);
    }
    tell_cost(bench, "read", consistency_policies[place], name, node == 0 ? "leader" : "follower", 0);
    return 0;
}

static uint32_t
place_of(enum cairn_policy policy)
{
    uint32_t place = 0;

    while (consistency_policies[place] != policy)
        place++;
    return place;
}

static int
healthy(struct consistency *bench)
{
    static const struct {
        enum cairn_policy policy;
        enum cairn_ack ack;
    } appends[] = {{CAIRN_POLICY_AP, CAIRN_ACK_LOCAL},    {CAIRN_POLICY_CP, CAIRN_ACK_LOCAL},
                   {CAIRN_POLICY_CP, CAIRN_ACK_MAJORITY}, {CAIRN_POLICY_ADAPTIVE, CAIRN_ACK_MAJORITY},
                   {CAIRN_POLICY_CP, CAIRN_ACK_ALL},      {CAIRN_POLICY_CA, CAIRN_ACK_ALL}};
    static const struct {
        enum cairn_policy policy;
        enum cairn_read_level level;
        const char *name;
        uint8_t node;
    } reads[] = {{CAIRN_POLICY_CP, CAIRN_READ_STALE, "stale", 1},
                 {CAIRN_POLICY_CP, CAIRN_READ_SESSION, "session", 1},
                 {CAIRN_POLICY_CP, CAIRN_READ_LEASE, "lease", 0},
                 {CAIRN_POLICY_CP, CAIRN_READ_LEASE, "lease", 1},
                 {CAIRN_POLICY_CA, CAIRN_READ_LEASE, "lease", 1},
                 {CAIRN_POLICY_CP, CAIRN_READ_LINEARIZABLE, "linearizable", 0},
                 {CAIRN_POLICY_CP, CAIRN_READ_LINEARIZABLE, "linearizable", 1}};
    int status = 0;

    for (size_t i = 0; i < sizeof(appends) / sizeof(*appends) && status == 0; i++)
        status = measure_append(bench, place_of(appends[i].policy), appends[i].ack);
    for (size_t i = 0; i < sizeof(reads) / sizeof(*reads) && status == 0; i++)
        status = measure_read(bench, place_of(reads[i].policy), reads[i].level, reads[i].name, reads[i].node);
    return status;
}

/* --- all of it --- */

/* A pair of rings between two threads, before the nodes are there. */
static int
measure_raw(struct consistency *bench)
{
    static struct raw_pair pair;
    char detail[256];
    bool measured;

    if (eal_start(NULL, detail, sizeof(detail)) != CAIRN_OK || raw_pair_open(&pair, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("raw transport: %s", detail);
    if (!raw_pair_start(&pair, false))
        return cli_fail("a thread cannot be started");
    eal_enter_thread();
    measured = raw_round_trips(&pair.near, RAW_SAMPLES, false, bench->histogram);
    eal_leave_thread();
    raw_pair_stop(&pair);
    raw_pair_close(&pair);
    plot_curve_take(&bench->figures.raw, "raw transport (round trip)", bench->histogram);
    bench->figures.raw_p50_ns = histogram_at(bench->histogram, 50);
    bench->figures.raw_p99_ns = histogram_at(bench->histogram, 99);
    return measured ? 0 : cli_fail("the raw transport does not answer");
}

static int
start(struct consistency *bench)
{
    struct local_config config = {
        .nodes = CONSISTENCY_NODES,
        .memory_mib = MEMORY_MIB,
        .memory_at_start = true,
        .retain_bytes = 32u << 20,
        .channel_bytes = CHANNEL_BYTES,
        .profile = PROFILE_SHARED,
        /* The kernel's work for a disk takes place on our two cores. */
        .idle = durability(bench) == CAIRN_DISK ? IDLE_YIELD : IDLE_SPIN,
        .cpu = -1,
        .disks = durability(bench) == CAIRN_DISK ? bench->disks : NULL,
    };
    char detail[512];

    for (uint8_t node = 0; node < CONSISTENCY_NODES && durability(bench) == CAIRN_DISK; node++) {
        char name[8];

        snprintf(name, sizeof(name), "n%u", (unsigned)node + 1);
        bench->disks[node] = cli_open_disk(bench->options->directory, name, 0, false, detail, sizeof(detail));
        if (bench->disks[node] == NULL)
            return cli_fail("bench: %s", detail);
    }
    if (local_start(&config, &bench->local, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("the cluster does not start: %s", detail);
    for (uint32_t place = 0; place < CONSISTENCY_LOGS; place++) {
        enum cairn_error error = local_create_log(bench->local.nodes[0], cairn_policy_name(consistency_policies[place]),
                                                  consistency_policies[place], durability(bench), 0, NULL, NULL,
                                                  &bench->logs[place]);

        if (error != CAIRN_OK)
            return cli_fail("log %s cannot be made: %s", cairn_policy_name(consistency_policies[place]),
                            cairn_error_text(error));
    }
    for (uint8_t node = 0; node < CONSISTENCY_NODES; node++) {
        if (node_attach(bench->local.nodes[node], &bench->clients[node]) != CAIRN_OK)
            return cli_fail("no place for a client");
    }
    return 0;
}

static void
tell_head(const struct consistency *bench)
{
    const struct consistency_figures *figures = &bench->figures;

    printf("  %u-byte entries, three nodes on one core, durability %s; raw round trip p50 %.2f us, p99 %.2f us",
           figures->payload_bytes, cairn_durability_name(figures->durability), (double)figures->raw_p50_ns / 1e3,
           (double)figures->raw_p99_ns / 1e3);
    if (figures->raw_write_p50_ns != 0)
        printf("; raw 4 KiB write, three at once, p50 %.0f us", (double)figures->raw_write_p50_ns / 1e3);
    printf("\n\n  %-8s %-9s %-13s %-9s %9s %9s %9s %7s %12s\n", "healthy", "policy", "level", "at", "p50 us", "p99 us",
           "p99.9 us", "x raw", "entries/s");
}

static int
run(struct consistency *bench)
{
    const char *report = bench->options->report;
    FILE *page = report == NULL ? NULL : page_begin(report, "cairn: what consistency costs");
    int status = report != NULL && page == NULL ? EXIT_FAILED : start(bench);

    if (status == 0 && !bench->options->json)
        tell_head(bench);
    if (status == 0)
        status = healthy(bench);
    if (status == 0)
        status = consistency_cuts(bench);
    if (page == NULL)
        return status;
    consistency_page(page, &bench->figures, &bench->local);
    return page_end(page, report) == 0 ? status : EXIT_FAILED;
}

int
bench_consistency(const struct consistency_options *options)
{
    static struct consistency bench;
    int status;

    bench.options = options;
    bench.figures.payload_bytes = options->payload_bytes;
    bench.figures.nodes = CONSISTENCY_NODES;
    bench.figures.durability = durability(&bench);
    bench.figures.raw_write_p50_ns = options->raw_disk.write_p50_ns;
    bench.histogram = histogram_new();
    if (bench.histogram == NULL)
        return cli_fail("bench: no memory");
    if ((status = measure_raw(&bench)) != 0)
        return status;
    status = run(&bench);
    for (uint8_t node = 0; node < CONSISTENCY_NODES; node++)
        cairn_disconnect(bench.clients[node]);
    local_stop(&bench.local);
    for (uint8_t node = 0; node < CONSISTENCY_NODES; node++) {
        if (bench.disks[node] != NULL)
            bench.disks[node]->operations->destroy(bench.disks[node]);
    }
    histogram_free(bench.histogram);
    return status;
}
