/* One entry's bytes: the same in the client, on the wire, in memory, on disk and at the reader.
 * docs/format.md is the description. Little-endian; records are padded to 8 bytes.
 *
 * Records are accepted in blocks; what is common to a block's records stands once, in its header. */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "assert_costly.h"
#include "cairn/types.h"

struct record {
    uint32_t payload_bytes;
    uint32_t crc32c; /* over everything after this field but the padding, which is zero */
    uint64_t producer;
    uint64_t producer_seq;
    uint16_t key_bytes;
    uint8_t kind;   /* enum entry_kind of the core */
    uint8_t flags;  /* RECORD_ */
    uint32_t epoch; /* of the producer: a higher one fences off whoever still uses a lower */
    /* key, then payload, then zeroes up to a multiple of 8 */
};

#define RECORD_UNTERMINATED 1u /* the last line of a file that does not end in a newline */

struct block {
    uint64_t term;      /* trunk only */
    uint64_t first_lsn; /* on a branch: the origin sequence of the first record */
    uint64_t first_seq; /* origin sequence of the first record */
    uint64_t fork_lsn;  /* the trunk position it was accepted after */
    uint64_t hlc;       /* hybrid logical clock at the origin: wall-clock ns, bumped to stay rising; of the first
                           record: each further one's is higher by 1 */
    uint64_t trunk_hlc; /* the trunk's own clock when its leader put it there, rising from entry to entry in the same
                           way; 0: on a branch */
    uint32_t count;
    uint32_t size_bytes; /* of the records */
    uint32_t incarnation;
    uint8_t origin;
    uint8_t kind;
    uint16_t flags; /* BLOCK_ */
    /* In a journal, of the trunk: the term of the entry before the first. Of a branch: the place before, 0 where
     * all that was before is on the trunk. */
    uint64_t prev;
};

/* fork_lsn of an entry that a leader put on the trunk itself: it was written after the one before. */
#define FORK_TRUNK UINT64_MAX

/* Its hlc was further ahead than the cluster's bound when it came to the trunk, as the leader saw it. */
#define BLOCK_CLOCK_DOUBTFUL 1u

_Static_assert(sizeof(struct record) == 32, "records are read by others");
_Static_assert(sizeof(struct block) == 72, "blocks are read by others");
_Static_assert(sizeof(struct record) % 8 == 0 && sizeof(struct block) % 8 == 0, "what follows is aligned");
_Static_assert(CAIRN_KEY_BYTES_MAX <= UINT16_MAX, "record.key_bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is used in place");

#define RECORD_BYTES_MAX (sizeof(struct record) + CAIRN_KEY_BYTES_MAX + CAIRN_PAYLOAD_BYTES_MAX)
_Static_assert(RECORD_BYTES_MAX % 8 == 0, "the largest has no padding");

static inline size_t
record_bytes(size_t key_bytes, size_t payload_bytes)
{
    return (sizeof(struct record) + key_bytes + payload_bytes + 7) & ~(size_t)7;
}

/* Length of a record as it stands; not validated. */
static inline size_t
record_size(const struct record *record)
{
    return record_bytes(record->key_bytes, record->payload_bytes);
}

static inline const uint8_t *
record_payload(const struct record *record)
{
    return (const uint8_t *)(record + 1) + record->key_bytes;
}

/* Builds a record in `out` (record_bytes() of room, 8-byte aligned): copies key and payload, adds
 * padding and checksum. */
void record_build(struct record *out, const struct record *head, const void *key, const void *payload);

/* Is there one whole, sane record at the front of size_bytes? Lengths only: 0 where not, else its
 * size. Safe on hostile bytes. */
size_t record_measure(const void *bytes, size_t size_bytes);

/* Does the checksum match? The record must have been measured. */
bool record_intact(const struct record *record);

#endif
