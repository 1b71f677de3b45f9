/* Hybrid clocks: what entries are stamped with, and what is learned of the others' (docs/cap.md, Clocks). */
#ifndef NODE_WORKER_HLC_H
#define NODE_WORKER_HLC_H

#include "dataplane/codec.h"

struct node_log;
struct worker;

void node_clocks_start(struct worker *worker);
/* Once an interval. */
void node_clocks_beat(struct worker *worker, uint64_t beat_ns);
void node_clocks_tell(const struct worker *worker, struct wire_heartbeat *heartbeat, uint64_t now_ns);
void node_clocks_take(struct worker *worker, uint8_t from, const struct wire_heartbeat *heartbeat);
/* The hybrid clock takes in what an entry was received with. */
void node_take_hlc(struct worker *worker, struct node_log *log, uint64_t hlc);
/* The next clock of an entry that is accepted here: on the branch; at the end of the trunk, for so many. */
uint64_t node_hlc(struct worker *worker, struct node_log *log, uint64_t now_ns);
uint64_t node_trunk_hlc(struct worker *worker, struct node_log *log, uint32_t count, uint64_t now_ns);
/* By how much the node's wall clock is ahead of the time; 0: it has not told. */
int64_t node_clock_ahead_ns(const struct worker *worker, uint8_t of);
/* A block of a branch comes to the trunk, here. */
void node_stamp(struct worker *worker, struct node_log *log, struct block *block);

#endif
