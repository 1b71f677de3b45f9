/* The directory of a node that a process is about to run: it is this user's, and the node is this process's alone. */
#ifndef CLI_SERVER_DIRECTORY_H
#define CLI_SERVER_DIRECTORY_H

#include <stdint.h>

struct cluster_config;
struct identity_lock;

/* Makes the cluster's directory where there is none, goes by its path without links from then on, and takes the node's lock: held
 * until identity_unlock(). 0, or what to exit with, said. */
int server_directory_take(struct cluster_config *cluster, uint8_t self, struct identity_lock *held);

/* Whoever looks after the node finds its process there, or none, and never half of it; the lock, not this file, says that the node
 * runs. 0, or what to exit with, said. */
int server_pid_write(const struct cluster_config *cluster, uint8_t self);
void server_pid_remove(const struct cluster_config *cluster, uint8_t self);

#endif
