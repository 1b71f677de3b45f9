/* Runs of the simulator from their seeds: one, or many in processes side by side. */
#include "cli/sim_runs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "sim/faults.h"
#include "sim/plan.h"
#include "sim/run.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

/* What a job tells of a run: small enough for one atomic write. */
struct run_row {
    uint64_t seed, virtual_ms, digest;
    struct sim_counts counts;
    uint32_t nodes;
    bool failed;
    char reason[512];
};

static struct sim *aborting;
static int aborting_out = -1; /* of a job */

/* An assertion of the code under test is a violation like any other. It strikes in the midst of that code,
 * never of what is called here. NOLINTBEGIN(bugprone-signal-handler) */
static void
on_abort(int signal_number)
{
    (void)signal_number;
    if (aborting_out >= 0) {
        struct run_row row = {.seed = aborting->plan.seed, .counts = aborting->counts, .failed = true};

        snprintf(row.reason, sizeof(row.reason), "an assertion failed");
        if (write(aborting_out, &row, sizeof(row)) < 0)
            _exit(EXIT_FAILED);
    } else if (aborting != NULL) {
        trace_print(aborting, stderr, SIM_TRACE_ROWS);
        fprintf(stderr, "cairn: seed %lu: an assertion failed (its text is above)\n",
                (unsigned long)aborting->plan.seed);
    }
    _exit(EXIT_FAILED);
}
/* NOLINTEND(bugprone-signal-handler) */

static void
draw(const struct sim_options *options, uint64_t seed, uint32_t without, struct plan *plan)
{
    plan_draw(plan, seed, without, options->disks);
    plan->until_ns = options->ms * MS;
    if (options->workers != 0)
        plan->workers = options->workers;
    if (options->messages != 0)
        plan->messages_min = options->messages;
}

static void
run_seed(const struct sim_options *options, struct sim *sim, uint64_t seed, uint32_t without, bool keep_trace,
         struct run_row *row)
{
    struct plan plan;

    draw(options, seed, without, &plan);
    memset(row, 0, sizeof(*row));
    row->seed = seed;
    sim_begin(sim, &plan, keep_trace);
    sim_run(sim);
    row->virtual_ms = (sim->now_ns - sim->started_ns) / MS;
    row->digest = sim->trace.digest;
    row->counts = sim->counts;
    row->nodes = plan.nodes;
    row->failed = sim->failed;
    memcpy(row->reason, sim->reason, sizeof(row->reason));
}

static json_t *
fault_names(uint32_t kinds)
{
    json_t *names = json_array();

    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        if (kinds & (1u << kind))
            json_array_append_new(names, json_string(fault_name((enum fault_kind)kind)));
    }
    return names;
}

static void
show_row(const struct sim_options *options, const struct run_row *row)
{
    char digest[20];

    snprintf(digest, sizeof(digest), "%016lx", (unsigned long)row->digest);
    if (options->json) {
        json_t *object = json_pack(
            "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:o,s:s,s:i}", "seed", (json_int_t)row->seed,
            "virtual_ms", (json_int_t)row->virtual_ms, "events", (json_int_t)row->counts.events, "messages",
            (json_int_t)row->counts.messages, "acked", (json_int_t)row->counts.acked, "refused",
            (json_int_t)row->counts.refused, "unknown", (json_int_t)row->counts.unknown, "reads",
            (json_int_t)row->counts.reads, "partitions", (json_int_t)row->counts.partitions, "crashes",
            (json_int_t)row->counts.crashes, "power_cuts", (json_int_t)row->counts.power_cuts, "disk_faults",
            (json_int_t)row->counts.disk_faults, "nodes", (int)row->nodes, "faults", fault_names(row->counts.kinds),
            "trace", digest, "violations", row->failed);

        if (row->failed)
            json_object_set_new(object, "reason", json_string(row->reason));
        cli_row(object);
        return;
    }
    printf("seed %-8lu %u nodes %6lu ms %8lu messages %7lu acked %5lu refused %4lu unknown %3lu cuts %3lu crashes "
           "%2d faults  %s%s\n",
           (unsigned long)row->seed, row->nodes, (unsigned long)row->virtual_ms, (unsigned long)row->counts.messages,
           (unsigned long)row->counts.acked, (unsigned long)row->counts.refused, (unsigned long)row->counts.unknown,
           (unsigned long)row->counts.partitions, (unsigned long)row->counts.crashes,
           __builtin_popcount(row->counts.kinds), row->failed ? "VIOLATION: " : "ok", row->reason);
}

