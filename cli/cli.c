#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"

#define OPTIONS_MAX 32

static void
say(const char *what, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "cairn: ");
    vfprintf(stderr, what, arguments);
    fprintf(stderr, "\n");
}

int
cli_fail(const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    say(what, arguments);
    va_end(arguments);
    return EXIT_FAILED;
}

int
cli_usage(const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    say(what, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

uint64_t
cli_now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int
cli_exit_status(enum cairn_error error)
{
    switch (error) {
    case CAIRN_OK:
        return EXIT_DONE;
    case CAIRN_UNKNOWN:
        return EXIT_UNKNOWN;
    case CAIRN_NO_QUORUM:
    case CAIRN_DENIED:
    case CAIRN_NO_LEADER:
    case CAIRN_NOT_LEADER:
    case CAIRN_NOT_MEMBER:
    case CAIRN_RECOVERING:
    case CAIRN_OUT_OF_ORDER:
    case CAIRN_TIMEOUT:
    case CAIRN_BEHIND:
        return EXIT_REFUSED;
    default:
        return EXIT_FAILED;
    }
}

static const char *
kind_argument(enum option_kind kind)
{
    static const char *const names[] = {
        [OPTION_FLAG] = "",
        [OPTION_TEXT] = " TEXT",
        [OPTION_U64] = " N",
        [OPTION_U32] = " N",
        [OPTION_ACK] = " local|majority|all",
        [OPTION_POLICY] = " cp|ap|adaptive|ca",
        [OPTION_DENY] = " writes|reads|both",
        [OPTION_LEVEL] = " stale|session|lease|linearizable",
    };

    return names[kind];
}

static void
show_usage(const char *usage, const struct cli_option *options)
{
    printf("usage: cairn %s\n", usage);
    for (; options->name != NULL; options++) {
        char left[64];

        snprintf(left, sizeof(left), "--%s%s", options->name, kind_argument(options->kind));
        printf("  %-28s %s\n", left, options->help);
    }
}

bool
cli_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;

    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out <= most;
}

static bool
set_option(const struct cli_option *option, const char *text)
{
    uint64_t number;

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)option->value = true;
        return true;
    case OPTION_TEXT:
        *(const char **)option->value = text;
        return true;
    case OPTION_U64:
        return cli_number(text, UINT64_MAX, option->value);
    case OPTION_U32:
        if (!cli_number(text, UINT32_MAX, &number))
            return false;
        *(uint32_t *)option->value = (uint32_t)number;
        return true;
    case OPTION_ACK:
        return cairn_ack_parse(text, option->value);
    case OPTION_POLICY:
        return cairn_policy_parse(text, option->value);
    case OPTION_DENY:
        return cairn_deny_parse(text, option->value);
    case OPTION_LEVEL:
        return cairn_read_level_parse(text, option->value);
    }
    return false;
}

bool
cli_with_unit(const char *text, const char *const *units, const uint64_t *scales, uint64_t *out)
{
    char *end;
    unsigned long long number;
    uint64_t scale = 1;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (*end != '\0') {
        uint32_t unit = 0;

        while (units[unit] != NULL && strcmp(units[unit], end) != 0)
            unit++;
        if (units[unit] == NULL)
            return false;
        scale = scales[unit];
    }
    *out = number * scale;
    return number <= INT64_MAX / scale;
}

/* For getopt: one long option each, its index as the value, and --help. */
static int
fill_options(const struct cli_option *options, struct option *out)
{
    int count = 0;

    for (; count < OPTIONS_MAX - 2 && options[count].name != NULL; count++)
        out[count] = (struct option){options[count].name, options[count].kind != OPTION_FLAG, NULL, 1000 + count};
    out[count] = (struct option){"help", 0, NULL, 'h'};
    out[count + 1] = (struct option){NULL, 0, NULL, 0};
    return count;
}

