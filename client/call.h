/* A request to a node over its admin socket, a step at a time. No step waits: neither for a node that has stopped, nor
 * for one whose backlog is full, nor for one that reads or answers slowly. Who has several under way waits for all of
 * them at once, as long as he likes.
 *
 *     call_begin(&call, path, json_pack("{s:s}", "cmd", "status"));
 *     while (!call_step(&call) && cli_now_ns() < end_ns)
 *         calls_wait(&one, 1, end_ns - cli_now_ns());
 *     use(call.answer);
 *     call_end(&call); */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cairn/error.h"

/* One is asked for. Where there is room for one there is, by its alignment, for two: who sends two has them closed. */
#define CALL_FDS_MAX 2

enum call_state { CALL_NONE, CALL_DIALLING, CALL_SENDING, CALL_READING, CALL_DONE };

struct call {
    enum call_state state;        /* zeroed memory is a call that was not begun */
    bool borrowed;                /* the connection is somebody else's */
    int fd;                       /* -1: none */
    int passed_fds[CALL_FDS_MAX]; /* descriptors that came along, for whoever takes them; -1: none */
    char path[108];
    char *request, *reply;
    size_t request_bytes, sent_bytes, reply_bytes, room_bytes;
    json_t *answer; /* once it is done, for whoever takes it; NULL: there is none, for this reason */
    enum cairn_error error;
    char detail[256];
};

/* Takes request over. */
void call_begin(struct call *call, const char *path, json_t *request);
/* The same, over a connection that there is, and that stays the caller's. */
void call_begin_over(struct call *call, int fd, json_t *request);

/* Goes on with it as far as that goes without waiting; true: it is done. */
bool call_step(struct call *call);

/* Also where it is not done. What it holds and nobody took is given up. */
void call_end(struct call *call);

/* Waits until one of them may have something to do, or so long. */
void calls_wait(struct call *const *calls, uint32_t count, uint64_t timeout_ns);

/* A connection to its end: steps, and waits so long at most. CAIRN_TIMEOUT: not done by then. */
enum cairn_error call_finish(struct call *call, uint64_t timeout_ns);

uint64_t client_now_ns(void);

#endif
