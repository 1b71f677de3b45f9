/* Disks: writes that are cut off, that fail, that go elsewhere; what was written and is not as it was; no space. */
#include "sim/scene.h"

#include <string.h>

#include "node/state.h"
#include "node/worker/durable.h"
#include "sim/catalog.h"
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
/* Longer than an election waits. */
#define SLOWER_NS (10 * SIM_TIMEOUT_NS)
#define ENTRIES 60u

static uint8_t
start(struct sim *sim, uint32_t nodes, enum cairn_policy policy, uint64_t write_ns)
{
    sim->plan.disk = true;
    sim->plan.disk_ns = write_ns;
    sim->plan.journal_file_bytes = 1u << 20;
    return scene_start(sim, nodes, policy);
}

/* With entries that everybody has, and that were said twice. */
static void
start_with_entries(struct sim *sim)
{
    start(sim, 3, CAIRN_POLICY_CP, 100 * US);
    append_many(sim, scene_leader(sim), 7, ENTRIES, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, SETTLED_NS);
}

/* Everything comes to rest, and the first so many entries of producer 7 stand on the trunk. */
static void
end_with_each_once(struct sim *sim, uint64_t count)
{
    scene_end(sim);
    for (uint64_t seq = 1; seq <= count; seq++)
        expect(sim, copies(sim, 7, seq) == 1);
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

/* Is a write of that kind on its way to the node's disk? */
static bool
is_under_way(const struct sim *sim, uint8_t node, bool (*kind)(const struct disk_request *request))
{
    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        const struct sim_disk_request *place = &sim->nodes[node].disk.requests[i];

        if (place->state == REQUEST_UNDER_WAY && place->request.write && kind(&place->request))
            return true;
    }
    return false;
}

static bool
has_entry_size(const struct disk_request *request)
{
    return request->size_bytes > LARGE_BYTES && request->size_bytes < 4 * LARGE_BYTES;
}

