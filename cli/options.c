#include "cli/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option_values.h"
#include "cli/values.h"

#define OPTIONS_MAX 32

/* What is on the command line, before any of it is read. */
struct given {
    const char *values[OPTIONS_MAX]; /* by option; NULL: not given */
    bool helps;
};

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
        snprintf(left, sizeof(left), "%s%s%s%s", dashes, options->name, equals, option_placeholder(options));
        option_range_text(options, range, sizeof(range));
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
                         option_placeholder(option), grammar->name);
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
            status = option_read_value(what, "--", &grammar->options[i], "", given->values[i]);
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
        status = option_read_value(what, "", &effects[index], "=", equals + 1);
    }
    return status;
}

int
cli_log_name(const char *command, const char *name)
{
    if (cairn_name_is_valid(name))
        return 0;
    if (name[0] == '_')
        return cli_usage("%s: '%s' is no log of yours: names that begin with _ belong to the system", command, name);
    return cli_usage(
        "%s: '%s' is no name for a log (1 to 63 letters, digits, '.', '-' and '_', not beginning with ., - "
        "or _)",
        command, name);
}
