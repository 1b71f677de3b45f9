/* The log and its replication. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/catalog.h"
#include "sim/faults.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"

/* Uncommitted suffixes of three terms on three nodes. */
static void
truncate_conflict(struct sim *sim)
{
    scene_start(sim, 5, CAIRN_POLICY_ADAPTIVE);
    for (int i = 0; i < 3 && !sim->failed; i++) {
        uint8_t leader = scene_leader(sim);
        struct cairn_result result = {0};
        uint64_t token;

        /* Its appends reach nobody; what it acknowledges alone outlives it by its branch. */
        lose_from(sim, leader, MESSAGE_APPEND);
        token = give(sim, leader, 10 + (uint64_t)i, 1, 0, CAIRN_ACK_LOCAL, 16);
        give(sim, leader, 20 + (uint64_t)i, 1, 0, CAIRN_ACK_MAJORITY, 16);
        eventually(sim, WITHIN, take(sim, leader, token, &result));
        expect(sim, result.error == CAIRN_OK && result.ack == CAIRN_ACK_LOCAL);
        isolate(sim, leader, true);
        lose_from(sim, leader, MESSAGE_NONE);
        if (i < 2)
            scene_successor(sim, leader, WITHIN);
    }
    scene_end(sim);
    for (uint64_t i = 0; i < 3; i++)
        expect(sim, copies(sim, 10 + i, 1) == 1 && copies(sim, 20 + i, 1) == 1);
}

static void
commit_beyond_tail(struct sim *sim)
{
    uint8_t leader, behind;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    behind = follower(sim, leader, 1);
    /* Heartbeats tell it the commit lsn; the entries do not come. */
    sim->links[leader][behind].lost_type = MESSAGE_APPEND;
    append_many(sim, leader, 7, 50, CAIRN_ACK_MAJORITY);
    for (int step = 0; step < 50 && !sim->failed; step++) {
        sim_run_for(sim, MS);
        expect(sim, core_commit_lsn(core_of(sim, behind)) <= core_last_lsn(core_of(sim, behind)));
    }
    expect(sim, core_commit_lsn(core_of(sim, leader)) > core_commit_lsn(core_of(sim, behind)));
    scene_end(sim);
}

/* The same with a tail of an old leader that is not the new one's. */
static void
commit_beyond_match(struct sim *sim)
{
    uint8_t old, new;

    old = scene_start(sim, 3, CAIRN_POLICY_CP);
    isolate(sim, old, true);
    for (uint64_t i = 1; i <= 20; i++)
        give(sim, old, 7, i, 0, CAIRN_ACK_MAJORITY, 16);
    new = scene_successor(sim, old, WITHIN);
    append_many(sim, new, 8, 30, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 5 * MS);
    sim->links[new][old].lost_type = MESSAGE_APPEND;
    isolate(sim, old, false);
    /* It hears how far the new leader has committed, and holds other entries there. */
    sim_run_for(sim, 100 * MS);
    expect(sim, core_leader(core_of(sim, old)) == new);
    expect(sim, core_commit_lsn(core_of(sim, old)) < core_commit_lsn(core_of(sim, new)));
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 0);
}

/* A follower that held more of a former leader than the new one, and campaigned in the very term that the
 * new one won: what matched before is not the new leader's. */
