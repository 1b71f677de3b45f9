/* Blocks of durable logs are put on the journal. The worker's, or the starting thread's before it. */
#ifndef NODE_WORKER_WRITES_H
#define NODE_WORKER_WRITES_H

#include "dataplane/store.h"

struct node_log;
struct worker;

/* Whatever is listed as unwritten, as far as there is room, and hands it to the disk. */
void durable_write(struct worker *worker, uint64_t now_ns);
/* Where the trunk ends so far in the journal, and the state. false: there is no room for it. */
bool write_tail(struct worker *worker, struct node_log *log);

/* What the entries of a trunk or branch from there on take in the journal, looked at until that is more than most_bytes.
 * UINT64_MAX: they are not all in memory. */
uint64_t durable_bytes(const struct store *store, uint64_t from, uint64_t most_bytes);
/* All of the trunk and of those branches that is to be written, and a tail, in the write that is being filled. false: there is no
 * room for it. */
bool durable_gather(struct worker *worker, struct node_log *log, cairn_node_set branches);

#endif
