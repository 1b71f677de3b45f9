/* The steward: changes members and hands leadership over, one change at a time. */
#include "sim/steward.h"

#include "client/client.h"
#include "node/state.h"
#include "sim/channels.h"
#include "sim/load.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

void
steward_leave(struct sim_steward *steward)
{
    if (steward->client != NULL)
        cairn_disconnect(steward->client);
    steward->client = NULL;
    steward->busy = false;
}

bool
steward_ask(struct sim *sim, uint8_t via, uint32_t log, enum cairn_member_op op, uint8_t target)
{
    static const char *const names[] = {"add", "promote", "remove", "transfer to"};
    struct sim_steward *steward = &sim->steward;

    if (steward->busy || via >= sim->plan.nodes || (log > 0 && sim->log_ids[log] == 0))
        return false;
    if (steward->client == NULL || steward->node != via || steward->client->gone) {
        steward_leave(steward);
        steward->client = node_connect(&sim->nodes[via]);
        steward->node = via;
    }
    if (steward->client == NULL)
        return false;
    steward->asked_ns = sim->now_ns;
    steward->busy = cairn_member(steward->client, sim->log_ids[log], op, target, ++steward->token) == CAIRN_OK;
    trace_add(sim, TRACE_CLIENT, via, 0, "steward asks for log %s: %s n%u", sim_log_name(log), names[op], target + 1);
    node_want_poll(&sim->nodes[via], US);
    return steward->busy;
}

/* In peace every node is made a voter of every log again. */
static void
restore_members(struct sim *sim)
{
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        uint8_t leader = sim_leader(sim, log);
        const struct members *members;

        if (leader == CAIRN_NODE_NONE)
            continue;
        members = core_members(node_log_of(&sim->nodes[leader], log)->core);
        for (uint8_t i = 0; i < sim->plan.nodes; i++) {
            if (members->voters >> i & 1)
                continue;
            /* Two votes, and one of them of who has just lost its memory, are none: as of the nemesis, that is not asked. */
            if ((members->learners >> i & 1) && without_memory(sim, log) != 0)
                continue;
            steward_ask(sim, leader, log, members->learners >> i & 1 ? CAIRN_MEMBER_PROMOTE : CAIRN_MEMBER_ADD, i);
            return;
        }
    }
}

void
steward_step(struct sim *sim)
{
    struct sim_steward *steward = &sim->steward;
    struct cairn_result result;

    if (steward->client != NULL && steward->client->gone)
        steward_leave(steward);
    while (steward->client != NULL && cairn_poll(steward->client, &result) > 0) {
        if (result.token != steward->token)
            continue;
        steward->busy = false;
        trace_add(sim, TRACE_CLIENT, steward->node, 0, "steward hears: %s", cairn_error_name(result.error));
    }
    if (steward->busy && sim->now_ns - steward->asked_ns > UNANSWERED_NS &&
        sim->now_ns > node_resumed_ns(&sim->nodes[steward->node]) + UNANSWERED_NS)
        sim_violation(sim, "a change of members at n%u is not answered after %lu ms", steward->node + 1,
                      (unsigned long)((sim->now_ns - steward->asked_ns) / MS));
    if (sim->healing)
        restore_members(sim);
    if (steward->client != NULL)
        node_want_poll(&sim->nodes[steward->node], US);
    sim_plan_happening(sim, MS + random_under(&sim->load, 4 * MS), HAPPEN_STEWARD, 0, 0, 0, 0);
}
