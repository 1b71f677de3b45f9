/* Cores in a row with a network of messages between them, in virtual time: a fixture for tests of
 * the core. Payloads are absent; a store is the list of the entries' identities. */
#ifndef TESTS_REPLICATION_CLUSTER_H
#define TESTS_REPLICATION_CLUSTER_H

#include "replication/core.h"
#include "tests/unit/check.h"

#define MAX_NODES 5
#define MAX_ENTRIES 200000
#define MAX_FLYING 8192
#define BATCH 32
#define MS 1000000ull
#define TIMEOUT (10 * MS)

struct stored {
    struct entry_id id;
    uint64_t term, seq;
    uint32_t incarnation;
    uint8_t origin, kind;
};

struct flying {
    struct message message;
    struct entry_id ids[BATCH];
    struct stored entries[BATCH];
    uint64_t due_ns;
};

struct cluster;

struct member {
    struct cluster *cluster;
    struct core *core;
    void *memory;
    struct stored *trunk;  /* index = lsn */
    struct stored *branch; /* in order */
    uint32_t branch_count;
    uint64_t stored_lsn, committed_lsn;
    uint64_t seq_taken;
    const struct flying *event; /* whose batch EFFECT_STORE refers to */
    struct stored *event_entries;
    uint64_t reads_ready, reads_failed, read_lsn, depositions, contradictions;
    uint32_t incarnation;
    bool down;
    bool recovered;
};

struct cluster {
    struct member members[MAX_NODES];
    uint32_t count;
    uint64_t now_ns, random;
    struct flying *flying;
    uint32_t flying_count;
    double loss, duplicates;
    uint64_t delay_max_ns;
    bool cut[MAX_NODES][MAX_NODES]; /* cut[from][to] */
    struct stored *committed;       /* the one trunk all must agree on */
    uint64_t committed_lsn;
    enum cairn_policy policy;
    uint32_t window_entries;
    uint64_t messages;
};

struct cluster *cluster_new(uint32_t count, enum cairn_policy policy, uint64_t seed);
/* So many entries may be on their way to the commit. */
struct cluster *cluster_new_with_window(uint32_t count, enum cairn_policy policy, uint64_t seed,
                                        uint32_t window_entries);
void cluster_free(struct cluster *cluster);
void cluster_run(struct cluster *cluster, uint64_t duration_ns);
/* Runs until there is a leader that a majority follows; fails the test after 100 timeouts. */
struct member *cluster_leader(struct cluster *cluster);
void cluster_cut(struct cluster *cluster, uint32_t node, bool cut);
void cluster_heal(struct cluster *cluster);
/* The node dies and comes back without its memory. */
void cluster_restart(struct cluster *cluster, uint32_t node);
enum cairn_error cluster_append(struct cluster *cluster, struct member *member, uint64_t producer, uint64_t seq,
                                enum cairn_ack ack, struct accepted *out);
/* On the branch, as a node in AP does. */
enum cairn_error cluster_append_branch(struct member *member, uint64_t producer, uint64_t seq, struct accepted *out);
/* How often this producer's entry stands on the committed trunk. */
uint32_t cluster_copies(const struct cluster *cluster, uint64_t producer, uint64_t seq);
/* Applies an effect; the context is the member. */
void cluster_apply(void *context, const struct effect *effect);
uint64_t cluster_random(struct cluster *cluster, uint64_t bound);
uint8_t member_index(const struct member *member);

#endif
