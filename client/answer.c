#include "client/answer.h"

#include <stdint.h>
#include <string.h>

#include "cairn/types.h"

#define DEPTH_MAX 8

/* What a key may be: a set. */
enum kind {
    TEXT = 1,
    NOTHING = 2, /* null */
    COUNT = 4,   /* 0 or more */
    NUMBER = 8,
    TRUTH = 16,
    NAMES = 32, /* of nodes, in an array */
    ROWS = 64,  /* objects, in an array */
    ROW = 128,
    FIGURES = 512, /* an object with keys of its own: names of nodes, levels */
    NAME = 256,    /* of a node or a log, the system's own too; "" where there is none */
};

static const struct {
    const char *key;
    unsigned kinds;
} known[] = {
    {"ok", TRUTH},
    {"error", TEXT},
    {"detail", TEXT},
    {"state", TEXT},
    {"rows", ROWS},
    {"matrix", ROWS},
    {"seats", NAMES},
    {"reach", NAMES},
    {"hears", NAMES},
    {"voters", NAMES},
    {"learners", NAMES},
    {"slow", NAMES},
    {"standing", ROW | TEXT},
    {"heard_ms", FIGURES},
    {"modes", FIGURES},
    {"latencies", FIGURES},
    {"node", NAME},
    {"log", NAME | NOTHING},
    {"leader", NAME | NOTHING},
    {"peer", NAME | NOTHING},
    {"role", TEXT},
    {"mode", TEXT},
    {"policy", TEXT},
    {"deny", TEXT},
    {"digest", TEXT},
    {"durability", TEXT},
    {"when_cut", TEXT},
    {"stopped", TEXT},
    {"trouble", TEXT},
    {"timeout_why", TEXT},
    {"event", TEXT},
    {"reason", TEXT},
    {"fingerprint", TEXT},
    {"from", TEXT | NOTHING},
    {"to", TEXT | NOTHING},
    {"cluster", TEXT | NOTHING},
    {"member", TEXT | NOTHING},
    {"life", TEXT | NOTHING},
    {"id", COUNT},
    {"term", COUNT},
    {"commit_lsn", COUNT},
    {"last_lsn", COUNT},
    {"first_lsn", COUNT},
    {"held_lsn", COUNT},
    {"lacks_lsn", COUNT},
    {"agreed_lsn", COUNT},
    {"kept_lsn", COUNT},
    {"branch_entries", COUNT},
    {"merge_entries", COUNT},
    {"merge_ms", COUNT},
    {"appended", COUNT},
    {"appended_bytes", COUNT},
    {"refused", COUNT},
    {"read", COUNT},
    {"retain_bytes", COUNT},
    {"retain_age_ms", COUNT},
    {"trim_before", COUNT},
    {"heartbeat_us", COUNT},
    {"timeout_us", COUNT},
    {"clock_bound_ms", COUNT},
    {"memory_mib", COUNT},
    {"has_memory_mib", COUNT},
    {"write_us", COUNT},
    {"start", COUNT},
    {"next", COUNT},
    {"t_ns", COUNT},
    {"timeout_ms", NUMBER},
    {"agreed_timeout_ms", NUMBER},
    {"told_ms", NUMBER},
    {"clock_ahead_ms", NUMBER},
    {"recovering", TRUTH},
    {"introduced", TRUTH | NAMES},
    {"safe_to_restart", TRUTH},
    {"disk_failed", TRUTH},
    {"worker_hung", TRUTH},
};

static bool row_is_sane(const json_t *row, int depth);

/* No control character: neither those of ASCII nor those behind it, which UTF-8 writes in two bytes. */
static bool
can_be_shown(const char *text, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && i + 1 < size_bytes && (unsigned char)text[i + 1] < 0xa0))
            return false;
    }
    return true;
}

static bool
is_name(const json_t *value)
{
    const char *text = json_string_value(value);

    if (text == NULL || strlen(text) != json_string_length(value))
        return false;
    /* The system's own begin with '_', or there is none. */
    return text[0] == '\0' || cairn_name_is_valid(text[0] == '_' ? text + 1 : text);
}

static bool
are_all(const json_t *values, bool (*is)(const json_t *value))
{
    const json_t *value;
    size_t i;

    json_array_foreach (values, i, value) {
        if (!is(value))
            return false;
    }
    return true;
}

static bool
are_rows(const json_t *values, int depth)
{
    const json_t *value;
    size_t i;

    json_array_foreach (values, i, value) {
        if (!json_is_object(value) || !row_is_sane(value, depth - 1))
            return false;
    }
    return true;
}

static bool
is_of_kind(const json_t *value, unsigned kinds, int depth)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        if (kinds & NAME)
            return is_name(value);
        return (kinds & TEXT) && can_be_shown(json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return (kinds & NUMBER) || ((kinds & COUNT) && json_integer_value(value) >= 0);
    case JSON_REAL:
        return (kinds & NUMBER) != 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return (kinds & TRUTH) != 0;
    case JSON_NULL:
        return (kinds & NOTHING) != 0;
    case JSON_ARRAY:
        return (kinds & NAMES) ? are_all(value, is_name) : (kinds & ROWS) && are_rows(value, depth);
    case JSON_OBJECT:
        return (kinds & FIGURES) || ((kinds & ROW) && row_is_sane(value, depth - 1));
    }
    return false;
}

static bool
row_is_sane(const json_t *row, int depth)
{
    const json_t *value;
    const char *key;

    if (depth == 0)
        return false;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
            if (strcmp(known[i].key, key) == 0 && !is_of_kind(value, known[i].kinds, depth))
                return false;
        }
    }
    return true;
}

bool
answer_is_sane(const json_t *answer)
{
    return json_is_object(answer) && row_is_sane(answer, DEPTH_MAX);
}
