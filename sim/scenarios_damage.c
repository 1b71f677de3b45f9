/* What was written and is not as it was: torn off, damaged, gone elsewhere, lost. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/clients.h"
#include "sim/damage.h"
#include "sim/disk.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"

/* Long enough that a step of a scenario falls into a write. */
#define WRITE_NS (2 * MS)
/* By then everything was said twice (docs/storage.md). */
#define SETTLED_NS (100 * MS)
#define LARGE_BYTES 9000u
/* Enough for ten elections. */
#define QUIET_NS (20 * SIM_TIMEOUT_NS)
#define ENTRIES 60u

/* With entries that everybody has, and that were said twice. */
static void
start_with_entries(struct sim *sim)
{
    scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US);
    append_many(sim, scene_leader(sim), 7, ENTRIES, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
}

static void
cut_power(struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        node_crash(&sim->nodes[i]);
}

static void
boot_all(struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        node_boot(&sim->nodes[i]);
}

static bool
has_entry_size(const struct disk_request *request)
{
    return request->size_bytes > LARGE_BYTES && request->size_bytes < 4 * LARGE_BYTES;
}

static uint32_t
damage_entry(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq)
{
    const uint64_t head[2] = {SIM_PROBE, producer << 32 | seq};

    return disk_flip_where(&sim->nodes[node], head, sizeof(head));
}

static bool
lacks(struct sim *sim, uint8_t node)
{
    uint64_t lsn, term;

    return core_lacks(core_of(sim, node), &lsn, &term);
}

static void
torn_tail(struct sim *sim)
{
    const int32_t atoms = (int32_t)(3 * DISK_SECTOR_BYTES / SIM_ATOM_BYTES);

    scene_start_writing(sim, 3, CAIRN_POLICY_CP, WRITE_NS);
    for (int32_t arrived = 0; arrived <= atoms && !sim->failed; arrived++) {
        uint64_t seq = 2 * (uint64_t)arrived + 1;
        uint8_t leader = scene_leader(sim);

        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        give(sim, leader, 7, seq + 1, 0, CAIRN_ACK_MAJORITY, LARGE_BYTES);
        eventually(sim, WITHIN, disk_is_writing(&sim->nodes[leader], has_entry_size));
        for (uint8_t i = 0; i < 3; i++)
            sim->nodes[i].disk.torn_atoms = arrived;
        cut_power(sim);
        boot_all(sim);
        for (uint8_t i = 0; i < 3; i++)
            expect(sim, !worker_of(sim, i)->journal_damaged);
        /* Answered by nobody, it may or may not have lived on; a repeat settles it, as soon as somebody leads for good. */
        eventually(sim, WITHIN,
                   scene_append_sized(sim, scene_leader(sim), 7, seq + 1, CAIRN_ACK_MAJORITY, LARGE_BYTES, NULL) ==
                       CAIRN_OK);
    }
    end_with_each_once(sim, 2 * (uint64_t)atoms + 2);
}

/* On one, then on two; the third has it. */
static void
corrupt_middle(struct sim *sim)
{
    start_with_entries(sim);
    for (uint8_t count = 1; count <= 2 && !sim->failed; count++) {
        uint8_t sound = follower(sim, scene_leader(sim), 1);

        for (uint8_t i = 1; i <= count; i++) {
            uint8_t node = follower(sim, sound, i);

            node_crash(&sim->nodes[node]);
            expect(sim, damage_entry(sim, node, 7, 20 + count) > 0);
        }
        for (uint8_t i = 1; i <= count; i++) {
            uint8_t node = follower(sim, sound, i);

            node_boot(&sim->nodes[node]);
            expect(sim, worker_of(sim, node)->journal_damaged && lacks(sim, node));
        }
        for (uint8_t i = 1; i <= count; i++)
            eventually(sim, WITHIN, !lacks(sim, follower(sim, sound, i)));
        sim_run_for(sim, SETTLED_NS);
    }
    end_with_each_once(sim, ENTRIES);
}

