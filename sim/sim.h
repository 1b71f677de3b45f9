/* The simulator: a cluster of production nodes in one thread and in virtual time.
 *
 * A node here is the node of node/, with its core, modes, codec, stores, clients' channels and
 * net_ring ports, polled as a worker polls it. What is simulated: the time it is polled at, its
 * clocks, and what lies between the rings of two ports. A run follows from its seed alone, bit for
 * bit; the trace's digest proves it.
 *
 *   plan.c      what a seed draws: which faults, how strong, which load
 *   node.c      nodes looked at and driven: clocks, pauses, who leads
 *   life.c      nodes: start, crash, stop
 *   turn.c      nodes: polls, steps of control
 *   channels.c  clients' channels to nodes
 *   network.c   links: loss, delay, damage, cuts
 *   disk.c      the nodes' disks, as their workers use them
 *   medium.c, disk_requests.c, damage.c, shelf.c  what is on them; writes that take time, or are torn; rot; what is put aside
 *   nemesis*.c  faults and operations while a run goes on: of links, nodes, clocks; what is changed
 *   operators.c what people do to the directories of nodes that are down
 *   clients.c   sessions that append; catalog.c, readers.c, steward.c  who else uses the logs; load.c  how much
 *   checker*.c  what must hold: of the trunk, of appends, reads and answers, of nodes, modes and clocks, in the end
 *   trace.c     what happened, for people
 *   run.c       one run from start to verdict
 *   scenarios*.c  runs with exact steps */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cairn/token.h"
#include "client/session.h"
#include "node/state.h"
#include "rules/mode.h"
#include "sim/queue.h"

#define SIM_NODES 5u
#define SIM_WORKERS 3u
#define SIM_LOGS 2u /* beside the catalog */
#define SIM_CLIENTS 8u
#define SIM_READERS 4u
#define SCENE_ANSWERS 64u
#define US 1000ull
#define MS 1000000ull
#define SIM_TIMEOUT_NS (10 * MS)             /* of the profile `shared`, which runs here */
#define SIM_CEILING_NS (50 * SIM_TIMEOUT_NS) /* of what is learned */
#define SIM_INTERVAL_NS (1 * MS)

/* Independent streams, so that switching one fault off does not change the others. */
struct stream_random {
    uint64_t state;
};
uint64_t random_next(struct stream_random *random);
uint64_t random_under(struct stream_random *random, uint64_t bound);
bool random_chance(struct stream_random *random, uint32_t ppm);

/* What a plan can switch on. */
#define FAULTS(X)                                                                                                      \
    X(LOSS, loss)                                                                                                      \
    X(DUPLICATE, duplicate)                                                                                            \
    X(REORDER, reorder)                                                                                                \
    X(CORRUPT, corrupt)                                                                                                \
    X(DELAY_TAIL, delay_tail)                                                                                          \
    X(SLOW_LINK, slow_link)                                                                                            \
    X(ISOLATE, isolate)                                                                                                \
    X(ONE_WAY, one_way)                                                                                                \
    X(PARTIAL, partial)                                                                                                \
    X(SPLIT, split)                                                                                                    \
    X(FLAP, flap)                                                                                                      \
    X(CRASH, crash)                                                                                                    \
    X(PAUSE, pause)                                                                                                    \
    X(DRIFT, drift)                                                                                                    \
    X(WALL_JUMP, wall_jump)                                                                                            \
    X(MEMBERS, members)                                                                                                \
    X(TRANSFER, transfer)                                                                                              \
    X(TRIM, trim)                                                                                                      \
    X(POLICY, policy)                                                                                                  \
    X(CLIENT_DEATH, client_death)                                                                                      \
    X(POWER, power)                                                                                                    \
    X(DISK_SLOW, disk_slow)                                                                                            \
    X(DISK_FAIL, disk_fail)                                                                                            \
    X(DISK_FULL, disk_full)                                                                                            \
    X(DISK_ROT, disk_rot)                                                                                              \
    X(DISK_ASTRAY, disk_astray)                                                                                        \
    X(FLOOD, flood)                                                                                                    \
    X(WIPED, wiped)                                                                                                    \
    X(OLD_COPY, old_copy)                                                                                              \
    X(VOLUME, volume)                                                                                                  \
    X(CLOCK_WRONG, clock_wrong)                                                                                        \
    X(AGREED, agreed)
