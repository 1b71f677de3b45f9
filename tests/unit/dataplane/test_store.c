/* The store: what is appended is read back, whatever the sizes; truncation, trim, cursors. */
#include "dataplane/store.h"
#include "tests/unit/check.h"

struct fixture {
    struct segment_pool pool;
    struct store store;
    uint64_t next;
    uint8_t buffer[RECORD_BYTES_MAX + 8] __attribute__((aligned(64)));
};

static struct fixture *
fixture_new(uint32_t segments)
{
    struct fixture *fixture = aligned_alloc(64, (sizeof(*fixture) + 63) & ~63ul);

    memset(fixture, 0, sizeof(*fixture));
    assert_true(segment_pool_init(&fixture->pool, (size_t)segments * SEGMENT_BYTES, SEGMENT_BYTES));
    assert_true(store_init(&fixture->store, &fixture->pool));
    fixture->next = 1;
    return fixture;
}

static void
fixture_free(struct fixture *fixture)
{
    store_fini(&fixture->store);
    assert_int_equal(fixture->pool.in_use, 0);
    segment_pool_fini(&fixture->pool);
    free(fixture);
}

static uint32_t
payload_bytes_of(uint64_t position, uint32_t step)
{
    return (uint32_t)(position * step % 251);
}

/* One record, its content told by its position. */
static bool
append_sized(struct fixture *fixture, uint32_t payload_bytes, uint64_t term)
{
    static uint8_t payload[CAIRN_PAYLOAD_BYTES_MAX];
    struct record head = {.payload_bytes = payload_bytes, .producer = 5, .producer_seq = fixture->next};
    struct block block = {
        .term = term, .first_lsn = fixture->next, .first_seq = fixture->next, .count = 1, .fork_lsn = FORK_TRUNK};
    bool appended;

    memset(payload, (int)(fixture->next % 256), payload_bytes);
    record_build((struct record *)(void *)fixture->buffer, &head, NULL, payload);
    block.size_bytes = (uint32_t)record_size(&head);
    appended = store_append(&fixture->store, &block, fixture->buffer);
    fixture->next += appended;
    return appended;
}

static void
expect_all(struct fixture *fixture, uint64_t from, uint64_t to)
{
    struct cursor cursor = {.position = from};
    struct stretch stretch;
    uint64_t position = from;

    while (store_look(&fixture->store, &cursor, to, 7, 2000, &stretch)) {
        const uint8_t *at = stretch.records;

        assert_int_equal(stretch.first, position);
        for (uint32_t i = 0; i < stretch.count; i++, position++) {
            const struct record *record = (const struct record *)(const void *)at;

            assert_true(record_intact(record));
            assert_int_equal(record->producer_seq, position);
            at += record_size(record);
        }
        store_advance(&cursor, &stretch);
    }
    assert_int_equal(position, to + 1);
}

/* A segment whose table of blocks meets its records to the byte counts as full. */
static void
records_and_block_table_never_overlap(void **state)
{
    struct fixture *fixture = fixture_new(3);
    const struct segment *segment;

    (void)state;
    assert_true(append_sized(fixture, 8, 1));
    segment = fixture->store.segments[0];
    while (segment_room(segment) > 4096 || segment_room(segment) % 8 != 0) {
        store_seal(&fixture->store);
        assert_true(append_sized(fixture, 8, 1));
    }
    store_seal(&fixture->store);
    assert_true(
        append_sized(fixture, (uint32_t)(segment_room(segment) - sizeof(struct block) - sizeof(struct record)), 1));
    for (int i = 0; i < 1000; i++)
        assert_true(append_sized(fixture, 8, 1));

    expect_all(fixture, 1, fixture->store.last);
    fixture_free(fixture);
}

static void
what_is_appended_is_read_from_anywhere(void **state)
{
    struct fixture *fixture = fixture_new(4);

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        assert_true(append_sized(fixture, payload_bytes_of(fixture->next, 37), 1 + i / 1000));
        if (i % 5 == 0)
            store_seal(&fixture->store);
    }
    for (uint64_t from = 1; from <= 20000; from += 997)
        expect_all(fixture, from, 20000);
    fixture_free(fixture);
}

static void
a_cursor_at_the_end_goes_on_when_more_comes(void **state)
{
    struct fixture *fixture = fixture_new(4);
    struct cursor cursor = {.position = 1};
    struct stretch stretch;

    (void)state;
    for (uint32_t i = 0; i < 60000; i++) {
        assert_true(append_sized(fixture, 100, 1));
        if (i % 4 == 0)
            store_seal(&fixture->store);
        assert_true(store_look(&fixture->store, &cursor, UINT64_MAX, 100, 2000, &stretch));
        assert_int_equal(stretch.first, fixture->store.last);
        store_advance(&cursor, &stretch);
        assert_false(store_look(&fixture->store, &cursor, UINT64_MAX, 100, 2000, &stretch));
    }
    fixture_free(fixture);
}

