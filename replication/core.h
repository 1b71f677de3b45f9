/* The replication core of one log on one node: a deterministic state machine.
 *
 * In: one event (a message, an append, the time) and the time now. Out: effects, handed one by one
 * to the sink the caller gives, which must not call back into the core. The core never sees a
 * payload, a clock, a thread or an allocator; it handles runs of (term, first lsn, count) and the
 * producer's identity of each entry. The same code runs in production and in the simulator.
 *
 * The algorithm is Raft (Ongaro & Ousterhout 2014; thesis 2014, section numbers in the .c files)
 * with pre-vote and check-quorum, Viewstamped Replication's recovery (Liskov & Cowling 2012,
 * section 4.3) for nodes that restart without their memory, and branches: docs/cap.md.
 *
 * Threads: one at a time; a core belongs to the worker that owns the log.
 *
 * One append, leader side:
 *     core_append() for each entry of this poll, core_held() once they are stored, then the sender
 *     asks core_send_window() per follower and says core_sent(); replies come in by core_receive()
 *     and leave as EFFECT_COMMIT. */
#ifndef REPLICATION_CORE_H
#define REPLICATION_CORE_H

#include <stddef.h>

#include "replication/message.h"

enum role { ROLE_FOLLOWER, ROLE_PRECANDIDATE, ROLE_CANDIDATE, ROLE_LEADER };

/* Which term a part of the trunk belongs to, up to the next row. */
struct term_row {
    uint64_t term, first_lsn;
};

/* What a core is at its commit lsn. It may go on from there without being told how it came there. */
struct core_checkpoint {
    struct core_base base; /* lsn: the commit lsn */
    uint64_t trunk_base_lsn, trunk_base_term;
    uint64_t term;
    uint8_t voted_for;
    const struct term_row *terms; /* the core's, or the caller's */
    uint32_t terms_count;
};

enum effect_type {
    EFFECT_SEND,          /* message */
    EFFECT_STORE,         /* entries [index, index + run.count) of the event's batch become run on the trunk */
    EFFECT_STORE_CONTROL, /* run is one entry without payload */
    EFFECT_TRUNCATE,      /* the trunk ends before lsn */
    EFFECT_KEEP,          /* copy trunk entries from run.first_lsn to the branch, as run.first_seq on */
    EFFECT_DEPOSED,       /* no longer leader: what is pending beyond the commit lsn must be answered */
    EFFECT_COMMIT,        /* committed up to lsn */
    EFFECT_ROLE,          /* role, term or leader changed */
    EFFECT_READ_READY,    /* token may be served once lsn is committed here */
    EFFECT_READ_FAILED,   /* token: ask again */
    EFFECT_KEEP_COPY, /* entries [index, index + run.count) of the event's batch stand on another's branch; first_lsn: place */
    EFFECT_BRANCH_TRIM, /* of that origin's branch, entries of that life up to seq are committed on the trunk */
    EFFECT_RECOVERED,   /* the node votes and counts again */
    EFFECT_REBASE,      /* the trunk begins anew after lsn; whatever was held is void */
    EFFECT_LEND,        /* send lend.to what stands from lend.from_lsn on, as MESSAGE_LEND */
    EFFECT_STOPPED,     /* contradiction: the replica takes no part any more, core_stopped() says for how many */
    EFFECT_BEYOND, /* contradiction: the peer says that it holds this leader's trunk up to an lsn that it has not got */
    EFFECT_STATE,  /* term or vote changed: where the log is durable, no later message leaves before they are */
};

struct effect {
    enum effect_type type;
    union {
        struct message message;
        struct {
            struct run run;
            uint32_t index;
            uint64_t prev_place; /* EFFECT_KEEP_COPY: of the entry before; 0: all that was before is on the trunk */
        } store;
        uint64_t lsn;
        struct {
            uint64_t seq;
            uint32_t incarnation;
            uint8_t origin;
        } branch;
        struct {
            uint64_t token, lsn;
            bool here; /* lsn is what is held here, committed or not: if that is cut off, what is left is all */
        } read;
        struct {
            uint64_t from_lsn;
            uint8_t to;
        } lend;
        struct {
            uint64_t lsn;
            uint8_t peer;
        } contradiction;
    };
};

