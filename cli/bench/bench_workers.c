#include "cli/bench/bench_workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <urcu/urcu-qsbr.h>

#include "bench/cpus.h"
#include "bench/histogram.h"
#include "bench/load.h"
#include "cli/cli.h"
#include "client/session.h"
#include "dataplane/clock.h"
#include "dataplane/eal.h"
#include "node/local.h"

#define NODES 3u
#define MEMORY_MIB 96u /* of each worker */
#define RETAIN_BYTES (32u << 20)
#define CHANNEL_BYTES (1u << 20)
#define WARM_UP_NS 300000000u

/* What the threads do: all of them the same thing, or the first alone. */
enum phase { PHASE_REST, PHASE_ALONE, PHASE_ALL, PHASE_END };

struct bed {
    const struct bench_workers *options;
    struct local_cluster local;
    _Atomic int phase;
    _Atomic uint32_t done; /* loads of this phase that have ended */
};

/* A processor, with the workers of one number. */
struct bench_core {
    struct bed *bed;
    uint8_t worker;
    int cpu;
    uint32_t log;
    pthread_t thread;
    struct cairn_client *client;
    struct histogram *histogram;
    uint64_t producer, seq;
    struct load_result result;
};

static void
poll_worker(const struct bed *bed, uint8_t worker, uint64_t now_ns)
{
    for (uint32_t node = 0; node < NODES; node++)
        task_poll(node_task(bed->local.nodes[node], worker), now_ns);
    urcu_qsbr_quiescent_state();
}

static void
poll_own(void *context, uint64_t now_ns)
{
    const struct bench_core *core = context;

    poll_worker(core->bed, core->worker, now_ns);
}

/* While logs are made: nothing else polls anything. */
static void
poll_all(void *context, uint64_t now_ns)
{
    const struct bed *bed = context;

    for (uint32_t worker = 0; worker < bed->options->workers; worker++)
        poll_worker(bed, (uint8_t)worker, now_ns);
}

static void
put_load(struct bench_core *core)
{
    const struct bench_workers *options = core->bed->options;
    struct load_config config = {
        .client = core->client,
        .log = core->log,
        .ack = options->ack,
        .payload_bytes = options->payload_bytes,
        .in_flight = options->in_flight,
        .warm_up_ns = WARM_UP_NS,
        .duration_ns = options->seconds * 1000000000u,
        .poll = poll_own,
        .context = core,
        .seq = &core->seq,
        .producer = core->producer,
    };

    histogram_reset(core->histogram);
    core->result = load_run(&config, core->histogram);
    atomic_fetch_add(&core->bed->done, 1);
}

static void *
core_run(void *argument)
{
    struct bench_core *core = argument;
    int phase, before = PHASE_REST;
    struct clock clock;

    cpus_pin(core->cpu);
    eal_enter_thread();
    clock_start(&clock);
    while ((phase = atomic_load(&core->bed->phase)) != PHASE_END) {
        if (phase != before && (phase == PHASE_ALL || (phase == PHASE_ALONE && core->worker == 0)))
            put_load(core);
        before = phase;
        poll_worker(core->bed, core->worker, clock_now_ns(&clock));
    }
    eal_leave_thread();
    return NULL;
}

static void
sleep_ns(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void
play(struct bed *bed, enum phase phase, uint32_t loads)
{
    atomic_store(&bed->done, 0);
    atomic_store(&bed->phase, phase);
    while (atomic_load(&bed->done) < loads)
        sleep_ns(1000000);
    atomic_store(&bed->phase, PHASE_REST);
    sleep_ns(50000000);
}

static double
per_second(const struct bench_core *core)
{
    return core->result.duration_ns == 0 ? 0 : (double)core->result.entries * 1e9 / (double)core->result.duration_ns;
}

static json_t *
by_worker(const struct bench_workers *options, const struct bench_core *cores)
{
    json_t *each = json_array();

    for (uint32_t i = 0; i < options->workers; i++)
        json_array_append_new(each, json_integer((json_int_t)per_second(&cores[i])));
    return each;
}

static void
tell(const struct bench_workers *options, uint32_t run, double alone, double all, const struct bench_core *cores)
{
    if (options->json)
        cli_row(json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:I,s:I,s:I,s:o,s:f}", "bench", "throughput", "transport", "ring",
                          "ack", cairn_ack_name(options->ack), "workers", (int)options->workers, "run", (int)run,
                          "runs", (int)options->runs, "payload_bytes", (json_int_t)options->payload_bytes,
                          "entries_per_s", (json_int_t)all, "one_worker_entries_per_s", (json_int_t)alone, "by_worker",
                          by_worker(options, cores), "ratio", all / alone));
    else
        printf("%4u %16.0f %16.0f %8.2f\n", run, alone, all, all / alone);
    fflush(stdout);
}

