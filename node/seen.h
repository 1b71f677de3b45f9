/* Which producers' entries stand on a trunk, as filters. */
#ifndef NODE_SEEN_H
#define NODE_SEEN_H

#include "state.h"

/* Does the log's trunk hold the entry somewhere behind lsn? */
bool seen_behind(struct worker *worker, const struct node_log *log, const struct entry_id *id, uint64_t lsn);
void seen_truncate(struct worker *worker, const struct node_log *log, uint64_t from_lsn);

#endif
