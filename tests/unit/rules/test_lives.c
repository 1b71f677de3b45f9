/* Who is who: introductions, lives that follow each other or do not, numbers that are granted, and the file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/identity_file.h"
#include "rules/lives.h"
#include "tests/unit/check.h"

#define MS 1000000ull
#define NODES 3
#define FIGURES                                                                                                        \
    {                                                                                                                  \
        .nodes = NODES, .heartbeat_ns = MS, .timeout_ns = 10 * MS, .clock_bound_ns = 1000 * MS, .memory_mib = 64       \
    }

struct world {
    struct lives nodes[NODES];
    uint64_t now_ns;
};

static struct cairn_id
id(uint8_t what)
{
    return (struct cairn_id){{what, 1}};
}

static struct agreed
agreed_of_three(void)
{
    return (struct agreed){.number = 7, .workers = 1, .names = {"n1", "n2", "n3"}, .now = FIGURES, .founded = FIGURES};
}

static void
begin(struct world *world, uint8_t node, const struct identity *identity, enum standing standing)
{
    lives_init(&world->nodes[node], identity, standing, 200 * MS);
}

static struct world
founded(void)
{
    const struct cairn_id cluster = id(1), members[] = {id(11), id(12), id(13)}, births[] = {id(21), id(22), id(23)};
    struct agreed agreed = agreed_of_three();
    struct world world = {.now_ns = 1000 * MS};

    for (uint8_t i = 0; i < NODES; i++) {
        struct identity identity;

        identity_found(&identity, &cluster, members, births, &agreed, i);
        identity.begun = true;
        begin(&world, i, &identity, STANDING_MEMBER);
    }
    return world;
}

static struct world
waiting(void)
{
    struct world world = {.now_ns = 1000 * MS};

    for (uint8_t i = 0; i < NODES; i++) {
        struct identity identity = {.self = i, .agreed = agreed_of_three(), .life.id = id((uint8_t)(31 + i))};

        begin(&world, i, &identity, STANDING_WAITING);
    }
    return world;
}

/* What the identity says is durable as soon as it is asked. */
static unsigned
say(struct world *world, uint8_t from, uint8_t to, bool heard)
{
    struct hello hello;
    struct lesson lesson;
    unsigned verdict;

    lives_kept(&world->nodes[from], world->nodes[from].version);
    lives_tell(&world->nodes[from], to, &hello);
    verdict = lives_hear(&world->nodes[to], from, &hello, heard, world->now_ns);
    if (!(verdict & LIVES_TEACH))
        return verdict;
    lives_teach(&world->nodes[to], &lesson);
    lives_learn(&world->nodes[from], to, &lesson);
    return verdict;
}

/* All talk, for a while. */
static void
talk(struct world *world, uint32_t who)
{
    for (int round = 0; round < 6; round++, world->now_ns += MS) {
        for (uint8_t from = 0; from < NODES; from++) {
            for (uint8_t to = 0; to < NODES; to++) {
                if (from != to && (who >> from & 1) && (who >> to & 1))
                    say(world, from, to, false);
            }
        }
    }
}

static bool
acquainted(const struct world *world, uint8_t one, uint8_t other)
{
    return !lives_unacquainted(&world->nodes[one], other) && !lives_unacquainted(&world->nodes[other], one);
}

/* It starts anew, with what it kept; continued or not. */
static void
restart(struct world *world, uint8_t node, uint8_t life, bool intact, uint64_t place)
{
    struct identity identity = world->nodes[node].identity;
    const struct cairn_id fresh = id(life);

    if (intact) {
        assert_true(identity_continue(&identity, &fresh));
        identity_begin(&identity, 0, place);
        identity.begun = true;
    } else {
        identity_forget(&identity, &fresh);
    }
    begin(world, node, &identity, intact ? STANDING_MEMBER : STANDING_FORGOTTEN);
}

static void
members_of_a_cluster_introduce_themselves(void **state)
{
    struct world world = founded();

    (void)state;
    assert_false(acquainted(&world, 0, 1));
    talk(&world, 7);
    for (uint8_t i = 1; i < NODES; i++)
        assert_true(acquainted(&world, 0, i));
}

