/* A log takes no new entries any more, and all that it has taken are committed. */
#ifndef CLI_LOG_SEAL_H
#define CLI_LOG_SEAL_H

#include "cli.h"

/* From now on the log takes new entries of the producer `writer` alone, on all its members and in whatever lives they have
 * later. *last_lsn: of what was taken before; nothing is on any branch. Refused, before anything is done, where a member does
 * not answer: it may have accepted something alone. Returns the exit status, said. */
int log_seal(const struct cluster_config *cluster, const char *log, uint64_t writer, uint64_t *last_lsn);

#endif
