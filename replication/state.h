/* The core's inside, shared by the files of this folder and nobody else. */
#ifndef REPLICATION_STATE_H
#define REPLICATION_STATE_H

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "replication/core.h"
#include "replication/plausible.h"

#define HISTORY_TERMS_MAX 1024u
#define RUNS_MAX 4096u
/* So many of them are kept for control entries alone: leaderships in a row, each with its no-op, without one commit. */
#define RUNS_RESERVED 1024u
#define READS_MAX 256u
#define READ_TOKEN_NONE UINT64_MAX /* a question that no read waits for */
#define ROUNDS_KEPT 64u
#define LEASE_DRIFT_SHARE 100u /* of a lease: what two clocks may drift apart meanwhile */
#define CHANGES_MAX 16u
#define HAND_OFF_WINDOW_ENTRIES 4096u
#define PACE_TURNS 64u
#define HAND_OFF_FIRST_ENTRIES 256u /* until the leader has said at what rate */
#define LIVES_MAX 16u

/* Which term each part of the trunk belongs to: one row per term. Rows that fall off the front are
 * of committed entries, which are never compared. */
struct history {
    struct term_row rows[HISTORY_TERMS_MAX];
    uint32_t count;
};

struct marks {
    struct mark items[MARKS_MAX];
    uint32_t count;
};

/* Runs beyond the commit lsn, oldest first: a ring. */
struct runs {
    struct run items[RUNS_MAX];
    uint32_t head, tail; /* [head, tail) */
};

struct producer {
    uint64_t id; /* 0: free */
    uint64_t seq, lsn;
    uint64_t former_seq; /* the last of former_epoch, whose entries may still come by a branch */
    uint32_t epoch, former_epoch;
    /* The run of sequences, ending at seq, whose lsns are dense too. */
    uint64_t run_seq, run_lsn;
};

/* What entries of one producer changed, whose lsns and sequences follow each other: to be taken back by a truncation, from
 * any of them on. */
struct undo {
    uint64_t lsn, seq; /* of the first */
    uint32_t epoch;
    uint32_t more;          /* after the first */
    struct producer before; /* id set, seq 0: was not in the table */
    struct producer evicted;
    uint64_t evicted_floor;
};

struct producers {
    struct producer *slots;
    struct undo *undo;
    uint32_t capacity, used;
    uint32_t undo_mask, undo_head, undo_tail;
    uint64_t evicted_floor; /* no producer at or below this id is taken as new */
    uint32_t last_slot;
};

enum progress_state { PROGRESS_PROBE, PROGRESS_REPLICATE };

/* What the leader knows of one follower (thesis 10.2.1). */
struct progress {
    uint64_t match_lsn, next_lsn;
    uint64_t heard_ns, sent_ns;
    uint64_t rewound_to_lsn, rewound_ns;
    uint32_t refused_below; /* refusals in a row below match_lsn */
    uint64_t confirmed_seq;
    uint64_t promised_ns;       /* that came with the answer to that round */
    uint64_t owed_lsn, owed_ns; /* the acknowledgement of owed_lsn is owed since owed_ns; 0: of nothing */
    enum progress_state state;
    bool probe_sent;
    bool recovering;
    bool producers_wanted;
    uint64_t producers_after_id;
};

struct read {
    uint64_t token, lsn, seq;
    uint64_t asked_ns; /* when it came in */
    uint64_t clock_ns; /* the asker's, as it asked; 0: it wants no grant */
    uint8_t from;
};

/* Entries that one node accepted alone, as far as this node holds them: its own, or a copy of another's (spread.c).
 * Sequences are not dense: what it led onto the trunk between. A branch that outlived its node's restart has entries of
 * several lives; they are handed off one life after another. */
struct branch {
    uint32_t incarnation; /* the life that is handed off now */
    uint64_t base_seq;    /* everything up to here is settled on the trunk */
    uint64_t last_seq;    /* 0: the branch is empty */
    uint64_t sent_seq;    /* handed off up to here, not yet answered for */
    uint64_t marked_seq;
    uint32_t in_flight;
    bool told;           /* the leader has said at what rate: */
    uint32_t rate_per_s; /* 0: as fast as the window lets it */
    uint32_t room;       /* entries behind the mark that the leader had room for when it answered last */
    int64_t allowed;     /* entries that may go now; below 0: more have gone than might */
    uint64_t refilled_ns;
    uint64_t sent_ns;
    uint64_t gap_place; /* entries up to it are not all here: a copy's are on the trunk, the own branch's are lost */
    uint64_t rests_ns;  /* nothing has happened to it since then; 0: not counted yet */
    bool probing;       /* no progress lately: one batch at a time */
    bool due;           /* the node that comes first does not hand it off, so this one does */
    uint32_t later_lives_count;
    struct {
        uint64_t last_seq;
        uint32_t incarnation;
    } later_lives[LIVES_MAX]; /* oldest first */
};

