/* A worker of a node. */
#ifndef NODE_WORKER_WORKER_H
#define NODE_WORKER_WORKER_H

#include <stdatomic.h>

#include <rte_ring.h>

#include "dataplane/codec.h"
#include "dataplane/fault.h"
#include "dataplane/journal.h"
#include "dataplane/lcore.h"
#include "node/attachment.h"
#include "node/node.h"
#include "node/worker/assembly.h"
#include "node/worker/batch.h"
#include "node/worker/ends.h"
#include "node/worker/excerpts.h"
#include "node/worker/log.h"
#include "node/worker/readers.h"
#include "node/worker/seen.h"
#include "node/worker/sight.h"
#include "node/worker/watch.h"
#include "node/worker/wellness.h"
#include "node/worker_command.h"
#include "rules/clocks.h"
#include "rules/detector.h"

#define DAMAGE_PLACES_MAX 64u

/* What is known between this node and a peer of which logs each leads. */
struct acquaintance {
    uint32_t seen;     /* this node's epoch that the peer knows all of */
    uint32_t epoch;    /* the peer's, as its last heartbeat had it */
    uint32_t complete; /* the peer's that this node knows all of; 0: none */
    uint32_t expected; /* next row of the peer's full list */
    uint64_t beat_ns;  /* its last heartbeat of a complete epoch */
};

/* What a worker owns, and shares with no other: nothing of it is another thread's, unless it says so. */
struct worker {
    /* What a turn that finds nothing to do looks at, close together. */
    struct node *node; /* whose it is */
    struct disk *disk; /* of its journal, borrowed; NULL: there is none */
    bool entered;      /* it has seen that its node's logs are there */
    bool status_due;   /* something changed that no status block shows yet */
    bool journal_failed;
    _Atomic bool commanded;    /* control sets it, behind a command */
    uint32_t snapshot_version; /* of what was adopted last */
    uint32_t attachments_end;  /* none at or above */
    uint32_t readers_used;
    uint32_t active_count, unwritten_count;
    uint64_t heartbeat_ns, suspect_ns;
    struct attachment *attachments[ATTACHMENTS_MAX];
    struct task task;                 /* what an lcore polls; its number is the worker's */
    const struct node_config *config; /* that node's */
    const char *name;                 /* that node's */
    uint8_t self;                     /* that node's seat */
    _Atomic uint8_t nodes;            /* seats; the worker writes, once their ports are there */
    cairn_node_set present;           /* whose members are of the cluster */
    uint64_t promise_set_ns;          /* when the timeout was last lowered */
    uint64_t core_timeout_ns;         /* that elections and promises go by */
    uint64_t began_place;             /* of the journal: it went on there */
    bool forgetful;               /* what its logs promised in lives before is not in its journal, or not all of it */
    _Atomic uint64_t told_place;  /* up to there its journal is durable, for peers to know; the first worker reads it */
    struct agreed agreed;         /* what it goes by */
    uint64_t fingerprint;         /* of that */
    _Atomic bool settled;         /* its node is to stop, and it has written what it had: it does nothing any more */
    _Atomic uint64_t adopted_lsn; /* of agreed: for the first worker to read */
    _Atomic uint64_t alone_from;  /* as its node's rescue has it, once all of its logs go on from here */
    _Atomic uint32_t recovered_rows; /* of the snapshot, whose logs here count, all of them; 0: some do not */
    _Atomic uint32_t kept_rows;      /* the same, of the logs that the journal is to hold */
    struct ends ends;
    struct codec codec;
    struct rte_mempool *pool;
    struct port ports[CAIRN_NODES_MAX]; /* by peer */
    struct fault_rule fault_rules[CAIRN_NODES_MAX];
    struct fault_queue faults[CAIRN_NODES_MAX];
    struct doorbell *bell;                                  /* its lcore's */
    _Atomic(struct doorbell *) peer_bells[CAIRN_NODES_MAX]; /* control writes, worker reads: bells.h */
    struct segment_pool segments;
    struct journal journal; /* used where config.disk is */
    struct excerpt excerpts[EXCERPTS_MAX];
    uint64_t excerpts_used;
    struct node_log *unwritten[LOGS_MAX];
    bool restoring, journal_was_empty, journal_damaged, journal_full, journal_short;
    uint64_t damage_places[DAMAGE_PLACES_MAX]; /* that are known: the starting thread's, then the control thread's */
    uint32_t damage_places_count;
    uint32_t mended_reviews;
    char restore_failure[256];
    struct rte_mbuf_ext_shared_info *shared; /* by segment: frames that refer to it */
    struct detector detector;
    cairn_node_set hears, reach;
    struct slow_peers slow;
    struct node_health health;
    struct acquaintance peers[CAIRN_NODES_MAX];
    struct sights sights;
    uint32_t lead_epoch; /* changes with the set of logs that this worker leads */
    uint64_t beats;
    uint64_t retained_ns, reviewed_ns;
    bool ends_written;       /* since its node is to stop */
    _Atomic bool unreadable; /* worker writes, control reads: something on disk is not as it was written */
    bool checkpoint_void;    /* control: so the next start reads all of the journal */
    _Atomic bool hung;       /* control: it takes no turns */
    _Atomic bool resting;    /* worker writes, control reads: nothing to do */
    uint64_t pace_ns, worked_ns, reach_changed_ns; /* heartbeats come less often while there is nothing to do */

