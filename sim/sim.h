/* The simulator: a cluster of production nodes in one thread and in virtual time.
 *
 * A node here is the node of node/, with its core, modes, codec, stores, clients' channels and
 * net_ring ports, polled as a worker polls it. What is simulated: the time it is polled at, its
 * clocks, and what lies between the rings of two ports. A run follows from its seed alone, bit for
 * bit; the trace's digest proves it.
 *
 *   plan.c      what a seed draws: which faults, how strong, which load; faults.c, random.c
 *   node.c      nodes looked at and driven: clocks, pauses, who leads
 *   life.c      nodes: start, crash, stop; turn.c: their polls; channels.c: clients' channels to them
 *   network.c   links: loss, delay, damage, cuts
 *   disk.c      the nodes' disks, as their workers use them
 *   medium.c    what is on a disk; disk_requests.c: writes that take their time, or are torn; damage.c: rot
 *   shelf.c     what is put aside of what a node keeps
 *   nemesis*.c  faults and operations while a run goes on: of links, nodes, clocks; what is changed
 *   operators.c what people do to the directories of nodes that are down
 *   clients.c   sessions that append; catalog.c, readers.c, steward.c: who else uses the logs
 *   ops.c       what is known of each entry that a client gave; load.c: how much is asked for
 *   checker*.c  what must hold: of the trunk, of appends, reads and answers, of nodes, modes and clocks, in the end
 *   trace.c     what happened, for people
 *   queue.c     what will happen; sim.c: what every part says and plans by
 *   run.c       one run from start to verdict
 *   scenarios*.c  runs with exact steps */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/cairn.h"
#include "control/config.h"
#include "sim/clients.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/plan.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/readers.h"
#include "sim/scale.h"
#include "sim/steward.h"
#include "sim/trace.h"
#include "sim/trunk.h"

struct attachment;
struct cairn_client;
struct rte_mempool;

struct sim_counts {
    uint64_t events, messages, delivered, acked, refused, unknown, reads, partitions, crashes, disk_faults, committed;
    uint64_t power_cuts; /* of all nodes at once */
    uint32_t kinds;      /* set of enum fault_kind that struck */
};

#define SCENE_ANSWERS 64u

struct sim {
    struct plan plan;
    uint64_t now_ns, started_ns;
    struct queue queue;
    struct stream_random network, nemesis, load, disks, operators, floods, clocks, changes;
    struct cluster_config cluster;
    struct sim_node nodes[SIM_NODES];
    struct link_state links[SIM_NODES][SIM_NODES];
    uint32_t worker_cuts[SIM_WORKERS][SIM_NODES][SIM_NODES]; /* of one worker's frames alone, beside links' */
    struct socket_hardware (*sockets)[SIM_NODES][SIM_NODES]; /* by worker, node, peer */
    struct rte_mempool *pool;
    uint8_t *frames; /* bytes of what is on its way */
    uint32_t *frames_free;
    uint32_t frames_free_count;
    struct sim_client clients[SIM_CLIENTS + 1]; /* the last writes the catalog */
    struct sim_reader readers[SIM_READERS];
    struct sim_steward steward;
    struct sim_reader scene_clients[SIM_NODES]; /* of a scenario, by node */
    uint64_t scene_token;
    uint32_t pauses;
    uint64_t clocks_set_ns;                     /* the first time that the nemesis set one; 0: it has not */
    struct cairn_result answers[SCENE_ANSWERS]; /* a ring: to what has not been asked after yet */
    uint32_t answers_count;
    uint8_t *votes[SIM_LOGS + 1][SIM_NODES]; /* by term: whom the node's present life voted for, plus one */
    uint64_t votes_terms[SIM_LOGS + 1][SIM_NODES];
    uint32_t votes_life[SIM_LOGS + 1][SIM_NODES];
    struct cairn_client *attached[256];
    uint32_t attached_count;
    struct attachment *buried[16384]; /* channels of nodes that are no more, for clients that still look */
    uint32_t buried_count;
    struct trunk_check trunks[SIM_LOGS + 1];
    uint32_t log_ids[SIM_LOGS + 1];
    struct trace trace;
    struct sim_counts counts;
    uint64_t given_bytes;
    uint64_t given, asked; /* entries, and what readers asked for */
    bool asking_last;      /* every client appends once more, which must be taken */
    bool healing;          /* no new faults; everything must come to rest */
    bool failed;
    bool contradicted; /* a scenario has made histories contradict each other */
    uint64_t
        decided_term; /* a log is to go on in that term; what ends before is another history, or not all of this one */
    char reason[512];
    bool equal_seeds; /* every node draws the same numbers */
    bool scripted;    /* no nemesis, no clients but those that the scenario runs */
    bool clocks_rise; /* is it checked that no leader's clock is behind the trunk's? checker.c */
};

/* How many workers each node has. */
static inline uint8_t
sim_workers(const struct sim *sim)
{
    return sim->plan.workers == 0 ? 1 : (uint8_t)sim->plan.workers;
}

/* Says what was violated; the first one counts. */
void sim_violation(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *sim_log_name(uint32_t log);
/* In that time from now. */
void sim_plan_happening(struct sim *sim, uint64_t in_ns, enum happening_kind kind, uint8_t node, uint8_t peer,
                        uint32_t index, uint32_t value);

#endif
