/* A client's place at a worker. */
#ifndef NODE_ATTACHMENT_H
#define NODE_ATTACHMENT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "replication/core.h"
#include "wire/byte_ring.h"

#define ATTACHMENTS_MAX 64u
#define ATTACHMENTS_KEPT 4u /* of them, for administrators */
#define IN_FLIGHT_MAX 8192u

/* A client's place at the worker. NEW -> ATTACHED (worker) -> LEAVING (control) -> GONE (worker),
 * then the control thread frees it. */
enum attachment_state { ATTACHMENT_NEW, ATTACHMENT_ATTACHED, ATTACHMENT_LEAVING, ATTACHMENT_GONE };

/* The search for an entry that a client repeats: where it goes on, and how far it may in this turn. */
struct search {
    struct entry_id id;
    uint64_t next; /* 0: none is under way */
    uint64_t turn_ns;
    uint32_t left, log;
    bool on_branch;
};

/* What a poll that finds nothing looks at is in one cache line. */
struct attachment {
    alignas(64) _Atomic int state;
    struct byte_channel channel; /* the worker's end */
    uint32_t serial;
    /* Requests taken and not yet answered for good, each with its last answer's room reserved: appends, and reads. How many more
     * may be taken before that room is counted anew. */
    uint32_t in_flight, reads, promises;
    uint32_t waits; /* of in_flight: those in the waits of logs */
    struct search search;
    uint8_t index;
    bool embedded; /* no other process has its memory */
    bool administrator;
    bool system; /* the system's own logs are open to it */
};

/* Who has it: each may do what the one before may, too. */
enum attachment_kind {
    ATTACHED_CLIENT,
    ATTACHED_ADMINISTRATOR,
    ATTACHED_SYSTEM,   /* a command of an administrator's that changes what the system's own logs hold */
    ATTACHED_EMBEDDED, /* of this process */
};

#endif
