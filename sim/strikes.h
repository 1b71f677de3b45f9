/* What the nemesis strikes with, one by one. Draws are of its stream, where nothing else is said. For nemesis*.c alone. */
#ifndef SIM_STRIKES_H
#define SIM_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/faults.h"

struct happening;
struct sim;
struct sim_node;

/* nemesis_choice.c */
/* A time around the mean. */
uint64_t nemesis_about(struct sim *sim, uint64_t mean_ns);
/* The fault ends, after about as long as the plan says. */
void nemesis_end_later(struct sim *sim, enum fault_kind kind, uint8_t node, uint8_t peer, uint32_t value);
uint8_t nemesis_any_node(struct sim *sim);
uint8_t nemesis_other_node(struct sim *sim, uint8_t node);
/* Of media that decay, one node has one: with more, what was acknowledged may be gone from a majority. */
struct sim_node *nemesis_decaying(struct sim *sim);

/* nemesis_links.c */
/* What is done to the links of one node, or between two; false: the kind is none of these. */
bool strike_links(struct sim *sim, enum fault_kind kind, uint8_t node, uint8_t other);
/* Cuts all links between the nodes of side and the others, out of it and, unless one_way, into it. */
void strike_cut_side(struct sim *sim, uint32_t side, bool one_way, bool cut);
/* Every 1.5 timeouts up and down, for a while: value counts the changes left. */
void strike_flap(struct sim *sim, uint8_t left, uint8_t right, uint32_t left_over);
/* The link, or one worker's of it, is whole again. */
void strike_join(struct sim *sim, const struct happening *happening);

/* nemesis_nodes.c */
void strike_crash(struct sim *sim);
/* Everything goes dark at once, and comes back one by one. */
void strike_power(struct sim *sim);
/* Writes fail, or space ends, for a while; a node whose write has failed is started anew at the end. */
void strike_disk(struct sim *sim, enum fault_kind kind);
void strike_disk_end(struct sim *sim, enum fault_kind kind, struct sim_node *node);
/* Has a write of one of its workers failed? The node is up. */
bool nemesis_journal_failed(const struct sim_node *node);
void strike_pause(struct sim *sim);

/* nemesis_clocks.c */
void strike_drift(struct sim *sim);
void strike_wall_jump(struct sim *sim);
/* Of a stream of its own. */
void strike_clock(struct sim *sim);
void strike_clock_end(struct sim *sim, uint8_t node, bool all);

/* nemesis_changes.c */
/* Of a stream of its own. */
void strike_agreed(struct sim *sim);
void strike_policy(struct sim *sim);
void strike_members(struct sim *sim);
void strike_transfer(struct sim *sim);
void strike_client(struct sim *sim);

#endif
