/* Where in the journal an lsn of a trunk is to be found. */
#ifndef NODE_WORKER_INDEX_H
#define NODE_WORKER_INDEX_H

#include "dataplane/segment.h"

struct node_log;

/* So many cuts a log has at most. */
#define CUTS_MAX (64u << 10)

/* Where a segment began that is in memory no more: the trunk may begin there. */
struct cut {
    uint64_t first_lsn, hlc_before, digest_before, bytes_before;
};

/* Where a trunk's entries are in the journal: some of them. */
struct log_index {
    struct {
        uint64_t lsn, place;
    } * items;
    uint32_t count;
    bool due; /* the next block has an item, however near the last one */
    struct cut *cuts;
    uint32_t cuts_first, cuts_count;
    uint64_t evicted_bytes; /* ever */
};

bool index_init(struct log_index *index);
void index_fini(struct log_index *index);
void index_note(struct log_index *index, uint64_t lsn, uint64_t place);
void index_truncate(struct log_index *index, uint64_t from_lsn);
/* The item that lsn is found from; count: none. */
uint32_t index_find(const struct log_index *index, uint64_t lsn);
bool index_load(struct log_index *index, const void *items, uint32_t items_count, const void *cuts, uint32_t cuts_count,
                uint64_t last_lsn);
/* The segment leaves memory: the trunk may begin behind it. */
void note_cut(struct log_index *index, const struct segment *segment);

/* Where to look from for the trunk's first entry with that clock or a later one: no such entry is before, and not many
 * others are behind. Entries of branches come with the clock of when they were accepted, so those that follow need not
 * be later. */
uint64_t trunk_since(const struct node_log *log, uint64_t hlc);

#endif
