/* What all nodes of a cluster must have alike, or their quorums and leases mean nothing: who is of it, how long they wait
 * for each other, how much they hold.
 *
 * It begins as the cluster is founded, by what all cluster files say. From then on entries of the catalog change it, one
 * after another, and every node comes from each to the next by agreed_apply(): so whoever is at the same lsn has the same,
 * or is not believed. A cluster file may repeat it, and changes nothing.
 *
 * Pure. */
#ifndef RULES_AGREED_H
#define RULES_AGREED_H

#include <stddef.h>
#include <stdint.h>

#include "cairn/types.h"

#define HEARTBEAT_MIN_NS 10000u
#define HEARTBEATS_IN_TIMEOUT 3u
#define TIMEOUT_MAX_NS 60000000000u
#define CLOCK_BOUND_MIN_NS 100000000u
#define CLOCK_BOUND_MAX_NS 3600000000000u
#define MEMORY_MIB_MIN 64u
#define MEMORY_MIB_MAX (1u << 24)

struct agreed_figures {
    uint64_t heartbeat_ns, timeout_ns;
    uint64_t clock_bound_ns; /* so far wall clocks may be apart */
    uint32_t memory_mib;     /* at each node, at least: so many logs fit */
    uint32_t nodes;          /* seats that were ever given */
};

/* As replication has it. */
#define AGREED_LSN_MAX ((1ull << 56) - 1)

struct agreed {
    uint64_t lsn;    /* of the catalog, whose entry made it so; 0: as it was founded */
    uint32_t number; /* that the cluster file gives the cluster: hellos and links go by it */
    enum cairn_durability durability;
    uint32_t workers;       /* of each node, from the foundation on: where a log is kept goes by it */
    cairn_node_set removed; /* seats whose members are of it no more */
    char names[CAIRN_NODES_MAX][CAIRN_NAME_BYTES]; /* by seat; of those that are removed, too */
    struct agreed_figures now, founded;
};

/* An entry of the catalog about it. What is 0, or "", stays as it is. */
struct agreed_change {
    uint64_t heartbeat_ns, timeout_ns, clock_bound_ns;
    uint32_t memory_mib;
    char add[CAIRN_NAME_BYTES], remove[CAIRN_NAME_BYTES];
    struct cairn_id member; /* of whom is added */
};

enum agreed_refusal {
    AGREED_TAKEN,
    AGREED_NO_TIMING,
    AGREED_NO_BOUND,
    AGREED_NO_MEMORY, /* less than the logs need, or more than any node has */
    AGREED_NO_NAME,
    AGREED_IS_THERE,
    AGREED_NO_SEAT,
    AGREED_NOT_THERE,
    AGREED_LAST,
    AGREED_NOTHING,
    AGREED_REFUSALS,
};

/* The members that are of it. */
cairn_node_set agreed_present(const struct agreed *agreed);

/* A heartbeat or two may be lost without anybody being suspected, and nobody waits for ever. */
bool agreed_timing_makes_sense(uint64_t heartbeat_ns, uint64_t timeout_ns);

/* CAIRN_NODE_NONE: no seat was ever given to that name. */
uint8_t agreed_seat(const struct agreed *agreed, const char *name);

/* As it was before any entry. */
void agreed_as_founded(const struct agreed *agreed, struct agreed *out);

/* Applies an entry of the catalog, with its lsn. logs: how many the worker with the most logs has. An entry is taken or
 * refused as a whole, and every node comes to the same result. *seat: the one that was given or taken; CAIRN_NODE_NONE:
 * none was. */
enum agreed_refusal agreed_apply(struct agreed *agreed, const struct agreed_change *change, uint64_t lsn, uint32_t logs,
                                 uint8_t *seat);

/* For people. */
const char *agreed_refusal_text(enum agreed_refusal refusal);

/* Two states that differ at the same lsn have different fingerprints. */
uint64_t agreed_fingerprint(const struct agreed *agreed);

/* Do its numbers and names make sense? To be asked of what comes from outside. */
bool agreed_plausible(const struct agreed *agreed);

/* How many logs a worker may have, of so much memory that is shared out among the workers: each log needs two segments of
 * 4 MiB, and some are kept back. */
uint32_t agreed_logs_max(uint32_t memory_mib, uint32_t workers, enum cairn_durability durability);
/* The least that is enough for so many at each worker. */
uint32_t agreed_memory_mib(uint32_t logs, uint32_t workers, enum cairn_durability durability);

#endif
