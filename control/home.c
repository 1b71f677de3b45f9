#include "control/home.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static bool
refuse(char *detail, size_t detail_bytes, const char *directory, const char *why, const char *what_to_do)
{
    snprintf(detail, detail_bytes, "directory %s: %s (%s)", directory, why, what_to_do);
    return false;
}

/* Can nobody else replace what is in the directory? In a sticky one everybody renames only their own. */
static bool
is_safe_above(const struct stat *status)
{
    bool writable = (status->st_mode & (S_IWGRP | S_IWOTH)) != 0;

    return (status->st_uid == 0 || status->st_uid == geteuid()) && (!writable || (status->st_mode & S_ISVTX) != 0);
}

/* Of an absolute path without links: is every directory above it safe? */
static bool
are_safe_above(const char *directory)
{
    char path[PATH_BYTES];
    struct stat status;

    assert(directory[0] == '/');
    snprintf(path, sizeof(path), "%s", directory);
    for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
        slash[slash == path] = '\0';
        if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode) || !is_safe_above(&status))
            return false;
        if (slash == path)
            break;
    }
    return true;
}

bool
home_is_own(const char *directory, char *detail, size_t detail_bytes)
{
    char resolved[PATH_BYTES], who[64];
    struct stat status;

    if (lstat(directory, &status) != 0)
        return refuse(detail, detail_bytes, directory, strerror(errno), "give another with --dir, or make it");
    if (!S_ISDIR(status.st_mode))
        return refuse(detail, detail_bytes, directory, "it is no directory", "give another, or take it away");
    snprintf(who, sizeof(who), "it belongs to uid %u, and you are %u", (unsigned)status.st_uid, (unsigned)geteuid());
    if (status.st_uid != geteuid())
        return refuse(detail, detail_bytes, directory, who,
                      "whoever owns it could make the nodes do anything: give another");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refuse(detail, detail_bytes, directory, "others may write to it",
                      "whoever does could make the nodes do anything: chmod go-w, and look at what is in it");
    if (realpath(directory, resolved) == NULL || !are_safe_above(resolved))
        return refuse(detail, detail_bytes, directory, "somebody else may put another in its place",
                      "a directory above it belongs to others, or they may write to it: give another");
    return true;
}

#define LINKS_MAX 40

/* What is left of a path to be walked, and what has been walked of it, which has no links. */
struct walk {
    char done[PATH_BYTES], rest[PATH_BYTES];
    uint32_t links;
};

/* Takes the next name of the rest. false: there is none. */
static bool
take_name(struct walk *walk, char *name)
{
    size_t skipped = strspn(walk->rest, "/"), length = strcspn(walk->rest + skipped, "/");
    snprintf(name, PATH_BYTES, "%.*s", (int)length, walk->rest + skipped);
    memmove(walk->rest, walk->rest + skipped + length, strlen(walk->rest + skipped + length) + 1);
    return length > 0;
}

static void
go_up(struct walk *walk)
{
    char *slash = strrchr(walk->done, '/');

    if (slash != NULL)
        *slash = '\0';
}

/* Puts the link's target before the rest. Whoever may replace the link decides where it leads. */
static const char *
follow(struct walk *walk, const char *link, const struct stat *status)
{
    char target[PATH_BYTES], rest[PATH_BYTES];
    ssize_t size_bytes = readlink(link, target, sizeof(target) - 1);
    struct stat above;

    if (size_bytes < 0)
        return strerror(errno);
    if (++walk->links > LINKS_MAX)
        return strerror(ELOOP);
    if (stat(walk->done[0] == '\0' ? "/" : walk->done, &above) != 0)
        return strerror(errno);
    if ((status->st_uid != 0 && status->st_uid != geteuid()) || !is_safe_above(&above))
        return "a link on the way to it belongs to somebody else, or may be replaced by others";
    target[size_bytes] = '\0';
    memcpy(rest, walk->rest, sizeof(rest));
    if (snprintf(walk->rest, sizeof(walk->rest), "%s/%s", target, rest) >= (int)sizeof(walk->rest))
        return strerror(ENAMETOOLONG);
    if (target[0] == '/')
        walk->done[0] = '\0';
    return NULL;
}

/* Goes one name further. Behind a name that does not exist nothing may follow. NULL, or why that cannot be. */
static const char *
step(struct walk *walk, const char *name)
{
    char path[PATH_BYTES];
    struct stat status;
    bool last = walk->rest[strspn(walk->rest, "/")] == '\0';
    if (strcmp(name, ".") == 0)
        return NULL;
    if (strcmp(name, "..") == 0) {
        go_up(walk);
        return NULL;
    }
    if (snprintf(path, sizeof(path), "%s/%s", walk->done, name) >= (int)sizeof(path))
        return strerror(ENAMETOOLONG);
    if (lstat(path, &status) == 0) {
        if (S_ISLNK(status.st_mode))
            return follow(walk, path, &status);
    } else if (errno != ENOENT || !last) {
        return strerror(errno);
    }
    memcpy(walk->done, path, sizeof(walk->done));
    return NULL;
}