static void
match_of_a_former_term(struct sim *sim)
{
    uint8_t old, ahead;

    old = scene_start(sim, 5, CAIRN_POLICY_CP);
    ahead = follower(sim, old, 1);
    for (uint8_t peer = 0; peer < 5; peer++) {
        if (peer != old && peer != ahead)
            sim->links[old][peer].lost_type = MESSAGE_APPEND;
    }
    for (uint64_t i = 1; i <= 5; i++)
        give(sim, old, 7, i, 0, CAIRN_ACK_MAJORITY, 16);
    sim_run_for(sim, 2 * MS);
    isolate(sim, old, true);
    /* It alone is granted pre-votes, and asks for votes; nobody gets the request. */
    for (uint8_t peer = 0; peer < 5; peer++)
        lose_from(sim, peer, peer == ahead ? MESSAGE_VOTE : MESSAGE_PREVOTE);
    eventually(sim, WITHIN, core_role(core_of(sim, ahead)) == ROLE_CANDIDATE);
    for (uint8_t peer = 0; peer < 5; peer++)
        lose_from(sim, peer, MESSAGE_NONE);
    /* One of the others wins this term, since nothing of it arrives any more; that one's entries do not come, its
     * heartbeats do. */
    for (uint8_t peer = 0; peer < 5; peer++) {
        if (peer != ahead)
            network_cut(sim, ahead, peer, true);
    }
    for (uint8_t peer = 0; peer < 5; peer++) {
        if (peer != ahead && peer != old)
            sim->links[peer][ahead].lost_type = MESSAGE_APPEND;
    }
    eventually(sim, WITHIN,
               sim_leader(sim, LOG) != CAIRN_NODE_NONE && sim_leader(sim, LOG) != old &&
                   core_commit_lsn(core_of(sim, sim_leader(sim, LOG))) > core_commit_lsn(core_of(sim, ahead)));
    append_many(sim, sim_leader(sim, LOG), 8, 3, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    expect(sim, copies(sim, 7, 1) == 0);
    scene_end(sim);
}

static void
retransmit_storm(struct sim *sim)
{
    uint64_t began_ns, messages;

    scene_start(sim, 3, CAIRN_POLICY_CP);
    sim->plan.faults = 1u << FAULT_LOSS | 1u << FAULT_DUPLICATE | 1u << FAULT_REORDER;
    sim->plan.loss_ppm = 300000;
    sim->plan.duplicate_ppm = 100000;
    sim->plan.reorder_ppm = 500000;
    began_ns = sim->now_ns;
    messages = sim->counts.messages;
    for (uint64_t i = 1; i <= 300 && !sim->failed; i++) {
        enum cairn_error error = append(sim, scene_leader(sim), 100 + i, 1, CAIRN_ACK_MAJORITY, NULL);

        expect(sim, error == CAIRN_OK || error == CAIRN_UNKNOWN || error == CAIRN_NO_QUORUM ||
                        error == CAIRN_NOT_LEADER || error == CAIRN_NO_LEADER);
    }
    /* Nothing is sent without bound: retransmission has its clock. */
    expect(sim, sim->counts.messages - messages < (sim->now_ns - began_ns) / MS * 60);
    scene_end(sim);
}

/* An entry of as many fragments as there can be; the leader dies in between. */
static void
large_entry_cut(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint32_t step = 0; step < 24 && !sim->failed; step++) {
        uint8_t leader = scene_leader(sim);
        uint64_t token = give(sim, leader, 10 + step, 1, 0, CAIRN_ACK_MAJORITY, 900000);

        expect(sim, token != 0);
        sim_run_for(sim, 30 * US + step * 45 * US);
        isolate(sim, leader, true);
        scene_successor(sim, leader, WITHIN);
        isolate(sim, leader, false);
        scene_leader(sim);
        /* Whole or not at all: every record on the trunk has been compared by its checksum. */
        expect(sim, copies(sim, 10 + step, 1) <= 1);
    }
    scene_end(sim);
}

/* A follower with more entries of an old term than the leader of the new one has. */
static void
epoch_truncation(struct sim *sim)
{
    uint8_t old, helper, new;

    old = scene_start(sim, 5, CAIRN_POLICY_CP);
    helper = follower(sim, old, 1);
    /* Only one follower gets the last entries of this term. */
    for (uint8_t peer = 0; peer < 5; peer++) {
        if (peer != old && peer != helper)
            sim->links[old][peer].lost_type = MESSAGE_APPEND;
    }
    for (uint64_t i = 1; i <= 30; i++)
        give(sim, old, 7, i, 0, CAIRN_ACK_MAJORITY, 16);
    sim_run_for(sim, 2 * MS);
    isolate(sim, old, true);
    isolate(sim, helper, true);
    new = scene_successor(sim, old, WITHIN);
    append_many(sim, new, 8, 10, CAIRN_ACK_MAJORITY);
    isolate(sim, helper, false);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, helper)) == core_commit_lsn(core_of(sim, new)));
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 0 && copies(sim, 8, 10) == 1);
}