/* Where effects go. apply() is called in order, from inside the event. */
struct sink {
    void (*apply)(void *context, const struct effect *effect);
    /* Does the trunk hold this entry, somewhere after where the hand-off's batch forked off? Asked only of
     * producers that are forgotten. NULL: it does not. */
    bool (*holds)(void *context, const struct entry_id *id);
    void *context;
};

/* Histories that contradict each other: contradiction.c. */
enum core_stop {
    STOP_NONE,
    STOP_REPLICA, /* this replica alone: it differs from its leader's */
    STOP_LOG,     /* the log, on all nodes: some have committed what others lack */
};

struct core_config {
    uint8_t self;
    cairn_node_set nodes;         /* all that a message may come from; 0: the members */
    struct members members;       /* that the log begins with */
    uint32_t incarnation;         /* of this node, rising with each start, from 1 */
    uint64_t seed;                /* of the election jitter */
    uint64_t election_timeout_ns; /* no lease of this node's, and no promise that others' rest on, is longer */
    uint64_t promised_ns;         /* what a life before may have promised at the longest; 0: election_timeout_ns */
    uint32_t election_patience;   /* how many times as long this node waits to campaign; 0 is 1 */
    uint64_t retransmit_ns;
    uint32_t window_entries; /* uncommitted entries at most, a power of two */
    uint32_t producers_max;  /* producers remembered, a power of two */
    enum cairn_policy policy;
    bool durable;           /* term and vote count when core_state_held() says so, not at once */
    bool recovering;        /* this node may have acknowledged entries in a former life, and has none of them */
    enum core_stop stopped; /* as it was in the life before */
};

#define CORE_WRITER_NOBODY UINT64_MAX

struct core;

/* Bytes that a core with this configuration needs; 64-byte alignment. */
size_t core_footprint(const struct core_config *config);

/* Makes a core in memory (core_footprint bytes, owned by the caller, nothing to free). */
struct core *core_init(void *memory, const struct core_config *config, uint64_t now_ns);

void core_set_policy(struct core *core, enum cairn_policy policy);
/* From now on no other producer's entries are taken as new (CAIRN_SEALED); repeats are told apart as before. 0: anybody's are.
 * CORE_WRITER_NOBODY: nobody's. */
void core_set_writer(struct core *core, uint64_t producer);

/* How long this node waits for a leader before it campaigns or helps another to, on the machines as they are: no less than
 * the election timeout, whatever is said; and how many times as long as others it waits to campaign itself, being worse off
 * than they. What leases and promises rest on does not change. Before every core_tick(). */
void core_set_patience(struct core *core, uint64_t wait_ns, uint32_t times);

/* The cluster has agreed on another election timeout. Promises that were given are kept, and each says how long it holds,
 * so leases stay within them whoever learns of the change first. */
void core_set_election_timeout(struct core *core, uint64_t election_timeout_ns);

/* Who may speak, members of the log among them. It changes no quorum. */
void core_set_nodes(struct core *core, cairn_node_set nodes);

/* What an append became. */
struct accepted {
    bool on_branch;
    bool repeated; /* was already held: lsn (0: position not remembered) or seq of the first copy */
    uint64_t lsn, term, seq;
    uint32_t incarnation; /* that seq is of */
};

/* No producer with that id, or a lower one, is taken as a new one. */
uint64_t core_producer_floor(const struct core *core);

/* The leader takes one entry onto the trunk. CAIRN_OK: the caller stores its record at out->lsn
 * before anything else happens (not when out->repeated). CAIRN_AGAIN: the window is full or the own
 * branch comes first; offer it again. Others: refused. */
enum cairn_error core_append(struct core *core, const struct entry_id *id, enum cairn_ack ack, struct accepted *out);

/* A node that is cut off (or an `ap` follower) takes one entry onto its branch; the caller stores
 * it. Whether the mode allows it is the caller's business. */
enum cairn_error core_append_branch(struct core *core, const struct entry_id *id, struct accepted *out);

/* What a node's disk knows of the log, told in the order in which it was written, before anything else
 * happens to the core: bases (what a MESSAGE_BASE says), entries with the commit lsn that was known when
 * they were written, entries of the branch, term and vote. Effects are those of running; what was written
 * over what stood there truncates, unless it is the same. acked: of the entries, some may have been
 * acknowledged on this node's word alone. false: it does not fit what was told before, so something is
 * missing between. */
