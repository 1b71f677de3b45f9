/* libcairn: the client's side of a log.
 *
 *     struct cairn_client *client;
 *     cairn_connect("/run/cairn/n1.sock", 1000000000, &client, detail, sizeof(detail));
 *     cairn_open(client, "orders", 1000000000, &log, detail, sizeof(detail));
 *     cairn_append(client, log, &entry, CAIRN_ACK_MAJORITY, token);
 *     while (cairn_poll(client, &result) == 0)
 *         cairn_wait(client, 1000000);
 *
 * Calls do not block, except those with a timeout, which wait no longer: an append is put into memory that the node's
 * worker polls, and its result is found there. The calls are the same whether the node is in this process
 * (node_attach() in node.h) or in another one on this machine (shm, cairn_connect()).
 *
 * A client talks to one node. client/session.h follows a log's leader from node to node and repeats
 * what is not answered for.
 *
 * Threads: a client belongs to one thread at a time. */
#ifndef CAIRN_CAIRN_H
#define CAIRN_CAIRN_H

#include <stddef.h>

#include "cairn/error.h"
#include "cairn/types.h"

struct cairn_client;

struct cairn_entry {
    const void *payload;
    uint32_t payload_bytes;  /* at most CAIRN_PAYLOAD_BYTES_MAX */
    const void *key;         /* may be NULL */
    uint16_t key_bytes;      /* at most CAIRN_KEY_BYTES_MAX */
    uint8_t flags;           /* CAIRN_ENTRY_ */
    uint64_t producer;       /* 0: nobody; then a repeat cannot be recognised */
    uint64_t producer_seq;   /* from 1, without gaps */
    uint32_t producer_epoch; /* who takes a producer's id over uses a higher one, and begins at 1 again */
    /* Of an entry that is copied from another log, by the one producer that may write to this one: its clock there, nanoseconds
     * since 1970, and whether that is doubtful. 0: when the node takes it. */
    uint64_t hlc;
    bool clock_doubtful;
};

#define CAIRN_ENTRY_UNTERMINATED 1u /* a text line without its newline */

enum cairn_result_type { CAIRN_RESULT_APPEND, CAIRN_RESULT_ENTRY, CAIRN_RESULT_END };

struct cairn_result {
    enum cairn_result_type type;
    enum cairn_error error;
    uint64_t token;      /* as given with the request */
    enum cairn_ack ack;  /* of an append: the level it got */
    bool on_branch;      /* tentative: seq says where on the origin's branch, lsn is 0 */
    bool repeated;       /* the log held it already: */
    bool compared;       /* and its bytes are these; else they are where the node does not look (trimmed, on disk) */
    bool clock_doubtful; /* of an entry: hlc was further ahead of the time than the cluster's bound */
    uint8_t origin;
    uint8_t leader; /* CAIRN_NODE_NONE: not known */
    uint8_t reached, needed;
    uint32_t incarnation;
    uint64_t lsn, term, seq, fork_lsn, hlc;
    uint64_t lag_ns;          /* of an END: all that was committed longer ago is shown; UINT64_MAX: nobody knows */
    struct cairn_entry entry; /* of CAIRN_RESULT_ENTRY; points into memory valid until the next poll */
};

/* Connects to the node whose socket is at path. Costs a few system calls, no DPDK. On failure detail
 * says what to do; CAIRN_TIMEOUT: nothing was heard for timeout_ns (the node is
 * stopped, or its backlog full). The caller owns *out and ends it with cairn_disconnect(). */
enum cairn_error cairn_connect(const char *path, uint64_t timeout_ns, struct cairn_client **out, char *detail,
                               size_t detail_bytes);
void cairn_disconnect(struct cairn_client *client);

/* The number of the log of that name. CAIRN_NO_LOG where the node knows none. CAIRN_TIMEOUT as above. */
enum cairn_error cairn_open(struct cairn_client *client, const char *name, uint64_t timeout_ns, uint32_t *log,
                            char *detail, size_t detail_bytes);

/* Puts an append on its way; the payload is copied. CAIRN_OK: a CAIRN_RESULT_APPEND with this token
 * will follow. CAIRN_AGAIN: poll first. Constant time, one copy and one checksum. */
enum cairn_error cairn_append(struct cairn_client *client, uint32_t log, const struct cairn_entry *entry,
                              enum cairn_ack ack, uint64_t token);

#define CAIRN_READ_FOLLOW 1u
#define CAIRN_READ_TENTATIVE 2u
/* from is a time, in nanoseconds since 1970 by the trunk's clock, which rises from entry to entry: the read begins with
 * the first entry that came to the trunk then or later. An entry's own clock (cairn_result.hlc) is that of when it was
 * accepted, which is earlier for what was on a branch; of tentative entries all are shown. */
#define CAIRN_READ_SINCE 4u

/* Entries with from <= lsn <= to (from 0: where the log begins; to 0: the end): CAIRN_RESULT_ENTRY each, then CAIRN_RESULT_END. */
enum cairn_error cairn_read(struct cairn_client *client, uint32_t log, uint64_t from, uint64_t to,
                            enum cairn_read_level level, unsigned flags, uint64_t token);
/* The same, stale by so much at most: nothing that was committed longer ago than max_lag_ns (1 us to 1 h) when the read
 * was served is missing. Served by any node, from what it has, as long as that is known to be so; else by asking the
 * leader; and refused (CAIRN_NO_QUORUM, CAIRN_BEHIND) where neither will do. Delayed consistency (Torres-Rojas and
 * Meneses, 2005); the bound is by rounds to the leader on this node's clock, not by comparing clocks. */
enum cairn_error cairn_read_bounded(struct cairn_client *client, uint32_t log, uint64_t from, uint64_t to,
                                    uint64_t max_lag_ns, unsigned flags, uint64_t token);
enum cairn_error cairn_read_cancel(struct cairn_client *client, uint64_t token);

/* Changes who belongs to the log, or who leads it; the client must talk to the log's leader
 * (CAIRN_NOT_LEADER names it). CAIRN_RESULT_APPEND follows: of a transfer when it has begun, of the others
 * when the change is agreed on. CAIRN_AGAIN: another change is under way. CAIRN_BEHIND: the node has to
 * catch up first. */
enum cairn_member_op {
    CAIRN_MEMBER_ADD = 0,     /* as a learner: holds the log, neither votes nor counts */
    CAIRN_MEMBER_PROMOTE = 1, /* a learner that has caught up votes from then on */
    CAIRN_MEMBER_REMOVE = 2,
    CAIRN_MEMBER_TRANSFER = 3, /* the voter is to lead */
};
enum cairn_error cairn_member(struct cairn_client *client, uint32_t log, enum cairn_member_op op, uint8_t node,
                              uint64_t token);

/* Takes one result, if there is one: returns 1, else 0; -1 when the node has gone away. */
int cairn_poll(struct cairn_client *client, struct cairn_result *result);

/* Makes sure a sleeping worker sees what was put on its way; cairn_wait() does so too. */
void cairn_flush(struct cairn_client *client);

/* Returns when there may be a result, after timeout_ns at most: spins, yields, then sleeps. */
void cairn_wait(struct cairn_client *client, uint64_t timeout_ns);

#endif
