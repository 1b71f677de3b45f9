/* cairn log copy: a log goes to another cluster, live, and at the switch producers follow it. */
#ifndef CLI_LOG_COPY_H
#define CLI_LOG_COPY_H

#include "cli/cli.h"

struct log_copy {
    const struct cluster_config *from, *to; /* two clusters, or one, and then */
    const char *log, *as;                   /* two names */
    uint64_t worker;                        /* that the copy gets; LOG_WORKER_ANY */
    bool switches, json;
};

/* Copies what is committed, in its order and with keys and clocks, and goes on until a signal ends it, or the switch. A copy that
 * was ended goes on where it stopped. Returns the exit status, said. */
int log_copy(const struct log_copy *given);

#endif
