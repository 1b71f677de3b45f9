/* Errors are values: one enum, one table of text. */
#ifndef CAIRN_ERROR_H
#define CAIRN_ERROR_H

/* Outcomes of an append fall into three groups that are never mixed up: CAIRN_OK (acknowledged),
 * CAIRN_UNKNOWN (it may yet appear; repeating it with the same producer sequence tells), and all
 * the others (refused: certainly not appended). */
enum cairn_error {
    CAIRN_OK = 0,
    CAIRN_AGAIN,            /* no room at the moment; call again after polling */
    CAIRN_UNKNOWN,          /* outcome not known: it may yet happen */
    CAIRN_NO_QUORUM,        /* the level asked for needs more nodes than are in reach */
    CAIRN_DENIED,           /* the log's policy denies this while the node is cut off */
    CAIRN_NO_LEADER,        /* a majority is in reach, a leader is being elected */
    CAIRN_NOT_LEADER,       /* another node leads; the answer names it */
    CAIRN_RECOVERING,       /* the node has restarted and is still catching up */
    CAIRN_OUT_OF_ORDER,     /* an earlier sequence of this producer is missing */
    CAIRN_PRODUCER_EVICTED, /* the producer is no longer remembered, so a repeat cannot be told */
    CAIRN_FULL,             /* the log's memory is used up */
    CAIRN_TOO_LARGE,        /* the entry exceeds the limit */
    CAIRN_CORRUPT,          /* a checksum or a length does not match */
    CAIRN_NO_LOG,           /* no log of that name or number */
    CAIRN_TIMEOUT,          /* no answer within the deadline */
    CAIRN_CLOSED,           /* the node went away */
    CAIRN_BEHIND,           /* the node has to catch up first */
    CAIRN_FENCED,           /* a newer holder of this producer's id has taken over */
    CAIRN_TRIMMED,          /* what was asked for is older than what the log still has */
    CAIRN_INVALID,          /* a value out of its range */
    CAIRN_NO_MEMORY,
    CAIRN_IO,          /* the operating system refused; the detail says what */
    CAIRN_NO_SPACE,    /* the node's disk has no space left for its journal */
    CAIRN_DISK_FAILED, /* a write of the node's journal failed: it acknowledges nothing any more */
    CAIRN_UNREADABLE,  /* the node's disk does not give back what was written: another node may */
    CAIRN_NOT_MEMBER, /* the node is no member of the log, and has nothing of it to give; the answer names one that is */
    CAIRN_MISMATCH,   /* the producer's sequence is that of another entry: this one is not appended */
    CAIRN_STOPPED,    /* replicas of the log contradict each other: it stands still until an administrator decides */
    CAIRN_FORBIDDEN,  /* it is not this client's to ask: the detail says whose */
    CAIRN_SEALED,     /* the log takes no new entries, or only those of whoever copies it */
    CAIRN_ERRORS,
};

/* A short sentence for people, without a final full stop. Never NULL. */
const char *cairn_error_text(enum cairn_error error);

/* The word that JSON rows carry, e.g. "no_quorum". Never NULL. */
const char *cairn_error_name(enum cairn_error error);

#endif
