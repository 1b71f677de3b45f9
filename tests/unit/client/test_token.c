/* Session tokens: what they take in, and as text. */
#include "tests/unit/check.h"

#include "cairn/token.h"

static struct cairn_result
on_branch(uint8_t origin, uint32_t incarnation, uint64_t seq)
{
    return (struct cairn_result){.on_branch = true, .origin = origin, .incarnation = incarnation, .seq = seq};
}

static void
a_token_knows_the_furthest_of_trunk_and_branches(void **state)
{
    struct cairn_token token = {0};
    struct cairn_result trunk = {.lsn = 7}, branch = on_branch(2, 1, 4), refused = {.error = CAIRN_FULL, .lsn = 99};
    char text[CAIRN_TOKEN_TEXT_BYTES];

    (void)state;
    assert_int_equal(cairn_token_note(&token, &trunk), CAIRN_OK);
    trunk.lsn = 5;
    assert_int_equal(cairn_token_note(&token, &trunk), CAIRN_OK);
    assert_int_equal(cairn_token_note(&token, &branch), CAIRN_OK);
    branch.seq = 3;
    assert_int_equal(cairn_token_note(&token, &branch), CAIRN_OK);
    branch = on_branch(2, 3, 1);
    assert_int_equal(cairn_token_note(&token, &branch), CAIRN_OK);
    assert_int_equal(cairn_token_note(&token, &refused), CAIRN_OK);
    cairn_token_format(&token, text, sizeof(text));
    assert_string_equal(text, "7 2/1/4 2/3/1");
}

/* Whatever a node says, a token can be read back. */
static void
a_place_that_cannot_be_is_not_noted(void **state)
{
    const struct cairn_result wrong[] = {on_branch(CAIRN_NODES_MAX, 1, 1),
                                         on_branch(1, 0, 1),
                                         on_branch(1, CAIRN_TOKEN_LIFE_MAX + 1, 1),
                                         on_branch(1, 1, CAIRN_TOKEN_SEQ_MAX + 1),
                                         {.lsn = CAIRN_TOKEN_LSN_MAX + 1}};
    const struct cairn_result end = {.type = CAIRN_RESULT_END, .on_branch = true, .fork_lsn = UINT64_MAX};
    struct cairn_token token = {.lsn = 7};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(cairn_token_note(&token, &wrong[i]), CAIRN_INVALID);
    cairn_token_settle(&token, &end);
    assert_int_equal(token.lsn, 7);
    assert_int_equal(token.branches_count, 0);
}

static void
a_full_token_says_so_and_comes_back_from_text(void **state)
{
    struct cairn_token token = {.cluster = {{7, [15] = 200}}, .lsn = CAIRN_TOKEN_LSN_MAX}, back;
    struct cairn_result one_more = on_branch(1, 99, 1);
    char text[CAIRN_TOKEN_TEXT_BYTES];

    (void)state;
    for (uint32_t i = 0; i < CAIRN_TOKEN_BRANCHES; i++) {
        struct cairn_result branch = on_branch((uint8_t)(CAIRN_NODES_MAX - 1), CAIRN_TOKEN_LIFE_MAX - i,
                                               CAIRN_TOKEN_SEQ_MAX);

        assert_int_equal(cairn_token_note(&token, &branch), CAIRN_OK);
    }
    assert_int_equal(cairn_token_note(&token, &one_more), CAIRN_FULL);
    cairn_token_format(&token, text, sizeof(text));
    assert_true(strlen(text) + 1 < sizeof(text));
    assert_int_equal(cairn_token_parse(text, &back), CAIRN_OK);
    assert_true(cairn_id_equal(&back.cluster, &token.cluster));
    assert_int_equal(back.lsn, token.lsn);
    assert_int_equal(back.branches_count, token.branches_count);
    for (uint32_t i = 0; i < token.branches_count; i++) {
        assert_int_equal(back.branches[i].seq, token.branches[i].seq);
        assert_int_equal(back.branches[i].incarnation, token.branches[i].incarnation);
        assert_int_equal(back.branches[i].origin, token.branches[i].origin);
    }
}

static void
what_a_read_found_on_the_trunk_is_forgotten_for_the_lsn(void **state)
{
    struct cairn_token token = {.lsn = 3, .branches_count = 1};
    struct cairn_result end = {.type = CAIRN_RESULT_END, .error = CAIRN_BEHIND, .fork_lsn = 9};

    (void)state;
    token.branches[0].seq = 4;
    cairn_token_settle(&token, &end);
    assert_int_equal(token.lsn, 3);
    end.error = CAIRN_OK;
    end.on_branch = true;
    cairn_token_settle(&token, &end);
    assert_int_equal(token.lsn, 9);
    assert_int_equal(token.branches_count, 1);
    end.on_branch = false;
    cairn_token_settle(&token, &end);
    assert_int_equal(token.branches_count, 0);
}

static void
text_that_is_no_token_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "1 ",
                                        "1 2",
                                        "1 2/3",
                                        "1 2/3/",
                                        "1 16/1/1",
                                        "1 2/1/0",
                                        "1 2/1/1x",
                                        "1x",
                                        "-1",
                                        " 1",
                                        "+1",
                                        "0x10",
                                        "72057594037927936",
                                        "18446744073709551617",
                                        "1 257/1/1",
                                        "1 2/0/1",
                                        "1 2/-1/1",
                                        "1 2/16777216/1",
                                        "1 2/1/1099511627776",
                                        "1 2/ 1/1",
                                        "1  2/1/1",
                                        "0123456789abcdef0123456789abcdef1",
                                        "0123456789abcdef0123456789abcdeg 1",
                                        "0123456789abcdef0123456789abcdef",
                                        "0123456789abcdef0123456789abcde 1"};
    struct cairn_token token = {.lsn = 42};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(cairn_token_parse(wrong[i], &token), CAIRN_INVALID);
    assert_int_equal(token.lsn, 42);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_knows_the_furthest_of_trunk_and_branches),
        cmocka_unit_test(a_place_that_cannot_be_is_not_noted),
        cmocka_unit_test(a_full_token_says_so_and_comes_back_from_text),
        cmocka_unit_test(what_a_read_found_on_the_trunk_is_forgotten_for_the_lsn),
        cmocka_unit_test(text_that_is_no_token_is_refused),
    };

    return RUN_TESTS(tests);
}
