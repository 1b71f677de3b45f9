/* Disks: writes that are cut off, that fail, that go elsewhere; what was written and is not as it was; no space. */
#include "sim/scene.h"

#include "node/state.h"
#include "node/worker/durable.h"
#include "sim/catalog.h"
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

static bool
begins_with_catalog(const struct disk_request *request)
{
    const struct journal_block *block = request->bytes;

    return block->magic == JOURNAL_BLOCK_MAGIC && block->log == CATALOG_LOG && block->type == JOURNAL_ENTRIES;
}

static const struct node_log *
catalog_of(const struct sim *sim, uint8_t node)
{
    return sim->nodes[node].node->workers[0]->logs[0];
}

static void
fsync_fails_once(struct sim *sim)
{
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_ADAPTIVE, WRITE_NS);
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
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US);
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
    uint8_t old = scene_start_writing(sim, 5, CAIRN_POLICY_CP, 100 * US), slow = follower(sim, old, 1), new;
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
    scene_start_writing(sim, 3, CAIRN_POLICY_ADAPTIVE, 100 * US);
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
        eventually(sim, 10 * WITHIN, disk_is_writing(&sim->nodes[node], begins_with_catalog));
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
    scene_start_writing(sim, 5, CAIRN_POLICY_AP, 100 * US);
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
    leader = scene_start_writing(sim, 3, CAIRN_POLICY_AP, 100 * US);
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

/* Two producers take turns, so the first copy's place is not remembered. */
static void
repeat_before_held(struct sim *sim)
{
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_AP, 100 * US), alone = follower(sim, leader, 1);
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
    uint8_t leader = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US), candidate = follower(sim, leader, 1);
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
    uint8_t alone = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US);
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
    uint8_t first = scene_start_writing(sim, 3, CAIRN_POLICY_CP, 100 * US);
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
    {"own-vote-not-durable", "a candidate's own vote counts when it is durable", own_vote_not_durable},
    {"disks-slower-than-elections", "where a vote takes longer to be durable than elections do, one is elected yet",
     disks_slower_than_elections},
    {"only-vote-not-durable", "the only voter leads when its vote is durable", only_vote_not_durable},
    {"fsync-fails-once", "what was on its way when a write failed is not acknowledged", fsync_fails_once},
    {"moved-up-and-torn", "a log that is written again further on loses nothing if that is cut off", moved_up_and_torn},
    {"branches-fill-memory", "the trunk has room to take branches in, however many fill the memory",
     branches_fill_memory},
    {"log-comes-to-full-memory", "a trunk goes on also where a new log takes the memory that its branches left it",
     log_comes_to_full_memory},
    {"full-disk", "without space appends are refused, undamaged, and go on with it", full_disk},
    {"repeat-before-held", "a repeat on a branch is acknowledged when what it repeats is durable", repeat_before_held},
    {"truncate-race", "the end of an old write does not count for the new entry in its place", truncate_race},
    {0},
};
