#include "control/cluster_values.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "control/plain_text.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define FIELD(name) .offset = offsetof(struct cluster_config, name)
#define USER_ID_MAX (UINT32_MAX - 1) /* the last is nobody's: it says "leave it" to the kernel */
#define SHOWN_BYTES 64u

_Static_assert(sizeof(enum cluster_transport) == sizeof(uint32_t), "words are kept as numbers");
_Static_assert(sizeof(enum cluster_profile) == sizeof(uint32_t), "words are kept as numbers");
_Static_assert(sizeof(enum cairn_durability) == sizeof(uint32_t), "words are kept as numbers");

static const struct cluster_units mebibytes = {{{"MiB", 1}, {"GiB", 1024}, {"TiB", 1024 * 1024}},
                                               1,
                                               "write MiB without leading zeros, or a unit: 64, 64MiB, 2GiB"};
static const struct cluster_units milliseconds = {
    {{"us", 1}, {"ms", 1000}, {"s", 1000000}}, 1000, "write ms without leading zeros, or a unit: 5, 5ms, 1s"};
static const struct cluster_units microseconds = {
    {{"us", 1}, {"ms", 1000}, {"s", 1000000}}, 1, "write us without leading zeros, or a unit: 500, 500us, 5ms"};

static const struct cluster_units workers = {.own_scale = 1, .mend = "write how many, without leading zeros: 1, 2, 4"};

static const struct cluster_units processors = {.own_scale = 1,
                                                .mend = "write a processor's number, without leading zeros: 0, 1, 2"};

static const char *const transports[] = {
    [TRANSPORT_MEMIF] = "memif", [TRANSPORT_RING] = "ring", [TRANSPORT_NETNS] = "netns", NULL};
static const char *const profiles[] = {
    [PROFILE_SHARED] = "shared", [PROFILE_DEDICATED] = "dedicated", [PROFILE_WAN] = "wan", NULL};
static const char *const durabilities[] = {[CAIRN_MEMORY] = "memory", [CAIRN_DISK] = "disk", NULL};

static const struct cluster_rule file_rules[] = {
    [CLUSTER_KEY_CLUSTER] = {"cluster", CLUSTER_ID, .required = true, FIELD(id)},
    [CLUSTER_KEY_TRANSPORT] = {"transport", CLUSTER_WORD, FIELD(transport), .words = transports},
    [CLUSTER_KEY_PROFILE] = {"profile", CLUSTER_WORD, FIELD(profile), .words = profiles},
    [CLUSTER_KEY_WORKERS] = {"workers", CLUSTER_NUMBER, FIELD(workers), .units = &workers, .zero_is_default = true,
                             .min = 1, .max = CAIRN_WORKERS_MAX},
    [CLUSTER_KEY_MEMORY_MIB] = {"memory_mib", CLUSTER_NUMBER, FIELD(memory_mib), .units = &mebibytes,
                                .zero_is_default = true, .min = MEMORY_MIB_MIN, .max = MEMORY_MIB_MAX},
    [CLUSTER_KEY_MEMORY_AT_START] = {"memory_at_start", CLUSTER_BOOL, FIELD(memory_at_start)},
    [CLUSTER_KEY_DURABILITY] = {"durability", CLUSTER_WORD, FIELD(durability), .words = durabilities},
    [CLUSTER_KEY_AUTO_CREATE] = {"auto_create", CLUSTER_BOOL, FIELD(auto_create)},
    [CLUSTER_KEY_FLAP_HOLD_MS] = {"flap_hold_ms", CLUSTER_NUMBER, FIELD(flap_hold_ms), .units = &milliseconds,
                                  .max = UINT32_MAX},
    [CLUSTER_KEY_HEARTBEAT_US] = {"heartbeat_us", CLUSTER_NUMBER, FIELD(heartbeat_us), .units = &microseconds,
                                  .max = UINT32_MAX},
    [CLUSTER_KEY_TIMEOUT_US] = {"timeout_us", CLUSTER_NUMBER, FIELD(timeout_us), .units = &microseconds,
                                .max = UINT32_MAX},
    [CLUSTER_KEY_TIMEOUT_CEILING_US] = {"timeout_ceiling_us", CLUSTER_NUMBER, FIELD(timeout_ceiling_us),
                                        .units = &microseconds, .max = UINT32_MAX},
    [CLUSTER_KEY_CLOCK_BOUND_MS] = {"clock_bound_ms", CLUSTER_NUMBER, FIELD(clock_bound_ms), .units = &milliseconds,
                                    .zero_is_default = true, .min = CLOCK_BOUND_MIN_NS / 1000000,
                                    .max = CLOCK_BOUND_MAX_NS / 1000000},
    [CLUSTER_KEY_DIRECTORY] = {"directory", CLUSTER_DIRECTORY, .required = true},
    [CLUSTER_KEY_CLIENTS] = {"clients", CLUSTER_CLIENTS, .required = false},
    [CLUSTER_KEY_NODES] = {"nodes", CLUSTER_NODES, .required = true},
};
static const struct cluster_rule node_rules[] = {
    {"name", CLUSTER_NODE_NAME, .required = true},
    {"lcores", CLUSTER_LCORES, .units = &workers, .min = 1, .max = CAIRN_WORKERS_MAX},
    {"cpus", CLUSTER_CPUS, .units = &processors, .max = CLUSTER_CPU_MAX},
};
static const struct cluster_rule client_rules[] = {{"users", CLUSTER_USERS, .required = false},
                                                   {"group", CLUSTER_GROUP, .required = false}};

