/* The processes of a dev cluster's nodes: begun, waited for, watched, ended. */
#ifndef CLI_DEV_NODES_H
#define CLI_DEV_NODES_H

#include <signal.h>

#include "cli/dev.h"

/* Begins a process, which outlives this one, and takes nodes and network namespaces away when this one has ended without doing so.
 * 0, or what to exit with, said. */
int dev_nodes_start_caretaker(struct dev *dev);

/* Begins a process for each node, with its log in the directory. 0, or what to exit with, said: then some may run. */
int dev_nodes_start(struct dev *dev);

/* Until all reach each other and every log has a leader, or waits for a decision, which is said. Not 0: one has ended, or it took
 * too long; said. */
int dev_nodes_wait_ready(const struct dev *dev);

/* Until one of the signals comes, which are blocked; then ends all. A node that ends meanwhile is told; the others go on. */
int dev_nodes_watch(struct dev *dev, const sigset_t *signals);

/* Ends the nodes, whoever started them, and their namespaces. EXIT_DONE. */
int dev_nodes_stop(const struct dev *dev);

#endif
