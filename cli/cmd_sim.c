/* cairn sim: production nodes in virtual time, under faults. A run follows from its seed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/sim_runs.h"
#include "sim/faults.h"
#include "sim/plan.h"
#include "sim/run.h"
#include "sim/scale.h"
#include "sim/scene.h"
#include "sim/sim.h"
#include "sim/trace.h"

#define RUNS_MAX 1000000000ull
/* The last run's seed is told in JSON, whose integers have a sign. */
#define SEED_MAX (INT64_MAX - RUNS_MAX)
#define MESSAGES_MAX 1000000000000ull
#define VIRTUAL_MS_MAX 86400000u

static const struct scenario *const chapters[] = {
    scenarios_elections, scenarios_connectivity, scenarios_log,    scenarios_members, scenarios_branches,
    scenarios_storage,   scenarios_reads,        scenarios_lives,  scenarios_forged,  scenarios_sick,
    scenarios_operators, scenarios_clocks,       scenarios_agreed, scenarios_workers, scenarios_adopted,
    scenarios_damage,    scenarios_leases,       scenarios_trim,   scenarios_views};

#define CHAPTERS (sizeof(chapters) / sizeof(*chapters))

static int
list_scenarios(bool json)
{
    for (size_t i = 0; i < CHAPTERS; i++) {
        for (const struct scenario *scenario = chapters[i]; scenario->name != NULL; scenario++) {
            if (json)
                cli_row(json_pack("{s:s,s:s}", "scenario", scenario->name, "holds", scenario->holds));
            else
                printf("%-28s %s\n", scenario->name, scenario->holds);
        }
    }
    return cli_end(EXIT_DONE);
}

static void
show_scenario(const struct sim_options *options, const struct scenario *scenario, const struct sim *sim, uint64_t seed)
{
    uint64_t virtual_ms = (sim->now_ns - sim->started_ns) / MS;

    if (sim->failed) {
        trace_print(sim, stderr, SIM_TRACE_ROWS);
        fprintf(stderr, "cairn: scenario %s, seed %lu: %s\n", scenario->name, (unsigned long)seed, sim->reason);
    }
    if (options->json)
        cli_row(json_pack("{s:s,s:I,s:I,s:I,s:i}", "scenario", scenario->name, "seed", (json_int_t)seed, "virtual_ms",
                          (json_int_t)virtual_ms, "messages", (json_int_t)sim->counts.messages, "violations",
                          (int)sim->failed));
    else
        printf("%-28s %7lu ms %8lu messages  %s\n", scenario->name, (unsigned long)virtual_ms,
               (unsigned long)sim->counts.messages, sim->failed ? "VIOLATION" : "ok");
    fflush(stdout);
}

/* Plays seeds until one fails; out: a byte for each that held. */
static void
play_seeds(const struct sim_options *options, const struct scenario *scenario, uint64_t seed, uint64_t count, int out)
{
    struct sim *sim = sim_in_process();
    bool failed = false;

    for (; count > 0 && !failed; seed++, count--) {
        memset(sim, 0, sizeof(*sim));
        sim->plan.seed = seed;
        sim->plan.workers = options->workers;
        scenario->play(sim);
        if (sim_write_trace(options, sim) != 0)
            _exit(EXIT_FAILED);
        show_scenario(options, scenario, sim, seed);
        failed = sim->failed;
        sim_end(sim);
        if (!failed && write(out, "", 1) != 1)
            break;
    }
    exit(EXIT_DONE);
}

/* In processes of their own: an assertion of the code under test must not end the others. Returns how many failed. */
static uint32_t
play(const struct sim_options *options, const struct scenario *scenario)
{
    uint64_t played = 0;
    uint32_t failed = 0;

    while (played < options->runs) {
        char held;
        int ends[2];
        pid_t child;

        fflush(stdout);
        if (pipe(ends) != 0 || (child = fork()) < 0) {
            cli_fail("a process cannot be started: %s", strerror(errno));
            return failed + 1;
        }
        if (child == 0) {
            close(ends[0]);
            play_seeds(options, scenario, options->seed + played, options->runs - played, ends[1]);
        }
        close(ends[1]);
        while (read(ends[0], &held, 1) == 1)
            played++;
        close(ends[0]);
        waitpid(child, NULL, 0);
        if (played < options->runs) {
            failed++;
            played++;
        }
    }
    return failed;
}

static int
play_scenarios(const struct sim_options *options)
{
    bool all = strcmp(options->scenario, "all") == 0;
    uint32_t played = 0, failed = 0;

    for (size_t i = 0; i < CHAPTERS; i++) {
        for (const struct scenario *scenario = chapters[i]; scenario->name != NULL; scenario++) {
            if (!all && strcmp(options->scenario, scenario->name) != 0)
                continue;
            failed += play(options, scenario);
            played += (uint32_t)options->runs;
        }
    }
    if (played == 0)
        return cli_usage("sim: --scenario does not take '%s' (expected one that 'cairn sim --list' shows, or all)",
                         options->scenario);
    if (all || options->runs > 1)
        fprintf(stderr, "%u scenarios, %u failed\n", played, failed);
    return cli_end(failed > 0 ? EXIT_FAILED : EXIT_DONE);
}

