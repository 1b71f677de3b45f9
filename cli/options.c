#include "options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agreed.h"
#include "cli.h"
#include "plausible.h"
#include "values.h"

#define OPTIONS_MAX 32
#define NS_PER_S 1000000000ull

/* What is on the command line, before any of it is read. */
struct given {
    const char *values[OPTIONS_MAX]; /* by option; NULL: not given */
    bool helps;
};

/* --- values, by kind --- */

static bool
in_range(const struct cli_option *option, uint64_t number)
{
    return (number >= option->min && number <= option->max) || (option->or_zero && number == 0);
}

static bool
read_text(const struct cli_option *option, const char *text)
{
    *(const char **)option->value = text;
    return text[0] != '\0';
}

static bool
read_flag(const struct cli_option *option, const char *text)
{
    *(bool *)option->value = true;
    return true;
}

static bool
read_character(const struct cli_option *option, const char *text)
{
    unsigned char character = (unsigned char)text[0];

    /* Lines end in a newline, so none has one; and half a character is none. */
    return read_text(option, text) && text[1] == '\0' && character != '\n' && character < 0x80;
}

static bool
read_word(const struct cli_option *option, const char *text)
{
    return read_text(option, text) && value_is_one_of(text, option->unit);
}

static bool
read_node(const struct cli_option *option, const char *text)
{
    return read_text(option, text) && cairn_name_is_valid(text);
}

static bool
read_nodes(const struct cli_option *option, const char *text)
{
    char name[CAIRN_NAME_BYTES];
    const char *at = text;

    for (;; at++) {
        size_t length = strcspn(at, ",");

        if (length >= sizeof(name))
            return false;
        memcpy(name, at, length);
        name[length] = '\0';
        if (!cairn_name_is_valid(name))
            return false;
        at += length;
        if (*at == '\0')
            return read_text(option, text);
    }
}

static bool
read_log(const struct cli_option *option, const char *text)
{
    return read_text(option, text) && (value_is_name(text) || strcmp(text, CATALOG_NAME) == 0);
}

static bool
read_address(const struct cli_option *option, const char *text)
{
    return read_text(option, text) && value_address(text);
}

static bool
read_u64(const struct cli_option *option, const char *text)
{
    return value_number(text, option->value) && in_range(option, *(uint64_t *)option->value);
}

static bool
read_u32(const struct cli_option *option, const char *text)
{
    uint64_t number;

    if (!value_number(text, &number) || !in_range(option, number) || number > UINT32_MAX)
        return false;
    *(uint32_t *)option->value = (uint32_t)number;
    return true;
}

static bool
read_size(const struct cli_option *option, const char *text)
{
    bool has_unit;

    return value_with_unit(text, value_sizes, option->value, &has_unit) && in_range(option, *(uint64_t *)option->value);
}

/* Of what has no unit nobody can tell how long it is, but for 0. */
static bool
read_duration(const struct cli_option *option, const char *text)
{
    uint64_t *ns = option->value;
    bool has_unit;

    return value_with_unit(text, value_times_ns, ns, &has_unit) && (has_unit || *ns == 0) && in_range(option, *ns) &&
           (option->step == 0 || *ns % option->step == 0);
}

static bool
read_moment(const struct cli_option *option, const char *text)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return value_moment(text, (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec, option->value);
}

static bool
read_decimal(const struct cli_option *option, const char *text)
{
    double *number = option->value;

    return value_decimal(text, number) && *number >= (double)option->min && *number <= (double)option->max;
}

static bool
read_producer(const struct cli_option *option, const char *text)
{
    struct cli_producer *producer = option->value;
    const char *at = strchr(text, '@');
    size_t length = at == NULL ? strlen(text) : (size_t)(at - text);
    char number[24];

    if (length >= sizeof(number))
        return false;
    memcpy(number, text, length);
    number[length] = '\0';
    return value_number(number, &producer->id) && producer->id >= 1 && producer->id <= PRODUCER_MAX &&
           (at == NULL || cairn_id_parse(at + 1, &producer->of));
}

