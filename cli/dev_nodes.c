#include "cli/dev_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/netns.h"
#include "control/home.h"

#define READY_NS 20000000000u
#define STOP_NS 5000000000u

static void
nap(long ns)
{
    struct timespec pause = {.tv_nsec = ns};

    nanosleep(&pause, NULL);
}

/* The kernel says whether a child still runs; a node that is no child holds its lock as long as it runs. */
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

int
dev_nodes_stop(const struct dev *dev)
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

int
dev_nodes_start_caretaker(struct dev *dev)
{
    int ends[2];
    char byte;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return cli_fail("a pipe cannot be made: %s", strerror(errno));
    pid = fork();
    if (pid < 0)
        return cli_fail("a process cannot be started: %s", strerror(errno));
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
    dev_nodes_stop(dev);
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

int
dev_nodes_start(struct dev *dev)
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

int
dev_nodes_wait_ready(const struct dev *dev)
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

int
dev_nodes_watch(struct dev *dev, const sigset_t *signals)
{
    struct timespec tick = {.tv_nsec = 200000000};

    for (;;) {
        int got = sigtimedwait(signals, NULL, &tick);

        if (got == SIGINT || got == SIGTERM || got == SIGHUP)
            return dev_nodes_stop(dev);
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
