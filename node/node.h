/* A node: one member of a cluster, as an object. A process may hold many.
 *
 * node_create() makes it and its ports; something must then poll each node_task(): an lcore of ours
 * (lcore_start) or the thread of an application that embeds the node. node_control_start() gives it
 * the thread that watches over links, the catalog of logs, events and the admin socket. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "cairn/cairn.h"
#include "control/access.h"
#include "control/config.h"
#include "control/home.h"
#include "dataplane/disk.h"
#include "dataplane/fault.h"
#include "dataplane/lcore.h"
#include "rules/lives.h"

struct latencies;
struct node;

struct node_config {
    const struct cluster_config *cluster; /* outlives the node */
    uint8_t self;
    const struct identity *identity; /* who it is; copied */
    enum standing standing;          /* that it begins with: waiting, forgotten or member */
    uint32_t asked_number;           /* forgotten: it asks for this number at least; 0: for any */
    /* Keeps the identity, durably, before what it says takes effect. NULL: there is nothing that could outlive the node. */
    bool (*keep)(void *context, const struct identity *identity, char *detail, size_t detail_bytes);
    void *keep_context;                    /* of keep */
    struct disk *disks[CAIRN_WORKERS_MAX]; /* of each worker's journal, borrowed; NULL: logs live in memory alone */
    uint32_t journal_file_bytes;           /* 0: 64 MiB, less where the disk is small */
    uint64_t scrub_bytes_per_s;            /* that are read again in the background; 0: none */
    bool checkpoint_always;                /* also where reading the journal takes no time to speak of */
    void (*restore_progress)(uint64_t done_bytes, uint64_t total_bytes); /* NULL: not told */
    uint64_t seed;
    struct doorbell *bells[CAIRN_WORKERS_MAX]; /* of each worker's lcore */
    int bell_fds[CAIRN_WORKERS_MAX];           /* by which others get them; 0: they do not */
    uint32_t channel_bytes;                    /* ring size of each client */
    uint32_t election_patience;                /* 0, 1: as usual; n: waits n times as long to campaign */
    uint64_t retain_bytes;                     /* of logs that do not say themselves; 0: everything */
    const char *directory;                     /* of the admin socket; NULL: none */
    const struct home_links *links;            /* where memif's links are; outlives the node */
    struct access access;                      /* who may ask there */
    bool allow_faults;
    /* What a simulator gives: */
    const struct time_source *time; /* NULL: the machine's */
    struct rte_mempool *pool;       /* borrowed; NULL: its own */
    bool quiet;                     /* what is found damaged is told by events alone, not on stderr */
    bool stepped;                   /* no control thread: the caller calls node_control_step() */
    uint32_t window_entries;        /* of each log, a power of two; 0: 16,384 */
    uint32_t segment_bytes;         /* 0: 4 MiB */
    uint64_t memory_bytes;          /* for the logs; 0: the cluster file's */
    uint32_t producers_max;         /* of each log, a power of two; 0: 4,096 */
};

enum event_kind {
    EVENT_PARTITION_SUSPECTED,
    EVENT_HEALED,
    EVENT_MODE_CHANGED,
    EVENT_MERGED,
    EVENT_LEADER,
    EVENT_LEADER_LOST,
    EVENT_PEER_RESTARTED,
    EVENT_RECOVERED,
    EVENT_DIVERGED,
    EVENT_REBASED,
    EVENT_MEMBERS,
    EVENT_RESTORED,
    EVENT_DAMAGED,
    EVENT_DISK_FAILED,
    EVENT_DISK_FULL,
    EVENT_DISK_SPACE,
    EVENT_PEER_SLOW,
    EVENT_PEER_STEADY,
    EVENT_WORKER_HUNG,
    EVENT_WORKER_BACK,
    EVENT_STRANGER,
    EVENT_FORGOTTEN,
    EVENT_DISK_SLOW,
    EVENT_DISK_HANGS,
    EVENT_DISK_STEADY,
    EVENT_STEPS_ASIDE,
    EVENT_CLOCK,
    EVENT_DECIDED,
    EVENT_AGREED,
    EVENT_KINDS,
};

struct node_event {
    uint64_t t_ns; /* CLOCK_MONOTONIC */
    enum event_kind kind;
    uint32_t log; /* UINT32_MAX: of the whole worker, or node */
    uint8_t worker;
    uint8_t peer;
    uint8_t from, to; /* modes, where the kind is a change of them */
    char log_name[CAIRN_NAME_BYTES];
    char reason[128];
};

struct node_counters {
    /* What came by the network and was dropped; the first by enum codec_verdict. One writer: the worker. */
    _Atomic uint64_t frames_dropped[8];
    _Atomic uint64_t no_log, damaged_records, no_room, stale_incarnation, far_terms;
    uint64_t answers_lost;
};

/* Makes a node: memory, mbuf pool, ports where the transport is memif. */
enum cairn_error node_create(const struct node_config *config, struct node **out, char *detail, size_t detail_bytes);

