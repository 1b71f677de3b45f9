/* Is there anything to send? */
#ifndef NODE_UNSENT_H
#define NODE_UNSENT_H

#include "state.h"

bool node_has_unsent(const struct worker *worker, const struct node_log *log);

#endif