static void
a_life_that_continues_its_chain_is_believed(void **state)
{
    struct world world = founded();

    (void)state;
    talk(&world, 7);
    restart(&world, 1, 42, true, 8192);
    assert_false(say(&world, 1, 0, false) & LIVES_INTRODUCED);
    /* The peer still means the life before when it says that it knows this node. */
    say(&world, 0, 1, false);
    assert_true(lives_unacquainted(&world.nodes[1], 0));
    talk(&world, 7);
    assert_true(acquainted(&world, 0, 1) && acquainted(&world, 1, 2));
    assert_int_equal(world.nodes[0].identity.known[1].life.number, 2);
}

/* Several lives that a peer slept through are of the chain all the same. */
static void
lives_that_a_peer_did_not_see_are_of_the_chain(void **state)
{
    struct world world = founded();

    (void)state;
    talk(&world, 7);
    for (uint8_t life = 50; life < 60; life++)
        restart(&world, 1, life, true, 4096u * life);
    talk(&world, 7);
    assert_true(acquainted(&world, 0, 1));
    assert_int_equal(world.nodes[2].identity.known[1].life.number, 11);
}

static void
a_copy_of_a_directory_that_lived_twice_has_forgotten(void **state)
{
    struct world world = founded(), copy;

    (void)state;
    talk(&world, 7);
    copy = world;
    restart(&world, 1, 42, true, 8192);
    talk(&world, 7);
    world.nodes[1] = copy.nodes[1];
    restart(&world, 1, 43, true, 8192);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_LAPSED);
    assert_true(world.nodes[1].identity.forgotten);
    assert_int_equal(world.nodes[0].identity.known[1].life.id.bytes[0], 42);
}

static void
a_step_back_in_time_is_told_by_who_knows_its_end(void **state)
{
    struct world world = founded();

    (void)state;
    world.nodes[1].places[0] = 100 * 4096;
    talk(&world, 7);
    assert_int_equal(world.nodes[0].identity.known[1].places[0], 100 * 4096);
    restart(&world, 1, 42, true, 99 * 4096);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_LAPSED);
}

/* Frames may come before the journal has been read: how far it goes is not known until then. */
static void
a_life_that_has_not_begun_judges_nobodys_word(void **state)
{
    struct world world = founded();
    struct identity begun;

    (void)state;
    world.nodes[1].places[0] = 100 * 4096;
    talk(&world, 7);
    begun = world.nodes[1].identity;
    assert_true(identity_continue(&begun, &(struct cairn_id){{42}}));
    begin(&world, 1, &begun, STANDING_MEMBER);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_MEMBER);
    assert_int_equal(world.nodes[0].identity.known[1].life.number, 1);
    begun = world.nodes[1].identity;
    begun.begun = true;
    identity_begin(&begun, 0, 100 * 4096);
    begin(&world, 1, &begun, STANDING_MEMBER);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_MEMBER);
    assert_int_equal(world.nodes[0].identity.known[1].life.number, 2);
    assert_true(acquainted(&world, 1, 0));
}

