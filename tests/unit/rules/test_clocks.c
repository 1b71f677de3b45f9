/* What time it is, by several clocks. */
#include "rules/clocks.h"
#include "tests/unit/check.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define DAY (86400 * SECOND)
#define BOUND (60 * SECOND)
#define START (1000 * SECOND) /* of the monotonic clock */
#define WALL (1700000000 * SECOND)

/* Node 0 of three. Each wall clock is so far ahead of WALL, where the monotonic clock is START. */
struct world {
    struct clocks clocks;
    uint64_t now_ns;
    int64_t ahead_ns[3];
    int64_t believed_ahead_ns[3];
    uint64_t lag_ns[3];
    cairn_node_set heard, started; /* started: nothing has been agreed there yet */
    struct clocks_news news;       /* all of it so far */
};

static uint64_t
wall_of(const struct world *world, uint8_t node)
{
    return WALL + (world->now_ns - START) + (uint64_t)world->ahead_ns[node];
}

static struct world
world_of_three(int64_t own_ahead_ns)
{
    static const struct clocks_config config = {.self = 0, .nodes = 3, .bound_ns = BOUND};
    struct world world = {.now_ns = START, .ahead_ns = {own_ahead_ns, 0, 0}, .heard = 7};

    clocks_init(&world.clocks, &config, wall_of(&world, 0), world.now_ns);
    return world;
}

static void
tell(struct world *world, uint8_t peer)
{
    struct clocks_word word = {
        .wall_ns = wall_of(world, peer),
        .believed_ns = WALL + (world->now_ns - START) + (uint64_t)world->believed_ahead_ns[peer],
        .lag_ns = world->lag_ns[peer],
    };

    if (world->started >> peer & 1)
        word.believed_ns = 0;
    clocks_told(&world->clocks, peer, &word, world->now_ns);
}

static void
pass(struct world *world, uint64_t for_ns)
{
    for (uint64_t end_ns = world->now_ns + for_ns; world->now_ns < end_ns;) {
        struct clocks_news news;

        world->now_ns += 100 * MS;
        for (uint8_t peer = 1; peer < 3; peer++) {
            if (world->heard >> peer & 1)
                tell(world, peer);
        }
        news = clocks_judge(&world->clocks, world->heard, wall_of(world, 0), world->now_ns);
        world->news.set_ns += news.set_ns;
        world->news.believed_ns += news.believed_ns;
        world->news.wrong |= news.wrong;
        world->news.right |= news.right;
    }
}

/* How far ahead of true time the time is that the node believes. */
static int64_t
error_ns(const struct world *world)
{
    return (int64_t)(clocks_time_ns(&world->clocks, world->now_ns) - (WALL + world->now_ns - START));
}

/* How old is, for the node, what is just old enough to go, in true time; INT64_MAX: it cannot tell. */
static int64_t
age_ns(const struct world *world, uint64_t asked_ns)
{
    uint64_t before_ns = clocks_old_before_ns(&world->clocks, asked_ns, world->now_ns);

    return before_ns == 0 ? INT64_MAX : (int64_t)(WALL + (world->now_ns - START) - before_ns);
}

static void
a_machine_whose_clock_is_wrong_goes_by_the_others(void **state)
{
    struct world world = world_of_three((int64_t)DAY);

    (void)state;
    pass(&world, SECOND / 10);
    assert_true(error_ns(&world) == 0);
    pass(&world, 2 * BOUND);
    assert_true(error_ns(&world) == 0);
    assert_int_equal(world.news.wrong, 1);
    assert_int_equal(world.news.right, 0);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    /* Cut off it knows no better than it did. */
    world.heard = 1;
    pass(&world, 2 * BOUND);
    assert_true(error_ns(&world) == 0);
    /* Set right, in sight of the others. */
    world.heard = 7;
    world.ahead_ns[0] = 0;
    pass(&world, BOUND + SECOND);
    assert_int_equal(world.news.right, 1);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
}

