/* Faults injected at a port, on what it sends: loss, delay, duplicates, reordering, damage.
 *
 * Rules are written by the control thread and reach the worker as part of a configuration
 * snapshot; the queue of delayed frames is the worker's. */
#ifndef DATAPLANE_FAULT_H
#define DATAPLANE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

#define FAULT_DELAYED_MAX 512u

struct fault_rule {
    double drop, duplicate, reorder, corrupt; /* shares, 0 to 1 */
    uint64_t delay_ns;
};

struct fault_queue {
    struct {
        struct rte_mbuf *frame;
        uint64_t due_ns;
    } delayed[FAULT_DELAYED_MAX];
    uint32_t count;
    uint64_t random;
    uint64_t dropped, duplicated, reordered, corrupted, delayed_total;
};

bool fault_rule_active(const struct fault_rule *rule);

/* Takes a frame; writes what is to be sent at once to out (at most 2) and returns how many. A frame
 * that is to wait is kept. */
uint32_t fault_apply(struct fault_queue *queue, const struct fault_rule *rule, struct rte_mbuf *frame, uint64_t now_ns,
                     struct rte_mbuf **out);

/* Frames whose time has come, at most `most`. */
uint32_t fault_due(struct fault_queue *queue, uint64_t now_ns, struct rte_mbuf **out, uint32_t most);

#endif
