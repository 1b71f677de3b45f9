/* Stretches of trunks that are read back from the journal. */
#ifndef NODE_WORKER_EXCERPTS_H
#define NODE_WORKER_EXCERPTS_H

#include "dataplane/disk.h"
#include "dataplane/store.h"

struct node_log;
struct worker;

#define EXCERPTS_MAX 4u
#define EXCERPT_BYTES (2u << 20)
#define EXCERPT_TOKEN (1ull << 62)

/* A stretch of one trunk, read from the journal. */
struct excerpt {
    enum { EXCERPT_FREE, EXCERPT_READING, EXCERPT_READY } state;
    struct node_log *log;
    uint8_t *bytes;
    struct store store;
    struct disk_file file;
    bool opened;
    uint64_t first_lsn, wanted_lsn, truncations, used;
    uint64_t ready_ns; /* and nobody has looked at it yet; 0: somebody has */
    uint32_t item, from_bytes;
};

bool excerpts_init(struct worker *worker);
/* Those that hold no segment now. */
uint32_t excerpts_idle(const struct worker *worker);
void excerpts_fini(struct worker *worker);
void excerpt_done(struct worker *worker, const struct disk_done *done);
/* Where lsn, which is committed, can be read now: the trunk, or what was read from disk. NULL: it is being read. */
const struct store *trunk_at(struct worker *worker, struct node_log *log, uint64_t lsn);

#endif
