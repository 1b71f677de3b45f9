/* Branches and hand-off: docs/cap.md, replication/branch.c, hand_off.c, election.c (mode switch).
 *
 * Raft is taken as given: the trunk is a committed part, which all agree on, and a leader's tail, of
 * which a change of leaders lets any prefix survive. On top of that, one node (the origin) accepts
 * entries, as leader or alone; is deposed and cut off; hands its branch to whoever leads, over a network
 * that loses, repeats and reorders; and clients repeat entries elsewhere.
 *
 * Safety: no payload is committed twice, and none out of order.
 * Convergence: when nothing can happen any more, everything acknowledged is committed.
 *
 * Each guard that matters can be switched off (-DNO_...): spin then finds an error. */

#define ENTRIES 3  /* accepted by the origin, sequences and payloads 1..ENTRIES */
#define CHANGES 2  /* of leadership */
#define LOSSES 1
#define REPEATS 1  /* of a client, at another leader */
#define ROOM 10    /* of the trunk */

/* A trunk's entry: kind and sequence (of the origin) or payload. */
#define DATA 1   /* by the origin */
#define OTHER 2  /* the same payload, that another node accepted */
#define MARK 3   /* "all of the origin's up to here is on the trunk" */

byte kind[ROOM];
byte what[ROOM];
byte length = 0;     /* of the trunk: committed part and tail */
byte committed = 0;
bool origin_leads = true;
bool cut = false;    /* the origin reaches nobody */
byte changes = 0, losses = 0, repeats = 0;

/* The origin. */
byte accepted = 0;   /* last sequence given */
byte base = 0;       /* settled: its committed mark as it knows it */
byte last = 0;       /* of the branch; 0: empty */
byte held_from = 0;  /* the branch holds sequences in (held_from, last] */
byte sent = 0, marked = 0;

/* A hand-off's batch of one entry, and the answer. */
chan batches = [2] of { byte, byte };
chan answers = [2] of { byte, byte }; /* with the leadership it is from */

bool named = true;   /* entries have a producer: then a repeat can be told */
byte known = 0;      /* the origin's mark in what the branch is trimmed by */
byte i, mark, seq, prev;

#ifdef NO_PRODUCER_CHECK
#define CHECKED false
#else
#define CHECKED named
#endif
#ifdef NO_TERM_CHECK
#define SAME_LEADERSHIP true
#else
#define SAME_LEADERSHIP (prev == changes && !origin_leads)
#endif
#ifdef TRIM_UNCOMMITTED
#define TRIM_LIMIT length
#else
#define TRIM_LIMIT committed
#endif
bool found;

