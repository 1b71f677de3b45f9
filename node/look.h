/* Small questions that many files ask of a node. */
#ifndef NODE_LOOK_H
#define NODE_LOOK_H

#include "node/attachment.h"
#include "node/worker/log.h"

struct node;
struct worker;

uint64_t node_now_ns(const struct node *node);

/* The log of logs, which the first worker has. */
struct node_log *catalog_of(const struct worker *worker);
/* Does its journal hold all of it that this node had gone by when it started? */
bool catalog_is_kept(const struct node *node);
struct node_log *node_find_log(const struct worker *worker, uint32_t id);
/* What is agreed on stands in the catalog: nobody's clients read or write there. */
static inline bool
log_is_closed_to(const struct node_log *log, const struct attachment *attachment)
{
    return log->id == CATALOG_LOG && !attachment->system;
}

struct mode_inputs node_mode_inputs(const struct worker *worker, const struct node_log *log);
/* Does this node vote in the log, or learn it? */
bool node_is_member(const struct worker *worker, const struct node_log *log);
/* Who may serve where this node does not: the leader, else a member in reach, else any. */
uint8_t node_to_ask(const struct worker *worker, const struct node_log *log);
uint8_t node_needs(const struct node_log *log);
/* Asserts what holds of a log between any two events; true. For assert_costly(). The worker's. */
bool log_is_sound(const struct node_log *log);
/* How long a link that flaps is held back at most. */
uint64_t node_hold_max_ns(const struct node *node);

#endif
