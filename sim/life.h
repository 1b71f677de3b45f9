/* The lives of nodes: how they begin and end; and their turns. */
#ifndef SIM_LIFE_H
#define SIM_LIFE_H

#include <stdint.h>

struct sim;
struct sim_node;

/* life.c */
/* Every node is of the cluster from the beginning. */
void world_found(struct sim *sim);
void node_boot(struct sim_node *node);
/* It does not start, or cannot go on: it is gone, and comes back where its disk says why. */
void node_refuses(struct sim_node *node, const char *detail);
void node_crash(struct sim_node *node);
void node_stop(struct sim_node *node);

/* turn.c */
void worker_do_poll(struct sim_node *node, uint8_t worker);
void node_do_control(struct sim_node *node);

#endif