struct sim *
sim_in_process(void)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    char detail[256] = "no memory";

    if (sim == NULL || sim_process_start(detail, sizeof(detail)) != CAIRN_OK) {
        cli_fail("%s", detail);
        _exit(EXIT_FAILED);
    }
    aborting = sim;
    signal(SIGABRT, on_abort);
    return sim;
}

/* One job: every jobs-th seed, a row each into the pipe. */
static void
job(const struct sim_options *options, uint32_t number, int out)
{
    struct sim *sim = sim_in_process();

    aborting_out = out;
    for (uint64_t run = number; run < options->runs; run += options->jobs) {
        struct run_row row;

        run_seed(options, sim, options->seed + run, options->without, false, &row);
        sim_end(sim);
        if (write(out, &row, sizeof(row)) != (ssize_t)sizeof(row))
            break;
    }
    exit(EXIT_DONE);
}

/* Where one is asked for. */
int
sim_write_trace(const struct sim_options *options, const struct sim *sim)
{
    FILE *out;

    if (options->trace == NULL)
        return 0;
    out = cli_open_written("trace", options->trace);
    if (out == NULL)
        return EXIT_FAILED;
    return trace_write(sim, options->trace, out)
               ? 0
               : cli_fail("trace %s: cannot be written: %s", options->trace, strerror(errno));
}

/* Plays a seed again with everything kept, and shows how it came to its end. */
int
sim_replay(const struct sim_options *options, uint64_t seed, uint32_t without)
{
    struct sim *sim = sim_in_process();
    struct run_row row;

    run_seed(options, sim, seed, without, true, &row);
    if (sim_write_trace(options, sim) != 0)
        return EXIT_FAILED;
    if (row.failed) {
        trace_print(sim, stderr, SIM_TRACE_ROWS);
        fprintf(stderr, "cairn: seed %lu: %s\n", (unsigned long)seed, row.reason);
    }
    show_row(options, &row);
    sim_end(sim);
    return row.failed ? EXIT_FAILED : EXIT_DONE;
}

/* In a process of its own, since an assertion ends it. true: it fails. */
static bool
fails(const struct sim_options *options, uint64_t seed, uint32_t without)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        struct run_row row;
        struct sim *sim;

        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(EXIT_DONE);
        sim = sim_in_process();
        run_seed(options, sim, seed, without, false, &row);
        _exit(row.failed ? EXIT_FAILED : EXIT_DONE);
    }
    waitpid(child, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_DONE;
}

/* Leaves out kinds of fault one by one while the seed still fails, then halves its time. */
int
sim_shrink(struct sim_options *options)
{
    uint32_t without = options->without;
    struct plan plan;

    if (!fails(options, options->seed, without)) {
        printf("seed %lu does not fail\n", (unsigned long)options->seed);
        return EXIT_DONE;
    }
    draw(options, options->seed, without, &plan);
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        if ((plan.faults & (1u << kind)) && fails(options, options->seed, without | 1u << kind))
            without |= 1u << kind;
    }
    if (options->ms == 0)
        options->ms = 4096;
    while (options->ms > 2) {
        options->ms /= 2;
        if (fails(options, options->seed, without))
            continue;
        options->ms *= 2;
        break;
    }
    printf("smallest: cairn sim --seed %lu --ms %lu", (unsigned long)options->seed, (unsigned long)options->ms);
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        if (without & (1u << kind))
            printf("%s%s", without & ((1u << kind) - 1) ? "," : " --without ", fault_name((enum fault_kind)kind));
    }
    printf("\n");
    fflush(stdout);
    return sim_replay(options, options->seed, without);
}