static void
a_peer_whose_clock_is_wrong_is_named_once_and_changes_nothing(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    world.ahead_ns[2] = -(int64_t)DAY;
    pass(&world, 2 * BOUND);
    assert_int_equal(world.news.wrong, 4);
    assert_true(error_ns(&world) == 0);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
    world.news = (struct clocks_news){0};
    pass(&world, 2 * BOUND);
    assert_int_equal(world.news.wrong, 0);
    world.ahead_ns[2] = 0;
    pass(&world, SECOND);
    assert_int_equal(world.news.right, 4);
}

static void
within_the_bound_nobody_is_wrong(void **state)
{
    struct world world = world_of_three(25 * (int64_t)SECOND);

    (void)state;
    world.ahead_ns[1] = -25 * (int64_t)SECOND;
    pass(&world, 2 * BOUND);
    assert_int_equal(world.news.wrong, 0);
    assert_true(error_ns(&world) == 0);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
}

static void
clocks_that_all_jump_and_return_age_nothing(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, 2 * BOUND);
    for (int i = 0; i < 3; i++)
        world.ahead_ns[i] = 10 * (int64_t)DAY;
    pass(&world, 3 * SECOND / 2);
    assert_true(world.news.set_ns == 10 * (int64_t)DAY);
    assert_true(error_ns(&world) == 0);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    for (int i = 0; i < 3; i++)
        world.ahead_ns[i] = 0;
    pass(&world, 2 * BOUND);
    assert_true(error_ns(&world) == 0 && world.news.believed_ns == 0);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
}

static void
a_jump_that_lasts_is_believed_and_ages_nothing_that_was_before(void **state)
{
    struct world world = world_of_three(0);
    uint64_t jumped_ns;

    (void)state;
    pass(&world, 2 * BOUND);
    for (int i = 0; i < 3; i++)
        world.ahead_ns[i] = 10 * (int64_t)DAY;
    pass(&world, BOUND - SECOND);
    assert_true(error_ns(&world) == 0);
    pass(&world, 2 * SECOND);
    assert_true(error_ns(&world) == 10 * (int64_t)DAY);
    assert_true(world.news.believed_ns == 10 * (int64_t)DAY);
    for (int i = 1; i < 3; i++) {
        world.believed_ahead_ns[i] = 10 * (int64_t)DAY;
        world.lag_ns[i] = 10 * DAY;
    }
    jumped_ns = world.now_ns;
    pass(&world, 2 * BOUND);
    /* What was written a day ago has a clock of the former time. */
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
    assert_int_equal(clocks_lag_ns(&world.clocks), 10 * DAY);
    /* Once all that was before is older, what was written since counts. */
    pass(&world, 3600 * SECOND);
    assert_true(age_ns(&world, 600 * SECOND) == 600 * (int64_t)SECOND - 10 * (int64_t)DAY);
    assert_true(world.now_ns - jumped_ns > 600 * SECOND);
}

static void
who_starts_after_a_jump_hears_of_it(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    world.lag_ns[1] = 10 * DAY;
    pass(&world, 2 * BOUND);
    assert_true(age_ns(&world, DAY) == 11 * (int64_t)DAY);
    assert_int_equal(clocks_lag_ns(&world.clocks), 10 * DAY);
    /* Also where the others believe it later. */
    world = world_of_three(0);
    pass(&world, BOUND / 2);
    world.lag_ns[2] = 10 * DAY;
    pass(&world, BOUND);
    assert_true(age_ns(&world, DAY) == 11 * (int64_t)DAY);
}

/* The clock that entries age by does not run out of its numbers: what ages by it would all be old. */
static void
a_lag_beyond_all_time_makes_nothing_old(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, SECOND);
    world.lag_ns[1] = UINT64_MAX;
    pass(&world, 2 * BOUND);
    assert_int_equal(clocks_old_before_ns(&world.clocks, DAY, world.now_ns), 0);
    /* Asked as of a moment before that was heard, as who reads its clock once for a turn does. */
    assert_int_equal(clocks_old_before_ns(&world.clocks, DAY, world.now_ns - MS), 0);
    assert_true(clocks_lag_ns(&world.clocks) <= WALL + 3 * BOUND);
}