enum fault_kind {
#define FAULT_ENUM(NAME, name) FAULT_##NAME,
    FAULTS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KINDS
};
#define FAULT_DISK_FIRST FAULT_POWER /* these need disks */
#define FAULT_DISK_LAST FAULT_DISK_ASTRAY

/* How a network brings a frame to whom it is not for. */
enum flood {
    FLOOD_HUB,      /* as it is, to everybody else too */
    FLOOD_BRIDGE,   /* to their stations */
    FLOOD_NAT,      /* to their stations and addresses */
    FLOOD_PORT,     /* to another of the receiver's ports */
    FLOOD_ASTRAY,   /* to the receiver, by another's link */
    FLOOD_IMPOSTOR, /* and as if from that other's address */
    FLOODS,
};
const char *fault_name(enum fault_kind kind);
bool fault_parse(const char *name, enum fault_kind *out);

struct plan {
    uint64_t seed;
    uint32_t nodes, workers, logs, sessions, readers; /* workers 0: 1 */
    uint32_t faults;                                  /* set of enum fault_kind */
    uint64_t until_ns; /* of virtual time under faults, 0: until messages_min have been sent */
    uint64_t messages_min;
    enum cairn_policy policies[SIM_LOGS];
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm, tail_ppm, drift_ppm, flood_ppm;
    uint32_t floods; /* set of enum flood */
    uint64_t delay_ns, jitter_ns, tail_ns;
    uint64_t fault_every_ns, fault_for_ns; /* means */
    uint64_t poll_delay_ns;
    uint32_t segment_bytes, retain_bytes;
    uint32_t clock_bound_ms; /* 0: 400 */
    uint32_t window_entries, producers_max, session_window, payload_max, large_ppm;
    uint64_t think_ns; /* a client's pause between turns */
    bool disk;         /* logs are durable */
    uint64_t disk_ns;  /* that a write takes, about */
    uint32_t journal_file_bytes;
    uint64_t memory_bytes; /* of each worker of a node; 0: 128 MiB of the node */
};

enum sim_profile { SIM_ANY, SIM_MEMORY, SIM_DISK };

/* Draws a plan; without: faults left out though the seed has them. */
void plan_draw(struct plan *plan, uint64_t seed, uint32_t without, enum sim_profile profile);

enum trace_kind {
    TRACE_SEND,
    TRACE_DELIVER,
    TRACE_LOST,
    TRACE_EVENT,
    TRACE_FAULT,
    TRACE_ROLE,
    TRACE_CLIENT,
    TRACE_NOTE,
};

struct trace_row {
    uint64_t at_ns, term, a, b;
    uint32_t log;
    uint8_t kind, node, peer, type;
    char text[88];
};

struct trace {
    struct trace_row *rows; /* a ring, or all of them where everything is kept */
    uint64_t count, capacity;
    bool keep_all;
    uint64_t digest;
};

/* A link's end as a node sees it: a port of its own between two rings. Made once a process. */
struct socket_hardware {
    struct port port;
    struct rte_ring *receive, *send;
};

struct sim_clock {
    int64_t drift_ppm, wall_offset_ns;
    uint64_t base_ns, last_ns;
};

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

#define SIM_DISK_REQUESTS 64u
#define SIM_ATOM_BYTES 512u /* what a device writes as a whole */

struct sim_file;
struct sim_disk_request {
    struct disk_request request;
    uint64_t submitted_ns;
    uint8_t worker; /* whose it is */
    enum { REQUEST_FREE, REQUEST_UNDER_WAY, REQUEST_DONE } state;
    int32_t result;
};

/* The one small file of a directory. */
struct sim_saved {
    void *bytes;
    size_t size_bytes;
};

