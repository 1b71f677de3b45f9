/* Followers of a `ca` log that answer reads alone, and what the leader does not do meanwhile. */
#include "tests/unit/replication/cluster.h"

static bool
lease_read(struct cluster *cluster, struct member *member)
{
    struct sink sink = {.apply = cluster_apply, .context = member};
    uint64_t ready = member->reads_ready;

    (void)core_read(member->core, 1, true, cluster->now_ns, &sink);
    return member->reads_ready > ready;
}

static struct member *
other(struct cluster *cluster, const struct member *member, uint32_t nth)
{
    return &cluster->members[(member_index(member) + nth) % cluster->count];
}

/* A cluster whose follower has been granted what it may be. */
static struct cluster *
granted(enum cairn_policy policy, struct member **leader, struct member **reader)
{
    struct cluster *cluster = cluster_new(3, policy, 3);
    struct accepted accepted;

    *leader = cluster_leader(cluster);
    *reader = other(cluster, *leader, 1);
    assert_int_equal(cluster_append(cluster, *leader, 7, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 2 * TIMEOUT);
    assert_false(lease_read(cluster, *reader));
    cluster_run(cluster, TIMEOUT / 4);
    assert_int_equal((*reader)->reads_ready, 1);
    assert_int_equal((*reader)->read_lsn, accepted.lsn);
    return cluster;
}

static void
a_granted_follower_needs_nobody_until_the_grant_ends(void **state)
{
    struct member *leader, *reader;
    struct cluster *cluster = granted(CAIRN_POLICY_CA, &leader, &reader);

    (void)state;
    cluster_cut(cluster, member_index(reader), true);
    assert_true(lease_read(cluster, reader));
    cluster_run(cluster, TIMEOUT / 4);
    assert_true(lease_read(cluster, reader));
    cluster_run(cluster, TIMEOUT / 2);
    assert_false(lease_read(cluster, reader));
    cluster_free(cluster);
}

static void
other_policies_grant_nothing(void **state)
{
    struct member *leader, *reader;
    struct cluster *cluster = granted(CAIRN_POLICY_CP, &leader, &reader);

    (void)state;
    assert_false(lease_read(cluster, reader));
    cluster_free(cluster);
}

static void
a_commit_waits_for_who_was_granted(void **state)
{
    struct member *leader, *reader;
    struct cluster *cluster = granted(CAIRN_POLICY_CA, &leader, &reader);
    struct accepted accepted;

    (void)state;
    cluster_cut(cluster, member_index(reader), true);
    assert_int_equal(cluster_append(cluster, leader, 7, 2, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    for (int i = 0; i < 16 && lease_read(cluster, reader); i++) {
        assert_true(leader->committed_lsn < accepted.lsn);
        cluster_run(cluster, TIMEOUT / 16);
    }
    cluster_run(cluster, TIMEOUT / 8);
    assert_int_equal(leader->committed_lsn, accepted.lsn);
    cluster_free(cluster);
}

static void
who_was_cut_off_is_granted_nothing_before_it_holds_all(void **state)
{
    struct member *leader, *reader;
    struct cluster *cluster = granted(CAIRN_POLICY_CA, &leader, &reader);
    struct accepted accepted;
    struct sink sink;
    struct message question;

    (void)state;
    cluster_cut(cluster, member_index(reader), true);
    assert_int_equal(cluster_append(cluster, leader, 7, 2, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
    cluster_run(cluster, 2 * TIMEOUT);
    assert_int_equal(leader->committed_lsn, accepted.lsn);
    /* Its question comes through, the entry has not yet. */
    question = (struct message){.type = MESSAGE_READ_INDEX, .from = member_index(reader), .to = member_index(leader)};
    question.term = core_term(leader->core);
    question.incarnation = 1;
    question.yes = true;
    question.read_index.token = 9;
    question.read_index.clock_ns = cluster->now_ns;
    cluster_heal(cluster);
    sink = (struct sink){.apply = cluster_apply, .context = leader};
    core_receive(leader->core, &question, NULL, cluster->now_ns, &sink);
    for (int i = 0; i < 64 && reader->committed_lsn < accepted.lsn; i++) {
        assert_false(lease_read(cluster, reader) && reader->read_lsn < accepted.lsn);
        cluster_run(cluster, TIMEOUT / 64);
    }
    cluster_free(cluster);
}

static void
leadership_is_handed_over_when_no_grant_runs(void **state)
{
    struct member *leader, *reader, *target;
    struct cluster *cluster = granted(CAIRN_POLICY_CA, &leader, &reader);

    (void)state;
    target = other(cluster, leader, 2);
    assert_int_equal(core_transfer(leader->core, member_index(target), cluster->now_ns), CAIRN_OK);
    for (int i = 0; i < 40 && core_role(target->core) != ROLE_LEADER; i++) {
        cluster_run(cluster, TIMEOUT / 16);
        assert_false(core_role(target->core) == ROLE_LEADER && core_term(reader->core) < core_term(target->core) &&
                     lease_read(cluster, reader));
    }
    assert_int_equal(core_role(target->core), ROLE_LEADER);
    cluster_free(cluster);
}

static void
set_timeouts(struct cluster *cluster, const struct member *but, uint64_t timeout_ns)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (&cluster->members[i] != but)
            core_set_election_timeout(cluster->members[i].core, timeout_ns);
    }
}

/* Confirmed by the voters, then hung and cut off: while another leads, nothing is read under the lease. Returns for how long the
 * lease ran. */
static uint64_t
lease_of_cut_off(struct cluster *cluster, struct member *leader)
{
    uint64_t ran_ns = 0;
    bool deposed = false;

    cluster_cut(cluster, member_index(leader), true);
    leader->down = true;
    for (uint64_t waited_ns = 0; waited_ns < 12 * TIMEOUT; waited_ns += TIMEOUT / 8) {
        bool led = false, current = lease_read(cluster, leader);

        for (uint32_t i = 0; i < cluster->count; i++)
            led |= &cluster->members[i] != leader && core_role(cluster->members[i].core) == ROLE_LEADER;
        assert_false(led && current);
        deposed |= led;
        ran_ns = current ? waited_ns : ran_ns;
        cluster_run(cluster, TIMEOUT / 8);
    }
    assert_true(deposed);
    return ran_ns;
}

/* Another timeout was agreed on, and comes to one node after another. */
static void
a_lease_is_no_longer_than_the_promises_that_it_rests_on(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct cluster *cluster = cluster_new(3, CAIRN_POLICY_CP, seed);
        struct member *leader = cluster_leader(cluster);
        struct accepted accepted;

        assert_int_equal(cluster_append(cluster, leader, 7, 1, CAIRN_ACK_MAJORITY, &accepted), CAIRN_OK);
        cluster_run(cluster, TIMEOUT);
        if (seed % 2 == 0) {
            /* A longer one, which the leader alone knows of. */
            core_set_election_timeout(leader->core, 4 * TIMEOUT);
            (void)lease_read(cluster, leader);
            cluster_run(cluster, TIMEOUT / 8);
            assert_true(lease_of_cut_off(cluster, leader) < TIMEOUT);
        } else {
            /* A shorter one, which the voters learn of when they have just promised more. */
            set_timeouts(cluster, NULL, 4 * TIMEOUT);
            cluster_run(cluster, TIMEOUT);
            (void)lease_read(cluster, leader);
            cluster_run(cluster, TIMEOUT / 8);
            set_timeouts(cluster, leader, TIMEOUT);
            assert_true(lease_of_cut_off(cluster, leader) > 2 * TIMEOUT);
        }
        cluster_free(cluster);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_granted_follower_needs_nobody_until_the_grant_ends),
        cmocka_unit_test(other_policies_grant_nothing),
        cmocka_unit_test(a_commit_waits_for_who_was_granted),
        cmocka_unit_test(who_was_cut_off_is_granted_nothing_before_it_holds_all),
        cmocka_unit_test(leadership_is_handed_over_when_no_grant_runs),
        cmocka_unit_test(a_lease_is_no_longer_than_the_promises_that_it_rests_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
