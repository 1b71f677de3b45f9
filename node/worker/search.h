/* Entries that are repeated are looked for. */
#ifndef NODE_WORKER_SEARCH_H
#define NODE_WORKER_SEARCH_H

#include "node/attachment.h"
#include "replication/core.h"

struct node_log;
struct store;
struct worker;

/* Where an entry stands on the trunk or branch, looked for from there on; 0: nowhere. A walk. */
uint64_t node_find_entry(const struct store *store, const struct entry_id *id, uint64_t from);
/* *place: where the entry stands on the trunk, or on the own branch, looked for from there on; 0: nowhere in memory. false: the
 * client's share of this turn is used up, the next one goes on from there. */
bool search_entry(struct worker *worker, struct attachment *attachment, const struct node_log *log, bool on_branch,
                  const struct entry_id *id, uint64_t from, uint64_t *place);

#endif