/* The others go on by their monotonic clocks, and write by the former time; their lag is told once they believe. */
static void
who_starts_while_others_doubt_a_jump_finds_nothing_old_before_they_believe_it(void **state)
{
    struct world world = world_of_three(10 * (int64_t)DAY);

    (void)state;
    world.ahead_ns[1] = 10 * (int64_t)DAY;
    world.ahead_ns[2] = 10 * (int64_t)DAY;
    pass(&world, 3 * BOUND);
    assert_true(error_ns(&world) == 10 * (int64_t)DAY);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    world.believed_ahead_ns[1] = 10 * (int64_t)DAY;
    world.lag_ns[1] = 10 * DAY;
    pass(&world, 2 * BOUND);
    assert_int_equal(clocks_lag_ns(&world.clocks), 10 * DAY);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    /* The last of them may be cut off, too. */
    world.heard = 3;
    pass(&world, BOUND + SECOND);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
    world.heard = 7;
    pass(&world, 600 * SECOND);
    assert_true(age_ns(&world, 300 * SECOND) == INT64_MAX);
    world.believed_ahead_ns[2] = 10 * (int64_t)DAY;
    world.lag_ns[2] = 10 * DAY;
    pass(&world, BOUND + SECOND);
    assert_int_equal(clocks_lag_ns(&world.clocks), 10 * DAY);
    /* What that one wrote by the former time until then is no older either. */
    assert_true(age_ns(&world, 300 * SECOND) == 300 * (int64_t)SECOND);
    pass(&world, 600 * SECOND);
    assert_true(age_ns(&world, 300 * SECOND) == 300 * (int64_t)SECOND - 10 * (int64_t)DAY);
}

static void
a_jump_that_others_believe_first_counts_once(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, 2 * BOUND);
    for (int i = 0; i < 3; i++)
        world.ahead_ns[i] = 10 * (int64_t)DAY;
    world.believed_ahead_ns[1] = 10 * (int64_t)DAY;
    world.lag_ns[1] = 10 * DAY;
    pass(&world, BOUND - SECOND);
    assert_int_equal(clocks_lag_ns(&world.clocks), 0);
    pass(&world, 2 * SECOND);
    assert_true(error_ns(&world) == 10 * (int64_t)DAY);
    assert_int_equal(clocks_lag_ns(&world.clocks), 10 * DAY);
}

static void
what_nobody_agreed_on_at_a_peer_is_no_belief(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    world.started = 4;
    world.ahead_ns[2] = -(int64_t)DAY;
    world.lag_ns[2] = 10 * DAY;
    pass(&world, 2 * BOUND);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
    assert_int_equal(clocks_word(&world.clocks, world.now_ns).believed_ns, WALL + world.now_ns - START);
    world = world_of_three(0);
    assert_int_equal(clocks_word(&world.clocks, world.now_ns).believed_ns, 0);
}

static void
small_steps_forward_do_not_add_up(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, 2 * BOUND);
    for (int step = 0; step < 40; step++) {
        for (int i = 0; i < 3; i++)
            world.ahead_ns[i] += 900 * (int64_t)MS;
        pass(&world, SECOND);
    }
    pass(&world, 2 * BOUND);
    assert_true(error_ns(&world) == 36 * (int64_t)SECOND);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
}

static void
without_a_majority_nothing_is_old_and_no_jump_is_believed(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, 2 * BOUND);
    world.heard = 1;
    pass(&world, SECOND);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    world.heard = 5;
    pass(&world, SECOND);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
    world.heard = 1;
    world.ahead_ns[0] = -(int64_t)DAY;
    pass(&world, 10 * BOUND);
    assert_true(error_ns(&world) == 0);
    assert_true(world.news.set_ns == -(int64_t)DAY);
    assert_int_equal(world.news.wrong, 0);
    /* Three that all differ agree on nothing. */
    world.heard = 7;
    world.ahead_ns[1] = (int64_t)DAY;
    pass(&world, 2 * BOUND);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    assert_true(error_ns(&world) == 0);
    assert_int_equal(world.news.wrong, 2);
}

