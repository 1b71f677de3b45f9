/* Who is in reach: the failure detector and the connectivity matrix. Pure: time is passed in.
 *
 * Every node sends every other a heartbeat each interval; a peer unheard for timeout_ns is
 * suspected, and counts again only after rejoin_beats heartbeats in a row. Each heartbeat tells whom its sender hears:
 * the rows of the matrix.
 *
 * So that a flapping link does not flap the mode, a peer that is suspected again before it has been calm is held back:
 * the first time by two timeouts, then twice as long each time, up to hold_max_ns; only if its heartbeats have come for
 * that long in a row does it count again (as routes are damped, RFC 2439). It is calm after 2 hold_max_ns. However a link
 * flaps, it costs at most log2(hold_max_ns / timeout_ns) changes at once, and from then on one every hold_max_ns.
 *
 * Suspicion learns what the machines can keep, and what is learned only lengthens it: timeout_ns, which all nodes agree on,
 * is the least, ceiling_ns the most. A node measures its own stalls, the time from when it wanted to run until it did
 * (stalls.h), and tells its peers the longest; of each peer it measures how late its heartbeats come, its own stalls not
 * counted (lateness.h). A peer is waited for by the longest of timeout_ns; twice the longest stall, the node's or the
 * peer's, and two intervals; twice what 999 of 1,000 heartbeats kept within, and two intervals. How long a peer was out of
 * reach says nothing of lateness: a cut is noticed as soon after a hundred others as after none.
 *
 * A peer whose heartbeats come late by a quarter of timeout_ns on average, and which still counts, is slow.
 *
 * A node that was itself paused (its own ticks far apart) first drains what has arrived and then
 * judges: its own silence is not its peers'.
 *
 * Threads: one, the worker's that owns it. */
#ifndef RULES_DETECTOR_H
#define RULES_DETECTOR_H

#include "cairn/types.h"
#include "rules/lateness.h"
#include "rules/stalls.h"

struct detector_config {
    uint8_t self;
    uint8_t nodes;
    uint8_t rejoin_beats;
    uint64_t interval_ns, timeout_ns;
    uint64_t hold_max_ns; /* 0: nobody is held back */
    uint64_t ceiling_ns;  /* timeout_ns: nothing is learned */
};

struct detector_peer {
    uint64_t heard_ns; /* at the latest; 0: never */
    uint64_t read_ns;  /* its last heartbeat was */
    uint32_t incarnation;
    cairn_node_set hears;
    struct lateness lateness;
    uint64_t pace_ns;    /* the next heartbeat was to come so long after the last */
    uint64_t late_ns;    /* 999 of 1,000 came no later; 0: too little is known */
    uint64_t stall_ns;   /* its longest, as it says */
    uint64_t wait_ns;    /* the timeout in force */
    uint64_t timeout_ns; /* the same, less what its pace takes of it: see detector_observe() */
    uint64_t back_ns;    /* the first of the beats in a row */
    uint64_t alive_ns;   /* it has counted since */
    uint64_t hold_ns;    /* so long must its beats have come before it counts again */
    uint8_t beats;       /* in a row since it was last unheard */
    uint8_t flaps;       /* in a row: suspected again before it was calm */
    bool alive, slow;
};

enum detector_reason { DETECTOR_AGREED, DETECTOR_OWN_STALLS, DETECTOR_PEER_STALLS, DETECTOR_PEER_LATE };
struct detector_patience {
    uint64_t wait_ns, cause_ns; /* of so long a stall, or lateness */
    enum detector_reason reason;
    uint8_t peer;
};

struct detector {
    struct detector_config config;
    struct detector_patience patience; /* the longest of all peers */
    struct detector_peer peers[CAIRN_NODES_MAX];
    struct stalls stalls;
    uint64_t ticked_ns;
    uint64_t stalled_ns; /* in all */
    uint64_t due_ns;     /* the next tick is wanted then; 0: whenever */
    uint64_t unread_ns;  /* what arrived while this node was late by so much is not all read yet */
    uint64_t stale;      /* heartbeats of a former life, dropped */
};

enum detector_verdict {
    DETECTOR_SAME = 0,
    DETECTOR_HEARD = 1,     /* the peer counts (again) */
    DETECTOR_RESTARTED = 2, /* a new life of the peer: its memory is gone */
    DETECTOR_STALE = 4,     /* from a former life: to be ignored altogether */
};

void detector_init(struct detector *detector, const struct detector_config *config, uint64_t now_ns);

/* The cluster has agreed on other timing, or more nodes. Peers in gone are waited for no more. */
void detector_reconfigure(struct detector *detector, const struct detector_config *config, cairn_node_set gone);

/* Any frame of a peer shows its life. DETECTOR_STALE: drop the frame. */
enum detector_verdict detector_incarnation(struct detector *detector, uint8_t peer, uint32_t incarnation);

/* What a heartbeat says. */
struct detector_beat {
    uint32_t incarnation;
    cairn_node_set hears; /* whom its sender hears */
    uint64_t pace_ns;     /* when the sender, which may be resting, will send the next */
    uint64_t stall_ns;    /* the sender's longest */
};

/* A heartbeat came in. Returns a set of verdicts.
 *
 * A cut is seen at most one pace plus the peer's timeout later. So that this stays within
 * timeout_ns + interval_ns, a peer that beats more slowly is waited for less. */
unsigned detector_observe(struct detector *detector, uint8_t peer, const struct detector_beat *beat, uint64_t now_ns);

/* The slowest pace that a resting node may beat at: a third of the timeout, never faster than the
 * interval. */
uint64_t detector_rest_pace_ns(const struct detector *detector);

/* Judges. drained: nothing that arrived before now is still unread. Returns who is newly suspected. */
cairn_node_set detector_tick(struct detector *detector, uint64_t now_ns, bool drained);

/* The next tick is wanted then: how much later it comes is this node's stall. */
void detector_expect(struct detector *detector, uint64_t due_ns);

/* A clock that stands still while this node stalls: what took long by it took long itself. It steps back where the next tick
 * comes to be wanted before what was read as the time already: a turn that lasted longer than it may. */
uint64_t detector_awake_ns(const struct detector *detector, uint64_t now_ns);
/* How much of it has passed since it was that; 0 also where it has stepped back. */
uint64_t detector_awake_since_ns(const struct detector *detector, uint64_t awake_ns, uint64_t now_ns);

/* This node's longest stall, for its heartbeats. */
uint64_t detector_stall_ns(const struct detector *detector);

/* The longest timeout in force of any peer, and why it is not the agreed one. */
void detector_patience(const struct detector *detector, struct detector_patience *out);

/* Whom this node hears, itself included. */
cairn_node_set detector_hears(const struct detector *detector);

/* Who hears this node and is heard by it, itself included. */
cairn_node_set detector_reach(const struct detector *detector);

/* Who is heard, but late. */
cairn_node_set detector_slow(const struct detector *detector);

/* When the next suspicion could fall due, if nothing more is heard. */
uint64_t detector_deadline_ns(const struct detector *detector);

#endif
