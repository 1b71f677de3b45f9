/* cairn dev: a cluster of separate processes on this machine, to develop against. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "home.h"
#include "identity_file.h"
#include "netns.h"

#define READY_NS 20000000000u
#define STOP_NS 5000000000u
#define NODES_DEFAULT 3u
#define NODES_MAX 9u

struct dev {
    struct cluster_config cluster;
    char file[320];
    const char *idle;
    uint32_t metrics_port; /* of the first node, the next has the next; 0: none */
    bool allow_faults, detach, stop, json, nodes_given;
    int alive; /* its other end closes when this process ends, however it does; -1: nobody looks */
    pid_t pids[CAIRN_NODES_MAX];
};

static void
nap(long ns)
{
    struct timespec pause = {.tv_nsec = ns};

    nanosleep(&pause, NULL);
}

/* A child is asked of the kernel; whose child it is not holds the node's lock as long as it runs. */
static bool
still_runs(const struct dev *dev, uint32_t node, pid_t pid)
{
    pid_t waited;

    if (pid <= 0)
        return false;
    waited = waitpid(pid, NULL, WNOHANG);
    if (waited >= 0)
        return waited == 0;
    return home_is_run_by(dev->cluster.directory, dev->cluster.names[node], pid);
}

static int
stop_all(const struct dev *dev)
{
    uint64_t end_ns = cli_now_ns() + STOP_NS;
    pid_t pids[CAIRN_NODES_MAX];
    uint32_t running = 0;

    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        pids[i] = dev->pids[i] > 0 ? dev->pids[i] : home_runs(dev->cluster.directory, dev->cluster.names[i]);
        if (still_runs(dev, i, pids[i]))
            kill(pids[i], SIGTERM);
        else
            pids[i] = 0;
    }
    do {
        running = 0;
        for (uint32_t i = 0; i < dev->cluster.nodes; i++)
            running += still_runs(dev, i, pids[i]);
        if (running > 0)
            nap(10000000);
    } while (running > 0 && cli_now_ns() < end_ns);
    for (uint32_t i = 0; running > 0 && i < dev->cluster.nodes; i++) {
        if (still_runs(dev, i, pids[i]))
            kill(pids[i], SIGKILL);
    }
    if (dev->cluster.transport == TRANSPORT_NETNS)
        netns_remove(&dev->cluster);
    return EXIT_DONE;
}

/* Takes nodes and namespaces away when this process has ended without doing so. */
static int
start_caretaker(struct dev *dev)
{
    int ends[2];
    char byte;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return cli_fail("no pipe to be had: %s", strerror(errno));
    pid = fork();
    if (pid < 0)
        return cli_fail("no process to be had: %s", strerror(errno));
    if (pid > 0) {
        close(ends[0]);
        dev->alive = ends[1];
        return 0;
    }
    setsid();
    close(ends[1]);
    for (int fd = 0; fd < 3; fd++)
        dup2(open("/dev/null", O_RDWR), fd);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    stop_all(dev);
    _exit(0);
}

static void
child(const struct dev *dev, uint32_t node)
{
    char log[384], port[16];
    char *arguments[] = {(char *)(uintptr_t) "cairn",
                         (char *)(uintptr_t) "server",
                         (char *)(uintptr_t) "--node",
                         (char *)(uintptr_t)dev->cluster.names[node],
                         (char *)(uintptr_t) "--cluster",
                         (char *)(uintptr_t)dev->file,
                         (char *)(uintptr_t) "--idle",
                         (char *)(uintptr_t)dev->idle,
                         NULL,
                         NULL,
                         NULL,
                         NULL};
    int count = 8;
    int fd, nothing = open("/dev/null", O_RDONLY);

    if (dev->allow_faults)
        arguments[count++] = (char *)(uintptr_t) "--allow-faults";
    if (dev->metrics_port != 0) {
        snprintf(port, sizeof(port), "%u", dev->metrics_port + node);
        arguments[count++] = (char *)(uintptr_t) "--metrics";
        arguments[count++] = port;
    }
    snprintf(log, sizeof(log), "%s/%s.log", dev->cluster.directory, dev->cluster.names[node]);
    fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd >= 0) {
        dup2(nothing, 0);
        dup2(fd, 1);
        dup2(fd, 2);
    }
    closefrom(3);
    if (dev->detach)
        setsid();
    else
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    cli_exec_self(arguments);
    _exit(127);
}

static int
start_all(struct dev *dev)
{
    fflush(stdout);
    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        dev->pids[i] = fork();
        if (dev->pids[i] < 0)
            return cli_fail("a process for %s cannot be made: %s", dev->cluster.names[i], strerror(errno));
        if (dev->pids[i] == 0)
            child(dev, i);
    }
    return 0;
}

