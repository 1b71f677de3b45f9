/* What client and worker say to each other through a byte channel: requests in, answers out. Each
 * starts with its size and is padded to 8 bytes. The worker trusts nothing that it reads here. */
#ifndef WIRE_PROTOCOL_H
#define WIRE_PROTOCOL_H

#include <stdint.h>

enum request_type {
    REQUEST_APPEND = 1, /* followed by a record */
    REQUEST_READ =
        2, /* lsns from..to; many ANSWER_ENTRY, then ANSWER_END; at level session followed by what it needs */
    REQUEST_CANCEL = 3, /* ends the read with this token */
    REQUEST_MEMBER = 4, /* level: enum cairn_member_op, from: the node; an ANSWER_APPEND once it is agreed on */
};

#define REQUEST_FOLLOW 1u    /* a read that goes on as the log grows */
#define REQUEST_TENTATIVE 2u /* and shows the node's branch after the trunk */
#define REQUEST_SINCE 4u     /* from is a clock, not an lsn */

struct request {
    uint32_t size_bytes; /* with what follows */
    uint8_t type;
    uint8_t level; /* enum cairn_ack or enum cairn_read_level */
    uint16_t flags;
    uint32_t log;
    uint32_t max_lag_us; /* of a read: nothing that was committed longer ago is missing; 0: any lag will do */
    uint64_t token;      /* comes back in the answers */
    uint64_t from, to;   /* of an append: the clock of an entry that is copied, else 0; is that doubtful? */
};

/* What the node must have before it serves a read at level session. */
struct request_session {
    uint64_t lsn;
    uint32_t branches_count, reserved;
    struct {
        uint64_t seq;
        uint32_t incarnation, origin;
    } branches[16];
};

enum answer_type {
    ANSWER_APPEND = 1,
    ANSWER_ENTRY = 2, /* followed by the record */
    ANSWER_END = 3,
};

#define ANSWER_ON_BRANCH 1u
#define ANSWER_REPEATED 2u
#define ANSWER_COMPARED 4u /* repeated, and what stands there has the same bytes */
#define ANSWER_CLOCK_DOUBTFUL 8u

struct answer {
    uint32_t size_bytes;
    uint8_t type;
    uint8_t error; /* enum cairn_error */
    uint8_t ack;   /* enum cairn_ack: what was given */
    uint8_t flags;
    uint64_t token;
    uint64_t lsn, term, seq, fork_lsn,
        hlc; /* seq of CAIRN_PRODUCER_EVICTED: no producer at or below is taken as new. Of an END: lsn read up to, fork_lsn committed when it
                                             * began, or when it last found entries to have left a branch; hlc: what
                                             * was committed longer ago, in ns, is shown; UINT64_MAX: nobody knows */
    uint32_t incarnation;
    uint8_t origin;
    uint8_t leader;  /* CAIRN_NODE_NONE: not known */
    uint8_t reached; /* nodes in reach of the answering one */
    uint8_t needed;
};

#endif
