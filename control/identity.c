#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static enum cairn_error
refuse(char *detail, size_t detail_bytes, const char *path, const char *what)
{
    snprintf(detail, detail_bytes, "%s: %s: %s", path, what, strerror(errno));
    return CAIRN_IO;
}

/* 0 where the node has never started in this cluster. */
static enum cairn_error
read_count(const char *path, uint32_t cluster, uint32_t *count, char *detail, size_t detail_bytes)
{
    unsigned known_cluster = 0, known = 0;
    FILE *file = fopen(path, "re");

    *count = 0;
    if (file == NULL)
        return errno == ENOENT ? CAIRN_OK : refuse(detail, detail_bytes, path, "cannot be read");
    if (fscanf(file, "cluster %x starts %u", &known_cluster, &known) != 2) {
        fclose(file);
        snprintf(detail, detail_bytes,
                 "%s: damaged: it should read 'cluster ID starts N' (remove it only if this "
                 "node has never acknowledged anything)",
                 path);
        return CAIRN_CORRUPT;
    }
    fclose(file);
    if (known_cluster == cluster)
        *count = known;
    return CAIRN_OK;
}

/* A new file takes the old one's place, so that a crash leaves one of them whole. */
static enum cairn_error
write_count(const char *path, uint32_t cluster, uint32_t count, char *detail, size_t detail_bytes)
{
    char fresh[512];
    FILE *file;
    bool written;

    snprintf(fresh, sizeof(fresh), "%s.new", path);
    file = fopen(fresh, "we");
    if (file == NULL)
        return refuse(detail, detail_bytes, fresh, "cannot be written");
    written = fprintf(file, "cluster %08x starts %u\n", cluster, count) > 0 && fflush(file) == 0 &&
              fsync(fileno(file)) == 0;
    if (fclose(file) != 0 || !written || rename(fresh, path) != 0)
        return refuse(detail, detail_bytes, path, "cannot be written");
    return CAIRN_OK;
}

/* A process that was killed while its disk was writing keeps the lock until that has ended. */
static bool
lock(int fd)
{
    struct timespec pause = {.tv_nsec = 10000000};

    for (int tries = 0; tries < 200; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

enum cairn_error
identity_take(const char *directory, const char *node, uint32_t cluster, struct identity *out, char *detail,
              size_t detail_bytes)
{
    char path[384];
    enum cairn_error error;

    snprintf(path, sizeof(path), "%s/%s.lock", directory, node);
    out->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (out->lock_fd < 0)
        return refuse(detail, detail_bytes, path, "cannot be opened");
    if (!lock(out->lock_fd)) {
        snprintf(detail, detail_bytes, "node %s is in use: it is running already in %s (stop that one first)", node,
                 directory);
        close(out->lock_fd);
        return CAIRN_IO;
    }
    snprintf(path, sizeof(path), "%s/%s.incarnation", directory, node);
    error = read_count(path, cluster, &out->incarnation, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = write_count(path, cluster, ++out->incarnation, detail, detail_bytes);
    if (error != CAIRN_OK)
        close(out->lock_fd);
    return error;
}

void
identity_release(struct identity *identity)
{
    close(identity->lock_fd);
}
