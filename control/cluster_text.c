/* A cluster file's text: libyaml says what stands where, the rules of cluster_values.h what may. */
#include "control/cluster_file.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "control/cluster_values.h"
#include "control/plain_text.h"

#define KEYS_MAX 16u
#define SHOWN_BYTES 64u

_Static_assert(CLUSTER_KEYS <= KEYS_MAX, "a place for each key");

/* One way through the text. Nothing is kept of it but the event that is looked at. */
struct walk {
    yaml_parser_t parser;
    yaml_event_t event;
    struct cluster_config config;
    struct cluster_fault *fault;
};

static struct cluster_place
place_of(yaml_mark_t mark)
{
    return (struct cluster_place){.line = (uint32_t)mark.line + 1, .column = (uint32_t)mark.column + 1};
}

static struct cluster_place
here(const struct walk *walk)
{
    return place_of(walk->event.start_mark);
}

/* What libyaml would read past, or would count as the end of a line where an editor does not. */
static const char *
objection_to(const char *text, size_t text_bytes, uint32_t rune, size_t rune_bytes, bool first)
{
    if (rune_bytes == 0)
        return "a byte that is no UTF-8";
    if (rune == 0xfeff && first)
        return "a byte order mark";
    if (rune == 0)
        return "a zero byte";
    if (rune == '\r' && (text_bytes < 2 || text[1] != '\n'))
        return "a carriage return within a line";
    if (rune == '\t' || rune == '\n' || rune == '\r' || !plain_text_is_control(rune))
        return NULL;
    return "a control character";
}

/* end: the place behind its last character. */
static bool
is_text(const char *text, size_t text_bytes, struct cluster_place *end, struct cluster_fault *fault)
{
    struct cluster_place place = {.line = 1, .column = 1};

    for (size_t at = 0, size; at < text_bytes; at += size) {
        uint32_t rune = 0;
        const char *what;

        size = plain_text_rune(text + at, text_bytes - at, &rune);
        what = objection_to(text + at, text_bytes - at, rune, size, at == 0);
        if (what != NULL)
            return cluster_fault_set(fault, place, "take it out: the file is UTF-8 text", "there is %s", what);
        place = rune == '\n' ? (struct cluster_place){.line = place.line + 1, .column = 1}
                             : (struct cluster_place){.line = place.line, .column = place.column + 1};
    }
    *end = place;
    return true;
}

/* A text that does not end is reported where it begins: libyaml notices it lines later, or at the end of the file. */
static bool
no_yaml(struct walk *walk)
{
    const yaml_parser_t *parser = &walk->parser;
    const char *context = parser->context != NULL ? parser->context : "";
    bool unended = strstr(context, "quoted scalar") != NULL || strstr(context, "simple key") != NULL;
    yaml_mark_t mark = unended ? parser->context_mark : parser->problem_mark;

    return cluster_fault_set(walk->fault, place_of(mark), "mend it there, or in the line above", "no YAML: %s%s%s",
                             context, context[0] != '\0' ? ", " : "",
                             parser->problem != NULL ? parser->problem : "out of memory");
}

/* What YAML has beside plain keys and values makes one text mean another, or the same text more than one thing. */
static const char *
extra_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "an alias";
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL ? "an anchor" : event->data.scalar.tag != NULL ? "a tag" : NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL ? "an anchor"
               : event->data.sequence_start.tag != NULL  ? "a tag"
                                                         : NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL ? "an anchor"
               : event->data.mapping_start.tag != NULL  ? "a tag"
                                                        : NULL;
    case YAML_DOCUMENT_START_EVENT:
        return event->data.document_start.version_directive != NULL ||
                       event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end
                   ? "a directive"
                   : NULL;
    default:
        return NULL;
    }
}

static bool
next(struct walk *walk)
{
    const char *extra;

    yaml_event_delete(&walk->event);
    if (!yaml_parser_parse(&walk->parser, &walk->event))
        return no_yaml(walk);
    extra = extra_of(&walk->event);
    if (extra != NULL)
        return cluster_fault_set(walk->fault, here(walk), "write the value itself", "there is %s", extra);
    return true;
}

