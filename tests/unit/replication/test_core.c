/* Promises of the replication core, each by name, and random schedules that look for others. */
#include "tests/unit/replication/cluster.h"

static void
append_many(struct cluster *cluster, struct member *leader, uint64_t producer, uint64_t first, uint64_t count)
{
    struct accepted accepted;

    for (uint64_t seq = first; seq < first + count; seq++)
        assert_int_equal(cluster_append(cluster, leader, producer, seq, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
}

static void
everything_committed_everywhere(struct cluster *cluster)
{
    for (int i = 0; i < 200; i++) {
        bool done = true;

        for (uint32_t n = 0; n < cluster->count; n++)
            done = done && cluster->members[n].committed_lsn == cluster->committed_lsn &&
                   cluster->members[n].stored_lsn == cluster->committed_lsn && cluster->members[n].branch_count == 0;
        if (done)
            return;
        cluster_run(cluster, TIMEOUT);
    }
    for (uint32_t n = 0; n < cluster->count; n++) {
        struct member *m = &cluster->members[n];

        print_message("n%u role %d term %lu stored %lu committed %lu branch %u recovering %d\n", n + 1,
                      core_role(m->core), core_term(m->core), m->stored_lsn, m->committed_lsn, m->branch_count,
                      core_recovering(m->core));
    }
    fail_msg("not converged");
}

static void
three_nodes_elect_and_commit(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster);

    (void)state;
    append_many(cluster, leader, 7, 1, 100);
    everything_committed_everywhere(cluster);

    assert_int_equal(cluster->committed_lsn, 101);
    cluster_free(cluster);
}

static void
a_single_node_leads_itself(void **state)
{
    struct cluster *cluster = cluster_new(1, CAIRN_POLICY_CP, 1);
    struct member *leader = cluster_leader(cluster);

    (void)state;
    append_many(cluster, leader, 7, 1, 10);
    everything_committed_everywhere(cluster);

    assert_int_equal(cluster->committed_lsn, 11);
    cluster_free(cluster);
}

static void
an_old_leader_cannot_commit(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 2);
    struct member *old = cluster_leader(cluster), *new;
    struct accepted accepted;

    (void)state;
    cluster_cut(cluster, member_index(old), true);
    assert_int_equal(cluster_append(cluster, old, 7, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    assert_int_not_equal(core_role(old->core), ROLE_LEADER);
    new = cluster_leader(cluster);
    assert_ptr_not_equal(new, old);
    append_many(cluster, new, 8, 1, 5);
    cluster_heal(cluster);
    everything_committed_everywhere(cluster);

    assert_int_equal(cluster_copies(cluster, 7, 1), 0);
    assert_int_equal(cluster_copies(cluster, 8, 5), 1);
    cluster_free(cluster);
}

static void
a_node_that_was_away_does_not_depose_the_leader(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 3);
    struct member *leader = cluster_leader(cluster);
    uint32_t away = (member_index(leader) + 1u) % 3;
    uint64_t term = core_term(leader->core);

    (void)state;
    cluster_cut(cluster, away, true);
    cluster_run(cluster, 50 * TIMEOUT);
    cluster_heal(cluster);
    cluster_run(cluster, 5 * TIMEOUT);

    assert_int_equal(core_role(leader->core), ROLE_LEADER);
    assert_int_equal(core_term(leader->core), term);
    cluster_free(cluster);
}

static void
a_repeat_gets_the_first_place(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 4);
    struct member *leader = cluster_leader(cluster);
    struct accepted first, again;

    (void)state;
    append_many(cluster, leader, 7, 1, 9);
    assert_int_equal(cluster_append(cluster, leader, 7, 10, CAIRN_ACK_MAJORITY, &first), CAIRN_OK);
    cluster_run(cluster, TIMEOUT);
    leader->down = true;
    leader = cluster_leader(cluster);
    assert_int_equal(cluster_append(cluster, leader, 7, 10, CAIRN_ACK_MAJORITY, &again), CAIRN_OK);

    assert_true(again.repeated);
    assert_int_equal(again.lsn, first.lsn);
    assert_int_equal(cluster_append(cluster, leader, 7, 12, CAIRN_ACK_MAJORITY, &again), CAIRN_OUT_OF_ORDER);
    assert_int_equal(cluster_append(cluster, leader, 9, 2, CAIRN_ACK_MAJORITY, &again), CAIRN_OUT_OF_ORDER);
    cluster_free(cluster);
}

