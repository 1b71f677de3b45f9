/* The lcores that poll a node's workers: how many, on which processors. Each has a bell, by which its workers are woken. */
#ifndef CLI_SERVER_LCORES_H
#define CLI_SERVER_LCORES_H

#include "node/node.h"

struct server_lcores {
    struct lcore lcores[CAIRN_WORKERS_MAX];
    uint32_t count; /* 0: none were chosen yet */
};

/* How many, and where, as the cluster file has it, else by the machine's processors. 0, or what to exit with, said. */
int server_lcores_choose(struct server_lcores *lcores, const struct cluster_config *cluster, uint8_t self);

/* Gives each worker of the node to be made its lcore's bell. 0, or what to exit with, said. */
int server_lcores_make_bells(const struct server_lcores *lcores, struct node_config *config);

/* Begins to poll the workers. config: as the node was made from it. 0, or what to exit with, said. */
int server_lcores_start(struct server_lcores *lcores, struct node *node, const struct node_config *config,
                        enum idle_policy idle);

/* Nothing polls the workers any more. Also where they were not started. */
void server_lcores_stop(struct server_lcores *lcores);

#endif