/* Killed while it started, again and again: the next start goes on where the last life that wrote had ended. */
static void
lives_that_ended_before_they_began_are_no_gap(void **state)
{
    char directory[] = "/tmp/cairn-lives-XXXXXX", detail[256];

    (void)state;
    assert_non_null(mkdtemp(directory));
    for (uint32_t lost = 0; lost < 2; lost++) {
        struct world world = founded();
        struct identity identity;
        bool there;

        identity_begin(&world.nodes[1].identity, 0, 0);
        talk(&world, 7);
        restart(&world, 1, 42, true, 10 * 4096);
        world.nodes[1].places[0] = 100 * 4096;
        talk(&world, 7);
        identity = world.nodes[1].identity;
        for (uint8_t life = 43; life < 46; life++) {
            struct cairn_id next = id(life);

            assert_true(identity_continue(&identity, &next));
            assert_int_equal(identity_save(directory, "n2", &identity, detail, sizeof(detail)), CAIRN_OK);
            assert_int_equal(identity_load(directory, "n2", &identity, &there, detail, sizeof(detail)), CAIRN_OK);
        }
        begin(&world, 1, &identity, STANDING_MEMBER);
        talk(&world, 7);
        assert_int_equal(world.nodes[1].standing, STANDING_MEMBER);
        identity_begin(&identity, 0, (100 - lost) * 4096);
        identity.begun = true;
        begin(&world, 1, &identity, STANDING_MEMBER);
        talk(&world, 7);
        assert_int_equal(world.nodes[1].standing, lost == 0 ? STANDING_MEMBER : STANDING_LAPSED);
    }
    identity_remove(directory, "n2");
    assert_int_equal(rmdir(strcat(strcpy(detail, directory), "/n2")), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void
who_has_forgotten_gets_a_number_from_a_majority_of_the_others(void **state)
{
    struct world world = founded();

    (void)state;
    talk(&world, 7);
    restart(&world, 1, 42, false, 0);
    talk(&world, 3);
    assert_int_equal(world.nodes[1].standing, STANDING_FORGOTTEN);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_MEMBER);
    assert_int_equal(world.nodes[1].identity.life.number, 2);
    talk(&world, 7);
    assert_true(acquainted(&world, 0, 1) && acquainted(&world, 1, 2));
}

static void
what_is_granted_is_kept_before_it_is_said(void **state)
{
    struct world world = founded();
    struct hello hello;

    (void)state;
    talk(&world, 7);
    restart(&world, 1, 42, false, 0);
    lives_tell(&world.nodes[1], 0, &hello);
    lives_hear(&world.nodes[0], 1, &hello, false, world.now_ns);
    hello.asked_number = world.nodes[1].asked_number = 2;
    lives_hear(&world.nodes[0], 1, &hello, false, world.now_ns);
    lives_tell(&world.nodes[0], 1, &hello);
    assert_int_equal(hello.granted_number, 0);
    lives_kept(&world.nodes[0], world.nodes[0].version);
    lives_tell(&world.nodes[0], 1, &hello);
    assert_int_equal(hello.granted_number, 2);
}

static void
two_that_forgot_the_same_get_different_numbers(void **state)
{
    struct world world = founded(), other;

    (void)state;
    talk(&world, 7);
    restart(&world, 1, 42, false, 0);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].identity.life.number, 2);
    other = world;
    restart(&world, 1, 43, false, 0);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].identity.life.number, 3);
    /* The first of the two comes back, and hears of the second. */
    world.nodes[1] = other.nodes[1];
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_LAPSED);
}

static void
two_of_three_that_have_forgotten_grant_each_other_nothing(void **state)
{
    struct world world = founded();

    (void)state;
    talk(&world, 7);
    restart(&world, 1, 42, false, 0);
    restart(&world, 2, 43, false, 0);
    talk(&world, 7);
    assert_int_equal(world.nodes[1].standing, STANDING_FORGOTTEN);
    assert_int_equal(world.nodes[2].standing, STANDING_FORGOTTEN);
}

static void
go_on_alone(struct world *world, uint8_t node, uint8_t first_id)
{
    struct cairn_id drawn[CAIRN_NODES_MAX];

    for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++)
        drawn[i] = id((uint8_t)(first_id + i));
    lives_give_up(&world->nodes[node], 7u & ~(1u << node), drawn, true);
}

static void
after_a_decision_one_word_is_enough_and_what_was_held_goes(void **state)
{
    struct world world = founded();

    (void)state;
    talk(&world, 7);
    restart(&world, 1, 42, false, 0);
    restart(&world, 2, 43, false, 0);
    talk(&world, 7);
    go_on_alone(&world, 0, 90);
    talk(&world, 3);
    assert_int_equal(world.nodes[1].standing, STANDING_MEMBER);
    assert_true(world.nodes[1].identity.discard);
    assert_false(world.nodes[0].identity.discard);
    assert_true(acquainted(&world, 0, 1));
    assert_int_equal(world.nodes[0].identity.alone_for, 1u << 2);
    talk(&world, 7);
    assert_int_equal(world.nodes[2].standing, STANDING_MEMBER);
    assert_int_equal(world.nodes[0].identity.alone_for, 0);
    assert_true(acquainted(&world, 1, 2));
}

static void
who_was_given_up_is_told_by_anybody_and_not_believed(void **state)
{
    struct world world = founded(), before;

    (void)state;
    talk(&world, 7);
    for (uint8_t life = 50; life < 60; life++) {
        restart(&world, 2, life, false, 0);
        talk(&world, 7);
        talk(&world, 7);
        assert_int_equal(world.nodes[2].standing, STANDING_MEMBER);
    }
    before = world;
    go_on_alone(&world, 0, 90);
    talk(&world, 1 | 2);
    restart(&world, 1, 44, false, 0);
    talk(&world, 1 | 2);
    assert_int_equal(world.nodes[1].standing, STANDING_MEMBER);
    world.nodes[2] = before.nodes[2];
    /* Of the one that decided it hears nothing. */
    talk(&world, 2 | 4);
    assert_int_equal(world.nodes[2].standing, STANDING_LAPSED);
    assert_true(world.nodes[2].identity.discard);
    assert_false(world.nodes[1].peers[2].introduced);
}

