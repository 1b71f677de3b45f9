/* The logs of a numbered life. */
#ifndef NODE_START_BEGIN_H
#define NODE_START_BEGIN_H

#include "cairn/cairn.h"
#include "rules/identity.h"

struct node;

/* The logs of a numbered life. The worker hears nothing meanwhile. */
enum cairn_error node_begin(struct node *node, const struct identity *identity, char *detail, size_t detail_bytes);

#endif
