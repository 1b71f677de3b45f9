/* The inside of a node.
 *
 * Its control thread and its workers (the lcores that poll them) touch it. What crosses between them:
 *
 *   what                     writer    reader
 *   node->snapshot           control   workers    QSBR: replaced whole
 *   worker->commands         control   worker     rte_ring, SPSC
 *   worker->events           worker    control    rte_ring, SPSC
 *   attachment->state        both, one step each: attachment.h
 *   log->status              worker    control    by sequence lock
 *   everything else          who has it, unless said otherwise
 */
#ifndef NODE_STATE_H
#define NODE_STATE_H

#include <stdalign.h>

#include "node/node.h"
#include "node/snapshot.h"
#include "node/worker/introduce.h"
#include "node/worker/rescue.h"
#include "node/worker/worker.h"

/* What all workers of a node have in common, and what its control thread has. */
struct node {
    /* What each turn of each worker looks at, in one cache line that seldom changes. */
    alignas(64) struct snapshot *snapshot; /* QSBR */
    _Atomic bool stopping;                 /* its workers are to settle: see node_stop_begin() */
    struct introduction introduction;
    struct node_config config;
    struct cluster_config cluster; /* as agreed on by now: the control thread's; names that workers know stay */
    char name[CAIRN_NAME_BYTES];
    uint8_t self;
    /* Of this life, from when its logs begin: its number; whether there were lives before; whether it cannot trust its
     * journal. */
    uint32_t incarnation;
    bool recovering, forgotten;
    _Atomic uint64_t catalog_applied_lsn; /* control: its last entry that is in force here */
    uint64_t restored_catalog_lsn;
    /* Of the snapshot: some of them may be logs that recover, none behind them is. The control thread writes it. */
    _Atomic uint32_t recovering_rows;
    struct rescue rescue;
    struct control *control;
    struct device links[CAIRN_NODES_MAX];        /* to each peer, a queue for each worker; or */
    struct device interfaces[CAIRN_WORKERS_MAX]; /* of each worker, to all peers */
    uint8_t workers_count;
    struct worker *workers[CAIRN_WORKERS_MAX]; /* the first has the catalog, and speaks for the node (introduce.h) */
};

#endif
