/* Settling a repeat that the log's table of producers tells nothing of any more: by the log itself. */
#ifndef CLI_APPEND_LOOK_UP_H
#define CLI_APPEND_LOOK_UP_H

#include "cli/cli.h"

/* An unknown result whose producer was forgotten becomes an acknowledged one where the log shows its entry, with its
 * bytes not compared; else it stays. Reads the whole log, as far as *left_ns allows, and takes its time from that. */
void append_look_up(const struct cluster_config *cluster, const char *log, struct session_result *result,
                    uint64_t *left_ns);

#endif
