/* Is there anything to send? */
#ifndef NODE_WORKER_UNSENT_H
#define NODE_WORKER_UNSENT_H

#include "cairn/cairn.h"

struct node_log;
struct worker;

bool node_has_unsent(const struct worker *worker, const struct node_log *log);

#endif
