/* The admin socket: requests and replies are JSON objects, a line each, over a Unix stream socket; a reply may carry
 * file descriptors. access.h says who may ask. One thread serves all and waits for no client: an answer goes out as the
 * client takes it, and meanwhile nothing more is read from that client; one that takes nothing for five seconds is let
 * go. In each turn administrators are served first, then others one after the other for half a millisecond, from where
 * they stopped: an administrator waits for that and one request, whatever others ask. There are 96 places, eight of
 * them for administrators alone, and 44 at most for any other user. Where a place or a descriptor is needed, the
 * connection that has been idle longest goes, unless it is attached. */
#ifndef CONTROL_ADMIN_H
#define CONTROL_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "cairn/error.h"
#include "control/access.h"

struct admin;

struct admin_reply {
    json_t *body; /* filled by the handler; the server owns it afterwards */
    int fd;       /* goes with it, and stays the handler's; 0: none does */
};

struct admin_handler {
    /* A request. *connection is the handler's to use, for what it keeps about this connection; while it is not NULL the
     * connection is not let go for another. administrator: false: a client asks. */
    void (*command)(void *context, void **connection, bool administrator, const void *request,
                    struct admin_reply *reply);
    /* The connection has ended. */
    void (*closed)(void *context, void *connection);
    void *context;
};

/* Listens at path, replacing a socket that nobody serves. Whoever access does not allow is turned away. On failure
 * detail says why. */
enum cairn_error admin_start(const char *path, const struct access *access, const struct admin_handler *handler,
                             struct admin **out, char *detail, size_t detail_bytes);

/* Waits up to timeout_ms for requests and serves them. */
void admin_poll(struct admin *admin, int timeout_ms);

/* Ends all connections and removes the socket. */
void admin_stop(struct admin *admin);

#endif
