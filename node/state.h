/* The inside of a node, shared by the files of this folder.
 *
 * Two threads touch a node: its worker's (the lcore that polls it) and its control thread. What
 * crosses between them: the snapshot (QSBR), the command and event rings, a client's state, and the
 * status blocks.
 *
 *   what                     writer    reader
 *   node->snapshot           control   worker
 *   node->commands           control   worker     rte_ring, SPSC
 *   node->events             worker    control    rte_ring, SPSC
 *   attachment->state        both, one step each: see below
 *   log->status              worker    control    by sequence lock
 *   everything else          worker, unless said otherwise
 */
#ifndef NODE_STATE_H
#define NODE_STATE_H

#include <assert.h>
#include <stdatomic.h>

#include <rte_ring.h>

#include "byte_ring.h"
#include "clocks.h"
#include "codec.h"
#include "config.h"
#include "core.h"
#include "detector.h"
#include "ends.h"
#include "introduce.h"
#include "journal.h"
#include "latencies.h"
#include "lcore.h"
#include "mode.h"
#include "node.h"
#include "protocol.h"
#include "rescue.h"
#include "sight.h"
#include "store.h"
#include "wellness.h"

#define ATTACHMENTS_MAX 64u
#define ATTACHMENTS_KEPT 4u /* of them, for administrators */
#define READERS_MAX 64u
#define READERS_KEPT 8u  /* of them, for administrators */
#define READERS_EACH 16u /* of one client's */
#define REQUESTS_PER_TURN 64u
#define FRAMES_PER_TURN 32u
/* A follower further than this behind what is committed catches up, with so many frames a turn more than the others. */
#define CATCH_UP_ENTRIES 4096u
#define CATCH_UP_FRAMES 2u
#define IN_FLIGHT_MAX 8192u
#define WAITS_MAX 1024u
#define WAITS_KEPT 64u  /* of them, for administrators */
#define WAITS_EACH 256u /* of one client's, of all logs together */
#define ASSEMBLIES_PER_PEER 4u
#define BATCH_RECORDS_MAX MESSAGE_ENTRIES_MAX
#define CATALOG_LOG 0u
#define LOGS_MAX 1024u
#define WORKERS_MAX 1u
/* Segments that only control entries may still take, beside one for each log. */
#define SEGMENTS_RESERVED 3u

/* A node that is to stop takes nothing in any more, writes what it has, and then does nothing. */
enum stopping { STOPPING_NOT, STOPPING_ASKED, STOPPING_SETTLED };

/* A client's place at the worker. NEW -> ATTACHED (worker) -> LEAVING (control) -> GONE (worker),
 * then the control thread frees it. */
enum attachment_state { ATTACHMENT_NEW, ATTACHMENT_ATTACHED, ATTACHMENT_LEAVING, ATTACHMENT_GONE };

/* The search for an entry that a client repeats: where it goes on, and how far it may in this turn. */
struct search {
    struct entry_id id;
    uint64_t next; /* 0: none is under way */
    uint64_t turn_ns;
    uint32_t left, log;
    bool on_branch;
};

struct attachment {
    struct byte_channel channel; /* the worker's end */
    _Atomic int state;
    uint32_t serial;
    /* Requests taken and not yet answered for good, each with its last answer's room reserved: appends, and reads. How many more
     * may be taken before that room is counted anew. */
    uint32_t in_flight, reads, promises;
    uint32_t waits; /* of in_flight: those in the waits of logs */
    struct search search;
    uint8_t index;
    bool embedded; /* no other process has its memory */
    bool administrator;
    bool system; /* the system's own logs are open to it */
};

/* Who has it: each may do what the one before may, too. */
enum attachment_kind {
    ATTACHED_CLIENT,
    ATTACHED_ADMINISTRATOR,
    ATTACHED_SYSTEM,   /* a command of an administrator's that changes what the system's own logs hold */
    ATTACHED_EMBEDDED, /* of this process */
};

