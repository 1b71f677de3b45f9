/* What a stop leaves so that the next start need not read the journal. */
#ifndef NODE_WORKER_CHECKPOINT_H
#define NODE_WORKER_CHECKPOINT_H

#include "cairn/cairn.h"

struct worker;

/* Of a node that has settled, once nothing polls it any more. false: there is none. */
bool checkpoint_write(struct worker *worker);
/* From the control thread, or at a start: no start begins with what was left before. false: it may yet. */
bool checkpoint_discard(struct worker *worker);
#endif