/* How far the own branch has got to a peer, by place. */
struct spread {
    uint64_t sent_place, held_place;
    uint64_t sent_ns;
    uint32_t in_flight; /* batches */
};

/* What clients appended in one turn of the leader's. */
struct pace_turn {
    uint64_t lsn; /* the last */
    uint64_t begun_ns;
    uint32_t entries;
};

/* Leader: how fast branches may drain onto the trunk: pace.c. */
struct pace {
    struct pace_turn turns[PACE_TURNS]; /* not committed yet: judged .. begun */
    uint32_t judged, begun;
    uint64_t begun_lsn;
    uint64_t usual_ps;                  /* one append in a hundred takes longer while nothing drains */
    uint64_t learned;                   /* from so many appends usual_ps is known */
    uint32_t rate_per_s;                /* of all branches together */
    uint64_t taken_ns[CAIRN_NODES_MAX]; /* by origin: the last batch; 0: none yet */
};

struct core {
    struct core_config config;
    uint64_t random;

    struct members committed_members;
    struct {
        uint64_t lsn;
        struct members members;
    } changes[CHANGES_MAX]; /* not known to be committed, oldest first */
    uint32_t changes_count;

    uint64_t writer;         /* core_set_writer() */
    uint8_t transfer_target; /* leader: who is to lead next */
    bool transfer_sent;
    uint64_t transfer_until_ns;

    /* Everything up to base_lsn is trimmed; base_term is that entry's. */
    uint64_t base_lsn, base_term;

    /* The latest life known of each node, and the life that each vote now counted came from. */
    uint32_t lives[CAIRN_NODES_MAX], granted_lives[CAIRN_NODES_MAX];
    uint64_t prevote_round;
    uint8_t ahead; /* somebody refused a pre-vote because its trunk is further */
    uint64_t pulled_ns;

    enum role role;
    uint64_t term;
    uint8_t voted_for, leader;
    uint64_t leader_heard_ns, election_ns;
    uint64_t patience_ns; /* core_set_patience(); 0: nothing was said */
    uint32_t patience_times;
    uint32_t elections; /* terms begun since a leader was known */
    cairn_node_set granted, reach;
    uint64_t quorum_ns;

    uint64_t last_lsn, held_lsn, commit_lsn, all_lsn;
    uint64_t match_lsn;    /* follower: known to equal the leader's trunk up to here */
    uint64_t compared_lsn; /* follower: terms were compared with this leader's up to here; 0: it has sent nothing yet */
    uint64_t told_commit_lsn; /* follower: the leader's commit lsn, as it last said */
    uint8_t reply_to;         /* follower: owes the leader an acknowledgement */
    uint64_t gap_reported_lsn, gap_reported_ns;
    uint64_t term_first_lsn; /* leader: its no-op */

    uint64_t seq; /* last origin sequence given */
    struct history history;
    struct runs runs;
    struct marks committed_marks, marks;
    uint64_t marks_lsn; /* committed_marks are of the trunk up to here, where that is behind commit_lsn */
    struct producers producers, branch_producers;
    /* producers lacks some of what is before the base: those with ids above producers_after_id. Until when others had
     * better lead, and when they were asked for last. */
    bool producers_partial;
    uint64_t producers_after_id, producers_asked_ns, producers_until_ns;
    uint8_t *levels; /* ack level by lsn of what clients appended here; see append.c */
    struct progress progress[CAIRN_NODES_MAX];

    struct read reads[READS_MAX];
    uint32_t reads_count;
    uint64_t confirm_seq, confirm_sent_ns;
    uint64_t confirm_began_ns[ROUNDS_KEPT]; /* by round: when it was first sent */
    uint64_t lease_floor_seq;               /* later rounds alone count for the lease: the membership changed */
    bool lease_over;                        /* for this term: somebody was told to campaign */
    uint64_t told_term_ns;                  /* when a leader of a former term was last told of this one */
    uint64_t promise_until_ns;              /* no vote and no campaign before */