static void
a_forgotten_producer_is_refused(void **state)
{
    struct cluster *cluster = cluster_new(1, CAIRN_POLICY_CP, 5);
    struct member *leader = cluster_leader(cluster);
    struct accepted accepted;

    (void)state;
    for (uint64_t producer = 1; producer <= 100; producer++) {
        append_many(cluster, leader, producer, 1, 1);
        cluster_run(cluster, MS);
    }

    assert_int_equal(cluster_append(cluster, leader, 1, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_PRODUCER_EVICTED);
    assert_int_equal(cluster_append(cluster, leader, 100, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    assert_true(accepted.repeated);
    cluster_free(cluster);
}

static void
a_branch_is_merged_once_and_in_order(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_ADAPTIVE, 6);
    struct member *leader = cluster_leader(cluster);
    struct member *away = &cluster->members[(member_index(leader) + 1) % 3];
    struct accepted accepted;
    uint64_t last = 0;

    (void)state;
    cluster->loss = 0.2;
    cluster->duplicates = 0.2;
    cluster_cut(cluster, member_index(away), true);
    cluster_run(cluster, 5 * TIMEOUT);
    for (uint64_t seq = 1; seq <= 500; seq++) {
        assert_int_equal(cluster_append_branch(away, 33, seq, &accepted), CAIRN_OK);
        append_many(cluster, leader, 11, seq, 1);
    }
    cluster_heal(cluster);
    everything_committed_everywhere(cluster);

    for (uint64_t lsn = 1; lsn <= cluster->committed_lsn; lsn++) {
        if (cluster->committed[lsn].id.producer == 33)
            assert_int_equal(cluster->committed[lsn].id.producer_seq, ++last);
    }
    assert_int_equal(last, 500);
    cluster_free(cluster);
}

static void
a_new_life_does_not_hold_the_branch_of_a_former_one(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_ADAPTIVE, 11);
    struct member *leader = cluster_leader(cluster);
    uint8_t origin = (uint8_t)((member_index(leader) + 1) % 3);
    struct member *away = &cluster->members[origin];
    struct accepted former, present;

    (void)state;
    cluster_cut(cluster, origin, true);
    cluster_run(cluster, 3 * TIMEOUT);
    assert_int_equal(cluster_append_branch(away, 33, 1, &former), CAIRN_OK);
    assert_true(core_branch_holds(away->core, origin, former.incarnation, former.seq));
    cluster_cut(cluster, origin, false);
    cluster_restart(cluster, origin);
    cluster_run(cluster, 20 * TIMEOUT);
    cluster_cut(cluster, origin, true);
    cluster_run(cluster, 3 * TIMEOUT);
    assert_int_equal(cluster_append_branch(away, 34, 1, &present), CAIRN_OK);
    assert_true(present.incarnation > former.incarnation);
    assert_true(core_branch_holds(away->core, origin, present.incarnation, present.seq));
    assert_false(core_branch_holds(away->core, origin, former.incarnation, former.seq));
    assert_false(core_branch_settled(away->core, origin, former.incarnation, former.seq));
    cluster_free(cluster);
}

static void
what_a_deposed_leader_acknowledged_returns_by_its_branch(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 7);
    struct member *old = cluster_leader(cluster), *new;
    struct accepted accepted;

    (void)state;
    cluster_cut(cluster, member_index(old), true);
    assert_int_equal(cluster_append(cluster, old, 7, 1, CAIRN_ACK_LOCAL, &accepted), CAIRN_OK);
    assert_int_equal(cluster_append(cluster, old, 7, 2, CAIRN_ACK_LOCAL, &accepted), CAIRN_OK);
    assert_int_equal(cluster_append(cluster, old, 8, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);
    assert_int_equal(old->depositions, 1);
    assert_int_equal(old->branch_count, 2);
    new = cluster_leader(cluster);
    append_many(cluster, new, 9, 1, 50);
    cluster_heal(cluster);
    everything_committed_everywhere(cluster);

    assert_int_equal(cluster_copies(cluster, 7, 1), 1);
    assert_int_equal(cluster_copies(cluster, 7, 2), 1);
    assert_int_equal(cluster_copies(cluster, 8, 1), 0);
    cluster_free(cluster);
}

static void
a_node_without_its_memory_does_not_vote(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 8);
    struct member *leader = cluster_leader(cluster);
    uint32_t holder = (member_index(leader) + 1u) % 3, behind = (member_index(leader) + 2u) % 3;

    (void)state;
    cluster_cut(cluster, behind, true);
    append_many(cluster, leader, 7, 1, 20);
    cluster_run(cluster, 2 * TIMEOUT);
    assert_int_equal(cluster_copies(cluster, 7, 20), 1);
    /* The holder forgets while the leader dies: electing `behind` would lose what is committed. */
    cluster_restart(cluster, holder);
    leader->down = true;
    cluster_heal(cluster);
    cluster_run(cluster, 100 * TIMEOUT);
    assert_int_not_equal(core_role(cluster->members[behind].core), ROLE_LEADER);
    assert_true(core_recovering(cluster->members[holder].core));
    leader->down = false;
    everything_committed_everywhere(cluster);

    assert_true(cluster->members[holder].recovered);
    assert_int_equal(cluster_copies(cluster, 7, 20), 1);
    cluster_free(cluster);
}

