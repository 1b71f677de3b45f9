/* What must hold of modes, and of who is in reach of whom. */
#ifndef SIM_CHECKER_MODES_H
#define SIM_CHECKER_MODES_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "rules/mode.h"
#include "sim/log_check.h"

struct sim;
struct sim_node;

/* checker_modes.c: of every node whose workers take their turns. */
void check_often(struct sim *sim);

/* checker_answers.c */
/* A heartbeat has come, whole. */
void check_beat(struct sim_node *node, uint8_t worker, uint8_t peer, uint32_t incarnation);
/* Whom the node must have in reach by now: each has heard the other for longer than any may be held back. */
cairn_node_set check_sure_reach(const struct sim *sim, const struct sim_node *node, uint8_t worker);
/* The mode is one of need, or not, while so many voters are surely in reach. */
void check_need(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, const struct mode_inputs *inputs,
                enum cairn_mode mode);
/* It leads, and has heard so many of its voters lately. wait_ns: how long the node waits for anybody at the moment. */
void check_alone(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, uint32_t heard, uint32_t voters,
                 uint64_t wait_ns);
/* After each poll: what the node is to do with reads from here on. */
void check_rules(struct sim *sim, struct sim_node *node, uint32_t log);

#endif
