#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "cli/values.h"
#include "control/home.h"
#include "control/plain_text.h"
#include "dataplane/disk.h"

/* What others wrote may be in it: a name, a value, a node's word. On a terminal that only shows. */
static void
say(const char *what, va_list arguments)
{
    char *line = NULL, *escaped = NULL;

    fflush(stdout);
    if (vasprintf(&line, what, arguments) >= 0)
        escaped = value_escaped(line);
    fprintf(stderr, "cairn: %s\n", escaped == NULL ? "no memory to say what" : escaped);
    free(escaped);
    free(line);
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

int
cli_open_regular(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat status;

    if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

static int
not_writable(const char *what, const char *path)
{
    return cli_fail("%s %s: cannot be written: %s", what, path,
                    errno == ENXIO ? "nobody reads from it" : strerror(errno));
}

/* A pipe that nobody reads is not waited for. */
static int
open_to_write(const char *path, int flags)
{
    return open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | flags, 0666);
}

int
cli_refuse_unwritable(const char *what, const char *path)
{
    int fd = open_to_write(path, O_APPEND);
    struct stat status;

    if (fd < 0)
        return not_writable(what, path);
    /* A pipe stays open until this process ends: its reader goes once nobody can write to it any more. */
    if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode))
        close(fd);
    return 0;
}

FILE *
cli_open_written(const char *what, const char *path)
{
    int fd = open_to_write(path, O_TRUNC);
    FILE *file = fd < 0 || fcntl(fd, F_SETFL, 0) != 0 ? NULL : fdopen(fd, "w");

    if (file != NULL)
        return file;
    not_writable(what, path);
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* The file that this process executes, by the map of its memory: under an instrument /proc/self/exe is the instrument. */
static bool
is_running(const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    uintptr_t own = (uintptr_t)cli_exec_self;
    char line[PATH_MAX + 128];
    unsigned long from, to, inode;
    unsigned major_number, minor_number;
    struct stat status;
    bool found = false, same = stat(path, &status) == 0;

    while (maps != NULL && same && !found && fgets(line, sizeof(line), maps) != NULL)
        found = sscanf(line, "%lx-%lx %*s %*s %x:%x %lu", &from, &to, &major_number, &minor_number, &inode) == 5 &&
                from <= own && own < to;
    if (maps != NULL)
        fclose(maps);
    return found && status.st_dev == makedev(major_number, minor_number) && status.st_ino == inode;
}

void
cli_exec_self(char *const *argv)
{
    char path[PATH_MAX];
    ssize_t size_bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);

    path[size_bytes < 0 ? 0 : size_bytes] = '\0';
    /* By its own name, as long as that is still the file's: instruments follow no other. The link to a deleted file
     * shows a name that anybody may give to another file. */
    if (is_running(path))
        execv(path, argv);
    execv("/proc/self/exe", argv);
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

void
cli_put(const void *bytes, size_t size_bytes)
{
    const char *text = bytes;
    bool shown = isatty(STDOUT_FILENO);

    for (size_t at = 0; shown && at < size_bytes;) {
        uint32_t rune = 0;
        size_t taken = plain_text_rune(text + at, size_bytes - at, &rune);

        if (taken == 0)
            printf("\\x%02x", (unsigned char)text[at]);
        else if (plain_text_is_control(rune) && rune != '\n' && rune != '\t')
            printf("\\x%02x", (unsigned)rune);
        else
            fwrite(text + at, 1, taken, stdout);
        at += taken == 0 ? 1 : taken;
    }
    if (!shown)
        fwrite(text, 1, size_bytes, stdout);
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
    const char *named = getenv("CAIRN_CLUSTER");

    return given != NULL ? given : named != NULL && named[0] != '\0' ? named : NULL;
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
cli_resolve_directory(struct cluster_config *cluster)
{
    char given[sizeof(cluster->directory)], detail[512];

    memcpy(given, cluster->directory, sizeof(given));
    if (!home_resolve(given, cluster->directory, sizeof(cluster->directory), detail, sizeof(detail)))
        return cli_fail("%s", detail);
    return 0;
}

static int
no_such_node(const struct cluster_config *cluster, const char *name)
{
    char names[CAIRN_NODES_MAX * (CAIRN_NAME_BYTES + 2)] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < cluster->nodes; i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ", cluster->names[i]);
    return cli_usage("no node '%s' in the cluster (its nodes are %s)", name, names);
}

int
cli_node(const struct cluster_config *cluster, const char *name, uint8_t *out)
{
    *out = CAIRN_NODE_NONE;
    if (name == NULL)
        return 0;
    *out = cluster_config_node(cluster, name);
    return *out == CAIRN_NODE_NONE ? no_such_node(cluster, name) : 0;
}

bool
cli_has_journal(const char *directory)
{
    DIR *opened = opendir(directory);
    const struct dirent *entry;
    bool found = false;

    while (opened != NULL && !found && (entry = readdir(opened)) != NULL)
        found = strncmp(entry->d_name, "journal-", strlen("journal-")) == 0;
    if (opened != NULL)
        closedir(opened);
    return found;
}

struct disk *
cli_open_disk(const char *parent, const char *node, uint32_t worker, bool without_uring, char *detail,
              size_t detail_bytes)
{
    char directory[PATH_MAX + CAIRN_NAME_BYTES + 8];
    struct disk *disk = NULL;

    snprintf(directory, sizeof(directory), "%s/%s", parent, node);
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        snprintf(detail, detail_bytes, "directory %s: %s", directory, strerror(errno));
        return NULL;
    }
    if (cli_has_journal(directory)) {
        snprintf(
            detail, detail_bytes,
            "directory %s: its journal is of an older release (take the directory away to recover from the others)",
            directory);
        return NULL;
    }
    snprintf(directory, sizeof(directory), "%s/%s/w%u", parent, node, worker);
    if (disk_machine_open(directory, without_uring, &disk, detail, detail_bytes) == CAIRN_OK && disk->detail[0] != '\0')
        fprintf(stderr, "cairn: no io_uring for the journal: %s\n", disk->detail);
    return disk;
}

uint32_t
cli_logs_at(const json_t *answer, uint32_t worker)
{
    uint32_t count = 0;
    const json_t *row;
    size_t i;

    json_array_foreach (json_object_get(answer, "rows"), i, row)
        count += cli_text(row, "log")[0] != '_' && json_integer_value(json_object_get(row, "worker")) == worker;
    return count;
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
        if (status == 0 && node < CAIRN_NODES_MAX && (*out >> node & 1))
            status = cli_usage("'%s' is named twice in '%s' (once is enough)", word, text);
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

uint64_t
cli_number(const json_t *row, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(row, key));
}

struct session_sockets
cli_sockets(const struct cluster_config *cluster)
{
    struct session_sockets sockets = {.directory = cluster->directory, .nodes = cluster->nodes};

    memcpy(sockets.names, cluster->names, sizeof(sockets.names));
    return sockets;
}

bool
cli_is_lost(const json_t *row, char *text, size_t text_bytes)
{
    const char *log = cli_text(row, "log");

    if (!json_is_true(json_object_get(row, "lost")) || log[0] == '_')
        return false;
    snprintf(
        text, text_bytes,
        "%s is lost: more than half of its voters have forgotten what they held of it ('cairn log adopt %s' says who "
        "holds what, and decides)",
        log, log);
    return true;
}