/* The value that the event is, in one line. */
static bool
value_here(struct walk *walk, const char *name, struct cluster_value *value)
{
    const yaml_event_t *event = &walk->event;
    yaml_scalar_style_t style = event->data.scalar.style;

    if (event->type != YAML_SCALAR_EVENT)
        return cluster_fault_set(walk->fault, here(walk), "write one value, without [ ] { } or lines of its own",
                                 "%s takes a single value", name);
    if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE ||
        event->start_mark.line != event->end_mark.line)
        return cluster_fault_set(walk->fault, here(walk), "write it in one; is the next line indented?",
                                 "%s has a value of several lines", name);
    *value = (struct cluster_value){
        .text = (const char *)event->data.scalar.value,
        .text_bytes = event->data.scalar.length,
        .quoted = style != YAML_PLAIN_SCALAR_STYLE,
        .place = here(walk),
    };
    return true;
}

static bool
take_single(struct walk *walk, const struct cluster_rule *rule)
{
    struct cluster_value value = {.text = ""};

    return value_here(walk, rule->name, &value) && cluster_value_take(rule, &value, &walk->config, walk->fault);
}

/* Which rule the key has that the event is. */
static bool
find_rule(struct walk *walk, const struct cluster_rules *rules, size_t *found)
{
    struct cluster_value key = {.text = ""};
    char shown[SHOWN_BYTES];

    if (!value_here(walk, "a key", &key))
        return false;
    for (size_t i = 0; i < rules->count; i++) {
        if (strlen(rules->rules[i].name) == key.text_bytes &&
            memcmp(rules->rules[i].name, key.text, key.text_bytes) == 0) {
            *found = i;
            return true;
        }
    }
    plain_text_show(key.text, key.text_bytes, shown, sizeof(shown));
    return cluster_fault_set(walk->fault, key.place, rules->mend, "there is no key '%s'", shown);
}

static bool
has_required(struct walk *walk, const struct cluster_rules *rules, const struct cluster_place *places,
             struct cluster_place whole)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->rules[i].required && places[i].line == 0)
            return cluster_fault_set(walk->fault, whole, "docs/operations.md has an example", "%s is missing",
                                     rules->rules[i].name);
    }
    return true;
}

typedef bool take_value(struct walk *walk, const struct cluster_rule *rule);

/* A mapping: each key once, every required key, and no other. whole: the place to name where one is missing. places: of
 * keys. */
static bool
take_mapping(struct walk *walk, const struct cluster_rules *rules, take_value *take, struct cluster_place whole,
             struct cluster_place *places)
{
    if (walk->event.type != YAML_MAPPING_START_EVENT)
        return cluster_fault_set(walk->fault, here(walk), rules->mend, "this is no line 'key: value'");
    while (next(walk) && walk->event.type != YAML_MAPPING_END_EVENT) {
        struct cluster_place place = here(walk);
        size_t found = 0;

        if (!find_rule(walk, rules, &found))
            return false;
        assert(found < rules->count && rules->count <= KEYS_MAX);
        if (places[found].line != 0)
            return cluster_fault_set(walk->fault, place, "remove one", "%s is there twice, first in line %u",
                                     rules->rules[found].name, places[found].line);
        places[found] = place;
        if (!next(walk) || !take(walk, &rules->rules[found]))
            return false;
    }
    return walk->event.type == YAML_MAPPING_END_EVENT && has_required(walk, rules, places, whole);
}

static bool
take_list(struct walk *walk, const char *name, const char *mend, uint32_t max, take_value *take,
          const struct cluster_rule *rule)
{
    struct cluster_place place = here(walk);
    uint32_t count = 0;

    if (walk->event.type != YAML_SEQUENCE_START_EVENT)
        return cluster_fault_set(walk->fault, place, mend, "%s is a list", name);
    while (next(walk) && walk->event.type != YAML_SEQUENCE_END_EVENT) {
        if (count++ == max)
            return cluster_fault_set(walk->fault, here(walk), "remove some", "%s has more than %u", name, max);
        if (!take(walk, rule))
            return false;
    }
    if (walk->event.type != YAML_SEQUENCE_END_EVENT)
        return false;
    assert(count <= max);
    return count > 0 || cluster_fault_set(walk->fault, place, mend, "%s is an empty list", name);
}

static bool
take_of_node(struct walk *walk, const struct cluster_rule *rule)
{
    if (rule->kind == CLUSTER_NODE_NAME)
        return take_single(walk, rule);
    walk->config.lcores[walk->config.nodes].place = here(walk);
    if (rule->kind == CLUSTER_LCORES)
        return take_single(walk, rule);
    return take_list(walk, rule->name, "write them as [0, 1], or one '- NUMBER' a line", CAIRN_WORKERS_MAX, take_single,
                     rule);
}