static bool
read_ack(const struct cli_option *option, const char *text)
{
    return cairn_ack_parse(text, option->value);
}

static bool
read_policy(const struct cli_option *option, const char *text)
{
    return cairn_policy_parse(text, option->value);
}

static bool
read_deny(const struct cli_option *option, const char *text)
{
    return cairn_deny_parse(text, option->value);
}

static bool
read_level(const struct cli_option *option, const char *text)
{
    return cairn_read_level_parse(text, option->value);
}

/* placeholder: as usage shows it. expects: in words, where a range is not all there is to it. */
static const struct kind {
    bool (*read)(const struct cli_option *option, const char *text);
    const char *placeholder, *expects;
} kinds[] = {
    [OPTION_FLAG] = {read_flag, "", ""},
    [OPTION_TEXT] = {read_text, "TEXT", "a text that is not empty"},
    [OPTION_FILE] = {read_text, "FILE", "a path"},
    [OPTION_CHARACTER] = {read_character, "CHARACTER", "one ASCII character, and no newline"},
    [OPTION_WORD] = {read_word, NULL, NULL},
    [OPTION_NODE] = {read_node, "NODE", "a node's name, such as n1"},
    [OPTION_NODES] = {read_nodes, "NODES", "names of nodes with commas, such as n1,n2"},
    [OPTION_LOG] = {read_log, "LOG", "a log's name: 1 to 63 letters, digits, '-', '_' and '.', no '.' or '_' in front"},
    [OPTION_ADDRESS] = {read_address, "[HOST:]PORT",
                        "PORT, or HOST:PORT with the host as a number; a port is 1 to 65535"},
    [OPTION_U64] = {read_u64, "N", "a whole number"},
    [OPTION_U32] = {read_u32, "N", "a whole number"},
    [OPTION_SIZE] = {read_size, "SIZE", "a number of bytes, or with KiB, MiB, GiB or TiB"},
    [OPTION_DURATION] = {read_duration, "TIME", "a number with ns, us, ms, s, m, h or d"},
    [OPTION_MOMENT] = {read_moment, "MOMENT", "2026-11-27T06:00:00Z, or how long ago, such as 10m or 2h, or an hlc"},
    [OPTION_DECIMAL] = {read_decimal, "N", "a decimal number"},
    [OPTION_PRODUCER] =
        {read_producer, "ID",
         "a number from 1 to 9223372036854775807, behind which may stand @ and the 32 digits of a cluster's identity"},
    [OPTION_ACK] = {read_ack, "local|majority|all", "local, majority or all"},
    [OPTION_POLICY] = {read_policy, "cp|ap|adaptive|ca", "cp, ap, adaptive or ca"},
    [OPTION_DENY] = {read_deny, "writes|reads|both", "writes, reads or both"},
    [OPTION_LEVEL] = {read_level, "stale|session|lease|linearizable", "stale, session, lease or linearizable"},
};

static const char *
placeholder(const struct cli_option *option)
{
    return option->kind == OPTION_WORD ? option->unit : kinds[option->kind].placeholder;
}

/* "1 to 86400000 ms"; "" where the kind says all. */
static const char *
range_text(const struct cli_option *option, char *out, size_t out_bytes)
{
    const struct value_unit *units = option->kind == OPTION_SIZE       ? value_sizes
                                     : option->kind == OPTION_DURATION ? value_times_ns
                                                                       : NULL;
    char least[32], most[32];
    bool named = option->unit != NULL && option->kind != OPTION_WORD;

    out[0] = '\0';
    if (option->max != 0)
        snprintf(out, out_bytes, "%s%s to %s%s%s", option->or_zero ? "0, or " : "",
                 value_text(option->min, units, least, sizeof(least)),
                 value_text(option->max, units, most, sizeof(most)), named ? " " : "", named ? option->unit : "");
    return out;
}