/* On all three: nobody makes it up, nobody goes on without it. */
static void
corrupt_everywhere(struct sim *sim)
{
    start_with_entries(sim);
    cut_power(sim);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, damage_entry(sim, i, 7, 30) > 0);
    boot_all(sim);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, lacks(sim, i));
    nobody_leads(sim, QUIET_NS);
    for (uint8_t i = 0; i < 3 && !sim->failed; i++) {
        enum cairn_error error = append(sim, i, 8, 1, CAIRN_ACK_MAJORITY, NULL);

        expect(sim, error != CAIRN_OK && error != CAIRN_TIMEOUT);
        expect(sim, scene_read(sim, i, CAIRN_READ_LINEARIZABLE, 1, NULL) != CAIRN_OK);
        expect(sim, lacks(sim, i));
    }
}

static void
corrupt_last(struct sim *sim)
{
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US), holder, other;

    holder = follower(sim, leader, 1);
    other = follower(sim, leader, 2);
    append_many(sim, leader, 6, 20, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
    sim->links[leader][other].lost_type = MESSAGE_APPEND;
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    cut_power(sim);
    expect(sim, damage_entry(sim, holder, 7, 1) > 0);
    network_heal(sim);
    node_boot(&sim->nodes[holder]);
    node_boot(&sim->nodes[other]);
    expect(sim, lacks(sim, holder));
    /* A majority that would lose it if it counted. */
    nobody_leads(sim, QUIET_NS);
    node_boot(&sim->nodes[leader]);
    expect(sim, append(sim, scene_leader(sim), 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    end_with_each_once(sim, 2);
}

/* What says term and vote is damaged wherever it was said, then gone with everything else. */
static void
lost_vote_file(struct sim *sim)
{
    scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US);
    for (uint64_t round = 1; round <= 2 && !sim->failed; round++) {
        uint8_t leader = scene_leader(sim), voter = follower(sim, leader, 1);

        expect(sim, append(sim, leader, 7, round, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        sim_run_for(sim, SETTLED_NS);
        node_crash(&sim->nodes[voter]);
        node_crash(&sim->nodes[leader]);
        if (round == 1)
            expect(sim, disk_flip_blocks(&sim->nodes[voter], 1u << JOURNAL_STATE | 1u << JOURNAL_TAIL) > 1);
        else
            disk_wipe(&sim->nodes[voter]);
        node_boot(&sim->nodes[voter]);
        /* By its vote the third would lead. */
        nobody_leads(sim, QUIET_NS);
        expect(sim, takes_no_part(sim, voter, LOG));
        node_boot(&sim->nodes[leader]);
        eventually(sim, WITHIN, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
        eventually(sim, WITHIN, node_log_of(&sim->nodes[voter], LOG) != NULL && !core_recovering(core_of(sim, voter)));
        sim_run_for(sim, SETTLED_NS);
    }
    end_with_each_once(sim, 2);
}

/* Its directory is lost; it starts, and ends before it has written anything. The next life still knows that it may not
 * vote. */
static void
lost_and_not_written(struct sim *sim)
{
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US), voter = follower(sim, leader, 1);

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[voter]);
    node_crash(&sim->nodes[leader]);
    disk_wipe(&sim->nodes[voter]);
    for (int life = 0; life < 3 && !sim->failed; life++) {
        node_boot(&sim->nodes[voter]);
        expect(sim, takes_no_part(sim, voter, 0));
        node_crash(&sim->nodes[voter]);
    }
    node_boot(&sim->nodes[voter]);
    expect(sim, takes_no_part(sim, voter, 0));
    /* By its vote the third would lead. */
    nobody_leads(sim, QUIET_NS);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[voter], LOG) != NULL && !core_recovering(core_of(sim, voter)));
    end_with_each_once(sim, 1);
}

/* It may ask for its files to be taken away: then it is down, and comes back with nothing. */
static void
comes_back(struct sim *sim, uint8_t node)
{
    eventually(sim, WITHIN, node_is_up(&sim->nodes[node]));
    eventually(sim, WITHIN,
               node_log_of(&sim->nodes[node], LOG) != NULL && !lacks(sim, node) &&
                   !core_recovering(core_of(sim, node)) && !sim->nodes[node].node->introduction.lives.recovering);
}