static bool
take_node(struct walk *walk, const struct cluster_rule *rule)
{
    struct cluster_place places[KEYS_MAX] = {0};
    struct cluster_config *config = &walk->config;
    struct cluster_lcores *lcores = &config->lcores[config->nodes];

    (void)rule;
    assert(config->nodes < CAIRN_NODES_MAX);
    if (!take_mapping(walk, cluster_node_rules(), take_of_node, here(walk), places))
        return false;
    if (lcores->count != 0 && lcores->cpus_count != 0 && lcores->count != lcores->cpus_count)
        return cluster_fault_set(walk->fault, lcores->place, "list one for each lcore, or leave lcores out",
                                 "node '%s' has %u lcores, and %u cpus", config->names[config->nodes], lcores->count,
                                 lcores->cpus_count);
    /* What is whole has its name, which is no other's. */
    assert(cluster_config_node(config, config->names[config->nodes]) == CAIRN_NODE_NONE);
    config->nodes++;
    return true;
}

static bool
take_of_clients(struct walk *walk, const struct cluster_rule *rule)
{
    if (rule->kind != CLUSTER_USERS)
        return take_single(walk, rule);
    return take_list(walk, rule->name, "write one '- NAME' a line", CLUSTER_CLIENT_USERS_MAX, take_single, rule);
}

static bool
take_clients(struct walk *walk)
{
    struct cluster_place places[KEYS_MAX] = {0}, place = here(walk);

    if (!take_mapping(walk, cluster_client_rules(), take_of_clients, place, places))
        return false;
    return walk->config.client_users_count > 0 || walk->config.client_group[0] != '\0' ||
           cluster_fault_set(walk->fault, place, "add users or a group, or remove it", "clients says nothing");
}

static bool
take_of_file(struct walk *walk, const struct cluster_rule *rule)
{
    if (rule->kind == CLUSTER_NODES)
        return take_list(walk, rule->name, "write one '- name: NAME' a line", CAIRN_NODES_MAX, take_node, rule);
    if (rule->kind == CLUSTER_CLIENTS)
        return take_clients(walk);
    return take_single(walk, rule);
}

/* One document, and nothing after it. */
static bool
take_stream(struct walk *walk)
{
    const struct cluster_place nowhere = {0};

    if (!next(walk) || !next(walk))
        return false;
    if (walk->event.type == YAML_STREAM_END_EVENT)
        return cluster_fault_set(walk->fault, nowhere, "docs/operations.md has an example; 'cairn dev' writes one",
                                 "it says nothing");
    assert(walk->event.type == YAML_DOCUMENT_START_EVENT);
    if (!next(walk) || !take_mapping(walk, cluster_file_rules(), take_of_file, nowhere, walk->config.places))
        return false;
    if (!next(walk) || !next(walk))
        return false;
    return walk->event.type == YAML_STREAM_END_EVENT ||
           cluster_fault_set(walk->fault, here(walk), "remove it: a file is of one cluster",
                             "a second document begins");
}

bool
cluster_text_decode(const char *text, size_t text_bytes, struct cluster_config *out, struct cluster_fault *fault)
{
    struct walk walk = {.config = {.memory_mib = 0}, .fault = fault};
    struct cluster_place end = {0};
    bool taken;

    if (!is_text(text, text_bytes, &end, fault))
        return false;
    if (!yaml_parser_initialize(&walk.parser))
        return cluster_fault_set(fault, (struct cluster_place){0}, "free some", "out of memory");
    yaml_parser_set_encoding(&walk.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&walk.parser, (const unsigned char *)text, text_bytes);
    taken = take_stream(&walk);
    yaml_event_delete(&walk.event);
    yaml_parser_delete(&walk.parser);
    if (!taken && fault->place.line > end.line)
        fault->place = end; /* libyaml ends a last line that nobody ended */
    if (!taken)
        return false;
    assert(walk.config.nodes >= 1 && walk.config.nodes <= CAIRN_NODES_MAX && walk.config.directory[0] == '/');
    if (walk.config.memory_mib == 0)
        walk.config.memory_mib = CLUSTER_MEMORY_MIB;
    *out = walk.config;
    return true;
}
