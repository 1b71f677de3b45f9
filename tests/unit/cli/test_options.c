/* The grammar of command lines: a value is taken whole or refused with one line that names it. */
#include "tests/unit/check.h"

#include "cli/cli.h"
#include "cli/values.h"

static char said[512];

/* Instead of what writes to a terminal. */
int
cli_usage(const char *what, ...)
{
    va_list arguments;

    va_start(arguments, what);
    vsnprintf(said, sizeof(said), what, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

int
cli_end(int status)
{
    return status;
}

/* A command of all kinds. */
struct taken {
    uint64_t lsn, age_ns, bytes, since_ns;
    uint32_t count;
    const char *word, *nodes, *file, *key;
    struct cli_producer producer;
    bool json;
    int first;
};

static int
parse(struct taken *taken, int argc, const char *const *words)
{
    const struct cli_option options[] = {
        {"lsn", OPTION_U64, &taken->lsn, "", .min = 2, .max = 100, .unit = "entries", .apart = "since"},
        {"count", OPTION_U32, &taken->count, "", .min = 1, .max = UINT32_MAX},
        {"age", OPTION_DURATION, &taken->age_ns, "", .min = 1000000000, .max = 86400000000000, .step = 1000000,
         .or_zero = true},
        {"bytes", OPTION_SIZE, &taken->bytes, "", .min = 1, .max = 1ull << 60, .verbs = "set"},
        {"since", OPTION_MOMENT, &taken->since_ns, ""},
        {"word", OPTION_WORD, &taken->word, "", .unit = "memory|disk"},
        {"nodes", OPTION_NODES, &taken->nodes, "", .needs = "word"},
        {"file", OPTION_FILE, &taken->file, ""},
        {"key", OPTION_CHARACTER, &taken->key, ""},
        {"producer", OPTION_PRODUCER, &taken->producer, ""},
        {"json", OPTION_FLAG, &taken->json, ""},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"set", "NAME", 1, 1}, {"list", "", 0, 0}, {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"log", .verbs = verbs, .options = options};
    char *argv[16] = {(char *)(uintptr_t) "log"};
    int status;

    memset(taken, 0, sizeof(*taken));
    said[0] = '\0';
    for (int i = 0; i < argc; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    return cli_parse(argc + 1, argv, &grammar, &taken->first, &status) ? 0 : status;
}

#define PARSE(taken, ...)                                                                                              \
    parse(taken, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})

static void
what_is_right_is_taken(void **state)
{
    struct taken taken;

    (void)state;
    assert_int_equal(PARSE(&taken, "set", "--lsn", "7", "x", "--json", "--age=12h"), 0);
    assert_int_equal(taken.lsn, 7);
    assert_int_equal(taken.age_ns, 12 * 3600 * 1000000000ull);
    assert_true(taken.json);
    assert_int_equal(taken.first, 5);
    assert_int_equal(PARSE(&taken, "set", "--bytes", "8M", "--age", "0", "--", "--x"), 0);
    assert_int_equal(taken.bytes, 8 << 20);
    assert_int_equal(
        PARSE(&taken, "list", "--word", "disk", "--nodes", "n1,n2", "--key", "\t", "--count", "4294967295"), 0);
    assert_int_equal(taken.count, UINT32_MAX);
    assert_int_equal(PARSE(&taken, "list", "--producer", "5@00000000000000000000000000000001", "--since",
                           "2026-11-27T06:00:00Z", "--file", "-"),
                     0);
    assert_int_equal(taken.producer.id, 5);
    assert_int_equal(taken.producer.of.bytes[15], 1);
    assert_int_equal(taken.since_ns, 1795759200000000000ull);
}

static void
a_number_is_digits_within_its_range(void **state)
{
    static const char *const wrong[] = {"",     "1",   "101", "-2",      "+2",  " 2",  "2 ",
                                        "0x10", "010", "2e1", "2.0",     "nan", "inf", "18446744073709551618",
                                        "2\n",  "2K",  "1,0", "\xd9\xa2"};
    struct taken taken;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(PARSE(&taken, "list", "--lsn", wrong[i]), EXIT_USAGE);
        assert_non_null(strstr(said, "log list: --lsn does not take"));
        assert_non_null(strstr(said, "2 to 100 entries"));
    }
    assert_int_equal(PARSE(&taken, "list", "--count", "4294967296"), EXIT_USAGE);
}

static void
a_unit_is_one_of_the_kind_and_what_wraps_is_refused(void **state)
{
    static const char *const ages[] = {
        "5", "300000d", "1000001us", "999ms", "1w", "1 h", "1.5h", "h", "18446744073709551615d", "2d"};
    static const char *const sizes[] = {"0", "1k", "1KB", "99999999999T", "1048577T", "-1", "M"};
    struct taken taken;

    (void)state;
    for (size_t i = 0; i < sizeof(ages) / sizeof(*ages); i++) {
        assert_int_equal(PARSE(&taken, "list", "--age", ages[i]), EXIT_USAGE);
        assert_non_null(strstr(said, "0, or 1s to 1d"));
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        assert_int_equal(PARSE(&taken, "set", "x", "--bytes", sizes[i]), EXIT_USAGE);
        assert_non_null(strstr(said, "1 to 1048576T"));
    }
}

static void
options_are_named_in_full_and_once(void **state)
{
    struct taken taken;

    (void)state;
    assert_int_equal(PARSE(&taken, "list", "--coun", "5"), EXIT_USAGE);
    assert_non_null(strstr(said, "unknown option '--coun'"));
    assert_int_equal(PARSE(&taken, "list", "-c"), EXIT_USAGE);
    assert_int_equal(PARSE(&taken, "list", "--count", "5", "--count=5"), EXIT_USAGE);
    assert_non_null(strstr(said, "--count is given twice"));
    assert_int_equal(PARSE(&taken, "list", "--count", "--json"), EXIT_USAGE);
    assert_non_null(strstr(said, "a value is missing after '--count'"));
    assert_int_equal(PARSE(&taken, "list", "--json=yes"), EXIT_USAGE);
    assert_non_null(strstr(said, "--json takes no value"));
}

static void
what_does_not_go_together_is_refused_by_name(void **state)
{
    struct taken taken;

    (void)state;
    assert_int_equal(PARSE(&taken, "list", "--lsn", "5", "--since", "10m"), EXIT_USAGE);
    assert_non_null(strstr(said, "--lsn and --since"));
    assert_int_equal(PARSE(&taken, "list", "--nodes", "n1"), EXIT_USAGE);
    assert_non_null(strstr(said, "--nodes needs --word"));
    assert_int_equal(PARSE(&taken, "list", "--bytes", "1"), EXIT_USAGE);
    assert_non_null(strstr(said, "--bytes goes with set"));
    assert_int_equal(PARSE(&taken, "list", "x"), EXIT_USAGE);
    assert_non_null(strstr(said, "from 'x' on"));
    assert_int_equal(PARSE(&taken, "set"), EXIT_USAGE);
    assert_int_equal(PARSE(&taken, "drop", "x"), EXIT_USAGE);
    assert_non_null(strstr(said, "unknown verb 'drop' (set, list)"));
}

static void
shares_are_plain_decimals(void **state)
{
    static const char *const wrong[] = {"drop=nan", "drop=inf", "drop=-0.1", "drop=1.1",  "drop=1e-1", "drop=0x1",
                                        "drop=",    "drop=.5",  "drop=0.",   "drop=0.5x", "drop",      "loss=0.1"};
    double drop = -1;
    const struct cli_option effects[] = {{"drop", OPTION_DECIMAL, &drop, "", .max = 1}, OPTIONS_END};
    char *words[2] = {(char *)(uintptr_t) "drop=0.25", (char *)(uintptr_t) "drop=0.25"};

    (void)state;
    assert_int_equal(cli_effects("fault link", effects, 1, words), 0);
    assert_true(drop > 0.24 && drop < 0.26);
    assert_int_equal(cli_effects("fault link", effects, 2, words), EXIT_USAGE);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        words[0] = (char *)(uintptr_t)wrong[i];
        assert_int_equal(cli_effects("fault link", effects, 1, words), EXIT_USAGE);
    }
}

