#include "client/call.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/answer.h"

#define REPLY_BYTES_MIN 16384u
#define REPLY_BYTES_MAX (64u << 20)
/* A full backlog gives no sign when it has room again, so connecting is tried this often. */
#define DIAL_AGAIN_NS 1000000u

uint64_t
client_now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* It ends without an answer. */
static bool
fail(struct call *call, enum cairn_error error, const char *why)
{
    call->state = CALL_DONE;
    call->error = error;
    snprintf(call->detail, sizeof(call->detail), "%s", why);
    return true;
}

static bool
fail_at(struct call *call, enum cairn_error error, const char *why)
{
    call->state = CALL_DONE;
    call->error = error;
    snprintf(call->detail, sizeof(call->detail), "no node answers at %s: %s", call->path, why);
    return true;
}

/* The socket is there, or may be, and is not for this user: whether a node answers at it cannot be known. */
static bool
forbid(struct call *call)
{
    char why[sizeof(call->detail)];

    snprintf(why, sizeof(why),
             "uid %u may not ask at %s: root may, the node's own user, and whom its cluster file names under 'clients'",
             (unsigned)geteuid(), call->path);
    return fail(call, CAIRN_FORBIDDEN, why);
}

static void
prepare(struct call *call, json_t *request)
{
    *call = (struct call){.fd = -1, .passed_fds = {-1, -1}};
    call->request = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (call->request == NULL) {
        fail(call, CAIRN_NO_MEMORY, "no memory for a request");
        return;
    }
    call->request_bytes = strlen(call->request) + 1;
    call->request[call->request_bytes - 1] = '\n'; /* in place of the NUL: the length is known */
}

void
call_begin(struct call *call, const char *path, json_t *request)
{
    prepare(call, request);
    if (call->state == CALL_DONE)
        return;
    if (strlen(path) >= sizeof(call->path)) {
        snprintf(call->detail, sizeof(call->detail), "socket path %.160s is longer than 107 bytes", path);
        call->state = CALL_DONE;
        call->error = CAIRN_INVALID;
        return;
    }
    snprintf(call->path, sizeof(call->path), "%s", path);
    call->state = CALL_DIALLING;
}

void
call_begin_over(struct call *call, int fd, json_t *request)
{
    assert(fd >= 0);
    prepare(call, request);
    call->fd = fd;
    call->borrowed = true;
    if (call->state != CALL_DONE)
        call->state = CALL_SENDING;
}

/* true: it is not to be gone on with now. */
static bool
dial(struct call *call)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (call->fd < 0)
        call->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (call->fd < 0)
        return fail(call, CAIRN_IO, strerror(errno));
    memcpy(address.sun_path, call->path, sizeof(address.sun_path));
    if (connect(call->fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        call->state = CALL_SENDING;
        return false;
    }
    /* Its backlog is full: there is room once it accepts. */
    if (errno == EAGAIN || errno == EINTR || errno == EALREADY || errno == EINPROGRESS)
        return true;
    if (errno == EACCES || errno == EPERM)
        return forbid(call);
    return fail_at(call, CAIRN_CLOSED, strerror(errno));
}

