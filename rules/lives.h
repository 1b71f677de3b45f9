/* Whom a node believes. Pure: time and words of peers are passed in, what follows is returned.
 *
 * Nodes introduce themselves by hellos: who the sender is, which life of its this is, and the last life that it knows of
 * every member. A frame counts only once its sender's present life has been introduced:
 *   - the life of a node of another cluster, or of one that is not the member of its seat, never is;
 *   - a life that does not follow from the one that is known here has forgotten something, or is a copy: it is told the
 *     known one, and either confirms that it is of its own chain (identity_confirms()) or goes back to the beginning:
 *   - a node that has forgotten has no number. It asks all for one above all that it hears of; each notes it, durably, before it
 *     says yes; more than half of the other members make it valid. Two that ask at once cannot both get the same number,
 *     since two such majorities have a member in common. That is the promise of a round of Paxos
 *     (Lamport 1998), with the number as the ballot.
 *   - where two lives of one member are heard at the same time, the one that was there first stays, and the other is
 *     refused.
 *
 * Where too few are left to grant anything, an administrator lets the cluster go on from what one node holds
 * (lives_give_up()): the lives of all others end by that, and the word of the one is enough for each to come back, with
 * nothing of what it held.
 *
 * What is known of lives is passed on with every hello, so whoever grants a number also tells what others are known by.
 *
 * A cluster is founded where all members are heard waiting at the same time and one is told to found it (lives_found()):
 * the lives that it heard are the first ones, and only they are born; another process that waits has forgotten.
 *
 * Threads: one at a time. */
#ifndef RULES_LIVES_H
#define RULES_LIVES_H

#include "rules/identity.h"

enum standing {
    STANDING_WAITING,   /* of no cluster yet: for its foundation, or for a member's word */
    STANDING_FORGOTTEN, /* of a cluster: asks for a number */
    STANDING_MEMBER,    /* this life has its number */
    STANDING_LAPSED,    /* had: it has heard what it has forgotten, and must start anew */
    STANDING_REFUSED,   /* another life of this member runs */
    /* Never told: */
    STANDING_LEARNED, /* it knows now what is agreed on, and must start anew by that */
    STANDING_REMOVED, /* it is of the cluster no more */
};

#define AGREED_LSN_UNKNOWN UINT64_MAX

/* On the wire as it is here. */
struct hello {
    struct cairn_id cluster;                  /* not set: the sender knows of none */
    struct cairn_id members[CAIRN_NODES_MAX]; /* that it has, by seat */
    struct cairn_id life;                     /* the sender's */
    struct cairn_id confirmed; /* of what the receiver knows of the sender, this life is in the sender's chain */
    struct cairn_id refused;   /* the life of the receiver that must not run */
    uint64_t fingerprint;      /* agreed_fingerprint() */
    uint64_t agreed_lsn;       /* of the agreed state that this is of; AGREED_LSN_UNKNOWN: the sender is to be taught */
    uint64_t places[CAIRN_WORKERS_MAX];       /* up to there the sender's journals are durable; 0: it has none */
    uint64_t known_places[CAIRN_WORKERS_MAX]; /* and the receiver's, at least, in the life that is known of it */
    uint32_t number;                          /* of the sender's life; 0: it has none */
    uint32_t asked_number;                    /* that it would have; 0: none */
    uint32_t granted_number;                  /* that the receiver asked for and may have, as far as the sender goes */
    uint8_t standing;
    uint8_t introduced; /* the sender believes the receiver's life */
    uint8_t nodes;
    uint8_t recovering;  /* some of the sender's logs do not count yet */
    uint8_t told_worker; /* whose places stand below: one after the other */
    uint8_t reserved[7];
    struct {
        struct cairn_id life;
        uint64_t place;
        uint32_t number;
        uint8_t decided; /* as in struct known_life */
        uint8_t alone;   /* that member needs the sender's word alone */
        uint8_t reserved[2];
    } known[CAIRN_NODES_MAX];
};

_Static_assert(sizeof(struct hello) == 1128 && sizeof(struct hello) <= 1400, "on the wire, in one frame");

/* What is agreed on, for a node that has no logs yet to read it from. On the wire as it is here; beside a hello. */
struct lesson {
    struct cairn_id cluster;
    struct cairn_id members[CAIRN_NODES_MAX];
    struct agreed agreed;
};

_Static_assert(sizeof(struct lesson) <= 1400, "in one frame");

/* What a hello led to: a set. */
enum lives_verdict {
    LIVES_REPLY = 1,        /* it is to be answered at once */
    LIVES_CHANGED = 2,      /* the identity is to be kept anew */
    LIVES_INTRODUCED = 4,   /* the sender's life is believed from now on */
    LIVES_FOREIGN = 8,      /* of another cluster */
    LIVES_STRANGER = 16,    /* not the member that has this seat */
    LIVES_DIFFERS = 32,     /* configured otherwise */
    LIVES_TWICE = 64,       /* two lives of that member run */
    LIVES_FORGOT = 128,     /* this node, or a worker of it, has forgotten something that the sender knows of it */
    LIVES_NUMBERED = 256,   /* this node's life has its number now */
    LIVES_REFUSED = 512,    /* this node must not run */
    LIVES_JOINED = 1024,    /* this node knows its cluster now */
    LIVES_TEACH = 2048,     /* the sender does not know yet what is agreed on: a lesson is to follow */
    LIVES_LEARNED = 4096,   /* this node knows better what is agreed on: it starts anew by that */
    LIVES_REMOVED = 8192,   /* this node is of the cluster no more */
    LIVES_UNSEATED = 16384, /* this node waits, and the sender's cluster has no place for it */
};

