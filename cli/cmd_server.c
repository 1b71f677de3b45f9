/* cairn server: one node, until it is told to end. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "cluster_file.h"
#include "disk.h"
#include "draft.h"
#include "eal.h"
#include "home.h"
#include "identity_file.h"
#include "metrics.h"
#include "netns.h"
#include "node.h"
#include "process_limits.h"
#include "standing.h"

#define CHANNEL_BYTES (4u << 20)
#define LOCK_SAY_NS 400000000u
#define SETTLE_NS 2000000000u
#define SCRUB_MIB_S 8u
#define SCRUB_MIB_S_MAX 10000u
#define PID_PATH_BYTES 384u

struct server {
    struct cluster_config cluster;
    const char *cluster_file;
    struct identity identity;
    int lock_fd; /* held while the node runs */
    struct node_config config;
    struct node *node;
    struct lcore lcores[CAIRN_WORKERS_MAX];
    uint32_t lcores_count;
    struct home_links links;
    struct disk *disks[CAIRN_WORKERS_MAX]; /* of each worker's journal */
    const char *metrics_address;           /* NULL: nowhere */
    struct metrics *metrics;
    bool without_uring;
    bool keeps_damage;
};

static void
pid_path(const struct cluster_config *cluster, uint8_t self, char *out)
{
    snprintf(out, PID_PATH_BYTES, "%s/%s.pid", cluster->directory, cluster->names[self]);
}

/* Whoever looks after the node finds its process here, or none, and never half of it; the lock, not this file, says it runs. */
static int
write_pid(const struct cluster_config *cluster, uint8_t self)
{
    char path[PID_PATH_BYTES], draft[PATH_MAX], text[16];
    int text_bytes = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    pid_path(cluster, self, path);
    if (!draft_write(path, text, (size_t)text_bytes, 0600, draft) || !draft_publish(path, draft))
        return cli_fail("%s: cannot be written: %s", path, strerror(errno));
    return 0;
}

/* Another that is just ending leaves its lock in a moment; where one does not, who waits for it says so. */
static void
say_lock_waits(const struct cluster_config *cluster, uint8_t self)
{
    uint64_t end_ns = cli_now_ns() + LOCK_SAY_NS;
    struct timespec pause = {.tv_nsec = 10000000};
    char path[PID_PATH_BYTES];
    bool held;
    int fd;

    snprintf(path, sizeof(path), "%s/%s.lock", cluster->directory, cluster->names[self]);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    while ((held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) && cli_now_ns() < end_ns)
        nanosleep(&pause, NULL);
    close(fd);
    if (held)
        fprintf(stderr, "cairn: waiting: for the process that is node %s already, in %s, to end\n",
                cluster->names[self], cluster->directory);
}

/* Where the links of its path lead now, that directory is meant as long as the node runs. */
static int
take_directory(struct cluster_config *cluster)
{
    char detail[512];
    int status = cli_resolve_directory(cluster);

    if (status != 0)
        return status;
    if (mkdir(cluster->directory, 0700) != 0 && errno != EEXIST)
        return cli_fail("directory %s: %s", cluster->directory, strerror(errno));
    return home_is_own(cluster->directory, detail, sizeof(detail)) ? 0 : cli_fail("%s", detail);
}

