/* Clients that read. */
#ifndef NODE_READERS_H
#define NODE_READERS_H

#include "state.h"

/* session: what a read at that level needs; NULL: nothing. */
void reader_start(struct node *node, struct attachment *attachment, const struct request *request,
                  const struct request_session *session, uint64_t now_ns);
void reader_cancel(struct node *node, const struct attachment *attachment, uint64_t token);
void readers_drop(struct node *node, uint8_t attachment);
void reader_ready(struct node *node, uint64_t token, uint64_t lsn, bool here);
/* The trunk ends before from_lsn now: who reads what was held here reads no further. */
/* What the log was is given up: whoever reads it is told that it has stopped. */
void readers_stopped(struct node *node, const struct node_log *log);
void readers_truncated(struct node *node, const struct node_log *log, uint64_t from_lsn);
void reader_failed(struct node *node, uint64_t token);
uint32_t readers_turn(struct node *node, uint64_t now_ns);

#endif
