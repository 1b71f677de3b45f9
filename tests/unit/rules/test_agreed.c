/* What a cluster agrees on: what may be changed, what not, and that all come to the same. */
#include <string.h>

#include "rules/agreed.h"
#include "tests/unit/check.h"

#define MS 1000000ull

static struct agreed
of_three(void)
{
    struct agreed agreed = {
        .number = 7,
        .durability = CAIRN_DISK,
        .workers = 1,
        .names = {"n1", "n2", "n3"},
        .now = {.nodes = 3, .heartbeat_ns = MS, .timeout_ns = 10 * MS, .clock_bound_ns = 60000 * MS, .memory_mib = 256},
    };

    agreed.founded = agreed.now;
    return agreed;
}

static enum agreed_refusal
apply(struct agreed *agreed, struct agreed_change change, uint32_t logs)
{
    uint8_t seat;

    return agreed_apply(agreed, &change, agreed->lsn + 1, logs, &seat);
}

static void
what_does_not_make_sense_changes_nothing(void **state)
{
    static const struct {
        struct agreed_change change;
        enum agreed_refusal refusal;
    } cases[] = {
        {{.timeout_ns = 2 * MS}, AGREED_NO_TIMING},
        {{.heartbeat_ns = 4 * MS}, AGREED_NO_TIMING},
        {{.heartbeat_ns = 1000}, AGREED_NO_TIMING},
        {{.timeout_ns = 61000 * MS}, AGREED_NO_TIMING},
        {{.clock_bound_ns = 99 * MS}, AGREED_NO_BOUND},
        {{.clock_bound_ns = 3601000 * MS}, AGREED_NO_BOUND},
        {{.memory_mib = 63}, AGREED_NO_MEMORY},
        {{.memory_mib = 119}, AGREED_NO_MEMORY},
        {{.memory_mib = MEMORY_MIB_MAX + 1}, AGREED_NO_MEMORY},
        {{.add = "n2"}, AGREED_IS_THERE},
        {{.add = "-n4"}, AGREED_NO_NAME},
        {{.add = "n 4"}, AGREED_NO_NAME},
        {{.add = "n4", .remove = "n3"}, AGREED_NO_SEAT},
        {{.remove = "n4"}, AGREED_NOT_THERE},
        {{.timeout_ns = 10 * MS}, AGREED_NOTHING},
        {{.add = ""}, AGREED_NOTHING},
        /* All of a change, or nothing. */
        {{.add = "n4", .timeout_ns = MS}, AGREED_NO_TIMING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct agreed agreed = of_three(), before = agreed;

        assert_int_equal(apply(&agreed, cases[i].change, 10), cases[i].refusal);
        assert_true(agreed_fingerprint(&agreed) == agreed_fingerprint(&before) && agreed.lsn == 0);
        assert_true(strlen(agreed_refusal_text(cases[i].refusal)) > 5);
    }
}

static void
seats_are_given_once_and_come_back_to_their_names(void **state)
{
    struct agreed agreed = of_three();

    (void)state;
    assert_int_equal(apply(&agreed, (struct agreed_change){.add = "n4"}, 0), AGREED_TAKEN);
    assert_int_equal(agreed_present(&agreed), 0xf);
    assert_int_equal(apply(&agreed, (struct agreed_change){.remove = "n2"}, 0), AGREED_TAKEN);
    assert_int_equal(agreed_present(&agreed), 0xd);
    assert_int_equal(apply(&agreed, (struct agreed_change){.remove = "n2"}, 0), AGREED_NOT_THERE);
    assert_int_equal(apply(&agreed, (struct agreed_change){.add = "n5"}, 0), AGREED_TAKEN);
    assert_int_equal(agreed_seat(&agreed, "n5"), 4);
    assert_int_equal(apply(&agreed, (struct agreed_change){.add = "n2"}, 0), AGREED_TAKEN);
    assert_int_equal(agreed_seat(&agreed, "n2"), 1);
    assert_int_equal(agreed_present(&agreed), 0x1f);
    assert_true(agreed_plausible(&agreed));
    for (char name[] = "na"; agreed.now.nodes < CAIRN_NODES_MAX; name[1]++)
        assert_int_equal(apply(&agreed, (struct agreed_change){.add = {name[0], name[1]}}, 0), AGREED_TAKEN);
    assert_int_equal(apply(&agreed, (struct agreed_change){.add = "one-more"}, 0), AGREED_NO_SEAT);
    for (uint8_t seat = 1; seat < CAIRN_NODES_MAX; seat++) {
        struct agreed_change change = {0};

        memcpy(change.remove, agreed.names[seat], sizeof(change.remove));
        assert_int_equal(apply(&agreed, change, 0), AGREED_TAKEN);
    }
    assert_int_equal(apply(&agreed, (struct agreed_change){.remove = "n1"}, 0), AGREED_LAST);
}

/* Whoever begins with what was founded, and applies the same entries, has the same; and no other has its fingerprint. */
static void
all_come_to_the_same(void **state)
{
    static const struct agreed_change changes[] = {{.timeout_ns = 40 * MS},
                                                   {.add = "n4"},
                                                   {.memory_mib = 512, .heartbeat_ns = 2 * MS},
                                                   {.remove = "n1"},
                                                   {.add = "n1"}};
    struct agreed agreed = of_three(), replayed;
    uint64_t fingerprints[8];
    uint32_t count = 0;

    (void)state;
    fingerprints[count++] = agreed_fingerprint(&agreed);
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        assert_int_equal(apply(&agreed, changes[i], 0), AGREED_TAKEN);
        for (uint32_t j = 0; j < count; j++)
            assert_true(fingerprints[j] != agreed_fingerprint(&agreed));
        fingerprints[count++] = agreed_fingerprint(&agreed);
    }
    agreed_as_founded(&agreed, &replayed);
    assert_true(agreed_fingerprint(&replayed) == fingerprints[0]);
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
        assert_int_equal(apply(&replayed, changes[i], 0), AGREED_TAKEN);
    assert_true(agreed_fingerprint(&replayed) == agreed_fingerprint(&agreed));
}

