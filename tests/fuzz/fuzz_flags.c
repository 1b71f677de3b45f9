/* Any words as a command line, with an option of each kind: they are taken within what the options say, or refused by a line,
 * and what was not given is left alone. */
/* fuzz: cli/options.c cli/values.c */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/values.h"
#include "tests/fuzz/input.h"

#define WORDS_MAX 16

static char said[65536];

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

struct taken {
    bool flag;
    const char *text, *file, *character, *word, *node, *nodes, *log, *address;
    uint64_t number, size_bytes, duration_ns, moment_ns;
    uint32_t small;
    double decimal;
    struct cli_producer producer;
    enum cairn_ack ack;
    enum cairn_policy policy;
    enum cairn_deny deny;
    enum cairn_read_level level;
};

static const struct taken before = {
    .number = 5, .size_bytes = 4096, .duration_ns = 1000000000, .small = 5, .decimal = 0.5, .ack = CAIRN_ACK_MAJORITY};

/* 0, or what the command exits with. */
static int
parse(struct taken *taken, int argc, char **argv)
{
    const struct cli_option options[] = {
        {"flag", OPTION_FLAG, &taken->flag, "", .apart = "text"},
        {"text", OPTION_TEXT, &taken->text, "", .verbs = "set"},
        {"file", OPTION_FILE, &taken->file, "", .needs = "word"},
        {"character", OPTION_CHARACTER, &taken->character, ""},
        {"word", OPTION_WORD, &taken->word, "", .unit = "memory|disk"},
        {"node", OPTION_NODE, &taken->node, ""},
        {"nodes", OPTION_NODES, &taken->nodes, ""},
        {"log", OPTION_LOG, &taken->log, ""},
        {"address", OPTION_ADDRESS, &taken->address, ""},
        {"number", OPTION_U64, &taken->number, "", .min = 2, .max = 1ull << 62, .unit = "entries"},
        {"small", OPTION_U32, &taken->small, "", .min = 1, .max = UINT32_MAX},
        {"size", OPTION_SIZE, &taken->size_bytes, "", .min = 4096, .max = 1ull << 60, .or_zero = true},
        {"duration", OPTION_DURATION, &taken->duration_ns, "", .min = 1000000, .max = 1ull << 62, .step = 1000000},
        {"moment", OPTION_MOMENT, &taken->moment_ns, ""},
        {"decimal", OPTION_DECIMAL, &taken->decimal, "", .max = 1},
        {"producer", OPTION_PRODUCER, &taken->producer, ""},
        {"ack", OPTION_ACK, &taken->ack, ""},
        {"policy", OPTION_POLICY, &taken->policy, ""},
        {"deny", OPTION_DENY, &taken->deny, ""},
        {"level", OPTION_LEVEL, &taken->level, ""},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"set", "NAME", 1, 1}, {"list", "", 0, 0}, {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"log", .verbs = verbs, .options = options};
    int first, status = 0;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status == 0 ? -1 : status;
    if (first < 1 || first > argc)
        abort();
    return 0;
}

static int
effects(struct taken *taken, int argc, char **argv)
{
    const struct cli_option rows[] = {
        {"drop", OPTION_DECIMAL, &taken->decimal, "", .max = 1},
        {"number", OPTION_U64, &taken->number, "", .min = 2, .max = 1ull << 62},
        OPTIONS_END,
    };

    return cli_effects("fault link", rows, argc, argv);
}

static void
check_within(const struct taken *taken)
{
    if (taken->number < 2 || taken->number > 1ull << 62 || taken->small < 1 ||
        (taken->size_bytes != 0 && (taken->size_bytes < 4096 || taken->size_bytes > 1ull << 60)) ||
        taken->duration_ns < 1000000 || taken->duration_ns > 1ull << 62 || taken->duration_ns % 1000000 != 0 ||
        !(taken->decimal >= 0 && taken->decimal <= 1) || (taken->node != NULL && !cairn_name_is_valid(taken->node)) ||
        (taken->address != NULL && !value_address(taken->address)) || taken->ack > CAIRN_ACK_ALL ||
        cairn_policy_name(taken->policy) == NULL || cairn_deny_name(taken->deny) == NULL ||
        taken->level > CAIRN_READ_LINEARIZABLE || (taken->text != NULL && taken->text[0] == '\0'))
        abort();
}

/* Refused by a line, which for a terminal has nothing to act on. */
static void
check_said(void)
{
    char *escaped = value_escaped(said);

    if (said[0] == '\0' || escaped == NULL)
        abort();
    for (const char *at = escaped; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            abort();
    }
    free(escaped);
}

static void
try_words(int argc, char **argv)
{
    struct taken taken = before;
    int status;

    said[0] = '\0';
    status = parse(&taken, argc, argv);
    if (status == 0)
        check_within(&taken);
    else if (status != -1)
        check_said();
    taken = before;
    if (effects(&taken, argc - 1, argv + 1) == 0)
        check_within(&taken);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool silent;
    char *words = malloc(size + 1), *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "log"}, *at = words;
    int argc = 1;

    /* Help is written there. */
    if (!silent)
        silent = freopen("/dev/null", "w", stdout) != NULL;
    memcpy(words, data, size);
    words[size] = '\0';
    while (at != NULL && argc <= WORDS_MAX)
        argv[argc++] = strsep(&at, "\n");
    try_words(argc, argv);
    free(words);
    return 0;
}