bool core_restore_base(struct core *core, const struct core_base *base, const struct sink *sink);
bool core_restore_entries(struct core *core, const struct run *run, const struct entry_id *ids, uint64_t commit_lsn,
                          bool acked, const struct sink *sink);
void core_restore_commit(struct core *core, uint64_t commit_lsn, const struct sink *sink);
/* How many entries of the run, from its first, the trunk has already: committed, or the same. */
uint32_t core_stands(const struct core *core, const struct run *run);
/* Behind prev_place, 0 where the branch was empty: what is between that and what was told before is missing. *settled: all of
 * it is on the trunk already. Entries that do not stand behind what was told of the branch before say that all of that was: a
 * branch is written in order, and begins anew once it is settled. */
bool core_restore_branch(struct core *core, const struct run *run, uint64_t prev_place, const struct entry_id *ids,
                         bool *settled);
/* Entries of another's branch, with prev_place as in EFFECT_KEEP_COPY. Not *kept: they are on the trunk already, or something before
 * them is missing here. */
bool core_restore_copy(struct core *core, const struct run *run, uint64_t prev_place, bool *kept);
void core_restore_state(struct core *core, uint64_t term, uint8_t voted_for);

/* Where it stands, and the other way round: before anything else is told, but for the producers, which follow. false: it
 * does not hold together. */
void core_checkpoint(const struct core *core, struct core_checkpoint *out);
bool core_restore_checkpoint(struct core *core, const struct core_checkpoint *checkpoint, const struct sink *sink);

/* After a base: the producers of what is gone, as they were written with it. all: none is missing. */
void core_restore_producers(struct core *core, const struct producer_row *rows, uint32_t count, bool all);

/* All is told. promised: where the log ended when it was whole; more than what was told where some of it is
 * lost. Until this node holds as much again it does not lead, and votes for nobody who has less
 * (protocol-aware recovery, Alagappan et al. FAST'18). What may have been acknowledged on this node's word
 * alone, and is not known to be committed, goes to the branch, as when a leader is deposed. */
void core_restore_end(struct core *core, uint64_t promised_lsn, uint64_t promised_term, uint64_t now_ns,
                      const struct sink *sink);

/* Votes and entries may be lost of which nobody can say which: the node recovers as one that lost its memory
 * (MESSAGE_RECOVER), but for what it holds. After core_restore_end(). */
void core_restore_doubt(struct core *core);

/* Which entries of the log are lost here and not yet back: (core_last_lsn(), *lsn], the last of *term. false: none. */
bool core_lacks(const struct core *core, uint64_t *lsn, uint64_t *term);

/* This node's medium failed: from here on it neither leads, votes nor acknowledges. What it holds it still
 * commits as it is told. */
void core_fail(struct core *core, uint64_t now_ns, const struct sink *sink);
bool core_failed(const struct core *core);

/* Term and vote as they are now are durable: a candidate's vote for itself counts. */
void core_state_held(struct core *core, uint64_t now_ns, const struct sink *sink);

/* Trunk entries up to lsn are now held as durably as the log asks. */
void core_held(struct core *core, uint64_t lsn, uint64_t now_ns, const struct sink *sink);

/* A message arrived, of plausible numbers (plausible.h). ids: of its entries (MESSAGE_APPEND, _HAND_OFF, _LEND, _SPREAD),
 * run.count of them. false: its term is one that nobody can have come to, so it is not believed. */
bool core_receive(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                  const struct sink *sink);

/* Time passes: call at least every few hundred microseconds. */
void core_tick(struct core *core, uint64_t now_ns, const struct sink *sink);

/* When core_tick() has something to do at the earliest, if nothing happens before; 0: soon. */
uint64_t core_deadline_ns(const struct core *core);

/* The leader of term says, in a coalesced heartbeat, that it still leads and has committed lsn. false: as above. */
bool core_leader_alive(struct core *core, uint8_t leader, uint64_t term, uint64_t commit_lsn, uint64_t now_ns,
                       const struct sink *sink);

/* The detector's word: peers in `reach` and this node hear each other (self included). */
void core_reach(struct core *core, cairn_node_set reach, uint64_t now_ns, const struct sink *sink);
/* Is there a leader, and is every other voter in reach, of at least one? */
bool core_reaches_all(const struct core *core);

/* A peer started anew, for the incarnation-th time: what it held in memory is gone. */
void core_peer_restarted(struct core *core, uint8_t peer, uint32_t incarnation);