static void
what_comes_from_outside_is_looked_at(void **state)
{
    struct agreed good = of_three(), bad;

    (void)state;
    assert_true(agreed_plausible(&good));
#define BAD(field, value)                                                                                              \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        bad.field = value;                                                                                             \
        assert_false(agreed_plausible(&bad));                                                                          \
    } while (0)
    BAD(now.nodes, 0);
    BAD(now.nodes, 17);
    BAD(now.nodes, 2);
    BAD(now.nodes, 4);
    BAD(removed, 7);
    BAD(removed, 8);
    BAD(now.timeout_ns, UINT64_MAX);
    BAD(now.heartbeat_ns, 0);
    BAD(founded.clock_bound_ns, 0);
    BAD(now.memory_mib, UINT32_MAX);
    BAD(durability, (enum cairn_durability)7);
    BAD(names[1][0], '\0');
    BAD(names[1][1], '1');
#undef BAD
    bad = good;
    memset(bad.names[2], 'x', sizeof(bad.names[2]));
    assert_false(agreed_plausible(&bad));
}

static void
memory_is_enough_for_as_many_logs_as_it_is_said_to_be(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < 2000; i++) {
        uint32_t logs = i / 4 + 1, workers = 1 + i % 4;
        uint32_t mib = agreed_memory_mib(logs, workers, CAIRN_DISK);

        assert_true(agreed_logs_max(mib, workers, CAIRN_DISK) >= logs && mib >= workers * MEMORY_MIB_MIN);
        assert_true(mib == workers * MEMORY_MIB_MIN || agreed_logs_max(mib - workers, workers, CAIRN_DISK) < logs);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_make_sense_changes_nothing),
        cmocka_unit_test(seats_are_given_once_and_come_back_to_their_names),
        cmocka_unit_test(all_come_to_the_same),
        cmocka_unit_test(what_comes_from_outside_is_looked_at),
        cmocka_unit_test(memory_is_enough_for_as_many_logs_as_it_is_said_to_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
