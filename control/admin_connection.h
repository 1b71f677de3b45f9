/* One connection at the admin socket: requests come in, a line each, and their answers go out, without waiting for either. While
 * an answer is on its way nothing more is read, so a connection holds one line and one answer at most. */
#ifndef CONTROL_ADMIN_CONNECTION_H
#define CONTROL_ADMIN_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/admin.h"

struct connection {
    int socket; /* -1: nobody is connected */
    bool administrator;
    uid_t uid;
    char *line; /* what was received and not yet served */
    size_t used_bytes;
    char *answer; /* on its way; NULL: none */
    size_t answer_bytes, sent_bytes;
    int fd;              /* goes with the first bytes of the answer; 0: none does */
    uint64_t stirred_ns; /* when anything went either way last */
    void *state;         /* the handler's; not NULL: it keeps something about this connection */
};

/* Takes the socket over. false: there is no memory for it, and the socket stays the caller's. */
bool connection_open(struct connection *connection, int socket, bool administrator, uid_t uid, uint64_t now_ns);

/* Ends it, and tells the handler. */
void connection_close(struct connection *connection, const struct admin_handler *handler);

/* Is a whole request waiting to be served? */
bool connection_has_line(const struct connection *connection);

/* What there is to do for a connection, without waiting for it: at most one request is served. ready: poll() says that its socket
 * is. false: it is over, and to be closed. */
bool connection_serve(struct connection *connection, const struct admin_handler *handler, bool ready, uint64_t now_ns);

#endif
