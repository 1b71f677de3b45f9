/* What an administrator decides of members whose state counts no more (docs/identity.md):
 *
 *   cairn cluster recover --from NODE   too few are left that know what was promised: the cluster goes on from what one
 *                                       node holds. The lives of all others end by it, durably, before anything else
 *                                       follows; then each log is led from here, this node alone voting.
 *   cairn member replace NODE           the others go on as before; what that node held is never believed again, and
 *                                       whoever starts in its place has forgotten.
 *
 *   field              thread
 *   given_up .. drawn  control writes, before it is RESCUE_ASKED; then the first worker's
 *   alone_from         the first worker writes, all read
 *   state              both: see enum rescue_state
 */
#ifndef NODE_WORKER_RESCUE_H
#define NODE_WORKER_RESCUE_H

#include <stdatomic.h>

#include "rules/identity.h"

#include "cairn/error.h"

struct node;
struct worker;

enum rescue_state {
    RESCUE_NONE,
    RESCUE_ASKED,   /* control sets it */
    RESCUE_KEEPING, /* the first worker: decided, and not durable yet, or not in force in every log */
    RESCUE_DONE,
    RESCUE_REFUSED,
};

struct rescue {
    _Atomic int state; /* enum rescue_state */
    cairn_node_set given_up;
    bool alone;   /* the cluster goes on from this node */
    uint64_t ask; /* control thread: the number that whoever asked for it gave that */
    struct cairn_id drawn[CAIRN_NODES_MAX];
    uint64_t version; /* of the identity that says so */
    /* The version, once it is kept: each worker's logs go on from here alone; 0: they do not. */
    _Atomic uint64_t alone_from;
    /* Refused: CAIRN_RECOVERING: this node has forgotten itself; CAIRN_INVALID: nothing need be given up;
     * CAIRN_NO_QUORUM: too few others are well for one to be replaced. */
    enum cairn_error error;
};

/* Control thread. drawn: an identity for each seat. false: something is asked for already. What became of a former question
 * that nobody waits for any more is forgotten. */
bool rescue_ask(struct node *node, cairn_node_set given_up, bool alone, const struct cairn_id *drawn);

/* The first worker, at each heartbeat. */
void rescue_turn(struct worker *worker);
/* Each worker, then: its logs go on from here, where that was decided. */
void rescue_go_on(struct worker *worker, uint64_t now_ns);

#endif
