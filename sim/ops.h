/* What is known of each entry that a client gave. */
#ifndef SIM_OPS_H
#define SIM_OPS_H

#include <stdint.h>

struct sim_client;

enum op_state { OP_NONE, OP_GIVEN, OP_ACKED, OP_REFUSED, OP_UNKNOWN };

struct op {
    uint64_t given_ns, floor_lsn; /* what was acknowledged before it was given */
    uint64_t lsn;                 /* of what was acknowledged, 0: branch */
    uint64_t committed_lsn;
    uint32_t holder_incarnation;
    uint8_t state, ack, error, holder, on_branch;
};

/* Room for what the client gives next, with what it knows now; it counts once `given` does. */
struct op *client_new_op(struct sim_client *client);

#endif
