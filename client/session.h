/* A producer's session: appends in order, many in flight, each exactly once, whatever happens to
 * leaders and nodes meanwhile.
 *
 * The session keeps every entry until it is answered for. It follows the log's leader from node to
 * node, and repeats what was not answered with the same producer sequence, so that the log can tell
 * a repeat. Results come in the order of the entries, each by its deadline: whether nodes hang, are gone or refuse,
 * no call waits for one. Where a node does not answer at once the next is asked beside it.
 *
 * What is refused for good gives its sequence to the entry behind it, where that cannot be mistaken for it any more;
 * else those behind go on under a new id. What the caller has been told is unknown is still repeated, until its fate
 * is known or its place is needed: the entries behind it in the sequence wait for that, within their own deadlines. If
 * the log has forgotten the producer, or what it acknowledged at `local` is lost with the node that held it, the
 * session goes on under a new id.
 *
 * Where the caller chooses the producer, the entry with index i has the sequence first_seq + i and never another: when
 * one is refused, those behind it are out of order, and refused, until it is repeated.
 *
 * Threads: one at a time. */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "cairn/cairn.h"

struct session;

struct dial;

/* Connects to a node, without waiting. CAIRN_AGAIN: it is called again, with *dial as it left it (see dial.h), and zeroed
 * at first; whoever connects at once has no use for it. */
typedef enum cairn_error session_connect(void *context, uint8_t node, struct dial *dial, struct cairn_client **out,
                                         char *detail, size_t detail_bytes);

/* Where the sockets of nodes in other processes are: the context of session_connect_shm. As soon as a node says which nodes
 * there are, by their numbers, these are those. */
struct session_sockets {
    const char *directory;
    bool system; /* an administrator's command, which the system's own logs are open to */
    uint32_t nodes;
    char names[CAIRN_NODES_MAX][CAIRN_NAME_BYTES];
};
session_connect session_connect_shm;

struct session_config {
    uint32_t nodes;           /* at first: there may be more */
    session_connect *connect; /* how to reach one; with connect_context, which outlives the session */
    void *connect_context;
    const char *log;
    uint8_t via; /* the node to talk to first, whose refusal counts; CAIRN_NODE_NONE: any, while one accepts */
    enum cairn_ack ack;
    uint64_t deadline_ns; /* for each entry, from when it is given */
    uint64_t producer;    /* 0: a new one, and further ones where that is needed */
    uint64_t first_seq;   /* 0: 1. Given: these may have been tried before */
    uint32_t producer_epoch;
    uint32_t window_entries;                   /* 0: 1,024 in flight */
    uint64_t (*now_ns)(void *connect_context); /* NULL: CLOCK_MONOTONIC */
    uint64_t (*renew)(void *connect_context);  /* a producer id, higher than before; NULL: session_new_producer() */
};

struct session_result {
    enum cairn_error error;
    uint64_t index;         /* of the entry, from 0 */
    uint64_t producer, seq; /* what it was tried as: of an unknown one, what to repeat it as */
    uint32_t producer_epoch;
    uint64_t latency_ns;
    struct cairn_result result;
    uint8_t node; /* that answered */
};

/* Connects to a node and opens the log. CAIRN_NO_LOG: there is none of that name. Where nobody has answered within 50 ms
 * it goes on connecting while it is used; CAIRN_CLOSED: no node is there. */
enum cairn_error session_open(const struct session_config *config, struct session **out, char *detail,
                              size_t detail_bytes);
void session_close(struct session *session);

uint64_t session_producer(const struct session *session);

/* Has it not come to a node yet, because the one that it asked last knows no such log? Entries that are not taken until
 * their time is up are refused for that (CAIRN_NO_LOG). */
bool session_lacks_log(const struct session *session);

/* Gives an entry to the session, which copies its payload, key and flags and numbers it. CAIRN_AGAIN: the window is
 * full, poll first. */
enum cairn_error session_append(struct session *session, const struct cairn_entry *entry);

/* The next result in order: true, or false where it is not there yet. Never blocks. */
bool session_poll(struct session *session, struct session_result *out);

/* Waits until there may be something to do, 10 ms at most. */
void session_wait(struct session *session);

/* Entries given and not yet answered for. */
uint32_t session_in_flight(const struct session *session);

/* A producer id that no other has: time in its upper bits, so ids rise. */
uint64_t session_new_producer(void);

#endif
