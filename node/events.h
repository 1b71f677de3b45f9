/* What a node tells those who look after it. */
#ifndef NODE_EVENTS_H
#define NODE_EVENTS_H

#include "node/node.h"

struct node_log;
struct worker;

void node_event(struct worker *worker, enum event_kind kind, const struct node_log *log, uint8_t peer, uint8_t from,
                uint8_t to, const char *reason, ...) __attribute__((format(printf, 7, 8)));

#endif
