/* What nodes agree on changes, and comes to one after another. */
#include "sim/scene.h"

#include <stdio.h>

#include "node/state.h"
#include "sim/catalog.h"
#include "sim/life.h"
#include "sim/node.h"

#define LONG_NS (10 * SIM_TIMEOUT_NS)

static const struct agreed *
agreed_at(const struct sim *sim, uint8_t node)
{
    return &sim->nodes[node].node->introduction.lives.identity.agreed;
}

/* An entry of the catalog about the timeout, given to whoever takes it. */
static void
agree_on_timeout(struct sim *sim, uint64_t timeout_ns)
{
    char change[64];

    snprintf(change, sizeof(change), "\"timeout_us\":%lu", (unsigned long)(timeout_ns / 1000));
    catalog_write(sim, 0, "agree", change);
}

static bool
has_timeout(const struct sim *sim, uint8_t node, uint64_t timeout_ns)
{
    return node_is_up(&sim->nodes[node]) && agreed_at(sim, node)->now.timeout_ns == timeout_ns;
}

/* While another leads, the former leader answers nothing under its lease; true: one does. */
static bool
another_leads(struct sim *sim, uint8_t former)
{
    uint8_t now = sim_leader(sim, LOG);
    uint64_t lsn;

    if (now == CAIRN_NODE_NONE || now == former)
        return false;
    expect(sim, append(sim, now, 8, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, scene_read(sim, former, CAIRN_READ_LEASE, 1, &lsn) != CAIRN_OK || lsn >= place(sim, 8, 1));
    return true;
}

/* A leader goes by a longer timeout; the one voter that its lease rests on does not know of it yet. */
static void
lease_before_others_know(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    uint8_t catalog = sim_leader(sim, 0), late = follower(sim, leader, 1), other = follower(sim, leader, 2);
    uint64_t lsn;

    if (late == catalog) {
        late = other;
        other = catalog;
    }
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim->nodes[late].control_from_ns = UINT64_MAX;
    agree_on_timeout(sim, LONG_NS);
    eventually(sim, WITHIN, has_timeout(sim, leader, LONG_NS) && has_timeout(sim, other, LONG_NS));
    expect(sim, !has_timeout(sim, late, LONG_NS));
    scene_calm(sim);
    /* So long that the other waits for this leader no more, and the late one has just promised. */
    link_cut(sim, leader, other, true);
    sim_run_for(sim, LONG_NS - SIM_TIMEOUT_NS);
    expect(sim, scene_read(sim, leader, CAIRN_READ_LEASE, 1, &lsn) == CAIRN_OK);
    link_cut(sim, leader, late, true);
    for (uint64_t end_ns = sim->now_ns + 3 * LONG_NS; sim->now_ns < end_ns && !another_leads(sim, leader);)
        sim_run_for(sim, MS);
    sim->nodes[late].control_from_ns = 0;
    scene_end(sim);
    expect(sim, has_timeout(sim, late, LONG_NS));
}

/* Who has not come to an entry yet is of the cluster all the same, also for who starts anew. */
static void
who_lags_takes_part(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3);
    uint8_t late = follower(sim, leader, 1), restarted = follower(sim, leader, 2);

    sim->nodes[late].control_from_ns = UINT64_MAX;
    agree_on_timeout(sim, 2 * SIM_TIMEOUT_NS);
    eventually(sim, WITHIN,
               has_timeout(sim, leader, 2 * SIM_TIMEOUT_NS) && has_timeout(sim, restarted, 2 * SIM_TIMEOUT_NS));
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    node_crash(&sim->nodes[restarted]);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    node_boot(&sim->nodes[restarted]);
    eventually(sim, WITHIN,
               node_is_up(&sim->nodes[restarted]) && !takes_no_part(sim, restarted, LOG) &&
                   worker_of(sim, restarted)->reach == 7);
    expect(sim, has_timeout(sim, restarted, 2 * SIM_TIMEOUT_NS) && !has_timeout(sim, late, 2 * SIM_TIMEOUT_NS));
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim->nodes[late].control_from_ns = 0;
    scene_end(sim);
    expect(sim, has_timeout(sim, late, 2 * SIM_TIMEOUT_NS));
}

