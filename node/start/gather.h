/* A start without space leaves no file behind each time. */
#ifndef NODE_START_GATHER_H
#define NODE_START_GATHER_H

#include "cairn/cairn.h"

struct worker;

struct journal_scan;

/* At a start without space: what the last small files hold is written into the reserve, which gets its name with that, and
 * they go. */
enum cairn_error gather(struct worker *worker, const struct journal_scan *scan, char *detail, size_t detail_bytes);

#endif
