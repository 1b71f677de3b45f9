/* A checkpoint's bytes: docs/format.md. */
#ifndef NODE_WORKER_CHECKPOINT_FORMAT_H
#define NODE_WORKER_CHECKPOINT_FORMAT_H

#include <stdint.h>

#define CHECKPOINT_NAME "checkpoint"
#define CHECKPOINT_MAGIC "CAIRNCP1"
#define CHECKPOINT_VERSION 2u

struct checkpoint_head {
    char magic[8];
    uint32_t version;
    uint32_t crc32c; /* over all that follows it */
    uint32_t cluster, incarnation;
    uint64_t size_bytes; /* of the file */
    uint64_t oldest_number, from_place;
    uint32_t logs, node;
};

/* Followed by its rows: terms, marks, producers, items of the index, cuts; then blocks with their records. */
struct checkpoint_log {
    uint32_t log, voted_for;
    uint64_t term;
    uint64_t lsn, base_term, producer_floor, marks_lsn, members, digest; /* what is committed */
    uint64_t first_lsn_before, term_before, digest_before;               /* of the trunk's beginning */
    uint64_t hlc, tail_place, base_place, evicted_bytes, content_bytes;
    uint32_t terms, marks, producers, items, cuts, reserved;
};

struct checkpoint_mark {
    uint64_t seq;
    uint32_t incarnation, origin;
};

_Static_assert(sizeof(struct checkpoint_head) == 56, "on disk");
_Static_assert(sizeof(struct checkpoint_log) == 152, "on disk");

#endif
