/* What lies between the nodes' ports: links that lose, delay, damage and are cut. */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/port.h"
#include "sim/queue.h"

struct rte_ring;
struct sim;
struct sim_node;

/* A link's end as a node sees it: a port of its own between two rings. Made once a process. */
struct socket_hardware {
    struct port port;
    struct rte_ring *receive, *send;
};

struct link_state {
    uint32_t cuts;       /* as many faults hold it cut */
    uint32_t slow;       /* factor of the delay; 0: none */
    uint64_t extra_ns;   /* longer than the others */
    uint8_t lost_type;   /* messages of this type do not arrive; 0: all do */
    uint32_t pass;       /* of them, so many still do */
    uint64_t arrival_ns; /* of the last frame, which the next does not overtake */
    uint64_t busy_until_ns;
};

void network_collect(struct sim *sim, struct sim_node *node, uint8_t worker);
void network_deliver(struct sim *sim, const struct happening *happening);
void network_cut(struct sim *sim, uint8_t from, uint8_t to, bool cut);
void network_cut_worker(struct sim *sim, uint8_t worker, uint8_t from, uint8_t to, bool cut);
void network_heal(struct sim *sim);
/* A message that nobody has sent comes to a node by the link of another. */
void network_forge(struct sim *sim, uint8_t from, uint8_t to, const uint8_t *message, size_t size_bytes);

#endif