static void
a_truncated_end_is_gone_and_replaced(void **state)
{
    struct fixture *fixture = fixture_new(4);

    (void)state;
    for (uint64_t keep = 50000; keep > 0; keep -= 10000) {
        while (fixture->next <= 60000)
            assert_true(append_sized(fixture, 64, 1));
        store_truncate(&fixture->store, keep + 1);
        assert_int_equal(fixture->store.last, keep);
        fixture->next = keep + 1;
        expect_all(fixture, 1, keep);
    }
    store_truncate(&fixture->store, 1);
    assert_int_equal(fixture->store.last, 0);
    assert_int_equal(fixture->store.entries, 0);
    assert_int_equal(fixture->store.bytes, 0);
    fixture_free(fixture);
}

static void
trimmed_segments_are_used_again(void **state)
{
    struct fixture *fixture = fixture_new(4);

    (void)state;
    for (uint32_t i = 0; i < 400000; i++) {
        assert_true(append_sized(fixture, 64, 1));
        if (fixture->pool.in_use > 2)
            store_trim(&fixture->store, fixture->store.last);
    }
    expect_all(fixture, store_first(&fixture->store), fixture->store.last);
    fixture_free(fixture);
}

static bool
is_one_of(void *context, uint32_t segment)
{
    return *(uint32_t *)context >> segment & 1;
}

/* What frames under way refer to is left alone, and keeps none of the others from being used. */
static void
a_segment_that_frames_refer_to_is_passed_over(void **state)
{
    struct segment_pool pool;
    struct segment *segments[4];
    uint32_t busy = 0;

    (void)state;
    assert_true(segment_pool_init(&pool, (size_t)4 * SEGMENT_BYTES, SEGMENT_BYTES));
    pool.busy = is_one_of;
    pool.busy_context = &busy;
    for (int i = 0; i < 4; i++)
        segments[i] = segment_take(&pool);
    assert_false(segment_is_ready(&pool));
    for (int i = 0; i < 3; i++)
        segment_give(&pool, segments[i]);
    busy = 1u << segments[2]->id | 1u << segments[1]->id;
    assert_true(segment_is_ready(&pool));
    assert_ptr_equal(segment_take(&pool), segments[0]);
    assert_false(segment_is_ready(&pool));
    assert_null(segment_take(&pool));
    busy = 1u << segments[2]->id;
    assert_ptr_equal(segment_take(&pool), segments[1]);
    busy = 0;
    assert_ptr_equal(segment_take(&pool), segments[2]);
    assert_null(segment_take(&pool));
    segment_pool_fini(&pool);
}

static void
a_full_store_refuses_and_keeps_what_it_has(void **state)
{
    struct fixture *fixture = fixture_new(2);

    (void)state;
    while (append_sized(fixture, CAIRN_PAYLOAD_BYTES_MAX, 1))
        ;
    assert_int_equal(fixture->store.last, 6);
    expect_all(fixture, 1, 6);
    fixture_free(fixture);
}

static void
the_digest_depends_on_content_and_order_not_on_blocks(void **state)
{
    uint64_t digests[3];

    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        struct fixture *fixture = fixture_new(2);
        struct cursor cursor = {.position = 1};
        struct stretch stretch;

        for (uint32_t i = 0; i < 100; i++) {
            append_sized(fixture, i == 50 && variant == 2 ? 9 : 8, 1);
            if (variant == 1)
                store_seal(&fixture->store);
        }
        digests[variant] = 0;
        while (store_look(&fixture->store, &cursor, UINT64_MAX, 3 + (uint32_t)variant, 4000, &stretch)) {
            digests[variant] = digest_extend(digests[variant], &stretch);
            store_advance(&cursor, &stretch);
        }
        fixture_free(fixture);
    }
    assert_int_equal(digests[0], digests[1]);
    assert_int_not_equal(digests[0], digests[2]);
}

/* A trunk of which nothing is in memory yet, and a segment that was taken for what the core then refused. */
static void
a_segment_that_is_empty_yet_has_nothing_to_show(void **state)
{
    struct fixture *fixture = fixture_new(4);
    struct cursor cursor = {.position = 50};
    struct stretch stretch;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(append_sized(fixture, 20, 1));
    store_reset(&fixture->store, 200);
    assert_non_null(store_stage(&fixture->store, 1000));
    assert_false(store_look(&fixture->store, &cursor, 200, 1, SIZE_MAX, &stretch));
    assert_int_equal(store_first(&fixture->store), 0);
    fixture_free(fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_and_block_table_never_overlap),
        cmocka_unit_test(what_is_appended_is_read_from_anywhere),
        cmocka_unit_test(a_cursor_at_the_end_goes_on_when_more_comes),
        cmocka_unit_test(a_truncated_end_is_gone_and_replaced),
        cmocka_unit_test(trimmed_segments_are_used_again),
        cmocka_unit_test(a_segment_that_frames_refer_to_is_passed_over),
        cmocka_unit_test(a_full_store_refuses_and_keeps_what_it_has),
        cmocka_unit_test(a_segment_that_is_empty_yet_has_nothing_to_show),
        cmocka_unit_test(the_digest_depends_on_content_and_order_not_on_blocks),
    };

    return RUN_TESTS(tests);
}
