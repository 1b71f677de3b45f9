/* What the nodes of a cluster agree on changes while they run (control/agreed.h has the rules): an entry of the catalog is
 * applied by the control thread, which makes room for who joins and publishes what is in force; the worker takes it over,
 * and tells of it once it is kept. */
#ifndef NODE_AGREE_H
#define NODE_AGREE_H

#include <jansson.h>

#include "agreed.h"
#include "identity.h"

struct node;
struct worker;
struct node_log;
struct snapshot;

/* Control thread: the logs begin, with what is in force by what the node kept of itself. */
void agree_begin(struct node *node, const struct identity *identity);

/* Control thread: an entry of the catalog about it. true: next has what is in force from now on. */
bool agree_apply(struct node *node, uint64_t lsn, const json_t *entry, struct snapshot *next);

/* Worker: takes over what the snapshot has. */
void agree_adopt(struct worker *worker, const struct snapshot *snapshot, uint64_t now_ns);

/* Worker: a log that was not there before goes by what is in force here. */
void agree_welcome_log(const struct worker *worker, struct node_log *log);

/* Worker, now and then: a longer timeout counts once it is kept; promises of the one before run out. */
void agree_beat(struct worker *worker, uint64_t now_ns);

#endif