/* A worker's directory. */
struct sim_directory {
    struct disk base;
    struct sim_disk *disk; /* where it is */
    uint8_t worker;
    struct sim_file *spare;      /* retired, for the next that is made */
    struct disk_file ahead_file; /* the read that was begun */
    struct disk_request ahead;
    struct sim_saved saved;
    uint64_t reserve_bytes;
    uint64_t told_ns[2]; /* what was durable by then is told of by the last write that is done, and by the last two */
};

/* A node's medium, with a directory for each of its workers. */
struct sim_disk {
    struct sim_directory directories[SIM_WORKERS];
    struct sim_node *node;
    struct sim_file *files;
    uint32_t files_count;
    struct sim_disk_request requests[SIM_DISK_REQUESTS];
    uint64_t slower_ns;
    uint32_t failing, astray; /* so many writes fail, go elsewhere */
    int32_t torn_atoms;       /* of a write that is cut off so many get there, in order; -1: as it falls */
    bool no_space, hangs;
    uint64_t given_back_bytes;
    bool damaged; /* something that was written is not as it was */
    struct {
        uint64_t at_ns; /* 0: no write has gone astray */
        uint8_t worker;
    } lost;
};

/* What an operator has put aside of a node: all that it kept. */
struct sim_shelf {
    bool used;
    struct sim_file *files;
    uint32_t files_count;
    struct sim_saved saved[SIM_WORKERS];
    struct identity identity;
    bool identified;
};

/* One of a node's workers. */
struct sim_worker {
    uint64_t poll_at_ns;                  /* UINT64_MAX: none planned */
    uint64_t paused_until_ns, resumed_ns; /* it alone; its node may be paused as well */
    uint64_t polled_ns; /* its clock as the poll read it that the pause cut in two; 0: the pause was between polls */
    uint64_t heard_ns[SIM_NODES]; /* the last heartbeat of each that was read */
    struct {
        uint64_t last_ns, since_ns; /* the last, and the first of those that have come in time */
        uint32_t incarnation;
    } beats[SIM_NODES];           /* heartbeats that came whole */
    uint64_t waits_ns[SIM_NODES]; /* how long it waited for each when that was last looked at */
};

struct sim_node {
    struct sim *sim;
    struct sim_disk disk;
    struct sim_shelf shelf;
    struct node *node; /* NULL: down */
    uint8_t self;
    uint32_t boots, starts;   /* tried; that came about */
    struct identity identity; /* as it was kept last */
    bool identified;          /* it was */
    uint32_t incarnation;     /* number of its present life, or of the last; 0: it has none yet */
    uint64_t booted_ns;       /* its present life */
    struct sim_clock clock;
    struct time_source time;
    uint64_t control_from_ns; /* its control thread gets no turn before */
    uint64_t paused_until_ns, resumed_ns, crashed_ns;
    uint64_t stop_by_ns; /* 0: it does not stop; else when it is killed, should it not have settled */
    struct sim_worker workers[SIM_WORKERS];
    uint64_t events_seen;
    struct log_check checks[SIM_LOGS + 1];
};

struct link_state {
    uint32_t cuts;       /* as many faults hold it cut */
    uint32_t slow;       /* factor of the delay; 0: none */
    uint64_t extra_ns;   /* longer than the others */
    uint8_t lost_type;   /* messages of this type do not arrive; 0: all do */
    uint32_t pass;       /* of them, so many still do */
    uint64_t arrival_ns; /* of the last frame, which the next does not overtake */
    uint64_t busy_until_ns;
};

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

/* A producer: a client from its start to its death. */
struct producer_life {
    uint64_t producer;
    uint64_t last_index; /* one past the last that is committed; rises */
};

/* The `client` of entries that readers append now and then, to see that they are answered. */
#define SIM_PROBE 0xffffu

enum op_state { OP_NONE, OP_GIVEN, OP_ACKED, OP_REFUSED, OP_UNKNOWN };

struct op {
    uint64_t given_ns, floor_lsn; /* what was acknowledged before it was given */
    uint64_t lsn;                 /* of what was acknowledged, 0: branch */
    uint64_t committed_lsn;
    uint32_t holder_incarnation;
    uint8_t state, ack, error, holder, on_branch;
};

