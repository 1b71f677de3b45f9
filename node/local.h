/* All nodes of a cluster in this process, linked by rings, polled by lcores of ours: what the demo
 * and the benches run. The nodes are the same as in `cairn server`. */
#ifndef NODE_LOCAL_H
#define NODE_LOCAL_H

#include "client/session.h"
#include "node/node.h"

struct local_config {
    uint32_t nodes;
    uint32_t workers;    /* of each node, each on an lcore of its own with those of the same number; 0: 1 */
    uint32_t memory_mib; /* of each node */
    uint64_t retain_bytes;
    bool memory_at_start;
    uint32_t channel_bytes; /* of each client's rings */
    enum cluster_profile profile;
    enum idle_policy idle;
    int cpu;             /* of the first lcore, each of the others on the next one; -1: they float */
    bool lcore_later;    /* lcore_start() is left to the caller */
    struct disk **disks; /* of each node, and of it of each worker, borrowed; NULL: memory alone */
};

struct local_cluster {
    struct cluster_config cluster;
    struct node *nodes[CAIRN_NODES_MAX];
    struct lcore lcores[CAIRN_WORKERS_MAX];
};

/* Starts EAL, nodes and lcores; the first node leads whatever log is made, while it can. */
enum cairn_error local_start(const struct local_config *config, struct local_cluster *out, char *detail,
                             size_t detail_bytes);
void local_stop(struct local_cluster *local);

/* session_connect for a session inside: the context is the local_cluster. */
session_connect local_connect;

/* A cluster file's worth of settings for a cluster that has no file. */
struct cluster_config local_cluster_config(uint32_t nodes, enum cluster_transport transport, uint32_t memory_mib,
                                           enum cluster_profile profile);

/* Makes a log at that worker, by way of `node` (which must be able to lead), and waits until it leads it. poll, where
 * given, is called meanwhile: whoever polls the node itself does it there. */
enum cairn_error local_create_log(struct node *node, const char *name, enum cairn_policy policy,
                                  enum cairn_durability durability, uint8_t worker,
                                  void (*poll)(void *context, uint64_t now_ns), void *context, uint32_t *log);

#endif