static void
a_linearizable_read_needs_the_majority(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 9);
    struct member *leader = cluster_leader(cluster);
    struct member *follower = &cluster->members[(member_index(leader) + 1) % 3];
    struct sink sink = {.apply = cluster_apply, .context = NULL};

    (void)state;
    append_many(cluster, leader, 7, 1, 20);
    cluster_run(cluster, TIMEOUT);
    sink.context = leader;
    assert_int_equal(core_read(leader->core, 1, false, cluster->now_ns, &sink), CAIRN_OK);
    sink.context = follower;
    assert_int_equal(core_read(follower->core, 2, false, cluster->now_ns, &sink), CAIRN_OK);
    cluster_run(cluster, TIMEOUT);
    assert_int_equal(leader->reads_ready, 1);
    assert_int_equal(follower->reads_ready, 1);
    assert_int_equal(follower->read_lsn, 21);
    cluster_cut(cluster, member_index(leader), true);
    sink.context = leader;
    assert_int_equal(core_read(leader->core, 3, false, cluster->now_ns, &sink), CAIRN_OK);
    cluster_run(cluster, 5 * TIMEOUT);

    assert_int_equal(leader->reads_ready, 1);
    assert_int_equal(leader->reads_failed, 1);
    cluster_free(cluster);
}

/* Found by the fuzzer: no leader's trunk has such an entry, and nothing may come of it. */
static void
an_entry_without_a_term_is_not_believed(void **state)
{
    struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, 10);
    struct member *leader = cluster_leader(cluster);
    struct member *follower = &cluster->members[(member_index(leader) + 1) % 3];
    struct message message = {.type = MESSAGE_APPEND, .from = member_index(leader), .to = member_index(follower)};
    struct sink sink = {.apply = cluster_apply, .context = follower};
    struct entry_id id = {0};

    (void)state;
    cluster_run(cluster, TIMEOUT);
    message.term = core_term(leader->core);
    message.append.prev_lsn = core_last_lsn(follower->core);
    message.append.run = (struct run){.first_lsn = message.append.prev_lsn + 1, .first_seq = 1, .count = 1};
    core_receive(follower->core, &message, &id, cluster->now_ns, &sink);

    assert_int_equal(core_last_lsn(follower->core), message.append.prev_lsn);
    cluster_free(cluster);
}

/* One random schedule: clients on every node, cuts, losses, restarts; then quiet, and the accounts.
 * Producer p has a client of its own that repeats each sequence until it is acknowledged. */
struct client {
    uint64_t producer, seq; /* seq: not yet acknowledged */
    uint64_t lsn, branch_seq;
    uint32_t node;
    uint32_t waited;
};

