/* cairn: one binary, a command each. To add one: a row here, a line in cli.h and in meson.build, a file cmd_NAME.c. */
#include <signal.h>
#include <string.h>

#include "cli/cli.h"

static const struct command commands[] = {
    {"demo", "a cluster inside this process: replicates a file, cuts a node off, heals, verifies", cmd_demo},
    {"dev", "a cluster of separate processes on this machine", cmd_dev},
    {"server", "one node of a cluster", cmd_server},
    {"cluster", "bootstrap, show, set, add, remove, recover: that a cluster comes to be, and what its nodes agree on",
     cmd_cluster},
    {"log", "create, set, trim, adopt, list: the logs and their policies", cmd_log},
    {"member", "add, remove, promote, replace nodes of a log, transfer leadership", cmd_member},
    {"append", "append lines to a log", cmd_append},
    {"read", "read a log", cmd_read},
    {"tail", "read a log and follow it", cmd_tail},
    {"view", "a log by key, with what was written apart resolved", cmd_view},
    {"status", "what every log is doing on every node", cmd_status},
    {"top", "rates and latencies, live", cmd_top},
    {"events", "what the nodes saw and decided, and why", cmd_events},
    {"fault", "inject partitions and lossy links", cmd_fault},
    {"inspect", "what a stopped node's journal holds, and what of it is damaged", cmd_inspect},
    {"sim", "production nodes in virtual time, under faults, checked", cmd_sim},
    {"bench", "latency and throughput, beside the raw transport", cmd_bench},
};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

static void
show_help(FILE *out)
{
    fprintf(out,
            "cairn: a replicated log whose data path never enters the kernel\n\nusage: cairn COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n'cairn COMMAND --help' tells more. Start with 'cairn demo', then 'cairn dev'.\n");
}

int
main(int argc, char **argv)
{
    /* A reader that went away is an error to report, not a reason to die of. */
    signal(SIGPIPE, SIG_IGN);
    /* So is a file that is as large as this process may make it: like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        show_help(stderr);
        return EXIT_USAGE;
    }
    if ((strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--version") == 0) &&
        argc > 2)
        return cli_usage("%s takes no argument ('%s')", argv[1], argv[2]);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-h") == 0) {
        show_help(stdout);
        return cli_end(EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("cairn %s\n", CAIRN_VERSION);
        return cli_end(EXIT_DONE);
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    return cli_usage("unknown command '%s' (see 'cairn --help')", argv[1]);
}
