/* The life that begins is kept before it promises anything. */
#include "node/start/keep.h"

#include <assert.h>

#include "node/state.h"
#include "node/worker/worker.h"

bool
node_keep_life(struct node *node, bool begun, char *detail, size_t detail_bytes)
{
    struct identity *identity = &node->introduction.begun;

    assert(identity->life.number > 0 && identity->life.number == node->incarnation);
    assert(identity->self == node->self);
    for (uint8_t number = 0; number < node->workers_count; number++) {
        /* A life that may promise something has a place in each journal. */
        assert(!begun || node->workers[number]->began_place != PLACE_UNKNOWN);
        if (node->workers[number]->began_place != PLACE_UNKNOWN)
            identity_begin(identity, number, node->workers[number]->began_place);
    }
    identity->begun = begun;
    return node->config.keep == NULL || node->config.keep(node->config.keep_context, identity, detail, detail_bytes);
}