_Static_assert(COUNT(file_rules) == CLUSTER_KEYS, "a rule for each key");

const struct cluster_rules *
cluster_file_rules(void)
{
    static const struct cluster_rules rules = {file_rules, COUNT(file_rules),
                                               "docs/operations.md lists them; mend or remove it"};

    return &rules;
}

const struct cluster_rules *
cluster_node_rules(void)
{
    static const struct cluster_rules rules = {node_rules, COUNT(node_rules),
                                               "a node has name, lcores and cpus, and nothing else"};

    return &rules;
}

const struct cluster_rules *
cluster_client_rules(void)
{
    static const struct cluster_rules rules = {client_rules, COUNT(client_rules),
                                               "clients has users and group, and nothing else"};

    return &rules;
}

uint32_t
cluster_value_number(const struct cluster_rule *rule, const struct cluster_config *config)
{
    uint32_t number;

    assert(rule->kind == CLUSTER_NUMBER || rule->kind == CLUSTER_ID || rule->kind == CLUSTER_WORD);
    memcpy(&number, (const char *)config + rule->offset, sizeof(number));
    return number;
}

bool
cluster_value_bool(const struct cluster_rule *rule, const struct cluster_config *config)
{
    assert(rule->kind == CLUSTER_BOOL);
    return *(const bool *)((const char *)config + rule->offset);
}

static bool
keep_number(const struct cluster_rule *rule, uint32_t number, struct cluster_config *config)
{
    memcpy((char *)config + rule->offset, &number, sizeof(number));
    assert(cluster_value_number(rule, config) == number);
    return true;
}

/* "KEY is 'VALUE', WHAT (MEND)" */
static bool
refuse(const struct cluster_rule *rule, const struct cluster_value *value, const char *what, const char *mend,
       struct cluster_fault *fault)
{
    char shown[SHOWN_BYTES];

    plain_text_show(value->text, value->text_bytes, shown, sizeof(shown));
    return cluster_fault_set(fault, value->place, mend, "%s is '%s', %s", rule->name, shown, what);
}

/* A whole number and no more than its digits: octal or decimal would be a guess where it begins with a zero. Returns what
 * follows it; NULL: none is there, or it is too large. */
static const char *
take_digits(const char *text, uint64_t *number)
{
    const char *at = text;

    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(*number, 10u, number) || __builtin_add_overflow(*number, *at - '0', number))
            return NULL;
    }
    return at == text || (text[0] == '0' && at > text + 1) ? NULL : at;
}

/* 0: there is no such unit. */
static uint64_t
unit_scale(const struct cluster_units *units, const char *name)
{
    if (name[0] == '\0')
        return units->own_scale;
    for (size_t i = 0; i < COUNT(units->units); i++) {
        if (units->units[i].name != NULL && strcmp(units->units[i].name, name) == 0)
            return units->units[i].scale;
    }
    return 0;
}

static bool
number_of(const struct cluster_rule *rule, const struct cluster_value *value, uint32_t *out,
          struct cluster_fault *fault)
{
    const struct cluster_units *units = rule->units;
    uint64_t number, scale;
    const char *rest = take_digits(value->text, &number);

