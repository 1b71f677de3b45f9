/* What the process may use, as whoever started it has set it (ulimit, a unit's Limit…=): looked at before a node starts. */
#ifndef CLI_PROCESS_LIMITS_H
#define CLI_PROCESS_LIMITS_H

struct node_config;

/* Takes as many descriptors as it may have, and makes files no larger than it may. Not 0: too little is allowed for a node;
 * said which, and how much it takes. */
int process_limits_prepare(struct node_config *config);

#endif
