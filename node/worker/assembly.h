/* Large records that come in fragments. */
#ifndef NODE_WORKER_ASSEMBLY_H
#define NODE_WORKER_ASSEMBLY_H

#include "dataplane/codec.h"

#define ASSEMBLIES_PER_PEER 4u

/* What a fragment says it is of. Compared byte by byte, so without holes. */
struct assembly_key {
    struct block block;             /* size_bytes: of all of the record */
    uint64_t term, prev, prev_term; /* of its message; what does not count of its kind is 0 */
    uint32_t log, type, stride, unused;
};

/* A large record under way from a peer: of fragments that agree on all but their place. */
struct assembly {
    uint8_t *bytes; /* RECORD_BYTES_MAX */
    struct assembly_key key;
    uint32_t received; /* 0: nothing is under way here */
    uint64_t used_ns;
    uint64_t have[RECORD_BYTES_MAX / 1024 / 64 + 1];
};

#endif