struct pending {
    uint64_t lsn, token;
    uint32_t serial;
    uint32_t taken; /* when, in units of 64 ns; comes round after four and a half minutes */
    uint8_t attachment, ack, asked;
    bool repeated;
    bool unplaced; /* lsn is only a bound of where it stands */
    bool compared; /* repeated, and what stands there has its bytes */
};

#define TAKEN_SHIFT 6u /* from nanoseconds, so that a pending append stays within half a cache line */

/* Appends waiting for their commit, by lsn: a ring. */
struct pending_ring {
    struct pending *items;
    uint32_t mask, head, tail;
};

static inline bool
pending_room(const struct pending_ring *ring)
{
    return ring->tail - ring->head <= ring->mask;
}

static inline void
pending_push(struct pending_ring *ring, const struct pending *pending)
{
    assert(pending_room(ring));
    ring->items[ring->tail++ & ring->mask] = *pending;
    __builtin_prefetch(&ring->items[ring->tail & ring->mask], 1);
}

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

/* Where one follower's stream of the trunk stands. */
struct stream {
    struct cursor cursor;
    uint64_t key; /* what it goes on after; anything else starts it anew */
    uint32_t fragment_offset;
};

struct reader {
    bool used, waiting, follow, tentative;
    bool shows_branches; /* part of what its session has written is tentative here */
    bool earliest;       /* from wherever the log begins */
    bool here;           /* it reads up to what was held here: less, if that is cut off */
    uint8_t attachment;
    uint8_t level;
    uint32_t serial, generation;
    struct node_log *log;
    uint64_t token, next, to, limit, began_lsn;
    uint64_t asked_ns, since_ns;
    uint64_t round_ns;   /* when it asked first of what is not answered yet; 0: all is */
    uint64_t max_lag_ns; /* 0: any will do */
    uint64_t since_hlc;  /* nothing is shown until the trunk has an entry of that clock; 0: all is shown */
    uint64_t lag_ns;     /* that it has, as it was opened */
    size_t lacks_bytes;  /* of room at its client: nothing is looked for before there is so much; 0: it lacks nothing */
    struct cursor cursor;
    struct cursor branch_cursors[CAIRN_NODES_MAX]; /* by origin */
    struct request_session session;                /* at level session: what it waits for */
};

/* Where a segment began that is in memory no more: the trunk may begin there. */
struct cut {
    uint64_t first_lsn, hlc_before, digest_before, bytes_before;
};

/* Where a trunk's entries are in the journal: some of them. */
struct log_index {
    struct {
        uint64_t lsn, place;
    } * items;
    uint32_t count;
    bool due; /* the next block has an item, however near the last one */
    struct cut *cuts;
    uint32_t cuts_first, cuts_count;
    uint64_t evicted_bytes; /* ever */
};

#define DAMAGE_PLACES_MAX 64u

/* A stretch of one trunk, read from the journal. */
#define EXCERPTS_MAX 4u
#define EXCERPT_BYTES (2u << 20)
#define EXCERPT_TOKEN (1ull << 62)
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

#define PARKED_MAX 16u
#define JOURNAL_ROWS 128u /* of producers, in a block */
#define DURABLE_PENDING 4096u

