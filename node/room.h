/* How much memory data may still take. */
#ifndef NODE_ROOM_H
#define NODE_ROOM_H

#include "store.h"

struct held_branch;
struct worker;

uint32_t segments_free(const struct worker *worker);
bool store_has_room(const struct worker *worker, const struct store *store, size_t size_bytes);
/* What stands on a branch comes again by the trunk before the branch can go: is there room for both? */
bool branch_has_room(const struct worker *worker, const struct held_branch *branch, size_t size_bytes);

#endif
