/* Frames on their way to a port. */
#ifndef NODE_WORKER_FRAMES_H
#define NODE_WORKER_FRAMES_H

#include "dataplane/port.h"

struct worker;

void send_head(struct port *port, struct rte_mbuf *frame, size_t size_bytes, uint64_t now_ns, bool wake);
void send_frame(struct worker *worker, uint8_t peer, struct rte_mbuf *frame, size_t size_bytes, uint64_t now_ns);

#endif
