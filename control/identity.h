/* What a node keeps in its directory across starts: how often it has started. */
#ifndef CONTROL_IDENTITY_H
#define CONTROL_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "cairn/error.h"

struct identity {
    int lock_fd;          /* held while the node runs */
    uint32_t incarnation; /* of this start, from 1 */
};

/* Locks DIR/NODE.lock and counts this start in DIR/NODE.incarnation, durably, before anything is
 * sent in its name. Fails where the node is running already. */
enum cairn_error identity_take(const char *directory, const char *node, uint32_t cluster, struct identity *out,
                               char *detail, size_t detail_bytes);
void identity_release(struct identity *identity);

#endif