/* Who says otherwise at the same lsn is not believed, until what it kept is as it was. */
static void
who_differs_takes_no_part(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), liar = follower(sim, leader, 1);
    struct agreed was;

    agree_on_timeout(sim, 2 * SIM_TIMEOUT_NS);
    eventually(sim, WITHIN, has_timeout(sim, leader, 2 * SIM_TIMEOUT_NS) && has_timeout(sim, liar, 2 * SIM_TIMEOUT_NS));
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    node_crash(&sim->nodes[liar]);
    was = sim->nodes[liar].identity.agreed;
    expect(sim, was.now.timeout_ns == 2 * SIM_TIMEOUT_NS);
    sim->nodes[liar].identity.agreed.now.timeout_ns = SIM_TIMEOUT_NS / 2;
    node_boot(&sim->nodes[liar]);
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    expect(sim, takes_no_part(sim, liar, LOG));
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, i == liar || !(worker_of(sim, i)->reach >> liar & 1));
    node_crash(&sim->nodes[liar]);
    sim->nodes[liar].identity.agreed = was;
    node_boot(&sim->nodes[liar]);
    eventually(sim, WITHIN, !takes_no_part(sim, liar, LOG) && all_follow(sim));
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
}

/* A shorter timeout is kept at once, what was promised by the longer one too, until it is over. */
static void
promises_outlive_the_timeout(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), node = follower(sim, leader, 1);

    agree_on_timeout(sim, LONG_NS);
    eventually(sim, WITHIN, has_timeout(sim, node, LONG_NS));
    sim_run_for(sim, LONG_NS);
    agree_on_timeout(sim, SIM_TIMEOUT_NS);
    eventually(sim, WITHIN, has_timeout(sim, node, SIM_TIMEOUT_NS));
    eventually(sim, SIM_TIMEOUT_NS, sim->nodes[node].identity.promised_ns == LONG_NS);
    node_crash(&sim->nodes[node]);
    node_boot(&sim->nodes[node]);
    expect(sim, sim->nodes[node].identity.promised_ns == LONG_NS);
    sim_run_for(sim, LONG_NS / 2);
    expect(sim, sim->nodes[node].identity.promised_ns == LONG_NS);
    eventually(sim, LONG_NS, sim->nodes[node].identity.promised_ns == 0);
    scene_end(sim);
}

/* Who comes back with nothing is taught what is agreed on, as a new member is, and is none. */
static void
wiped_after_a_change(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP), victim = follower(sim, leader, 1);

    agree_on_timeout(sim, 2 * SIM_TIMEOUT_NS);
    eventually(sim, WITHIN, has_timeout(sim, leader, 2 * SIM_TIMEOUT_NS));
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[victim]);
    sim->nodes[victim].identified = false;
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, node_is_up(&sim->nodes[victim]) && node_log_of(&sim->nodes[victim], 0) != NULL);
    expect(sim, sim->nodes[victim].node->recovering && sim->nodes[victim].node->incarnation == 2);
    eventually(sim, WITHIN, !takes_no_part(sim, victim, LOG));
    expect(sim, append(sim, scene_leader(sim), 7, 2, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    scene_end(sim);
}

const struct scenario scenarios_agreed[] = {
    {"lease-before-others-know", "no lease is longer than the promises that it rests on, whoever knows what timeout",
     lease_before_others_know},
    {"who-lags-takes-part", "who has not come to what was agreed on yet is no stranger", who_lags_takes_part},
    {"who-differs-takes-no-part", "who says otherwise at the same lsn is not believed", who_differs_takes_no_part},
    {"promises-outlive-the-timeout", "what was promised before a timeout was lowered is kept, over a restart",
     promises_outlive_the_timeout},
    {"wiped-after-a-change", "who lost everything after what is agreed on was changed has forgotten, and is not new",
     wiped_after_a_change},
    {0},
};
