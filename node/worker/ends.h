/* How far the others' journals are, as this node's journal keeps it: so that one whose directory steps back in time is told
 * by whoever is left, after a crash of this node too (docs/identity.md). */
#ifndef NODE_WORKER_ENDS_H
#define NODE_WORKER_ENDS_H

#include <stdint.h>

#include "dataplane/journal.h"
#include "rules/identity.h"

struct worker;

struct ends {
    uint64_t written_ns;                         /* worker: when it was written last */
    uint64_t written_file;                       /* and into which file */
    struct known_life written[CAIRN_NODES_MAX];  /* what was */
    struct known_life restored[CAIRN_NODES_MAX]; /* as the journal had it, while it is read */
    uint64_t
        meant_place; /* this node's own: behind what was written last beside such ends, which are nobody's to know */
};

/* At each heartbeat, the first worker: what is known of the others' ends, if that is more than was written, into the journal. */
void ends_write(struct worker *worker, uint64_t now_ns);
/* What was read at the start, where there is room. */
bool ends_write_restored(struct worker *worker);
/* A JOURNAL_ENDS block that is read at the start, of so many. */
void ends_restore(struct worker *worker, const struct journal_end *ends, uint32_t count);
/* What was read, into what the node knows. */
void ends_merge(const struct ends *ends, struct identity *identity);
/* How far this node's own journal is, for others to know. */
uint64_t ends_place(const struct worker *worker);

#endif