/* Of a cluster of five the one that decides may not know of its last number. */
static void
a_number_above_a_decision_is_no_excuse(void **state)
{
    struct world world = founded();
    struct identity *identity = &world.nodes[2].identity;
    const struct known_life decided = {.life = {.id = id(90), .number = 5}, .decided = true};
    const struct cairn_id fresh = id(77);

    (void)state;
    identity_forget(identity, &fresh);
    identity_number(identity, 9);
    assert_false(identity_confirms(identity, &decided));
    assert_true(identity_obey(identity, &decided));
    assert_true(identity->discard);
    assert_true(identity_confirms(identity, &decided));
    assert_false(identity_obey(identity, &decided));
}

static void
a_decision_is_obeyed_once(void **state)
{
    struct world world = founded(), late;

    (void)state;
    talk(&world, 7);
    go_on_alone(&world, 0, 90);
    talk(&world, 1 | 4);
    assert_int_equal(world.nodes[2].standing, STANDING_LAPSED);
    late = world;
    restart(&world, 2, 45, false, 0);
    talk(&world, 1 | 4);
    talk(&world, 1 | 4);
    assert_int_equal(world.nodes[2].standing, STANDING_MEMBER);
    world.nodes[2].identity.discard = false;
    /* One that knows of the decision and of nothing since. */
    world.nodes[0] = late.nodes[0];
    talk(&world, 1 | 4);
    assert_int_equal(world.nodes[2].standing, STANDING_MEMBER);
    assert_false(world.nodes[2].identity.discard);
    assert_true(acquainted(&world, 0, 2));
}

static void
found(struct world *world, enum standing expected)
{
    const struct cairn_id cluster = id(1), members[] = {id(11), id(12), id(13)};
    uint8_t missing;
    bool differs;

    lives_found(&world->nodes[0], &cluster, members, 1000 * MS, world->now_ns, &missing, &differs);
    assert_int_equal(world->nodes[0].standing, expected);
}

static void
a_cluster_is_founded_where_all_wait(void **state)
{
    struct world world = waiting();

    (void)state;
    talk(&world, 3);
    found(&world, STANDING_WAITING);
    talk(&world, 7);
    found(&world, STANDING_MEMBER);
    talk(&world, 7);
    for (uint8_t i = 0; i < NODES; i++) {
        assert_int_equal(world.nodes[i].standing, STANDING_MEMBER);
        assert_true(world.nodes[i].identity.born && !world.nodes[i].identity.forgotten);
        assert_int_equal(world.nodes[i].identity.life.number, 1);
    }
}

static void
a_process_that_was_not_there_at_the_foundation_has_forgotten(void **state)
{
    struct world world = waiting();
    struct identity identity = {.self = 2, .agreed = agreed_of_three(), .life.id = id(77)};

    (void)state;
    talk(&world, 7);
    found(&world, STANDING_MEMBER);
    begin(&world, 2, &identity, STANDING_WAITING);
    talk(&world, 7);
    assert_true(world.nodes[2].identity.forgotten && !world.nodes[2].identity.born);
    assert_int_equal(world.nodes[2].identity.life.number, 2);
}

static void
strangers_are_told_apart(void **state)
{
    struct world world = founded();
    struct hello hello;

    (void)state;
    lives_tell(&world.nodes[1], 0, &hello);
    hello.cluster = id(99);
    assert_int_equal(lives_hear(&world.nodes[0], 1, &hello, false, 0), LIVES_FOREIGN);
    lives_tell(&world.nodes[1], 0, &hello);
    hello.members[1] = id(99);
    assert_int_equal(lives_hear(&world.nodes[0], 1, &hello, false, 0), LIVES_STRANGER);
    lives_tell(&world.nodes[1], 0, &hello);
    hello.fingerprint++;
    assert_int_equal(lives_hear(&world.nodes[0], 1, &hello, false, 0), LIVES_DIFFERS);
    assert_false(world.nodes[0].peers[1].introduced);
}

/* What a node joins it keeps, so a hello that leaves out a seat, or does not say which cluster it is of, is not joined: no start
 * would take that from the file. */
