/* What the last stop left is read. The starting thread's. */
#ifndef NODE_START_CHECKPOINT_READ_H
#define NODE_START_CHECKPOINT_READ_H

#include "cairn/cairn.h"

struct checkpoint_head;
struct journal_scan;
struct worker;

/* What the last stop left, if it is whole and this node's; the caller frees it. NULL: nothing. */
struct checkpoint_head *checkpoint_read(const struct worker *worker);
/* The journal's file that reading goes on in. */
uint64_t checkpoint_file(const struct checkpoint_head *head);
/* Takes it, where the files that it speaks of are there; *from_place: where reading the journal goes on then, else 0. */
enum cairn_error checkpoint_load(struct worker *worker, const struct journal_scan *scan,
                                 const struct checkpoint_head *head, uint64_t *from_place, char *detail,
                                 size_t detail_bytes);

#endif
