/* The metrics endpoint: GET /metrics over HTTP, for Prometheus and whatever reads its text format. A thread of its own serves
 * it, so that a slow reader costs the node nothing. */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include <stddef.h>

#include "cairn/error.h"

struct metrics;

struct metrics_source {
    /* The text to answer with, which the server frees; NULL: none can be had now. Called by the server's thread. */
    char *(*text)(void *context, size_t *size_bytes);
    void *context;
};

/* Listens at `address`: PORT (of the loopback interface), HOST:PORT or [HOST]:PORT, the host as a number. On failure detail
 * says why; CAIRN_INVALID: it is no such address. */
enum cairn_error metrics_start(const char *address, const struct metrics_source *source, struct metrics **out,
                               char *detail, size_t detail_bytes);

/* Ends it, and the answers under way. */
void metrics_stop(struct metrics *metrics);

#endif
