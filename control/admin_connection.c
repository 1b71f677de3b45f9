#include "control/admin_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_BYTES_MAX 65536
/* A client that takes nothing of an answer for so long is let go. */
#define STUCK_NS 5000000000u

/* Between any two steps. */
static void
assert_connection(const struct connection *connection)
{
    assert((connection->socket >= 0) == (connection->line != NULL));
    assert(connection->used_bytes < LINE_BYTES_MAX);
    assert(connection->answer == NULL || connection->sent_bytes < connection->answer_bytes);
}

bool
connection_open(struct connection *connection, int socket, bool administrator, uid_t uid, uint64_t now_ns)
{
    char *line = malloc(LINE_BYTES_MAX);

    assert(connection->socket < 0 && connection->line == NULL && connection->answer == NULL && socket >= 0);
    if (line == NULL)
        return false;
    *connection = (struct connection){
        .socket = socket, .administrator = administrator, .uid = uid, .line = line, .stirred_ns = now_ns};
    return true;
}

void
connection_close(struct connection *connection, const struct admin_handler *handler)
{
    assert(connection->socket >= 0);
    close(connection->socket);
    connection->socket = -1;
    free(connection->line);
    free(connection->answer);
    connection->line = connection->answer = NULL;
    handler->closed(handler->context, connection->state);
    connection->state = NULL;
    assert(connection->line == NULL && connection->answer == NULL);
}

/* The first bytes carry the descriptor. */
static ssize_t
send_part(struct connection *connection)
{
    struct iovec part = {.iov_base = connection->answer + connection->sent_bytes,
                         .iov_len = connection->answer_bytes - connection->sent_bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    char control[CMSG_SPACE(sizeof(int))] = {0};

    assert(connection->sent_bytes < connection->answer_bytes);
    if (connection->fd > 0 && connection->sent_bytes == 0) {
        struct cmsghdr *header;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &connection->fd, sizeof(int));
    }
    return sendmsg(connection->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As much of the answer as the client takes. false: the connection is over. */
static bool
send_some(struct connection *connection, uint64_t now_ns)
{
    while (connection->answer != NULL) {
        ssize_t sent = send_part(connection);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return true;
        if (sent <= 0)
            return false;
        connection->stirred_ns = now_ns;
        connection->sent_bytes += (size_t)sent;
        assert(connection->sent_bytes <= connection->answer_bytes);
        if (connection->sent_bytes == connection->answer_bytes) {
            free(connection->answer);
            connection->answer = NULL;
        }
    }
    return true;
}

/* false: there is no memory for an answer. */
static bool
serve_line(struct connection *connection, const struct admin_handler *handler)
{
    struct admin_reply reply = {.body = NULL};
    json_error_t error;
    json_t *request = json_loads(connection->line, 0, &error);

    assert(connection->answer == NULL);
    if (json_is_object(request))
        handler->command(handler->context, &connection->state, connection->administrator, request, &reply);
    if (reply.body == NULL)
        reply.body = json_pack("{s:b,s:s}", "ok", 0, "detail", "not a request");
    connection->answer = json_dumps(reply.body, JSON_COMPACT);
    if (connection->answer != NULL) {
        connection->answer_bytes = strlen(connection->answer) + 1;
        connection->answer[connection->answer_bytes - 1] = '\n'; /* in place of the NUL: the length is known */
        connection->sent_bytes = 0;
        connection->fd = reply.fd;
    }
    json_decref(reply.body);
    json_decref(request);
    return connection->answer != NULL;
}

bool
connection_has_line(const struct connection *connection)
{
    return connection->answer == NULL && memchr(connection->line, '\n', connection->used_bytes) != NULL;
}

/* One request: the others have their turn. */
static bool
serve_one(struct connection *connection, const struct admin_handler *handler, uint64_t now_ns)
{
    char *end = memchr(connection->line, '\n', connection->used_bytes);
    size_t taken_bytes;
    bool served;

    if (end == NULL)
        return connection->used_bytes < LINE_BYTES_MAX - 1;
    *end = '\0';
    served = serve_line(connection, handler);
    taken_bytes = (size_t)(end - connection->line) + 1;
    assert(taken_bytes <= connection->used_bytes);
    memmove(connection->line, connection->line + taken_bytes, connection->used_bytes - taken_bytes);
    connection->used_bytes -= taken_bytes;
    return served && send_some(connection, now_ns);
}

static bool
receive_some(struct connection *connection, uint64_t now_ns)
{
    ssize_t got;

    assert(connection->answer == NULL && connection->used_bytes < LINE_BYTES_MAX - 1);
    got = recv(connection->socket, connection->line + connection->used_bytes,
               LINE_BYTES_MAX - 1 - connection->used_bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return false;
    connection->used_bytes += (size_t)got;
    connection->stirred_ns = now_ns;
    return true;
}

bool
connection_serve(struct connection *connection, const struct admin_handler *handler, bool ready, uint64_t now_ns)
{
    assert_connection(connection);
    if (connection->answer != NULL && ready && !send_some(connection, now_ns))
        return false;
    if (connection->answer != NULL)
        return now_ns - connection->stirred_ns < STUCK_NS;
    if (ready && !connection_has_line(connection) && !receive_some(connection, now_ns))
        return false;
    return serve_one(connection, handler, now_ns);
}
