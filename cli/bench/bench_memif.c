/* A bench whose leader and client are in this process on one core, and the followers in another on the other. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <urcu/urcu-qsbr.h>

#include "bench/cpus.h"
#include "bench/raw.h"
#include "cli/bench/bench.h"
#include "cli/cli.h"
#include "dataplane/eal.h"

#define READY_NS 10000000000u
#define PATIENCE 1000u

enum phase { PHASE_START, PHASE_ECHO, PHASE_SINK, PHASE_CLUSTER, PHASE_END };

/* What the two processes of a memif bench tell each other. */
struct shared {
    _Atomic int phase;                /* written by the parent */
    _Atomic int reached;              /* by the child: the phase it is in */
    _Atomic bool left[PHASE_END + 1]; /* by the parent: that phase is over */
    _Atomic uint64_t received;
    char error[256];
};

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
        .channel_bytes = BENCH_CHANNEL_BYTES,
        .election_patience = self == 0 ? 1 : PATIENCE,
        .retain_bytes = BENCH_RETAIN_BYTES,
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

/* The kernel's work for a disk takes place on our two cores: with nothing to do they are left to it. */
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
    status = bench_raw_round_trips(bench, port);
    if (status != 0)
        return status;
    enter_phase(shared, PHASE_SINK);
    raw_flood(port, BENCH_RAW_FLOOD_NS);
    bench->raw.pps = atomic_load(&shared->received) * 1000000000u / BENCH_RAW_FLOOD_NS;
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
        status = bench_open_log(bench);
    if (status == 0)
        status = bench_run(bench);
    if (bench->client != NULL)
        cairn_disconnect(bench->client);
    enter_phase(shared, PHASE_END);
    eal_leave_thread();
    node_control_stop(bench->leader);
    node_free(bench->leader);
    return status;
}

int
bench_memif(struct bench *bench)
{
    struct cluster_config cluster = local_cluster_config(3, TRANSPORT_MEMIF, BENCH_MEMORY_MIB, bench->profile);
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
        return cli_fail("bench: a process cannot be started: %s", strerror(errno));
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