/* All that may be there instead of what was. */
static const char *
expected(const struct cli_option *option, char *out, size_t out_bytes)
{
    char range[128], step[32];
    const char *words = kinds[option->kind].expects == NULL ? option->unit : kinds[option->kind].expects;

    range_text(option, range, sizeof(range));
    snprintf(out, out_bytes, "%s%s%s%s%s", words, range[0] == '\0' ? "" : ", ", range,
             option->step == 0 ? "" : ", in steps of ",
             option->step == 0 ? "" : value_text(option->step, value_times_ns, step, sizeof(step)));
    return out;
}

/* dashes: "--" before an option; equals: "=" behind the key of an effect. */
static int
read_value(const char *what, const char *dashes, const struct cli_option *option, const char *equals, const char *text)
{
    char words[256];

    if (kinds[option->kind].read(option, text))
        return 0;
    return cli_usage("%s: %s%s%s does not take '%s' (expected %s)", what, dashes, option->name, equals, text,
                     expected(option, words, sizeof(words)));
}

/* --- help --- */

static bool
goes_with(const struct cli_option *option, const char *verb)
{
    return verb == NULL || option->verbs == NULL || value_is_one_of(verb, option->verbs);
}

static void
show_rows(const struct cli_option *options, const char *dashes, const char *equals, const char *verb)
{
    for (; options->name != NULL; options++) {
        char left[96], range[128];

        if (!goes_with(options, verb))
            continue;
        snprintf(left, sizeof(left), "%s%s%s%s", dashes, options->name, equals, placeholder(options));
        range_text(options, range, sizeof(range));
        printf("  %-32s %s%s%s%s%s%s%s\n", left, options->help, range[0] == '\0' ? "" : " (", range,
               range[0] == '\0' ? "" : ")", verb == NULL && options->verbs != NULL ? " [" : "",
               verb == NULL && options->verbs != NULL ? options->verbs : "",
               verb == NULL && options->verbs != NULL ? "]" : "");
    }
}

static const struct cli_verb *
find_verb(const struct cli_grammar *grammar, const char *name)
{
    for (const struct cli_verb *verb = grammar->verbs; verb != NULL && verb->name != NULL; verb++) {
        if (name != NULL && strcmp(verb->name, name) == 0)
            return verb;
    }
    return NULL;
}

/* "log trim NAME" */
static const char *
usage_text(const struct cli_grammar *grammar, const struct cli_verb *verb, char *out, size_t out_bytes)
{
    const char *arguments = verb == NULL ? grammar->arguments : verb->arguments;

    snprintf(out, out_bytes, "%s%s%s%s%s", grammar->name, verb == NULL ? "" : " ", verb == NULL ? "" : verb->name,
             arguments[0] == '\0' ? "" : " ", arguments);
    return out;
}

/* Of the verb that is named, else of them all. */
static void
show_usage(const struct cli_grammar *grammar, const struct cli_verb *verb)
{
    const struct cli_verb *each = grammar->verbs;
    char text[160];

    if (verb != NULL || each == NULL)
        printf("usage: cairn %s [OPTIONS]\n", usage_text(grammar, verb, text, sizeof(text)));
    for (; verb == NULL && each != NULL && each->name != NULL; each++)
        printf("%s cairn %s [OPTIONS]\n", each == grammar->verbs ? "usage:" : "      ",
               usage_text(grammar, each, text, sizeof(text)));
    show_rows(grammar->options, "--", " ", verb == NULL ? NULL : verb->name);
    if (grammar->effects != NULL)
        show_rows(grammar->effects, "", "=", NULL);
}

/* --- the command line --- */

/* The row of the name that ends at a '=' or with the text; count: there is none. */
static uint32_t
find_option(const struct cli_option *options, const char *text)
{
    size_t length = strcspn(text, "=");
    uint32_t i = 0;

    while (options[i].name != NULL &&
           (strlen(options[i].name) != length || strncmp(options[i].name, text, length) != 0))
        i++;
    return i;
}

