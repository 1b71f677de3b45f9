/* A cluster of separate processes on this machine: what all of `cairn dev` goes by. */
#ifndef CLI_DEV_H
#define CLI_DEV_H

#include <sys/types.h>

#include "cli/cli.h"

struct dev {
    struct cluster_config cluster;
    char file[320];
    const char *idle;
    uint32_t metrics_port; /* of the first node, the next has the next; 0: none */
    bool allow_faults, detach, stop, json, nodes_given;
    int alive; /* its other end closes when this process ends, however it does; -1: nobody looks */
    pid_t pids[CAIRN_NODES_MAX];
};

#endif
