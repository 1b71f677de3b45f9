/* Clients' channels to nodes. */
#ifndef SIM_CHANNELS_H
#define SIM_CHANNELS_H

struct cairn_client;
struct sim_node;

/* NULL: the node is down, or has no room. */
struct cairn_client *node_connect(struct sim_node *node);
/* The node is polled soon, if a client asked it for something. */
void node_asked(struct sim_node *node);
/* Its clients are told, and keep what they have mapped. */
void node_bury_attachments(struct sim_node *node);

#endif
