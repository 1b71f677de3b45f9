/* How a node does, as it tells others; who is better off; and how long it waits for others, in words. */
#ifndef NODE_HEALTH_H
#define NODE_HEALTH_H

#include <stddef.h>

#include "codec.h"
#include "detector.h"

struct node;

/* Worker: for the next heartbeat. */
struct wire_health health_told(const struct node *node);

/* Why this node waits so long for others; "" where it waits as long as was agreed. Any thread. */
void health_why(const struct node *node, const struct detector_patience *patience, char *text, size_t text_bytes);

#endif