static void
a_hello_that_leaves_out_a_member_is_not_joined(void **state)
{
    struct world world = founded();
    struct identity identity = {.self = 2, .agreed = agreed_of_three(), .life.id = id(41)};
    struct hello hello;

    (void)state;
    begin(&world, 2, &identity, STANDING_WAITING);
    lives_kept(&world.nodes[0], world.nodes[0].version);
    lives_tell(&world.nodes[0], 2, &hello);
    hello.members[1] = (struct cairn_id){{0}};
    assert_int_equal(lives_hear(&world.nodes[2], 0, &hello, false, world.now_ns), 0);
    assert_int_equal(world.nodes[2].standing, STANDING_WAITING);
    lives_tell(&world.nodes[0], 2, &hello);
    lives_hear(&world.nodes[2], 0, &hello, false, world.now_ns);
    assert_int_equal(world.nodes[2].standing, STANDING_FORGOTTEN);
}

/* The catalog has come to an entry at those nodes. */
static struct agreed
agree(struct world *world, const struct agreed_change *change, uint64_t lsn, uint32_t who)
{
    struct agreed agreed = agreed_of_three();
    struct cairn_id members[CAIRN_NODES_MAX] = {id(11), id(12), id(13)};
    uint8_t seat;

    assert_int_equal(agreed_apply(&agreed, change, lsn, 0, &seat), AGREED_TAKEN);
    if (seat != CAIRN_NODE_NONE)
        members[seat] = change->member;
    for (uint8_t i = 0; i < NODES; i++) {
        if (who >> i & 1)
            lives_agree(&world->nodes[i], &agreed, members);
    }
    return agreed;
}

static void
who_lags_is_believed_and_who_differs_is_not(void **state)
{
    struct world world = founded();
    struct hello hello;

    (void)state;
    talk(&world, 7);
    agree(&world, &(struct agreed_change){.timeout_ns = 20 * MS}, 5, 1);
    agree(&world, &(struct agreed_change){.timeout_ns = 30 * MS}, 5, 4);
    talk(&world, 3);
    assert_true(acquainted(&world, 0, 1));
    lives_tell(&world.nodes[2], 0, &hello);
    assert_true(world.nodes[0].peers[2].introduced);
    assert_int_equal(lives_hear(&world.nodes[0], 2, &hello, false, 0), LIVES_DIFFERS);
    assert_false(world.nodes[0].peers[2].introduced);
    assert_true(world.nodes[0].peers[1].introduced);
    /* By a heartbeat it is told as well. */
    assert_int_equal(lives_compare(&world.nodes[0], 1, 0, hello.fingerprint), 0);
    assert_true(world.nodes[0].peers[1].introduced);
    assert_int_equal(lives_compare(&world.nodes[0], 1, 5, hello.fingerprint), LIVES_DIFFERS);
    assert_false(world.nodes[0].peers[1].introduced);
    /* What leases rested on is kept with what they rest on now. */
    assert_int_equal(world.nodes[0].identity.promised_ns, 0);
    world = founded();
    agree(&world, &(struct agreed_change){.timeout_ns = 5 * MS}, 5, 1);
    assert_int_equal(world.nodes[0].identity.promised_ns, 10 * MS);
}

