/* Values as a person types them: read whole or not at all. Numbers are plain decimal: no sign, no leading zero, no hex, no
 * exponent, nothing before or behind, and what does not fit is refused rather than wrapped. Nothing here knows of
 * commands: options.h does. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much one of a unit counts. Lists end with a NULL name, and go from the smallest to the largest. */
struct value_unit {
    const char *name;
    uint64_t scale;
};

/* K, M, G, T: powers of 1024. */
extern const struct value_unit value_sizes[];
/* ns, us, ms, s, m, h, d. */
extern const struct value_unit value_times_ns[];

bool value_number(const char *text, uint64_t *out);

/* A number with one of the units right behind it; *has_unit: false where there was none, and then it counts as it is. */
bool value_with_unit(const char *text, const struct value_unit *units, uint64_t *out, bool *has_unit);

/* Digits, and where there is a point digits behind it. */
bool value_decimal(const char *text, double *out);

/* A moment, in nanoseconds since 1970: 2026-11-27T06:00:00Z, how long before now (10m), or the nanoseconds themselves. */
bool value_moment(const char *text, uint64_t now_ns, uint64_t *out);

/* PORT, or HOST:PORT with the host as a number. */
bool value_address(const char *text);

/* The number in the largest unit that it is a whole number of, such as 36500d; in the smallest it may have none behind it. */
const char *value_text(uint64_t number, const struct value_unit *units, char *out, size_t out_bytes);

/* Is the word one of those, which stand between bars: "memory|disk"? */
bool value_is_one_of(const char *text, const char *words);

/* The text with everything escaped that is not for a terminal to act on: control characters, and bytes that are no
 * UTF-8. The caller frees it; NULL: no memory. */
char *value_escaped(const char *text);

#endif