/* A leader without a quorum takes appends until its window is full, and no more. */
static void
append_window_full(struct sim *sim)
{
    uint8_t leader;

    sim->plan.window_entries = 256;
    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    /* Heartbeats pass, so it goes on leading; acknowledgements do not. */
    lose_to(sim, leader, MESSAGE_APPEND_REPLY);
    for (uint64_t i = 1; i <= 20000 && !sim->failed; i++) {
        give(sim, leader, 7, i, 0, CAIRN_ACK_MAJORITY, 16);
        if (i % 50 == 0)
            sim_run_for(sim, 10 * MS);
        expect(sim, core_last_lsn(core_of(sim, leader)) - core_commit_lsn(core_of(sim, leader)) <= 256);
    }
    expect(sim, core_role(core_of(sim, leader)) == ROLE_LEADER);
    scene_end(sim);
}

static void
exactly_once_failover(struct sim *sim)
{
    struct cairn_result result = {0};
    uint8_t old, new;
    uint64_t lsn;

    old = scene_start(sim, 3, CAIRN_POLICY_CP);
    /* Appended and committed; the acknowledgement is lost with the leader. */
    give(sim, old, 7, 1, 0, CAIRN_ACK_MAJORITY, 16);
    eventually(sim, WITHIN, copies(sim, 7, 1) == 1);
    lsn = place(sim, 7, 1);
    node_crash(&sim->nodes[old]);
    scene_successor(sim, old, WITHIN);
    new = scene_leader(sim);
    expect(sim, append(sim, new, 7, 1, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK);
    expect(sim, result.repeated && result.lsn == lsn);
    node_boot(&sim->nodes[old]);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[old], LOG) != NULL && !core_recovering(core_of(sim, old)));
    scene_lead(sim, old);
    expect(sim, append(sim, old, 7, 1, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK);
    expect(sim, result.repeated && result.lsn == lsn && copies(sim, 7, 1) == 1);
    scene_end(sim);
}

/* Of eight entries of one producer in a row a leader loses the last four, and leads again. */
static void
run_cut_off_within(struct sim *sim)
{
    struct cairn_result result = {0};
    uint8_t old, new;

    old = scene_start(sim, 3, CAIRN_POLICY_CP);
    lose_to(sim, old, MESSAGE_APPEND_REPLY);
    for (uint64_t seq = 1; seq <= 4; seq++)
        give(sim, old, 7, seq, 0, CAIRN_ACK_MAJORITY, 16);
    sim_run_for(sim, 2 * MS);
    lose_from(sim, old, MESSAGE_APPEND);
    for (uint64_t seq = 5; seq <= 8; seq++)
        give(sim, old, 7, seq, 0, CAIRN_ACK_MAJORITY, 16);
    sim_run_for(sim, MS);
    isolate(sim, old, true);
    new = scene_successor(sim, old, WITHIN);
    append_many(sim, new, 8, 3, CAIRN_ACK_MAJORITY);
    lose_from(sim, old, MESSAGE_NONE);
    lose_to(sim, old, MESSAGE_NONE);
    isolate(sim, old, false);
    eventually(sim, WITHIN, copies(sim, 8, 3) == 1 && all_follow(sim));
    expect(sim, copies(sim, 7, 4) == 1 && copies(sim, 7, 5) == 0);
    scene_lead(sim, old);
    expect(sim, append(sim, old, 7, 4, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK && result.repeated);
    expect(sim, append(sim, old, 7, 6, CAIRN_ACK_MAJORITY, &result) == CAIRN_OUT_OF_ORDER);
    expect(sim, append(sim, old, 7, 5, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK && !result.repeated);
    scene_end(sim);
    expect(sim, copies(sim, 7, 4) == 1 && copies(sim, 7, 5) == 1);
}

/* On the trunk, also where its leader never had it from a client, and on a branch. */
static void
repeat_is_another(struct sim *sim)
{
    struct cairn_result result = {0};
    uint8_t leader, away;

    leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    away = follower(sim, leader, 1);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, scene_append_sized(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, 32, NULL) == CAIRN_MISMATCH);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK);
    expect(sim, result.repeated && result.compared);
    eventually(sim, WITHIN, core_commit_lsn(core_of(sim, away)) == core_commit_lsn(core_of(sim, leader)));
    isolate(sim, away, true);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[away], LOG)->mode == CAIRN_MODE_AP);
    expect(sim, append(sim, away, 8, 1, CAIRN_ACK_LOCAL, NULL) == CAIRN_OK);
    expect(sim, scene_append_sized(sim, away, 8, 1, CAIRN_ACK_LOCAL, 32, NULL) == CAIRN_MISMATCH);
    expect(sim, scene_append_sized(sim, away, 7, 1, CAIRN_ACK_LOCAL, 32, NULL) == CAIRN_MISMATCH);
    expect(sim, append(sim, away, 8, 1, CAIRN_ACK_LOCAL, &result) == CAIRN_OK);
    expect(sim, result.repeated && result.compared && result.on_branch);
    isolate(sim, away, false);
    eventually(sim, WITHIN, copies(sim, 8, 1) == 1);
    scene_lead(sim, away);
    expect(sim, scene_append_sized(sim, away, 7, 1, CAIRN_ACK_MAJORITY, 32, NULL) == CAIRN_MISMATCH);
    expect(sim, copies(sim, 7, 1) == 1);
    scene_end(sim);
}