/* In any of its journals. */
static bool
has_met_damage(const struct sim *sim, uint8_t node)
{
    bool found = false;

    for (uint8_t number = 0; number < sim_workers(sim); number++) {
        const struct worker *worker = sim->nodes[node].node->workers[number];

        found |= worker->damage_places_count > 0 || worker->journal_was_empty;
    }
    return found;
}

/* A file that is closed is damaged somewhere, as the seed says: a bit, a sector, or all from there on. */
static void
any_damage(struct sim *sim)
{
    const uint64_t which = sim->plan.seed - 1;
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US), node = follower(sim, leader, 1);
    bool changed;

    append_many(sim, leader, 7, 10, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[node]);
    node_boot(&sim->nodes[node]);
    comes_back(sim, node);
    append_many(sim, scene_leader(sim), 8, 10, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[node]);
    changed = disk_damage_oldest(&sim->nodes[node], which);
    node_boot(&sim->nodes[node]);
    eventually(sim, WITHIN, node_is_up(&sim->nodes[node]));
    expect(sim, has_met_damage(sim, node) == changed);
    comes_back(sim, node);
    expect(sim, append(sim, scene_leader(sim), 7, 11, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, scene_read(sim, node, CAIRN_READ_LINEARIZABLE, 1, NULL) == CAIRN_OK);
    end_with_each_once(sim, 11);
    for (uint64_t seq = 1; seq <= 10; seq++)
        expect(sim, copies(sim, 8, seq) == 1);
}

