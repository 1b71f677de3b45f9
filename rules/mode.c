#include "rules/mode.h"

#include <assert.h>
#include <stdio.h>

#include "assert_costly.h"

uint32_t
mode_needs(const struct mode_inputs *inputs)
{
    uint32_t needs = inputs->policy == CAIRN_POLICY_CA && !inputs->falls_to_cp ? inputs->nodes : inputs->nodes / 2 + 1;

    /* Any two sets of so many nodes have a node in common. */
    assert(inputs->nodes == 0 || (2 * needs > inputs->nodes && needs <= inputs->nodes));
    return needs;
}

static enum cairn_mode
decide(const struct mode_inputs *inputs)
{
    bool enough = inputs->reached >= mode_needs(inputs);

    switch (inputs->policy) {
    case CAIRN_POLICY_AP:
        return CAIRN_MODE_AP;
    case CAIRN_POLICY_ADAPTIVE:
        if (!enough)
            return inputs->recovering ? CAIRN_MODE_DENIED : CAIRN_MODE_AP;
        break;
    case CAIRN_POLICY_CP:
    case CAIRN_POLICY_CA:
        if (!enough)
            return CAIRN_MODE_DENIED;
        break;
    }
    return inputs->branch_pending ? CAIRN_MODE_MERGING : CAIRN_MODE_CP;
}

enum cairn_mode
mode_decide(const struct mode_inputs *inputs)
{
    enum cairn_mode mode = decide(inputs);

    assert(inputs->nodes >= 1 && inputs->reached <= inputs->nodes);
    /* Only a node that reaches more than half appends to the trunk. */
    assert((mode != CAIRN_MODE_CP && mode != CAIRN_MODE_MERGING) || 2 * inputs->reached > inputs->nodes);
    /* A node that has not recovered yet lets nothing diverge. */
    assert(mode != CAIRN_MODE_AP || !inputs->recovering || inputs->policy == CAIRN_POLICY_AP);
    return mode;
}

enum cairn_ack
mode_policy_ack(const struct mode_inputs *inputs, enum cairn_mode mode)
{
    if (mode == CAIRN_MODE_AP)
        return CAIRN_ACK_LOCAL;
    if (inputs->policy != CAIRN_POLICY_CA || (inputs->falls_to_cp && inputs->reached < inputs->nodes))
        return CAIRN_ACK_MAJORITY;
    return CAIRN_ACK_ALL;
}

enum cairn_error
mode_admit_append(enum cairn_mode mode, const struct mode_inputs *inputs, enum cairn_ack asked, enum cairn_ack *out)
{
    enum cairn_ack ack = asked == CAIRN_ACK_POLICY ? mode_policy_ack(inputs, mode) : asked;

    assert_costly(inputs->reached <= inputs->nodes);
    if (mode == CAIRN_MODE_DENIED)
        return CAIRN_NO_QUORUM;
    if (ack == CAIRN_ACK_MAJORITY && inputs->reached < inputs->nodes / 2 + 1)
        return CAIRN_NO_QUORUM;
    if (ack == CAIRN_ACK_ALL && inputs->reached < inputs->nodes)
        return CAIRN_NO_QUORUM;
    assert_costly(ack == CAIRN_ACK_LOCAL || 2 * inputs->reached > inputs->nodes);
    *out = ack;
    return CAIRN_OK;
}

enum cairn_error
mode_admit_read(enum cairn_mode mode, const struct mode_inputs *inputs, enum cairn_deny deny,
                enum cairn_read_level asked, enum cairn_read_level *out)
{
    enum cairn_read_level level = asked;

    if (level == CAIRN_READ_POLICY)
        level = mode == CAIRN_MODE_AP               ? CAIRN_READ_STALE
                : inputs->policy == CAIRN_POLICY_CA ? CAIRN_READ_LEASE
                                                    : CAIRN_READ_LINEARIZABLE;
    assert_costly(inputs->reached <= inputs->nodes);
    if (mode == CAIRN_MODE_DENIED && (deny & CAIRN_DENY_READS))
        return CAIRN_DENIED;
    if (level != CAIRN_READ_STALE && level != CAIRN_READ_SESSION && inputs->reached < inputs->nodes / 2 + 1)
        return CAIRN_NO_QUORUM;
    *out = level;
    return CAIRN_OK;
}

void
mode_reason(const struct mode_inputs *inputs, enum cairn_ack asked, char *text, size_t text_bytes)
{
    uint32_t need = asked == CAIRN_ACK_ALL ? inputs->nodes : mode_needs(inputs);

    if (inputs->reached >= need)
        snprintf(text, text_bytes, "reaching %u of %u", inputs->reached, inputs->nodes);
    else
        snprintf(text, text_bytes, "no quorum: reaching %u of %u, need %u", inputs->reached, inputs->nodes, need);
}
