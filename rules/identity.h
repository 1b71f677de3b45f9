/* Who a node is: what it keeps of itself, of its cluster and of its peers' lives (docs/identity.md).
 *
 * A cluster, each of its members and each life of a member (from a start to its end) has an identity of 128 random bits.
 * Lives are numbered too: the number orders them, and everything that a node ever numbers carries it. It never falls
 * and is never given twice, since it is either
 *   continued: an intact journal names the life before, whose number plus one this is; or
 *   granted: a majority of the others knows of no higher one, and has noted this one.
 * Lives that continue each other form a chain. It begins with the cluster, or with a life whose number was granted.
 *
 * Pure data and its rules; identity_file.h keeps it, lives.h compares it with what peers say. */
#ifndef RULES_IDENTITY_H
#define RULES_IDENTITY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cairn/id.h"
#include "rules/agreed.h"

/* A life's number has 24 bits in a place on a branch. */
#define LIFE_NUMBER_MAX ((1u << 24) - 1)
/* Lives that a chain remembers: a peer that saw none of the last so many has seen too little to tell a copy. */
#define CHAIN_MAX 64u

struct life {
    struct cairn_id id;
    uint32_t number; /* 0: none yet, or nothing is known */
};

/* One life of a chain. */
#define PLACE_UNKNOWN UINT64_MAX
struct link {
    struct life life;
    /* Of each worker's journal: where it went on behind the life before; PLACE_UNKNOWN: it never got so far. */
    uint64_t began_places[CAIRN_WORKERS_MAX];
};

/* The last life that is known of a member. */
struct known_life {
    struct life life;
    uint64_t places[CAIRN_WORKERS_MAX]; /* each worker's journal was durable up to there, at least */
    bool decided; /* nobody lives it: an administrator let the cluster go on without what the member held */
};

/* A log that takes no part here until an administrator has decided. */
#define STOPS_MAX 64u
/* As replication has them: of a file that says more the rest means nothing. */
#define STOP_KIND_MAX 2u
#define STOP_TERM_MAX ((1ull << 48) - 1)
#define STOP_EVERY_LOG UINT32_MAX /* more stopped than there is room for */
struct stop {
    uint32_t log;
    uint32_t kind;      /* enum core_stop */
    uint64_t last_term; /* of its trunk as it stopped: a decision for a later term is about this stop */
};

struct identity {
    struct cairn_id cluster; /* not set: none is known */
    struct cairn_id members[CAIRN_NODES_MAX];
    struct agreed agreed;
    bool
        doubts_agreed; /* whoever goes on by a decision is to say what is agreed on, before anything else is believed */
    uint64_t promised_ns; /* the longest that leases may still rest on, where less was agreed on lately; 0: no more */
    uint8_t self;
    bool forgotten;   /* it promised what it does not know any more, and has not yet recovered from the others */
    bool born;        /* this life is the first: nothing was promised before it */
    bool begun;       /* and may have promised something by now */
    struct life life; /* this one */
    /* For each worker, lives below need not be in the chain: the one that begins it has recovered from them. The first
     * worker's is the node's. */
    uint32_t settled_numbers[CAIRN_WORKERS_MAX];
    uint32_t forgetful_workers; /* whose journals are not those of the lives before, though the first one's is: a set */
    struct link chain[CHAIN_MAX]; /* the last CHAIN_MAX lives, this one at the end */
    uint32_t chain_count;
    struct known_life known[CAIRN_NODES_MAX]; /* of each member; its own is not used */
    /* An administrator let the cluster go on from what this node holds: whoever has not come back since needs its word
     * alone. */
    cairn_node_set alone_for;
    uint32_t obeyed_number; /* the last decision that went on without what this node held */
    bool discard;           /* and its journal has not been set aside yet */
    struct stop stops[STOPS_MAX];
    uint32_t stops_count;
};

/* What a frame carries of both: 32 bits, not 0. */
uint32_t identity_tag(const struct cairn_id *cluster, const struct cairn_id *life);

/* Has each seat that is present an identity, and none that was removed? */
bool identity_members_fit(const struct agreed *agreed, const struct cairn_id *members);

/* The members of a new cluster, each in its first life: lives, one by seat, are those of nodes without any state. */
void identity_found(struct identity *identity, const struct cairn_id *cluster, const struct cairn_id *members,
                    const struct cairn_id *lives, const struct agreed *agreed, uint8_t self);
/* The life that follows the last one of an intact journal. false: there are no more numbers. */
bool identity_continue(struct identity *identity, const struct cairn_id *life);
/* A life that cannot be continued: nothing counts until `life` has been granted a number. */
void identity_forget(struct identity *identity, const struct cairn_id *life);
/* That number: a chain begins. */
void identity_number(struct identity *identity, uint32_t number);
/* This life goes on in that worker's journal from there, and so would have those before it that ended before they began. */
void identity_begin(struct identity *identity, uint8_t worker, uint64_t place);
/* What those workers hold is not what lives before this one promised. The first is not among them: then all is forgotten. */
void identity_forget_workers(struct identity *identity, uint32_t workers);
/* What those members hold counts no more. drawn: an identity for each seat, of the life that nobody lives. alone: the
 * cluster goes on from what this node holds. */
void identity_give_up(struct identity *identity, cairn_node_set given_up, const struct cairn_id *drawn, bool alone);
/* The log takes no part from now on; kind: enum core_stop. false: that was known. */
bool identity_stop(struct identity *identity, uint32_t log, uint32_t kind, uint64_t last_term);
/* An administrator has decided about that log alone, for that term: the stops before it are over. false: there were none. Where
 * more were stopped than there was room for, a decision about all logs is needed. */
bool identity_end_stops(struct identity *identity, uint32_t log, uint64_t decided_term);
/* Is the log stopped by something that the decision for that term was not about? */
bool identity_stopped_since(const struct identity *identity, uint32_t log, uint64_t decided_term);
/* What stopped it: the gravest of all, of its kind and of the latest term. kind 0: it takes part. */
struct stop identity_stopped(const struct identity *identity, uint32_t log);
/* A decision that this node has not heard of, and which goes on without what it holds? Then it is noted. */
bool identity_obey(struct identity *identity, const struct known_life *known);
/* Which workers' journals had come further in that life of this node's own than this node knows: a set. WORKERS_ALL: of that
 * life it knows nothing. */
#define WORKERS_ALL ((1u << CAIRN_WORKERS_MAX) - 1)
uint32_t identity_doubts(const struct identity *identity, const struct known_life *known);
/* Of the same life more is known: its journals had come that far, too. */
void known_life_further(struct known_life *known, const struct known_life *told);
/* Does this node know of that life of its own, and that its first worker's journal had come no further then? */
bool identity_confirms(const struct identity *identity, const struct known_life *known);

#endif
