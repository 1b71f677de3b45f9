/* Stretches of trunks that are read back from the journal. */
#ifndef NODE_EXCERPTS_H
#define NODE_EXCERPTS_H

#include "state.h"

bool excerpts_init(struct worker *worker);
/* Those that hold no segment now. */
uint32_t excerpts_idle(const struct worker *worker);
void excerpts_fini(struct worker *worker);
void excerpt_done(struct worker *worker, const struct disk_done *done);
/* Where lsn, which is committed, can be read now: the trunk, or what was read from disk. NULL: it is being read. */
const struct store *trunk_at(struct worker *worker, struct node_log *log, uint64_t lsn);

#endif
