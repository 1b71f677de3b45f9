/* cairn bench latency|throughput|consistency: a cluster made for the purpose, beside the raw transport of the same
 * run. docs/performance.md says what is measured. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <urcu/urcu-qsbr.h>

#include "bench_consistency.h"
#include "bench_workers.h"
#include "cli.h"
#include "cpus.h"
#include "eal.h"
#include "home.h"
#include "identity_file.h"
#include "load.h"
#include "local.h"
#include "page.h"
#include "raw.h"
#include "raw_disk.h"

#define MEMORY_MIB 96u
#define RETAIN_BYTES (32u << 20)
#define CHANNEL_BYTES (1u << 20)
#define RAW_ROUND_TRIPS 100000u
#define RAW_FLOOD_NS 200000000u
#define WARM_UP_NS 300000000u
#define READY_NS 10000000000u
#define PATIENCE 1000u
#define IN_FLIGHT_MAX 8192u

enum phase { PHASE_START, PHASE_ECHO, PHASE_SINK, PHASE_CLUSTER, PHASE_END };

/* What the two processes of a memif bench tell each other. */
struct shared {
    _Atomic int phase;                /* written by the parent */
    _Atomic int reached;              /* by the child: the phase it is in */
    _Atomic bool left[PHASE_END + 1]; /* by the parent: that phase is over */
    _Atomic uint64_t received;
    char error[256];
};

struct raw_figures {
    uint64_t rtt_p50_ns, rtt_p99_ns, pps;
};

struct bench {
    bool throughput, json;
    const char *transport;
    enum cairn_ack ack;
    enum cluster_profile profile;
    uint32_t payload_bytes, runs, in_flight, workers;
    uint64_t rate_per_s, seconds;
    int cpus[2];
    struct identity identities[3]; /* of the nodes of two processes */
    struct histogram *histogram;
    struct raw_figures raw;
    enum cairn_durability durability;
    const char *report;
    const char *dir;   /* where logs on disk go, */
    const char *place; /* in this directory of their own */
    struct home_links links;
    int (*measure)(struct bench *bench);
    struct raw_disk_figures raw_disk;
    /* the place the load comes in */
    struct node *leader;
    struct cairn_client *client;
    uint32_t log;
    uint64_t producer, seq;
    void (*poll)(void *context, uint64_t now_ns);
    void *context;
};

/* Two CPUs to use, the same one twice where there is but one. */
static void
choose_cpus(int cpus[2])
{
    cpus[0] = 0;
    if (cpus_allowed(cpus, 2) < 2)
        cpus[1] = cpus[0];
}

/* One CPU for both ends. */
static bool
shares_core(const struct bench *bench)
{
    return bench->cpus[0] == bench->cpus[1];
}

static json_t *
row_of(const struct bench *bench, uint32_t run, const struct load_result *load)
{
    const struct histogram *h = bench->histogram;
    double seconds = (double)load->duration_ns / 1e9, per_s = (double)load->entries / seconds;
    uint64_t p50 = histogram_at(h, 50);

    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}",
                     "bench", bench->throughput ? "throughput" : "latency", "transport", bench->transport, "ack",
                     cairn_ack_name(bench->ack), "durability", cairn_durability_name(bench->durability),
                     "payload_bytes", (json_int_t)bench->payload_bytes, "rate_per_s", (json_int_t)bench->rate_per_s,
                     "in_flight", (json_int_t)bench->in_flight, "run", (int)run, "runs", (int)bench->runs, "seconds",
                     (json_int_t)bench->seconds, "samples", (json_int_t)histogram_count(h), "p50_ns", (json_int_t)p50,
                     "p90_ns", (json_int_t)histogram_at(h, 90), "p99_ns", (json_int_t)histogram_at(h, 99), "p999_ns",
                     (json_int_t)histogram_at(h, 99.9), "p9999_ns", (json_int_t)histogram_at(h, 99.99), "max_ns",
                     (json_int_t)histogram_max(h), "entries_per_s", (json_int_t)per_s, "bytes_per_s",
                     (json_int_t)(per_s * bench->payload_bytes), "raw_rtt_p50_ns", (json_int_t)bench->raw.rtt_p50_ns,
                     "raw_rtt_p99_ns", (json_int_t)bench->raw.rtt_p99_ns, "ratio_p50",
                     bench->raw.rtt_p50_ns == 0 ? 0.0 : (double)p50 / (double)bench->raw.rtt_p50_ns);
}

