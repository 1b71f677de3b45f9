/* The inside of a client, shared by its transports. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "cairn/cairn.h"
#include "wire/byte_ring.h"

/* A pair of rings to one worker of the node. */
struct lane {
    struct byte_channel channel;
    struct doorbell *worker_bell; /* shm: in the ring of its requests; NULL: the worker never sleeps */
    void *attachment;             /* embedded: the node's end */
    bool open;
    bool asked; /* requests were put there since the worker's bell was rung last */
};

/* A log that was opened, and the worker that has it. */
struct opened {
    uint32_t log;
    uint8_t worker;
};

struct cairn_client {
    struct lane lanes[CAIRN_WORKERS_MAX]; /* by worker; made when a log there is first touched */
    uint8_t open[CAIRN_WORKERS_MAX];      /* those that are */
    uint8_t open_count, turn;             /* whose results are looked for first */
    struct opened recent, *opened;        /* all are owned */
    uint32_t opened_count;
    int socket;          /* shm: owned, keeps the attachments alive; -1: embedded */
    bool gone;           /* embedded: the node is no more */
    size_t popped_bytes; /* of the result last given out */
    struct lane *popped; /* where it was */
    void *record;        /* owned: a copy of the entry last given out, which the node cannot reach; NULL: none yet */
    /* embedded: asks the node for a log's number and worker, for the worker of a number, for a lane there; and gives all lanes
     * back */
    enum cairn_error (*find)(void *context, const char *name, uint32_t *log, uint8_t *worker);
    enum cairn_error (*place)(void *context, uint32_t log, uint8_t *worker);
    enum cairn_error (*attach)(void *context, uint8_t worker, struct lane *lane);
    void (*detach)(void *context, struct cairn_client *client);
    void *context;
    void *owner; /* whose detach it is, where not the node's */
};

/* The lane is there: its channel and its bell are set. */
void client_lane_opened(struct cairn_client *client, uint8_t worker);
/* The log is that worker's. CAIRN_NO_MEMORY. */
enum cairn_error client_note_log(struct cairn_client *client, uint32_t log, uint8_t worker);
/* There are rings to the log's worker, or there are now: an embedded client asks its node for them. */
enum cairn_error client_touch(struct cairn_client *client, uint32_t log);
/* Gives back what the client holds itself. */
void client_free(struct cairn_client *client);

#endif