bool
home_resolve(const char *directory, char *out, size_t out_bytes, char *detail, size_t detail_bytes)
{
    static const char what_to_do[] = "give another, by its own path";
    struct walk walk = {.links = 0};
    char name[PATH_BYTES];
    const char *why = NULL;

    if (directory[0] != '/' && getcwd(walk.done, sizeof(walk.done)) == NULL)
        return refuse(detail, detail_bytes, directory, strerror(errno), what_to_do);
    if (walk.done[0] == '/' && walk.done[1] == '\0')
        walk.done[0] = '\0';
    if (snprintf(walk.rest, sizeof(walk.rest), "%s", directory) >= (int)sizeof(walk.rest))
        return refuse(detail, detail_bytes, directory, strerror(ENAMETOOLONG), what_to_do);
    while (why == NULL && take_name(&walk, name))
        why = step(&walk, name);
    if (why == NULL && snprintf(out, out_bytes, "%s", walk.done[0] == '\0' ? "/" : walk.done) >= (int)out_bytes)
        why = strerror(ENAMETOOLONG);
    return why == NULL || refuse(detail, detail_bytes, directory, why, what_to_do);
}

void
home_default(char *path, size_t path_bytes)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char detail[PATH_BYTES];

    if (runtime != NULL && runtime[0] == '/' && strlen(runtime) < path_bytes / 2 &&
        home_is_own(runtime, detail, sizeof(detail)))
        snprintf(path, path_bytes, "%s/cairn-dev", runtime);
    else
        snprintf(path, path_bytes, "/tmp/cairn-dev-%u", (unsigned)geteuid());
}

/* Does the process have the file open? */
static bool
has_open(pid_t pid, const char *file)
{
    char path[64], target[PATH_BYTES];
    bool found = false;
    DIR *descriptors;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    descriptors = opendir(path);
    for (struct dirent *entry; !found && descriptors != NULL && (entry = readdir(descriptors)) != NULL;) {
        ssize_t size = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof(target) - 1);

        target[size < 0 ? 0 : size] = '\0';
        found = strcmp(target, file) == 0;
    }
    if (descriptors != NULL)
        closedir(descriptors);
    return found;
}

static pid_t
noted_pid(const char *directory, const char *node)
{
    char path[PATH_BYTES], text[16] = "", again[16] = "";
    int fd, pid = 0;

    snprintf(path, sizeof(path), "%s/%s.pid", directory, node);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    /* A file that is not, to the byte, what a node writes there is no node's. */
    if (read(fd, text, sizeof(text) - 1) > 0 && sscanf(text, "%d", &pid) == 1)
        snprintf(again, sizeof(again), "%d\n", pid);
    close(fd);
    return pid > 1 && strcmp(text, again) == 0 ? pid : 0;
}

/* A file may outlive the process that it names, whose number may be another's by now: the node's lock is held, and by whoever
 * has it open. */
pid_t
home_runs(const char *directory, const char *node)
{
    char path[PATH_BYTES];
    pid_t pid = noted_pid(directory, node);
    bool held;
    int fd;

    snprintf(path, sizeof(path), "%s/%s.lock", directory, node);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return pid != 0 && held && has_open(pid, path) ? pid : 0;
}

bool
home_is_run_by(const char *directory, const char *node, pid_t pid)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s.lock", directory, node);
    return pid > 1 && has_open(pid, path);
}

#define SECRET_CHARACTERS (HOME_SECRET_BYTES - 1)
#define SECRET_FILE "secret"

static bool
draw_secret(char out[HOME_SECRET_BYTES])
{
    uint8_t bytes[SECRET_CHARACTERS / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    assert(strspn(out, "0123456789abcdef") == SECRET_CHARACTERS);
    return true;
}

static bool
read_secret(int directory, char out[HOME_SECRET_BYTES])
{
    int fd = openat(directory, SECRET_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, out, HOME_SECRET_BYTES); /* with one byte more there is more behind it */

    if (fd >= 0)
        close(fd);
    out[SECRET_CHARACTERS] = '\0';
    return got == SECRET_CHARACTERS && strspn(out, "0123456789abcdef") == SECRET_CHARACTERS;
}

/* Whole or not at all, and never over another's: of several nodes that start at once one is first. */
static bool
write_secret(int directory)
{
    char secret[HOME_SECRET_BYTES], draft[32];
    bool written = false;
    int fd;

    snprintf(draft, sizeof(draft), "draft-%d", (int)getpid());
    unlinkat(directory, draft, 0);
    fd = openat(directory, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (draw_secret(secret) && write(fd, secret, SECRET_CHARACTERS) == SECRET_CHARACTERS && fsync(fd) == 0)
        written = linkat(directory, draft, directory, SECRET_FILE, 0) == 0 || errno == EEXIST;
    close(fd);
    unlinkat(directory, draft, 0);
    return written;
}

bool
home_links_open(const char *directory, struct home_links *out, char *detail, size_t detail_bytes)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/links", directory);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return refuse(detail, detail_bytes, path, strerror(errno), "the links of the nodes of this machine meet there");
    if (!home_is_own(path, detail, detail_bytes))
        return false;
    out->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out->fd < 0 || fchmod(out->fd, 0700) != 0)
        return refuse(detail, detail_bytes, path, strerror(errno), "the links of the nodes of this machine meet there");
    snprintf(out->path, sizeof(out->path), "/proc/self/fd/%d", out->fd);
    if (read_secret(out->fd, out->secret) || (write_secret(out->fd) && read_secret(out->fd, out->secret)))
        return true;
    close(out->fd);
    return refuse(detail, detail_bytes, path, "its file 'secret' cannot be made, or is not what a node wrote there",
                  "stop the cluster's nodes of this machine, and delete it");
}
