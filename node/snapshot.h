/* What the control thread decided, for the worker to see. */
#ifndef NODE_SNAPSHOT_H
#define NODE_SNAPSHOT_H

#include "dataplane/fault.h"
#include "node/worker/log.h"
#include "rules/agreed.h"

struct node;

/* What the control thread decided, as the worker sees it: never changed, only replaced. */
struct snapshot {
    uint32_t version;
    uint32_t count;
    struct {
        struct node_log *log;
        struct log_rules rules;
    } logs[LOGS_MAX];
    struct fault_rule faults[CAIRN_NODES_MAX];
    struct agreed agreed;
    struct cairn_id members[CAIRN_NODES_MAX]; /* that it names */
    uint64_t ceiling_ns, hold_max_ns; /* that this node's own configuration makes of it; where its lsn is not 0 */
};

struct snapshot *snapshot_publish(struct node *node, struct snapshot *next);
void snapshot_retire(struct snapshot *former);
struct snapshot *snapshot_copy(const struct node *node);

#endif
