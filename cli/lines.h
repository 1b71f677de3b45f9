/* Lines of a file or a pipe, of any bytes, up to an entry's limit. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    const char *name;
    int fd;
    bool whole; /* one line: all there is */
    char *buffer;
    size_t start, used, size_bytes;
    bool ended, gave_whole;
    uint64_t number;
    char detail[160];
};

struct line {
    const char *bytes; /* valid until the next call */
    size_t size_bytes; /* without the newline */
    bool terminated;   /* there was one */
    uint64_t number;   /* from 1 */
};

enum lines_status { LINES_LINE, LINES_PAUSE, LINES_END, LINES_ERROR };

/* name "-": standard input. false: detail says why. */
bool lines_open(struct lines *lines, const char *name, bool whole);
/* LINES_PAUSE: nothing to be had without waiting. */
enum lines_status lines_next(struct lines *lines, struct line *out);
void lines_close(struct lines *lines);

#endif
