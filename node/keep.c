/* The life that begins is kept before it promises anything. */
#include "keep.h"

#include "state.h"

bool
node_keep_life(struct node *node, bool begun, char *detail, size_t detail_bytes)
{
    struct identity *identity = &node->introduction.begun;

    identity_begin(identity, node->workers[0]->began_place);
    identity->begun = begun;
    return node->config.keep == NULL || node->config.keep(node->config.keep_context, identity, detail, detail_bytes);
}
