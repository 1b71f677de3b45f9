/* The table of producers, and what others tell of them. */
#include "replication/state.h"
#include "tests/unit/check.h"

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

/* Else those that it had pushed out came back beside it, until no place was free, and who is unknown was looked for for ever. */
static void
of_a_full_table_whoever_is_told_of_goes_with_its_entry(void **state)
{
    struct table *table = table_full();

    (void)state;
    for (uint64_t id = 201; id <= 204; id++)
        note(table, id, 1, 300 + id);
    for (uint64_t id = 201; id <= 204; id++)
        merge(table, id, 1, 290);
    producers_truncate(&table->producers, 501);
    assert_int_equal(table->producers.used, ROOM);
    assert_int_equal(seq_of(table, 999), 0);
    for (uint64_t id = 201; id <= 204; id++) {
        assert_int_equal(seq_of(table, id), 0);
        assert_true(refuses(table, id));
        assert_int_equal(seq_of(table, id - 100), 1);
    }
    free(table);
}

/* What the table says is looked at after each entry, and must be said again once what came after it is cut off. */
#define ENTRIES 400u
#define IDS 60u

struct said {
    struct producer rows[IDS + 1];
    uint64_t floor;
};

static void
ask_all(const struct table *table, struct said *said)
{
    *said = (struct said){.floor = table->producers.evicted_floor};
    for (uint64_t id = 1; id <= IDS; id++)
        said->rows[id] = producers_last(&table->producers, id);
}

static void
says_the_same(const struct said *now, const struct said *then)
{
    assert_int_equal(now->floor, then->floor);
    for (uint64_t id = 1; id <= IDS; id++) {
        assert_int_equal(now->rows[id].seq, then->rows[id].seq);
        assert_int_equal(now->rows[id].lsn, then->rows[id].lsn);
        assert_int_equal(now->rows[id].epoch, then->rows[id].epoch);
        assert_int_equal(now->rows[id].former_epoch, then->rows[id].former_epoch);
        assert_int_equal(now->rows[id].former_seq, then->rows[id].former_seq);
        assert_int_equal(now->rows[id].run_seq, then->rows[id].run_seq);
        assert_int_equal(now->rows[id].run_lsn, then->rows[id].run_lsn);
    }
}

/* Mostly the same producer goes on; sometimes with a gap in its lsns, by another holder of its id, or one of long ago. */
static struct entry_id
draw_next(const struct table *table, struct entry_id last)
{
    struct producer known;
    int draw = rand() % 16;

    /* Who was pushed out is refused. */
    while (draw < 4 || refuses(table, last.producer)) {
        last.producer = 1 + (uint64_t)rand() % IDS;
        draw = 15;
    }
    known = producers_last(&table->producers, last.producer);
    last.epoch = known.epoch;
    last.producer_seq = known.seq + 1;
    if (draw == 4) {
        last.epoch = known.epoch + 1;
        last.producer_seq = 1;
    } else if (draw == 5 && known.former_seq != 0) {
        last.epoch = known.former_epoch;
        last.producer_seq = known.former_seq + 1;
    }
    return last;
}

static void
what_is_committed_is_told(const struct table *table, const struct said *then)
{
    for (uint64_t id = 1; id <= IDS; id++) {
        struct producer committed = producers_committed(&table->producers, id);

        if (producers_last(&table->producers, id).id != 0)
            assert_int_equal(committed.seq, then->rows[id].seq);
    }
}

static void
each_entry_can_be_taken_back(void **state)
{
    static struct said said[ENTRIES + 1];

    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct table *table = table_new();
        struct entry_id next = {.producer = 1};
        uint64_t last = 0, commit = 0;

        srand(seed);
        ask_all(table, &said[0]);
        while (last < ENTRIES) {
            struct said now;

            if (last - commit == WINDOW || rand() % 8 == 0) {
                commit += last == commit ? 0 : 1 + (uint64_t)rand() % (last - commit);
                producers_commit(&table->producers, commit);
            } else if (rand() % 8 == 0 && last > commit) {
                last = commit + (uint64_t)rand() % (last - commit);
                producers_truncate(&table->producers, last + 1);
            } else {
                next = draw_next(table, next);
                producers_note(&table->producers, &next, ++last);
                ask_all(table, &said[last]);
            }
            ask_all(table, &now);
            says_the_same(&now, &said[last]);
            what_is_committed_is_told(table, &said[commit]);
        }
        free(table);
    }
}

/* A row that came with a base may tell of a part of a run. */
static void
what_is_told_stands_within_a_run(void **state)
{
    (void)state;
    for (uint64_t told = 9; told <= 16; told++) {
        for (uint64_t kept = 9; kept <= 14; kept++) {
            struct table *table = table_new();
            uint64_t most = told > kept ? told : kept;

            for (uint64_t lsn = 10; lsn <= 14; lsn++)
                note(table, 7, lsn - 9, lsn);
            merge(table, 7, told - 9, told);
            producers_truncate(&table->producers, kept + 1);
            assert_int_equal(seq_of(table, 7), most - 9);
            free(table);
        }
    }
}

static void
a_copy_names_each_entry_of_a_run(void **state)
{
    struct table *table = table_new(), *branch = table_new();

    (void)state;
    branch->producers.undo_mask = 0;
    for (uint64_t lsn = 10; lsn <= 14; lsn++)
        note(table, 7, lsn - 9, lsn);
    producers_commit(&table->producers, 10);
    producers_copy(&table->producers, 12, 2, &branch->producers, 31);
    assert_int_equal(producers_last(&branch->producers, 7).seq, 4);
    assert_int_equal(producers_last(&branch->producers, 7).lsn, 32);
    assert_int_equal(producers_last(&branch->producers, 7).run_seq, 3);
    free(table);
    free(branch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_further_stands),
        cmocka_unit_test(what_is_told_stands_when_what_is_not_committed_goes),
        cmocka_unit_test(of_a_full_table_the_oldest_goes_and_is_refused),
        cmocka_unit_test(a_floor_that_was_told_outlives_a_truncation),
        cmocka_unit_test(of_a_full_table_whoever_is_told_of_goes_with_its_entry),
        cmocka_unit_test(each_entry_can_be_taken_back),
        cmocka_unit_test(what_is_told_stands_within_a_run),
        cmocka_unit_test(a_copy_names_each_entry_of_a_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