/* What the disk gives without us, and what it is asked for: each entry by three nodes. */
static void
add_disk(const struct bench *bench, json_t *row)
{
    double p50 = (double)json_integer_value(json_object_get(row, "p50_ns"));
    double bytes_per_s = 3 * (double)json_integer_value(json_object_get(row, "bytes_per_s"));
    const struct raw_disk_figures *raw = &bench->raw_disk;

    json_object_set_new(row, "raw_write_p50_ns", json_integer((json_int_t)raw->write_p50_ns));
    json_object_set_new(row, "raw_write_p99_ns", json_integer((json_int_t)raw->write_p99_ns));
    json_object_set_new(row, "raw_write_bytes_per_s", json_integer((json_int_t)raw->bytes_per_s));
    json_object_set_new(row, "ratio_write_p50", json_real(p50 / (double)raw->write_p50_ns));
    json_object_set_new(row, "ratio_write_bytes", json_real(bytes_per_s / (double)raw->bytes_per_s));
}

static void
print_head(const struct bench *bench)
{
    printf("%s, %s, ack %s, %u-byte entries, %s; raw round trip p50 %lu ns, p99 %lu ns, %.1f M frames/s\n\n",
           bench->throughput ? "throughput" : "latency", bench->transport, cairn_ack_name(bench->ack),
           bench->payload_bytes,
           bench->throughput        ? "as fast as it goes"
           : bench->rate_per_s == 0 ? "one at a time"
                                    : "open loop",
           (unsigned long)bench->raw.rtt_p50_ns, (unsigned long)bench->raw.rtt_p99_ns, (double)bench->raw.pps / 1e6);
    if (bench->durability == CAIRN_DISK)
        printf("three raw writers: 4 KiB p50 %.1f us, p99 %.1f us; 1 MiB after the other %.0f MB/s together\n\n",
               (double)bench->raw_disk.write_p50_ns / 1000, (double)bench->raw_disk.write_p99_ns / 1000,
               (double)bench->raw_disk.bytes_per_s / 1e6);
    printf("%4s %10s %9s %9s %9s %9s %9s %10s %12s %6s\n", "run", "samples", "p50 us", "p90", "p99", "p99.9", "p99.99",
           "max", "entries/s", "x raw");
}

static void
print_row(const json_t *row)
{
    static const char *const keys[] = {"p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns"};

    printf("%4lld %10lld", json_integer_value(json_object_get(row, "run")),
           json_integer_value(json_object_get(row, "samples")));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        printf(" %9.2f", (double)json_integer_value(json_object_get(row, keys[i])) / 1000);
    printf(" %10.2f %12lld %6.2f", (double)json_integer_value(json_object_get(row, "max_ns")) / 1000,
           json_integer_value(json_object_get(row, "entries_per_s")),
           json_real_value(json_object_get(row, "ratio_p50")));
    if (json_object_get(row, "ratio_write_p50") != NULL)
        printf("  x raw write %.2f, of raw bandwidth %.2f", json_real_value(json_object_get(row, "ratio_write_p50")),
               json_real_value(json_object_get(row, "ratio_write_bytes")));
    printf("\n");
}

