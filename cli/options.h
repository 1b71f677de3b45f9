/* The grammar of command lines. A command says in rows what it takes; cli_parse() alone reads, checks and refuses, so no
 * command parses a value by itself, and nothing is taken by half.
 *
 *     const struct cli_option options[] = {
 *         {"deadline-ms", OPTION_U64, &deadline_ms, "for each entry; default 10000", .min = 1, .max = 86400000, .unit = "ms"},
 *         {"json", OPTION_FLAG, &json, "a JSON row for each entry"},
 *         OPTIONS_END,
 *     };
 *
 * `--name VALUE` and `--name=VALUE` are the same. Names are written out: what an abbreviation means changes with the next
 * option. An option with a value is given once. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"

enum option_kind {
    OPTION_FLAG,      /* bool */
    OPTION_TEXT,      /* const char *, not empty, as all texts */
    OPTION_FILE,      /* const char *: a path */
    OPTION_CHARACTER, /* const char * of one byte, which can stand in a line */
    OPTION_WORD,      /* const char *: one of those in `unit`, between bars */
    OPTION_NODE,      /* const char *: a name such as a node may have */
    OPTION_NODES,     /* const char *: several, with commas */
    OPTION_LOG,       /* const char *: a log's name, or _catalog */
    OPTION_ADDRESS,   /* const char *: PORT or HOST:PORT, the host as a number */
    OPTION_U64,       /* uint64_t, min to max */
    OPTION_U32,       /* uint32_t, min to max */
    OPTION_SIZE,      /* uint64_t, bytes, min to max; with KiB (K), MiB, GiB or TiB */
    OPTION_DURATION,  /* uint64_t, nanoseconds, min to max; with its unit */
    OPTION_MOMENT,    /* uint64_t, nanoseconds since 1970 */
    OPTION_DECIMAL,   /* double, min to max */
    OPTION_PRODUCER,  /* struct cli_producer */
    OPTION_ACK,       /* enum cairn_ack, */
    OPTION_POLICY,    /* cairn_policy, */
    OPTION_DENY,      /* cairn_deny, */
    OPTION_LEVEL      /* cairn_read_level */
};

struct cli_option {
    const char *name; /* without the dashes */
    enum option_kind kind;
    void *value; /* untouched where the option is not given */
    const char *help;
    uint64_t min, max;
    uint64_t step;     /* of a duration: in whole ones of that, as no finer is kept; 0: any */
    bool or_zero;      /* 0 goes too, and means something else: the help says what */
    const char *unit;  /* of a number, as people read it; the words of OPTION_WORD */
    const char *verbs; /* with these alone, between bars; NULL: with all */
    const char *apart; /* not with these options, between bars; it is enough that one of two says so */
    const char *needs; /* not without this one */
};

#define OPTIONS_END                                                                                                    \
    {                                                                                                                  \
        NULL, OPTION_FLAG, NULL, NULL                                                                                  \
    }

/* As a row that says `unknown` has it: N, or N@CLUSTER. */
struct cli_producer {
    uint64_t id;
    struct cairn_id of; /* not set: not said */
};

/* The word behind a command's name, and how many arguments follow it. */
struct cli_verb {
    const char *name;
    const char *arguments; /* as usage shows them */
    int min, max;
};

/* What a command takes. `name` is its own; without verbs, `arguments` as usage shows them are what may be given. */
struct cli_grammar {
    const char *name, *arguments;
    int min, max;
    const struct cli_verb *verbs;     /* ends with a NULL name; NULL: none */
    const struct cli_option *options; /* ends with OPTIONS_END */
    const struct cli_option *effects; /* of arguments that read KEY=VALUE, for the help; NULL: there are none */
};

/* Reads options; what is left are the arguments, the verb first, from argv[*first] on. Returns true to go on; false: *status
 * is what to exit with (help was shown, or usage was wrong). */
bool cli_parse(int argc, char **argv, const struct cli_grammar *grammar, int *first, int *status);

/* Reads arguments KEY=VALUE by rows like those of options. what: whose they are, "fault link". 0, or what to exit with, said. */
int cli_effects(const char *what, const struct cli_option *effects, int count, char **words);

/* A log's name as an argument. 0, or what to exit with, said. */
int cli_log_name(const char *command, const char *name);

#endif