static void
misdirected_write(struct sim *sim)
{
    uint8_t leader, node;

    leader = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US);
    node = follower(sim, leader, 1);
    append_many(sim, leader, 6, 40, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
    for (uint64_t seq = 1; seq <= 10 && !sim->failed; seq++) {
        sim->nodes[node].disk.astray = 1;
        expect(sim, append(sim, scene_leader(sim), 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        eventually(sim, WITHIN, sim->nodes[node].disk.astray == 0);
        sim_run_for(sim, SETTLED_NS);
        node_crash(&sim->nodes[node]);
        node_boot(&sim->nodes[node]);
        eventually(sim, WITHIN, node_is_up(&sim->nodes[node]));
        expect(sim, worker_of(sim, node)->journal_damaged || worker_of(sim, node)->journal_was_empty);
        comes_back(sim, node);
        eventually(sim, WITHIN, core_last_lsn(core_of(sim, node)) >= place(sim, 7, seq));
        sim_run_for(sim, SETTLED_NS);
    }
    end_with_each_once(sim, 10);
}

/* Five nodes, two of them cut off together: one accepts `count` entries, the other has a copy of them on its disk. */
static void
start_with_copy(struct sim *sim, uint64_t count, uint8_t *origin, uint8_t *holder)
{
    uint8_t leader = scene_start_writing(sim, 5, CAIRN_POLICY_ADAPTIVE, 100 * US);

    *origin = follower(sim, leader, 1);
    *holder = follower(sim, leader, 2);
    cut_pair(sim, *origin, *holder);
    eventually(sim, WITHIN,
               node_log_of(&sim->nodes[*origin], LOG)->mode == CAIRN_MODE_AP &&
                   node_log_of(&sim->nodes[*holder], LOG)->mode == CAIRN_MODE_AP);
    for (uint64_t i = 1; i <= count; i++)
        expect(sim, append(sim, *origin, 7, i, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[*holder], LOG)->branches[*origin].entries == count);
    sim_run_for(sim, SETTLED_NS);
}

/* The origin never comes back while it counts, and its holder has been without power. */
static void
copy_outlives_restart(struct sim *sim)
{
    uint8_t origin, holder;

    start_with_copy(sim, ENTRIES, &origin, &holder);
    node_crash(&sim->nodes[origin]);
    node_crash(&sim->nodes[holder]);
    node_boot(&sim->nodes[holder]);
    expect(sim, node_log_of(&sim->nodes[holder], LOG)->branches[origin].entries == ENTRIES);
    network_heal(sim);
    eventually(sim, WITHIN, copies(sim, 7, ENTRIES) == 1);
    for (uint64_t i = 2; i <= ENTRIES; i++)
        expect(sim, place(sim, 7, i) > place(sim, 7, i - 1));
    end_with_each_once(sim, ENTRIES);
}

/* Of the copy an entry in the middle is damaged: what stands behind it is not handed off, or the trunk would never take from
 * the origin what is missing between. */
static void
copy_damaged(struct sim *sim)
{
    uint8_t origin, holder;

    start_with_copy(sim, ENTRIES, &origin, &holder);
    expect(sim, damage_entry(sim, holder, 7, ENTRIES / 2) == 1);
    node_crash(&sim->nodes[origin]);
    node_crash(&sim->nodes[holder]);
    node_boot(&sim->nodes[holder]);
    expect(sim, node_log_of(&sim->nodes[holder], LOG)->branches[origin].entries < ENTRIES / 2);
    network_heal(sim);
    eventually(sim, WITHIN, copies(sim, 7, 1) == 1);
    sim_run_for(sim, WITHIN);
    expect(sim, copies(sim, 7, ENTRIES) == 0);
    end_with_each_once(sim, ENTRIES);
}

/* Of the branch itself an entry in the middle is damaged: the copy comes first, or the trunk would not take from it what is
 * missing here. */
static void
branch_damaged(struct sim *sim)
{
    uint8_t origin, holder;

    start_with_copy(sim, ENTRIES, &origin, &holder);
    expect(sim, damage_entry(sim, origin, 7, ENTRIES / 2) == 1);
    node_crash(&sim->nodes[origin]);
    node_boot(&sim->nodes[origin]);
    expect(sim, node_log_of(&sim->nodes[origin], LOG)->own->entries < ENTRIES);
    network_heal(sim);
    end_with_each_once(sim, ENTRIES);
    for (uint64_t i = 2; i <= ENTRIES; i++)
        expect(sim, place(sim, 7, i) > place(sim, 7, i - 1));
}

/* The same, and nobody has a copy: what is left is merged, once everybody could have said so. */
static void
branch_damaged_alone(struct sim *sim)
{
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_ADAPTIVE, 100 * US), alone = follower(sim, leader, 1);

    isolate(sim, alone, true);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[alone], LOG)->mode == CAIRN_MODE_AP);
    for (uint64_t i = 1; i <= ENTRIES; i++)
        expect(sim, append(sim, alone, 10 + i, 1, CAIRN_ACK_POLICY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, damage_entry(sim, alone, 10 + ENTRIES / 2, 1) == 1);
    node_crash(&sim->nodes[alone]);
    node_boot(&sim->nodes[alone]);
    isolate(sim, alone, false);
    scene_end(sim);
    expect(sim, copies(sim, 11, 1) == 1 && copies(sim, 10 + ENTRIES, 1) == 1);
    expect(sim, copies(sim, 10 + ENTRIES / 2, 1) == 0);
}

const struct scenario scenarios_damage[] = {
    {"torn-tail", "what a power cut tears off is given up, and nothing else", torn_tail},
    {"corrupt-middle", "a damaged entry comes again from whoever has it", corrupt_middle},
    {"corrupt-everywhere", "with an entry damaged on all nobody goes on without it", corrupt_everywhere},
    {"corrupt-last", "a damaged last entry is not taken for one that was never there", corrupt_last},
    {"lost-vote-file", "a node that lost its term and vote does not vote as if newly born", lost_vote_file},
    {"lost-and-not-written", "a node that lost its disk still knows it after a life that wrote nothing",
     lost_and_not_written},
    {"any-damage", "whatever of a closed file is damaged is noticed, and made good; each --seed another place",
     any_damage},
    {"misdirected-write", "a write that went elsewhere is noticed, and made good", misdirected_write},
    {"copy-outlives-restart", "a copy of a branch is on disk as the branch is", copy_outlives_restart},
    {"copy-damaged", "a copy is taken up to what of it is damaged", copy_damaged},
    {"branch-damaged", "what is damaged of a branch reaches the trunk through who holds a copy", branch_damaged},
    {"branch-damaged-alone", "what is left of a branch that nobody has a copy of is merged", branch_damaged_alone},
    {0},
};