struct sim_client {
    struct sim *sim;
    uint32_t index, log;
    struct session *session;
    enum cairn_ack ack;
    uint8_t via;
    uint64_t first_index; /* of this life's session */
    struct producer_life *lives;
    uint32_t lives_count, lives_capacity;
    struct op *ops;
    uint64_t given, capacity;
    bool last_given; /* the one that is asked for once all faults have ended */
};

/* What a reader has seen and written of one log, as its token says, and its writes on branches. */
#define SESSION_WRITES 8u
struct reader_session {
    struct cairn_token token;
    uint64_t seen_lsn;
    uint64_t writes[SESSION_WRITES]; /* that are not known to be on the trunk */
    uint8_t writers[SESSION_WRITES]; /* the nodes that took them */
    uint32_t writes_count, behind;
};

struct sim_reader {
    struct cairn_client *client;
    uint8_t node;
    uint32_t log;
    bool busy, linearizable, appends, session;
    struct reader_session sessions[SIM_LOGS + 1];
    uint64_t max_lag_ns; /* of the read: 0: any */
    uint32_t shown;      /* of the session's writes, by this read: a set */
    uint8_t ack;         /* that its append asked for */
    uint64_t probes;
    uint64_t token, asked_ns, from, floor_lsn, seen_lsn;
};

/* Who changes memberships and hands leadership over. */
struct sim_steward {
    struct cairn_client *client;
    uint8_t node;
    bool busy;
    uint64_t token, asked_ns;
};

struct sim_counts {
    uint64_t events, messages, delivered, acked, refused, unknown, reads, partitions, crashes, disk_faults, committed;
    uint64_t power_cuts; /* of all nodes at once */
    uint32_t kinds;      /* set of enum fault_kind that struck */
};

struct sim {
    struct plan plan;
    uint64_t now_ns, started_ns;
    struct queue queue;
    struct stream_random network, nemesis, load, disks, operators, floods, clocks, changes;
    struct cluster_config cluster;
    struct sim_node nodes[SIM_NODES];
    struct link_state links[SIM_NODES][SIM_NODES];
    uint32_t worker_cuts[SIM_WORKERS][SIM_NODES][SIM_NODES]; /* of one worker's frames alone, beside links' */
    struct socket_hardware (*sockets)[SIM_NODES][SIM_NODES]; /* by worker, node, peer */
    struct rte_mempool *pool;
    uint8_t *frames; /* bytes of what is on its way */
    uint32_t *frames_free;
    uint32_t frames_free_count;
    struct sim_client clients[SIM_CLIENTS + 1]; /* the last writes the catalog */
    struct sim_reader readers[SIM_READERS];
    struct sim_steward steward;
    struct sim_reader scene_clients[SIM_NODES]; /* of a scenario, by node */
    uint64_t scene_token;
    uint32_t pauses;
    uint64_t clocks_set_ns;                     /* the first time that the nemesis set one; 0: it has not */
    struct cairn_result answers[SCENE_ANSWERS]; /* a ring: to what has not been asked after yet */
    uint32_t answers_count;
    uint8_t *votes[SIM_LOGS + 1][SIM_NODES]; /* by term: whom the node's present life voted for, plus one */
    uint64_t votes_terms[SIM_LOGS + 1][SIM_NODES];
    uint32_t votes_life[SIM_LOGS + 1][SIM_NODES];
    struct cairn_client *attached[256];
    uint32_t attached_count;
    struct attachment *buried[16384]; /* channels of nodes that are no more, for clients that still look */
    uint32_t buried_count;
    struct trunk_check trunks[SIM_LOGS + 1];
    uint32_t log_ids[SIM_LOGS + 1];
    struct trace trace;
    struct sim_counts counts;
    uint64_t given_bytes;
    uint64_t given, asked; /* entries, and what readers asked for */
    bool asking_last;      /* every client appends once more, which must be taken */
    bool healing;          /* no new faults; everything must come to rest */
    bool failed;
    bool contradicted; /* a scenario has made histories contradict each other */
    uint64_t
        decided_term; /* a log is to go on in that term; what ends before is another history, or not all of this one */
    char reason[512];
    bool equal_seeds; /* every node draws the same numbers */
    bool scripted;    /* no nemesis, no clients but those that the scenario runs */
    bool clocks_rise; /* is it checked that no leader's clock is behind the trunk's? checker.c */
};

