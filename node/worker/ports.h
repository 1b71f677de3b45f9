/* A worker's ports to peers, and room for what comes from them. */
#ifndef NODE_WORKER_PORTS_H
#define NODE_WORKER_PORTS_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* For large records on their way from that peer, or from all that there are. No worker has the seat yet: any thread. false: no
 * memory. */
bool ports_make_room(struct worker *worker, uint8_t peer);
bool ports_make_room_for_all(struct worker *worker);

/* Frames go that way from now on. The worker's, or before it is polled. */
void port_attach(struct worker *worker, uint8_t peer);

#endif
