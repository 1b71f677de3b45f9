/* Nodes that restart without their memory: docs/cap.md, replication/recovery.c.
 *
 * Three nodes, elections as in Raft, one entry that a leader tries to have a majority hold; any one node
 * at a time may crash and come back empty. What recovery has to keep: an entry that was committed with
 * the help of a node's lost memory is in every later leader's trunk, and no term has two leaders.
 *
 * Votes are counted later than they are given; answers to a recovering node are given one by one, at
 * different times. Each guard that matters can be switched off (-D...): spin then finds an error. */

#define N 3
#define TERMS 3
#define CRASHES 2
#define NONE 9

byte term[N];
byte voted[N];      /* in term; NONE */
bool holds[N];      /* the entry */
byte held_term[N];  /* of the last entry: which leader it came from */
bool leads[N];
bool recovering[N];
byte votes[N];      /* set of who has voted for it in its term, as counted */
byte given[N];      /* set of whose vote for it is on its way */
byte answered[N];   /* recovering: set of who has answered */
byte best_term[N];  /* recovering: highest term answered */
bool best_leads[N]; /* and whether that came from its leader */
bool best_holds[N];
byte leader_of[TERMS + 1];
byte holders = 0;   /* set of who has acknowledged the entry to the leader that appended it */
byte appended_term = 0;
bool committed = false;
byte crashes = 0;
byte a, b;

#ifdef VOTE_WHILE_RECOVERING
#define MAY_VOTE(n) true
#else
#define MAY_VOTE(n) (!recovering[n])
#endif
#ifdef COUNT_WHILE_RECOVERING
#define COUNTS(n) true
#else
#define COUNTS(n) (!recovering[n])
#endif
#ifdef ONE_ANSWER
#define ENOUGH(set) ((set) != 0)
#else
#define ENOUGH(set) MAJORITY(set)
#endif
#ifdef ANY_ANSWER
#define BETTER(a, b) (leads[b])
#else
#define BETTER(a, b) (term[b] > best_term[a] || (term[b] == best_term[a] && leads[b]))
#endif
#ifdef RESTART_FORGETS
#define RECOVERS false
#else
#define RECOVERS true
#endif

#define BIT(n) (1 << (n))
#define MAJORITY(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1) >= 2)

inline become_leader(n) {
    leads[n] = true;
    assert(leader_of[term[n]] == NONE || leader_of[term[n]] == n);
    leader_of[term[n]] = n;
    assert(!committed || term[n] < appended_term || holds[n])
}

inline step_down(n, t) {
    term[n] = t;
    voted[n] = NONE;
    leads[n] = false;
    votes[n] = 0;
    given[n] = 0
}

inline pick(n) {
    if
    :: n = 0
    :: n = 1
    :: n = 2
    fi
}

active proctype cluster() {
    atomic {
        a = 0;
        do
        :: a < N -> voted[a] = NONE; a++
        :: else -> break
        od;
        a = 0;
        do
        :: a <= TERMS -> leader_of[a] = NONE; a++
        :: else -> break
        od;
        a = 0
    }
end:
    do
    /* A node campaigns: pre-vote, which promises nothing, is left out. */
    :: atomic { pick(a);
        if
        :: !recovering[a] && !leads[a] && term[a] < TERMS ->
            step_down(a, term[a] + 1); voted[a] = a; votes[a] = BIT(a)
        :: else
        fi; a = 0 }

    /* b gives its vote to a (Raft 5.2, 5.4.1). */
    :: atomic { pick(a); pick(b);
        if
        :: a != b && votes[a] != 0 && !leads[a] && term[a] >= term[b] && MAY_VOTE(b) ->
            if
            :: term[a] > term[b] -> step_down(b, term[a])
            :: else
            fi;
            if
            :: (voted[b] == NONE || voted[b] == a) && !leads[b] && (held_term[a] > held_term[b] || (held_term[a] == held_term[b] && holds[a] >= holds[b])) ->
                voted[b] = a; given[a] = given[a] | BIT(b)
            :: else
            fi
        :: else
        fi; a = 0; b = 0 }

    /* Votes arrive, late perhaps. */
    :: atomic { pick(a); pick(b);
        if
        :: (given[a] & BIT(b)) && !leads[a] && votes[a] != 0 ->
            votes[a] = votes[a] | BIT(b); given[a] = given[a] & (7 - BIT(b));
            if
            :: MAJORITY(votes[a]) -> become_leader(a)
            :: else
            fi
        :: else
        fi; a = 0; b = 0 }

    /* The entry is appended by the first leader that likes to. */
    :: atomic { pick(a);
        if
        :: leads[a] && appended_term == 0 ->
            appended_term = term[a]; holds[a] = true; held_term[a] = term[a]; holders = BIT(a)
        :: else
        fi; a = 0 }

    /* b follows leader a: its trunk becomes a's; where a is the one that appended, it is counted. */
    :: atomic { pick(a); pick(b);
        if
        :: a != b && leads[a] && term[a] >= term[b] ->
            if
            :: term[a] > term[b] -> step_down(b, term[a])
            :: else
            fi;
            holds[b] = holds[a]; held_term[b] = held_term[a];
            if
            :: holds[a] && term[a] == appended_term && COUNTS(b) -> holders = holders | BIT(b);
                if
                :: MAJORITY(holders) -> committed = true
                :: else
                fi
            :: else
            fi;
            /* Recovered once it holds what the leader of the highest term held when it answered. */
            if
            :: recovering[b] && best_leads[b] && term[a] >= best_term[b] && (holds[b] || !best_holds[b]) && ENOUGH(answered[b]) ->
                  recovering[b] = false; voted[b] = a; answered[b] = 0; best_term[b] = 0; best_leads[b] = false;
                  best_holds[b] = false
            :: else
            fi
        :: else
        fi; a = 0; b = 0 }

    /* b answers a, which recovers. */
    :: atomic { pick(a); pick(b);
        if
        :: a != b && recovering[a] && !recovering[b] ->
            if
            :: BETTER(a, b) ->
                best_term[a] = term[b]; best_leads[a] = leads[b]; best_holds[a] = holds[b]
            :: else
            fi;
            answered[a] = answered[a] | BIT(b)
        :: else
        fi; a = 0; b = 0 }

    /* A node loses its memory; one at a time. Its votes that are on their way still arrive. */
    :: atomic { crashes < CRASHES && !recovering[0] && !recovering[1] && !recovering[2] ->
        pick(a);
        crashes++;
        term[a] = 0; voted[a] = NONE; holds[a] = false; held_term[a] = 0; leads[a] = false;
        votes[a] = 0; given[a] = 0; answered[a] = 0; best_term[a] = 0; best_leads[a] = false; best_holds[a] = false;
        recovering[a] = RECOVERS;
        a = 0 }
    od
}
