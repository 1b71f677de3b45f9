/* What time it is, as far as the nodes agree on it. Pure: clocks are read elsewhere and passed in.
 *
 * A node reads two clocks: a monotonic one, which nobody sets, and the machine's wall clock, which anybody may. Every
 * heartbeat tells its sender's wall clock, so a node knows by how much each node's is ahead of its own monotonic clock:
 * the node's offset. Where more than half of the nodes have offsets within the bound of each other, these are agreed, and
 * the time is their median. A clock beyond the bound is wrong: a peer's, or this machine's.
 *
 * What a node believes is such an offset, too. It follows what is agreed. Where that is further away than the bound it
 * has jumped, for all of them at once: then the node goes on by its monotonic clock, and believes the jump once it has
 * lasted as long as the bound. Only the first that is agreed after a start is believed at once. Where nothing is agreed
 * it follows this machine's clock within the bound of what it believed, and believes no jump.
 *
 * Entries age by a clock of their own, which is never ahead of the time that is believed, and never runs faster than the
 * monotonic clock: what was written before a jump is no older by it. What was written since is as old as the time says
 * (clocks_old_before_ns()). Nodes learn of each other's jumps by heartbeats, so that
 * one that has slept through does, too. A jump is known by its lag only once it is believed: a node that starts before
 * that believes the later time at once, and the others do not yet. So heartbeats tell what time the sender believes, too:
 * lags count among those that believe the same, and nothing is old while one that is heard believes otherwise.
 *
 * The marking of clocks beyond a bound is that of hybrid logical clocks (Kulkarni et al., OPODIS 2014); agreement of
 * more than half within a bound is how NTP tells truechimers from falsetickers (Marzullo, 1984).
 *
 * Threads: one, the worker's that owns it. */
#ifndef RULES_CLOCKS_H
#define RULES_CLOCKS_H

#include "cairn/types.h"

struct clocks_config {
    uint8_t self, nodes;
    cairn_node_set members; /* whose clocks count; 0: all nodes */
    uint64_t bound_ns;
};

/* What a heartbeat tells of its sender's clocks. */
struct clocks_word {
    uint64_t wall_ns;
    uint64_t believed_ns; /* the time that it believes; 0: nothing has been agreed there since its start */
    uint64_t lag_ns;      /* by how much the clock that entries age by is behind that */
};

struct clocks_peer {
    int64_t offset_ns; /* its wall clock less this node's monotonic one, when it told it */
    int64_t believed_offset_ns;
    bool believes;
    uint64_t lag_ns; /* of the clock that entries age by there */
    uint64_t off_ns; /* beyond the bound since then; 0: within */
};

struct clocks {
    struct clocks_config config;
    int64_t offset_ns;     /* that is believed */
    int64_t age_offset_ns; /* of the clock that entries age by */
    int64_t low_offset_ns; /* the lowest that was believed since it last rose and age_offset_ns did not */
    uint64_t risen_ns;     /* the time just after that; 0: it has not */
    int64_t agreed_offset_ns;
    bool agreed;  /* at the moment */
    bool settled; /* once since the start */
    int64_t jump_offset_ns;
    uint64_t jump_ns; /* what is agreed has been there since then, and is not believed yet; 0: it is */
    uint64_t calm_ns; /* no clock that counts has been in doubt since then; 0: one is */
    cairn_node_set told, wrong;
    struct clocks_peer peers[CAIRN_NODES_MAX]; /* this node's own among them */
};

/* What has changed, for people. */
struct clocks_news {
    int64_t set_ns;              /* this machine's wall clock was set by so much; 0: it was not */
    int64_t believed_ns;         /* a jump by so much is believed now; 0: none */
    cairn_node_set wrong, right; /* whose clock is beyond the bound now, or within it again */
};

/* wall_ns and now_ns, here and below: the wall clock and the monotonic clock, read together. */
void clocks_init(struct clocks *clocks, const struct clocks_config *config, uint64_t wall_ns, uint64_t now_ns);

/* The cluster has agreed on other members, or another bound. */
void clocks_reconfigure(struct clocks *clocks, const struct clocks_config *config);

void clocks_told(struct clocks *clocks, uint8_t peer, const struct clocks_word *word, uint64_t now_ns);
/* A new life of the peer: what was known of its clock is not. */
void clocks_forget(struct clocks *clocks, uint8_t peer);

/* Judges, once an interval. heard: whose heartbeats come, this node's own bit among them. */
struct clocks_news clocks_judge(struct clocks *clocks, cairn_node_set heard, uint64_t wall_ns, uint64_t now_ns);

/* The time that is believed, ns since 1970. */
static inline uint64_t
clocks_time_ns(const struct clocks *clocks, uint64_t now_ns)
{
    return now_ns + (uint64_t)clocks->offset_ns;
}

/* Is a clock further ahead of the time than the bound? */
static inline bool
clocks_is_ahead(const struct clocks *clocks, uint64_t clock_ns, uint64_t now_ns)
{
    uint64_t time_ns = clocks_time_ns(clocks, now_ns);

    return clock_ns > time_ns && clock_ns - time_ns > clocks->config.bound_ns;
}

/* By how much the clock that entries age by is behind the time. */
uint64_t clocks_lag_ns(const struct clocks *clocks);

/* For heartbeats. */
struct clocks_word clocks_word(const struct clocks *clocks, uint64_t now_ns);

/* What is older than age_ns has a clock below what is returned. 0: nobody can tell at the moment. It is known while more
 * than half agree, this node among them, and for as long as the bound no clock that counts was in doubt, and nobody who
 * is heard believed another time. */
uint64_t clocks_old_before_ns(const struct clocks *clocks, uint64_t age_ns, uint64_t now_ns);

#endif
