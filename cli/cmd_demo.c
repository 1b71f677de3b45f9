/* cairn demo: a cluster in this process replicates a file, is cut, heals, and is verified. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/demo/demo.h"
#include "cli/demo/story.h"
#include "cli/page.h"

#define CHANNEL_BYTES (4u << 20)

/* Room for the lines twice (trunk and branch), their headers, the other logs, and what is reserved. */
static uint32_t
memory_mib(const struct demo *demo)
{
    uint64_t bytes = 2 * (demo->lines.size_bytes + demo->lines.count * 128);

    /* Large lines leave the end of a segment unused. */
    return (uint32_t)((bytes + bytes / 2) >> 20) + 128;
}

static int
start(struct demo *demo)
{
    cpu_set_t cpus;
    bool spare = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
    struct local_config config = {
        .nodes = demo->nodes,
        .workers = demo->workers,
        .memory_mib = memory_mib(demo) * demo->workers,
        .channel_bytes = CHANNEL_BYTES,
        .profile = PROFILE_SHARED,
        /* With several, threads and clients share the cores. */
        .idle = spare && demo->workers == 1 ? IDLE_SPIN : IDLE_YIELD,
        .cpu = -1,
    };
    char detail[512];

    demo->one_core = !spare || demo->workers > 1;
    if (local_start(&config, &demo->local, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("the cluster does not start: %s", detail);
    return 0;
}

static double
us(uint64_t ns)
{
    return (double)ns / 1000;
}

static void
print_latency(const char *name, const struct histogram *histogram)
{
    printf("  %-22s %9.2f %9.2f %9.2f   %8" PRIu64 "\n", name, us(histogram_at(histogram, 50)),
           us(histogram_at(histogram, 99)), us(histogram_at(histogram, 99.9)), histogram_count(histogram));
}

static void
print_timeline(const struct demo *demo)
{
    const struct demo_figures *f = &demo->figures;

    printf("\n  timeline, ms after the cut\n");
    for (uint32_t i = 0; i < f->events.count; i++) {
        const struct node_event *event = &f->events.items[i];

        if (event->t_ns < f->cut_ns)
            continue;
        printf("  %9.3f  %-4s %-20s %-8s ", (double)(event->t_ns - f->cut_ns) / 1e6,
               demo->local.cluster.names[f->events.nodes[i]], event_name(event->kind), event->log_name);
        if (event->kind == EVENT_MODE_CHANGED)
            printf("%s -> %s: ", cairn_mode_name(event->from), cairn_mode_name(event->to));
        printf("%s\n", event->reason);
    }
    printf("\n  detection: %s denies %.2f ms and accepts alone %.2f ms after the cut (timeout 10 ms + interval 1 ms)\n",
           demo->local.cluster.names[demo->away], (double)(f->denied_ns - f->cut_ns) / 1e6,
           (double)(f->accepting_ns - f->cut_ns) / 1e6);
}

static void
print_result(const struct demo *demo)
{
    const struct demo_figures *f = &demo->figures;

    if (demo->json) {
        cli_row(json_pack(
            "{s:s,s:I,s:i,s:b,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "step", "result", "entries",
            (json_int_t)f->entries, "nodes", (int)demo->nodes, "identical", f->identical, "acked", (json_int_t)f->acked,
            "lost", (json_int_t)f->lost, "refused", (json_int_t)f->refused, "branch_entries", (json_int_t)f->on_branch,
            "digest", f->digest, "local_p50_ns", (json_int_t)histogram_at(f->local, 50), "majority_p50_ns",
            (json_int_t)histogram_at(f->majority, 50), "raw_rtt_p50_ns", (json_int_t)histogram_at(f->raw, 50),
            "detection_ns", (json_int_t)(f->accepting_ns - f->cut_ns), "merge_ns",
            (json_int_t)(f->merged_ns - f->heal_ns), "duration_ns", (json_int_t)(f->end_ns - f->start_ns)));
        return;
    }
    printf("\n  append latency, us            p50       p99     p99.9    samples\n");
    print_latency("raw transport, rings", f->raw);
    print_latency("local", f->local);
    print_latency("majority", f->majority);
    print_timeline(demo);
    printf("\n  %" PRIu64 " lines, %" PRIu64 " acknowledged, %" PRIu64 " lost; %u replicas %s, digest %s\n", f->entries,
           f->acked, f->lost, demo->nodes, f->identical ? "hold the same bytes: the file's" : "DIFFER", f->digest);
    if (demo->report != NULL)
        printf("  report: %s\n", demo->report);
}

int
cmd_demo(int argc, char **argv)
{
    static struct demo demo;
    const struct cli_option options[] = {
        {"input", OPTION_FILE, &demo.input, "the file whose lines are appended; default: one the machine has"},
        /* A cut-off node must leave a majority, and ethdevs (two a link) are at most 32. */
        {"nodes", OPTION_U32, &demo.nodes, "how many; default 3", .min = 3, .max = 5},
        {"workers", OPTION_U32, &demo.workers, "of each node, each with a thread and a part of the logs; default 1",
         .min = 1, .max = DEMO_WORKERS_MAX},
        {"report", OPTION_FILE, &demo.report, "leave an HTML page here"},
        {"json", OPTION_FLAG, &demo.json, "JSON rows; the last one sums up"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"demo", "[bank|social|shop]", 0, 1, .options = options};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if (first < argc) {
        if (demo.input != NULL || demo.nodes != 0 || demo.workers != 0)
            return cli_usage(
                "demo %s: it has its own entries and three nodes of one worker (--report and --json may be given)",
                argv[first]);
        if (story_play(argv[first], demo.report, demo.json, &status))
            return status;
        return cli_usage("demo: there is no story '%s' (bank, social, shop)", argv[first]);
    }
    if (demo.nodes == 0)
        demo.nodes = 3;
    if (demo.workers == 0)
        demo.workers = 1;
    if ((status = demo_load(&demo)) != 0 ||
        (demo.report != NULL && (status = cli_refuse_unwritable("report", demo.report)) != 0))
        return status;
    if ((status = start(&demo)) == 0) {
        status = demo_play(&demo);
        local_stop(&demo.local);
    }
    if (status == 0 && demo.report != NULL)
        status = demo_report(&demo);
    if (status == 0)
        print_result(&demo);
    if (status == 0 && (!demo.figures.identical || demo.figures.lost != 0))
        status = cli_fail("the replicas are not what they must be: this is a defect of cairn, please report it");
    return cli_end(status);
}