static void
after_a_start_nothing_is_old_before_clocks_have_agreed_for_as_long_as_the_bound(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, BOUND - SECOND);
    assert_true(age_ns(&world, DAY) == INT64_MAX);
    pass(&world, 2 * SECOND);
    assert_true(age_ns(&world, DAY) == (int64_t)DAY);
}

static void
absurd_clocks_are_taken_for_wrong(void **state)
{
    struct world world = world_of_three(0);

    (void)state;
    pass(&world, BOUND);
    world.heard = 1;
    clocks_told(&world.clocks, 1, &(struct clocks_word){UINT64_MAX, UINT64_MAX, UINT64_MAX}, world.now_ns);
    clocks_told(&world.clocks, 2, &(struct clocks_word){0, 1, UINT64_MAX}, world.now_ns);
    for (int i = 0; i < 20; i++) {
        struct clocks_news news = clocks_judge(&world.clocks, 7, wall_of(&world, 0),
                                               world.now_ns + (uint64_t)i * 100 * MS);

        world.news.wrong |= news.wrong;
    }
    assert_int_equal(world.news.wrong, 6);
    assert_true(clocks_is_ahead(&world.clocks, UINT64_MAX, world.now_ns));
}

/* Both peers' words came 40 ms late once, since this node did not run: the time does not go back by it. */
static void
words_that_waited_do_not_set_the_time_back(void **state)
{
    struct world world = world_of_three(0);
    uint64_t before_ns;

    (void)state;
    pass(&world, 2 * SECOND);
    before_ns = clocks_time_ns(&world.clocks, world.now_ns);
    assert_int_equal(before_ns, wall_of(&world, 0));
    world.ahead_ns[1] = world.ahead_ns[2] = -40 * (int64_t)MS;
    pass(&world, 100 * MS);
    world.ahead_ns[1] = world.ahead_ns[2] = 0;
    assert_true(wall_of(&world, 0) - clocks_time_ns(&world.clocks, world.now_ns) <= 40 * MS / 16);
    pass(&world, 100 * MS);
    assert_int_equal(clocks_time_ns(&world.clocks, world.now_ns), wall_of(&world, 0));
    /* A clock that is behind for good is followed all the same. */
    world.ahead_ns[1] = world.ahead_ns[2] = -40 * (int64_t)MS;
    pass(&world, 20 * SECOND);
    assert_true(wall_of(&world, 0) - clocks_time_ns(&world.clocks, world.now_ns) > 39 * MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_waited_do_not_set_the_time_back),
        cmocka_unit_test(a_machine_whose_clock_is_wrong_goes_by_the_others),
        cmocka_unit_test(a_peer_whose_clock_is_wrong_is_named_once_and_changes_nothing),
        cmocka_unit_test(within_the_bound_nobody_is_wrong),
        cmocka_unit_test(clocks_that_all_jump_and_return_age_nothing),
        cmocka_unit_test(a_jump_that_lasts_is_believed_and_ages_nothing_that_was_before),
        cmocka_unit_test(who_starts_after_a_jump_hears_of_it),
        cmocka_unit_test(who_starts_while_others_doubt_a_jump_finds_nothing_old_before_they_believe_it),
        cmocka_unit_test(a_lag_beyond_all_time_makes_nothing_old),
        cmocka_unit_test(a_jump_that_others_believe_first_counts_once),
        cmocka_unit_test(what_nobody_agreed_on_at_a_peer_is_no_belief),
        cmocka_unit_test(small_steps_forward_do_not_add_up),
        cmocka_unit_test(without_a_majority_nothing_is_old_and_no_jump_is_believed),
        cmocka_unit_test(after_a_start_nothing_is_old_before_clocks_have_agreed_for_as_long_as_the_bound),
        cmocka_unit_test(absurd_clocks_are_taken_for_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
