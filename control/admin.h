/* The admin socket: requests and replies are JSON objects, a line each, over a Unix stream socket; a reply may carry file
 * descriptors. Who may ask access.h has. One thread, which waits for no client: an answer goes out as it is taken, and while it
 * does nothing more is read from there; who takes nothing of it for five seconds is let go. In each turn administrators are
 * served first, then others one after the other for 10 ms, from where they stopped: an administrator waits for that and one
 * request, whatever others ask. There are 96 places, eight of them for administrators alone, and 44 at most for any other user.
 * Where one is needed, whoever has been idle longest goes, attached clients aside; and so where descriptors run out. */
#ifndef CONTROL_ADMIN_H
#define CONTROL_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "access.h"
#include "cairn/error.h"

struct admin;

struct admin_reply {
    json_t *body; /* filled by the handler; the server owns it afterwards */
    int fd;       /* goes with it, and stays the handler's; 0: none does */
};

struct admin_handler {
    /* A request. *connection is the handler's to use: what it keeps about this connection, which is not let go while
     * that is not NULL. administrator: else who asks is merely a client. */
    void (*command)(void *context, void **connection, bool administrator, const void *request,
                    struct admin_reply *reply);
    /* The connection has ended. */
    void (*closed)(void *context, void *connection);
    void *context;
};

/* Listens at path, replacing a socket that nobody serves; others than access allows are turned away. On failure detail says
 * why. */
enum cairn_error admin_start(const char *path, const struct access *access, const struct admin_handler *handler,
                             struct admin **out, char *detail, size_t detail_bytes);

/* Waits up to timeout_ms for requests and serves them. */
void admin_poll(struct admin *admin, int timeout_ms);

/* Ends all connections and removes the socket. */
void admin_stop(struct admin *admin);

#endif
