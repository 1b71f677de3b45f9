/* Messages between nodes as bytes: docs/protocol.md. Decoded in place, with every bound checked;
 * knows nothing of ports.
 *
 * A message is a header, a body whose form the type gives, and, in MESSAGE_APPEND, MESSAGE_LEND, MESSAGE_HAND_OFF and
 * MESSAGE_SPREAD, records. The header's checksum covers header and body; each record carries its own. A fragment carries
 * none: there the header's covers the bytes too. */
#ifndef DATAPLANE_CODEC_H
#define DATAPLANE_CODEC_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "replication/core.h"
#include "replication/plausible.h"
#include "wire/record.h"

#define CODEC_VERSION 12

/* Node-level, beside the core's message types. */
#define CODEC_HEARTBEAT 0x80
#define CODEC_HELLO 0x81 /* who the sender is; its body is rules/lives.h's */
#define CODEC_HELLO_BYTES_MAX 1408u
#define CODEC_HEARTBEAT_ROWS_MAX 33

struct wire_header {
    uint8_t version, type, from, to;
    uint32_t crc32c;   /* of header and body, this field as 0 */
    uint32_t identity; /* of the sender's cluster and life; of a hello the number that the cluster file gives */
    uint32_t incarnation;
    uint32_t log;
    uint16_t body_bytes;
    uint8_t flags, worker;
    uint64_t term;
};

#define WIRE_YES 1u
#define WIRE_RECOVERING 2u
#define WIRE_LEADER 4u
#define WIRE_COVERED 8u /* the checksum covers all that follows */
/* A record's own checksum tells damage when it is put together. Each piece of one in more than a dozen pieces is covered too:
 * on a link that damages some, all of them may never come through sound at once. */
#define CODEC_COVERED_BYTES_MIN 16384u
#define WIRE_TRANSFER 16u

/* Body of every message of the core that carries no entries. */
struct wire_small {
    uint64_t a, b, c;
};

/* Body of MESSAGE_VOTE_REPLY. */
struct wire_vote_reply {
    uint32_t lives[CAIRN_NODES_MAX];
};

/* Body of MESSAGE_BASE, followed by the marks. */
struct wire_base {
    uint64_t lsn, base_term, producer_floor, digest, members, marks_lsn, hlc;
    uint32_t marks, reserved;
};

struct wire_mark {
    uint64_t seq;
    uint32_t incarnation, origin;
};

/* Body of MESSAGE_PRODUCERS, followed by its rows as struct producer_row is. */
struct wire_producers {
    uint64_t after_id, rows;
};

/* Body of MESSAGE_APPEND, MESSAGE_LEND, MESSAGE_HAND_OFF and MESSAGE_SPREAD. fragment_total 0: whole records follow.
 * Otherwise the bytes are a piece of the block's single record. */
struct wire_entries {
    uint64_t prev;       /* lsn, or sequence, or place on the branch (MESSAGE_SPREAD) */
    uint64_t prev_term;  /* MESSAGE_APPEND, MESSAGE_LEND */
    uint64_t commit_lsn; /* MESSAGE_LEND: last lsn of the lender; MESSAGE_SPREAD: place that is settled */
    uint64_t last_term;  /* MESSAGE_LEND: of that */
    uint32_t fragment_offset, fragment_total;
    struct block block;
};

/* How the sender does, as it says itself. */
struct wire_health {
    uint32_t ailments; /* set of enum ailment: rules/health.h */
    uint32_t write_us; /* what a write of its journal usually takes; 0: it has none */
    uint32_t stall_us; /* the longest that its worker lately had to wait for a core */
    uint32_t reserved;
};

/* Body of a heartbeat, followed by its rows: logs that the sender leads. Which ones those are has an
 * epoch, and a receiver that knows all of it is sent only rows that have changed: resting logs cost
 * nothing. */
struct wire_heartbeat {
    uint64_t progress;    /* polls of the sending worker */
    uint64_t pace_ns;     /* when the next one comes */
    uint64_t wall_ns;     /* the sender's wall clock */
    uint64_t believed_ns; /* the time that it believes; 0: none yet */
    uint64_t lag_ns;      /* behind that, of the clock that entries age by there */
    uint64_t agreed_lsn;  /* what is agreed on is, at the sender, as the catalog's entry there made it */
    uint64_t fingerprint; /* of that */
    uint32_t hears;
    uint32_t rows;
    uint32_t epoch; /* of what the sender leads */
    uint32_t seen;  /* the receiver's epoch, as far as the sender knows all of it */
    uint32_t led;   /* how many logs the sender leads */
    uint32_t first; /* of all of them, the first row here; HEARTBEAT_CHANGES: only what has changed */
    uint16_t
        heard[CAIRN_NODES_MAX];  /* how long ago each node was heard, in units of 10 us; all ones: longer, or never */
    uint16_t modes[CAIRN_MODES]; /* how many of the sender's logs are in each mode */
    struct wire_health health;
};

#define HEARTBEAT_CHANGES UINT32_MAX

struct wire_row {
    uint64_t term, commit_lsn, digest, trim_lsn;
    uint64_t aged_lsn; /* what is at or below is older than the log's rules keep */
    uint32_t log;
    uint16_t voters, learners; /* of the log, as its leader has them; no voters: the log has stopped at the
                                 * sender, whose trunk ended in that term */
};