static bool
begins_with_catalog(const struct disk_request *request)
{
    const struct journal_block *block = request->bytes;

    return block->magic == JOURNAL_BLOCK_MAGIC && block->log == CATALOG_LOG && block->type == JOURNAL_ENTRIES;
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

/* Nobody leads for so long as would be enough for ten elections. */
static void
nobody_leads(struct sim *sim)
{
    for (int step = 0; step < 40 && !sim->failed; step++) {
        sim_run_for(sim, SIM_TIMEOUT_NS / 2);
        expect(sim, sim_leader(sim, LOG) == CAIRN_NODE_NONE);
    }
}

static void
torn_tail(struct sim *sim)
{
    const int32_t atoms = (int32_t)(3 * DISK_SECTOR_BYTES / SIM_ATOM_BYTES);

    start(sim, 3, CAIRN_POLICY_CP, WRITE_NS);
    for (int32_t arrived = 0; arrived <= atoms && !sim->failed; arrived++) {
        uint64_t seq = 2 * (uint64_t)arrived + 1;
        uint8_t leader = scene_leader(sim);

        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
        give(sim, leader, 7, seq + 1, 0, CAIRN_ACK_MAJORITY, LARGE_BYTES);
        eventually(sim, WITHIN, is_under_way(sim, leader, has_entry_size));
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
    nobody_leads(sim);
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
    uint8_t leader = start(sim, 3, CAIRN_POLICY_CP, 100 * US), holder, other;

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
    nobody_leads(sim);
    node_boot(&sim->nodes[leader]);
    expect(sim, append(sim, scene_leader(sim), 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    end_with_each_once(sim, 2);
}

/* What says term and vote is damaged wherever it was said, then gone with everything else. */
static void
lost_vote_file(struct sim *sim)
{
    start(sim, 3, CAIRN_POLICY_CP, 100 * US);
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
        nobody_leads(sim);
        expect(sim, takes_no_part(sim, voter, LOG));
        node_boot(&sim->nodes[leader]);
        eventually(sim, WITHIN, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
        eventually(sim, WITHIN, node_log_of(&sim->nodes[voter], LOG) != NULL && !core_recovering(core_of(sim, voter)));
        sim_run_for(sim, SETTLED_NS);
    }
    end_with_each_once(sim, 2);
}

static const struct node_log *
catalog_of(const struct sim *sim, uint8_t node)
{
    return sim->nodes[node].node->workers[0]->logs[0];
}

/* Its directory is lost; it starts, and ends before it has written anything. The next life still knows that it may not
 * vote. */
static void
lost_and_not_written(struct sim *sim)
{
    uint8_t leader = start(sim, 3, CAIRN_POLICY_CP, 100 * US), voter = follower(sim, leader, 1);

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
    nobody_leads(sim);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[voter], LOG) != NULL && !core_recovering(core_of(sim, voter)));
    end_with_each_once(sim, 1);
}

static void
fsync_fails_once(struct sim *sim)
{
    uint8_t leader = start(sim, 3, CAIRN_POLICY_ADAPTIVE, WRITE_NS);
    struct cairn_result result = {.error = CAIRN_TIMEOUT};
    uint64_t token;

    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_LOCAL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    /* On its word alone, which it cannot give. The next write would succeed. */
    sim->nodes[leader].disk.failing = 1;
    token = give(sim, leader, 7, 2, 0, CAIRN_ACK_LOCAL, 16);
    eventually(sim, WITHIN, take(sim, leader, token, &result));
    expect(sim, result.error == CAIRN_UNKNOWN || result.error == CAIRN_DISK_FAILED);
    expect(sim, sim->nodes[leader].disk.failing == 0 && core_failed(core_of(sim, leader)));
    scene_successor(sim, leader, WITHIN);
    /* It takes nothing; who does it says, as long as it knows. */
    eventually(sim, WITHIN, core_leader(core_of(sim, leader)) != CAIRN_NODE_NONE);
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_LOCAL, NULL) == CAIRN_NOT_LEADER);
    isolate(sim, leader, true);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    expect(sim, append(sim, leader, 8, 1, CAIRN_ACK_LOCAL, NULL) == CAIRN_DISK_FAILED);
    isolate(sim, leader, false);
    expect(sim, append(sim, scene_leader(sim), 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    /* It stays so until it is started anew. */
    sim_run_for(sim, 20 * SIM_TIMEOUT_NS);
    expect(sim, core_failed(core_of(sim, leader)) && sim_leader(sim, LOG) != leader);
    node_crash(&sim->nodes[leader]);
    node_boot(&sim->nodes[leader]);
    end_with_each_once(sim, 2);
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
    uint8_t leader = start(sim, 3, CAIRN_POLICY_CP, 100 * US), node = follower(sim, leader, 1);
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

    leader = start(sim, 3, CAIRN_POLICY_CP, 100 * US);
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

static enum cairn_error
append_sized(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, enum cairn_ack ack, uint32_t payload_bytes)
{
    uint64_t token = give(sim, node, producer, seq, 0, ack, payload_bytes);
    struct cairn_result result = {0};

    eventually(sim, WITHIN, take(sim, node, token, &result));
    return result.error;
}

static enum cairn_error
append_large(struct sim *sim, uint8_t node, uint64_t seq)
{
    return append_sized(sim, node, 7, seq, CAIRN_ACK_MAJORITY, LARGE_BYTES);
}

static void
full_disk(struct sim *sim)
{
    uint8_t leader = start(sim, 3, CAIRN_POLICY_CP, 100 * US);
    enum cairn_error error = CAIRN_OK;
    uint64_t seq = 0;

    for (uint8_t i = 0; i < 3; i++)
        sim->nodes[i].disk.no_space = true;
    while (error == CAIRN_OK && seq < 1000 && !sim->failed)
        error = append_large(sim, leader, ++seq);
    expect(sim, error == CAIRN_NO_SPACE && seq > 20);
    /* Refused for certain; what was taken is read, elections go on. */
    expect(sim, append_large(sim, leader, seq) == CAIRN_NO_SPACE);
    expect(sim, scene_read(sim, leader, CAIRN_READ_STALE, 1, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[leader]);
    scene_successor(sim, leader, WITHIN);
    for (uint8_t i = 0; i < 3; i++)
        sim->nodes[i].disk.no_space = false;
    node_boot(&sim->nodes[leader]);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, append(sim, scene_leader(sim), 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    end_with_each_once(sim, seq);
}

/* What is under way to a slow disk is truncated; its end must not count for what stands there then. */
static void
truncate_race(struct sim *sim)
{
    uint8_t old = start(sim, 5, CAIRN_POLICY_CP, 100 * US), slow = follower(sim, old, 1), new;
    uint64_t lsn = core_last_lsn(core_of(sim, old)) + 1, term = 0;

    sim_run_for(sim, SETTLED_NS);
    lose_from(sim, old, MESSAGE_APPEND);
    sim->links[old][slow].lost_type = MESSAGE_NONE;
    sim->nodes[slow].disk.slower_ns = 60 * MS;
    give(sim, old, 7, 1, 0, CAIRN_ACK_MAJORITY, 16);
    eventually(sim, WITHIN, core_last_lsn(core_of(sim, slow)) == lsn);
    isolate(sim, old, true);
    new = scene_successor(sim, old, WITHIN);
    /* The slow one is needed for a majority. */
    isolate(sim, follower(sim, old, follower(sim, old, 2) == new ? 3 : 2), true);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, new)) >= lsn);
    term = sim->failed ? 0 : core_term_at(core_of(sim, new), lsn);
    sim->nodes[slow].disk.torn_atoms = 0;
    node_crash(&sim->nodes[slow]);
    node_boot(&sim->nodes[slow]);
    expect(sim, core_last_lsn(core_of(sim, slow)) >= lsn && core_term_at(core_of(sim, slow), lsn) == term);
    network_heal(sim);
    scene_end(sim);
}

/* On the node's branch, until its journal has gone on by as many files as make old ones be given up. */
static void
write_files(struct sim *sim, uint8_t node, uint64_t *seq)
{
    const struct journal *journal = &worker_of(sim, node)->journal;
    const struct log_index *index = &catalog_of(sim, node)->durable->index;
    uint64_t from = journal->file.number;

    while (journal->file.number < from + 5 && !sim->failed) {
        uint64_t place = index->items[0].place;

        expect(sim, append_sized(sim, node, 7, ++*seq, CAIRN_ACK_LOCAL, LARGE_BYTES) == CAIRN_OK);
        if (index->items[0].place != place)
            from = journal->file.number;
    }
}

/* A node holds entries of the catalog that it does not know to be committed, and writes on for so long that the catalog,
 * which rests, is written again where the journal is now. That is cut off, a little later each time. */
static void
moved_up_and_torn(struct sim *sim)
{
    uint8_t leader, node;
    uint64_t lsn, seq = 0;

    /* Beside a log that is written to. */
    sim->plan.workers = 1;
    sim->plan.segment_bytes = 64u << 10;
    start(sim, 3, CAIRN_POLICY_ADAPTIVE, 100 * US);
    for (int i = 0; i < 6; i++) {
        set_policy(sim, i % 2 == 0 ? CAIRN_POLICY_AP : CAIRN_POLICY_ADAPTIVE);
        sim_run_for(sim, 20 * MS);
    }
    leader = core_leader(catalog_of(sim, 0)->core);
    node = follower(sim, leader, 1);
    lsn = core_last_lsn(catalog_of(sim, node)->core) + 3;
    isolate(sim, follower(sim, leader, 2), true);
    lose_from(sim, node, MESSAGE_APPEND_REPLY);
    for (int i = 0; i < 3; i++) {
        set_policy(sim, i % 2 == 0 ? CAIRN_POLICY_AP : CAIRN_POLICY_ADAPTIVE);
        sim_run_for(sim, MS);
    }
    eventually(sim, WITHIN, core_last_lsn(catalog_of(sim, node)->core) >= lsn);
    lose_from(sim, node, MESSAGE_NONE);
    isolate(sim, node, true);
    expect(sim, core_commit_lsn(catalog_of(sim, node)->core) + 1 < lsn);
    sim_run_for(sim, SETTLED_NS);
    for (int32_t arrived = 1; arrived <= 8 && !sim->failed; arrived++) {
        write_files(sim, node, &seq);
        sim->nodes[node].disk.slower_ns = 2 * MS;
        /* A node that rests reviews its files seldom. */
        eventually(sim, 10 * WITHIN, is_under_way(sim, node, begins_with_catalog));
        sim->nodes[node].disk.slower_ns = 0;
        sim->nodes[node].disk.torn_atoms = arrived;
        node_crash(&sim->nodes[node]);
        node_boot(&sim->nodes[node]);
        expect(sim, core_last_lsn(catalog_of(sim, node)->core) >= lsn);
    }
    network_heal(sim);
    scene_end(sim);
}

/* As many as it takes of the producer's, until there is no more room. Returns the last sequence that was taken. */
static uint64_t
append_until_full(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, uint32_t count)
{
    for (uint32_t i = 0; i < count && !sim->failed; i++) {
        if (append_sized(sim, node, producer, seq + 1, CAIRN_ACK_LOCAL, 2000) != CAIRN_OK)
            break;
        seq++;
    }
    return seq;
}

/* Five nodes in pairs, and other pairs then: each has its own branch and copies of others', as much as it takes. */
static void
branches_fill_memory(struct sim *sim)
{
    static const uint8_t pairs[4][5] = {{0, 0, 1, 1, 2}, {0, 1, 0, 1, 2}, {0, 1, 1, 2, 0}, {0, 1, 2, 2, 1}};
    uint64_t seqs[5] = {0};

    sim->plan.segment_bytes = 64u << 10;
    sim->plan.memory_bytes = 24u * sim->plan.segment_bytes;
    start(sim, 5, CAIRN_POLICY_AP, 100 * US);
    for (int round = 0; round < 4; round++) {
        network_heal(sim);
        for (uint8_t i = 0; i < 5; i++) {
            for (uint8_t j = 0; j < i; j++) {
                if (pairs[round][i] != pairs[round][j])
                    link_cut(sim, i, j, true);
            }
        }
        sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
        for (uint8_t i = 0; i < 5; i++)
            seqs[i] = append_until_full(sim, i, 100 + i, seqs[i], 150);
        sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    }
    for (uint8_t i = 0; i < 5; i++)
        expect(sim, seqs[i] > 30);
    network_heal(sim);
    for (uint8_t i = 0; i < 5; i++)
        eventually(sim, 4 * WITHIN, copies(sim, 100 + i, seqs[i]) == 1);
    scene_end(sim);
}

/* As little memory as two logs may have. One node's is full of its branch when another log comes, which takes of it, and whose
 * entries are a few segments: it takes back by the trunk what it handed off, all the same. */
static void
log_comes_to_full_memory(struct sim *sim)
{
    uint8_t leader, node;
    uint64_t taken;

    sim->plan.workers = 1;
    sim->plan.segment_bytes = 64u << 10;
    sim->plan.memory_bytes = 14u * sim->plan.segment_bytes;
    leader = start(sim, 3, CAIRN_POLICY_AP, 100 * US);
    scene_lead(sim, leader);
    node = follower(sim, leader, 1);
    isolate(sim, node, true);
    sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
    taken = append_until_full(sim, node, 8, 0, 300);
    expect(sim, taken > 30 && taken < 300);
    lose_from(sim, node, MESSAGE_HAND_OFF);
    isolate(sim, node, false);
    sim_run_for(sim, SETTLED_NS);
    catalog_write(sim, 1, "create", "\"policy\":\"cp\"");
    eventually(sim, WITHIN, sim->nodes[node].node->snapshot->count == 3);
    for (uint64_t seq = 1; seq <= 100; seq++)
        expect(sim, append_sized(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, 2000) == CAIRN_OK);
    lose_from(sim, node, MESSAGE_NONE);
    eventually(sim, 4 * WITHIN, copies(sim, 8, taken) == 1);
    eventually(sim, 4 * WITHIN, node_log_of(&sim->nodes[node], LOG)->own->entries == 0);
    scene_end(sim);
}

/* Five nodes, two of them cut off together: one accepts `count` entries, the other has a copy of them on its disk. */
static void
start_with_copy(struct sim *sim, uint64_t count, uint8_t *origin, uint8_t *holder)
{
    uint8_t leader = start(sim, 5, CAIRN_POLICY_ADAPTIVE, 100 * US);

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
    uint8_t leader = start(sim, 3, CAIRN_POLICY_ADAPTIVE, 100 * US), alone = follower(sim, leader, 1);

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

/* Two producers take turns, so the first copy's place is not remembered. */
static void
repeat_before_held(struct sim *sim)
{
    uint8_t leader = start(sim, 3, CAIRN_POLICY_AP, 100 * US), alone = follower(sim, leader, 1);
    struct cairn_result result = {0};
    uint64_t token;

    isolate(sim, alone, true);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    sim->nodes[alone].disk.slower_ns = 30 * MS;
    give(sim, alone, 7, 1, 0, CAIRN_ACK_LOCAL, 16);
    give(sim, alone, 8, 1, 0, CAIRN_ACK_LOCAL, 16);
    give(sim, alone, 7, 2, 0, CAIRN_ACK_LOCAL, 16);
    token = give(sim, alone, 7, 1, 0, CAIRN_ACK_LOCAL, 16);
    sim_run_for(sim, 10 * MS);
    expect(sim, !take(sim, alone, token, &result));
    eventually(sim, WITHIN, take(sim, alone, token, &result));
    expect(sim, result.error == CAIRN_OK && result.on_branch && result.seq != 0);
    node_crash(&sim->nodes[alone]);
    node_boot(&sim->nodes[alone]);
    sim->nodes[alone].disk.slower_ns = 0;
    isolate(sim, alone, false);
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 1);
}

/* A candidate has another's vote before its own is durable, and loses its power: after that it may vote for a third in
 * the same term. */
static void
own_vote_not_durable(struct sim *sim)
{
    uint8_t leader = start(sim, 3, CAIRN_POLICY_CP, 100 * US), candidate = follower(sim, leader, 1);
    uint8_t voter = follower(sim, leader, 2);
    uint64_t term = core_term(core_of(sim, leader));

    sim_run_for(sim, SETTLED_NS);
    lose_from(sim, voter, MESSAGE_PREVOTE);
    sim->nodes[candidate].disk.slower_ns = SLOWER_NS;
    sim->nodes[candidate].disk.torn_atoms = 0;
    isolate(sim, leader, true);
    eventually(sim, WITHIN, core_term(core_of(sim, voter)) > term);
    sim_run_for(sim, 5 * MS);
    node_crash(&sim->nodes[candidate]);
    link_cut(sim, candidate, voter, true);
    node_boot(&sim->nodes[candidate]);
    sim->nodes[candidate].disk.slower_ns = 0;
    /* Two that remember nothing of that election have one of their own; two leaders of a term are a violation. */
    link_cut(sim, leader, candidate, false);
    eventually(sim, WITHIN, sim_leader(sim, LOG) != CAIRN_NODE_NONE);
    sim_run_for(sim, SETTLED_NS);
    link_cut(sim, candidate, voter, false);
    link_cut(sim, leader, voter, false);
    lose_from(sim, voter, MESSAGE_NONE);
    scene_end(sim);
}

/* Who alone is a voter asks nobody: its own vote, which its disk has not got yet, must not make it lead. */
static void
only_vote_not_durable(struct sim *sim)
{
    uint8_t alone = start(sim, 3, CAIRN_POLICY_CP, 100 * US);
    uint8_t others[] = {follower(sim, alone, 1), follower(sim, alone, 2)};
    uint64_t term;

    for (uint32_t i = 0; i < 2; i++)
        expect(sim, member(sim, CAIRN_MEMBER_REMOVE, others[i]) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    term = core_term(core_of(sim, alone));
    node_crash(&sim->nodes[alone]);
    node_boot(&sim->nodes[alone]);
    sim->nodes[alone].disk.slower_ns = SLOWER_NS;
    sim->nodes[alone].disk.torn_atoms = 0;
    eventually(sim, WITHIN, node_log_of(&sim->nodes[alone], LOG) != NULL && core_term(core_of(sim, alone)) > term);
    sim_run_for(sim, 5 * MS);
    expect(sim, core_role(core_of(sim, alone)) != ROLE_LEADER);
    node_crash(&sim->nodes[alone]);
    node_boot(&sim->nodes[alone]);
    sim->nodes[alone].disk.slower_ns = 0;
    eventually(sim, WITHIN, sim_leader(sim, LOG) == alone);
    for (uint32_t i = 0; i < 2; i++) {
        expect(sim, member(sim, CAIRN_MEMBER_ADD, others[i]) == CAIRN_OK);
        eventually(sim, WITHIN, member(sim, CAIRN_MEMBER_PROMOTE, others[i]) == CAIRN_OK);
    }
    scene_end(sim);
}

/* A vote counts when it is durable: where a disk takes longer for it than an election's timeout, a candidate that gave up
 * after a timeout would never lead, nor would anybody else. */
static void
disks_slower_than_elections(struct sim *sim)
{
    uint8_t first = start(sim, 3, CAIRN_POLICY_CP, 100 * US);
    bool slow[][2] = {{true, false}, {false, true}, {true, true}};

    for (uint32_t round = 0; round < 3 && !sim->failed; round++) {
        sim_run_for(sim, SETTLED_NS);
        for (uint32_t i = 0; i < 2; i++)
            sim->nodes[follower(sim, first, i + 1)].disk.slower_ns = slow[round][i] ? SLOWER_NS : 0;
        isolate(sim, first, true);
        eventually(sim, 20 * SLOWER_NS, sim_leader(sim, LOG) != CAIRN_NODE_NONE && sim_leader(sim, LOG) != first);
        for (uint32_t i = 0; i < 3; i++)
            sim->nodes[i].disk.slower_ns = 0;
        isolate(sim, first, false);
        eventually(sim, WITHIN, all_follow(sim));
        first = scene_leader(sim);
    }
    scene_end(sim);
}

/* Many files of what a log keeps for good: once all is written nothing more is. */
static void
rest_writes_nothing(struct sim *sim)
{
    uint64_t places[3];
    uint8_t leader;

    sim->plan.disk = true;
    sim->plan.disk_ns = 100 * US;
    sim->plan.large_ppm = 1;
    sim->plan.journal_file_bytes = 1u << 20;
    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t seq = 1; seq <= 500 && !sim->failed; seq++)
        expect(sim, scene_append_sized(sim, leader, 7, seq, CAIRN_ACK_ALL, 50000, NULL) == CAIRN_OK);
    sim_run_for(sim, 3000 * MS);
    for (uint8_t i = 0; i < 3; i++) {
        const struct journal *journal = &worker_of(sim, i)->journal;

        expect(sim, journal->file.number > 5);
        places[i] = journal_place(journal->file.number, journal->offset_bytes);
    }
    sim_run_for(sim, 3000 * MS);
    for (uint8_t i = 0; i < 3; i++) {
        const struct journal *journal = &worker_of(sim, i)->journal;

        expect(sim, journal_place(journal->file.number, journal->offset_bytes) == places[i]);
    }
    scene_end(sim);
}

const struct scenario scenarios_storage[] = {
    {"rest-writes-nothing", "a durable cluster that rests writes nothing, however much it keeps", rest_writes_nothing},
    {"torn-tail", "what a power cut tears off is given up, and nothing else", torn_tail},
    {"corrupt-middle", "a damaged entry comes again from whoever has it", corrupt_middle},
    {"corrupt-everywhere", "with an entry damaged on all nobody goes on without it", corrupt_everywhere},
    {"corrupt-last", "a damaged last entry is not taken for one that was never there", corrupt_last},
    {"lost-vote-file", "a node that lost its term and vote does not vote as if newly born", lost_vote_file},
    {"lost-and-not-written", "a node that lost its disk still knows it after a life that wrote nothing",
     lost_and_not_written},
    {"own-vote-not-durable", "a candidate's own vote counts when it is durable", own_vote_not_durable},
    {"disks-slower-than-elections", "where a vote takes longer to be durable than elections do, one is elected yet",
     disks_slower_than_elections},
    {"only-vote-not-durable", "the only voter leads when its vote is durable", only_vote_not_durable},
    {"fsync-fails-once", "what was on its way when a write failed is not acknowledged", fsync_fails_once},
    {"any-damage", "whatever of a closed file is damaged is noticed, and made good; each --seed another place",
     any_damage},
    {"misdirected-write", "a write that went elsewhere is noticed, and made good", misdirected_write},
    {"moved-up-and-torn", "a log that is written again further on loses nothing if that is cut off", moved_up_and_torn},
    {"branches-fill-memory", "the trunk has room to take branches in, however many fill the memory",
     branches_fill_memory},
    {"log-comes-to-full-memory", "a trunk goes on also where a new log takes the memory that its branches left it",
     log_comes_to_full_memory},
    {"full-disk", "without space appends are refused, undamaged, and go on with it", full_disk},
    {"copy-outlives-restart", "a copy of a branch is on disk as the branch is", copy_outlives_restart},
    {"copy-damaged", "a copy is taken up to what of it is damaged", copy_damaged},
    {"branch-damaged", "what is damaged of a branch reaches the trunk through who holds a copy", branch_damaged},
    {"branch-damaged-alone", "what is left of a branch that nobody has a copy of is merged", branch_damaged_alone},
    {"repeat-before-held", "a repeat on a branch is acknowledged when what it repeats is durable", repeat_before_held},
    {"truncate-race", "the end of an old write does not count for the new entry in its place", truncate_race},
    {0},
};
