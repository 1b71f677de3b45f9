/* Who waits for an answer until something is settled. */
#ifndef NODE_PENDING_H
#define NODE_PENDING_H

#include "state.h"

/* entries: a power of two. false: out of memory. */
bool pending_ring_init(struct pending_ring *ring, uint32_t entries);
void answer_kept(struct worker *worker, struct node_log *log, struct pending *pending, uint32_t incarnation,
                 uint64_t seq, bool repeated);
/* Up to where the trunk is settled for whoever asked for that level. */
uint64_t settled_lsn(const struct node_log *log, enum cairn_ack ack);
/* Is there a place for one more that waits, of this client? */
bool waits_room(const struct node_log *log, const struct attachment *attachment);
void waits_push(struct worker *worker, struct node_log *log, const struct pending *pending);
/* The client has left. */
void waits_drop(struct worker *worker, const struct attachment *attachment);
void pending_committed(struct worker *worker, struct node_log *log);
void pending_relax(struct worker *worker, struct node_log *log);
void pending_deposed(struct worker *worker, struct node_log *log);
void pending_held(struct worker *worker, struct node_log *log);
void pending_fail(struct worker *worker, struct node_log *log);

#endif
