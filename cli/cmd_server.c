/* cairn server: one node, until it is told to end. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/netns.h"
#include "cli/process_limits.h"
#include "cli/server_directory.h"
#include "cli/server_identity.h"
#include "cli/server_lcores.h"
#include "control/cluster_file.h"
#include "control/identity_file.h"
#include "control/metrics.h"
#include "dataplane/disk.h"
#include "dataplane/eal.h"

#define CHANNEL_BYTES (4u << 20)
#define SETTLE_NS 2000000000u
#define SCRUB_MIB_S 8u
#define SCRUB_MIB_S_MAX 10000u

struct server {
    struct cluster_config cluster;
    struct server_identity identity;
    struct identity_lock lock; /* held while the node runs */
    struct node_config config;
    struct node *node;
    struct server_lcores lcores;
    struct home_links links;
    struct disk *disks[CAIRN_WORKERS_MAX]; /* of each worker's journal */
    const char *metrics_address;           /* NULL: nowhere */
    struct metrics *metrics;
    bool without_uring;
    bool keeps_damage;
};

static int
prepare(struct server *server, uint8_t self)
{
    const struct cluster_config *cluster = &server->cluster;
    char detail[512];
    int status = process_limits_prepare(&server->config);

    if (status != 0)
        return status;
    umask(S_IRWXG | S_IRWXO);
    if ((status = server_directory_take(&server->cluster, self, &server->lock)) != 0)
        return status;
    if (!access_resolve(cluster, &server->config.access, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    /* Users that the cluster file names may find the sockets there, and nothing else. */
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
    return server_pid_write(cluster, self);
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
start(struct server *server, enum idle_policy idle)
{
    char detail[512] = "";
    int status = server_identity_find(&server->identity, &server->config);

    if (status == 0)
        status = open_disks(server);
    if (status == 0)
        status = server_identity_stand(&server->identity, server->disks, &server->config);
    if (status == 0)
        status = server_lcores_choose(&server->lcores, &server->cluster, server->config.self);
    if (status == 0)
        status = server_lcores_make_bells(&server->lcores, &server->config);
    if (status != 0)
        return status;
    if (eal_start(NULL, detail, sizeof(detail)) != CAIRN_OK ||
        node_create(&server->config, &server->node, detail, sizeof(detail)) != CAIRN_OK ||
        node_control_start(server->node, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if ((status = start_metrics(server)) != 0)
        return status;
    return server_lcores_start(&server->lcores, server->node, &server->config, idle);
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
    server_lcores_stop(&server->lcores);
    if (server->node != NULL) {
        node_control_stop(server->node);
        node_checkpoint(server->node);
        node_free(server->node);
    }
    for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++) {
        if (server->disks[worker] != NULL)
            server->disks[worker]->operations->destroy(server->disks[worker]);
    }
    identity_unlock(&server->lock);
}

enum end { END_ASKED, END_ANEW, END_FAILED };

/* Tells of the node while it comes to take part: each sentence once. */
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

/* The same process, from the beginning: argv is what it was called with. Returns only where that cannot be. */
static int
start_anew(struct server *server, char **argv)
{
    fprintf(stderr, "cairn: node %s starts anew, to take from the others what it lacks\n",
            server->cluster.names[server->config.self]);
    stop(server);
    close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    cli_exec_self(argv);
    server_pid_remove(&server->cluster, server->config.self);
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

static int
refuse_ring(const struct server *server)
{
    struct cluster_fault fault;
    char detail[512];

    cluster_fault_set(&fault, server->cluster.places[CLUSTER_KEY_TRANSPORT], "a server needs memif or netns",
                      "transport ring joins nodes of one process only");
    cluster_fault_tell(&fault, server->identity.cluster_file, detail, sizeof(detail));
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
    server_pid_remove(&server->cluster, server->config.self);
    stop(server);
    if (status == 0)
        server_identity_leave(&server->identity);
    return status;
}

/* What is refused at a start for this machine, or for what is held here, is refused by --check alike. */
static int
check_only(struct server *server)
{
    char detail[512];
    int status = server_identity_check(&server->identity);

    if (status == 0 && !access_resolve(&server->cluster, &server->config.access, detail, sizeof(detail)))
        status = cli_fail("%s", detail);
    if (status == 0)
        status = server_lcores_choose(&server->lcores, &server->cluster, server->identity.self);
    if (status != 0)
        return status;
    printf("%s: node %s of %u, fine\n", server->identity.cluster_file, server->cluster.names[server->identity.self],
           server->cluster.nodes);
    return cli_end(EXIT_DONE);
}

int
cmd_server(int argc, char **argv)
{
    static struct server server = {.lock = {.name_fd = -1, .directory_fd = -1}};
    const char *cluster_file = NULL, *name = NULL, *idle_name = "sleep";
    bool check = false;
    uint32_t scrub_mib_s = SCRUB_MIB_S;
    const struct cli_option options[] = {
        {"node", OPTION_NODE, &name, "which node of the cluster this is"},
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"check", OPTION_FLAG, &check, "only check the cluster file, against this machine and what the node holds"},
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
    server.identity.cluster = &server.cluster;
    server.identity.cluster_file = cli_cluster_path(cluster_file);
    server.identity.self = self;
    if (server.cluster.transport == TRANSPORT_RING)
        return refuse_ring(&server);
    if (check)
        return check_only(&server);
    if (server.cluster.transport == TRANSPORT_NETNS && (status = netns_enter(name)) != 0)
        return status;
    return run(&server, self, idle, argv - 1);
}
