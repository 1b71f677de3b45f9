/* Appends of clients. The worker's. */
#ifndef NODE_WORKER_APPENDS_H
#define NODE_WORKER_APPENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attachment;
struct node_log;
struct pending;
struct record;
struct worker;

/* To the trunk here, to the branch here, or refused since it is somebody else's. false: not now, the request stays where it is. */
bool append_route(struct worker *worker, struct node_log *log, const struct attachment *attachment,
                  struct pending *pending, const struct record *record, uint64_t now_ns);
/* Copies the record out of the client's reach before looking at it. NULL: it is none. */
const struct record *take_record(struct worker *worker, const void *bytes, size_t size_bytes);

#endif
