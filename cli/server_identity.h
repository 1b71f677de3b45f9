/* Who the node is that a process is about to run: what was kept of it, and what its journals make of that. */
#ifndef CLI_SERVER_IDENTITY_H
#define CLI_SERVER_IDENTITY_H

#include "node/node.h"

struct server_identity {
    struct cluster_config *cluster;
    const char *cluster_file; /* for messages */
    uint8_t self;
    struct identity identity;
    bool found; /* it was kept */
};

/* Where the node has a state, the cluster file must not contradict what was agreed on. 0, or what to exit with, said. */
int server_identity_check(struct server_identity *who);

/* Reads what was kept of the node, or begins anew. From here on the cluster is what was agreed on, and config has who the node is
 * and keeps that by `who`, which outlives the node. 0, or what to exit with, said. */
int server_identity_find(struct server_identity *who, struct node_config *config);

/* With what standing the node starts, by the journals that are on its disks. 0, or what to exit with; what it has forgotten is
 * said. */
int server_identity_stand(struct server_identity *who, struct disk *const *disks, struct node_config *config);

/* A node in memory that ends leaves nothing that could be taken for a state. */
void server_identity_leave(const struct server_identity *who);

#endif