    /* grants.c. The leader's: until when each peer may answer reads, and the last of them all; a commit waits for one.
     * The follower's: what it was granted, of which term, and when it asked last. */
    uint64_t granted_until_ns[CAIRN_NODES_MAX], grants_until_ns;
    bool grants_held_back;
    uint64_t grant_until_ns, grant_term, grant_asked_ns;

    struct branch branches[CAIRN_NODES_MAX]; /* by origin */
    cairn_node_set branches_held;            /* those that are not empty */
    struct spread spreads[CAIRN_NODES_MAX];  /* by peer */

    struct pace pace;
    /* Leader: whose branch was told of too little room, and who hands it off. */
    cairn_node_set starved;
    struct {
        uint32_t incarnation;
        uint8_t from;
        bool refused; /* some of what was sent was not taken */
    } starved_by[CAIRN_NODES_MAX];
    uint64_t appended_lsn, live_lsn; /* the last that a client appended, and the last one looked at */
    uint64_t live_until_ns;

    /* What this node held before it lost some of it; 0: nothing is lost. */
    uint64_t promised_lsn, promised_term;
    enum core_stop stopped;
    uint64_t adopted_term;         /* stopped: a leader of that term or later ends what is held here; 0: none does */
    cairn_node_set beyond;         /* leader: the peers that said that they hold more than there is */
    bool failed, own_vote_pending; /* its disk; candidate: its vote for itself is not durable yet */

    uint64_t recovery_nonce, recovery_sent_ns, recovery_lsn, recovery_term;
    cairn_node_set recovery_replies, recovery_leaders;
    uint64_t recovery_last_lsn[CAIRN_NODES_MAX], recovery_terms[CAIRN_NODES_MAX];
    cairn_node_set recovery_voters[CAIRN_NODES_MAX];
    bool recovery_known;
    cairn_node_set forgetful; /* peers that recover, as the last message of each said */
};

static inline cairn_node_set
node_bit(uint8_t node)
{
    assert(node < CAIRN_NODES_MAX);
    return (cairn_node_set)1 << node;
}

