/* What the nodes of a cluster agree on, and how it is changed: cairn cluster show|set|add|remove. */
#ifndef CLI_AGREE_H
#define CLI_AGREE_H

#include "cli/cli.h"
#include "rules/agreed.h"

/* What one node says of it; CAIRN_NODE_NONE: whoever answers. Returns the exit status. */
int cli_agreed_show(const struct cluster_config *cluster, uint8_t via, bool json);

/* A node's answer to `cluster` as what it says; false: it is none. */
bool cli_agreed_of(const json_t *answer, struct agreed *out);
/* The newest of what nodes answered; how many did. */
uint32_t cli_agreed_newest(const struct cluster_config *cluster, const struct cli_answers *answers, struct agreed *out);

/* The newest that nodes which answer say; false: none does. */
bool cli_agreed_said(const struct cluster_config *cluster, enum cli_patience patience, struct agreed *out);
/* The same; where none does, what the cluster file says. */
void cli_agreed(const struct cluster_config *cluster, struct agreed *out);

/* The cluster is as that has it from now on. */
void cli_go_by(struct cluster_config *cluster, const struct agreed *agreed);

/* Asks for a change, and returns when it is in force on all nodes that answer, with the exit status. */
int cli_agreed_change(const struct cluster_config *cluster, const struct agreed_change *change, bool json);

#endif
