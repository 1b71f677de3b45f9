/* What must hold in the end: everything comes to rest, nothing that was acknowledged is lost. */
#include "sim/checker_end.h"

#include "node/state.h"
#include "sim/clients.h"
#include "sim/node.h"
#include "sim/ops.h"
#include "sim/scale.h"
#include "sim/sim.h"

static const char *
log_settled(struct sim *sim, uint32_t log)
{
    uint32_t leaders = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], log);

        if (held == NULL)
            return "a node without one of the logs";
        if (core_recovering(held->core))
            return "a node that still recovers";
        if (__builtin_popcount(core_members(held->core)->voters) != (int)sim->plan.nodes)
            return "a node that is not a voter again";
        leaders += core_role(held->core) == ROLE_LEADER;
        if (core_commit_lsn(held->core) != sim->trunks[log].last || core_last_lsn(held->core) != sim->trunks[log].last)
            return "a node that has not all that is committed, or more";
        if (core_branch_pending(held->core) || held->own->entries != 0)
            return "a branch that is not merged";
        if (held->mode != (held->rules.policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_CP))
            return "a mode of times of need";
    }
    return leaders == 1 ? NULL : "no single leader";
}

static bool
clients_quiet(struct sim *sim)
{
    for (uint32_t i = 0; i <= SIM_CLIENTS; i++) {
        const struct sim_client *client = &sim->clients[i];

        if (client->session != NULL && session_in_flight(client->session) > 0)
            return false;
        if (sim->asking_last && i < sim->plan.sessions && !sim->scripted &&
            (!client->last_given || client->ops[client->given - 1].state != OP_ACKED))
            return false;
    }
    return true;
}

const char *
check_settled(struct sim *sim)
{
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        const char *missing = log_settled(sim, log);

        if (missing != NULL)
            return missing;
    }
    return clients_quiet(sim) ? NULL : "a client that waits";
}

/* Did the holder of what was acknowledged at `local` live on? */
static bool
holder_lives(const struct sim *sim, const struct op *op)
{
    if (sim->plan.disk)
        return !sim->nodes[op->holder].disk.damaged;
    return sim->nodes[op->holder].incarnation == op->holder_incarnation;
}

void
check_client_final(struct sim *sim, const struct sim_client *client)
{
    for (uint64_t index = 0; index < client->given && !sim->failed; index++) {
        const struct op *op = &client->ops[index];

        if (op->state == OP_ACKED && op->committed_lsn == 0 &&
            ((!op->on_branch && op->ack > CAIRN_ACK_LOCAL) || holder_lives(sim, op)))
            sim_violation(sim, "log %s: entry %lu of client %u was acknowledged (%s%s) by n%u, and is lost",
                          sim_log_name(client->log), (unsigned long)index, client->index,
                          cairn_ack_name((enum cairn_ack)op->ack), op->on_branch ? ", on the branch" : "",
                          op->holder + 1);
    }
    if (client->last_given && client->ops[client->given - 1].state != OP_ACKED)
        sim_violation(sim, "client %u's append after all faults had ended was not acknowledged: %s", client->index,
                      cairn_error_name((enum cairn_error)client->ops[client->given - 1].error));
}

void
check_final(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_CLIENTS; i++)
        check_client_final(sim, &sim->clients[i]);
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        for (uint8_t i = 1; i < sim->plan.nodes && !sim->failed; i++) {
            if (node_log_of(&sim->nodes[i], log)->digest != node_log_of(&sim->nodes[0], log)->digest)
                sim_violation(sim, "log %s: n1's and n%u's digests differ in the end", sim_log_name(log), i + 1);
        }
    }
}
