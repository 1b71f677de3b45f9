#include "cli/server_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/draft.h"
#include "control/home.h"
#include "control/identity_file.h"

#define LOCK_SAY_NS 400000000u
#define PID_PATH_BYTES 384u

static void
pid_path(const struct cluster_config *cluster, uint8_t self, char *out)
{
    snprintf(out, PID_PATH_BYTES, "%s/%s.pid", cluster->directory, cluster->names[self]);
}

int
server_pid_write(const struct cluster_config *cluster, uint8_t self)
{
    char path[PID_PATH_BYTES], draft[PATH_MAX], text[16];
    int text_bytes = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    pid_path(cluster, self, path);
    if (!draft_write(path, text, (size_t)text_bytes, 0600, draft) || !draft_publish(path, draft))
        return cli_fail("%s: cannot be written: %s", path, strerror(errno));
    return 0;
}

/* A process that is just ending leaves its lock in a moment; where it does not, a line says that it is waited for. */
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

/* The directory to which the links of its path lead now is meant as long as the node runs. */
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

int
server_directory_take(struct cluster_config *cluster, uint8_t self, struct identity_lock *held)
{
    char detail[512];
    int status = take_directory(cluster);

    if (status != 0)
        return status;
    say_lock_waits(cluster, self);
    if (identity_lock(cluster->directory, cluster->names[self], held, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    return 0;
}

void
server_pid_remove(const struct cluster_config *cluster, uint8_t self)
{
    char path[PID_PATH_BYTES];

    pid_path(cluster, self, path);
    unlink(path);
}
