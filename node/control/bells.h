/* The bells of this node's peers on the same machine: memory that each hands over to whoever runs it (the admin socket's
 * `bell`), so that what is sent there wakes it. The control thread asks for them, and for a new one where another life of
 * the peer is heard; no step waits. */
#ifndef NODE_CONTROL_BELLS_H
#define NODE_CONTROL_BELLS_H

#include <stdint.h>

#include "cairn/types.h"
#include "client/call.h"
#include "wire/doorbell.h"

struct node;

struct bells {
    struct peer_bell {
        struct call call;      /* under way; zeroed: none is */
        struct cairn_id life;  /* whose bell that is; not set: there is none */
        struct doorbell *bell; /* mapped; NULL: none */
        uint64_t due_ns, wait_ns;
    } of[CAIRN_WORKERS_MAX][CAIRN_NODES_MAX]; /* for what each worker sends */
};

/* Control thread, in its turn. */
void bells_step(struct node *node, uint64_t now_ns);

/* Nothing polls the node any more. */
void bells_end(struct node *node);

#endif
