#include "control/draft.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 16

/* By a name that nobody has. What another writer, or a process that was killed, left there is left alone. -1: errno says why. */
static int
draft_open(const char *path, mode_t mode, char *draft)
{
    int fd = -1;

    for (int tries = 0; tries < TRIES && fd < 0; tries++) {
        uint32_t drawn;

        if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
            return -1;
        if (snprintf(draft, PATH_MAX, "%s.new-%08x", path, (unsigned)drawn) >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

bool
draft_fill(int fd, const void *bytes, size_t size_bytes)
{
    size_t done_bytes = 0;

    while (done_bytes < size_bytes) {
        ssize_t done = pwrite(fd, (const char *)bytes + done_bytes, size_bytes - done_bytes, (off_t)done_bytes);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        done_bytes += (size_t)done;
        assert(done_bytes <= size_bytes);
    }
    return fsync(fd) == 0;
}

/* errno is what it was. */
static void
give_up(const char *draft)
{
    int error = errno;

    unlink(draft);
    errno = error;
}

bool
draft_write(const char *path, const void *bytes, size_t size_bytes, mode_t mode, char *draft)
{
    int fd = draft_open(path, mode, draft), error;

    if (fd < 0)
        return false;
    error = draft_fill(fd, bytes, size_bytes) ? 0 : errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0)
        return true;
    errno = error;
    give_up(draft);
    return false;
}

bool
draft_publish(const char *path, const char *draft)
{
    if (rename(draft, path) == 0)
        return true;
    give_up(draft);
    return false;
}

static void
directory_of(const char *path, char *directory)
{
    char *slash;

    snprintf(directory, PATH_MAX, "%s", path);
    slash = strrchr(directory, '/');
    if (slash == NULL)
        snprintf(directory, PATH_MAX, ".");
    else
        slash[slash == directory] = '\0';
}

bool
draft_settle(const char *path)
{
    char directory[PATH_MAX];
    bool settled;
    int fd;

    directory_of(path, directory);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    settled = fsync(fd) == 0;
    close(fd);
    return settled;
}

/* No file takes a directory's place. In a sticky directory, as /tmp, only a file's owner may put another in its place. */
static bool
may_be_replaced(const char *path)
{
    char directory[PATH_MAX];
    struct stat there, above;
    uid_t self = geteuid();

    if (lstat(path, &there) != 0)
        return errno == ENOENT;
    directory_of(path, directory);
    if (S_ISDIR(there.st_mode))
        errno = EISDIR;
    else if (stat(directory, &above) != 0)
        return false;
    else if ((above.st_mode & S_ISVTX) == 0 || self == 0 || self == there.st_uid || self == above.st_uid)
        return true;
    else
        errno = EPERM;
    return false;
}

bool
draft_is_possible(const char *path)
{
    char draft[PATH_MAX];
    int fd = draft_open(path, 0600, draft);

    if (fd < 0)
        return false;
    close(fd);
    unlink(draft);
    return may_be_replaced(path);
}
