/* The inside of a client, shared by its transports. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "byte_ring.h"
#include "cairn/cairn.h"

struct cairn_client {
    struct byte_channel channel;
    struct doorbell *worker_bell; /* shm: in the ring of its requests; NULL: the worker never sleeps */
    int socket;                   /* shm: owned, keeps the attachment alive; -1: embedded */
    bool gone;                    /* embedded: the node is no more */
    size_t popped_bytes;          /* of the result last given out */
    void *record; /* owned: a copy of the entry last given out, which the node cannot reach; NULL: none yet */
    /* embedded: asks the node, and gives the channel back */
    enum cairn_error (*open)(void *context, const char *name, uint32_t *log);
    void (*detach)(void *context, struct cairn_client *client);
    void *context;
    void *attachment;
    void *owner; /* whose detach it is, where not the node's */
};

#endif
