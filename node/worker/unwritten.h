/* Which durable logs have something that is not written yet. The worker's, or the starting thread's before it. */
#ifndef NODE_WORKER_UNWRITTEN_H
#define NODE_WORKER_UNWRITTEN_H

#include <stdbool.h>

struct node_log;
struct worker;

/* Of a durable log. */
bool has_unwritten(const struct node_log *log);
/* It is written in this turn. */
void list_unwritten(struct worker *worker, struct node_log *log);
/* Of any log: it is written in this turn, if it is durable and has anything. */
void durable_want(struct worker *worker, struct node_log *log);

#endif