static void
who_is_added_is_taught_and_was_never_there_before(void **state)
{
    struct world world = founded();
    const struct agreed_change change = {.add = "n4", .member = id(14)};
    struct agreed agreed = agreed_of_three();
    struct identity identity = {.self = 3, .life.id = id(24)};
    struct lives fourth;
    struct hello hello;
    struct lesson lesson;
    uint8_t seat;

    (void)state;
    talk(&world, 7);
    /* Its cluster file lists it, and no cluster knows it. */
    agreed_apply(&agreed, &change, 1, 0, &seat);
    agreed.lsn = 0;
    agreed.founded = agreed.now;
    identity.agreed = agreed;
    lives_init(&fourth, &identity, STANDING_WAITING, 200 * MS);
    lives_tell(&fourth, 0, &hello);
    assert_int_equal(lives_hear(&world.nodes[0], 3, &hello, false, 0), 0);
    agree(&world, &change, 5, 7);
    for (uint8_t i = 0; i < NODES; i++)
        lives_kept(&world.nodes[i], world.nodes[i].version);
    assert_int_equal(lives_hear(&world.nodes[0], 3, &hello, false, 0), LIVES_REPLY | LIVES_TEACH);
    lives_tell(&world.nodes[0], 3, &hello);
    assert_int_equal(lives_hear(&fourth, 0, &hello, false, 0), 0);
    lives_teach(&world.nodes[0], &lesson);
    lesson.agreed.names[3][0] = 'x';
    assert_int_equal(lives_learn(&fourth, 0, &lesson), 0);
    lives_teach(&world.nodes[0], &lesson);
    lesson.agreed.now.nodes = 200;
    assert_int_equal(lives_learn(&fourth, 0, &lesson), 0);
    lives_teach(&world.nodes[0], &lesson);
    assert_int_equal(lives_learn(&fourth, 0, &lesson), LIVES_LEARNED | LIVES_CHANGED);
    assert_int_equal(fourth.standing, STANDING_LEARNED);
    /* It starts anew by that. */
    identity = fourth.identity;
    lives_init(&fourth, &identity, STANDING_FORGOTTEN, 200 * MS);
    for (uint8_t i = 0; i < 2; i++) {
        assert_int_equal(fourth.standing, STANDING_FORGOTTEN);
        lives_tell(&fourth, i, &hello);
        lives_hear(&world.nodes[i], 3, &hello, false, 0);
        lives_kept(&world.nodes[i], world.nodes[i].version);
        lives_tell(&world.nodes[i], 3, &hello);
        lives_hear(&fourth, i, &hello, false, 0);
    }
    assert_int_equal(fourth.standing, STANDING_MEMBER);
    assert_true(fourth.identity.life.number == 1 && fourth.identity.born && !fourth.identity.forgotten);
}

/* It is taught as who never lived is, and has forgotten all the same. */
static void
who_lost_its_state_after_a_change_has_forgotten(void **state)
{
    struct world world = founded();
    struct agreed agreed = agreed_of_three();
    struct identity identity = {.self = 2, .agreed = agreed, .life.id = id(77)};
    struct hello hello;
    struct lesson lesson;

    (void)state;
    talk(&world, 7);
    agree(&world, &(struct agreed_change){.timeout_ns = 20 * MS}, 5, 3);
    for (uint8_t i = 0; i < 2; i++)
        lives_kept(&world.nodes[i], world.nodes[i].version);
    begin(&world, 2, &identity, STANDING_WAITING);
    lives_teach(&world.nodes[0], &lesson);
    assert_int_equal(lives_learn(&world.nodes[2], 0, &lesson), LIVES_LEARNED | LIVES_CHANGED);
    identity = world.nodes[2].identity;
    begin(&world, 2, &identity, STANDING_FORGOTTEN);
    for (uint8_t round = 0; round < 4; round++) {
        for (uint8_t i = 0; i < 2; i++) {
            lives_tell(&world.nodes[2], i, &hello);
            lives_hear(&world.nodes[i], 2, &hello, false, world.now_ns);
            lives_kept(&world.nodes[i], world.nodes[i].version);
            lives_tell(&world.nodes[i], 2, &hello);
            lives_hear(&world.nodes[2], i, &hello, false, world.now_ns);
        }
    }
    assert_int_equal(world.nodes[2].standing, STANDING_MEMBER);
    assert_int_equal(world.nodes[2].identity.life.number, 2);
    assert_true(world.nodes[2].identity.forgotten && !world.nodes[2].identity.born);
}

static void
who_is_removed_is_told_and_not_heard(void **state)
{
    struct world world = founded();
    struct hello hello;

    (void)state;
    talk(&world, 7);
    agree(&world, &(struct agreed_change){.remove = "n3"}, 5, 3);
    assert_false(world.nodes[0].peers[2].introduced);
    lives_tell(&world.nodes[2], 0, &hello);
    assert_int_equal(lives_hear(&world.nodes[0], 2, &hello, false, 0), LIVES_REPLY);
    lives_tell(&world.nodes[0], 2, &hello);
    assert_int_equal(lives_hear(&world.nodes[2], 0, &hello, false, 0), LIVES_REMOVED);
    assert_int_equal(world.nodes[2].standing, STANDING_REMOVED);
    assert_true(acquainted(&world, 0, 1));
}