/* What a node that ended at its start said last. */
static int
tell_why(const struct dev *dev, uint32_t node)
{
    char path[384], line[512], last[512] = "";
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.log", dev->cluster.directory, dev->cluster.names[node]);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        snprintf(last, sizeof(last), "%s", line);
    if (file != NULL)
        fclose(file);
    last[strcspn(last, "\n")] = '\0';
    return cli_fail("node %s ended at its start: %s (its log is %s)", dev->cluster.names[node],
                    strncmp(last, "cairn: ", 7) == 0 ? last + 7 : last, path);
}

/* A node is ready when it reaches all others and every log has a leader, or waits for a decision. */
static bool
node_ready(const struct dev *dev, uint8_t node)
{
    char detail[256];
    json_t *answer = cli_ask(&dev->cluster, node, json_pack("{s:s}", "cmd", "status"), detail, sizeof(detail)), *row;
    bool ready = json_array_size(json_object_get(answer, "reach")) == dev->cluster.nodes;
    size_t i;

    json_array_foreach (json_object_get(answer, "rows"), i, row)
        ready = ready && (json_is_string(json_object_get(row, "leader")) || json_is_true(json_object_get(row, "lost")));
    json_decref(answer);
    return ready;
}

/* Logs in memory of nodes that keep the others on disk. */
static void
tell_lost(const struct dev *dev)
{
    char detail[384];
    json_t *answer = cli_ask(&dev->cluster, 0, json_pack("{s:s}", "cmd", "status"), detail, sizeof(detail)), *row;
    size_t i;

    json_array_foreach (json_object_get(answer, "rows"), i, row) {
        if (cli_is_lost(row, detail, sizeof(detail)))
            fprintf(stderr, "cairn: %s\n", detail);
    }
    json_decref(answer);
}

static int
wait_ready(const struct dev *dev)
{
    uint64_t end_ns = cli_now_ns() + READY_NS;
    uint8_t node = 0;

    while (node < dev->cluster.nodes) {
        for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
            if (waitpid(dev->pids[i], NULL, WNOHANG) == dev->pids[i])
                return tell_why(dev, i);
        }
        if (node_ready(dev, node)) {
            node++;
            continue;
        }
        if (cli_now_ns() > end_ns)
            return cli_fail("node %s is not ready after 20 s (its log is %s/%s.log)", dev->cluster.names[node],
                            dev->cluster.directory, dev->cluster.names[node]);
        nap(5000000);
    }
    tell_lost(dev);
    return 0;
}

/* Until a signal comes. A node that ends meanwhile is told; the others go on. */
static int
watch(struct dev *dev, const sigset_t *signals)
{
    struct timespec tick = {.tv_nsec = 200000000};

    for (;;) {
        int got = sigtimedwait(signals, NULL, &tick);

        if (got == SIGINT || got == SIGTERM || got == SIGHUP)
            return stop_all(dev);
        for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
            if (dev->pids[i] > 0 && waitpid(dev->pids[i], NULL, WNOHANG) == dev->pids[i]) {
                fprintf(stderr,
                        "cairn: node %s (pid %d) has ended; 'cairn server --node %s --cluster %s' starts it "
                        "again\n",
                        dev->cluster.names[i], (int)dev->pids[i], dev->cluster.names[i], dev->file);
                dev->pids[i] = 0;
            }
        }
    }
}

static uint32_t
default_memory_mib(uint32_t nodes)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t mib = (bytes >> 20) / (2ull * nodes);

    return mib < 64 ? 64 : mib > 65536 ? 65536 : (uint32_t)mib;
}