static inline uint32_t
set_size(cairn_node_set set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* Are those of set more than half of all? */
static inline bool
is_majority(cairn_node_set set, cairn_node_set all)
{
    return set_size(set & all) >= set_size(all) / 2 + 1;
}

static inline void
emit(const struct sink *sink, const struct effect *effect)
{
    sink->apply(sink->context, effect);
}

static inline void
emit_lsn(const struct sink *sink, enum effect_type type, uint64_t lsn)
{
    struct effect effect = {.type = type, .lsn = lsn};

    emit(sink, &effect);
}

/* send.c */
struct message core_message(const struct core *core, enum message_type type, uint8_t to);
void core_send(const struct message *message, const struct sink *sink);
void core_broadcast(const struct core *core, struct message *message, const struct sink *sink);

/* check.c. What holds between any two events: core_check() asserts in a release what costs it little. The others assert all
 * of it, and are true, for assert_costly(). */
void core_check(const struct core *core);
bool core_is_sound(const struct core *core);
bool branch_is_sound(const struct core *core, uint8_t origin);

/* history.c */
bool history_is_sound(const struct history *history);
void history_add(struct history *history, uint64_t term, uint64_t first_lsn);
void history_truncate(struct history *history, uint64_t from_lsn);
uint64_t history_term(const struct history *history, uint64_t lsn);
uint64_t history_first_lsn(const struct history *history, uint64_t lsn);
uint64_t last_term(const struct core *core);

/* runs.c */
bool runs_full(const struct runs *runs);
bool runs_exhausted(const struct runs *runs);
void runs_add(struct runs *runs, const struct run *run);
const struct run *runs_find(const struct runs *runs, uint64_t lsn);
void runs_truncate(struct runs *runs, uint64_t from_lsn);
void runs_commit(struct runs *runs, uint64_t commit_lsn, struct marks *marks);
uint64_t marks_get(const struct marks *marks, uint8_t origin, uint32_t incarnation);
void marks_raise(struct marks *marks, uint8_t origin, uint32_t incarnation, uint64_t seq);
void marks_apply(struct marks *marks, const struct run *run);
void marks_rebuild(struct marks *marks, const struct marks *committed, const struct runs *runs);

/* producers.c */
enum cairn_error producers_check(const struct producers *producers, const struct entry_id *id, uint64_t *known_lsn,
                                 uint64_t *known_seq);
void producers_note(struct producers *producers, const struct entry_id *id, uint64_t lsn);
void producers_truncate(struct producers *producers, uint64_t from_lsn);
void producers_commit(struct producers *producers, uint64_t commit_lsn);
void producers_clear(struct producers *producers);
uint64_t producers_highest(const struct producers *producers);
bool producers_room(const struct producers *producers);
bool producers_holds(const struct producers *producers, const struct entry_id *id);
bool producers_forgot(const struct producers *producers, const struct entry_id *id);
struct producer producers_last(const struct producers *producers, uint64_t id);
struct producer producers_committed(const struct producers *producers, uint64_t id);
void producers_copy(const struct producers *from, uint64_t first_lsn, uint32_t count, struct producers *to,
                    uint64_t first_seq);

uint32_t producers_slot(const struct producers *producers, uint64_t id);
void producers_merge(struct producers *producers, const struct producer *row);

/* producer_rows.c */
void producers_lost(struct core *core, uint64_t now_ns);
bool producers_forbid_lead(const struct core *core, uint64_t now_ns);
void producers_tick(struct core *core, uint64_t now_ns, const struct sink *sink);
void receive_producers_wanted(struct core *core, const struct message *message);
void receive_producers(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);

/* members.c */
void membership_start(struct core *core, const struct members *members);
cairn_node_set voters_of(const struct core *core);
bool is_member(const struct core *core, uint8_t node);
bool is_voter(const struct core *core, uint8_t node);
bool has_quorum(const struct core *core, cairn_node_set set);
bool membership_room(const struct core *core);
void membership_note(struct core *core, const struct run *run);
void membership_truncate(struct core *core, uint64_t from_lsn);
void membership_commit(struct core *core, uint64_t lsn);

/* election_timer.c */
void election_reset(struct core *core, uint64_t now_ns);
uint64_t election_wait_ns(const struct core *core);
void election_wait_for_votes(struct core *core, uint64_t now_ns);
void election_soon(struct core *core, uint64_t now_ns);

/* role.c */
void follow(struct core *core, uint64_t term, uint8_t leader, uint64_t now_ns, const struct sink *sink);
void enter_term(struct core *core, uint64_t term, uint8_t voted_for, const struct sink *sink);
void role_changed(const struct sink *sink);
bool up_to_date(const struct core *core, uint64_t term, uint64_t last_lsn);
bool lacks_promised(const struct core *core);
bool hears_leader(const struct core *core, uint64_t now_ns);

/* election.c */
void election_tick(struct core *core, uint64_t now_ns, const struct sink *sink);
void receive_prevote(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
void receive_prevote_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
void receive_vote(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
void receive_vote_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
void receive_timeout_now(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);

/* contradiction.c: was something else committed here than what the leader's message says? Then the replica has stopped. */
bool contradiction_found(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
/* A leader of that term is heard: one for whom what is held here is given up? */
void adoption_heard(struct core *core, uint64_t term, const struct sink *sink);

/* trunk.c */
void trunk_note(struct core *core, const struct run *run, const struct entry_id *ids);
void store_control(struct core *core, enum entry_kind kind, uint8_t origin, uint32_t incarnation, uint64_t seq,
                   const struct sink *sink);
bool window_open(const struct core *core);
void truncate_from(struct core *core, uint64_t from_lsn, const struct sink *sink);
uint32_t follower_room(const struct core *core, const struct run *run, uint32_t count);
uint8_t *level_of(struct core *core, uint64_t lsn);

/* append.c */
void receive_append(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                    const struct sink *sink);
bool append_fits(const struct core *core, const struct message *message);
uint64_t append_take(struct core *core, const struct message *message, const struct entry_id *ids,
                     const struct sink *sink);
void append_commit(struct core *core, const struct sink *sink);
void append_acknowledge(struct core *core, const struct sink *sink);

/* progress.c */
void progress_start(struct core *core, uint64_t now_ns);
void progress_reset(struct core *core, uint8_t peer, uint64_t now_ns);
void progress_reached(struct core *core, cairn_node_set peers);
bool progress_is_quiet(const struct core *core);
void progress_tick(struct core *core, uint64_t now_ns);
void receive_append_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);

/* commit.c */
/* Leader: a voter holds more than before, or a grant has ended. Commits what that decides, and what follows from there being room. */
void commit_advance(struct core *core, uint64_t now_ns, const struct sink *sink);
void commit_to(struct core *core, uint64_t lsn, const struct sink *sink);
void commit_tick(struct core *core, uint64_t now_ns, const struct sink *sink);

/* read_answer.c */
void read_tell(const struct read *read, bool ready, const struct sink *sink);
void read_answer(struct core *core, const struct read *read, bool ready, const struct sink *sink);
void reads_fail(struct core *core, const struct sink *sink);

/* lease.c */
uint64_t confirmed_seq(const struct core *core);
/* Until when the leader's lease runs, by its clock; 0: it has none. */
uint64_t reads_lease_end_ns(const struct core *core);

/* reads.c */
void reads_tick(struct core *core, uint64_t now_ns, const struct sink *sink);
void reads_serve(struct core *core, const struct sink *sink);
void receive_confirm(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
void receive_confirm_reply(struct core *core, const struct message *message, const struct sink *sink);
void receive_read_index(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);
void receive_read_index_reply(struct core *core, const struct message *message, uint64_t now_ns,
                              const struct sink *sink);

/* grants.c */
bool grants_run(const struct core *core, uint64_t now_ns);
uint64_t grants_give(struct core *core, const struct read *read);
uint64_t grants_limit(const struct core *core, uint64_t now_ns);
bool grants_read(struct core *core, uint64_t token, uint64_t now_ns, const struct sink *sink);
void grants_ask(struct core *core, uint64_t token, bool lease, uint64_t now_ns, const struct sink *sink);
void grants_take(struct core *core, const struct message *message, uint64_t now_ns);

/* branch.c */
struct branch *own_branch(struct core *core);
bool branch_extend(struct core *core, uint8_t origin, uint32_t incarnation, uint64_t after_seq, uint64_t last_seq);
uint64_t branch_last_place(const struct branch *branch);
void branches_reopen(struct core *core);
void branch_clear(struct core *core, uint8_t origin);
void branch_keep_deposed(struct core *core, const struct sink *sink);
void branch_keep_restored(struct core *core, const struct sink *sink);
void branch_settle(struct core *core, const struct sink *sink);
bool branch_is_holed(const struct core *core);
bool branch_adopted(const struct core *core);
/* Is another producer the only one whose entries are taken as new? */
static inline bool
is_sealed_to(const struct core *core, const struct entry_id *id)
{
    return core->writer != 0 && id->producer != core->writer;
}

/* hand_off.c */
void hand_off_tick(struct core *core, uint64_t now_ns);
void hand_off_restart(struct core *core);
void receive_hand_off(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                      const struct sink *sink);
/* Leader: there is room again for branches that were told of too little. */
void hand_off_resume(struct core *core, uint64_t now_ns, const struct sink *sink);
void receive_hand_off_reply(struct core *core, const struct message *message, uint64_t now_ns);

/* pace.c */
uint32_t pace_rate(struct core *core, uint8_t origin, uint64_t now_ns);
void pace_commit(struct core *core, uint64_t now_ns);
void pace_start(struct core *core);

/* spread.c */
void spread_tick(struct core *core, uint64_t now_ns);
void receive_spread(struct core *core, const struct message *message, const struct sink *sink);
void receive_spread_reply(struct core *core, const struct message *message, uint64_t now_ns);

/* transfer.c */
void transfer_send(struct core *core, uint8_t target, const struct sink *sink);
void transfer_tick(struct core *core, uint64_t now_ns, const struct sink *sink);
uint8_t transfer_best_target(const struct core *core, cairn_node_set among);

/* base.c */
void base_give_up(struct core *core, const struct members *members, const struct sink *sink);
bool base_sane(const struct core_base *base, uint64_t term);
void base_begin(struct core *core, const struct core_base *base, uint64_t now_ns, const struct sink *sink);
void receive_base(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink);

/* lend.c */
void lend_ask(struct core *core, uint64_t now_ns, const struct sink *sink);
void receive_pull(struct core *core, const struct message *message, const struct sink *sink);
void receive_lend(struct core *core, const struct message *message, const struct entry_id *ids, uint64_t now_ns,
                  const struct sink *sink);

/* recovery.c */
void recovery_tick(struct core *core, uint64_t now_ns, const struct sink *sink);
void recovery_check(struct core *core, const struct sink *sink);
void recovery_end(struct core *core, const struct sink *sink);
void receive_recover(struct core *core, const struct message *message, const struct sink *sink);
void receive_recover_reply(struct core *core, const struct message *message, const struct sink *sink);

#endif
