/* Clients that read. */
#ifndef NODE_READERS_H
#define NODE_READERS_H

#include "state.h"

/* session: what a read at that level needs; NULL: nothing. */
void reader_start(struct worker *worker, struct attachment *attachment, const struct request *request,
                  const struct request_session *session, uint64_t now_ns);
void reader_cancel(struct worker *worker, const struct attachment *attachment, uint64_t token);
void readers_drop(struct worker *worker, uint8_t attachment);
void reader_ready(struct worker *worker, uint64_t token, uint64_t lsn, bool here);
/* The trunk ends before from_lsn now: who reads what was held here reads no further. */
/* What the log was is given up: whoever reads it is told that it has stopped. */
void readers_stopped(struct worker *worker, const struct node_log *log);
void readers_truncated(struct worker *worker, const struct node_log *log, uint64_t from_lsn);
void reader_failed(struct worker *worker, uint64_t token);
uint32_t readers_turn(struct worker *worker, uint64_t now_ns);

#endif