bool
cli_parse(int argc, char **argv, const char *usage, const struct cli_option *options, int min, int max, int *first,
          int *status)
{
    struct option table[OPTIONS_MAX];
    int found;

    fill_options(options, table);
    opterr = 0;
    optind = 1;
    while ((found = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        const char *given = optind > 0 ? argv[optind - 1] : "?";

        if (found == 'h') {
            show_usage(usage, options);
            *status = cli_end(EXIT_DONE);
            return false;
        }
        if (found == '?' || found == ':') {
            *status = cli_usage("%s: %s '%s' (see 'cairn %s --help')", argv[0],
                                found == '?' ? "unknown option" : "a value is missing after", given, argv[0]);
            return false;
        }
        if (!set_option(&options[found - 1000], optarg)) {
            *status = cli_usage("%s: --%s does not take '%s' (expected%s)", argv[0], options[found - 1000].name, optarg,
                                kind_argument(options[found - 1000].kind));
            return false;
        }
    }
    *first = optind;
    if (argc - optind < min || argc - optind > max) {
        *status = cli_usage("%s: %s (usage: cairn %s)", argv[0],
                            argc - optind < min ? "an argument is missing" : "too many arguments", usage);
        return false;
    }
    return true;
}

void
cli_row(json_t *row)
{
    json_dumpf(row, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(row);
}

bool
cli_output_alive(void)
{
    return !ferror(stdout);
}

int
cli_end(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "cairn: standard output cannot be written: %s (is its reader gone, or the disk full?)\n",
            errno != 0 ? strerror(errno) : "broken pipe");
    return EXIT_FAILED;
}

const char *
cli_cluster_path(const char *given)
{
    return given != NULL ? given : getenv("CAIRN_CLUSTER");
}

int
cli_cluster(const char *path, struct cluster_config *out)
{
    char detail[512];

    path = cli_cluster_path(path);
    if (path == NULL)
        return cli_usage("no cluster named: give --cluster FILE or set CAIRN_CLUSTER ('cairn dev' prints it)");
    if (cluster_config_load(path, out, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    return 0;
}

int
cli_node(const struct cluster_config *cluster, const char *name, uint8_t *out)
{
    *out = CAIRN_NODE_NONE;
    if (name == NULL)
        return 0;
    *out = cluster_config_node(cluster, name);
    return *out == CAIRN_NODE_NONE ? cli_usage("no node '%s' in the cluster file", name) : 0;
}

struct disk *
cli_open_disk(const char *parent, const char *node, bool without_uring, char *detail, size_t detail_bytes)
{
    char directory[PATH_MAX + CAIRN_NAME_BYTES];
    struct disk *disk = NULL;

    snprintf(directory, sizeof(directory), "%s/%s", parent, node);
    if (disk_machine_open(directory, without_uring, &disk, detail, detail_bytes) == CAIRN_OK && disk->detail[0] != '\0')
        fprintf(stderr, "cairn: no io_uring for the journal: %s\n", disk->detail);
    return disk;
}

const json_t *
cli_log_row(const json_t *answer, const char *log)
{
    json_t *row;
    size_t i;

    json_array_foreach (json_object_get(answer, "rows"), i, row) {
        if (strcmp(cli_text(row, "log"), log) == 0)
            return row;
    }
    return NULL;
}

cairn_node_set
cli_set_of(const struct cluster_config *cluster, const json_t *names)
{
    const json_t *name;
    cairn_node_set set = 0;
    size_t i;

    json_array_foreach (names, i, name) {
        uint8_t node = json_is_string(name) ? cluster_config_node(cluster, json_string_value(name)) : CAIRN_NODE_NONE;

        if (node != CAIRN_NODE_NONE)
            set |= (cairn_node_set)1 << node;
    }
    return set;
}

int
cli_nodes(const struct cluster_config *cluster, const char *text, cairn_node_set *out)
{
    char *copy = strdup(text == NULL ? "" : text), *rest = NULL;
    int status = copy == NULL ? cli_fail("no memory") : 0;

    *out = 0;
    for (char *word = strtok_r(copy, ", ", &rest); word != NULL && status == 0; word = strtok_r(NULL, ", ", &rest)) {
        uint8_t node;

        status = cli_node(cluster, word, &node);
        *out |= status == 0 && node < CAIRN_NODES_MAX ? (cairn_node_set)1 << node : 0;
    }
    free(copy);
    return status;
}

const char *
cli_text(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text == NULL ? "" : text;
}

struct session_sockets
cli_sockets(const struct cluster_config *cluster)
{
    struct session_sockets sockets = {.directory = cluster->directory, .nodes = cluster->nodes};

    memcpy(sockets.names, cluster->names, sizeof(sockets.names));
    return sockets;
}
