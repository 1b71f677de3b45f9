#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cairn/types.h"

/* Room for the longest line, its newline, and as much again to read ahead. */
#define BUFFER_BYTES (2u * CAIRN_PAYLOAD_BYTES_MAX + 65536u)

bool
lines_open(struct lines *lines, const char *name, bool whole)
{
    struct stat status;

    memset(lines, 0, sizeof(*lines));
    lines->name = name;
    lines->whole = whole;
    lines->fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (lines->fd < 0 || fstat(lines->fd, &status) != 0 || S_ISDIR(status.st_mode)) {
        snprintf(lines->detail, sizeof(lines->detail),
                 "cannot be read: %s (give a readable file, or - for standard "
                 "input)",
                 lines->fd < 0 ? strerror(errno) : "it is a directory");
        return false;
    }
    lines->buffer = malloc(BUFFER_BYTES);
    if (lines->buffer == NULL)
        snprintf(lines->detail, sizeof(lines->detail), "no memory to read it");
    return lines->buffer != NULL;
}

void
lines_close(struct lines *lines)
{
    free(lines->buffer);
    if (lines->fd > STDIN_FILENO)
        close(lines->fd);
}

/* More bytes behind those not given out yet. */
static enum lines_status
read_more(struct lines *lines)
{
    struct pollfd input = {.fd = lines->fd, .events = POLLIN};
    ssize_t got;

    if (lines->start > 0 && lines->used + 65536 > BUFFER_BYTES) {
        memmove(lines->buffer, lines->buffer + lines->start, lines->used - lines->start);
        lines->used -= lines->start;
        lines->start = 0;
    }
    if (poll(&input, 1, 0) == 0)
        return LINES_PAUSE;
    got = read(lines->fd, lines->buffer + lines->used, BUFFER_BYTES - lines->used);
    if (got < 0) {
        snprintf(lines->detail, sizeof(lines->detail), "cannot be read: %s", strerror(errno));
        return LINES_ERROR;
    }
    lines->ended = got == 0;
    lines->used += (size_t)got;
    return LINES_LINE;
}

static enum lines_status
give(struct lines *lines, size_t size_bytes, bool terminated, struct line *out)
{
    if (size_bytes > CAIRN_PAYLOAD_BYTES_MAX && lines->whole) {
        snprintf(lines->detail, sizeof(lines->detail), "it is longer than 1 MiB, the limit of an entry");
        return LINES_ERROR;
    }
    if (size_bytes > CAIRN_PAYLOAD_BYTES_MAX) {
        snprintf(lines->detail, sizeof(lines->detail), "line %llu is longer than 1 MiB, the limit of an entry",
                 (unsigned long long)lines->number + 1);
        return LINES_ERROR;
    }
    *out = (struct line){
        .bytes = lines->buffer + lines->start,
        .size_bytes = size_bytes,
        .terminated = terminated,
        .number = ++lines->number,
    };
    lines->start += size_bytes + terminated;
    return LINES_LINE;
}

enum lines_status
lines_next(struct lines *lines, struct line *out)
{
    for (;;) {
        size_t ready = lines->used - lines->start;
        const char *end = lines->whole ? NULL : memchr(lines->buffer + lines->start, '\n', ready);
        enum lines_status status;

        if (end != NULL)
            return give(lines, (size_t)(end - (lines->buffer + lines->start)), true, out);
        if (lines->ended) {
            if (ready == 0 && (!lines->whole || lines->gave_whole))
                return LINES_END;
            lines->gave_whole = true;
            return give(lines, ready, false, out);
        }
        if (ready > CAIRN_PAYLOAD_BYTES_MAX)
            return give(lines, ready, false, out); /* too long: says so */
        status = read_more(lines);
        if (status != LINES_LINE)
            return status;
    }
}
