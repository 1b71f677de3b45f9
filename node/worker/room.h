/* How much memory data may still take. */
#ifndef NODE_WORKER_ROOM_H
#define NODE_WORKER_ROOM_H

#include "dataplane/store.h"

struct held_branch;
struct node_log;
struct worker;

enum room { ROOM_YES, ROOM_LATER, ROOM_NONE };

uint32_t segments_free(const struct worker *worker);
/* For what a client appends to a trunk here. If this node is deposed, what is not committed may have to be copied to branches:
 * ROOM_LATER where the free segments would not take that. */
enum room append_room(const struct worker *worker, const struct node_log *log, size_t size_bytes);
/* For what comes to a trunk from its leader, or from branches. */
bool trunk_has_room(const struct worker *worker, const struct node_log *log, size_t size_bytes);
/* For what a start reads: it may take more room now than it did when it was written. */
bool restore_has_room(const struct worker *worker, const struct store *store, size_t size_bytes);
/* For what a start then copies to the own branch. */
bool restore_can_keep(const struct worker *worker, uint64_t size_bytes);
/* What stands on a branch comes again by the trunk before the branch can go: is there room for both? */
bool branch_has_room(const struct worker *worker, const struct held_branch *branch, size_t size_bytes);

#endif
