/* One log's entries in memory: the trunk (positions are lsns, dense) or a branch (positions are
 * origin sequences, rising). Blocks of records in segments of a pool.
 *
 * Threads: the worker that owns the log. */
#ifndef DATAPLANE_STORE_H
#define DATAPLANE_STORE_H

#include "dataplane/segment.h"

struct store {
    struct segment_pool *pool;
    struct segment **segments; /* ring of pool->count places */
    uint32_t head, tail;       /* [head, tail) */
    uint32_t mask;
    uint32_t generation; /* changes when positions that a cursor may stand on go away */
    bool open;           /* the last block may still grow */
    uint64_t last;       /* highest position, 0: empty */
    uint64_t entries, bytes;
};

/* A place to read from, kept by the reader; find it with store_seek(). */
struct cursor {
    uint64_t position; /* of the record it stands before */
    uint32_t segment, block, record, offset_bytes, generation;
    const struct store *store; /* that it stands in */
    bool placed;
};

/* What a cursor finds: consecutive records of one block. */
struct stretch {
    const struct block *block;
    const uint8_t *records;
    uint64_t first; /* position of the first */
    uint32_t index; /* of the first in its block */
    uint32_t count;
    uint32_t size_bytes;
    uint32_t segment_id;
};

/* Places for as many segments as the pool has. false: out of memory. */
bool store_init(struct store *store, struct segment_pool *pool);
void store_fini(struct store *store);

/* Where size_bytes of records of a new block may be written before they are appended; NULL: full.
 * Valid until the next call that changes the store. */
uint8_t *store_stage(struct store *store, size_t size_bytes);

/* Appends head->count records of head->size_bytes, copied, or in place where records is what
 * store_stage() gave. Joins the block before while that is open and continues it. false: full. */
bool store_append(struct store *store, const struct block *head, const void *records);

/* No record joins the last block any more. */
void store_seal(struct store *store);

/* Forgets position `from` and all after it; forgets whole segments below position `below`. */
void store_truncate(struct store *store, uint64_t from);
void store_trim(struct store *store, uint64_t below);
/* The first segment alone, if all of it is below. */
void store_trim_one(struct store *store, uint64_t below);

/* Gives everything up; the next record stands after position `last`. */
void store_reset(struct store *store, uint64_t last);

/* The segment that a stretch lies in. */
struct segment *store_segment(const struct store *store, const struct stretch *stretch);

/* The first segment; NULL: none. */
const struct segment *store_front(const struct store *store);

/* The lowest position held; 0: empty. */
uint64_t store_first(const struct store *store);

/* Stands before the first record at or after position; false where there is none. */
bool store_seek(const struct store *store, struct cursor *cursor, uint64_t position);

/* The records at the cursor, at most count_max of them and size_max bytes, but at least one record;
 * only up to position `last`. false: nothing there (yet). Does not move the cursor. */
bool store_look(const struct store *store, struct cursor *cursor, uint64_t last, uint32_t count_max, size_t size_max,
                struct stretch *out);

/* Moves past what store_look() found. */
void store_advance(struct cursor *cursor, const struct stretch *stretch);

/* What a chain digest takes of each record. */
struct digest_input {
    uint64_t seq;
    uint32_t crc32c, incarnation;
    uint8_t origin;
};
uint64_t digest_step(uint64_t digest, const struct digest_input *input);

/* Goes on with a chain digest over records: their checksums and origins, in order. */
uint64_t digest_extend(uint64_t digest, const struct stretch *stretch);

#endif
