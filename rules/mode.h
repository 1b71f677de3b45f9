/* What a log does on this node now, and what that means for a request. Pure.
 *
 * The table of policies is docs/cap.md. */
#ifndef RULES_MODE_H
#define RULES_MODE_H

#include <stddef.h>

#include "cairn/error.h"
#include "cairn/types.h"

struct mode_inputs {
    enum cairn_policy policy;
    uint32_t nodes;      /* that vote */
    uint32_t reached;    /* of them, hear this node and are heard by it, itself included */
    bool branch_pending; /* entries of this node's branch are not yet on the trunk */
    bool recovering;
    bool falls_to_cp; /* `ca` with some cut off */
};

enum cairn_mode mode_decide(const struct mode_inputs *inputs);

/* How many nodes the policy needs in reach to take appends onto the trunk. */
uint32_t mode_needs(const struct mode_inputs *inputs);

/* The level that an append gets if it asks for its policy's. */
enum cairn_ack mode_policy_ack(const struct mode_inputs *inputs, enum cairn_mode mode);

/* Turns the level a request asks for into the one it gets (never less), or refuses. */
enum cairn_error mode_admit_append(enum cairn_mode mode, const struct mode_inputs *inputs, enum cairn_ack asked,
                                   enum cairn_ack *out);

/* The same for a read. */
enum cairn_error mode_admit_read(enum cairn_mode mode, const struct mode_inputs *inputs, enum cairn_deny deny,
                                 enum cairn_read_level asked, enum cairn_read_level *out);

/* "no quorum: reaching 1 of 3, need 2". Always NUL-terminated. */
void mode_reason(const struct mode_inputs *inputs, enum cairn_ack asked, char *text, size_t text_bytes);

#endif
