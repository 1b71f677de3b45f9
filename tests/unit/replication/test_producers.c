/* The table of producers, and what others tell of them. */
#include "../check.h"
#include "state.h"

#define CAPACITY 16u
#define ROOM (CAPACITY / 4 * 3)
#define WINDOW 16u

struct table {
    struct producers producers;
    struct producer slots[CAPACITY];
    struct undo undo[WINDOW];
};

static struct table *
table_new(void)
{
    struct table *table = calloc(1, sizeof(*table));

    assert_non_null(table);
    table->producers = (struct producers){
        .slots = table->slots,
        .undo = table->undo,
        .capacity = CAPACITY,
        .undo_mask = WINDOW - 1,
    };
    return table;
}

static void
note(struct table *table, uint64_t id, uint64_t seq, uint64_t lsn)
{
    struct entry_id entry = {.producer = id, .producer_seq = seq};

    producers_note(&table->producers, &entry, lsn);
}

static void
merge(struct table *table, uint64_t id, uint64_t seq, uint64_t lsn)
{
    struct producer row = {.id = id, .seq = seq, .lsn = lsn};

    producers_merge(&table->producers, &row);
}

/* With producers 101 and on, the lower the older. */
static struct table *
table_full(void)
{
    struct table *table = table_new();

    for (uint64_t id = 1; id <= ROOM; id++)
        merge(table, 100 + id, 1, 100 + id);
    return table;
}

static uint64_t
seq_of(const struct table *table, uint64_t id)
{
    return producers_last(&table->producers, id).seq;
}

static bool
refuses(const struct table *table, uint64_t id)
{
    struct entry_id entry = {.producer = id, .producer_seq = 1};
    uint64_t lsn, seq;

    return producers_check(&table->producers, &entry, &lsn, &seq) == CAIRN_PRODUCER_EVICTED;
}

static void
what_is_further_stands(void **state)
{
    struct table *table = table_new();

    (void)state;
    note(table, 7, 3, 10);
    producers_commit(&table->producers, 10);
    merge(table, 7, 2, 5);
    assert_int_equal(seq_of(table, 7), 3);
    merge(table, 7, 9, 40);
    assert_int_equal(seq_of(table, 7), 9);
    merge(table, 8, 1, 41);
    assert_int_equal(seq_of(table, 8), 1);
    free(table);
}

static void
what_is_told_stands_when_what_is_not_committed_goes(void **state)
{
    struct table *table = table_new();

    (void)state;
    note(table, 7, 1, 10);
    merge(table, 7, 5, 8);
    assert_int_equal(seq_of(table, 7), 1);
    producers_truncate(&table->producers, 10);
    assert_int_equal(seq_of(table, 7), 5);
    free(table);
}

static void
of_a_full_table_the_oldest_goes_and_is_refused(void **state)
{
    struct table *table = table_full();

    (void)state;
    merge(table, 200, 1, 200);
    assert_int_equal(seq_of(table, 200), 1);
    assert_int_equal(seq_of(table, 101), 0);
    assert_true(refuses(table, 101));
    /* Who is older than all that are there is not taken in, and refused as well. */
    merge(table, 150, 1, 5);
    assert_int_equal(seq_of(table, 150), 0);
    assert_true(refuses(table, 150));
    free(table);
}

static void
a_floor_that_was_told_outlives_a_truncation(void **state)
{
    struct table *table = table_full();

    (void)state;
    note(table, 110, 2, 300);
    merge(table, 200, 1, 200);
    assert_true(refuses(table, 101));
    producers_truncate(&table->producers, 300);
    assert_true(refuses(table, 101));
    assert_int_equal(seq_of(table, 110), 1);
    free(table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_further_stands),
        cmocka_unit_test(what_is_told_stands_when_what_is_not_committed_goes),
        cmocka_unit_test(of_a_full_table_the_oldest_goes_and_is_refused),
        cmocka_unit_test(a_floor_that_was_told_outlives_a_truncation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
