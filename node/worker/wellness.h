/* How a node does, as it tells others; who is better off, and is handed leadership; and how long it waits for others, in
 * words. All of it the worker's, unless said otherwise. */
#ifndef NODE_WORKER_WELLNESS_H
#define NODE_WORKER_WELLNESS_H

#include <stddef.h>

#include "cairn/cairn.h"
#include "dataplane/codec.h"
#include "rules/detector.h"
#include "rules/health.h"

struct journal_write;
struct worker;
struct node_log;

struct node_health {
    uint32_t ailments;
    uint64_t since_ns[AILMENT_BITS];     /* of those that it has */
    uint64_t ailing_ns[CAIRN_NODES_MAX]; /* when a peer was last worse off than well */
    cairn_node_set unwritable;           /* peers that can take no entries of durable logs */
    cairn_node_set waited_for;           /* peers that cannot, or not yet */
    cairn_node_set tight;                /* those, and peers that have no other file than this one */
    bool slower;                         /* its disk is, than some other's, by far */
    struct pulse pulse;                  /* of the journal's writes */
};

/* At each heartbeat: looks at itself, tells of what has changed, and lets others lead who are better off. */
void health_tick(struct worker *worker, uint64_t now_ns);

/* A peer's ailments are not those that it told last. */
void health_heard(struct worker *worker, uint64_t now_ns);

/* A write of the journal's has ended; NULL: it was something else. */
void health_wrote(struct worker *worker, const struct journal_write *write, uint64_t now_ns);

/* For the next heartbeat. */
struct wire_health health_told(const struct worker *worker);

/* The log's voters that are in reach and better off than this node. */
cairn_node_set health_better_off(const struct worker *worker, const struct node_log *log, uint64_t now_ns);

/* Are there too many voters that have no space for an append at that level to be held as it asks? Or will have some only
 * when their next file is made? */
bool health_forbids(const struct worker *worker, const struct node_log *log, enum cairn_ack ack);
bool health_delays(const struct worker *worker, const struct node_log *log, enum cairn_ack ack);

/* Why this node waits so long for others; "" where it waits as long as was agreed. Any thread. */
void health_why(const struct worker *worker, const struct detector_patience *patience, char *text, size_t text_bytes);

#endif
