/* The last entry that a copy of a log holds: whoever goes on copying looks for it in the log. */
#ifndef CLI_LOG_COPIED_H
#define CLI_LOG_COPIED_H

#include "cli/cli.h"

struct last_copied {
    uint8_t *bytes; /* its payload, and its key behind it, to be freed; NULL: the copy holds none */
    uint32_t payload_bytes;
    uint16_t key_bytes;
    uint64_t seq, hlc, writer;
};

/* Entries are looked at from the copy's end on, further back until there is one, which has to be that writer's. out: zeroed. Returns
 * the exit status, said. */
int last_copied_find(const struct cluster_config *to, const char *as, uint64_t writer, struct last_copied *out);

/* Is it this entry of the log? */
bool last_copied_is(const struct last_copied *last, const struct cairn_result *result);

#endif
