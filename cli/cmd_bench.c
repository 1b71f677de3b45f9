/* cairn bench latency|throughput|consistency: a cluster made for the purpose, beside the raw transport of the same
 * run. docs/performance.md says what is measured. */
#include <stdlib.h>
#include <string.h>

#include "bench/cpus.h"
#include "cli/bench/bench.h"
#include "cli/bench/bench_consistency.h"
#include "cli/bench/bench_workers.h"
#include "cli/cli.h"

/* Two CPUs to use, the same one twice where there is but one. */
static void
choose_cpus(int cpus[2])
{
    cpus[0] = 0;
    if (cpus_allowed(cpus, 2) < 2)
        cpus[1] = cpus[0];
}

static int
bench_levels(struct bench *bench)
{
    const struct consistency_options options = {
        .payload_bytes = bench->payload_bytes,
        .seconds = bench->seconds,
        .report = bench->report,
        .directory = bench->durability == CAIRN_DISK ? bench->place : NULL,
        .raw_disk = bench->raw_disk,
        .json = bench->json,
    };

    return bench_consistency(&options);
}

/* Only the links are there. */
static int
measure_memif(void *context, const char *place)
{
    struct bench *bench = context;

    bench->place = place;
    return bench_memif(bench);
}

/* The disk is measured where the logs will be, before they are. */
static int
measure_on_disk(void *context, const char *place)
{
    struct bench *bench = context;
    char detail[512];

    bench->place = place;
    if (raw_disk_measure(place, 3, bench->histogram, &bench->raw_disk, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("bench: %s", detail);
    return bench->measure(bench);
}

static int
bench_on_disk(struct bench *bench, int (*measure)(struct bench *bench))
{
    bench->measure = measure;
    return cli_scratch(bench->dir, "cairn-bench", measure_on_disk, bench);
}

static int
bench_each_worker(const struct bench *bench)
{
    const struct bench_workers options = {
        .workers = bench->workers,
        .payload_bytes = bench->payload_bytes,
        .in_flight = bench->in_flight,
        .runs = bench->runs,
        .seconds = bench->seconds,
        .ack = bench->ack,
        .profile = bench->profile,
        .json = bench->json,
    };

    return bench_workers(&options);
}

/* What was not asked for: throughput has no rate, and on disk latency is of one at a time. */
static void
choose_load(struct bench *bench)
{
    if (bench->throughput)
        bench->rate_per_s = 0;
    else if (bench->rate_per_s == 0 && bench->durability == CAIRN_DISK)
        bench->in_flight = 1;
    else if (bench->rate_per_s == 0)
        bench->rate_per_s = 100000;
    bench->in_flight = bench->in_flight == 0 ? 4096 : bench->in_flight;
}

static int
price(struct bench *bench)
{
    return bench->durability == CAIRN_DISK ? bench_on_disk(bench, bench_levels) : bench_levels(bench);
}

static int
measure(struct bench *bench)
{
    if (bench->workers != 0)
        return bench_each_worker(bench);
    if (bench_shares_core(bench) && strcmp(bench->transport, "memif") == 0)
        return cli_fail("bench: memif needs two CPUs, one for each process (this one may use only one)");
    if (bench->durability == CAIRN_DISK)
        return bench_on_disk(bench, bench_memif);
    if (strcmp(bench->transport, "ring") == 0)
        return bench_ring(bench);
    return cli_scratch("/tmp", "cairn-bench", measure_memif, bench);
}

int
cmd_bench(int argc, char **argv)
{
    static struct bench bench = {
        .transport = "memif", .ack = CAIRN_ACK_MAJORITY, .payload_bytes = 64, .runs = 3, .dir = "."};
    /* A stall of the machine is to be measured as latency, not to depose the leader. */
    const char *durability = NULL, *profile = "wan";
    uint64_t seconds = 2;
    bool consistency;
    const struct cli_option options[] = {
        {"transport", OPTION_WORD, &bench.transport, "default memif, two processes; ring: one", .unit = "memif|ring",
         .verbs = "latency|throughput"},
        {"ack", OPTION_ACK, &bench.ack, "default majority", .verbs = "latency|throughput"},
        {"durability", OPTION_WORD, &durability, "of the logs; default memory", .unit = "memory|disk"},
        {"dir", OPTION_FILE, &bench.dir, "disk: where the logs go, and are taken away again; default here"},
        {"payload-bytes", OPTION_U32, &bench.payload_bytes, "of each entry; default 64", .max = BENCH_CHANNEL_BYTES / 2,
         .unit = "bytes"},
        {"rate", OPTION_U64, &bench.rate_per_s, "intended entries; default 100000, on disk one at a time", .min = 1,
         .max = 1000000000, .unit = "a second", .verbs = "latency"},
        {"in-flight", OPTION_U32, &bench.in_flight, "appends at once, at most; default 4096", .min = 1,
         .max = BENCH_IN_FLIGHT_MAX, .verbs = "latency|throughput"},
        {"seconds", OPTION_U64, &seconds, "of each run, after 0.3 s of warm-up; default 2", .min = 1, .max = 3600,
         .unit = "s"},
        {"runs", OPTION_U32, &bench.runs, "one after the other; default 3", .min = 1, .max = 1000000,
         .verbs = "latency|throughput"},
        {"workers", OPTION_U32, &bench.workers,
         "of each node, each on a processor with its load; goes with --transport ring", .min = 1,
         .max = CAIRN_WORKERS_MAX, .verbs = "throughput"},
        {"profile", OPTION_WORD, &profile, "heartbeat and timeout; default wan", .unit = "shared|dedicated|wan",
         .verbs = "latency|throughput"},
        {"report", OPTION_FILE, &bench.report, "leave an HTML page here", .verbs = "consistency"},
        {"json", OPTION_FLAG, &bench.json, "a JSON row for each run"},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {
        {"latency", "", 0, 0}, {"throughput", "", 0, 0}, {"consistency", "", 0, 0}, {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"bench", .verbs = verbs, .options = options};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    bench.throughput = strcmp(argv[first], "throughput") == 0;
    consistency = strcmp(argv[first], "consistency") == 0;
    if (durability != NULL)
        cairn_durability_parse(durability, &bench.durability);
    cluster_profile_parse(profile, &bench.profile);
    bench.seconds = seconds;
    choose_load(&bench);
    if (bench.durability == CAIRN_DISK && strcmp(bench.transport, "memif") != 0)
        return cli_usage("bench: --durability disk goes with --transport memif");
    if (bench.workers != 0 && strcmp(bench.transport, "ring") != 0)
        return cli_usage("bench: --workers goes with --transport ring");
    if (bench.report != NULL && (status = cli_refuse_unwritable("report", bench.report)) != 0)
        return status;
    choose_cpus(bench.cpus);
    bench.histogram = histogram_new();
    if (bench.histogram == NULL)
        return cli_fail("bench: no memory");
    status = consistency ? price(&bench) : measure(&bench);
    histogram_free(bench.histogram);
    return cli_end(status);
}
