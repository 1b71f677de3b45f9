/* A log takes no new entries any more, and all that it has taken are committed. */
#ifndef CLI_LOG_SEAL_H
#define CLI_LOG_SEAL_H

#include <signal.h>

#include "cli/cli.h"

/* From now on the log takes new entries of nobody, on all its members and in whatever lives they have later, since the producer
 * `writer` copies it. *last_lsn: of what was taken before, which all members hold; nothing is left of any branch. Refused, before
 * anything is done, where a member does not answer: it may have accepted something alone. Given up where *interrupted. Returns the
 * exit status, said. */
int log_seal(const struct cluster_config *cluster, const char *log, uint64_t writer,
             const volatile sig_atomic_t *interrupted, uint64_t *last_lsn);

/* Is it still so? The last lsn now, which only what is nobody's entry has moved. The exit status, said. */
int log_sealed_up_to(const struct cluster_config *cluster, const char *log, uint64_t writer, uint64_t *last_lsn);

#endif