struct totals {
    uint64_t runs, failed, messages, acked, partitions, crashes, power_cuts, first_failed;
    uint32_t fewest_kinds;
    uint64_t fewest_messages;
};

static void
count(struct totals *totals, const struct run_row *row)
{
    uint32_t kinds = (uint32_t)__builtin_popcount(row->counts.kinds);

    totals->runs++;
    totals->messages += row->counts.messages;
    totals->acked += row->counts.acked;
    totals->partitions += row->counts.partitions;
    totals->crashes += row->counts.crashes;
    totals->power_cuts += row->counts.power_cuts;
    if (kinds < totals->fewest_kinds)
        totals->fewest_kinds = kinds;
    if (row->counts.messages < totals->fewest_messages)
        totals->fewest_messages = row->counts.messages;
    if (row->failed && totals->failed++ == 0)
        totals->first_failed = row->seed;
}

static bool
start_jobs(const struct sim_options *options, pid_t *children, int *in)
{
    int ends[2];

    if (pipe(ends) != 0)
        return false;
    fflush(stdout);
    for (uint32_t i = 0; i < options->jobs; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(ends[0]);
            job(options, i, ends[1]);
        }
    }
    close(ends[1]);
    *in = ends[0];
    return true;
}

/* Rows as they come, until all have come or one has failed. Returns whether a job died of an assertion. */
static bool
collect(const struct sim_options *options, pid_t *children, int in, struct totals *totals)
{
    struct run_row row;
    bool died = false;

    while (read(in, &row, sizeof(row)) == (ssize_t)sizeof(row)) {
        count(totals, &row);
        show_row(options, &row);
        if (row.failed && !options->keep_going)
            break;
    }
    close(in);
    for (uint32_t i = 0; i < options->jobs; i++) {
        int status = 0;

        if (totals->failed > 0 && !options->keep_going)
            kill(children[i], SIGKILL);
        waitpid(children[i], &status, 0);
        died |= WIFEXITED(status) && WEXITSTATUS(status) != EXIT_DONE;
    }
    return died;
}

/* What the processes that have ended took of the processor: their rate by it is the same beside other work. */
static double
children_seconds(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int
sim_run_many(struct sim_options *options)
{
    struct totals totals = {.fewest_kinds = UINT32_MAX, .fewest_messages = UINT64_MAX};
    uint64_t began_ns = cli_now_ns();
    pid_t children[SIM_JOBS_MAX];
    double seconds, processor_seconds;
    bool died;
    int in;

    if (!start_jobs(options, children, &in))
        return cli_fail("a pipe cannot be made: %s", strerror(errno));
    died = collect(options, children, in, &totals);
    seconds = (double)(cli_now_ns() - began_ns) / 1e9;
    processor_seconds = children_seconds();
    fprintf(stderr,
            "%lu runs, %lu violations, %.1f M messages in %.1f s on %u jobs: %.2f M/s a job, %.2f M a second of "
            "processor time; each run at least %lu messages and %u kinds of fault\n",
            (unsigned long)totals.runs, (unsigned long)totals.failed, (double)totals.messages / 1e6, seconds,
            options->jobs, (double)totals.messages / 1e6 / seconds / options->jobs,
            processor_seconds == 0 ? 0 : (double)totals.messages / 1e6 / processor_seconds,
            (unsigned long)totals.fewest_messages, totals.fewest_kinds);
    fprintf(stderr,
            "%lu entries acknowledged through %lu cuts, %lu crashes and %lu losses of power everywhere at once\n",
            (unsigned long)totals.acked, (unsigned long)totals.partitions, (unsigned long)totals.crashes,
            (unsigned long)totals.power_cuts);
    if (totals.failed > 0 && !options->keep_going)
        return sim_replay(options, totals.first_failed, options->without);
    return cli_end(totals.failed > 0 || died || totals.runs < options->runs ? EXIT_FAILED : EXIT_DONE);
}
