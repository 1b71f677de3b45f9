/* How a node comes to take part: its standing among its peers, by hellos (rules/lives.h has the rules).
 *
 * The first worker does it for all of its node: "the worker" is that one here. Until its life has a number a node has no
 * logs, and nothing counts but hellos. The worker hears and tells them; the control thread keeps the identity, durably,
 * whenever it changed, and begins the logs once it has kept a numbered life.
 *
 *   field            writer    reader
 *   lives            worker    worker
 *   phase            both      both       see enum phase
 *   offer            worker    control    while `offered` is set: then the control thread's
 *   kept_version     control   worker
 *   founding         control   worker     while it is FOUNDING_ASKED: then the worker's
 *   believed         worker    workers
 *   shown            worker    any        by sequence lock
 */
#ifndef NODE_WORKER_INTRODUCE_H
#define NODE_WORKER_INTRODUCE_H

#include <stdatomic.h>

#include "dataplane/codec.h"
#include "node/worker_command.h"
#include "replication/core.h"
#include "rules/lives.h"

struct node;
struct worker;

enum phase {
    PHASE_OUTSIDE,   /* no logs: the worker only hears and tells hellos */
    PHASE_INSIDE,    /* control sets it, when the logs are there */
    PHASE_BEGINNING, /* control sets it, before it makes them: the worker does nothing */
    PHASE_ENDED,     /* the worker sets it: this life may not go on */
};

enum founding_state { FOUNDING_NONE, FOUNDING_ASKED, FOUNDING_DONE, FOUNDING_REFUSED };

/* An administrator asks for a new cluster: what the control thread drew for it, and what became of it. */
struct founding {
    _Atomic int state; /* enum founding_state */
    struct cairn_id cluster, members[CAIRN_NODES_MAX];
    uint8_t missing; /* refused: this node was not heard waiting; CAIRN_NODE_NONE: this one is of a cluster */
    bool differs;    /* it was, but is configured otherwise */
};

/* For status. */
struct standing_view {
    enum standing standing;
    bool forgotten, born;
    struct cairn_id cluster, life;
    struct cairn_id members[CAIRN_NODES_MAX];
    struct life lives[CAIRN_NODES_MAX]; /* the last that is known of each, this node's own among them */
    struct agreed agreed;
    uint32_t number, asked_number;
    cairn_node_set granted_by, introduced, waiting;
    cairn_node_set unseating; /* are of a cluster that has no place for this node */
    cairn_node_set
        differing; /* say otherwise at the same lsn of the catalog, or, where there is none, by their cluster files */
    cairn_node_set well; /* in reach, and all of their logs count: this node among them */
};

struct introduction {
    _Atomic int phase; /* enum phase: each turn looks at it */
    struct lives lives;
    _Atomic bool offered;
    struct identity offer;
    uint64_t offer_version, offered_version;
    _Atomic uint64_t kept_version;
    uint64_t kept_agreed_lsn; /* control: a start goes by what was agreed on up to there */
    struct identity begun;    /* control, while the phase is PHASE_BEGINNING: as it was kept last */
    struct founding founding;
    bool told_unkept; /* control */
    uint64_t beats, told_beat[CAIRN_NODES_MAX];
    uint64_t due_beat;                          /* nobody is told anything before */
    uint8_t replies[CAIRN_NODES_MAX];           /* since the last beat */
    uint64_t heard_ns[CAIRN_NODES_MAX];         /* the last frame of the life that was introduced, other than hellos */
    unsigned complained[CAIRN_NODES_MAX];       /* of what an event has been told already: enum lives_verdict */
    _Atomic uint64_t believed[CAIRN_NODES_MAX]; /* of each peer's life, what its frames carry; 0: none is believed */
    _Atomic uint64_t kept_timeout_ns;           /* that was agreed on, as it is kept */
    _Atomic cairn_node_set well;                /* worker writes, any thread reads */
    _Atomic uint32_t sequence;
    struct standing_view shown;
};

/* Before the worker is polled. */
void introduction_init(struct node *node);

/* Is a hello's body of a size that is known? */
bool introduction_is_sized(const struct decoded *decoded);
/* Worker: a hello came in. */
void introduction_hear(struct worker *worker, const struct decoded *decoded, uint64_t now_ns);
/* Worker: a heartbeat says what is agreed on. false: its sender is not believed. */
bool introduction_compare(struct worker *worker, uint8_t from, uint64_t agreed_lsn, uint64_t fingerprint,
                          uint64_t now_ns);
/* Worker: a frame came in of a life that has not been introduced. */
void introduction_stranger(struct worker *worker, uint8_t from, uint64_t now_ns);
/* Worker, at each heartbeat: hellos to those who may want one. */
void introduction_beat(struct worker *worker, uint64_t now_ns);
/* Any worker: the turn of a node that has no logs yet, or whose life has ended. */
void introduction_turn(struct worker *worker, uint64_t now_ns);

static inline enum phase
introduction_phase(const struct introduction *introduction)
{
    return (enum phase)atomic_load_explicit(&introduction->phase, memory_order_acquire);
}

/* Worker, at the first turn with logs. */
void introduction_enter(struct worker *worker);
/* Worker, at each heartbeat: has a node that had forgotten recovered all of its logs? */
void introduction_review(struct worker *worker);

/* Worker: the catalog has agreed on another state. */
void introduction_agree(struct worker *worker, const struct agreed *agreed, const struct cairn_id *members);
/* Any worker: the log takes no part here, in this life and the next ones. */
void introduction_note_stop(struct worker *worker, uint32_t log, enum core_stop stop, uint64_t last_term);
/* Any worker: what stopped it before that decision does so no more. */
void introduction_end_stops(struct worker *worker, uint32_t log, uint64_t decided_term);
/* Worker: another worker of this node said so. */
void introduction_take_note(struct worker *worker, const struct note *note);

/* Worker: as lives_give_up() has it: none of them is believed until it has come back. */
void introduction_give_up(struct worker *worker, cairn_node_set given_up, const struct cairn_id *drawn, bool alone);

/* Any thread. */
void introduction_show(const struct node *node, struct standing_view *out);

#endif