static void
moments_are_of_the_calendar(void **state)
{
    static const char *const wrong[] = {"2026-02-30T00:00:00Z",
                                        "2026-1-01T00:00:00Z",
                                        "2026-01-01T24:00:00Z",
                                        "1969-12-31T23:59:59Z",
                                        "2026-01-01",
                                        "yesterday",
                                        "0",
                                        "10 m",
                                        " 10m",
                                        "9999-01-01T00:00:00Z",
                                        "18446744073709551615"};
    uint64_t ns;

    (void)state;
    assert_true(value_moment("10m", 3600000000000, &ns));
    assert_int_equal(ns, 3000000000000);
    assert_true(value_moment("0ms", 3600000000000, &ns));
    assert_int_equal(ns, 3600000000000);
    assert_true(value_moment("2h", 3600000000000, &ns));
    assert_int_equal(ns, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(value_moment(wrong[i], 3600000000000, &ns));
}

static void
addresses_are_numbers(void **state)
{
    static const char *const right[] = {"9100", "127.0.0.1:1", "[::1]:65535", "::1:9100", "[fe80::1%lo]:9100"};
    static const char *const wrong[] = {
        "",   "x",          "0",          "65536",         ":9",      "127.0.0.1:", "localhost:9100",
        "+1", "[::1]x9100", "127.1:9100", "127.0.0.1:0x1", "[]:9100", "::1"};

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
        assert_true(value_address(right[i]));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(value_address(wrong[i]));
}

static void
names_are_of_their_alphabet(void **state)
{
    static const char *const wrong[] = {"", ".a", "_a", "a b", "a/b", "a\n", "\xc3\xa4", "a,b"};
    char name[CAIRN_NAME_BYTES + 1];

    (void)state;
    assert_int_equal(cli_log_name("read", "orders-1.x_Y"), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(cli_log_name("read", wrong[i]), EXIT_USAGE);
    memset(name, 'a', sizeof(name));
    name[CAIRN_NAME_BYTES] = '\0';
    assert_int_equal(cli_log_name("read", name), EXIT_USAGE);
    name[CAIRN_NAME_BYTES - 1] = '\0';
    assert_int_equal(cli_log_name("read", name), 0);
    assert_int_equal(cli_log_name("read", "_catalog"), EXIT_USAGE);
    assert_non_null(strstr(said, "names that begin with _ belong to the system"));
}

static void
what_others_wrote_is_only_shown(void **state)
{
    static const char *const pairs[][2] = {
        {"a\nb\t\r", "a\\nb\\t\\r"},
        {"\x1b[31m", "\\x1b[31m"},
        {"\xc3\xa4 \xe2\x82\xac", "\xc3\xa4 \xe2\x82\xac"},
        {"\xc2\x9b", "\\xc2\\x9b"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\x7f", "\\x7f"},
        {"\xe2\x82", "\\xe2\\x82"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        char *escaped = value_escaped(pairs[i][0]);

        assert_string_equal(escaped, pairs[i][1]);
        free(escaped);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_taken),
        cmocka_unit_test(a_number_is_digits_within_its_range),
        cmocka_unit_test(a_unit_is_one_of_the_kind_and_what_wraps_is_refused),
        cmocka_unit_test(options_are_named_in_full_and_once),
        cmocka_unit_test(what_does_not_go_together_is_refused_by_name),
        cmocka_unit_test(shares_are_plain_decimals),
        cmocka_unit_test(moments_are_of_the_calendar),
        cmocka_unit_test(addresses_are_numbers),
        cmocka_unit_test(names_are_of_their_alphabet),
        cmocka_unit_test(what_others_wrote_is_only_shown),
    };

    return RUN_TESTS(tests);
}