/* A linearizable read, anywhere: EFFECT_READ_READY or _FAILED with the token will follow, or
 * CAIRN_NO_LEADER / CAIRN_AGAIN now (Raft thesis 6.4). lease: the leader's lease will do where it runs,
 * which spares the round to a majority, or a grant of it to this node, which spares asking; linearizable as long as
 * no two clocks drift apart by more than 1 %. now_ns must then be read after the request was there, as must that of a
 * MESSAGE_READ_INDEX or a MESSAGE_CONFIRM be after it came. */
enum cairn_error core_read(struct core *core, uint64_t token, bool lease, uint64_t now_ns, const struct sink *sink);

/* The leader hands leadership to target, which must be a voter in reach and not far behind
 * (CAIRN_BEHIND): until it leads, or an election timeout has passed, core_append() says CAIRN_AGAIN. */
enum cairn_error core_transfer(struct core *core, uint8_t target, uint64_t now_ns);

/* The same, to the voter among those, in reach, that holds most. CAIRN_BEHIND: none does enough. */
enum cairn_error core_hand_away(struct core *core, cairn_node_set among, uint64_t now_ns);
/* Is that under way? */
bool core_transferring(const struct core *core);
uint8_t core_transfer_target(const struct core *core);

/* The caller no longer holds entries up to lsn, which are committed. */
void core_trimmed(struct core *core, uint64_t lsn);
uint64_t core_base_lsn(const struct core *core);

/* May any of these trunk entries have been acknowledged on this node's word alone? */
bool core_acked_alone(const struct core *core, uint64_t first_lsn, uint32_t count);

/* A follower needs entries that are trimmed: it is to be sent the base (core_base_message(), to which the
 * caller adds the digest), and core_base_sent() said. */
bool core_wants_base(const struct core *core, uint8_t peer);
void core_base_message(const struct core *core, uint8_t peer, struct message *out);
void core_base(const struct core *core, struct core_base *out);
void core_base_sent(struct core *core, uint8_t peer, uint64_t now_ns);

/* Puts what is committed of the producers with ids above after_id into page: the next `most` rows by rising id. rows: room
 * for producers_max of them, for the core's use. Returns how many; *last: there are no more. */
uint32_t core_producers(const struct core *core, uint64_t after_id, struct producer_row *rows,
                        struct producer_row *page, uint32_t most, bool *last);

/* A follower that began anew asks for them: a MESSAGE_PRODUCERS for it. page: for PRODUCER_ROWS_MAX, what the message
 * then points to. */
bool core_wants_producers(const struct core *core, uint8_t peer);
void core_producers_message(struct core *core, uint8_t peer, struct producer_row *rows, struct producer_row *page,
                            struct message *out);

/* Has this node begun anew, and not all rows yet? It then does not campaign while others may. */
bool core_producers_partial(const struct core *core);

/* A MESSAGE_LEND to `to`, to which the caller adds prev_lsn, prev_term and the run. */
void core_lend_message(const struct core *core, uint8_t to, struct message *out);

/* For how long the follower has owed the acknowledgement of *lsn, which it could have given: it is not one that has far
 * to catch up. 0: it owes nothing. */
uint64_t core_owes_ns(const struct core *core, uint8_t peer, uint64_t now_ns, uint64_t *lsn);

/* What may be sent to peer now: lsns [*from, *to]; false: nothing. core_sent() says what went out;
 * a count of 0 is a probe that carries none. */
bool core_send_window(const struct core *core, uint8_t peer, uint64_t *from, uint64_t *to);
void core_sent(struct core *core, uint8_t peer, uint64_t last_lsn, uint64_t now_ns);

/* What of origin's branch may be handed off now: entries of one life with sequences after *after_seq; to
 * *leader, which may be this node itself. false: nothing. core_handed() says what went out. A copy of
 * another's branch is handed off when its origin has not done so for an election timeout; the own branch, where some of
 * it is missing, when nobody has had a copy to hand off first. */
bool core_hand_off_window(const struct core *core, uint8_t origin, uint32_t *incarnation, uint64_t *after_seq,
                          uint8_t *leader);
void core_handed(struct core *core, uint8_t origin, uint64_t last_seq, uint32_t count, uint64_t now_ns);

/* Are origin's entries of that life up to seq on the committed trunk? Else: are they all here, on its branch or on the
 * trunk? */
