/* What durable logs put on the journal. */
#ifndef NODE_DURABLE_H
#define NODE_DURABLE_H

#include "state.h"

bool durable_init(const struct worker *worker, struct node_log *log);
void durable_fini(struct node_log *log);
void durable_state(struct worker *worker, struct node_log *log);
bool durable_park(struct node_log *log, const struct message *message);
void durable_truncated(struct worker *worker, struct node_log *log, uint64_t from_lsn);
void durable_rebased(struct worker *worker, struct node_log *log, uint64_t lsn);
/* What of the branch is settled, on the trunk, need not be written any more; answers that waited for that are given. */
void durable_branch_trimmed(struct worker *worker, struct node_log *log, uint8_t origin, uint64_t place);
void durable_want(struct worker *worker, struct node_log *log);
uint32_t durable_poll(struct worker *worker, uint64_t now_ns);
void durable_write(struct worker *worker, uint64_t now_ns);
void durable_tail(struct worker *worker, struct node_log *log, uint64_t now_ns);
void durable_tick(struct worker *worker, uint64_t now_ns);
/* Towards a stop: writes what is to be written, the ends last. true: all of it is held. */
bool durable_settle(struct worker *worker, uint64_t now_ns);

/* What the entries of a trunk or branch from there on take in the journal, looked at until that is more than most_bytes.
 * UINT64_MAX: they are not all in memory. */
uint64_t durable_bytes(const struct store *store, uint64_t from, uint64_t most_bytes);
/* All of the trunk and of those branches that is to be written, and a tail, in the write that is being filled. false: there is no
 * room for it. */
bool durable_gather(struct worker *worker, struct node_log *log, cairn_node_set branches);

#endif
