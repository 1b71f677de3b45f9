/* Becoming a client of a node in another process, a step at a time: the admin socket tells the number of a log and which
 * worker has it, and hands over a descriptor of shared memory: the rings to that worker. */
#ifndef CLIENT_DIAL_H
#define CLIENT_DIAL_H

#include "cairn/cairn.h"
#include "client/call.h"

/* The cluster's nodes by number, as one of them says: it may have more than whoever asks knew of. */
struct dial_seats {
    uint32_t count; /* 0: it did not say */
    char names[CAIRN_NODES_MAX][CAIRN_NAME_BYTES];
};

/* The number of the node of that name; CAIRN_NODE_NONE: it is not among them. */
uint8_t dial_seat(const struct dial_seats *seats, const char *name);

/* Zeroed memory is one that was not begun. */
struct dial {
    struct call call;
    struct cairn_client *client; /* attached, and not yet taken */
    struct dial_seats seats;     /* that came with it */
    char name[CAIRN_NAME_BYTES]; /* of the node, as who dials knew it */
    bool opens_lane;             /* the log was found, and the call is for the rings to its worker */
};

/* Attaches to the node whose socket is at path; system: as an administrator's command, which the system's own logs are open
 * to. CAIRN_AGAIN: call it again; CAIRN_OK: dial->client is there. */
enum cairn_error dial_attach(struct dial *dial, const char *path, bool system, char *detail, size_t detail_bytes);

/* The same, to its end: as cairn_connect(). seats: may be NULL. */
enum cairn_error client_connect(const char *path, bool system, uint64_t timeout_ns, struct cairn_client **out,
                                struct dial_seats *seats, char *detail, size_t detail_bytes);

/* Then finds the log's number, and gets the rings to its worker. CAIRN_AGAIN as before. */
enum cairn_error dial_open(struct dial *dial, const char *log, uint32_t *id, char *detail, size_t detail_bytes);

/* What waits for an answer, for calls_wait(). */
static inline bool
dial_pending(const struct dial *dial)
{
    return dial->call.state != CALL_NONE || dial->client != NULL;
}

/* Gives up what nobody took. */
void dial_end(struct dial *dial);

/* Is the process at the other end still there? */
bool cairn_client_alive(struct cairn_client *client);

#endif