static void
client_step(struct cluster *cluster, struct client *client, bool branches)
{
    struct member *member = &cluster->members[client->node];
    struct accepted accepted;
    enum cairn_error error;

    if (client->lsn != 0 && member->committed_lsn >= client->lsn &&
        member->trunk[client->lsn].id.producer == client->producer) {
        client->seq++;
        client->lsn = 0;
    } else if (client->lsn != 0 && ++client->waited < 40) {
        return;
    }
    client->lsn = client->waited = 0;
    if (cluster_random(cluster, 20) == 0)
        client->node = (uint32_t)cluster_random(cluster, cluster->count);
    member = &cluster->members[client->node];
    if (member->down)
        return;
    error = cluster_append(cluster, member, client->producer, client->seq, CAIRN_ACK_MAJORITY, &accepted);
    if (error == CAIRN_OK)
        client->lsn = accepted.lsn;
    else if (branches && error != CAIRN_AGAIN && core_role(member->core) != ROLE_LEADER &&
             core_leader(member->core) == CAIRN_NODE_NONE &&
             cluster_append_branch(member, client->producer, client->seq, &accepted) == CAIRN_OK)
        client->seq++; /* acknowledged: it must be on the trunk in the end */
}

static void
random_schedule(uint64_t seed, bool restarts)
{
    uint32_t count = seed % 3 == 0 ? 5 : 3;
    bool branches = seed % 2 == 0 && !restarts;
    struct cluster *cluster = cluster_new(count, branches ? CAIRN_POLICY_ADAPTIVE : CAIRN_POLICY_CP, seed);
    struct client clients[6] = {0};

    for (uint32_t i = 0; i < 6; i++)
        clients[i] = (struct client){.producer = 100 + i, .seq = 1, .node = i % count};
    for (int round = 0; round < 60; round++) {
        uint32_t node = (uint32_t)cluster_random(cluster, count);

        cluster->loss = (double)cluster_random(cluster, 30) / 100;
        cluster->duplicates = (double)cluster_random(cluster, 20) / 100;
        cluster->delay_max_ns = MS / 20 + cluster_random(cluster, 2 * MS);
        switch (cluster_random(cluster, 5)) {
        case 0:
            cluster_cut(cluster, node, true);
            break;
        case 1:
            cluster->cut[node][cluster_random(cluster, count)] = true;
            break;
        case 2:
            if (restarts)
                cluster_restart(cluster, node);
            break;
        default:
            cluster_heal(cluster);
        }
        for (int step = 0; step < 40; step++) {
            for (uint32_t i = 0; i < 6; i++)
                client_step(cluster, &clients[i], branches);
            cluster_run(cluster, MS);
        }
        /* One restart at a time is what memory durability promises to survive. */
        if (restarts) {
            cluster_heal(cluster);
            cluster->loss = 0;
            cluster_run(cluster, 20 * TIMEOUT);
        }
    }
    cluster_heal(cluster);
    cluster->loss = cluster->duplicates = 0;
    cluster_leader(cluster);
    cluster_run(cluster, 20 * TIMEOUT);
    everything_committed_everywhere(cluster);
    for (uint32_t i = 0; i < 6; i++) {
        for (uint64_t seq = 1; seq < clients[i].seq; seq++) {
            uint32_t copies = cluster_copies(cluster, clients[i].producer, seq);

            if (copies != 1)
                fail_msg("seed %lu: producer %lu seq %lu is on the trunk %u times", seed, clients[i].producer, seq,
                         copies);
        }
    }
    cluster_free(cluster);
}

static void
random_schedules_lose_and_double_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_schedule(seed, false);
}

static void
random_restarts_lose_and_double_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_schedule(seed, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_nodes_elect_and_commit),
        cmocka_unit_test(a_single_node_leads_itself),
        cmocka_unit_test(an_old_leader_cannot_commit),
        cmocka_unit_test(a_node_that_was_away_does_not_depose_the_leader),
        cmocka_unit_test(a_repeat_gets_the_first_place),
        cmocka_unit_test(a_forgotten_producer_is_refused),
        cmocka_unit_test(a_branch_is_merged_once_and_in_order),
        cmocka_unit_test(a_new_life_does_not_hold_the_branch_of_a_former_one),
        cmocka_unit_test(what_a_deposed_leader_acknowledged_returns_by_its_branch),
        cmocka_unit_test(a_node_without_its_memory_does_not_vote),
        cmocka_unit_test(a_linearizable_read_needs_the_majority),
        cmocka_unit_test(an_entry_without_a_term_is_not_believed),
        cmocka_unit_test(random_schedules_lose_and_double_nothing),
        cmocka_unit_test(random_restarts_lose_and_double_nothing),
    };

    return RUN_TESTS(tests);
}
