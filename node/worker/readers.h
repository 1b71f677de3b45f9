/* Clients that read. */
#ifndef NODE_WORKER_READERS_H
#define NODE_WORKER_READERS_H

#include "dataplane/store.h"
#include "wire/protocol.h"

struct attachment;
struct node_log;
struct worker;

#define READERS_MAX 64u
#define READERS_KEPT 8u  /* of them, for administrators */
#define READERS_EACH 16u /* of one client's */

struct reader {
    bool used, waiting, follow, tentative;
    bool shows_branches; /* part of what its session has written is tentative here */
    bool earliest;       /* from wherever the log begins */
    bool here;           /* it reads up to what was held here: less, if that is cut off */
    uint8_t attachment;
    uint8_t level;
    uint32_t serial, generation;
    struct node_log *log;
    uint64_t token, next, to, limit, began_lsn;
    uint64_t asked_ns, since_ns;
    uint64_t round_ns;   /* when it asked first of what is not answered yet; 0: all is */
    uint64_t max_lag_ns; /* 0: any will do */
    uint64_t since_hlc;  /* nothing is shown until the trunk has an entry of that clock; 0: all is shown */
    uint64_t lag_ns;     /* that it has, as it was opened */
    size_t lacks_bytes;  /* of room at its client: nothing is looked for before there is so much; 0: it lacks nothing */
    struct cursor cursor;
    struct cursor branch_cursors[CAIRN_NODES_MAX]; /* by origin */
    struct request_session session;                /* at level session: what it waits for */
};

/* session: what a read at that level needs; NULL: nothing. */
void reader_start(struct worker *worker, struct attachment *attachment, const struct request *request,
                  const struct request_session *session, uint64_t now_ns);
void reader_cancel(struct worker *worker, const struct attachment *attachment, uint64_t token);
void readers_drop(struct worker *worker, uint8_t attachment);
void reader_ready(struct worker *worker, uint64_t token, uint64_t lsn, bool here);
/* What the log was is given up: whoever reads it is told that it has stopped. */
void readers_stopped(struct worker *worker, const struct node_log *log);
/* The trunk ends before from_lsn now: a reader of what was held here reads no further. */
void readers_truncated(struct worker *worker, const struct node_log *log, uint64_t from_lsn);
void reader_failed(struct worker *worker, uint64_t token);
uint32_t readers_turn(struct worker *worker, uint64_t now_ns);

#endif
