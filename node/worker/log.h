/* A log, as its worker has it. */
#ifndef NODE_WORKER_LOG_H
#define NODE_WORKER_LOG_H

#include <stdatomic.h>

#include "dataplane/store.h"
#include "node/latencies.h"
#include "node/node.h"
#include "node/worker/pending.h"
#include "replication/core.h"
#include "rules/mode.h"

struct durable;
struct worker;

#define CATALOG_LOG 0u
#define LOGS_MAX 1024u

/* Where one follower's stream of the trunk stands. */
struct stream {
    struct cursor cursor;
    uint64_t key; /* what it goes on after; anything else starts it anew */
    uint32_t fragment_offset;
};

/* This node's branch goes onto the trunk: so many entries it had at most since a leader is in reach. */
struct merge {
    uint64_t entries; /* 0: none does */
    uint64_t begun_ns;
};

struct log_status {
    enum role role;
    enum cairn_mode mode;
    uint8_t self, leader;
    bool recovering, failed, lost, left;
    bool reaches_all; /* voters */
    uint64_t term, commit_lsn, last_lsn, first_lsn, branch_entries, digest, recovery_lsn;
    struct log_counters counters;
    enum core_stop stopped;
    uint64_t held_lsn, lacks_lsn;
    struct merge merge;
    struct members members;
    uint64_t writer, sealed; /* that its worker goes by */
    cairn_node_set copies;   /* of whose branches something is held here */
};

/* A repeated entry that was looked for, and where it stands. */
struct found {
    struct entry_id id;
    uint64_t place;
};

/* Entries that one node accepted alone. */
struct held_branch {
    struct store store; /* positions are places: branch_place() */
    struct cursor trim_cursor;
    uint64_t entries; /* not known to be on the trunk */
};

/* The place of its last entry, behind which the next one stands; 0: there is none. */
static inline uint64_t
branch_end(const struct held_branch *branch)
{
    return branch->entries == 0 ? 0 : branch->store.last;
}

/* How a log behaves: what the catalog says of it, changeable while it runs. */
struct log_rules {
    enum cairn_policy policy;
    enum cairn_deny deny;
    bool falls_to_cp;         /* `ca` with a member cut off: goes on as `cp`, else denies */
    uint64_t retain_bytes;    /* 0: everything */
    uint64_t retain_age_ns;   /* 0: however old */
    uint64_t trim_before_lsn; /* 0: nothing was asked to go */
    uint64_t writer;          /* the one producer whose entries are taken: it copies another log; 0: anybody's are */
    uint64_t sealed;          /* nobody's new entries are taken: it was copied by that producer; 0: it is not sealed */
    uint64_t
        adopted_term; /* it goes on, in that term, from what adopted_from holds: adoption.h; 0: nobody decided so */
    uint8_t adopted_from;
    bool adopted_before; /* this node began after that was decided, so it was about what it held in a former life */
};

struct node_log {
    struct worker *worker; /* whose it is */
    struct sink sink;      /* its core's effects */
    uint32_t id;
    uint8_t self;
    char name[CAIRN_NAME_BYTES];
    struct log_rules rules; /* worker's copy */
    void *memory;
    struct core *core;
    struct store trunk;
    struct held_branch branches[CAIRN_NODES_MAX]; /* by origin; others' are copies */
    struct held_branch *own;
    struct merge merge;      /* of the own branch */
    struct durable *durable; /* NULL: the log lives in memory alone */
    struct cursor commit_cursor;
    uint64_t digest, digest_lsn;
    uint64_t digest_hlc; /* the trunk's clock there, at least */
    uint64_t data_lsn;   /* the last entry up to there that is not a control entry */
    struct found found;
    enum cairn_mode mode;
    cairn_node_set voters; /* when the mode was last decided */
    struct pending_ring pending, pending_all;
    struct pending *waits; /* WAITS_MAX places: repeats of what is still on its way */
    uint32_t waits_count;
    struct stream streams[CAIRN_NODES_MAX];
    struct stream hand_offs[CAIRN_NODES_MAX]; /* by origin */
    struct stream spreads[CAIRN_NODES_MAX];   /* by peer */
    bool left;          /* its leader counts this node as no member, which its trunk need not say */
    bool active;        /* in worker->active */
    bool touched;       /* something happened since its last tick */
    uint64_t hlc;       /* the hybrid clock's last word */
    uint64_t trunk_hlc; /* no entry of the trunk has a later one */
    struct log_counters counters;
    struct latencies latencies;
    uint64_t uncommitted_bytes; /* this log's part */
    uint64_t trim_lsn;          /* every member in reach holds what is at or below */
    uint64_t aged_lsn;          /* a leader found that what is at or below is older than what is kept */
    /* Leader: what its last rows said, and for how many heartbeats more it is said again. */
    uint64_t row_commit_lsn, row_trim_lsn, row_aged_lsn;
    uint32_t row_beats;
    /* Follower: who said to lead it, in which term, in which of its epochs. */
    uint64_t led_term;
    uint32_t led_epoch;
    uint8_t led_by;
    uint64_t ticked_lsn;            /* committed at the tick before: what readers at the end have had time for */
    uint64_t told_full_ns;          /* the leader was told where this node stands, that cannot take more */
    uint64_t base_lsn, base_digest; /* what is trimmed: up to here, and the chain digest there */
    uint64_t fresh_ns, fresh_lsn;   /* all that was committed at fresh_ns is at or below fresh_lsn */
    uint64_t lend_from_lsn;         /* 0: nothing to lend; else what lend_to asked for */
    uint8_t lend_to;
    uint64_t stopped_term;                /* where its trunk ended as it stopped */
    bool stopped_for_good;                /* more logs stopped than the node could keep apart: no decision ends that */
    uint64_t adopting_term, adopted_term; /* the decision that is begun, and the one that is carried out: adoption.c */
    uint64_t aside_ns;                    /* when leadership was last offered to one better off; 0: never */
    _Atomic uint32_t status_sequence;
    struct log_status status;
};

#endif
