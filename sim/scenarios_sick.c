/* Who is sick steps aside: leaders whose disk hangs, is full or slow; and everybody full at once. */
#include "sim/scene.h"

#include <string.h>

#include "node/state.h"
#include "node/worker/durable.h"
#include "sim/catalog.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/trace.h"

#define LARGE_BYTES 9000u
#define SECOND_NS (1000 * MS)
/* A write counts as hanging after half of it. */
#define HANG_WITHIN_NS SECOND_NS

static uint8_t
start(struct sim *sim)
{
    uint8_t leader;

    sim->plan.disk = true;
    sim->plan.disk_ns = 100 * US;
    sim->plan.journal_file_bytes = 1u << 20;
    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    append_many(sim, leader, 7, 60, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 200 * MS);
    return leader;
}

static enum cairn_error
append_large(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq)
{
    struct cairn_result result = {.error = CAIRN_TIMEOUT};
    uint64_t token = give(sim, node, producer, seq, 0, CAIRN_ACK_MAJORITY, LARGE_BYTES);

    for (int step = 0; step < 4000 && !sim->failed; step++) {
        if (take(sim, node, token, &result))
            return result.error;
        sim_run_for(sim, 100 * US);
    }
    return CAIRN_TIMEOUT;
}

/* Until one is not taken; returns why not. */
static enum cairn_error
fill(struct sim *sim, uint8_t node, uint64_t producer, uint64_t *taken)
{
    enum cairn_error error = CAIRN_OK;

    for (*taken = 0; error == CAIRN_OK && *taken < 2000 && !sim->failed; *taken += error == CAIRN_OK)
        error = append_large(sim, node, producer, *taken + 1);
    trace_add(sim, TRACE_NOTE, node, 0, "%lu taken, then %s", (unsigned long)*taken, cairn_error_text(error));
    return error;
}

static void
all_full(struct sim *sim, bool full)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        sim->nodes[i].disk.no_space = full;
}

/* Whoever leads now leads on, in the same term. */
static void
leads_on(struct sim *sim, uint8_t leader, uint64_t for_ns)
{
    uint64_t term = core_term(core_of(sim, leader));

    for (uint64_t done_ns = 0; done_ns < for_ns && !sim->failed; done_ns += 10 * MS) {
        sim_run_for(sim, 10 * MS);
        expect(sim, sim_leader(sim, LOG) == leader && core_term(core_of(sim, leader)) == term);
    }
}

static void
leader_disk_hangs(struct sim *sim)
{
    uint8_t old = start(sim), new;

    sim->nodes[old].disk.hangs = true;
    give(sim, old, 8, 1, 0, CAIRN_ACK_MAJORITY, 16);
    new = scene_successor(sim, old, HANG_WITHIN_NS);
    eventually(sim, WITHIN, append(sim, new, 9, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    eventually(sim, SECOND_NS, worker_of(sim, old)->health.ailments & AIL_DISK_HANGS);
    leads_on(sim, new, 3 * SECOND_NS);
    sim->nodes[old].disk.hangs = false;
    node_crash(&sim->nodes[old]);
    node_boot(&sim->nodes[old]);
    scene_end(sim);
    expect(sim, copies(sim, 8, 1) == 1 && copies(sim, 9, 1) == 1);
}

static void
leader_disk_full(struct sim *sim)
{
    uint8_t old = start(sim), new;
    enum cairn_error error;
    uint64_t taken;

    sim->nodes[old].disk.no_space = true;
    /* No entry is refused for want of space that another has. */
    error = fill(sim, old, 8, &taken);
    expect(sim, (error == CAIRN_NOT_LEADER || error == CAIRN_NO_LEADER) && taken > 20);
    new = scene_successor(sim, old, WITHIN);
    eventually(sim, WITHIN, append_large(sim, new, 9, 1) == CAIRN_OK);
    leads_on(sim, new, 3 * SECOND_NS);
    sim->nodes[old].disk.no_space = false;
    scene_end(sim);
}

/* One log's trim is an entry of the catalog: is there room for that? */
static bool
order_fits(struct sim *sim, uint8_t node)
{
    return journal_space(&worker_of(sim, node)->journal, 256, USE_ORDER) == SPACE_YES;
}

static void
all_disks_full(struct sim *sim)
{
    uint8_t leader = start(sim), other = follower(sim, leader, 1);
    enum cairn_error error;
    uint64_t taken;

    all_full(sim, true);
    error = fill(sim, leader, 8, &taken);
    expect(sim, error == CAIRN_NO_SPACE && taken > 20);
    leads_on(sim, leader, 3 * SECOND_NS);
    expect(sim, order_fits(sim, leader));
    expect(sim, scene_read(sim, leader, CAIRN_READ_LINEARIZABLE, 1, NULL) == CAIRN_OK);
    /* Nodes start, again and again; and another leads, whose first entry is committed. */
    for (int start = 0; start < 12 && !sim->failed; start++) {
        node_crash(&sim->nodes[other]);
        node_boot(&sim->nodes[other]);
        expect(sim, node_is_up(&sim->nodes[other]));
        eventually(sim, WITHIN, all_follow(sim));
    }
    node_crash(&sim->nodes[leader]);
    other = scene_successor(sim, leader, WITHIN);
    eventually(sim, WITHIN, scene_read(sim, other, CAIRN_READ_LINEARIZABLE, 1, NULL) == CAIRN_OK);
    expect(sim, append_large(sim, other, 9, 1) == CAIRN_NO_SPACE);
    node_boot(&sim->nodes[leader]);
    expect(sim, node_is_up(&sim->nodes[leader]));
    all_full(sim, false);
    sim_run_for(sim, 100 * MS);
    expect(sim, append_large(sim, scene_leader(sim), 9, 1) == CAIRN_OK);
    scene_end(sim);
}

/* Of the log's rules, as the catalog has them. */
static bool
retains(const struct sim *sim, uint64_t retain_bytes)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        if (node_log_of(&sim->nodes[i], LOG)->rules.retain_bytes != retain_bytes)
            return false;
    }
    return true;
}

