/* What replicas of a log say to each other, and the words for that: entries' identities, runs of entries, members. How messages go
 * over the wire is the codec's business. */
#ifndef REPLICATION_MESSAGE_H
#define REPLICATION_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "cairn/error.h"
#include "cairn/types.h"

/* Who produced an entry; producer 0 is nobody, whose entries are never recognised again. */
struct entry_id {
    uint64_t producer;
    uint64_t producer_seq;
    uint32_t epoch; /* of the producer: a higher one fences off whoever still uses a lower */
};

enum entry_kind {
    ENTRY_DATA = 0,
    ENTRY_NOOP = 1,   /* first entry of a leader's term (thesis 6.4) */
    ENTRY_MARK = 2,   /* moves an origin's mark over entries that the trunk already held */
    ENTRY_CONFIG = 3, /* a membership, in force from here on */
};

/* Entries that follow each other in lsn and in origin sequence, of one term. */
struct run {
    uint64_t term;
    uint64_t first_lsn;
    uint64_t first_seq; /* origin sequence of the first; of a MARK, the mark reached; of a NOOP, 0; of a
                           CONFIG, the voters in the lower half, the learners in the upper */
    uint32_t count;
    uint32_t incarnation; /* of the origin */
    uint8_t origin;
    uint8_t kind;
};

/* Who belongs to a log. Learners hold the trunk and neither vote nor count. */
struct members {
    cairn_node_set voters, learners;
};

_Static_assert(CAIRN_NODES_MAX < 8 * sizeof(cairn_node_set), "a set has room for each node");
_Static_assert(CAIRN_NODES_MAX <= CAIRN_NODE_NONE, "no node is nobody");
_Static_assert(2 * sizeof(cairn_node_set) <= sizeof(uint64_t), "two sets are one number");

/* A membership as a number, as the trunk and the wire have it: voters in the lower half. */
static inline uint64_t
members_encode(const struct members *members)
{
    return (uint64_t)members->voters | (uint64_t)members->learners << 32;
}

static inline struct members
members_decode(uint64_t word)
{
    return (struct members){.voters = (cairn_node_set)word, .learners = (cairn_node_set)(word >> 32)};
}

/* A place on a node's branch, rising over the lives of the node. Stores and senders of branches go by it. */
static inline uint64_t
branch_place(uint32_t incarnation, uint64_t seq)
{
    return (uint64_t)incarnation << 40 | seq;
}

static inline uint32_t
branch_place_incarnation(uint64_t place)
{
    return (uint32_t)(place >> 40);
}

static inline uint64_t
branch_place_seq(uint64_t place)
{
    return place & ((1ull << 40) - 1);
}

enum message_type {
    MESSAGE_NONE = 0,
    MESSAGE_PREVOTE,
    MESSAGE_PREVOTE_REPLY,
    MESSAGE_VOTE,
    MESSAGE_VOTE_REPLY,
    MESSAGE_APPEND,
    MESSAGE_APPEND_REPLY,
    MESSAGE_CONFIRM,
    MESSAGE_CONFIRM_REPLY,
    MESSAGE_READ_INDEX,
    MESSAGE_READ_INDEX_REPLY,
    MESSAGE_HAND_OFF,
    MESSAGE_HAND_OFF_REPLY,
    MESSAGE_RECOVER,
    MESSAGE_RECOVER_REPLY,
    MESSAGE_TIMEOUT_NOW,
    MESSAGE_BASE,
    MESSAGE_PULL,
    MESSAGE_LEND,
    MESSAGE_SPREAD,
    MESSAGE_SPREAD_REPLY,
    MESSAGE_PRODUCERS_WANTED,
    MESSAGE_PRODUCERS,
    MESSAGE_TYPES,
};

/* The highest sequence the trunk holds of one origin's life. */
struct mark {
    uint64_t seq;
    uint32_t incarnation;
    uint8_t origin;
};

/* What the committed trunk holds of one producer. */
struct producer_row {
    uint64_t id;         /* not 0 */
    uint64_t seq, lsn;   /* its last entry */
    uint64_t former_seq; /* the last of former_epoch */
    uint32_t epoch, former_epoch;
};

#define PRODUCER_ROWS_MAX 32u /* in a message */

/* Where a trunk begins, and what follows from the entries that are gone. */
struct core_base {
    uint64_t lsn, base_term; /* everything up to lsn is gone; of that entry */
    uint64_t producer_floor; /* producers up to here may have been met */
    uint64_t marks_lsn;      /* the marks are of the trunk up to here, which is committed; lsn or later */
    uint64_t digest;         /* of the trunk up to lsn; the node's, not the core's */
    uint64_t hlc;            /* no entry up to there has a later clock; the node's */
    struct members members;
    const struct mark *marks; /* at most 64; the caller's */
    uint32_t marks_count;
};

struct message {
    uint8_t type;
    uint8_t from, to;
    bool yes;             /* replies: granted, accepted; READ_INDEX: a lease is good enough */
    bool recovering;      /* the sender has no vote yet */
    bool transfer;        /* VOTE: the leader itself asked for this campaign */
    uint32_t incarnation; /* of the sender */
    uint64_t term;
    union {
        struct {
            uint64_t last_lsn, last_term; /* of the sender's trunk; in a PREVOTE_REPLY 0 where that is not why */
            uint64_t round;               /* of pre-votes, given back in the reply */
        } vote;                           /* PREVOTE, PREVOTE_REPLY, VOTE, PULL */
        struct {
            uint32_t lives[CAIRN_NODES_MAX]; /* the highest incarnation the voter knows of each node */
        } vote_reply;
        struct {
            uint64_t prev_lsn, prev_term, commit_lsn;
            struct run run; /* count 0: a probe */
            /* LEND: the lender's trunk ends here */
            uint64_t last_lsn, last_term;
        } append; /* APPEND, LEND */
        struct {
            uint64_t match_lsn; /* yes: held up to here */
            uint64_t hint_lsn;  /* no: go on after this one */
        } append_reply;
        struct {
            uint64_t seq;        /* confirmation round */
            uint64_t promise_ns; /* reply, yes: so long the sender helps nobody else to lead */
        } confirm;
        struct {
            uint64_t token, lsn;
            uint64_t clock_ns; /* the asker's; in the reply: until then it may answer itself, 0: it may not */
        } read_index;
        struct {
            uint64_t prev_seq; /* sequence handed off before the first of the run */
            struct run run;
        } hand_off;
        struct {
            uint64_t mark;
            uint32_t incarnation;
            uint32_t rate_per_s; /* so many entries may follow; 0: as many as there is room for */
            uint32_t room;       /* entries behind the mark that the leader can take now */
            uint8_t origin;
        } hand_off_reply;
        struct {
            uint64_t prev_place;    /* of the sender's branch, before the first of the run */
            uint64_t settled_place; /* what is not behind it is on the trunk */
            struct run run;
        } spread;
        struct {
            uint64_t held_place; /* of the receiver's branch, held here up to it */
        } spread_reply;
        struct {
            uint64_t nonce, last_lsn;
            struct members members; /* in force at who answers */
            bool leader;
        } recover;
        struct core_base base;
        struct {
            uint64_t after_id;               /* of the rows with higher ids: the next ones; yes: there are no more */
            const struct producer_row *rows; /* PRODUCERS; by rising id; the caller's */
            uint32_t count;
        } producers; /* PRODUCERS_WANTED, PRODUCERS */
    };
};

#endif