static bool
send_some(struct call *call)
{
    while (call->sent_bytes < call->request_bytes) {
        ssize_t sent = send(call->fd, call->request + call->sent_bytes, call->request_bytes - call->sent_bytes,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        /* A node that hangs up may have said why. */
        if (sent <= 0)
            break;
        call->sent_bytes += (size_t)sent;
    }
    call->state = CALL_READING;
    return false;
}

static void
drop_passed(struct call *call)
{
    for (int i = 0; i < CALL_FDS_MAX; i++) {
        if (call->passed_fds[i] >= 0)
            close(call->passed_fds[i]);
        call->passed_fds[i] = -1;
    }
}

/* What came along last counts. */
static void
take_passed(struct call *call, const void *fds, size_t count)
{
    drop_passed(call);
    memcpy(call->passed_fds, fds, (count < CALL_FDS_MAX ? count : CALL_FDS_MAX) * sizeof(int));
}

static ssize_t
receive(struct call *call)
{
    char control[CMSG_SPACE(CALL_FDS_MAX * sizeof(int))];
    struct iovec part = {.iov_base = call->reply + call->reply_bytes, .iov_len = call->room_bytes - call->reply_bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(call->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    for (struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL; header != NULL;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            take_passed(call, CMSG_DATA(header), (header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    }
    return got;
}

static bool
has_room(struct call *call)
{
    size_t room_bytes = call->room_bytes == 0 ? REPLY_BYTES_MIN : 2 * call->room_bytes;
    char *grown;

    if (call->reply_bytes < call->room_bytes)
        return true;
    grown = room_bytes > REPLY_BYTES_MAX ? NULL : realloc(call->reply, room_bytes);
    if (grown == NULL)
        return false;
    call->reply = grown;
    call->room_bytes = room_bytes;
    return true;
}

static bool
understand(struct call *call)
{
    call->answer = json_loadb(call->reply, call->reply_bytes, 0, NULL);
    call->state = CALL_DONE;
    if (!answer_is_sane(call->answer)) {
        json_decref(call->answer);
        call->answer = NULL;
        return fail(call, CAIRN_INVALID, "what the node answers is not understood (is it of another release?)");
    }
    return true;
}

static bool
read_some(struct call *call)
{
    for (;;) {
        ssize_t got;

        if (!has_room(call))
            return fail(call, CAIRN_NO_MEMORY, "no memory for the answer");
        got = receive(call);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0)
            return fail(call, CAIRN_CLOSED, "the node hung up (did it end?)");
        call->reply_bytes += (size_t)got;
        if (call->reply[call->reply_bytes - 1] == '\n')
            return understand(call);
    }
}

bool
call_step(struct call *call)
{
    bool rests = false;

    assert(call->state != CALL_NONE);
    while (call->state != CALL_DONE && !rests) {
        if (call->state == CALL_DIALLING)
            rests = dial(call);
        else if (call->state == CALL_SENDING)
            rests = send_some(call);
        else
            rests = read_some(call);
    }
    return call->state == CALL_DONE;
}

void
call_end(struct call *call)
{
    if (call->state == CALL_NONE)
        return;
    if (call->fd >= 0 && !call->borrowed)
        close(call->fd);
    drop_passed(call);
    free(call->request);
    free(call->reply);
    json_decref(call->answer);
    *call = (struct call){.fd = -1, .passed_fds = {-1, -1}};
}

void
calls_wait(struct call *const *calls, uint32_t count, uint64_t timeout_ns)
{
    struct pollfd fds[64];
    struct timespec timeout;
    nfds_t used = 0;

    for (uint32_t i = 0; i < count && used < sizeof(fds) / sizeof(*fds); i++) {
        if (calls[i]->state == CALL_DIALLING && timeout_ns > DIAL_AGAIN_NS)
            timeout_ns = DIAL_AGAIN_NS;
        if (calls[i]->state == CALL_SENDING || calls[i]->state == CALL_READING)
            fds[used++] = (struct pollfd){.fd = calls[i]->fd,
                                          .events = calls[i]->state == CALL_SENDING ? POLLOUT : POLLIN};
    }
    timeout = (struct timespec){.tv_sec = (time_t)(timeout_ns / 1000000000u),
                                .tv_nsec = (long)(timeout_ns % 1000000000u)};
    ppoll(fds, used, &timeout, NULL);
}

enum cairn_error
call_finish(struct call *call, uint64_t timeout_ns)
{
    uint64_t end_ns = client_now_ns() + timeout_ns, at_ns;

    while (!call_step(call)) {
        at_ns = client_now_ns();
        if (at_ns >= end_ns) {
            fail(call, CAIRN_TIMEOUT, "the node does not answer (is it stopped?)");
            break;
        }
        calls_wait(&call, 1, end_ns - at_ns);
    }
    return call->error;
}
