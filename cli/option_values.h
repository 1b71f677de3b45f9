/* Values of options, by their kind: each is read whole or refused. */
#ifndef CLI_OPTION_VALUES_H
#define CLI_OPTION_VALUES_H

#include <stddef.h>

#include "cli/options.h"

/* As usage shows it; and "1 to 86400000 ms", "" where the kind says all. */
const char *option_placeholder(const struct cli_option *option);
const char *option_range_text(const struct cli_option *option, char *out, size_t out_bytes);

/* dashes: "--" before an option; equals: "=" behind the key of an effect. 0, or what to exit with, said. */
int option_read_value(const char *what, const char *dashes, const struct cli_option *option, const char *equals,
                      const char *text);

#endif
