/* The life that begins is kept. */
#ifndef NODE_START_KEEP_H
#define NODE_START_KEEP_H

#include "rules/identity.h"

struct node;

/* Keeps the life that begins, with where its journal goes on. begun: from now on it may promise something, and a start that
 * does not find its journal has forgotten. Not begun: what is there is the journal up to it, whatever becomes of this start. */
bool node_keep_life(struct node *node, bool begun, char *detail, size_t detail_bytes);

#endif
