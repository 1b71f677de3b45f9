#include "dataplane/fault.h"

#include <assert.h>

#include <rte_mbuf.h>

/* How long a frame that is overtaken is held back, where the rule delays nothing. */
#define REORDER_NS 20000u

bool
fault_rule_active(const struct fault_rule *rule)
{
    return rule->drop > 0 || rule->duplicate > 0 || rule->reorder > 0 || rule->corrupt > 0 || rule->delay_ns > 0;
}

static bool
chance(struct fault_queue *queue, double share)
{
    if (share <= 0)
        return false;
    queue->random = queue->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(queue->random >> 11) / (double)(1ull << 53) < share;
}

static void
corrupt(struct fault_queue *queue, struct rte_mbuf *frame)
{
    uint32_t at;

    assert(frame->data_len > 0 && frame->data_len <= frame->pkt_len);
    at = (uint32_t)(queue->random >> 33) % frame->data_len;
    /* A chained payload belongs to the log: only the frame's own bytes are damaged. */
    rte_pktmbuf_mtod(frame, uint8_t *)[at] ^= (uint8_t)(1u << (queue->random & 7));
    queue->corrupted++;
}

static bool
hold(struct fault_queue *queue, struct rte_mbuf *frame, uint64_t due_ns)
{
    assert(queue->count <= FAULT_DELAYED_MAX);
    if (queue->count == FAULT_DELAYED_MAX)
        return false;
    queue->delayed[queue->count].frame = frame;
    queue->delayed[queue->count++].due_ns = due_ns;
    queue->delayed_total++;
    return true;
}

uint32_t
fault_apply(struct fault_queue *queue, const struct fault_rule *rule, struct rte_mbuf *frame, uint64_t now_ns,
            struct rte_mbuf **out)
{
    uint64_t due_ns = now_ns + rule->delay_ns;
    uint32_t count = 0;

    /* Elsewhere a frame goes by unseen. */
    assert(fault_rule_active(rule));
    if (chance(queue, rule->drop)) {
        queue->dropped++;
        rte_pktmbuf_free(frame);
        return 0;
    }
    if (chance(queue, rule->duplicate)) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(frame, frame->pool, 0, UINT32_MAX);

        if (copy != NULL) {
            queue->duplicated++;
            out[count++] = copy;
        }
    }
    if (chance(queue, rule->corrupt))
        corrupt(queue, frame);
    if (chance(queue, rule->reorder)) {
        queue->reordered++;
        due_ns += REORDER_NS;
    }
    if (due_ns > now_ns && hold(queue, frame, due_ns))
        return count;
    out[count++] = frame;
    assert(count <= 2);
    return count;
}

uint32_t
fault_due(struct fault_queue *queue, uint64_t now_ns, struct rte_mbuf **out, uint32_t most)
{
    uint32_t found = 0, kept = 0;

    for (uint32_t i = 0; i < queue->count; i++) {
        if (queue->delayed[i].due_ns <= now_ns && found < most)
            out[found++] = queue->delayed[i].frame;
        else
            queue->delayed[kept++] = queue->delayed[i];
    }
    assert(found <= most && found + kept == queue->count);
    queue->count = kept;
    return found;
}