static int
make_directory(const char *given, char *out, size_t out_bytes)
{
    char path[200], resolved[4096], detail[4400];
    struct stat status;

    if (given == NULL)
        home_default(path, sizeof(path));
    else if (snprintf(path, sizeof(path), "%s", given) >= (int)sizeof(path))
        return cli_fail("directory %s: longer than %zu bytes", given, sizeof(path) - 1);
    if (given == NULL && lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
        return cli_fail(
            "directory %s: it is a link, and anybody may have made it (take it away, or give another with --dir)",
            path);
    if (!home_resolve(path, resolved, sizeof(resolved), detail, sizeof(detail)))
        return cli_fail("%s", detail);
    if (strlen(resolved) > 80)
        return cli_fail("directory %s: its whole path must be at most 80 bytes, for the sockets in it", path);
    if (mkdir(resolved, 0700) != 0 && errno != EEXIST)
        return cli_fail("directory %s: %s (give another with --dir)", resolved, strerror(errno));
    if (!home_is_own(resolved, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    snprintf(out, out_bytes, "%s", resolved);
    return 0;
}

/* An empty directory never means that the cluster is new: who emptied it may have emptied the wrong one. */
static int
any_has_state(const struct dev *dev)
{
    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        char path[384];

        snprintf(path, sizeof(path), "%s/%s/identity", dev->cluster.directory, dev->cluster.names[i]);
        if (access(path, F_OK) == 0)
            return 0;
    }
    return cli_fail("directory %s: it has a cluster file, but none of its nodes has any state left (bring their "
                    "directories back, or remove %s to begin a new cluster)",
                    dev->cluster.directory, dev->file);
}

/* The cluster file of a durable one is left as it is: its nodes' journals belong to it. */
static int
go_on(struct dev *dev, const struct cluster_config *before, bool durability_given)
{
    char detail[512];
    int status;

    if (durability_given && dev->cluster.durability != CAIRN_DISK)
        return cli_fail("directory %s: it holds a durable cluster (give another with --dir, or remove it)",
                        dev->cluster.directory);
    if (before->nodes != dev->cluster.nodes && dev->nodes_given)
        return cli_fail("directory %s: its cluster has %u nodes, not %u (leave --nodes out, or give another --dir)",
                        dev->cluster.directory, before->nodes, dev->cluster.nodes);
    if (dev->cluster.workers != 0 && dev->cluster.workers != cluster_workers(before))
        return cli_fail("directory %s: its nodes have %u workers, not %u (leave --workers out, or give another --dir)",
                        dev->cluster.directory, cluster_workers(before), dev->cluster.workers);
    dev->cluster = *before;
    if ((status = cli_resolve_directory(&dev->cluster)) != 0 || (status = any_has_state(dev)) != 0)
        return status;
    return home_is_own(dev->cluster.directory, detail, sizeof(detail)) ? 0 : cli_fail("%s", detail);
}

/* All of its nodes' first lives: nothing here was a cluster before. */
static int
found_cluster(const struct dev *dev)
{
    struct agreed agreed = cluster_agreed(&dev->cluster);
    struct identity identities[CAIRN_NODES_MAX];
    char detail[512];

    if (!identity_draw_cluster(&agreed, identities))
        return cli_fail("the kernel has no random bits for a new cluster: %s", strerror(errno));
    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        if (identity_save(dev->cluster.directory, dev->cluster.names[i], &identities[i], detail, sizeof(detail)) !=
            CAIRN_OK)
            return cli_fail("%s", detail);
    }
    return 0;
}

/* Who may be a client is what somebody wrote into the file. */
static void
keep_clients(struct dev *dev, const struct cluster_config *before)
{
    dev->cluster.client_users_count = before->client_users_count;
    memcpy(dev->cluster.client_users, before->client_users, sizeof(dev->cluster.client_users));
    memcpy(dev->cluster.client_group, before->client_group, sizeof(dev->cluster.client_group));
}

/* A new id each time for a cluster in memory: what the nodes held ended with them, so nothing of a former run may
 * be taken for this one's. One on disk goes on as what it was. */
static int
make_cluster(struct dev *dev, uint32_t memory_mib, bool durability_given)
{
    struct cluster_config before;
    char detail[512];
    bool known = access(dev->file, F_OK) == 0;

    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        snprintf(dev->cluster.names[i], sizeof(dev->cluster.names[i]), "n%u", i + 1);
        if (home_runs(dev->cluster.directory, dev->cluster.names[i]) != 0)
            return cli_fail("a cluster is running in %s ('cairn dev --stop --dir %s' ends it)", dev->cluster.directory,
                            dev->cluster.directory);
    }
    if (known && cluster_config_load(dev->file, &before, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if (known && before.durability == CAIRN_DISK)
        return go_on(dev, &before, durability_given);
    if (known)
        fprintf(stderr,
                "cairn: the cluster that ran in %s kept its logs in memory: they ended with it, this one "
                "starts empty\n",
                dev->cluster.directory);
    if (known)
        keep_clients(dev, &before);
    if (getrandom(&dev->cluster.id, sizeof(dev->cluster.id), 0) != sizeof(dev->cluster.id))
        dev->cluster.id = (uint32_t)cli_now_ns();
    dev->cluster.memory_mib = memory_mib != 0 ? memory_mib : default_memory_mib(dev->cluster.nodes);
    dev->cluster.auto_create = true;
    if (cluster_config_save(dev->file, &dev->cluster, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    return found_cluster(dev);
}

/* A line for the shell, which takes a path with nothing special in it as it is. */
static void
print_export(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%";

    fputs("export CAIRN_CLUSTER=", stdout);
    if (path[strspn(path, plain)] == '\0') {
        printf("%s\nready\n", path);
        return;
    }
    putchar('\'');
    for (; *path != '\0'; path++) {
        if (*path == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*path);
    }
    puts("'\nready");
}

static int
run(struct dev *dev)
{
    sigset_t signals;
    int status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    if (dev->cluster.transport == TRANSPORT_NETNS && (status = netns_make(&dev->cluster)) != 0)
        return status;
    if (dev->cluster.transport == TRANSPORT_NETNS && !dev->detach && (status = start_caretaker(dev)) != 0)
        return status;
    status = start_all(dev);
    /* After the children, which take signals as they come. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (status == 0)
        status = wait_ready(dev);
    if (status != 0) {
        stop_all(dev);
        return status;
    }
    if (dev->json)
        cli_row(json_pack("{s:s,s:s}", "cluster", dev->file, "state", "ready"));
    else
        print_export(dev->file);
    status = cli_end(EXIT_DONE);
    if (dev->detach && status == EXIT_DONE)
        return status;
    return status != EXIT_DONE ? (stop_all(dev), status) : watch(dev, &signals);
}

static int
stop_there(struct dev *dev)
{
    char detail[512];
    int status;

    if (cluster_config_load(dev->file, &dev->cluster, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if ((status = cli_resolve_directory(&dev->cluster)) != 0)
        return status;
    return home_is_own(dev->cluster.directory, detail, sizeof(detail)) ? stop_all(dev) : cli_fail("%s", detail);
}

int
cmd_dev(int argc, char **argv)
{
    static struct dev dev = {.idle = "sleep"};
    const char *directory = NULL, *transport = "memif", *durability = NULL, *profile = "shared";
    uint32_t nodes = 0, memory_mib = 0, clock_bound_ms = 0;
    const struct cli_option options[] = {
        {"nodes", OPTION_U32, &nodes, "how many; default 3", .min = 1, .max = NODES_MAX},
        {"dir", OPTION_FILE, &directory,
         "where its files are; default cairn-dev in XDG_RUNTIME_DIR, else /tmp/cairn-dev-UID"},
        {"transport", OPTION_WORD, &transport,
         "default memif; netns: a network namespace for each node, whose links can be cut (root)",
         .unit = "memif|netns"},
        {"durability", OPTION_WORD, &durability, "default memory; disk: what a directory holds goes on as it is",
         .unit = "memory|disk"},
        {"profile", OPTION_WORD, &profile, "heartbeat and timeout; default shared", .unit = "shared|dedicated|wan"},
        {"clock-bound-ms", OPTION_U32, &clock_bound_ms, "how far wall clocks may be apart; default 60000",
         .min = CLOCK_BOUND_MIN_NS / 1000000, .max = CLOCK_BOUND_MAX_NS / 1000000, .unit = "ms"},
        {"workers", OPTION_U32, &dev.cluster.workers, "of each node, among which its logs are shared out; default 1",
         .min = 1, .max = CAIRN_WORKERS_MAX},
        {"memory-mib", OPTION_U32, &memory_mib, "for the logs of each node; default: half the machine's, shared",
         .min = MEMORY_MIB_MIN, .max = MEMORY_MIB_MAX, .unit = "MiB"},
        {"idle", OPTION_WORD, &dev.idle, "what nodes do between turns; default sleep, which adapts",
         .unit = "sleep|yield|spin"},
        {"metrics", OPTION_U32, &dev.metrics_port,
         "each node serves /metrics for Prometheus: n1 on this port of this machine, n2 on the next, ...", .min = 1,
         .max = 65535},
        {"allow-faults", OPTION_FLAG, &dev.allow_faults, "let 'cairn fault' in"},
        {"detach", OPTION_FLAG, &dev.detach, "return when it is ready"},
        {"stop", OPTION_FLAG, &dev.stop, "end the one that runs in --dir",
         .apart =
             "nodes|transport|durability|profile|clock-bound-ms|workers|memory-mib|idle|metrics|allow-faults|detach"},
        {"json", OPTION_FLAG, &dev.json, "a JSON row when it is ready"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"dev", "", 0, 0, .options = options};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    dev.nodes_given = nodes != 0;
    if (nodes == 0)
        nodes = NODES_DEFAULT;
    if (dev.metrics_port + nodes - 1 > 65535)
        return cli_usage(
            "dev: --metrics does not take '%u' (expected a port from 1 to %u, as each of %u nodes has one)",
            dev.metrics_port, 65536 - nodes, nodes);
    cluster_transport_parse(transport, &dev.cluster.transport);
    if (durability != NULL)
        cairn_durability_parse(durability, &dev.cluster.durability);
    cluster_profile_parse(profile, &dev.cluster.profile);
    dev.cluster.clock_bound_ms = clock_bound_ms;
    dev.cluster.nodes = nodes;
    if ((status = make_directory(directory, dev.cluster.directory, sizeof(dev.cluster.directory))) != 0)
        return status;
    snprintf(dev.file, sizeof(dev.file), "%s/cluster.yaml", dev.cluster.directory);
    if (dev.stop)
        return stop_there(&dev);
    if ((status = make_cluster(&dev, memory_mib, durability != NULL)) != 0)
        return status;
    return run(&dev);
}
