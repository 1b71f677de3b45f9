/* A repeat is the same entry, or it is refused: it is compared with what stands where its name says. */
#ifndef NODE_WORKER_REPEAT_H
#define NODE_WORKER_REPEAT_H

#include "dataplane/store.h"
#include "wire/record.h"

enum repeat {
    REPEAT_SAME,   /* byte by byte */
    REPEAT_OTHER,  /* another entry has its producer and sequence */
    REPEAT_UNSEEN, /* what stands there is not in memory (any more): nobody can tell */
};

/* Only repeats are looked up; what is new costs nothing. position 0: its place is not known. */
enum repeat repeat_compare(const struct store *store, uint64_t position, const struct record *record);

#endif