/* argv[*at], which begins with a dash, and with it a value behind it. 0, or what to exit with. */
static int
take_option(int argc, char **argv, const struct cli_grammar *grammar, int *at, struct given *given)
{
    const char *text = argv[*at], *equals = strchr(text, '=');
    const struct cli_option *option;
    uint32_t index;

    if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
        given->helps = true;
        return 0;
    }
    index = text[1] == '-' ? find_option(grammar->options, text + 2) : 0;
    option = &grammar->options[index];
    if (text[1] != '-' || option->name == NULL)
        return cli_usage("%s: unknown option '%s' (see 'cairn %s --help')", grammar->name, text, grammar->name);
    if (option->kind == OPTION_FLAG && equals != NULL)
        return cli_usage("%s: --%s takes no value ('%s')", grammar->name, option->name, text);
    if (option->kind != OPTION_FLAG && equals == NULL && (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0))
        return cli_usage("%s: a value is missing after '%s' (expected %s; see 'cairn %s --help')", grammar->name, text,
                         placeholder(option), grammar->name);
    if (option->kind != OPTION_FLAG && given->values[index] != NULL)
        return cli_usage("%s: --%s is given twice (once is enough)", grammar->name, option->name);
    given->values[index] = option->kind == OPTION_FLAG ? "" : equals != NULL ? equals + 1 : argv[++*at];
    return 0;
}

/* Options to the front and arguments behind them, each in its order, as getopt() does; *first: the first argument. */
static int
split(int argc, char **argv, const struct cli_grammar *grammar, struct given *given, int *first)
{
    int at, status = 0;

    *first = 1;
    for (at = 1; at < argc && status == 0; at++) {
        bool ends = strcmp(argv[at], "--") == 0;
        int begin = at;

        if (argv[at][0] != '-' || argv[at][1] == '\0')
            continue;
        if (!ends)
            status = take_option(argc, argv, grammar, &at, given);
        for (; begin <= at && status == 0; begin++) {
            char *word = argv[begin];

            memmove(&argv[*first + 1], &argv[*first], (size_t)(begin - *first) * sizeof(*argv));
            argv[(*first)++] = word;
        }
        if (ends)
            break;
    }
    return status;
}

/* The verbs with commas. */
static const char *
verbs_text(const struct cli_verb *verbs, char *out, size_t out_bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (const struct cli_verb *verb = verbs; verb->name != NULL && used < out_bytes; verb++)
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%s", verb == verbs ? "" : ", ", verb->name);
    return out;
}

/* "log trim" */
static void
named(const struct cli_grammar *grammar, const char *verb, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "%s%s%s", grammar->name, verb == NULL ? "" : " ", verb == NULL ? "" : verb);
}

static int
check_arguments(int count, char **arguments, const struct cli_grammar *grammar, const struct cli_verb **verb)
{
    char text[160], what[64];
    int min = grammar->min, max = grammar->max;

    *verb = NULL;
    if (grammar->verbs != NULL) {
        if (count == 0)
            return cli_usage("%s: an argument is missing (usage: cairn %s %s; see 'cairn %s --help')", grammar->name,
                             grammar->name, verbs_text(grammar->verbs, text, sizeof(text)), grammar->name);
        *verb = find_verb(grammar, arguments[0]);
        if (*verb == NULL)
            return cli_usage("%s: unknown verb '%s' (%s)", grammar->name, arguments[0],
                             verbs_text(grammar->verbs, text, sizeof(text)));
        min = 1 + (*verb)->min;
        max = 1 + (*verb)->max;
    }
    usage_text(grammar, *verb, text, sizeof(text));
    named(grammar, *verb == NULL ? NULL : (*verb)->name, what, sizeof(what));
    if (count < min)
        return cli_usage("%s: an argument is missing (usage: cairn %s [OPTIONS])", what, text);
    if (count > max)
        return cli_usage("%s: too many arguments, from '%s' on (usage: cairn %s [OPTIONS])", what, arguments[max],
                         text);
    return 0;
}