/* Nothing was let in that finds no room in the journal. */
static bool
all_is_held(const struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *log = node_log_of(&sim->nodes[i], LOG);

        if (log->durable->held_lsn != core_last_lsn(log->core))
            return false;
    }
    return true;
}

/* Many large entries at once, while the disks take their time: what was let in before anybody saw the end takes nothing of what
 * is kept for the catalog, whose next entry may be the trim that helps. */
static void
all_full_at_once(struct sim *sim)
{
    uint64_t seq = 0;

    sim->plan.large_ppm = 1;
    start(sim);
    for (uint64_t round = 1; round <= 3 && !sim->failed; round++) {
        char rules[64];

        all_full(sim, true);
        for (uint8_t i = 0; i < 3; i++)
            sim->nodes[i].disk.slower_ns = 5 * MS;
        for (uint32_t i = 0; i < 300 && !sim->failed; i++) {
            uint8_t leader = sim_leader(sim, LOG);

            if (leader != CAIRN_NODE_NONE && give(sim, leader, ANONYMOUS, seq + 1, 0, CAIRN_ACK_MAJORITY, 60000) != 0)
                seq++;
            sim_run_for(sim, i % 40 == 0 ? 2 * MS : 0);
        }
        for (uint8_t i = 0; i < 3; i++)
            sim->nodes[i].disk.slower_ns = 0;
        sim_run_for(sim, 2 * SECOND_NS);
        expect(sim, seq >= 20 * round);
        expect(sim, all_is_held(sim));
        snprintf(rules, sizeof(rules), "\"retain_bytes\":%lu", (unsigned long)(1000000000 + round));
        catalog_write(sim, LOG - 1, "set", rules);
        eventually(sim, 3 * SECOND_NS, retains(sim, 1000000000 + round));
        all_full(sim, false);
        sim_run_for(sim, 500 * MS);
    }
    scene_end(sim);
}

static void
followers_full(struct sim *sim)
{
    uint8_t leader = start(sim);
    uint64_t taken;

    all_full(sim, true);
    sim->nodes[leader].disk.no_space = false;
    expect(sim, fill(sim, leader, 8, &taken) == CAIRN_NO_SPACE && taken > 20);
    leads_on(sim, leader, 3 * SECOND_NS);
    all_full(sim, false);
    sim_run_for(sim, 100 * MS);
    expect(sim, append_large(sim, leader, 8, taken + 1) == CAIRN_OK);
    scene_end(sim);
}

static void
slow_leader_hands_over(struct sim *sim)
{
    uint8_t old = start(sim), new;
    uint64_t seq = 0;

    sim->nodes[old].disk.slower_ns = 120 * MS;
    for (int round = 0; round < 100 && sim_leader(sim, LOG) == old && !sim->failed; round++) {
        give(sim, old, 8, ++seq, 0, CAIRN_ACK_MAJORITY, 16);
        sim_run_for(sim, 50 * MS);
    }
    new = scene_successor(sim, old, WITHIN);
    eventually(sim, WITHIN, append(sim, new, 9, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    leads_on(sim, new, 3 * SECOND_NS);
    /* Where all are slow, nobody is better off. */
    for (uint8_t i = 0; i < 3; i++)
        sim->nodes[i].disk.slower_ns = 120 * MS;
    for (uint64_t round = 0; round < 40 && !sim->failed; round++) {
        give(sim, new, 9, 2 + round, 0, CAIRN_ACK_MAJORITY, 16);
        leads_on(sim, new, 50 * MS);
    }
    for (uint8_t i = 0; i < 3; i++)
        sim->nodes[i].disk.slower_ns = 0;
    scene_end(sim);
}

/* One node gets no core for 50 ms, again and again: once that was seen it leads on, by its word. A cut is noticed. */
static void
stalls_are_learned(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP);

    for (uint32_t round = 0; round < 4; round++) {
        node_pause(&sim->nodes[leader], 50 * MS);
        sim_run_for(sim, 150 * MS);
    }
    eventually(sim, WITHIN, all_follow(sim));
    scene_lead(sim, leader);
    for (uint32_t round = 0; round < 60 && !sim->failed; round++) {
        node_pause(&sim->nodes[leader], 50 * MS);
        leads_on(sim, leader, 100 * MS);
    }
    isolate(sim, leader, true);
    scene_successor(sim, leader, SECOND_NS);
    network_heal(sim);
    scene_end(sim);
}

const struct scenario scenarios_sick[] = {
    {"leader-disk-hangs", "a leader whose disk hangs lets another lead, and does not come back", leader_disk_hangs},
    {"leader-disk-full", "a leader without space lets another lead, and nothing is refused", leader_disk_full},
    {"all-disks-full", "without space anywhere leaders stay, refuse, and are elected; nodes start", all_disks_full},
    {"all-full-at-once", "what was let in before the end was seen leaves the catalog its room", all_full_at_once},
    {"followers-full", "what a majority cannot hold is refused at once", followers_full},
    {"slow-leader-hands-over", "a leader whose disk is slow lets another lead, unless all are", slow_leader_hands_over},
    {"stalls-are-learned", "on cores that stall who leads leads on", stalls_are_learned},
    {0},
};
