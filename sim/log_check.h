/* What the checker knows of one log of one node. */
#ifndef SIM_LOG_CHECK_H
#define SIM_LOG_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "dataplane/store.h"
#include "replication/core.h"

struct log_check {
    struct cursor cursor;
    uint64_t checked_lsn, leader_term;
    enum role role;
    uint64_t boot_lsn;   /* committed anywhere when this life began */
    uint64_t agreed_lsn; /* up to here it has held what is committed */
    uint64_t base_lsn;
    cairn_node_set voters; /* that it knew of at the last poll */
    bool recovering;
    uint64_t denies_ns, serves_ns; /* since when it is to deny reads; since when none are to be denied; 0: not now */
    uint64_t needless_ns;          /* since when it accepts alone, or denies, though enough are in reach */
    uint64_t alone_ns;             /* since when it leads, and hears less than a majority */
    uint64_t alone_wait_ns;        /* the longest that it has waited for anybody meanwhile */
};

#endif