/* What goes with the verb and with what else is given. */
static int
check_together(const struct cli_grammar *grammar, const char *verb, const struct given *given)
{
    for (uint32_t i = 0; grammar->options[i].name != NULL; i++) {
        const struct cli_option *option = &grammar->options[i];

        if (given->values[i] == NULL)
            continue;
        if (!goes_with(option, verb))
            return cli_usage("%s %s: --%s goes with %s (see 'cairn %s %s --help')", grammar->name, verb, option->name,
                             option->verbs, grammar->name, verb);
        if (option->needs != NULL && given->values[find_option(grammar->options, option->needs)] == NULL)
            return cli_usage("%s: --%s needs --%s", grammar->name, option->name, option->needs);
        for (uint32_t j = 0; option->apart != NULL && grammar->options[j].name != NULL; j++) {
            if (given->values[j] != NULL && value_is_one_of(grammar->options[j].name, option->apart))
                return cli_usage("%s: --%s and --%s do not go together (give one of them)", grammar->name, option->name,
                                 grammar->options[j].name);
        }
    }
    return 0;
}

static int
read_values(const struct cli_grammar *grammar, const char *verb, const struct given *given)
{
    char what[64];
    int status = 0;

    named(grammar, verb, what, sizeof(what));
    for (uint32_t i = 0; grammar->options[i].name != NULL && status == 0; i++) {
        if (given->values[i] != NULL)
            status = read_value(what, "--", &grammar->options[i], "", given->values[i]);
    }
    return status;
}

/* There is room for what is given, and rows speak of rows that there are. */
static bool
options_sane(const struct cli_option *options)
{
    uint32_t count = 0;

    while (options[count].name != NULL)
        count++;
    for (uint32_t i = 0; i < count; i++) {
        if (options[i].needs != NULL && find_option(options, options[i].needs) == count)
            return false;
    }
    return count < OPTIONS_MAX;
}

bool
cli_parse(int argc, char **argv, const struct cli_grammar *grammar, int *first, int *status)
{
    const struct cli_verb *verb;
    struct given given = {0};

    assert(options_sane(grammar->options));
    *status = split(argc, argv, grammar, &given, first);
    if (*status == 0 && given.helps) {
        show_usage(grammar, find_verb(grammar, *first < argc ? argv[*first] : NULL));
        *status = cli_end(EXIT_DONE);
        return false;
    }
    if (*status == 0)
        *status = check_arguments(argc - *first, argv + *first, grammar, &verb);
    if (*status == 0)
        *status = check_together(grammar, verb == NULL ? NULL : verb->name, &given);
    if (*status == 0)
        *status = read_values(grammar, verb == NULL ? NULL : verb->name, &given);
    return *status == 0;
}

/* "drop= delay_us= ..." */
static const char *
keys_text(const struct cli_option *effects, char *out, size_t out_bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (const struct cli_option *effect = effects; effect->name != NULL && used < out_bytes; effect++)
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%s=", effect == effects ? "" : " ", effect->name);
    return out;
}

int
cli_effects(const char *what, const struct cli_option *effects, int count, char **words)
{
    bool given[OPTIONS_MAX] = {false};
    char text[160];
    int status = 0;

    for (int i = 0; i < count && status == 0; i++) {
        const char *equals = strchr(words[i], '=');
        uint32_t index = find_option(effects, words[i]);

        if (equals == NULL || effects[index].name == NULL)
            return cli_usage("%s: '%s' is none of %s", what, words[i], keys_text(effects, text, sizeof(text)));
        if (given[index])
            return cli_usage("%s: %s= is given twice (once is enough)", what, effects[index].name);
        given[index] = true;
        status = read_value(what, "", &effects[index], "=", equals + 1);
    }
    return status;
}

int
cli_log_name(const char *command, const char *name)
{
    if (value_is_name(name))
        return 0;
    if (name[0] == '_')
        return cli_usage("%s: '%s' is no log of yours: names that begin with _ belong to the system", command, name);
    return cli_usage("%s: '%s' is no name for a log (1 to 63 letters, digits, '.', '-' and '_', not beginning with . "
                     "or _)",
                     command, name);
}
