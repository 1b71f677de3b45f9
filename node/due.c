/* Which logs have something to do in this turn, and which at the next tick. */
#include "due.h"

#include "state.h"

/* Something happened to the log: its next tick is due, and its status. */
void
node_touch(struct node *node, struct node_log *log)
{
    log->touched = true;
    node->status_due = true;
}

/* The log has something to send, to acknowledge or to commit this turn. */
void
node_activate(struct node *node, struct node_log *log)
{
    node_touch(node, log);
    if (log->active)
        return;
    log->active = true;
    node->active[node->active_count++] = log;
}

/* There is work again: the next heartbeat comes at the interval that belongs to it. */
void
node_wake_up(struct node *node, uint64_t now_ns)
{
    uint64_t next_ns = now_ns + node->detector.config.interval_ns;

    node->worked_ns = now_ns;
    if (node->heartbeat_ns > next_ns)
        node->heartbeat_ns = next_ns;
}