struct peer_life {
    uint8_t told_worker;      /* whose places of all members the next hello to it tells: one after the other */
    bool introduced;          /* identity.known is believed to be running */
    bool introduced_to;       /* the peer believes this node's present life */
    bool recovering;          /* some of its logs do not count yet, as it said last */
    cairn_node_set agrees;    /* seats whose last life it knows as this node does, as it said last */
    struct cairn_id confirms; /* what the peer knows of this node, and is so; not set: nothing */
    struct cairn_id waiting;  /* the life that waits there, of no cluster; not set: none */
    uint64_t waiting_ns, waiting_fingerprint; /* when it was heard last; how it is configured */
    struct cairn_id rival;                    /* a life that came while another was heard */
    uint64_t rival_ns;                        /* when it was heard first */
    struct cairn_id refused;
    uint32_t granted_number; /* noted for the peer, and kept once kept_version has come to granted_version */
    uint64_t granted_version;
};

struct lives {
    struct identity identity;
    enum standing standing;
    uint64_t fingerprint;               /* of what is agreed on as far as this node knows, or is configured with */
    uint64_t places[CAIRN_WORKERS_MAX]; /* of its journals, durable; 0: it has none */
    bool recovering;                    /* some of its logs do not count yet */
    uint64_t rival_after_ns;            /* heard side by side for so long, two lives are two */
    uint32_t asked_number;
    cairn_node_set granted_by;
    uint64_t version, kept_version; /* of the identity; what is kept */
    uint64_t life_version; /* what must be kept before anything is said: this life's number, what is agreed on */
    struct peer_life peers[CAIRN_NODES_MAX];
};

/* identity: as it was kept, or as it was made; of a node without any state only life.id, self and agreed are set. */
void lives_init(struct lives *lives, const struct identity *identity, enum standing standing, uint64_t rival_after_ns);

/* What to tell a peer now. */
void lives_tell(const struct lives *lives, uint8_t peer, struct hello *out);

/* A hello of the seat `from` came. heard: the life that was introduced there is still heard now. Returns a set of enum
 * lives_verdict. */
unsigned lives_hear(struct lives *lives, uint8_t from, const struct hello *hello, bool heard, uint64_t now_ns);

/* The seat says what is agreed on by the catalog's entry at the lsn. LIVES_DIFFERS: it cannot be that, and nothing of
 * the seat's is believed until it says otherwise. 0: it may be; one of the two may lag. */
unsigned lives_compare(struct lives *lives, uint8_t from, uint64_t agreed_lsn, uint64_t fingerprint);

/* The catalog has agreed on another state. members: identities, by seat, of those that are present. The caller keeps the
 * identity; nothing is told before that. */
void lives_agree(struct lives *lives, const struct agreed *agreed, const struct cairn_id *members);

/* lives_teach(): what a peer that has no logs yet is to be taught. lives_learn(): this was heard from a peer that has
 * them; returns a set of enum lives_verdict, LIVES_LEARNED with LIVES_CHANGED where it was news. */
void lives_teach(const struct lives *lives, struct lesson *out);
unsigned lives_learn(struct lives *lives, uint8_t from, const struct lesson *lesson);

/* All that changed up to this version is durable. */
void lives_kept(struct lives *lives, uint64_t version);

/* Founds the cluster, if every other first member has been heard waiting, configured alike, within the last fresh_ns.
 * Else *missing: the first that was not (CAIRN_NODE_NONE: this node has state itself), *differs: it is configured
 * otherwise. members: identities for all, drawn by the caller. The caller keeps the identity before it tells anybody. */
bool lives_found(struct lives *lives, const struct cairn_id *cluster, const struct cairn_id *members, uint64_t fresh_ns,
                 uint64_t now_ns, uint8_t *missing, bool *differs);

/* By decision what those members hold counts no more: whoever they are, they come back with nothing of it. drawn: an
 * identity for each seat. alone: the cluster goes on from what this node, a member, holds, and its word is enough for each
 * of them. The caller keeps the identity before anything follows from it. */
void lives_give_up(struct lives *lives, cairn_node_set given_up, const struct cairn_id *drawn, bool alone);

/* How many members, this node among them, are known to know of that seat's last life what this node does. */
uint32_t lives_agreeing(const struct lives *lives, uint8_t seat);

/* May the peer want a hello: has one of the two not introduced the other yet? */
bool lives_unacquainted(const struct lives *lives, uint8_t peer);

#endif