/* run.c */
/* EAL, frames, ports: once a process. */
enum cairn_error sim_process_start(char *detail, size_t detail_bytes);
void sim_begin(struct sim *sim, const struct plan *plan, bool keep_trace);
void sim_end(struct sim *sim);
/* Lets virtual time pass; stops early where something failed. */
void sim_run_for(struct sim *sim, uint64_t duration_ns);
/* One whole run: faults, then peace, then the verdict. true: nothing was violated. */
bool sim_run(struct sim *sim);
static inline uint8_t
sim_workers(const struct sim *sim)
{
    return sim->plan.workers == 0 ? 1 : (uint8_t)sim->plan.workers;
}

/* In peace: everything comes to rest within the bound. */
void sim_settle(struct sim *sim, uint64_t bound_ns);
/* Says what was violated; the first one counts. */
void sim_violation(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *sim_log_name(uint32_t log);

/* happenings */
enum happening_kind {
    HAPPEN_FRAME,
    HAPPEN_CONTROL,
    HAPPEN_CLIENT,
    HAPPEN_READER,
    HAPPEN_STEWARD,
    HAPPEN_FAULT,
    HAPPEN_FAULT_END,
    HAPPEN_CHECK,
    HAPPEN_DISK,
    HAPPEN_BOOT,
};
void sim_plan_happening(struct sim *sim, uint64_t in_ns, enum happening_kind kind, uint8_t node, uint8_t peer,
                        uint32_t index, uint32_t value);

/* life.c */
/* Every node is of the cluster from the beginning. */
void world_found(struct sim *sim);
void node_boot(struct sim_node *node);
/* It does not start, or cannot go on: it is gone, and comes back where its disk says why. */
void node_refuses(struct sim_node *node, const char *detail);
/* Its clients are told, and keep what they have mapped. */
void node_bury_attachments(struct sim_node *node);
void node_crash(struct sim_node *node);
void node_stop(struct sim_node *node);
void node_pause(struct sim_node *node, uint64_t for_ns);
/* Stopped in the middle of a poll: it goes on with what has arrived meanwhile, and the clock that it read before. */
void node_pause_in_poll(struct sim_node *node, uint64_t for_ns);
/* One of its workers takes no turns. */
void worker_pause(struct sim_node *node, uint8_t worker, uint64_t for_ns);
/* With the pauses of its node. */
uint64_t worker_paused_until_ns(const struct sim_node *node, uint8_t worker);
uint64_t worker_resumed_ns(const struct sim_node *node, uint8_t worker);
/* Of all of them, the latest. */
uint64_t node_resumed_ns(const struct sim_node *node);
/* All of its workers, or one. */
void node_want_poll(struct sim_node *node, uint64_t in_ns);
void worker_want_poll(struct sim_node *node, uint8_t worker, uint64_t in_ns);
/* Soon, if a client asked it for something. */
void node_asked(struct sim_node *node);
void worker_do_poll(struct sim_node *node, uint8_t worker);
void node_do_control(struct sim_node *node);
uint64_t node_clock_ns(struct sim_node *node);
struct cairn_client *node_connect(struct sim_node *node);
struct node_log *node_log_of(const struct sim_node *node, uint32_t log);
/* By its number, whichever worker has it. */
struct node_log *node_log_numbered(const struct node *node, uint32_t id);
bool node_is_up(const struct sim_node *node);

/* disk.c, medium.c, disk_requests.c, damage.c, shelf.c */
void disk_init(struct sim_node *node);
void disk_wipe(struct sim_node *node);
/* All files of one worker are gone. */
void disk_lose_directory(struct sim_node *node, uint8_t worker);
/* That worker's files are as they were put aside, and all else is as it is. */
void disk_unshelve_directory(struct sim_node *node, uint8_t worker);
/* What the node keeps, onto its shelf: as it is, or so that nothing is left here; and back, in place of what is here. */
void disk_shelve(struct sim_node *node, bool copy);
void disk_unshelve(struct sim_node *node);
void shelf_free(struct sim_shelf *shelf);
void disk_request_end(struct sim_node *node, uint32_t index);
/* What is under way gets there in part. */
void disk_power_cut(struct sim_node *node);
/* A bit of what is written flips; false: nothing is written. */
bool disk_rot(struct sim_node *node);
/* Has what went astray been told of since, so that a crash does not hide it? A medium's fault is alone in its time. */
bool disk_may_crash(const struct sim_node *node);
/* The oldest file, at rest: a bit flips, a sector is zero, or all from there on is gone, as `which` says; rising numbers
 * go through every byte. false: it is as it was. */
bool disk_damage_oldest(struct sim_node *node, uint64_t which);
/* Damages every place where these bytes stand; returns how many. */
uint32_t disk_flip_where(struct sim_node *node, const void *bytes, size_t size_bytes);
/* Damages every block of the types in the set. */
uint32_t disk_flip_blocks(struct sim_node *node, uint32_t types);
/* The headers of such blocks are changed, and their checksums made right. */
uint32_t disk_forge_blocks(struct sim_node *node, uint32_t types, void (*forge)(struct journal_block *head));

/* network.c */
void network_collect(struct sim *sim, struct sim_node *node, uint8_t worker);
void network_deliver(struct sim *sim, const struct happening *happening);
void network_cut(struct sim *sim, uint8_t from, uint8_t to, bool cut);
void network_cut_worker(struct sim *sim, uint8_t worker, uint8_t from, uint8_t to, bool cut);
void network_heal(struct sim *sim);
/* A message that nobody has sent comes to a node by the link of another. */
void network_forge(struct sim *sim, uint8_t from, uint8_t to, const uint8_t *message, size_t size_bytes);

/* nemesis.c */
/* Nodes whose memory of the log does not count at the moment: down, or not yet recovered. */
cairn_node_set without_memory(const struct sim *sim, uint32_t log);
void nemesis_start(struct sim *sim);
void nemesis_strike(struct sim *sim, enum fault_kind kind);
void nemesis_end(struct sim *sim, const struct happening *happening);
void nemesis_peace(struct sim *sim);
/* In peace: a node whose write has failed is started anew, also where it hears of that only now. */
void nemesis_mend(struct sim *sim);

/* operators.c */
/* A node that was down is about to start: what an operator may have done to its directory meanwhile. */
void operator_visits(struct sim *sim, struct sim_node *node);

/* clients.c */
void clients_start(struct sim *sim);
void client_turn(struct sim *sim, struct sim_client *client);
void client_die(struct sim *sim, struct sim_client *client);
void steward_step(struct sim *sim);
/* Asks for a change at a node; false: the steward is busy, or the node is down. */
bool steward_ask(struct sim *sim, uint8_t via, uint32_t log, enum cairn_member_op op, uint8_t target);
/* The node that leads the log in the highest term, or CAIRN_NODE_NONE. */
uint8_t sim_leader(const struct sim *sim, uint32_t log);
void reader_step(struct sim *sim, struct sim_reader *reader);
void reader_leave(struct sim_reader *reader);
void steward_leave(struct sim_steward *steward);
/* One by one, each once the one before is known. */
void catalog_create_missing(struct sim *sim, struct sim_client *client);
void clients_stop(struct sim *sim);
/* The operator creates the log, or changes its policy. */
void catalog_change(struct sim *sim, uint32_t log, enum cairn_policy policy);
/* An operation of the catalog on a log, with the keys that it changes. */
void catalog_write(struct sim *sim, uint32_t log, const char *operation, const char *rules);

/* checker.c */
void checker_init(struct sim *sim);
void check_node(struct sim *sim, struct sim_node *node);
/* checker_clocks.c: an entry is committed for the first time; after a poll, before or after which the node led. */
void check_trunk_clock(struct sim *sim, uint32_t log, uint64_t lsn, const struct committed *entry);
void check_ages(struct sim *sim, const struct sim_node *node, uint32_t log, const struct node_log *held, bool led);
void check_often(struct sim *sim);
void check_append_result(struct sim *sim, struct sim_client *client, const struct session_result *result);
void check_read_entry(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result);
/* An append of the reader's own is answered: its session has written it. */
void check_session_write(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result);
/* A node has committed an entry, while it was in commit_term. */
void check_committed(struct sim *sim, uint8_t node, uint32_t log, uint64_t lsn, const struct committed *entry,
                     uint64_t producer, uint64_t commit_term);
uint64_t acked_before(const struct trunk_check *trunk, uint64_t at_ns);
void check_read_end(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result);
/* A node grants its vote. */
void check_vote(struct sim *sim, uint8_t node, uint8_t candidate, uint32_t log_id, uint64_t term);
/* At the end, in peace: NULL where all is as promised so far, else what is still missing. */
const char *check_settled(struct sim *sim);
void check_client_final(struct sim *sim, const struct sim_client *client);
/* An administrator has decided that a log goes on from what the node has committed: the rest never was. */
void checker_adopt(struct sim *sim, uint32_t log, uint8_t from);
void check_final(struct sim *sim);
void checker_fini(struct sim *sim);

/* checker_nodes.c */
/* What a node does in a log, after each of its polls; committed_before: up to where it had at the poll before. */
void check_role(struct sim *sim, struct sim_node *node, uint32_t log, uint64_t committed_before);
/* It begins to lead: once in a term, and by the votes of a majority of the voters. */
void check_elected(struct sim *sim, uint8_t node, uint32_t incarnation, uint32_t log, uint64_t term,
                   cairn_node_set voters);
/* A leader has committed up to lsn, by those of the voters that may hold it. */
void check_counted(struct sim *sim, uint8_t node, uint32_t log, uint64_t lsn, cairn_node_set holders,
                   cairn_node_set voters);
/* A node that had lost its memory counts again, holding up to last_lsn. */
void check_recovered(struct sim *sim, uint8_t node, uint32_t log, uint64_t boot_lsn, uint64_t last_lsn);
/* A node's trunk ends at last_lsn, or goes on behind it, in that term there. */
void check_held(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, uint64_t last_lsn,
                uint64_t last_term, uint64_t agreed_term);
/* A leader has trimmed up to base_lsn, with these members in reach. */
void check_trimmed(struct sim *sim, uint8_t node, uint32_t log, uint64_t base_lsn, cairn_node_set in_reach);

/* checker_answers.c */
/* What an append is answered with is worth what was asked for, and true. */
void check_level(struct sim *sim, uint32_t log, enum cairn_ack asked, const struct cairn_result *result);
/* Whether a read was to be denied. */
void check_denied(struct sim *sim, const struct log_check *check, const struct sim_reader *reader,
                  enum cairn_error error);
/* A heartbeat has come, whole. */
void check_beat(struct sim_node *node, uint8_t worker, uint8_t peer, uint32_t incarnation);
/* Whom the node must have in reach by now: each has heard the other for longer than any may be held back. */
cairn_node_set check_sure_reach(const struct sim *sim, const struct sim_node *node, uint8_t worker);
/* The mode is one of need, or not, while so many voters are surely in reach. */
void check_need(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, const struct mode_inputs *inputs,
                enum cairn_mode mode);
/* It leads, and has heard so many of its voters lately. */
/* wait_ns: how long the node waits for anybody at the moment. */
void check_alone(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, uint32_t heard, uint32_t voters,
                 uint64_t wait_ns);
/* After each poll: what the node is to do with reads from here on. */
void check_rules(struct sim *sim, struct sim_node *node, uint32_t log);

/* trace.c */
void trace_add(struct sim *sim, enum trace_kind kind, uint8_t node, uint8_t peer, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void trace_frame(struct sim *sim, enum trace_kind kind, uint8_t node, uint8_t peer, const uint8_t *frame,
                 uint32_t size_bytes);
void trace_print(const struct sim *sim, FILE *out, uint64_t last_rows);
/* As a page where path says so. Closes out. */
bool trace_write(const struct sim *sim, const char *path, FILE *out);

#endif