    assert(rule->min <= rule->max && units->own_scale > 0);
    if (rest == NULL || (scale = unit_scale(units, rest)) == 0)
        return refuse(rule, value, "which is no plain whole number", units->mend, fault);
    if (__builtin_mul_overflow(number, scale, &number))
        number = UINT64_MAX - UINT64_MAX % units->own_scale; /* beyond any limit, which is what is to be said */
    if (number % units->own_scale != 0)
        return refuse(rule, value, "which is no whole number of its unit", units->mend, fault);
    number /= units->own_scale;
    *out = (uint32_t)number;
    return (number >= rule->min && number <= rule->max) || (number == 0 && rule->zero_is_default) ||
           cluster_fault_set(
               fault, value->place, rule->zero_is_default ? "write one of those, or 0 for the default" : units->mend,
               "%s is %s, at least %u is needed, and %u at most", rule->name, value->text, rule->min, rule->max);
}

static bool
take_number(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
            struct cluster_fault *fault)
{
    uint32_t number = 0;

    return number_of(rule, value, &number, fault) && keep_number(rule, number, config);
}

/* One thread there polls as well as two. */
static bool
take_cpu(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_lcores *lcores,
         struct cluster_fault *fault)
{
    uint32_t cpu = 0;

    assert(lcores->cpus_count < CAIRN_WORKERS_MAX);
    if (!number_of(rule, value, &cpu, fault))
        return false;
    for (uint32_t i = 0; i < lcores->cpus_count; i++) {
        if (lcores->cpus[i] == cpu)
            return refuse(rule, value, "which is listed twice", "remove one", fault);
    }
    assert(cpu <= CLUSTER_CPU_MAX);
    lcores->cpus[lcores->cpus_count++] = cpu;
    return true;
}

/* 0x and 1 to 8 digits, as the writer has it. */
static bool
take_hexadecimal(const char *text, uint64_t *number)
{
    size_t digits = strspn(text + 2, "0123456789abcdefABCDEF");

    *number = 0;
    if (digits == 0 || digits > 8 || text[2 + digits] != '\0')
        return false;
    for (const char *at = text + 2; *at != '\0'; at++)
        *number = *number << 4 | (uint64_t)(*at <= '9' ? *at - '0' : (*at | 0x20) - 'a' + 10);
    assert(*number <= UINT32_MAX);
    return true;
}

static bool
take_id(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
        struct cluster_fault *fault)
{
    uint64_t number;
    const char *rest;
    bool taken;

    if (strncmp(value->text, "0x", 2) == 0)
        taken = take_hexadecimal(value->text, &number);
    else
        taken = (rest = take_digits(value->text, &number)) != NULL && *rest == '\0' && number <= UINT32_MAX;
    if (taken)
        return keep_number(rule, (uint32_t)number, config);
    return refuse(rule, value, "which is no number of 32 bits",
                  "write digits without leading zeros, or 0x and 1 to 8 hexadecimal digits", fault);
}

static bool
take_bool(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
          struct cluster_fault *fault)
{
    bool yes = strcmp(value->text, "true") == 0;

    if (!yes && strcmp(value->text, "false") != 0)
        return refuse(rule, value, "which is neither", "write true or false", fault);
    *(bool *)((char *)config + rule->offset) = yes;
    assert(cluster_value_bool(rule, config) == yes);
    return true;
}

static bool
take_word(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
          struct cluster_fault *fault)
{
    char mend[sizeof(fault->mend)] = "";
    size_t used = 0;

    for (uint32_t i = 0; rule->words[i] != NULL; i++) {
        if (strcmp(rule->words[i], value->text) == 0)
            return keep_number(rule, i, config);
        used += (size_t)snprintf(mend + used, sizeof(mend) - used, "%s%s", i == 0 ? "write one of " : ", ",
                                 rule->words[i]);
        assert(used < sizeof(mend));
    }
    return refuse(rule, value, "which it cannot be", mend, fault);
}

static bool
take_directory(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
               struct cluster_fault *fault)
{
    if (value->text[0] != '/')
        return refuse(rule, value, "which is no absolute path", "begin it with /", fault);
    if (value->text_bytes >= sizeof(config->directory))
        return cluster_fault_set(fault, value->place, "give a shorter one", "directory is %zu bytes long, %zu at most",
                                 value->text_bytes, sizeof(config->directory) - 1);
    memcpy(config->directory, value->text, value->text_bytes + 1);
    return true;
}