static void
of_two_that_run_at_once_the_later_is_refused(void **state)
{
    struct world world = founded(), rival;
    unsigned verdict = 0;

    (void)state;
    talk(&world, 7);
    rival = world;
    restart(&rival, 1, 42, true, 0);
    for (int i = 0; i < 400 && !(verdict & LIVES_TWICE); i++, world.now_ns += MS) {
        struct hello hello;

        lives_tell(&rival.nodes[1], 0, &hello);
        verdict = lives_hear(&world.nodes[0], 1, &hello, true, world.now_ns);
        assert_true(world.nodes[0].peers[1].introduced);
    }
    assert_true(verdict & LIVES_TWICE);
    rival.nodes[0] = world.nodes[0];
    assert_true(say(&rival, 0, 1, false) & LIVES_REFUSED);
    assert_false(say(&world, 0, 1, false) & LIVES_REFUSED);
}

static void
numbers_that_cannot_be_change_nothing(void **state)
{
    struct world world = founded(), before;
    struct hello hello;

    (void)state;
    talk(&world, 7);
    before = world;
    lives_tell(&world.nodes[1], 0, &hello);
    hello.number = UINT32_MAX;
    assert_int_equal(lives_hear(&world.nodes[0], 1, &hello, false, 0), 0);
    lives_tell(&world.nodes[1], 0, &hello);
    hello.known[2].number = UINT32_MAX;
    assert_int_equal(lives_hear(&world.nodes[0], 1, &hello, false, 0), 0);
    lives_tell(&world.nodes[1], 0, &hello);
    hello.standing = 200;
    assert_int_equal(lives_hear(&world.nodes[0], 1, &hello, false, 0), 0);
    assert_memory_equal(&world.nodes[0], &before.nodes[0], sizeof(before.nodes[0]));
}

/* A decision ends the stops of its log that came before it, and no others. */
static void
a_decision_ends_the_stops_before_it(void **state)
{
    struct world world = founded();
    struct identity *identity = &world.nodes[0].identity;

    (void)state;
    assert_true(identity_stop(identity, 4, 1, 10));
    assert_true(identity_stop(identity, 4, 2, 10));
    assert_false(identity_stop(identity, 4, 1, 9));
    assert_true(identity_stop(identity, 5, 2, 30));
    assert_false(identity_stopped_since(identity, 4, 20));
    assert_true(identity_stopped_since(identity, 5, 20));
    assert_true(identity_stopped_since(identity, 4, 10));
    assert_true(identity_end_stops(identity, 4, 20));
    assert_false(identity_end_stops(identity, 4, 20));
    assert_int_equal(identity_stopped(identity, 4).kind, 0);
    assert_int_equal(identity_stopped(identity, 5).kind, 2);
    /* Stopped once more, by what came after: that one is not decided. */
    assert_true(identity_stop(identity, 4, 2, 15));
    assert_true(identity_stop(identity, 4, 2, 25));
    assert_false(identity_end_stops(identity, 4, 20));
    assert_int_equal(identity_stopped(identity, 4).last_term, 25);
}

/* Where more were stopped than there is room for, each is, and no decision about one of them is enough. */
static void
more_stops_than_fit_stop_every_log(void **state)
{
    struct world world = founded();
    struct identity *identity = &world.nodes[0].identity;

    (void)state;
    for (uint32_t log = 0; log <= STOPS_MAX; log++)
        assert_true(identity_stop(identity, log, 1, 10));
    assert_int_equal(identity_stopped(identity, 1000).kind, 1);
    /* A graver one of yet another log is news once. */
    assert_true(identity_stop(identity, 1001, 2, 12));
    assert_false(identity_stop(identity, 1001, 2, 12));
    assert_int_equal(identity_stopped(identity, 1001).kind, 2);
    assert_true(identity_end_stops(identity, 1, 20));
    assert_true(identity_stopped_since(identity, 1, 20));
    assert_int_equal(identity_stopped(identity, 1).kind, 2);
}

