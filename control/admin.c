#include "admin.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define LINE_BYTES_MAX 65536

struct connection {
    int socket; /* -1: free */
    char *line;
    size_t used;
    void *state;
};

struct admin {
    struct admin_handler handler;
    char path[108];
    int listener;
    struct connection connections[CONNECTIONS_MAX];
};

/* Is somebody serving at path already? */
static bool
served(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered = probe >= 0 && connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0;

    if (probe >= 0)
        close(probe);
    return answered;
}

static enum cairn_error
refuse(char *detail, size_t detail_bytes, const char *path, const char *why)
{
    snprintf(detail, detail_bytes, "admin socket %s: %s", path, why);
    return CAIRN_IO;
}

enum cairn_error
admin_start(const char *path, const struct admin_handler *handler, struct admin **out, char *detail,
            size_t detail_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct admin *admin;

    if (strlen(path) >= sizeof(address.sun_path))
        return refuse(detail, detail_bytes, path, "the path is longer than 107 bytes (use a shorter directory)");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (served(&address))
        return refuse(detail, detail_bytes, path, "in use: this node is running already");
    admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return CAIRN_NO_MEMORY;
    unlink(path);
    admin->handler = *handler;
    snprintf(admin->path, sizeof(admin->path), "%s", path);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        admin->connections[i].socket = -1;
    admin->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->listener < 0 || bind(admin->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(admin->listener, 16) != 0) {
        refuse(detail, detail_bytes, path, strerror(errno));
        if (admin->listener >= 0)
            close(admin->listener);
        free(admin);
        return CAIRN_IO;
    }
    *out = admin;
    return CAIRN_OK;
}

static void
hang_up(struct admin *admin, struct connection *connection)
{
    close(connection->socket);
    connection->socket = -1;
    free(connection->line);
    connection->line = NULL;
    admin->handler.closed(admin->handler.context, connection->state);
    connection->state = NULL;
}

static void
let_in(struct admin *admin)
{
    int socket = accept4(admin->listener, NULL, NULL, SOCK_CLOEXEC);

    if (socket < 0)
        return;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &admin->connections[i];

        if (connection->socket >= 0)
            continue;
        connection->line = malloc(LINE_BYTES_MAX);
        if (connection->line == NULL)
            break;
        connection->socket = socket;
        connection->used = 0;
        connection->state = NULL;
        return;
    }
    close(socket); /* full: the client sees its connection end and says so */
}

/* The first bytes carry the descriptor. */
static bool
send_all(int socket, const char *text, size_t size_bytes, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    size_t sent = 0;

    while (sent < size_bytes) {
        struct iovec part = {.iov_base = (char *)(uintptr_t)text + sent, .iov_len = size_bytes - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t done;

        if (fd >= 0 && sent == 0) {
            struct cmsghdr *header;

            message.msg_control = control;
            message.msg_controllen = sizeof(control);
            header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &fd, sizeof(int));
        }
        done = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        sent += (size_t)done;
    }
    return true;
}

static bool
serve_line(struct admin *admin, struct connection *connection, const char *line)
{
    struct admin_reply reply = {.fd = -1};
    json_error_t error;
    json_t *request = json_loads(line, 0, &error);
    char *text;
    bool sent = false;

    if (json_is_object(request))
        admin->handler.command(admin->handler.context, &connection->state, request, &reply);
    if (reply.body == NULL)
        reply.body = json_pack("{s:b,s:s}", "ok", 0, "detail", "not a request");
    text = json_dumps(reply.body, JSON_COMPACT);
    if (text != NULL) {
        size_t size_bytes = strlen(text);

        text[size_bytes] = '\n'; /* in place of the NUL: the length is known */
        sent = send_all(connection->socket, text, size_bytes + 1, reply.fd);
        free(text);
    }
    json_decref(reply.body);
    json_decref(request);
    return sent;
}

static void
serve(struct admin *admin, struct connection *connection)
{
    ssize_t got = recv(connection->socket, connection->line + connection->used, LINE_BYTES_MAX - 1 - connection->used,
                       MSG_DONTWAIT);
    char *end;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || connection->used + (size_t)got == LINE_BYTES_MAX - 1) {
        hang_up(admin, connection);
        return;
    }
    connection->used += (size_t)got;
    while ((end = memchr(connection->line, '\n', connection->used)) != NULL) {
        size_t taken = (size_t)(end - connection->line) + 1;

        *end = '\0';
        if (!serve_line(admin, connection, connection->line)) {
            hang_up(admin, connection);
            return;
        }
        memmove(connection->line, connection->line + taken, connection->used - taken);
        connection->used -= taken;
    }
}

void
admin_poll(struct admin *admin, int timeout_ms)
{
    struct pollfd fds[CONNECTIONS_MAX + 1];
    struct connection *owners[CONNECTIONS_MAX + 1];
    nfds_t count = 0;

    fds[count] = (struct pollfd){.fd = admin->listener, .events = POLLIN};
    owners[count++] = NULL;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (admin->connections[i].socket < 0)
            continue;
        fds[count] = (struct pollfd){.fd = admin->connections[i].socket, .events = POLLIN};
        owners[count++] = &admin->connections[i];
    }
    if (poll(fds, count, timeout_ms) <= 0)
        return;
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].revents == 0)
            continue;
        if (owners[i] == NULL)
            let_in(admin);
        else
            serve(admin, owners[i]);
    }
}

void
admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (admin->connections[i].socket >= 0)
            hang_up(admin, &admin->connections[i]);
    }
    close(admin->listener);
    unlink(admin->path);
    free(admin);
}