/* What a durable log has on its way to the journal, and what waits for that. */
struct durable {
    struct cursor trunk;  /* what is to be written next */
    uint64_t held_lsn;    /* of the trunk, durable up to here */
    uint64_t held_branch; /* of the own branch, by place */
    struct {
        struct cursor cursor;    /* what is to be written next */
        uint64_t place;          /* in the journal, of what was written first; 0: nothing was */
        uint64_t last_place;     /* of what was written last, as the journal was read */
        bool skipped;            /* what stood before the cursor left the branch before it was written */
    } branches[CAIRN_NODES_MAX]; /* by origin */
    /* Term and vote change, are written, are held: counted. */
    uint64_t state_wanted, state_written, state_held;
    bool base_due; /* the trunk began anew */
    bool trim_due; /* it begins later now */
    /* What its producers have on what is gone, written after either: what comes next; whether the journal has not all. */
    bool producers_due, producers_missing;
    uint64_t producers_after_id;
    uint64_t claimed_bytes; /* of the journal, by what was let in and is not written yet */
    bool tail_due;          /* something was written since the last tail */
    bool listed;            /* in node->unwritten */
    uint64_t moved_file;    /* where it was written again last for want of space */
    /* Of a trunk that is written again what is durable so far: the places of what is behind are not known yet. UINT64_MAX: of
     * all. */
    uint64_t rewritten_lsn;
    uint64_t tail_ns;
    /* Places in the journal, of what was said last, or first: what is older may go. */
    uint64_t tail_place, base_place;
    struct message parked[PARKED_MAX]; /* until the state they speak of is held */
    uint32_t parked_count;
    struct log_index index;
    uint64_t truncations;                      /* so many: what is read meanwhile may be void */
    uint64_t handed_away_ns;                   /* when leadership was, since something could not be read */
    uint32_t branch_damages;                   /* blocks of the own branch, as the journal was read */
    uint64_t damaged_lsn;                      /* could not be read when it was last asked for */
    struct pending_ring local, branch_pending; /* acknowledged on this node's word: by lsn, by place */
    /* While the journal is read at the start: */
    bool doubtful, state_doubtful; /* something may be missing */
    bool broken;                   /* something is */
    uint64_t producers_lsn;        /* of the base that the rows just read belong to */
    uint64_t producers_place;      /* of the last rows */
    uint64_t anew_place;           /* of the last base at which the trunk began anew */
    uint64_t acked_place;          /* of the last entries that were acknowledged on this node's word alone */
    uint64_t promised_lsn, promised_term;
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
    bool recovering, failed;
    bool reaches_all; /* voters */
    uint64_t term, commit_lsn, last_lsn, first_lsn, branch_entries, digest, recovery_lsn;
    struct log_counters counters;
    enum core_stop stopped;
    uint64_t held_lsn, lacks_lsn;
    struct merge merge;
    struct members members;
};

/* What is known between this node and a peer of which logs each leads. */
struct acquaintance {
    uint32_t seen;     /* this node's epoch that the peer knows all of */
    uint32_t epoch;    /* the peer's, as its last heartbeat had it */
    uint32_t complete; /* the peer's that this node knows all of; 0: none */
    uint32_t expected; /* next row of the peer's full list */
    uint64_t beat_ns;  /* its last heartbeat of a complete epoch */
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
    uint64_t
        adopted_term; /* it goes on, in that term, from what adopted_from holds: adoption.h; 0: nobody decided so */
    uint8_t adopted_from;
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
    bool active;        /* in node->active */
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
    uint64_t adopting_term, adopted_term; /* the decision that is begun, and the one that is carried out: adoption.c */
    uint64_t aside_ns;                    /* when leadership was last offered to one better off; 0: never */
    _Atomic uint32_t status_sequence;
    struct log_status status;
};

/* What the control thread decided, as the worker sees it: never changed, only replaced. */
struct snapshot {
    uint32_t version;
    uint32_t count;
    struct {
        struct node_log *log;
        struct log_rules rules;
    } logs[LOGS_MAX];
    struct fault_rule faults[CAIRN_NODES_MAX];
    struct agreed agreed;
    struct cairn_id members[CAIRN_NODES_MAX]; /* that it names */
    uint64_t ceiling_ns, hold_max_ns; /* that this node's own configuration makes of it; where its lsn is not 0 */
};

/* The records that the event now in the core brought. */
struct batch {
    const uint8_t *records;
    struct block block;
    uint32_t offsets[BATCH_RECORDS_MAX + 1];
    struct entry_id ids[BATCH_RECORDS_MAX];
    uint32_t count;
};

/* Which producers' entries stand on lsns first to last of a trunk, as a filter: seen.c. */
#define SEEN_WORDS 16384u
#define SEEN_MAX 4u
struct seen {
    const struct node_log *log; /* NULL: of none */
    uint64_t first, last, used;
    uint32_t entries;
    uint64_t words[SEEN_WORDS];
};

