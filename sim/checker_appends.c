/* What must hold when an append is answered: what is acknowledged stands where it is said to, behind all before it. */
#include "sim/checker_answers.h"

#include <assert.h>

#include "node/state.h"
#include "sim/clients.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/ops.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "sim/trunk.h"

/* Acknowledged by all: every voter that has lived since it could hold it does. */
static bool
held_by_all(const struct sim *sim, uint32_t log, uint64_t lsn)
{
    uint8_t leader = sim_leader(sim, log);
    cairn_node_set voters;

    if (leader == CAIRN_NODE_NONE)
        return true;
    voters = core_members(node_log_of(&sim->nodes[leader], log)->core)->voters;
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], log);

        if ((voters >> i & 1) && held != NULL && !core_recovering(held->core) && !sim->nodes[i].disk.damaged &&
            core_last_lsn(held->core) < lsn)
            return false;
    }
    return true;
}

static bool
stands_at(const struct sim *sim, const struct sim_client *client, uint64_t index, uint64_t lsn)
{
    const struct trunk_check *trunk = &sim->trunks[client->log];

    return lsn >= 1 && lsn <= trunk->last && trunk->entries[lsn].client == client->index &&
           trunk->entries[lsn].index == index;
}

static void
note_acked(const struct sim *sim, struct trunk_check *trunk, uint64_t lsn)
{
    uint32_t last = trunk->acked_count - 1;

    trunk->acked_lsn = lsn;
    if (trunk->acked_count > 0 && sim->now_ns - trunk->acked[last % ACKED_KEPT].at_ns < MS)
        return;
    trunk->acked[trunk->acked_count % ACKED_KEPT].at_ns = sim->now_ns;
    trunk->acked[trunk->acked_count++ % ACKED_KEPT].lsn = lsn;
}

/* What a client knew then to be committed; less, where that is not remembered exactly. */
uint64_t
acked_before(const struct trunk_check *trunk, uint64_t at_ns)
{
    for (uint32_t i = trunk->acked_count; i > 0 && i + ACKED_KEPT > trunk->acked_count; i--) {
        if (trunk->acked[(i - 1) % ACKED_KEPT].at_ns <= at_ns)
            return trunk->acked[(i - 1) % ACKED_KEPT].lsn;
    }
    return 0;
}

static void
check_acknowledged(struct sim *sim, struct sim_client *client, uint64_t index, const struct session_result *result)
{
    struct trunk_check *trunk = &sim->trunks[client->log];
    struct op *op = &client->ops[index];

    op->state = OP_ACKED;
    op->ack = (uint8_t)result->result.ack;
    op->on_branch = result->result.on_branch;
    op->lsn = result->result.lsn;
    op->holder = result->result.origin;
    op->holder_incarnation = result->result.incarnation;
    sim->counts.acked++;
    check_level(sim, client->log, client->ack, &result->result);
    if (op->on_branch || op->ack == CAIRN_ACK_LOCAL)
        return;
    /* Where the first copy stood may have been trimmed and forgotten. */
    if (op->lsn == 0 && result->result.repeated)
        op->lsn = op->committed_lsn;
    if (!stands_at(sim, client, index, op->lsn)) {
        sim_violation(sim, "log %s: entry %lu of client %u is acknowledged (%s) at lsn %lu, and is not committed there",
                      sim_log_name(client->log), (unsigned long)index, client->index,
                      cairn_ack_name(result->result.ack), (unsigned long)op->lsn);
        return;
    }
    /* Whoever came to vote since then need not. */
    if (op->ack == CAIRN_ACK_ALL && !(sim->plan.faults & 1u << FAULT_MEMBERS) &&
        !held_by_all(sim, client->log, op->lsn))
        sim_violation(sim, "log %s: lsn %lu is acknowledged by all, and one of them does not hold it",
                      sim_log_name(client->log), (unsigned long)op->lsn);
    /* Linearizable: behind all that was acknowledged before it was asked for. */
    if (op->lsn <= op->floor_lsn)
        sim_violation(sim,
                      "log %s: entry %lu of client %u stands at lsn %lu, before lsn %lu that was acknowledged earlier",
                      sim_log_name(client->log), (unsigned long)index, client->index, (unsigned long)op->lsn,
                      (unsigned long)op->floor_lsn);
    if (op->lsn > trunk->acked_lsn)
        note_acked(sim, trunk, op->lsn);
}

void
check_append_result(struct sim *sim, struct sim_client *client, const struct session_result *result)
{
    uint64_t index = client->first_index + result->index;
    struct op *op = &client->ops[index];

    assert(index < client->given);
    op->error = (uint8_t)result->error;
    if (result->error != CAIRN_OK)
        trace_add(sim, TRACE_CLIENT, result->node, 0, "client %u hears of entry %lu: %s", client->index,
                  (unsigned long)index, cairn_error_name(result->error));
    if (client->log == 0)
        return;
    if (result->error == CAIRN_OK) {
        check_acknowledged(sim, client, index, result);
    } else if (result->error == CAIRN_UNKNOWN) {
        op->state = OP_UNKNOWN;
        sim->counts.unknown++;
    } else {
        op->state = OP_REFUSED;
        sim->counts.refused++;
        if (op->committed_lsn != 0)
            sim_violation(sim, "log %s: entry %lu of client %u is refused (%s), and stands at lsn %lu",
                          sim_log_name(client->log), (unsigned long)index, client->index,
                          cairn_error_name(result->error), (unsigned long)op->committed_lsn);
    }
}