static int
read_without(struct sim_options *options)
{
    char *text, *rest, *word;
    int status = 0;

    if (options->without_text == NULL)
        return 0;
    text = rest = strdup(options->without_text);
    while (status == 0 && (word = strsep(&rest, ",")) != NULL) {
        enum fault_kind kind;

        if (!fault_parse(word, &kind))
            status = cli_usage("sim: --without does not take '%s' (there is no fault '%s' to leave out)",
                               options->without_text, word);
        else
            options->without |= 1u << kind;
    }
    free(text);
    return status;
}

/* Which faults a profile leaves out. */
static void
read_profile(struct sim_options *options)
{
    const uint32_t nodes = 1u << FAULT_CRASH | 1u << FAULT_PAUSE | 1u << FAULT_DRIFT | 1u << FAULT_WALL_JUMP |
                           1u << FAULT_POWER | 1u << FAULT_CLOCK_WRONG;

    if (options->profile == NULL || strcmp(options->profile, "swarm") == 0)
        return;
    if (strcmp(options->profile, "network") == 0)
        options->without |= nodes;
    else
        options->without |= (uint32_t)((1ull << FAULT_KINDS) - 1) &
                            ~(nodes | 1u << FAULT_CLIENT_DEATH | 1u << FAULT_POLICY);
}

static void
read_durability(struct sim_options *options)
{
    options->disks = options->durability == NULL                ? SIM_ANY
                     : strcmp(options->durability, "disk") == 0 ? SIM_DISK
                                                                : SIM_MEMORY;
}

int
cmd_sim(int argc, char **argv)
{
    struct sim_options options = {.seed = 1, .runs = 1};
    const struct cli_option table[] = {
        {"seed", OPTION_U64, &options.seed, "the first run's seed; default 1", .max = SEED_MAX},
        {"runs", OPTION_U64, &options.runs, "how many runs, each with the next seed; default 1", .min = 1,
         .max = RUNS_MAX},
        {"jobs", OPTION_U32, &options.jobs, "processes to run them in; default: as many as there are cores", .min = 1,
         .max = SIM_JOBS_MAX},
        {"profile", OPTION_WORD, &options.profile, "which faults there may be; default swarm, all of them",
         .unit = "swarm|network|nodes"},
        {"durability", OPTION_WORD, &options.durability, "of the logs; default: as each seed draws",
         .unit = "memory|disk"},
        {"workers", OPTION_U32, &options.workers, "of each node; default: as each seed draws, and 1 in scenarios",
         .min = 1, .max = SIM_WORKERS},
        {"without", OPTION_TEXT, &options.without_text, "faults to leave out, by name, with commas"},
        {"ms", OPTION_U64, &options.ms, "virtual time under faults; default: until enough messages", .min = 1,
         .max = VIRTUAL_MS_MAX, .unit = "ms"},
        {"messages", OPTION_U64, &options.messages, "messages under faults; default 100000", .min = 1,
         .max = MESSAGES_MAX},
        {"trace", OPTION_FILE, &options.trace, "write the run's sequence of events to this file (.html or text)"},
        {"shrink", OPTION_FLAG, &options.shrink, "look for a smaller run that fails too",
         .apart = "scenario|runs|jobs|keep-going"},
        {"keep-going", OPTION_FLAG, &options.keep_going, "do not stop at the first violation"},
        {"scenario", OPTION_TEXT, &options.scenario, "play a scripted scenario; 'all': every one"},
        {"list", OPTION_FLAG, &options.list, "list the scenarios", .apart = "scenario|shrink|seed|runs"},
        {"json", OPTION_FLAG, &options.json, "a JSON row per run"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"sim", "", 0, 0, .options = table};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if ((status = read_without(&options)) != 0)
        return status;
    if (options.trace != NULL && (status = cli_refuse_unwritable("trace", options.trace)) != 0)
        return status;
    read_profile(&options);
    read_durability(&options);
    if (options.jobs == 0)
        options.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (options.jobs > options.runs)
        options.jobs = (uint32_t)options.runs;
    if (options.jobs > SIM_JOBS_MAX)
        options.jobs = SIM_JOBS_MAX;
    if (options.list)
        return list_scenarios(options.json);
    if (options.scenario != NULL)
        return play_scenarios(&options);
    if (options.shrink)
        return sim_shrink(&options);
    if (options.runs == 1)
        return cli_end(sim_replay(&options, options.seed, options.without));
    return sim_run_many(&options);
}
