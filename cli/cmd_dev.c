/* cairn dev: a cluster of separate processes on this machine, to develop against. */
#include <signal.h>
#include <string.h>

#include "cli/dev_cluster.h"
#include "cli/dev_nodes.h"
#include "cli/netns.h"
#include "control/home.h"

#define NODES_DEFAULT 3u
#define NODES_MAX 9u

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
    if (dev->cluster.transport == TRANSPORT_NETNS && !dev->detach && (status = dev_nodes_start_caretaker(dev)) != 0)
        return status;
    status = dev_nodes_start(dev);
    /* After the children, which take signals as they come. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (status == 0)
        status = dev_nodes_wait_ready(dev);
    if (status != 0) {
        dev_nodes_stop(dev);
        return status;
    }
    if (dev->json)
        cli_row(json_pack("{s:s,s:s}", "cluster", dev->file, "state", "ready"));
    else
        print_export(dev->file);
    status = cli_end(EXIT_DONE);
    if (dev->detach && status == EXIT_DONE)
        return status;
    return status != EXIT_DONE ? (dev_nodes_stop(dev), status) : dev_nodes_watch(dev, &signals);
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
    return home_is_own(dev->cluster.directory, detail, sizeof(detail)) ? dev_nodes_stop(dev) : cli_fail("%s", detail);
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
    if ((status = dev_cluster_directory(&dev, directory)) != 0)
        return status;
    if (dev.stop)
        return stop_there(&dev);
    if ((status = dev_cluster_make(&dev, memory_mib, durability != NULL)) != 0)
        return status;
    return run(&dev);
}