    uint32_t snapshot_rows;          /* that it had */
    struct node_log *logs[LOGS_MAX]; /* as it was adopted */
    uint64_t due_ns[LOGS_MAX];       /* of each, its next tick */
    uint32_t logs_count;
    struct node_log *active[LOGS_MAX];

    struct rte_ring *commands, *events, *notes; /* from the control thread, and to it */
    struct reader readers[READERS_MAX];
    uint32_t readers_end;   /* none is used at or above */
    uint64_t searched_ns;   /* the turn in which a search was to go on in the next one */
    uint32_t readers_first; /* in this turn, counted on and on */
    struct assembly assemblies[CAIRN_NODES_MAX][ASSEMBLIES_PER_PEER];
    uint8_t *scratch;
    struct producer_row *producer_rows; /* producers_max, and a page: while one log's are sent or written */
    uint64_t uncommitted_bytes;         /* of what clients appended here, all logs: may have to be kept on branches */
    uint64_t claimed_bytes;             /* of the journal, by all logs */
    bool gathering;                     /* what is put has been measured: gather.c */
    uint64_t given_hlc;                 /* the clock that the append which is handled brings, to a copy; 0: none */
    bool given_doubtful;
    struct batch batch;
    struct seen seen[SEEN_MAX];
    uint64_t seen_used;
    uint64_t event_digest; /* of the base that the event brings */
    uint64_t event_hlc;    /* and the trunk's clock there */
    struct clocks clocks;
    uint64_t clocks_ns;    /* clocks are judged again then */
    uint64_t producer_max; /* an id above was made in a future that nobody can have: plausible.h */
    uint64_t heard_hlc;    /* the latest clock that heartbeats told, within the bound */
    struct node_counters counters;
};

/* Says what there was no memory for, and what to do. Returns CAIRN_NO_MEMORY. */
enum cairn_error worker_no_memory(char *detail, size_t detail_bytes, const char *what);

/* Makes the worker of that number, without ports; nothing polls it yet. *out is to be given
 * back also where this fails. */
enum cairn_error worker_create(struct node *node, uint8_t number, struct worker **out, char *detail,
                               size_t detail_bytes);

/* In this order, once nothing polls it any more, with its logs given back between the two. NULL: nothing. */
void worker_close(struct worker *worker);
void worker_free(struct worker *worker);

/* Control thread: hands it a command, for its next turn. */
void worker_tell(struct worker *worker, const struct worker_command *command);
/* It looks at what is there for it. Any thread. */
void worker_wake(const struct worker *worker);

/* The one that has the catalog, and speaks for the node. */
static inline bool
worker_is_first(const struct worker *worker)
{
    return worker->task.number == 0;
}

#endif
