/* Values of options, by their kind: each is read whole or refused. */
#include "cli/option_values.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/values.h"
#include "replication/plausible.h"
#include "rules/agreed.h"

#define NS_PER_S 1000000000ull

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
    return read_text(option, text) && (cairn_name_is_valid(text) || strcmp(text, CATALOG_NAME) == 0);
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

/* Without a unit nobody can tell how long it is, unless it is 0. */
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

const char *
option_placeholder(const struct cli_option *option)
{
    return option->kind == OPTION_WORD ? option->unit : kinds[option->kind].placeholder;
}

/* "1 to 86400000 ms"; "" where the kind says all. */
const char *
option_range_text(const struct cli_option *option, char *out, size_t out_bytes)
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

    option_range_text(option, range, sizeof(range));
    snprintf(out, out_bytes, "%s%s%s%s%s", words, range[0] == '\0' ? "" : ", ", range,
             option->step == 0 ? "" : ", in steps of ",
             option->step == 0 ? "" : value_text(option->step, value_times_ns, step, sizeof(step)));
    return out;
}

/* dashes: "--" before an option; equals: "=" behind the key of an effect. */
int
option_read_value(const char *what, const char *dashes, const struct cli_option *option, const char *equals,
                  const char *text)
{
    char words[256];

    if (kinds[option->kind].read(option, text))
        return 0;
    return cli_usage("%s: %s%s%s does not take '%s' (expected %s)", what, dashes, option->name, equals, text,
                     expected(option, words, sizeof(words)));
}
