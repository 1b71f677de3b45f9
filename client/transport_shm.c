/* Clients in another process on the node's machine: the admin socket hands over a descriptor of
 * shared memory, and from then on no system call is needed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin_client.h"
#include "client.h"

#define REPLY_BYTES_MAX (1u << 20)

enum cairn_error cairn_open_shm(struct cairn_client *client, const char *name, uint32_t *log, char *detail,
                                size_t detail_bytes);
void cairn_disconnect_shm(struct cairn_client *client);

int
admin_dial(const char *path, char *detail, size_t detail_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = 5};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        snprintf(detail, detail_bytes, "socket path %s is longer than 107 bytes", path);
        return -1;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        return fd;
    }
    snprintf(detail, detail_bytes, "no node answers at %s: %s (is the cluster running? 'cairn dev' starts one)", path,
             strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool
send_line(int fd, const char *text, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t sent = send(fd, text, size_bytes, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        text += sent;
        size_bytes -= (size_t)sent;
    }
    return true;
}

static ssize_t
receive_some(int fd, char *buffer, size_t size_bytes, int *passed_fd)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = buffer, .iov_len = size_bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    for (struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL; header != NULL;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(passed_fd, CMSG_DATA(header), sizeof(int));
    }
    return got;
}

json_t *
admin_ask(int fd, json_t *request, int *passed_fd)
{
    char *text = json_dumps(request, JSON_COMPACT), *reply = malloc(REPLY_BYTES_MAX);
    json_t *answer = NULL;
    size_t used = 0;
    int received_fd = -1;

    json_decref(request);
    if (text != NULL && reply != NULL && send_line(fd, text, strlen(text)) && send_line(fd, "\n", 1)) {
        while (used < REPLY_BYTES_MAX && (used == 0 || reply[used - 1] != '\n')) {
            ssize_t got = receive_some(fd, reply + used, REPLY_BYTES_MAX - used, &received_fd);

            if (got <= 0)
                break;
            used += (size_t)got;
        }
        answer = json_loadb(reply, used, 0, NULL);
    }
    free(text);
    free(reply);
    if (passed_fd != NULL)
        *passed_fd = received_fd;
    else if (received_fd >= 0)
        close(received_fd);
    return answer;
}

static enum cairn_error
told(const json_t *answer, char *detail, size_t detail_bytes)
{
    const char *why = json_string_value(json_object_get(answer, "detail"));

    snprintf(detail, detail_bytes, "%s", why != NULL ? why : "the node does not answer (is it stopped?)");
    return answer == NULL ? CAIRN_TIMEOUT : CAIRN_INVALID;
}

static void
map_bell(struct cairn_client *client, const char *path)
{
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    if (memory == MAP_FAILED)
        return;
    client->bell_mapping = memory;
    client->worker_bell = memory;
}

enum cairn_error
cairn_connect(const char *path, struct cairn_client **out, char *detail, size_t detail_bytes)
{
    struct cairn_client *client;
    int fd = admin_dial(path, detail, detail_bytes), channel_fd = -1, error;
    json_t *answer;

    if (fd < 0)
        return CAIRN_CLOSED;
    client = calloc(1, sizeof(*client));
    answer = admin_ask(fd, json_pack("{s:s}", "cmd", "attach"), &channel_fd);
    if (client == NULL || !json_is_true(json_object_get(answer, "ok")) || channel_fd < 0) {
        enum cairn_error refused = told(answer, detail, detail_bytes);

        json_decref(answer);
        close(fd);
        free(client);
        return refused;
    }
    error = byte_channel_open(&client->channel, channel_fd);
    if (error != 0) {
        snprintf(detail, detail_bytes, "the node's shared memory cannot be mapped: %s", strerror(error));
        json_decref(answer);
        close(fd);
        free(client);
        return CAIRN_IO;
    }
    client->socket = fd;
    map_bell(client, json_string_value(json_object_get(answer, "bell")));
    json_decref(answer);
    *out = client;
    return CAIRN_OK;
}

enum cairn_error
cairn_open_shm(struct cairn_client *client, const char *name, uint32_t *log, char *detail, size_t detail_bytes)
{
    json_t *answer = admin_ask(client->socket, json_pack("{s:s,s:s}", "cmd", "open", "log", name), NULL);
    enum cairn_error error = CAIRN_OK;

    if (json_is_true(json_object_get(answer, "ok")))
        *log = (uint32_t)json_integer_value(json_object_get(answer, "id"));
    else if (answer != NULL)
        error = CAIRN_NO_LOG;
    else
        error = told(answer, detail, detail_bytes);
    json_decref(answer);
    return error;
}

/* Has the node gone? Its end of the socket closes with it. */
bool
cairn_client_alive(struct cairn_client *client)
{
    char byte;

    if (client->socket < 0)
        return !client->gone;
    return recv(client->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

void
cairn_disconnect_shm(struct cairn_client *client)
{
    close(client->socket);
    if (client->bell_mapping != NULL)
        munmap(client->bell_mapping, 4096);
    byte_channel_close(&client->channel);
}