static int
prepare(struct server *server, uint8_t self)
{
    const struct cluster_config *cluster = &server->cluster;
    char detail[512];
    int status = process_limits_prepare(&server->config);

    if (status != 0)
        return status;
    umask(S_IRWXG | S_IRWXO);
    if ((status = take_directory(&server->cluster)) != 0)
        return status;
    say_lock_waits(cluster, self);
    if (identity_lock(cluster->directory, cluster->names[self], &server->lock_fd, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if (!access_resolve(cluster, &server->config.access, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    /* Who is named may find the sockets there, and nothing else. */
    if (access_names_any(&server->config.access) && chmod(cluster->directory, 0711) != 0)
        return cli_fail("directory %s: %s", cluster->directory, strerror(errno));
    if (cluster->transport == TRANSPORT_MEMIF &&
        !home_links_open(cluster->directory, &server->links, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    server->config.links = &server->links;
    server->config.cluster = cluster;
    server->config.self = self;
    server->config.seed = cli_now_ns() ^ ((uint64_t)getpid() << 32);
    server->config.channel_bytes = CHANNEL_BYTES;
    server->config.directory = cluster->directory;
    return write_pid(cluster, self);
}

/* As many as this node's part of the machine's processors, all of whose nodes are here. */
static uint32_t
lcores_of_machine(const struct cluster_config *cluster, const cpu_set_t *cpus)
{
    uint32_t share = (uint32_t)CPU_COUNT(cpus) / cluster->nodes;

    return share < 1 ? 1 : share;
}

/* How many threads poll the workers, and where. */
static int
choose_lcores(struct server *server)
{
    const struct cluster_config *cluster = &server->cluster;
    const struct cluster_lcores *stated = &cluster->lcores[server->config.self];
    uint32_t workers = cluster_workers(cluster), count = cluster_lcores_count(cluster, server->config.self);
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        return cli_fail("which processors there are cannot be told: %s", strerror(errno));
    for (uint32_t i = 0; i < stated->cpus_count; i++) {
        if (!CPU_ISSET(stated->cpus[i], &cpus))
            return cli_fail("node '%s' has cpu %u in the cluster file, which is none that this process may run on: "
                            "see 'nproc', 'taskset -p $$' and the cgroup",
                            cluster->names[server->config.self], stated->cpus[i]);
    }
    if (count == 0)
        count = lcores_of_machine(cluster, &cpus);
    server->lcores_count = count < workers ? count : workers;
    for (uint32_t i = 0; i < server->lcores_count; i++)
        server->lcores[i].cpu = i < stated->cpus_count ? (int)stated->cpus[i] : -1;
    return 0;
}

/* Each lcore has a bell, and its workers are woken by it. */
static int
make_bells(struct server *server)
{
    struct node_config *config = &server->config;
    uint32_t workers = cluster_workers(&server->cluster);

    for (uint32_t worker = 0; worker < workers; worker++) {
        uint32_t lcore = worker % server->lcores_count;

        if (worker == lcore)
            config->bells[worker] = doorbell_make(&config->bell_fds[worker]);
        if (config->bells[lcore] == NULL)
            return cli_fail("no memory to share with clients: %s", strerror(errno));
        config->bells[worker] = config->bells[lcore];
        config->bell_fds[worker] = config->bell_fds[lcore];
    }
    return 0;
}

/* On a terminal, one line that grows; a start that reads little says nothing. */
static void
show_progress(uint64_t done_bytes, uint64_t total_bytes)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rcairn: reading the journal: %lu of %lu MiB ", (unsigned long)(done_bytes >> 20),
                (unsigned long)(total_bytes >> 20));
}

static int
open_disks(struct server *server)
{
    const struct cluster_config *cluster = &server->cluster;
    char detail[512] = "";

    if (cluster->durability != CAIRN_DISK)
        return 0;
    for (uint32_t worker = 0; worker < cluster_workers(cluster); worker++) {
        server->disks[worker] = cli_open_disk(cluster->directory, cluster->names[server->config.self], worker,
                                              server->without_uring, detail, sizeof(detail));
        if (server->disks[worker] == NULL)
            return cli_fail("%s", detail);
        server->config.disks[worker] = server->disks[worker];
    }
    server->config.restore_progress = show_progress;
    return 0;
}

static bool
keep_identity(void *context, const struct identity *identity, char *detail, size_t detail_bytes)
{
    const struct server *server = context;
    const struct cluster_config *cluster = &server->cluster;

    return identity_save(cluster->directory, cluster->names[server->config.self], identity, detail, detail_bytes) ==
           CAIRN_OK;
}

/* Who this node is, by what it finds of itself; and by what was agreed on it goes from here on. */
static int
identify(struct server *server, bool *found)
{
    const struct cluster_config *cluster = &server->cluster;
    const char *name = cluster->names[server->config.self];
    char detail[512] = "";

    if (identity_load(cluster->directory, name, &server->identity, found, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if (!*found)
        server->identity = (struct identity){.self = server->config.self, .agreed = cluster_agreed(cluster)};
    else if (!server->identity.doubts_agreed &&
             !cluster_config_agrees(server->cluster_file, cluster, &server->identity.agreed, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    else
        cluster_config_adopt(&server->cluster, &server->identity.agreed);
    if (server->identity.agreed.removed >> server->config.self & 1)
        return cli_fail("%s was removed from the cluster ('cairn cluster add %s' and an empty directory let it back)",
                        name, name);
    if (server->identity.self != server->config.self)
        return cli_fail("directory %s/%s: it is node %u's, not %s's (directories were mixed up)", cluster->directory,
                        name, server->identity.self + 1u, name);
    server->config.identity = &server->identity;
    server->config.keep = keep_identity;
    server->config.keep_context = server;
    return 0;
}

/* With what standing it starts, by its journals. */
static int
stand(struct server *server, bool found)
{
    const struct cluster_config *cluster = &server->cluster;
    const char *name = cluster->names[server->config.self], *why;
    struct cairn_id life;

    if (!identity_draw(&life))
        return cli_fail("the kernel has no random bits for this life's identity: %s", strerror(errno));
    if (standing_at_start(&server->identity, found, server->disks, &life, &server->config.standing,
                          &server->config.asked_number, &why) != CAIRN_OK)
        return cli_fail("directory %s/%s: its journal cannot be read: %s", cluster->directory, name,
                        server->disks[0]->detail);
    if (why[0] != '\0')
        fprintf(stderr, "cairn: node %s has forgotten what it promised (%s): it recovers from the others\n", name, why);
    for (uint32_t worker = 1; worker < CAIRN_WORKERS_MAX; worker++) {
        if (server->identity.forgetful_workers >> worker & 1)
            fprintf(stderr,
                    "cairn: worker %u of node %s has forgotten what it promised (its journal is not that of the last "
                    "life): its logs recover from the others\n",
                    worker, name);
    }
    return 0;
}

static char *
metrics_text(void *context, size_t *size_bytes)
{
    return node_metrics(context, size_bytes);
}

static int
start_metrics(struct server *server)
{
    struct metrics_source source = {.text = metrics_text, .context = server->node};
    char detail[512];

    if (server->metrics_address == NULL)
        return 0;
    switch (metrics_start(server->metrics_address, &source, &server->metrics, detail, sizeof(detail))) {
    case CAIRN_OK:
        return 0;
    case CAIRN_INVALID:
        return cli_usage("server: --metrics: %s", detail);
    default:
        return cli_fail("%s", detail);
    }
}

static int
start_lcores(struct server *server, enum idle_policy idle)
{
    for (uint8_t worker = 0; worker < node_workers(server->node); worker++) {
        struct lcore *lcore = &server->lcores[worker % server->lcores_count];

        lcore->tasks[lcore->tasks_count++] = node_task(server->node, worker);
    }
    for (uint32_t i = 0; i < server->lcores_count; i++) {
        struct lcore *lcore = &server->lcores[i];

        lcore->idle = idle;
        lcore->bell = server->config.bells[i];
        if (!lcore_start(lcore))
            return cli_fail("no thread to be had for the workers");
    }
    return 0;
}

static int
start(struct server *server, enum idle_policy idle)
{
    char detail[512] = "";
    bool found;
    int status = identify(server, &found);

    if (status == 0)
        status = open_disks(server);
    if (status == 0)
        status = stand(server, found);
    if (status == 0)
        status = choose_lcores(server);
    if (status == 0)
        status = make_bells(server);
    if (status != 0)
        return status;
    if (eal_start(NULL, detail, sizeof(detail)) != CAIRN_OK ||
        node_create(&server->config, &server->node, detail, sizeof(detail)) != CAIRN_OK ||
        node_control_start(server->node, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if ((status = start_metrics(server)) != 0)
        return status;
    return start_lcores(server, idle);
}

/* A disk that is slow, or fails, does not keep the node from ending: its next start then reads more. */
static void
settle(struct server *server)
{
    uint64_t end_ns = cli_now_ns() + SETTLE_NS;
    struct timespec pause = {.tv_nsec = 500000};

    if (server->node == NULL || server->disks[0] == NULL)
        return;
    node_stop_begin(server->node);
    while (!node_settled(server->node) && cli_now_ns() < end_ns)
        nanosleep(&pause, NULL);
}

static void
stop(struct server *server)
{
    metrics_stop(server->metrics);
    settle(server);
    for (uint32_t i = 0; i < server->lcores_count; i++)
        lcore_stop(&server->lcores[i]);
    if (server->node != NULL) {
        node_control_stop(server->node);
        node_checkpoint(server->node);
        node_free(server->node);
    }
    for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++) {
        if (server->disks[worker] != NULL)
            server->disks[worker]->operations->destroy(server->disks[worker]);
    }
    close(server->lock_fd);
}

static void
remove_pid(const struct server *server)
{
    char path[PID_PATH_BYTES];

    pid_path(&server->cluster, server->config.self, path);
    unlink(path);
}

enum end { END_ASKED, END_ANEW, END_FAILED };

/* What is to be told of the node while it comes to take part: each sentence once. */
static void
tell_standing(const struct server *server, char *told, size_t told_bytes)
{
    char now[512];

    node_standing(server->node, now, sizeof(now));
    if (strcmp(now, told) == 0)
        return;
    snprintf(told, told_bytes, "%s", now);
    fprintf(stderr, "cairn: %s\n", now);
}

/* Until a signal asks for the end, or the node for another start, or cannot go on. */
static enum end
serve(const struct server *server, const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = 250000000};
    char told[512] = "";

    for (;;) {
        enum node_end end = node_end(server->node);

        tell_standing(server, told, sizeof(told));
        if (end == NODE_REFUSED || node_failure(server->node) != NULL)
            return END_FAILED;
        if (end == NODE_FORGOT || (!server->keeps_damage && node_wants_start(server->node)))
            return END_ANEW;
        if (sigtimedwait(signals, NULL, &pause) > 0)
            return END_ASKED;
    }
}

static int
fail_as_told(const struct server *server)
{
    const char *failure = node_failure(server->node);
    char standing[512];

    node_standing(server->node, standing, sizeof(standing));
    return cli_fail("%s", failure != NULL ? failure : standing);
}

/* A memory node that ends leaves nothing that could be taken for a state. */
static void
leave(const struct server *server)
{
    const struct cluster_config *cluster = &server->cluster;

    if (cluster->durability == CAIRN_MEMORY)
        identity_remove(cluster->directory, cluster->names[server->config.self]);
}

/* The same process, from the beginning: argv is what it was called with. Returns only where that cannot be. */
static int
start_anew(struct server *server, char **argv)
{
    fprintf(stderr, "cairn: node %s starts anew, to take from the others what it lacks\n",
            server->cluster.names[server->config.self]);
    stop(server);
    close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    cli_exec_self(argv);
    remove_pid(server);
    return cli_fail("cannot start anew: %s", strerror(errno));
}

static int
parse_idle(const char *text, enum idle_policy *out)
{
    static const char *const names[] = {[IDLE_SLEEP] = "sleep", [IDLE_YIELD] = "yield", [IDLE_SPIN] = "spin"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum idle_policy)i;
            return 0;
        }
    }
    return cli_usage("server: --idle does not take '%s' (sleep, yield, spin)", text);
}

/* Where the node has a state, the file must not contradict what was agreed on. */
static int
check_agreed(struct server *server, const char *name)
{
    char detail[512] = "";
    bool found;

    if (identity_load(server->cluster.directory, name, &server->identity, &found, detail, sizeof(detail)) != CAIRN_OK ||
        (found && !cluster_config_agrees(server->cluster_file, &server->cluster, &server->identity.agreed, detail,
                                         sizeof(detail))))
        return cli_fail("%s", detail);
    return 0;
}

static int
refuse_ring(const struct server *server)
{
    struct cluster_fault fault;
    char detail[512];

    cluster_fault_set(&fault, server->cluster.places[CLUSTER_KEY_TRANSPORT], "a server needs memif or netns",
                      "transport ring joins nodes of one process only");
    cluster_fault_tell(&fault, server->cluster_file, detail, sizeof(detail));
    return cli_fail("%s", detail);
}

/* From its start to its end. argv: by which it starts anew. */
static int
run(struct server *server, uint8_t self, enum idle_policy idle, char **argv)
{
    enum end end = END_ASKED;
    sigset_t signals;
    int status;

    /* After a start anew it would be called exe. */
    prctl(PR_SET_NAME, "cairn");
    /* Blocked before any thread starts, so that only sigwait() takes them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if ((status = prepare(server, self)) != 0)
        return status;
    status = start(server, idle);
    if (status == 0)
        end = serve(server, &signals);
    if (end == END_ANEW)
        return start_anew(server, argv);
    if (end == END_FAILED)
        status = fail_as_told(server);
    remove_pid(server);
    stop(server);
    if (status == 0)
        leave(server);
    return status;
}

int
cmd_server(int argc, char **argv)
{
    static struct server server;
    const char *cluster_file = NULL, *name = NULL, *idle_name = "sleep";
    bool check = false;
    uint32_t scrub_mib_s = SCRUB_MIB_S;
    const struct cli_option options[] = {
        {"node", OPTION_NODE, &name, "which node of the cluster this is"},
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"check", OPTION_FLAG, &check, "only check the cluster file"},
        {"idle", OPTION_WORD, &idle_name, "what it does between turns; default sleep, which adapts",
         .unit = "sleep|yield|spin"},
        {"metrics", OPTION_ADDRESS, &server.metrics_address,
         "serve /metrics for Prometheus there: PORT (of this machine alone) or HOST:PORT"},
        {"allow-faults", OPTION_FLAG, &server.config.allow_faults, "let 'cairn fault' in"},
        {"scrub-mib-s", OPTION_U32, &scrub_mib_s,
         "how much of the journal is read again in the background; default 8, 0: none", .max = SCRUB_MIB_S_MAX,
         .unit = "MiB/s"},
        {"keep-damage", OPTION_FLAG, &server.keeps_damage,
         "only tell of damage that is found so; otherwise the node starts anew at a good moment, which mends it"},
        {"no-uring", OPTION_FLAG, &server.without_uring, "write the journal by a thread, without io_uring"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"server", "", 0, 0, .options = options};
    enum idle_policy idle = IDLE_SLEEP;
    uint8_t self;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if (name == NULL)
        return cli_usage("server: --node is missing");
    server.config.scrub_bytes_per_s = (uint64_t)scrub_mib_s << 20;
    if ((status = parse_idle(idle_name, &idle)) != 0 || (status = cli_cluster(cluster_file, &server.cluster)) != 0 ||
        (status = cli_node(&server.cluster, name, &self)) != 0)
        return status;
    server.cluster_file = cli_cluster_path(cluster_file);
    if (server.cluster.transport == TRANSPORT_RING)
        return refuse_ring(&server);
    if (check && (status = check_agreed(&server, name)) != 0)
        return status;
    if (check) {
        printf("%s: node %s of %u, fine\n", server.cluster_file, name, server.cluster.nodes);
        return cli_end(EXIT_DONE);
    }
    if (server.cluster.transport == TRANSPORT_NETNS && (status = netns_enter(name)) != 0)
        return status;
    return run(&server, self, idle, argv - 1);
}
