/* What happened, for people; and its digest, by which two runs are the same or are not. */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sim;

enum trace_kind {
    TRACE_SEND,
    TRACE_DELIVER,
    TRACE_LOST,
    TRACE_EVENT,
    TRACE_FAULT,
    TRACE_ROLE,
    TRACE_CLIENT,
    TRACE_NOTE,
};

struct trace_row {
    uint64_t at_ns, term, a, b;
    uint32_t log;
    uint8_t kind, node, peer, type;
    char text[88];
};

struct trace {
    struct trace_row *rows; /* a ring, or all of them where everything is kept */
    uint64_t count, capacity;
    bool keep_all;
    uint64_t digest;
};

void trace_add(struct sim *sim, enum trace_kind kind, uint8_t node, uint8_t peer, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void trace_frame(struct sim *sim, enum trace_kind kind, uint8_t node, uint8_t peer, const uint8_t *frame,
                 uint32_t size_bytes);
void trace_print(const struct sim *sim, FILE *out, uint64_t last_rows);
/* As a page where path says so. Closes out. */
bool trace_write(const struct sim *sim, const char *path, FILE *out);

#endif