/* A life that has a number ends a chain, and a chain ends with such a life. */
static void
a_file_without_a_chain_for_its_life_is_refused(void **state)
{
    char directory[] = "/tmp/cairn-unit-XXXXXX", path[64], detail[512];
    struct world world = founded();
    struct identity numbered = world.nodes[1].identity, chained = numbered, read;
    bool there;

    (void)state;
    assert_non_null(mkdtemp(directory));
    numbered.forgotten = chained.forgotten = true;
    numbered.chain_count = 0;
    chained.life.number = 0;
    assert_int_equal(identity_save(directory, "n2", &numbered, detail, sizeof(detail)), CAIRN_OK);
    assert_int_equal(identity_load(directory, "n2", &read, &there, detail, sizeof(detail)), CAIRN_CORRUPT);
    assert_int_equal(identity_save(directory, "n2", &chained, detail, sizeof(detail)), CAIRN_OK);
    assert_int_equal(identity_load(directory, "n2", &read, &there, detail, sizeof(detail)), CAIRN_CORRUPT);
    identity_remove(directory, "n2");
    snprintf(path, sizeof(path), "%s/n2", directory);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void
the_file_gives_back_what_was_kept(void **state)
{
    char directory[] = "/tmp/cairn-unit-XXXXXX", path[64], detail[512];
    struct world world = founded();
    struct identity read;
    bool there;
    int file;

    (void)state;
    assert_non_null(mkdtemp(directory));
    restart(&world, 1, 42, true, 8192);
    assert_true(identity_stop(&world.nodes[1].identity, 4, 2, 1ull << 40));
    assert_int_equal(identity_save(directory, "n2", &world.nodes[1].identity, detail, sizeof(detail)), CAIRN_OK);
    assert_int_equal(identity_load(directory, "n2", &read, &there, detail, sizeof(detail)), CAIRN_OK);
    assert_true(there);
    assert_memory_equal(&read, &world.nodes[1].identity, sizeof(read));
    assert_int_equal(identity_load(directory, "n1", &read, &there, detail, sizeof(detail)), CAIRN_OK);
    assert_false(there);
    snprintf(path, sizeof(path), "%s/n2/identity", directory);
    for (off_t at = 0; at < 400; at++) {
        uint8_t byte;

        file = open(path, O_RDWR | O_CLOEXEC);
        assert_true(file >= 0 && pread(file, &byte, 1, at) == 1);
        byte ^= 1;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        assert_int_equal(identity_load(directory, "n2", &read, &there, detail, sizeof(detail)), CAIRN_CORRUPT);
        byte ^= 1;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        close(file);
    }
    identity_remove(directory, "n2");
    snprintf(path, sizeof(path), "%s/n2", directory);
    rmdir(path);
    rmdir(directory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_a_cluster_introduce_themselves),
        cmocka_unit_test(a_life_that_continues_its_chain_is_believed),
        cmocka_unit_test(lives_that_a_peer_did_not_see_are_of_the_chain),
        cmocka_unit_test(a_copy_of_a_directory_that_lived_twice_has_forgotten),
        cmocka_unit_test(a_step_back_in_time_is_told_by_who_knows_its_end),
        cmocka_unit_test(a_life_that_has_not_begun_judges_nobodys_word),
        cmocka_unit_test(lives_that_ended_before_they_began_are_no_gap),
        cmocka_unit_test(who_has_forgotten_gets_a_number_from_a_majority_of_the_others),
        cmocka_unit_test(what_is_granted_is_kept_before_it_is_said),
        cmocka_unit_test(two_that_forgot_the_same_get_different_numbers),
        cmocka_unit_test(after_a_decision_one_word_is_enough_and_what_was_held_goes),
        cmocka_unit_test(who_was_given_up_is_told_by_anybody_and_not_believed),
        cmocka_unit_test(a_number_above_a_decision_is_no_excuse),
        cmocka_unit_test(a_decision_is_obeyed_once),
        cmocka_unit_test(two_of_three_that_have_forgotten_grant_each_other_nothing),
        cmocka_unit_test(a_cluster_is_founded_where_all_wait),
        cmocka_unit_test(a_process_that_was_not_there_at_the_foundation_has_forgotten),
        cmocka_unit_test(strangers_are_told_apart),
        cmocka_unit_test(a_hello_that_leaves_out_a_member_is_not_joined),
        cmocka_unit_test(who_lags_is_believed_and_who_differs_is_not),
        cmocka_unit_test(who_is_added_is_taught_and_was_never_there_before),
        cmocka_unit_test(who_lost_its_state_after_a_change_has_forgotten),
        cmocka_unit_test(who_is_removed_is_told_and_not_heard),
        cmocka_unit_test(of_two_that_run_at_once_the_later_is_refused),
        cmocka_unit_test(numbers_that_cannot_be_change_nothing),
        cmocka_unit_test(a_decision_ends_the_stops_before_it),
        cmocka_unit_test(more_stops_than_fit_stop_every_log),
        cmocka_unit_test(a_file_without_a_chain_for_its_life_is_refused),
        cmocka_unit_test(the_file_gives_back_what_was_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