static int
run_once(struct bed *bed, struct bench_core *cores, uint32_t run)
{
    const struct bench_workers *options = bed->options;
    double alone, all = 0;

    play(bed, PHASE_ALONE, 1);
    alone = per_second(&cores[0]);
    play(bed, PHASE_ALL, options->workers);
    for (uint32_t i = 0; i < options->workers; i++) {
        if (cores[i].result.error != CAIRN_OK)
            return cli_fail("bench: an append was not acknowledged: %s (is the machine too busy?)",
                            cairn_error_text(cores[i].result.error));
        all += per_second(&cores[i]);
    }
    tell(options, run, alone, all, cores);
    return 0;
}

/* A log at each worker, whose leader is the first node. */
static int
make_logs(struct bed *bed, struct bench_core *cores)
{
    for (uint8_t worker = 0; worker < bed->options->workers; worker++) {
        struct bench_core *core = &cores[worker];
        char name[16];
        enum cairn_error error;

        snprintf(name, sizeof(name), "bench-%u", worker);
        error = local_create_log(bed->local.nodes[0], name, CAIRN_POLICY_CP, CAIRN_MEMORY, worker, poll_all, bed,
                                 &core->log);
        if (error == CAIRN_OK)
            error = node_attach(bed->local.nodes[0], &core->client);
        if (error != CAIRN_OK)
            return cli_fail("bench: the cluster does not start: %s", cairn_error_text(error));
        core->producer = session_new_producer();
    }
    return 0;
}

static int
measure(struct bed *bed, struct bench_core *cores)
{
    const struct bench_workers *options = bed->options;
    uint32_t started = 0;
    int status = 0;

    while (started < options->workers && pthread_create(&cores[started].thread, NULL, core_run, &cores[started]) == 0)
        started++;
    if (started < options->workers)
        status = cli_fail("bench: a thread cannot be started");
    if (status == 0 && !options->json)
        printf("ring, ack %s, %u-byte entries, %u workers, each on a processor with its load\n\n%4s %16s %16s %8s\n",
               cairn_ack_name(options->ack), options->payload_bytes, options->workers, "run", "one entries/s",
               "all entries/s", "ratio");
    for (uint32_t run = 1; run <= options->runs && status == 0; run++)
        status = run_once(bed, cores, run);
    atomic_store(&bed->phase, PHASE_END);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(cores[i].thread, NULL);
    return status;
}

/* Each on a processor of its own. */
static int
make_cores(struct bed *bed, struct bench_core *cores)
{
    const uint32_t wanted = bed->options->workers;
    int cpus[CAIRN_WORKERS_MAX];
    uint32_t found = cpus_allowed(cpus, wanted);

    if (found < wanted)
        return cli_fail("bench: %u workers need a processor each (this process may use %u)", wanted, found);
    for (uint32_t i = 0; i < wanted; i++) {
        cores[i] = (struct bench_core){.bed = bed, .worker = (uint8_t)i, .cpu = cpus[i], .histogram = histogram_new()};
        if (cores[i].histogram == NULL)
            return cli_fail("bench: no memory");
    }
    return 0;
}

int
bench_workers(const struct bench_workers *options)
{
    static struct bed bed;
    static struct bench_core cores[CAIRN_WORKERS_MAX];
    struct local_config config = {
        .nodes = NODES,
        .workers = options->workers,
        .memory_mib = MEMORY_MIB * options->workers,
        .retain_bytes = RETAIN_BYTES,
        .memory_at_start = true,
        .channel_bytes = CHANNEL_BYTES,
        .profile = options->profile,
        .idle = IDLE_SPIN,
        .cpu = -1,
        .lcore_later = true,
    };
    char detail[512];
    int status;

    bed.options = options;
    if ((status = make_cores(&bed, cores)) != 0)
        return status;
    if (local_start(&config, &bed.local, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    eal_enter_thread();
    status = make_logs(&bed, cores);
    eal_leave_thread();
    if (status == 0)
        status = measure(&bed, cores);
    for (uint32_t i = 0; i < options->workers; i++) {
        if (cores[i].client != NULL)
            cairn_disconnect(cores[i].client);
        histogram_free(cores[i].histogram);
    }
    local_stop(&bed.local);
    return status;
}
