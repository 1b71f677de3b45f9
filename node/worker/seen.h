/* Which producers' entries stand on a trunk, as filters. */
#ifndef NODE_WORKER_SEEN_H
#define NODE_WORKER_SEEN_H

#include "replication/core.h"

struct node_log;
struct worker;

/* Which producers' entries stand on lsns first to last of a trunk, as a filter: seen.c. */
#define SEEN_WORDS 16384u
#define SEEN_MAX 4u
struct seen {
    const struct node_log *log; /* NULL: of none */
    uint64_t first, last, used;
    uint32_t entries;
    uint64_t words[SEEN_WORDS];
};

/* Does the log's trunk hold the entry somewhere behind lsn? */
bool seen_behind(struct worker *worker, const struct node_log *log, const struct entry_id *id, uint64_t lsn);
void seen_truncate(struct worker *worker, const struct node_log *log, uint64_t from_lsn);

#endif
