#include "sim/decisions.h"

#include <string.h>

#include "node/state.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "sim/scene.h"
#include "sim/steward.h"

bool
takes_part(const struct sim *sim, uint8_t node)
{
    return node_is_up(&sim->nodes[node]) && node_log_of(&sim->nodes[node], LOG) != NULL &&
           !takes_no_part(sim, node, LOG) && !takes_no_part(sim, node, 0);
}

void
lose_disk(struct sim *sim, uint8_t node)
{
    disk_wipe(&sim->nodes[node]);
    sim->nodes[node].disk.damaged = true;
    sim->nodes[node].identified = false;
}

void
give_up_others(struct sim *sim, uint8_t from)
{
    struct cairn_id drawn[CAIRN_NODES_MAX];

    for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++)
        memset(&drawn[i], 0x40 + i, sizeof(drawn[i]));
    expect(sim, rescue_ask(sim->nodes[from].node, (cairn_node_set)(7 & ~(1 << from)), true, drawn));
}

bool
scene_votes(struct sim *sim, uint32_t log, uint8_t node)
{
    uint8_t leader = sim_leader(sim, log);

    return leader != CAIRN_NODE_NONE && (core_members(node_log_of(&sim->nodes[leader], log)->core)->voters >> node & 1);
}

/* As `cairn member add` does, of every log: asked again until it is so. */
static void
let_vote(struct sim *sim, uint8_t leader, uint8_t node)
{
    eventually(sim, WITHIN, takes_part(sim, node));
    for (uint32_t log = 0; log <= LOG; log++) {
        for (uint32_t i = 0; i < 40 && !scene_votes(sim, log, node) && !sim->failed; i++) {
            steward_ask(sim, leader, log, i % 2 == 0 ? CAIRN_MEMBER_ADD : CAIRN_MEMBER_PROMOTE, node);
            sim_run_for(sim, SIM_TIMEOUT_NS);
        }
        expect(sim, scene_votes(sim, log, node));
    }
}

void
all_vote_again(struct sim *sim, uint8_t leader)
{
    for (uint8_t i = 1; i < sim->plan.nodes; i++)
        let_vote(sim, leader, follower(sim, leader, i));
}
