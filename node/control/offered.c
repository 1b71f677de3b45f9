/* The control thread's half of an introduction: the identity that the worker offers is kept, and what it leads to begins. */
#include "node/control/offered.h"

#include <assert.h>

#include "node/control/control.h"
#include "node/start/begin.h"
#include "node/worker/introduce.h"

/* What is not kept does not take effect, and is tried again. */
static bool
keep(struct node *node, const struct identity *identity)
{
    struct introduction *introduction = &node->introduction;
    char detail[384];
    bool kept = node->config.keep == NULL ||
                node->config.keep(node->config.keep_context, identity, detail, sizeof(detail));

    assert(identity->self == node->self);
    if (!kept && !introduction->told_unkept)
        control_tell(node, EVENT_DISK_FAILED, "who this node is cannot be kept: %s", detail);
    introduction->told_unkept = !kept;
    return kept;
}

enum cairn_error
introduction_step(struct node *node, char *detail, size_t detail_bytes)
{
    struct introduction *introduction = &node->introduction;
    enum cairn_error error = CAIRN_OK;

    if (!atomic_load_explicit(&introduction->offered, memory_order_acquire) || !keep(node, &introduction->offer))
        return CAIRN_OK;
    /* What is offered is news, and kept once. */
    assert(introduction->offer_version > atomic_load_explicit(&introduction->kept_version, memory_order_relaxed));
    introduction->kept_agreed_lsn = introduction->offer.agreed.lsn;
    atomic_store_explicit(&introduction->kept_version, introduction->offer_version, memory_order_release);
    if (introduction_phase(introduction) == PHASE_OUTSIDE && introduction->offer.life.number > 0)
        error = node_begin(node, &introduction->offer, detail, detail_bytes);
    atomic_store_explicit(&introduction->offered, false, memory_order_release);
    return error;
}
