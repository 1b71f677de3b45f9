/* The journals of a stopped node, read from their first block to their last, also where they are damaged. */
#ifndef CLI_INSPECTION_H
#define CLI_INSPECTION_H

#include <jansson.h>

#include "dataplane/disk.h"
#include "dataplane/journal_scan.h"
#include "dataplane/store.h"

/* An entry beyond what is known to be committed: it may yet be written over. */
struct tail_entry {
    uint64_t term;
    struct digest_input input;
};

struct log_seen {
    uint32_t id;
    char name[CAIRN_NAME_BYTES];
    uint64_t first_lsn, last_lsn, commit_lsn, digest, base_lsn, term, branch_entries, copy_entries;
    uint64_t limit_lsn; /* the digest is wanted there; UINT64_MAX: at the commit lsn */
    struct tail_entry *tail;
    uint64_t tail_count, tail_capacity;
    uint64_t missing_from, missing_to;
    uint32_t vote;
    bool trimmed;
};

/* Of a node: the journals of all its workers, one after the other. */
struct inspection {
    struct disk *disk; /* that is being read */
    struct journal_scan scan;
    uint32_t worker, files;
    struct log_seen *logs;
    uint32_t logs_count;
    json_t *damaged;
    uint64_t blocks, bytes, torn;
    char directory[384], node[32];
};

/* Reads all of it; the first worker's says how the others' logs are called. limits: where digests are wanted, by log; NULL: at
 * each commit lsn. 0, or an exit status, said; ended all the same. */
int inspection_read(struct inspection *inspection, const char *directory, const struct inspection *limits);
void inspection_end(struct inspection *inspection);

/* The log of that number, made where nothing was seen of it; NULL: there are too many. */
struct log_seen *inspection_log(struct inspection *inspection, uint32_t id);
bool inspection_is_damaged(const struct inspection *inspection);

#endif
