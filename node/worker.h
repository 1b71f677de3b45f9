/* A worker of a node. */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "cairn/cairn.h"

struct node;
struct worker;

/* Makes the worker of that number, and its ports where the transport is memif; nothing polls it yet. *out is to be given
 * back also where this fails. */
enum cairn_error worker_create(struct node *node, uint8_t number, struct worker **out, char *detail,
                               size_t detail_bytes);

/* In this order, once nothing polls it any more, with its logs given back between the two. NULL: nothing. */
void worker_close(struct worker *worker);
void worker_free(struct worker *worker);

#endif