/* Connects two nodes of this process by rings. Before either is polled. */
enum cairn_error node_link(struct node *left, struct node *right, char *detail, size_t detail_bytes);

/* Gives a worker a port to peer that the caller made and closes. Before it is polled. */
void node_plug(struct node *node, uint8_t worker, uint8_t peer, const struct port *port);

/* Towards its end: from now on it takes nothing in and answers nobody, and its workers write what they have. Any thread; they
 * go on being polled until it has settled, or whoever waits has waited long enough. */
void node_stop_begin(struct node *node);
bool node_settled(const struct node *node);

/* Scrubbing has found damage, and this is a good moment for the node to end and start anew, which mends it: it does not
 * lack anything itself, and everybody else is in reach. Any thread. */
bool node_wants_start(const struct node *node);

/* Of a node that has settled, once nothing polls it any more: leaves a checkpoint, so that its next start need not read
 * its journal. false: there is none, which costs that reading. */
bool node_checkpoint(struct node *node);

/* Ends it. Nothing polls it any more. */
void node_free(struct node *node);

/* How many workers it has; what an lcore polls of each. */
uint8_t node_workers(const struct node *node);
struct task *node_task(struct node *node, uint8_t worker);

/* Its life may not go on: it has heard what it has forgotten (and kept that: its next start recovers), or another life of
 * this member runs. Any thread. */
enum node_end { NODE_GOES_ON, NODE_FORGOT, NODE_REFUSED };
enum node_end node_end(const struct node *node);

/* Why its logs could not begin, once its life had its number; NULL: nothing is wrong. Any thread. */
const char *node_failure(const struct node *node);

/* Who it is, and what it waits for, in a sentence. Any thread. */
void node_standing(const struct node *node, char *out, size_t out_bytes);

/* The control thread. */
enum cairn_error node_control_start(struct node *node, char *detail, size_t detail_bytes);
void node_control_stop(struct node *node);

/* What the control thread does each time it wakes, for a node that has none. */
void node_control_step(struct node *node, uint64_t now_ns);

/* A client in this process. Any thread but the worker's. */
enum cairn_error node_attach(struct node *node, struct cairn_client **out);

/* Faults on what this node sends, by peer. Any thread but the worker's. */
void node_set_faults(struct node *node, const struct fault_rule *rules);

/* What a node has done with a log since it started. */
struct log_counters {
    uint64_t appended, appended_bytes; /* entries of clients, and their records */
    uint64_t refused;
    uint64_t read; /* entries given to readers */
};

/* What one log on this node is doing. Any thread. */
struct node_log_view {
    char name[CAIRN_NAME_BYTES];
    uint32_t id;
    uint8_t worker; /* that owns it, on each node */
    const char *role;
    enum cairn_policy policy;
    enum cairn_deny deny;
    bool falls_to_cp; /* `ca` with a member cut off */
    enum cairn_mode mode;
    enum cairn_durability durability;
    uint8_t leader;
    bool recovering, disk_failed;
    /* More than half of its voters have forgotten what they held, and nobody leads: it waits for a decision. */
    bool lost;
    uint8_t stopped; /* enum core_stop */
    cairn_node_set voters, learners;
    uint64_t term, commit_lsn, last_lsn, first_lsn, branch_entries, digest;
    struct log_counters counters;
    uint64_t held_lsn;                                     /* on this node's medium */
    uint64_t merge_entries, merge_begun_ns;                /* of so many its branch goes onto the trunk; 0: none does */
    uint64_t retain_bytes, retain_age_ns, trim_before_lsn; /* 0: everything is kept */
    uint64_t writer;       /* its worker takes new entries of this producer alone; 0: of anybody */
    uint64_t sealed;       /* or of nobody, since that producer has copied it; 0: it is not sealed */
    cairn_node_set copies; /* of whose branches it holds something */
    uint64_t lacks_lsn;    /* 0: nothing; else damaged here from last_lsn + 1 up to here */
};
bool node_view(struct node *node, const char *log, struct node_log_view *out);
/* By number, from 0: logs are only ever added. false: there are no more. */
bool node_view_at(struct node *node, uint32_t index, struct node_log_view *out);

/* How long its appends took: stays valid as long as the node. Any thread. */
const struct latencies *node_latencies(struct node *node, uint32_t index);

/* All that the node counts and measures, in the Prometheus text format 0.0.4; the caller frees it. NULL: no memory. Any
 * thread. */
char *node_metrics(struct node *node, size_t *size_bytes);

/* Events so far: copies those from number *next on, at most `most`, and moves *next. From a number beyond
 * all of them on: from the beginning. Any thread. */
uint32_t node_events(struct node *node, uint64_t *next, struct node_event *out, uint32_t most);
/* How many of each kind there were. out: EVENT_KINDS numbers. Any thread. */
void node_events_by_kind(struct node *node, uint64_t *out);
const char *event_name(enum event_kind kind);

/* A worker's port to a peer, for benches that measure it bare. */
struct port *node_port(struct node *node, uint8_t worker, uint8_t peer);

#endif