inline mark_of(limit) {
    mark = 0;
    i = 0;
    do
    :: i < limit ->
        if
        :: (kind[i] == DATA || kind[i] == MARK) && what[i] > mark -> mark = what[i]
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline payload_held(limit, payload) {
    found = false;
    i = 0;
    do
    :: i < limit ->
        if
        :: (kind[i] == DATA || kind[i] == OTHER) && what[i] == payload -> found = true
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline put(k, w) {
    assert(length < ROOM);
    kind[length] = k;
    what[length] = w;
    length++
}

/* The leader's side of hand_off.c: one entry, after `before`. */
inline take(before, entry) {
    mark_of(length);
#ifdef NO_CHAIN
    if
    :: true ->
#else
    if
    :: mark >= before ->
#endif
#ifdef NO_MARK_CHECK
        if
        :: true ->
#else
        if
        :: entry > mark ->
#endif
            payload_held(length, entry);
            found = found && CHECKED;
            if
            :: found ->
#ifndef NO_MARK_ENTRY
                put(MARK, entry)
#else
                skip
#endif
            :: else -> put(DATA, entry)
            fi;
            mark_of(length)
        :: else
        fi
    :: else
    fi
}

/* What a deposed leader accepted and did not commit moves to its branch. */
inline keep_deposed() {
    mark_of(committed);
    if
    :: accepted > mark ->
#ifdef DROP_DEPOSED
        if
        :: last == 0 -> held_from = accepted; last = 0
        :: else
        fi
#else
        if
        :: last == 0 -> held_from = mark; base = mark; sent = mark; marked = mark
        :: else
        fi;
        last = accepted
#endif
    :: else
    fi
}

/* The origin learns what is committed, and trims its branch by that. */
inline settle(limit) {
    mark_of(limit);
    if
    :: last != 0 && mark > base ->
        base = mark;
        held_from = (mark > held_from -> mark : held_from);
        if
        :: sent < mark -> sent = mark
        :: else
        fi;
        if
        :: marked < mark -> marked = mark
        :: else
        fi;
        if
        :: mark >= last -> last = 0; held_from = 0; base = 0; sent = 0; marked = 0
        :: else
        fi
    :: else
    fi
}

active proctype system() {
    if
    :: named = true
    :: named = false
    fi;
    do
    /* A client's append at the origin: trunk where it leads, branch where it is cut off. */
    :: atomic { accepted < ENTRIES && origin_leads && last == 0 ->
        accepted++; put(DATA, accepted) }
    :: atomic { accepted < ENTRIES && !origin_leads && cut ->
        accepted++;
        if
        :: last == 0 ->
            mark_of(committed);
            held_from = accepted - 1; base = mark; sent = mark; marked = mark
        :: else
        fi;
        last = accepted }

    /* The first of the tail is committed. */
    :: atomic { committed < length ->
        payload_held(committed, what[committed]);
        assert(!(found && kind[committed] != MARK));   /* once */
        mark_of(committed);
        assert(kind[committed] != DATA || what[committed] > mark); /* in order */
        committed++; found = false;
        mark_of(TRIM_LIMIT); known = mark }

    /* The leader changes: some of the tail survives through a follower. */
    :: atomic { changes < CHANGES && origin_leads ->
        changes++; cut = true;
        keep_deposed();
        origin_leads = false;
        do
        :: length > committed -> length--; kind[length] = 0; what[length] = 0
        :: break
        od }
    :: atomic { changes < CHANGES && !origin_leads ->
        changes++;
        do
        :: length > committed -> length--; kind[length] = 0; what[length] = 0
        :: break
        od;
#ifndef NO_RETURN
        sent = base; marked = base;
#endif
        if
        :: !cut -> origin_leads = true
        :: true
        fi }
    :: atomic { cut -> cut = false
#ifndef NO_RETURN
        ; sent = base; marked = base
#endif
       }

    /* A client repeats at the leader what the origin has accepted. */
    :: atomic { repeats < REPEATS && named && !origin_leads && accepted > 0 ->
        repeats++;
        payload_held(length, accepted);
        /* A producer's sequences are dense: it repeats the next that the trunk lacks. */
        seq = accepted;
        if
        :: found -> skip
        :: else ->
            payload_held(length, accepted - 1);
            if
            :: found || accepted == 1 -> put(OTHER, accepted)
            :: else
            fi
        fi;
        found = false; seq = 0 }

    /* Hand-off: the next entry of the branch, to another or to itself. */
    :: atomic { last != 0 && !cut && !origin_leads && sent < last && nfull(batches) ->
        seq = (sent < held_from -> held_from : sent);
        batches ! sent, seq + 1;
        sent = seq + 1; seq = 0 }
    :: atomic { last != 0 && origin_leads && sent < last ->
        seq = (sent < held_from -> held_from : sent);
        take(sent, seq + 1);
        sent = seq + 1; marked = mark; seq = 0 }
    :: atomic { !origin_leads && nempty(batches) ->
        batches ? prev, seq;
        take(prev, seq);
        if
        :: nfull(answers) && !cut -> answers ! mark, changes
        :: else
        fi;
        mark_of(TRIM_LIMIT); known = mark; prev = 0; seq = 0 }
    :: atomic { nempty(answers) ->
        answers ? seq, prev;
        if
        :: last != 0 && seq > marked && seq <= last && SAME_LEADERSHIP ->
            marked = seq;
            if
            :: marked > sent -> sent = marked
            :: else
            fi
        :: else
        fi;
        prev = 0; seq = 0 }

    /* Whom it was for leads no more. */
    :: atomic { origin_leads && nempty(batches) -> batches ? prev, seq; prev = 0; seq = 0 }

    /* The network. */
    :: atomic { losses < LOSSES && nempty(batches) -> batches ? prev, seq; losses++; prev = 0; seq = 0 }
    :: atomic { losses < LOSSES && nempty(answers) -> answers ? seq, prev; losses++; prev = 0; seq = 0 }
    :: atomic { losses < LOSSES && len(batches) == 1 ->
        batches ? <prev, seq>; losses++; batches ! prev, seq; prev = 0; seq = 0 }

#ifndef NO_RETURN
    /* Nothing has moved for a while: back to what is known to be committed. */
    :: atomic { last != 0 && !cut && !origin_leads && sent >= last && empty(batches) && empty(answers) &&
                committed == length && known <= base ->
        sent = base; marked = base }
#endif

    /* The origin learns how far the trunk is committed. */
    :: atomic { last != 0 && !cut && known > base -> settle(TRIM_LIMIT) }

    /* All is done. */
    :: atomic { last == 0 && !cut && committed == length && empty(batches) && empty(answers) -> break }
    od;

    /* What was acknowledged is on the trunk, each of it. */
    atomic {
        do
        :: committed < length -> committed++
        :: else -> break
        od;
        seq = 1;
        do
        :: seq <= accepted -> payload_held(committed, seq); assert(found); seq++
        :: else -> break
        od
    }
}
