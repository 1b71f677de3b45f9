/* The inside of a session, shared by its two halves: what becomes of entries (session.c), and which node is talked to
 * (reach.c). */
#ifndef CLIENT_SESSION_STATE_H
#define CLIENT_SESSION_STATE_H

#include <time.h>

#include "client/dial.h"
#include "client/session.h"

#define BACKOFF_NS 500000u
/* What an answer is to: epoch of the attempt, index of the entry. */
#define INDEX_BITS 40u
#define INDEX_MASK ((1ull << INDEX_BITS) - 1)
#define EPOCH_MASK 0xffffffu
/* Of a producer's id: milliseconds above, noise below. */
#define PRODUCER_TIME_SHIFT 21u
#define PRODUCER_NOISE_MASK ((1ull << PRODUCER_TIME_SHIFT) - 1)

enum slot_state { SLOT_QUEUED, SLOT_SENT, SLOT_DONE };

struct slot {
    uint8_t *payload; /* and the key behind it */
    uint32_t payload_bytes;
    uint16_t key_bytes;
    uint8_t flags, node;
    bool clock_doubtful;
    uint64_t hlc; /* of an entry that is copied */
    enum slot_state state;
    uint32_t attempts; /* at the present node, not yet answered */
    bool maybe;        /* an attempt was made elsewhere whose outcome is not known */
    bool told;         /* its time is up: unknown, the caller heard; still repeated, for those behind it */
    enum cairn_error error;
    uint64_t producer, seq; /* its name: what it is tried as, and was */
    uint32_t named_epoch;   /* attempts of epochs before had another */
    uint64_t given_ns, done_ns;
    struct cairn_result result;
};

struct session {
    struct session_config config;
    bool fixed;     /* the caller chose the names: an entry never gets another */
    bool broken;    /* and one was refused: what follows it in the sequence is out of order */
    bool connected; /* was, ever */
    enum cairn_error
        unopened; /* the last node that was asked knows no such log, or does not let this client at it; CAIRN_OK: else */
    struct cairn_client *client;
    struct dial dials[CAIRN_NODES_MAX]; /* under way */
    uint8_t node;                       /* that client is connected to, or is to be */
    uint32_t log;
    uint32_t epoch; /* of attempts, modulo 2^24: answers to earlier ones are told apart */
    struct slot *slots;
    uint32_t mask;
    uint64_t head, out, next, tail; /* entries [head, tail); told up to out; those before next are sent */
    uint64_t next_seq;
    uint64_t producer_floor; /* no producer at or below is taken as a new one, as a node has said; 0: none has */
    uint64_t bytes;
    uint64_t retry_ns, heard_ns, looked_ns, dialled_ns;
    uint32_t allowed;    /* in flight: one while things are refused */
    uint32_t cut_off;    /* nodes that said they are, one after the other, */
    uint64_t cut_off_ns; /* and since when that is all there is; 0: it is not */
    char detail[256];
};

static inline struct slot *
slot_at(struct session *session, uint64_t index)
{
    return &session->slots[index & session->mask];
}

/* May an attempt have been taken, or be taken yet? */
static inline bool
uncertain(const struct slot *slot)
{
    return slot->maybe || slot->attempts > 0;
}

static inline uint64_t
session_now_ns(const struct session *session)
{
    struct timespec time;

    if (session->config.now_ns != NULL)
        return session->config.now_ns(session->config.connect_context);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* At the opening: until a node has the log, none can, or it takes too long (CAIRN_AGAIN). */
enum cairn_error reach_first(struct session *session);

/* Goes on connecting, where there is no client. true: there is one. */
bool reach_on(struct session *session, uint64_t at_ns);

/* All that is not answered for is sent anew, in order. */
void send_anew(struct session *session, uint64_t at_ns);

/* What is under way at the node just left may or may not have happened. */
void leave(struct session *session);

void go_to(struct session *session, uint8_t node, uint64_t at_ns);
void go_to_next(struct session *session, uint64_t at_ns);

void reach_end(struct session *session);

/* Nobody ever took an entry that is refused so, however often it was tried. */
bool for_what_it_is(enum cairn_error error);
void finish(struct session *session, struct slot *slot, enum cairn_error error);

/* What is settled and told leaves the window. */
void release(struct session *session);

/* The entry is refused for good, and certainly not appended. */
void refused(struct session *session, uint64_t index, enum cairn_error error, uint64_t at_ns);

/* The log does not know the producer any more, or not all that it acknowledged to it. */
void forgotten(struct session *session, uint64_t producer, uint64_t at_ns);

/* The log does not know the entry's name any more, or knows another entry by it. */
void lost_name(struct session *session, uint64_t index, enum cairn_error error, uint64_t at_ns);

/* To the next node with this entry and those behind it. */
void go_elsewhere(struct session *session, uint64_t index, uint64_t at_ns);

/* true: there is more room in the window. */
bool give_up_unknown(struct session *session);

#endif