_Static_assert(sizeof(struct wire_header) == 32, "on the wire");
_Static_assert(sizeof(struct wire_small) == 24, "on the wire");
_Static_assert(sizeof(struct wire_base) == 64 && sizeof(struct wire_mark) == 16, "on the wire");
_Static_assert(sizeof(struct wire_row) == 48 && sizeof(struct wire_health) == 16, "on the wire");
_Static_assert(sizeof(struct wire_entries) == 112, "on the wire");
_Static_assert(sizeof(struct producer_row) == 40, "on the wire and on disk");

_Static_assert((int)MESSAGE_TYPES <= CODEC_HEARTBEAT, "no message of the core's is taken for one of a node's");
_Static_assert((WIRE_YES | WIRE_RECOVERING | WIRE_LEADER | WIRE_COVERED | WIRE_TRANSFER) ==
                   WIRE_YES + WIRE_RECOVERING + WIRE_LEADER + WIRE_COVERED + WIRE_TRANSFER,
               "a bit each");
_Static_assert(sizeof(struct wire_heartbeat) % _Alignof(struct wire_row) == 0, "rows follow at once");
_Static_assert(sizeof(struct wire_heartbeat) + CODEC_HEARTBEAT_ROWS_MAX * sizeof(struct wire_row) <= UINT16_MAX,
               "header.body_bytes");
_Static_assert(CODEC_COVERED_BYTES_MIN < RECORD_BYTES_MAX, "some records are covered");

/* Room that a message's header and body take at most (heartbeats aside). */
#define CODEC_HEAD_BYTES (sizeof(struct wire_header) + sizeof(struct wire_entries))

struct codec {
    uint32_t hello;    /* identity in hellos */
    uint32_t identity; /* in everything else */
    uint32_t incarnation;
    uint8_t self, worker;
    /* CAIRN_NODES_MAX: codec_life() of each peer's, once it has been introduced; 0: none is. Borrowed: what is written there
     * is in force with the next frame. */
    const _Atomic uint64_t *peers;
};

/* What the frames of a life carry, all of them and no others. */
static inline uint64_t
codec_life(uint32_t identity, uint32_t incarnation)
{
    return (uint64_t)incarnation << 32 | identity;
}

/* What came in. Pointers are into the frame. */
struct decoded {
    uint8_t type; /* enum message_type, CODEC_HEARTBEAT or CODEC_HELLO */
    uint8_t from;
    uint32_t incarnation;
    uint32_t log;
    struct message message;
    struct block block;           /* only of what has entries, as all that follows up to the heartbeat */
    struct mark marks[MARKS_MAX]; /* MESSAGE_BASE; message.base.marks points here */
    struct producer_row producers[PRODUCER_ROWS_MAX]; /* MESSAGE_PRODUCERS; message.producers.rows points here */
    uint32_t fragment_offset, fragment_total;
    const uint8_t *records;
    uint32_t records_bytes;
    /* heartbeat */
    struct wire_heartbeat heartbeat;
    const struct wire_row *rows; /* unaligned: copy each */
    /* hello */
    const uint8_t *hello; /* unaligned */
    uint32_t hello_bytes;
};

enum codec_verdict {
    CODEC_OK,
    CODEC_SHORT,    /* lengths do not add up */
    CODEC_FOREIGN,  /* version or cluster of somebody else */
    CODEC_CHECKSUM, /* header or body damaged */
    CODEC_TO,       /* for another node, or another of its workers */
    CODEC_FROM,     /* says another node than the one whose link or address it came by */
    CODEC_STRANGER, /* of a life that has not been introduced */
    CODEC_FIELD,    /* a number that is not plausible: plausible.h */
    CODEC_VERDICTS,
};

static inline bool
codec_has_entries(uint8_t type)
{
    return type == MESSAGE_APPEND || type == MESSAGE_HAND_OFF || type == MESSAGE_LEND || type == MESSAGE_SPREAD;
}

/* Writes header and body; returns the bytes written. In MESSAGE_APPEND and MESSAGE_HAND_OFF, block
 * describes the records; the caller puts their bytes (or a fragment of them) behind, copied or chained. */
size_t codec_encode(const struct codec *codec, uint32_t log, const struct message *message, uint8_t *out);
size_t codec_encode_entries(const struct codec *codec, uint32_t log, const struct message *message,
                            const struct block *block, const uint8_t *records, uint32_t records_bytes,
                            uint32_t fragment_offset, uint32_t fragment_total, uint8_t *out);
size_t codec_encode_base(const struct codec *codec, uint32_t log, const struct message *message, uint8_t *out);
size_t codec_encode_producers(const struct codec *codec, uint32_t log, const struct message *message, uint8_t *out);
size_t codec_encode_heartbeat(const struct codec *codec, uint8_t to, const struct wire_heartbeat *heartbeat,
                              const struct wire_row *rows, uint8_t *out);

size_t codec_encode_hello(const struct codec *codec, uint8_t to, const void *hello, size_t hello_bytes, uint8_t *out);

/* Checks and reads size_bytes, which came from `peer` as far as the frame tells. Safe on hostile bytes; of whole records
 * the lengths are checked and their count, not yet their checksums. */
enum codec_verdict codec_decode(const struct codec *codec, uint8_t peer, const uint8_t *bytes, size_t size_bytes,
                                struct decoded *out);

#endif
