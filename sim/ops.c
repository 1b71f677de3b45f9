/* The record of what each client gave, which grows. */
#include "sim/ops.h"

#include <stdlib.h>

#include "sim/clients.h"
#include "sim/sim.h"
#include "sim/trunk.h"

struct op *
client_new_op(struct sim_client *client)
{
    if (client->given == client->capacity) {
        client->capacity = client->capacity == 0 ? 1024 : 2 * client->capacity;
        client->ops = realloc(client->ops, client->capacity * sizeof(*client->ops));
    }
    client->ops[client->given] = (struct op){
        .given_ns = client->sim->now_ns,
        .floor_lsn = client->sim->trunks[client->log].acked_lsn,
        .state = OP_GIVEN,
    };
    return &client->ops[client->given];
}