static bool
take_node_name(const struct cluster_value *value, struct cluster_config *config, struct cluster_fault *fault)
{
    char shown[CAIRN_NAME_BYTES];

    assert(config->nodes < CAIRN_NODES_MAX);
    plain_text_show(value->text, value->text_bytes, shown, sizeof(shown));
    if (!cairn_name_is_valid(value->text))
        return cluster_fault_set(fault, value->place, "give it another name", "node '%s': %s", shown,
                                 agreed_refusal_text(AGREED_NO_NAME));
    if (cluster_config_node(config, value->text) != CAIRN_NODE_NONE)
        return cluster_fault_set(fault, value->place, "remove one", "node '%s' is listed twice", shown);
    assert(value->text_bytes < sizeof(config->names[0]));
    memcpy(config->names[config->nodes], value->text, value->text_bytes + 1);
    config->name_places[config->nodes] = value->place;
    return true;
}

/* A name as systems give them, or a number. Whoever resolves it says whether there is such a one. */
static bool
is_account(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-");
    uint64_t number;
    const char *rest;

    if (text[0] >= '0' && text[0] <= '9')
        return (rest = take_digits(text, &number)) != NULL && *rest == '\0' && number <= USER_ID_MAX;
    if (size > 0 && text[size] == '$')
        size++;
    return size > 0 && size < CAIRN_NAME_BYTES && text[size] == '\0' && strchr(".@-", text[0]) == NULL;
}

static bool
take_account(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
             struct cluster_fault *fault)
{
    uint32_t *count = &config->client_users_count;

    if (!is_account(value->text))
        return refuse(rule, value, "which is no name and no number that an account can have",
                      "write its name, or its number without leading zeros", fault);
    assert(value->text_bytes < CAIRN_NAME_BYTES);
    if (rule->kind == CLUSTER_GROUP) {
        memcpy(config->client_group, value->text, value->text_bytes + 1);
        return true;
    }
    assert(*count < CLUSTER_CLIENT_USERS_MAX);
    for (uint32_t i = 0; i < *count; i++) {
        if (strcmp(config->client_users[i], value->text) == 0)
            return refuse(rule, value, "who is listed twice", "remove one", fault);
    }
    memcpy(config->client_users[(*count)++], value->text, value->text_bytes + 1);
    return true;
}

/* Numbers and booleans in quotes are text to whoever reads the file otherwise. */
static bool
is_bare(enum cluster_kind kind)
{
    return kind == CLUSTER_NUMBER || kind == CLUSTER_ID || kind == CLUSTER_BOOL || kind == CLUSTER_LCORES ||
           kind == CLUSTER_CPUS;
}

bool
cluster_value_take(const struct cluster_rule *rule, const struct cluster_value *value, struct cluster_config *config,
                   struct cluster_fault *fault)
{
    if (value->text_bytes == 0)
        return cluster_fault_set(fault, value->place, "write one, or remove the key", "%s has no value", rule->name);
    if (!plain_text_is_clean(value->text, value->text_bytes))
        return refuse(rule, value, "which has a control character in it", "take it out", fault);
    if (value->quoted && is_bare(rule->kind))
        return refuse(rule, value, "in quotes", "take the quotes away", fault);
    switch (rule->kind) {
    case CLUSTER_NUMBER:
        return take_number(rule, value, config, fault);
    case CLUSTER_ID:
        return take_id(rule, value, config, fault);
    case CLUSTER_BOOL:
        return take_bool(rule, value, config, fault);
    case CLUSTER_WORD:
        return take_word(rule, value, config, fault);
    case CLUSTER_DIRECTORY:
        return take_directory(rule, value, config, fault);
    case CLUSTER_NODE_NAME:
        return take_node_name(value, config, fault);
    case CLUSTER_LCORES:
        return number_of(rule, value, &config->lcores[config->nodes].count, fault);
    case CLUSTER_CPUS:
        return take_cpu(rule, value, &config->lcores[config->nodes], fault);
    case CLUSTER_USERS:
    case CLUSTER_GROUP:
        return take_account(rule, value, config, fault);
    case CLUSTER_NODES:
    case CLUSTER_CLIENTS:
        break;
    }
    return cluster_fault_set(fault, value->place, "docs/operations.md has an example", "%s is more than one value",
                             rule->name);
}