/* Who is in reach and does not keep up: watch.c. */
struct slow_peers {
    cairn_node_set peers;
    struct node_log *owes[CAIRN_NODES_MAX]; /* the log of which it owes acknowledgements; NULL: none */
    uint64_t seen_ns[CAIRN_NODES_MAX];      /* when it was slow last */
};

/* What a worker owns, and shares with no other: nothing of it is another thread's, unless it says so. */
struct worker {
    struct node *node;                /* whose it is */
    const struct node_config *config; /* that node's */
    struct task task;                 /* what an lcore polls */
    uint8_t self;                     /* that node's seat */
    _Atomic uint8_t nodes;            /* seats; the worker writes, once their ports are there */
    cairn_node_set present;           /* whose members are of the cluster */
    uint64_t promise_set_ns;          /* when the timeout was last lowered */
    uint64_t core_timeout_ns;         /* that elections and promises go by */
    uint64_t began_place;             /* of the journal: it went on there */
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
    uint32_t unwritten_count;
    bool restoring, journal_was_empty, journal_damaged, journal_failed, journal_full, journal_short;
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
    uint64_t heartbeat_ns, suspect_ns, retained_ns, reviewed_ns;
    bool ends_written;       /* since its node is to stop */
    _Atomic bool unreadable; /* worker writes, control reads: something on disk is not as it was written */
    bool checkpoint_void;    /* control: so the next start reads all of the journal */
    _Atomic bool hung;       /* control: it takes no turns */
    _Atomic bool resting;    /* worker writes, control reads: nothing to do */
    uint64_t pace_ns, worked_ns, reach_changed_ns; /* heartbeats come less often while there is nothing to do */
    bool status_due;                               /* something changed that no status block shows yet */

    uint32_t snapshot_version;       /* of what was adopted last */
    struct node_log *logs[LOGS_MAX]; /* as it was adopted */
    uint64_t due_ns[LOGS_MAX];       /* of each, its next tick */
    uint32_t logs_count;
    struct node_log *active[LOGS_MAX];
    uint32_t active_count;

    struct rte_ring *commands, *events; /* from the control thread, and to it */
    struct attachment *attachments[ATTACHMENTS_MAX];
    uint32_t attachments_end; /* none at or above */
    struct reader readers[READERS_MAX];
    uint32_t readers_used, readers_end; /* none is used at or above */
    uint64_t searched_ns;               /* the turn in which a search was to go on in the next one */
    uint32_t readers_first;             /* in this turn, counted on and on */
    struct assembly assemblies[CAIRN_NODES_MAX][ASSEMBLIES_PER_PEER];
    uint8_t *scratch;
    struct producer_row *producer_rows; /* producers_max, and a page: while one log's are sent or written */
    uint64_t uncommitted_bytes;         /* of what clients appended here, all logs: may have to be kept on branches */
    uint64_t claimed_bytes;             /* of the journal, by all logs */
    bool gathering;                     /* what is put has been measured: gather.c */
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

/* What all workers of a node have in common, and what its control thread has. */
struct node {
    struct node_config config;
    struct cluster_config cluster; /* as agreed on by now: the control thread's; names that workers know stay */
    char name[CAIRN_NAME_BYTES];
    uint8_t self;
    /* Of this life, from when its logs begin: its number; whether there were lives before; whether it cannot trust its
     * journal. */
    uint32_t incarnation;
    bool recovering, forgotten;
    _Atomic uint64_t catalog_applied_lsn; /* control: its last entry that is in force here */
    uint64_t restored_catalog_lsn;
    struct introduction introduction;
    struct rescue rescue;
    _Atomic int stopping;      /* control asks, the worker answers: see node_stop_begin() */
    struct snapshot *snapshot; /* QSBR */
    struct control *control;
    struct worker *workers[WORKERS_MAX];
};

struct answer;
struct request;

static inline struct entry_id
record_id(const struct record *record)
{
    return (struct entry_id){record->producer, record->producer_seq, record->epoch};
}

#endif
