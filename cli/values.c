#include "cli/values.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cairn/types.h"

#define NS_PER_S 1000000000ull
#define MOMENT_TEXT_BYTES 24u

const struct value_unit value_sizes[] = {{"K", 1ull << 10},   {"M", 1ull << 20},   {"G", 1ull << 30},
                                         {"T", 1ull << 40},   {"KiB", 1ull << 10}, {"MiB", 1ull << 20},
                                         {"GiB", 1ull << 30}, {"TiB", 1ull << 40}, {NULL, 0}};

const struct value_unit value_times_ns[] = {{"ns", 1},
                                            {"us", 1000},
                                            {"ms", 1000000},
                                            {"s", NS_PER_S},
                                            {"m", 60 * NS_PER_S},
                                            {"h", 3600 * NS_PER_S},
                                            {"d", 86400 * NS_PER_S},
                                            {NULL, 0}};

static bool
is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* As many digits as there are; *end: what is behind them. */
static bool
read_digits(const char *text, uint64_t *out, const char **end)
{
    uint64_t number = 0;
    const char *at = text;

    if (!is_digit(*text) || (text[0] == '0' && is_digit(text[1])))
        return false;
    for (; is_digit(*at); at++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return false;
    }
    *out = number;
    *end = at;
    return true;
}

bool
value_number(const char *text, uint64_t *out)
{
    const char *end;

    return read_digits(text, out, &end) && *end == '\0';
}

bool
value_with_unit(const char *text, const struct value_unit *units, uint64_t *out, bool *has_unit)
{
    const char *end;
    uint64_t number;

    if (!read_digits(text, &number, &end))
        return false;
    *has_unit = *end != '\0';
    while (*has_unit && units->name != NULL && strcmp(units->name, end) != 0)
        units++;
    if (*has_unit && units->name == NULL)
        return false;
    return !__builtin_mul_overflow(number, *has_unit ? units->scale : 1, out);
}

bool
value_decimal(const char *text, double *out)
{
    const char *end;
    uint64_t whole;

    if (!read_digits(text, &whole, &end))
        return false;
    if (*end == '.' && is_digit(end[1])) {
        for (end++; is_digit(*end); end++)
            ;
    }
    if (*end != '\0')
        return false;
    *out = strtod(text, NULL);
    return true;
}

/* strptime() also takes what no calendar has, and what is written otherwise: only what is written back the same is meant. */
static bool
read_calendar(const char *text, uint64_t *out)
{
    static const char format[] = "%Y-%m-%dT%H:%M:%SZ";
    struct tm moment = {0}, again;
    char same[MOMENT_TEXT_BYTES];
    const char *end = strptime(text, format, &moment);
    time_t seconds;

    if (end == NULL || *end != '\0')
        return false;
    seconds = timegm(&moment);
    if (seconds <= 0 || (uint64_t)seconds > INT64_MAX / NS_PER_S || gmtime_r(&seconds, &again) == NULL ||
        strftime(same, sizeof(same), format, &again) == 0 || strcmp(same, text) != 0)
        return false;
    *out = (uint64_t)seconds * NS_PER_S;
    return true;
}

bool
value_moment(const char *text, uint64_t now_ns, uint64_t *out)
{
    bool has_unit;
    uint64_t ns;

    if (read_calendar(text, out))
        return true;
    if (!value_with_unit(text, value_times_ns, &ns, &has_unit) || (ns == 0 && !has_unit) || ns > INT64_MAX)
        return false;
    *out = ns;
    if (has_unit)
        *out = ns < now_ns ? now_ns - ns : 1;
    return true;
}

/* 127.0.0.1, ::1, [::1], fe80::1%eth0: an address, not a name to look up. */
static bool
is_host(const char *text, size_t length)
{
    char host[64], bytes[sizeof(struct in6_addr)];

    if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= sizeof(host))
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    host[strcspn(host, "%")] = '\0';
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

bool
value_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    return (colon == NULL || is_host(text, (size_t)(colon - text))) &&
           value_number(colon == NULL ? text : colon + 1, &port) && port >= 1 && port <= 65535;
}

const char *
value_text(uint64_t number, const struct value_unit *units, char *out, size_t out_bytes)
{
    const struct value_unit *best = NULL;

    for (; number != 0 && units != NULL && units->name != NULL; units++) {
        if (number % units->scale == 0)
            best = units;
    }
    snprintf(out, out_bytes, "%lu%s", (unsigned long)(best == NULL ? number : number / best->scale),
             best == NULL ? "" : best->name);
    return out;
}

bool
value_is_one_of(const char *text, const char *words)
{
    size_t length = strlen(text);

    for (const char *word = words;; word++) {
        size_t word_length = strcspn(word, "|");

        if (word_length == length && strncmp(word, text, length) == 0)
            return true;
        word += word_length;
        if (*word == '\0')
            return false;
    }
}

/* How many bytes of a character begin here that a terminal only shows; 0: none. */
static size_t
shown_bytes(const unsigned char *at)
{
    size_t more = at[0] >= 0xf0 && at[0] < 0xf5 ? 3 : at[0] >= 0xe0 && at[0] < 0xf0 ? 2 : at[0] >= 0xc2 && at[0] < 0xe0;

    if (at[0] < 0x80)
        return at[0] >= 0x20 && at[0] != 0x7f;
    for (size_t i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    /* U+0080 to U+009F are control characters too; and some three bytes are no character, or a longer way to write one. */
    if ((at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90))
        return 0;
    return more == 0 ? 0 : more + 1;
}

char *
value_escaped(const char *text)
{
    static const char hex[] = "0123456789abcdef";
    char *escaped = malloc(4 * strlen(text) + 1), *to = escaped;
    const unsigned char *from = (const unsigned char *)text;

    while (escaped != NULL && *from != '\0') {
        size_t plain = shown_bytes(from);

        if (plain > 0) {
            memcpy(to, from, plain);
            from += plain;
            to += plain;
            continue;
        }
        *to++ = '\\';
        if (*from == '\n' || *from == '\t' || *from == '\r') {
            *to++ = *from == '\n' ? 'n' : *from == '\t' ? 't' : 'r';
        } else {
            *to++ = 'x';
            *to++ = hex[*from >> 4];
            *to++ = hex[*from & 15];
        }
        from++;
    }
    if (escaped != NULL)
        *to = '\0';
    return escaped;
}
