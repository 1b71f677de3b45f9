/* A log is made, or changed, by an entry of the catalog, and that is waited for until it is in force. */
#ifndef CLI_LOG_CHANGE_H
#define CLI_LOG_CHANGE_H

#include "cli/cli.h"

#define LOG_WORKER_ANY UINT64_MAX /* the one with least to do */

/* Makes the log on all nodes that answer, unless it is there as asked, and waits for a leader. rules: keys of a status row;
 * durability, members: NULL: as the cluster has it, all. Returns the exit status, said. */
int log_create(const struct cluster_config *cluster, const char *name, json_t *rules, const char *durability,
               const char *members, uint64_t worker);

/* Changes its rules: keys of a status row, of which those not mentioned stay. operation: "set", or "trim", which differ in nothing
 * but what is said to people. Returns the exit status, said. */
int log_set(const struct cluster_config *cluster, const char *operation, const char *name, json_t *rules);

/* The log's status row as its leader has it, else as any node does: the caller's. NULL: no node that answers knows the log, or none
 * does; *status: what to exit with then, said, else 0. */
json_t *log_row(const struct cluster_config *cluster, const char *log, int *status);

#endif
