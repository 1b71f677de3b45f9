/* What the checker knows of a log's trunk: each entry as it was first committed, who led and voted in each term, what was
 * acknowledged. */
#ifndef SIM_TRUNK_H
#define SIM_TRUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "sim/scale.h"

/* One entry of a trunk, as the first node that committed it had it. */
struct committed {
    uint64_t client, index; /* of data: whose, which */
    uint64_t term, seq, hlc, trunk_hlc, fork_lsn;
    uint16_t flags; /* of its block */
    uint32_t crc, incarnation;
    uint8_t origin, kind;
    uint64_t commit_term; /* of the node that first committed it, at that moment */
    uint64_t digest;      /* of the trunk up to here, 0: nobody has said yet */
};

struct term_check {
    uint8_t leader;
    uint32_t leader_incarnation;       /* 0: nobody has led */
    cairn_node_set granted[SIM_NODES]; /* by candidate: who has voted for it */
};

#define ACKED_KEPT 1024u
struct trunk_check {
    struct committed *entries; /* by lsn */
    uint64_t last, capacity;
    struct term_check *terms; /* by term */
    uint64_t terms_count;
    uint64_t acked_lsn; /* highest that a client knows to be committed */
    struct {
        uint64_t at_ns, lsn;
    } acked[ACKED_KEPT]; /* how it rose, in steps of a millisecond at least: a ring */
    uint32_t acked_count;
    uint64_t read_lsn; /* highest that a linearizable read has shown */
    uint64_t hlc_max;  /* of all that is committed */
    struct {
        uint64_t hlc;
        uint32_t incarnation;
    } clocks[SIM_NODES]; /* of what each last wrote onto the trunk as its leader */
    struct {
        uint64_t term, at_ns;
    } * births; /* by lsn: when the leader of that term put it there */
    uint64_t births_count;
    uint64_t aged_lsn, asked_lsn, gone_lsn; /* found too old, asked to go below, gone anywhere */
    bool by_size;                           /* what is too much goes, too */
};

/* What a client knew then to be committed; less, where that is not remembered exactly. */
uint64_t acked_before(const struct trunk_check *trunk, uint64_t at_ns);

#endif