static bool
all_go_by(const struct sim *sim, uint64_t writer, uint64_t sealed)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct log_rules *rules = &node_log_of(&sim->nodes[i], LOG)->rules;

        if (rules->writer != writer || rules->sealed != sealed)
            return false;
    }
    return true;
}

/* On the trunk, on a branch, and after a restart: what is new is refused but for the one that copies, what is old is told. */
static void
sealed_log(struct sim *sim)
{
    struct cairn_result result = {0};
    uint8_t leader, away;

    sim->plan.disk = true;
    sim->plan.disk_ns = 100 * US;
    sim->plan.journal_file_bytes = 1u << 20;
    leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    away = follower(sim, leader, 1);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    catalog_write(sim, LOG - 1, "set", "\"writer\":9");
    eventually(sim, WITHIN, all_go_by(sim, 9, 0));
    /* What comes after it says on each disk that it is agreed on. */
    catalog_write(sim, LOG - 1, "set", "\"writer\":9");
    sim_run_for(sim, 5 * SIM_TIMEOUT_NS);
    expect(sim, append(sim, leader, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_SEALED);
    expect(sim, append(sim, leader, 0, 0, CAIRN_ACK_MAJORITY, NULL) == CAIRN_SEALED);
    expect(sim, append(sim, leader, 7, 1, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK && result.repeated);
    expect(sim, append(sim, leader, 9, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    isolate(sim, away, true);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[away], LOG)->mode == CAIRN_MODE_AP);
    expect(sim, append(sim, away, 7, 2, CAIRN_ACK_LOCAL, NULL) == CAIRN_SEALED);
    expect(sim, append(sim, away, 7, 1, CAIRN_ACK_LOCAL, &result) == CAIRN_OK && result.repeated);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    for (uint8_t i = 0; i < 3; i++)
        node_boot(&sim->nodes[i]);
    isolate(sim, away, false);
    eventually(sim, WITHIN, all_follow(sim));
    leader = scene_leader(sim);
    expect(sim, append(sim, leader, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_SEALED);
    expect(sim, append(sim, leader, 9, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    catalog_write(sim, LOG - 1, "set", "\"sealed\":9");
    eventually(sim, WITHIN, all_go_by(sim, 9, 9));
    expect(sim, append(sim, leader, 9, 3, CAIRN_ACK_MAJORITY, NULL) == CAIRN_SEALED);
    expect(sim, append(sim, leader, 9, 2, CAIRN_ACK_MAJORITY, &result) == CAIRN_OK && result.repeated);
    catalog_write(sim, LOG - 1, "set", "\"writer\":0,\"sealed\":0");
    eventually(sim, WITHIN, all_go_by(sim, 0, 0));
    expect(sim, append(sim, leader, 7, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    scene_end(sim);
    expect(sim, copies(sim, 7, 1) == 1 && copies(sim, 7, 2) == 1 && copies(sim, 9, 2) == 1);
}

static void
exactly_once_evicted(struct sim *sim)
{
    uint8_t leader;

    sim->plan.producers_max = 32;
    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t producer = 1; producer <= 60; producer++)
        expect(sim, append(sim, leader, producer, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    expect(sim, append(sim, leader, 1, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_PRODUCER_EVICTED);
    expect(sim, append(sim, leader, 1, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_PRODUCER_EVICTED);
    expect(sim, append(sim, leader, 60, 2, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    /* So says every node that comes to lead. */
    scene_lead(sim, follower(sim, leader, 1));
    expect(sim, append(sim, scene_leader(sim), 2, 1, CAIRN_ACK_MAJORITY, NULL) == CAIRN_PRODUCER_EVICTED);
    expect(sim, copies(sim, 1, 1) == 1 && copies(sim, 2, 1) == 1);
    scene_end(sim);
}

static enum cairn_error
append_as(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, uint32_t epoch)
{
    struct cairn_result result = {.error = CAIRN_TIMEOUT};
    uint64_t token = give(sim, node, producer, seq, epoch, CAIRN_ACK_POLICY, 16);

    eventually(sim, WITHIN, take(sim, node, token, &result));
    return result.error;
}

static void
duplicate_producers(struct sim *sim)
{
    uint8_t leader, cut;

    leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    cut = follower(sim, leader, 1);
    expect(sim, append_as(sim, leader, 7, 1, 1) == CAIRN_OK);
    expect(sim, append_as(sim, leader, 7, 2, 1) == CAIRN_OK);
    /* Another takes the id over; the older is fenced, on the trunk and on a branch. */
    expect(sim, append_as(sim, leader, 7, 2, 2) == CAIRN_OUT_OF_ORDER);
    expect(sim, append_as(sim, leader, 7, 1, 2) == CAIRN_OK);
    expect(sim, append_as(sim, leader, 7, 3, 1) == CAIRN_FENCED);
    sim_run_for(sim, 5 * MS);
    isolate(sim, cut, true);
    eventually(sim, WITHIN, node_log_of(&sim->nodes[cut], LOG)->mode == CAIRN_MODE_AP);
    expect(sim, append_as(sim, cut, 7, 3, 1) == CAIRN_FENCED);
    expect(sim, append_as(sim, cut, 7, 2, 2) == CAIRN_OK);
    /* Meanwhile a third takes it over at the majority; what was acknowledged on the branch is kept. */
    expect(sim, append_as(sim, leader, 7, 1, 3) == CAIRN_OK);
    isolate(sim, cut, false);
    scene_end(sim);
    expect(sim, append_as(sim, scene_leader(sim), 7, 3, 2) == CAIRN_FENCED);
    expect(sim, append_as(sim, scene_leader(sim), 7, 2, 3) == CAIRN_OK);
    expect(sim, copies(sim, 7, 3) == 0 && copies(sim, 7, 1) == 3);
}

/* What heartbeats and appends cost where nothing goes wrong: bench/instructions.py counts it. */
static void
calm_rest(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    sim_run_for(sim, 500 * MS);
    scene_end(sim);
}

static void
calm_appends(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_CP);

    for (uint64_t producer = 1; producer <= 100 && !sim->failed; producer++)
        append_many(sim, leader, producer, 100, CAIRN_ACK_MAJORITY);
    scene_end(sim);
}

const struct scenario scenarios_log[] = {
    {"calm-rest", "a cluster that nobody asks anything stays as it is", calm_rest},
    {"calm-appends", "ten thousand appends where nothing goes wrong are all there", calm_appends},
    {"truncate-conflict", "conflicting suffixes converge; what was acknowledged returns by branches",
     truncate_conflict},
    {"commit-beyond-tail", "a commit lsn beyond what is held commits what matched", commit_beyond_tail},
    {"commit-beyond-match", "nor does it commit what is held but is another's", commit_beyond_match},
    {"match-of-a-former-term", "what matched a former leader is not committed for the next", match_of_a_former_term},
    {"retransmit-storm", "heavy loss, duplicates and reordering stay within bounds", retransmit_storm},
    {"large-entry-cut", "never half an entry", large_entry_cut},
    {"epoch-truncation", "a longer tail of an old term is found by the history of terms", epoch_truncation},
    {"append-window-full", "a leader that cannot commit takes a bounded number of appends", append_window_full},
    {"exactly-once-failover", "a repeat gets the first place, also from another leader", exactly_once_failover},
    {"run-cut-off-within",
     "a producer's run that is cut off within goes on where the cut is, also at its former leader", run_cut_off_within},
    {"repeat-is-another", "a repeat with other bytes is refused, on the trunk and on a branch", repeat_is_another},
    {"sealed-log", "who is not the log's writer has nothing new taken anywhere, and what was taken told", sealed_log},
    {"exactly-once-evicted", "a producer that is forgotten is refused, never doubled", exactly_once_evicted},
    {"duplicate-producers", "of two that claim one producer id the older is fenced", duplicate_producers},
    {0},
};
