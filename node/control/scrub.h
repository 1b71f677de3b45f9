/* Reads what is at rest, in the background: damage is told while other nodes still have what was damaged. */
#ifndef NODE_CONTROL_SCRUB_H
#define NODE_CONTROL_SCRUB_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/journal_scan.h"

struct node;
struct worker;

/* The control thread's. */
struct scrub {
    struct journal_scan scan;
    bool under_way;
    uint64_t began_ns, next_ns; /* of this pass; not before then the next */
    bool found;                 /* something that this life did not know at its start */
    uint64_t whole_ns;          /* since then every log is whole and everybody in reach; 0: it is not so */
};

/* Reads on, as far as the node's scrub_bytes_per_s allows by now: files that are written to no more, from the oldest, again
 * and again. What is damaged is told once by an event, and the next start then reads the whole journal, and takes what is
 * damaged from the other nodes. When that may be now, node_wants_start() says so. Waits for the disk, not for long. */
void scrub_step(struct worker *worker, uint64_t now_ns);
void scrub_stop(struct node *node);

/* Is it news that the journal is damaged there? From here on it is not. false also where there is no room to remember. */
bool damage_is_new(struct worker *worker, uint64_t place);

#endif