/* What the leader saw, when a run fails. */
static void
tell_events(const struct bench *bench)
{
    struct node_event events[32];
    uint64_t next = 0;
    uint32_t count;

    usleep(50000);
    while ((count = node_events(bench->leader, &next, events, 32)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            fprintf(stderr, "cairn: bench: %.6f %s %s %s\n", (double)events[i].t_ns / 1e9, event_name(events[i].kind),
                    events[i].log_name, events[i].reason);
    }
}

/* The load, as often as asked. The client, the leader's polling and the raw figures are in place. */
static int
run_load(struct bench *bench)
{
    if (!bench->json)
        print_head(bench);
    for (uint32_t run = 1; run <= bench->runs; run++) {
        struct load_config config = {
            .client = bench->client,
            .log = bench->log,
            .ack = bench->ack,
            .payload_bytes = bench->payload_bytes,
            .rate_per_s = bench->rate_per_s,
            .in_flight = bench->in_flight,
            .warm_up_ns = WARM_UP_NS,
            .duration_ns = bench->seconds * 1000000000u,
            .poll = bench->poll,
            .context = bench->context,
            .seq = &bench->seq,
            .producer = bench->producer,
        };
        struct load_result result;
        json_t *row;

        histogram_reset(bench->histogram);
        result = load_run(&config, bench->histogram);
        if (result.error != CAIRN_OK) {
            tell_events(bench);
            return cli_fail("bench: an append was not acknowledged: %s (is the machine too busy?)",
                            cairn_error_text(result.error));
        }
        row = row_of(bench, run, &result);
        json_object_set_new(row, "raw_pps", json_integer((json_int_t)bench->raw.pps));
        if (bench->durability == CAIRN_DISK)
            add_disk(bench, row);
        if (bench->json) {
            cli_row(row);
        } else {
            print_row(row);
            json_decref(row);
        }
        fflush(stdout);
    }
    return EXIT_DONE;
}

static int
open_log(struct bench *bench)
{
    enum cairn_error error = local_create_log(bench->leader, "bench", CAIRN_POLICY_CP, bench->durability, 0,
                                              bench->poll, bench->context, &bench->log);

    if (error == CAIRN_OK)
        error = node_attach(bench->leader, &bench->client);
    bench->producer = session_new_producer();
    return error == CAIRN_OK ? 0 : cli_fail("bench: the cluster does not start: %s", cairn_error_text(error));
}

static int
raw_round_trips_of(struct bench *bench, struct port *port)
{
    histogram_reset(bench->histogram);
    if (!raw_round_trips(port, RAW_ROUND_TRIPS, shares_core(bench), bench->histogram))
        return cli_fail("bench: the raw transport does not answer");
    bench->raw.rtt_p50_ns = histogram_at(bench->histogram, 50);
    bench->raw.rtt_p99_ns = histogram_at(bench->histogram, 99);
    return 0;
}

/* --- ring: the nodes on one core, the client on the other --- */

static int
ring_raw(struct bench *bench)
{
    static struct raw_pair pair;
    char detail[256];
    int status;

    if (raw_pair_open(&pair, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("bench: %s", detail);
    pair.cpu = bench->cpus[1];
    pair.yields = shares_core(bench);
    if (!raw_pair_start(&pair, false))
        return cli_fail("bench: no thread to be had");
    status = raw_round_trips_of(bench, &pair.near);
    raw_pair_stop(&pair);
    if (status == 0 && !raw_pair_start(&pair, true))
        return cli_fail("bench: no thread to be had");
    if (status == 0) {
        raw_flood(&pair.near, RAW_FLOOD_NS);
        raw_pair_stop(&pair);
    }
    bench->raw.pps = atomic_load(&pair.received) * 1000000000u / RAW_FLOOD_NS;
    raw_pair_close(&pair);
    return status;
}

static void
ring_poll(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
    urcu_qsbr_quiescent_state();
}

static int
bench_ring(struct bench *bench)
{
    static struct local_cluster local;
    struct local_config config = {
        .nodes = 3,
        .memory_mib = MEMORY_MIB,
        .retain_bytes = RETAIN_BYTES,
        .memory_at_start = true,
        .channel_bytes = CHANNEL_BYTES,
        .profile = bench->profile,
        .idle = shares_core(bench) ? IDLE_YIELD : IDLE_SPIN,
        .cpu = bench->cpus[1],
    };
    char detail[512];
    int status;

    /* Threads that are not the load's float as they like. */
    if (local_start(&config, &local, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    bench->leader = local.nodes[0];
    status = open_log(bench);
    lcore_stop(&local.lcores[0]);
    cpus_pin(bench->cpus[0]);
    eal_enter_thread();
    if (status == 0)
        status = ring_raw(bench);
    bench->poll = ring_poll;
    if (status == 0 && !lcore_start(&local.lcores[0]))
        status = cli_fail("bench: no thread to be had");
    if (status == 0)
        status = run_load(bench);
    if (bench->client != NULL)
        cairn_disconnect(bench->client);
    eal_leave_thread();
    local_stop(&local);
    return status;
}

/* --- memif: leader and client in this process on one core, the followers in another on the other --- */

static struct disk *
node_disk(const struct bench *bench, uint8_t self, char *detail, size_t detail_bytes)
{
    char name[8];

    snprintf(name, sizeof(name), "n%u", self + 1u);
    return cli_open_disk(bench->place, name, 0, false, detail, detail_bytes);
}

static struct node *
memif_node(const struct bench *bench, const struct cluster_config *cluster, uint8_t self, char *detail,
           size_t detail_bytes)
{
    struct node_config config = {
        .cluster = cluster,
        .self = self,
        .identity = &bench->identities[self],
        .standing = STANDING_MEMBER,
        .seed = cluster->id + self,
        .channel_bytes = CHANNEL_BYTES,
        .election_patience = self == 0 ? 1 : PATIENCE,
        .retain_bytes = RETAIN_BYTES,
        .links = &bench->links,
    };
    struct node *node;

    if (bench->durability == CAIRN_DISK) {
        config.disks[0] = node_disk(bench, self, detail, detail_bytes);
        if (config.disks[0] == NULL)
            return NULL;
    }
    if (node_create(&config, &node, detail, detail_bytes) != CAIRN_OK ||
        node_control_start(node, detail, detail_bytes) != CAIRN_OK)
        return NULL;
    return node;
}

static void
reach_phase(struct shared *shared, int phase)
{
    atomic_store(&shared->reached, phase);
}

/* What the kernel does for a disk it does on our two cores: with nothing to do they are left to it. */
static void
rest(const struct bench *bench, uint32_t work)
{
    urcu_qsbr_quiescent_state();
    if (work == 0 && bench->durability == CAIRN_DISK)
        sched_yield();
}

static void
followers_poll(const struct bench *bench, struct shared *shared, struct node **nodes)
{
    struct clock clock;

    clock_start(&clock);
    while (!atomic_load_explicit(&shared->left[PHASE_CLUSTER], memory_order_relaxed)) {
        uint64_t now_ns = clock_now_ns(&clock);

        uint32_t work = task_poll(node_task(nodes[0], 0), now_ns);

        work += task_poll(node_task(nodes[1], 0), now_ns);
        rest(bench, work);
    }
}

static void
followers_run(const struct bench *bench, const struct cluster_config *cluster, struct shared *shared, int cpu)
{
    struct node *nodes[2] = {NULL, NULL};
    int phase;

    if (eal_start(NULL, shared->error, sizeof(shared->error)) == CAIRN_OK) {
        nodes[0] = memif_node(bench, cluster, 1, shared->error, sizeof(shared->error));
        nodes[1] = memif_node(bench, cluster, 2, shared->error, sizeof(shared->error));
    }
    if (nodes[0] == NULL || nodes[1] == NULL) {
        reach_phase(shared, -1);
        _exit(1);
    }
    cpus_pin(cpu);
    eal_enter_thread();
    while ((phase = atomic_load(&shared->phase)) != PHASE_END) {
        urcu_qsbr_quiescent_state();
        if (atomic_load(&shared->reached) == phase)
            continue;
        reach_phase(shared, phase);
        if (phase == PHASE_ECHO)
            raw_echo(node_port(nodes[0], 0, 0), &shared->left[PHASE_ECHO], false);
        else if (phase == PHASE_SINK)
            raw_sink(node_port(nodes[0], 0, 0), &shared->left[PHASE_SINK], &shared->received);
        else if (phase == PHASE_CLUSTER)
            followers_poll(bench, shared, nodes);
    }
    _exit(0);
}

static void
enter_phase(struct shared *shared, int phase)
{
    uint64_t end_ns = cli_now_ns() + READY_NS;

    atomic_store(&shared->phase, phase);
    for (int before = 0; before < phase; before++)
        atomic_store(&shared->left[before], true);
    while (phase != PHASE_END && atomic_load(&shared->reached) != phase && atomic_load(&shared->reached) != -1 &&
           cli_now_ns() < end_ns)
        urcu_qsbr_quiescent_state();
}

static bool
links_up(struct node *leader)
{
    uint64_t end_ns = cli_now_ns() + READY_NS;
    struct rte_eth_link link;
    uint32_t up = 0;

    while (up < 2 && cli_now_ns() < end_ns) {
        up = 0;
        for (uint8_t peer = 1; peer <= 2; peer++) {
            memset(&link, 0, sizeof(link));
            rte_eth_link_get_nowait(node_port(leader, 0, peer)->port_id, &link);
            up += link.link_status == RTE_ETH_LINK_UP;
        }
        urcu_qsbr_quiescent_state();
        usleep(1000);
    }
    return up == 2;
}

static int
memif_raw(struct bench *bench, struct shared *shared)
{
    struct port *port = node_port(bench->leader, 0, 1);
    int status;

    if (!links_up(bench->leader))
        return cli_fail("bench: the memif links do not come up");
    enter_phase(shared, PHASE_ECHO);
    status = raw_round_trips_of(bench, port);
    if (status != 0)
        return status;
    enter_phase(shared, PHASE_SINK);
    raw_flood(port, RAW_FLOOD_NS);
    bench->raw.pps = atomic_load(&shared->received) * 1000000000u / RAW_FLOOD_NS;
    enter_phase(shared, PHASE_CLUSTER);
    raw_drain(port);
    return 0;
}

static void
memif_poll(void *context, uint64_t now_ns)
{
    const struct bench *bench = context;

    rest(bench, task_poll(node_task(bench->leader, 0), now_ns));
}

static int
memif_parent(struct bench *bench, const struct cluster_config *cluster, struct shared *shared)
{
    char detail[512];
    int status;

    if (eal_start(NULL, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    bench->leader = memif_node(bench, cluster, 0, detail, sizeof(detail));
    if (bench->leader == NULL)
        return cli_fail("%s", detail);
    cpus_pin(bench->cpus[0]);
    eal_enter_thread();
    bench->poll = memif_poll;
    bench->context = bench;
    status = memif_raw(bench, shared);
    if (status == 0)
        status = open_log(bench);
    if (status == 0)
        status = run_load(bench);
    if (bench->client != NULL)
        cairn_disconnect(bench->client);
    enter_phase(shared, PHASE_END);
    eal_leave_thread();
    node_control_stop(bench->leader);
    node_free(bench->leader);
    return status;
}

static int
bench_memif(struct bench *bench)
{
    struct cluster_config cluster = local_cluster_config(3, TRANSPORT_MEMIF, MEMORY_MIB, bench->profile);
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct agreed agreed;
    char detail[512];
    int status;
    pid_t child;

    if (shared == MAP_FAILED)
        return cli_fail("bench: no memory");
    if (!home_links_open(bench->place, &bench->links, detail, sizeof(detail)))
        return cli_fail("bench: %s", detail);
    cluster.memory_at_start = true;
    agreed = cluster_agreed(&cluster);
    if (!identity_draw_cluster(&agreed, bench->identities))
        return cli_fail("bench: the kernel has no random bits for a new cluster");
    fflush(stdout);
    child = fork();
    if (child < 0)
        return cli_fail("bench: no process to be had: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        followers_run(bench, &cluster, shared, bench->cpus[1]);
    }
    status = memif_parent(bench, &cluster, shared);
    if (status != 0 && shared->error[0] != '\0')
        cli_fail("bench: followers: %s", shared->error);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return status;
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
    if (shares_core(bench) && strcmp(bench->transport, "memif") == 0)
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
        {"payload-bytes", OPTION_U32, &bench.payload_bytes, "of each entry; default 64", .max = CHANNEL_BYTES / 2,
         .unit = "bytes"},
        {"rate", OPTION_U64, &bench.rate_per_s, "intended entries; default 100000, on disk one at a time", .min = 1,
         .max = 1000000000, .unit = "a second", .verbs = "latency"},
        {"in-flight", OPTION_U32, &bench.in_flight, "appends at once, at most; default 4096", .min = 1,
         .max = IN_FLIGHT_MAX, .verbs = "latency|throughput"},
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
