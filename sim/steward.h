/* The steward, who changes memberships and hands leadership over. */
#ifndef SIM_STEWARD_H
#define SIM_STEWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/cairn.h"

struct sim;

struct sim_steward {
    struct cairn_client *client;
    uint8_t node;
    bool busy;
    uint64_t token, asked_ns;
};

void steward_step(struct sim *sim);
/* Asks for a change at a node; false: the steward is busy, or the node is down. */
bool steward_ask(struct sim *sim, uint8_t via, uint32_t log, enum cairn_member_op op, uint8_t target);
void steward_leave(struct sim_steward *steward);

#endif