bool core_branch_settled(const struct core *core, uint8_t origin, uint32_t incarnation, uint64_t seq);
bool core_branch_holds(const struct core *core, uint8_t origin, uint32_t incarnation, uint64_t seq);

/* Whose branches are held here, this node's own among them, and are not yet settled on the trunk. */
cairn_node_set core_branches_held(const struct core *core);

/* While no leader is in reach, the own branch goes to whoever is: may entries behind *after_place go to the peer
 * now? The message lacks its run; core_spread_sent() says what went out. */
bool core_spread_window(const struct core *core, uint8_t peer, uint64_t *after_place);
void core_spread_message(const struct core *core, uint8_t peer, uint64_t after_place, struct message *out);
void core_spread_sent(struct core *core, uint8_t peer, uint64_t last_place, uint64_t now_ns);

/* The leader asks for another membership: at most one voter more or fewer. *lsn: of the entry that says
 * so; it is in force at once and agreed on when that is committed. CAIRN_AGAIN: another change, a
 * transfer or the leader's first entry is under way. CAIRN_BEHIND: a node that is to vote has to catch up
 * as a learner first. CAIRN_NO_QUORUM: the voters that are well now would be no majority of it. CAIRN_INVALID: too large a step, or nobody left. A leader that is no longer a voter
 * leads until that is committed, and steps down. */
enum cairn_error core_change_members(struct core *core, const struct members *next, uint64_t now_ns,
                                     const struct sink *sink, uint64_t *lsn);

/* The replica neither votes, acknowledges, answers nor leads from now on; what it holds is kept. Only more is stopped, never
 * less: that is core_go_on_alone()'s. peer, lsn: who contradicts, and where, for EFFECT_STOPPED. */
void core_stop(struct core *core, enum core_stop stop, uint8_t peer, uint64_t lsn, uint64_t now_ns,
               const struct sink *sink);
enum core_stop core_stopped(const struct core *core);

/* It is lost: of its voters, as far as this node has heard, too few know what they promised for it to go on, or for the
 * others to recover from. */
bool core_is_lost(const struct core *core);

/* An administrator has decided that the log goes on from what this node holds, whoever else there is: it leads, in a term
 * of at least `term` and far above all that it has seen, of a membership in which it alone votes and all others are learners.
 * What others agreed on without it is lost by that, and none of them may count again before it has forgotten what it holds:
 * the caller sees to both. CAIRN_RECOVERING: it has forgotten itself, and the log is not lost. CAIRN_AGAIN: too much is not
 * committed yet. */
enum cairn_error core_go_on_alone(struct core *core, uint64_t term, uint64_t now_ns, const struct sink *sink);

/* The same decision, for another node: the log goes on from what that one holds, which leads in a term of at least `term`. What
 * this replica, which is stopped, holds is kept until that leader is heard, and then given up: it begins anew with nothing and
 * recovers from that one. */
void core_adopt(struct core *core, uint64_t term);

/* The term of the leader for whom what is held here is given up; 0: it is not. */
uint64_t core_adopts(const struct core *core);

/* The decision that a stop waited for was carried out here before. */
void core_end_stop(struct core *core);

/* Does this node vote, or did it until a change that is not known to be agreed on? */
bool core_may_lead(const struct core *core);

/* The membership in force. */
const struct members *core_members(const struct core *core);

/* The state, for senders, status and checkers. */
enum role core_role(const struct core *core);
uint8_t core_leader(const struct core *core);
uint64_t core_term(const struct core *core);
uint8_t core_voted_for(const struct core *core);
uint64_t core_last_lsn(const struct core *core);
uint64_t core_commit_lsn(const struct core *core);
/* Follower: up to here the terms of its trunk are its leader's; 0: this leader has sent nothing yet. Only behind that
 * does another digest mean other bytes: before, it may as well be another history. */
uint64_t core_compared_lsn(const struct core *core);
uint64_t core_all_lsn(const struct core *core); /* leader: committed and held by every voter */
uint64_t core_term_at(const struct core *core, uint64_t lsn);
bool core_recovering(const struct core *core);
uint64_t core_recovery_lsn(const struct core *core); /* the log's end as recovery found it */
bool core_branch_pending(const struct core *core);
/* The lowest lsn that every member in reach is known to hold: what may be trimmed. One that is out of reach
 * has to begin anew at the base when it comes back. */
uint64_t core_trim_limit(const struct core *core);

#endif
