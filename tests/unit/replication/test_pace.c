/* Branches drain as fast as they can while nobody else appends, and at the pace they are told while someone does. */
#include "replication/state.h"
#include "tests/unit/replication/cluster.h"

#define BRANCH_ENTRIES 20000u
#define STEP_NS (MS / 20)

struct merge {
    struct cluster *cluster;
    struct member *leader, *origin;
    uint64_t live_seq;
};

/* One node has been alone and has accepted a lot; the others have a leader. */
static struct merge
merge_new(void)
{
    struct merge merge = {.cluster = cluster_new_with_window(3, CAIRN_POLICY_ADAPTIVE, 7, 8192), .live_seq = 1};
    uint32_t alone;

    merge.cluster->delay_max_ns = 1; /* nothing is overtaken */
    merge.leader = cluster_leader(merge.cluster);
    alone = (member_index(merge.leader) + 1u) % 3;
    merge.origin = &merge.cluster->members[alone];
    cluster_cut(merge.cluster, alone, true);
    cluster_run(merge.cluster, 10 * TIMEOUT);
    for (uint32_t seq = 1; seq <= BRANCH_ENTRIES; seq++) {
        struct accepted accepted;

        assert_int_equal(cluster_append_branch(merge.origin, 1, seq, &accepted), CAIRN_OK);
    }
    return merge;
}

static uint64_t
drained(const struct merge *merge)
{
    uint64_t entries = 0;

    for (uint64_t lsn = 1; lsn <= merge->cluster->committed_lsn; lsn++)
        entries += merge->cluster->committed[lsn].id.producer == 1;
    return entries;
}

/* Time passes while a client appends at the leader, so many a step. */
static void
live(struct merge *merge, uint64_t duration_ns, uint32_t entries)
{
    for (uint64_t end_ns = merge->cluster->now_ns + duration_ns; merge->cluster->now_ns < end_ns;) {
        for (uint32_t i = 0; i < entries; i++) {
            struct accepted accepted;

            if (cluster_append(merge->cluster, merge->leader, 2, merge->live_seq, CAIRN_ACK_MAJORITY, &accepted) ==
                CAIRN_OK)
                merge->live_seq++;
        }
        cluster_run(merge->cluster, STEP_NS);
    }
    assert_ptr_equal(cluster_leader(merge->cluster), merge->leader);
}

static void
all_arrives(struct merge *merge)
{
    for (int i = 0; i < 100 && drained(merge) < BRANCH_ENTRIES; i++)
        live(merge, 10 * TIMEOUT, 1);
    assert_int_equal(drained(merge), BRANCH_ENTRIES);
    cluster_free(merge->cluster);
}

static void
a_branch_drains_at_a_pace_only_while_clients_append(void **state)
{
    struct merge alone = merge_new(), shared = merge_new();
    uint64_t paced;

    (void)state;
    cluster_heal(alone.cluster);
    cluster_run(alone.cluster, 20 * MS);
    cluster_heal(shared.cluster);
    live(&shared, 20 * MS, 1);
    paced = drained(&shared);
    assert_true(paced > 500);
    assert_true(paced < drained(&alone) / 2);
    all_arrives(&alone);
    all_arrives(&shared);
}

/* The same branch, appends that take as long as ever, and such that take longer than that. */
static void
a_branch_makes_way_for_appends_that_become_slow(void **state)
{
    struct merge merges[2] = {merge_new(), merge_new()};
    uint64_t paced[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        uint64_t before;

        live(&merges[i], 400 * MS, 4);
        cluster_heal(merges[i].cluster);
        if (i == 1)
            merges[i].cluster->delay_max_ns = MS;
        live(&merges[i], 60 * MS, 4);
        before = drained(&merges[i]);
        live(&merges[i], 30 * MS, 4);
        paced[i] = drained(&merges[i]) - before;
    }
    assert_true(paced[1] > 0);
    assert_true(paced[1] < paced[0] * 3 / 4);
    all_arrives(&merges[0]);
    all_arrives(&merges[1]);
}

/* So many appends of one turn that take so long to be committed, while nothing drains. */
static void
feed(struct core *core, uint64_t *now_ns, uint32_t entries, uint64_t took_ns)
{
    core->appended_lsn = core->last_lsn += entries;
    pace_commit(core, *now_ns);
    *now_ns += took_ns;
    core->commit_lsn = core->last_lsn;
    pace_commit(core, *now_ns);
}

/* A disturbed moment just before a heal would let the branch slow appends down as much. */
static void
a_moment_is_not_what_is_usual(void **state)
{
    struct core *core = calloc(1, sizeof(*core));
    uint64_t now_ns = MS, usual_ps;

    (void)state;
    assert_non_null(core);
    core->config.election_timeout_ns = TIMEOUT;
    core->role = ROLE_LEADER;
    for (uint32_t i = 0; i < 40000; i++)
        feed(core, &now_ns, 10, i % 50 == 0 ? 100000 : 2000);
    usual_ps = core->pace.usual_ps;
    /* Two in a hundred take longer than that, and none takes longer than 100 us. */
    assert_in_range(usual_ps, 50000000, 110000000);
    for (uint32_t i = 0; i < 100; i++)
        feed(core, &now_ns, 10, 5 * MS);
    assert_in_range(core->pace.usual_ps, usual_ps, usual_ps * 5 / 4);
    /* What lasts is. */
    for (uint32_t i = 0; i < 20000; i++)
        feed(core, &now_ns, 10, 5 * MS);
    assert_in_range(core->pace.usual_ps, 4 * MS * 1000, 6 * MS * 1000);
    free(core);
}

/* Seed 174 of the simulator: each batch of minutes without an answer was counted against a rate told later. */
static void
what_went_before_a_rate_was_told_is_no_debt(void **state)
{
    struct merge merge = merge_new();
    uint64_t before;

    (void)state;
    cluster_heal(merge.cluster);
    merge.cluster->loss = 1;
    cluster_run(merge.cluster, 500 * TIMEOUT);
    merge.cluster->loss = 0;
    live(&merge, 50 * MS, 1);
    assert_true(drained(&merge) > 1000);
    all_arrives(&merge);

    merge = merge_new();
    cluster_heal(merge.cluster);
    while (drained(&merge) < BRANCH_ENTRIES / 2)
        cluster_run(merge.cluster, STEP_NS); /* nobody appends, no rate */
    live(&merge, 5 * MS, 1);
    before = drained(&merge);
    assert_true(before < BRANCH_ENTRIES);
    live(&merge, 20 * MS, 1);
    assert_true(drained(&merge) > before + 500 || drained(&merge) == BRANCH_ENTRIES);
    all_arrives(&merge);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_drains_at_a_pace_only_while_clients_append),
        cmocka_unit_test(a_branch_makes_way_for_appends_that_become_slow),
        cmocka_unit_test(a_moment_is_not_what_is_usual),
        cmocka_unit_test(what_went_before_a_rate_was_told_is_no_debt),
    };

    return RUN_TESTS(tests);
}
