/* A network of this machine's own for `cairn dev --transport netns`: a namespace for each node with an eth0 in it, one
 * (cairn-net) with the bridge br0 and a port for each node, named after it, and one (cairn-c) for clients. */
#ifndef CLI_NETNS_H
#define CLI_NETNS_H

#include "control/config.h"

/* Makes it. What a former cluster has left is taken away first; one that still runs is not: then it fails. 0, or what to
 * exit with, said. Needs root and iproute2. */
int netns_make(const struct cluster_config *cluster);

/* Takes it away; what is not there is no matter. */
void netns_remove(const struct cluster_config *cluster);

/* Moves this process into the node's namespace. Before any thread. 0, or what to exit with, said. */
int netns_enter(const char *node);

#endif
