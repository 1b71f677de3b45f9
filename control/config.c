/* What a cluster file means, and whether its values go together. cluster_file.h reads and writes it. */
#include "control/config.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cluster_file.h"
#include "control/cluster_values.h"

/* Unless the file says otherwise, a node's suspicion becomes so many times as long at most, whatever its machine is
 * like. */
#define CEILING_TIMEOUTS 50u
/* No scheduler keeps a thread waiting for longer: a machine that does was stopped, or is broken. */
#define CEILING_MAX_NS 1000000000u

static const char *
key_name(enum cluster_key key)
{
    return cluster_file_rules()->rules[key].name;
}

static const char *
word_of(enum cluster_key key, uint32_t value)
{
    return cluster_file_rules()->rules[key].words[value];
}

/* false: it is none of the key's words. */
static bool
parse_word(enum cluster_key key, const char *text, uint32_t *value)
{
    const char *const *words = cluster_file_rules()->rules[key].words;

    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *value = i;
            return true;
        }
    }
    return false;
}

const char *
cluster_transport_name(enum cluster_transport transport)
{
    return word_of(CLUSTER_KEY_TRANSPORT, transport);
}

bool
cluster_transport_parse(const char *text, enum cluster_transport *out)
{
    uint32_t value;

    if (!parse_word(CLUSTER_KEY_TRANSPORT, text, &value))
        return false;
    *out = (enum cluster_transport)value;
    return true;
}

bool
cluster_profile_parse(const char *text, enum cluster_profile *out)
{
    uint32_t value;

    if (!parse_word(CLUSTER_KEY_PROFILE, text, &value))
        return false;
    *out = (enum cluster_profile)value;
    return true;
}

/* What a node learns of its machine lengthens its suspicion up to this, unless the cluster file says otherwise. */
static uint64_t
default_ceiling_ns(uint64_t timeout_ns)
{
    uint64_t ceiling_ns = CEILING_TIMEOUTS * timeout_ns;

    if (ceiling_ns > CEILING_MAX_NS)
        ceiling_ns = CEILING_MAX_NS;
    ceiling_ns = ceiling_ns > 2 * timeout_ns ? ceiling_ns : 2 * timeout_ns;
    assert(ceiling_ns >= 2 * timeout_ns && (ceiling_ns <= CEILING_MAX_NS || ceiling_ns == 2 * timeout_ns));
    return ceiling_ns;
}

struct cluster_timing
cluster_timing(const struct cluster_config *config)
{
    static const struct cluster_timing profile_timings[] = {
        [PROFILE_SHARED] = {.heartbeat_ns = 1000000, .timeout_ns = 10000000},
        [PROFILE_DEDICATED] = {.heartbeat_ns = 50000, .timeout_ns = 500000},
        [PROFILE_WAN] = {.heartbeat_ns = 20000000, .timeout_ns = 200000000},
    };
    struct cluster_timing timing = profile_timings[config->profile];

    if (config->heartbeat_us != 0)
        timing.heartbeat_ns = config->heartbeat_us * 1000ull;
    if (config->timeout_us != 0)
        timing.timeout_ns = config->timeout_us * 1000ull;
    timing.ceiling_ns = config->timeout_ceiling_us != 0 ? config->timeout_ceiling_us * 1000ull
                                                        : default_ceiling_ns(timing.timeout_ns);
    return timing;
}

/* Of the first of the keys that the file has. */
static struct cluster_place
first_place(const struct cluster_config *config, enum cluster_key one, enum cluster_key other)
{
    return config->places[one].line != 0 ? config->places[one] : config->places[other];
}

/* A heartbeat or two may be lost without anybody being suspected. */
static bool
timing_makes_sense(const struct cluster_config *config, struct cluster_fault *fault)
{
    struct cluster_timing timing = cluster_timing(config);

    if (!agreed_timing_makes_sense(timing.heartbeat_ns, timing.timeout_ns))
        return cluster_fault_set(
            fault, first_place(config, CLUSTER_KEY_HEARTBEAT_US, CLUSTER_KEY_TIMEOUT_US),
            "a heartbeat is at least 10 us, and the timeout at least three of them and at most 60 s",
            "heartbeat_us %lu with timeout_us %lu", (unsigned long)(timing.heartbeat_ns / 1000),
            (unsigned long)(timing.timeout_ns / 1000));
    if (timing.ceiling_ns < timing.timeout_ns)
        return cluster_fault_set(fault, config->places[CLUSTER_KEY_TIMEOUT_CEILING_US],
                                 "what is learned only lengthens it: write 0, or at least as much",
                                 "timeout_ceiling_us %lu is less than timeout_us %lu",
                                 (unsigned long)(timing.ceiling_ns / 1000), (unsigned long)(timing.timeout_ns / 1000));
    return true;
}

uint32_t
cluster_workers(const struct cluster_config *config)
{
    return config->workers == 0 ? 1 : config->workers;
}

uint32_t
cluster_lcores_count(const struct cluster_config *config, uint8_t node)
{
    const struct cluster_lcores *lcores = &config->lcores[node];

    assert(node < config->nodes && lcores->cpus_count <= CAIRN_WORKERS_MAX);
    return lcores->cpus_count > 0 ? lcores->cpus_count : lcores->count;
}

/* Each lcore has a worker to poll. */
static bool
lcores_make_sense(const struct cluster_config *config, uint32_t workers, struct cluster_fault *fault)
{
    for (uint8_t i = 0; i < config->nodes; i++) {
        if (cluster_lcores_count(config, i) > workers)
            return cluster_fault_set(fault, config->lcores[i].place, "write that many at most",
                                     "node '%s' has %u lcores for %u %s", config->names[i],
                                     cluster_lcores_count(config, i), workers, workers == 1 ? "worker" : "workers");
    }
    return true;
}

/* Each worker has its part of the memory. */
static bool
memory_makes_sense(const struct cluster_config *config, struct cluster_fault *fault)
{
    uint32_t workers = cluster_workers(config), least_mib = agreed_memory_mib(0, workers, config->durability);

    return config->memory_mib >= least_mib ||
           cluster_fault_set(fault, first_place(config, CLUSTER_KEY_MEMORY_MIB, CLUSTER_KEY_WORKERS),
                             "write more memory, or fewer workers", "memory_mib %u is %u too little for %u workers",
                             config->memory_mib, least_mib - config->memory_mib, workers);
}

uint64_t
cluster_clock_bound_ns(const struct cluster_config *config)
{
    return (config->clock_bound_ms == 0 ? 60000u : config->clock_bound_ms) * 1000000ull;
}

struct agreed
cluster_agreed(const struct cluster_config *config)
{
    struct cluster_timing timing = cluster_timing(config);
    struct agreed agreed = {
        .number = config->id,
        .durability = config->durability,
        .workers = cluster_workers(config),
        .now =
            {
                .nodes = config->nodes,
                .heartbeat_ns = timing.heartbeat_ns,
                .timeout_ns = timing.timeout_ns,
                .memory_mib = config->memory_mib,
                .clock_bound_ns = cluster_clock_bound_ns(config),
            },
    };

    assert(agreed.workers >= 1 && config->nodes <= CAIRN_NODES_MAX);
    agreed.founded = agreed.now;
    memcpy(agreed.names, config->names, sizeof(agreed.names));
    return agreed;
}

/* The whole line: a key's value is there. */
static struct cluster_place
line_of(struct cluster_place place)
{
    return (struct cluster_place){.line = place.line};
}

static bool
contradicts(const struct cluster_config *config, enum cluster_key key, const char *here, const char *agreed,
            struct cluster_fault *fault)
{
    return cluster_fault_set(fault, line_of(config->places[key]), "the file does not change a cluster: put it back",
                             "%s is %s here, but the cluster has agreed on %s", key_name(key), here, agreed);
}

static bool
number_agrees(const struct cluster_config *config, enum cluster_key key, uint64_t here, uint64_t agreed,
              struct cluster_fault *fault)
{
    char texts[2][24];

    if (here == agreed)
        return true;
    snprintf(texts[0], sizeof(texts[0]), "%lu", (unsigned long)here);
    snprintf(texts[1], sizeof(texts[1]), "%lu", (unsigned long)agreed);
    return contradicts(config, key, texts[0], texts[1], fault);
}

/* This name's place belongs to another. */
static bool
name_contradicts(const struct cluster_config *config, const struct agreed *agreed, uint32_t place,
                 struct cluster_fault *fault)
{
    return cluster_fault_set(fault, line_of(config->name_places[place]),
                             "names and their order are the same on every node: put them back",
                             "node %u is '%s' here, but the cluster has agreed on '%s'", place + 1,
                             config->names[place], agreed->names[place]);
}

static bool
names_agree(const struct cluster_config *config, const struct agreed *agreed, struct cluster_fault *fault)
{
    for (uint32_t i = 0; i < agreed->now.nodes && i < config->nodes; i++) {
        if (strcmp(config->names[i], agreed->names[i]) != 0)
            return name_contradicts(config, agreed, i, fault);
    }
    return config->nodes <= agreed->now.nodes ||
           cluster_fault_set(fault, line_of(config->places[CLUSTER_KEY_NODES]),
                             "the file does not change a cluster: put it back, or add one with 'cairn cluster add'",
                             "%u nodes are listed, but the cluster has agreed on %u", config->nodes, agreed->now.nodes);
}

/* A file that has another name in a node's place, or that node in another place, may mean another node. */
static bool
names_follow(const struct cluster_config *config, const struct agreed *agreed, struct cluster_fault *fault)
{
    uint32_t next = 0;

    for (uint32_t i = 0; i < config->nodes; i++) {
        uint8_t seat = agreed_seat(agreed, config->names[i]);

        if (seat == CAIRN_NODE_NONE && i < agreed->now.nodes &&
            cluster_config_node(config, agreed->names[i]) == CAIRN_NODE_NONE)
            return name_contradicts(config, agreed, i, fault);
        if (seat == CAIRN_NODE_NONE)
            continue;
        /* A name listed before this one has a later seat, so this one is not in its own place. */
        if (seat < next)
            return name_contradicts(config, agreed, i, fault);
        next = seat + 1u;
    }
    return true;
}

/* Where the file leaves a figure to the profile, it says nothing once that figure was changed. */
static bool
timing_agrees(const struct cluster_config *config, enum cluster_key key, bool stated, uint64_t here_ns,
              uint64_t agreed_ns, const struct agreed *agreed, struct cluster_fault *fault)
{
    if (!stated && agreed->lsn > 0)
        return true;
    return number_agrees(config, stated ? key : CLUSTER_KEY_PROFILE, here_ns / 1000, agreed_ns / 1000, fault);
}

static bool
memory_agrees(const struct cluster_config *config, uint32_t agreed_mib, struct cluster_fault *fault)
{
    if (config->memory_mib >= agreed_mib)
        return true;
    return cluster_fault_set(fault, line_of(config->places[CLUSTER_KEY_MEMORY_MIB]), "write that, or more",
                             "memory_mib is %u, %u less than the cluster's logs may need (at least %u)",
                             config->memory_mib, agreed_mib - config->memory_mib, agreed_mib);
}

static bool
agrees(const struct cluster_config *config, const struct agreed *agreed, struct cluster_fault *fault)
{
    const struct agreed here = cluster_agreed(config);
    const struct agreed_figures *now = &agreed->now;

    if (here.durability != agreed->durability)
        return contradicts(config, CLUSTER_KEY_DURABILITY, word_of(CLUSTER_KEY_DURABILITY, here.durability),
                           word_of(CLUSTER_KEY_DURABILITY, agreed->durability), fault);
    if (config->workers != 0 && !number_agrees(config, CLUSTER_KEY_WORKERS, config->workers, agreed->workers, fault))
        return false;
    return memory_agrees(config, now->memory_mib, fault) && lcores_make_sense(config, agreed->workers, fault) &&
           number_agrees(config, CLUSTER_KEY_CLUSTER, here.number, agreed->number, fault) &&
           names_agree(config, agreed, fault) &&
           timing_agrees(config, CLUSTER_KEY_HEARTBEAT_US, config->heartbeat_us != 0, here.now.heartbeat_ns,
                         now->heartbeat_ns, agreed, fault) &&
           timing_agrees(config, CLUSTER_KEY_TIMEOUT_US, config->timeout_us != 0, here.now.timeout_ns, now->timeout_ns,
                         agreed, fault) &&
           ((config->clock_bound_ms == 0 && agreed->lsn > 0) ||
            number_agrees(config, CLUSTER_KEY_CLOCK_BOUND_MS, here.now.clock_bound_ns / 1000000,
                          now->clock_bound_ns / 1000000, fault));
}

bool
cluster_config_agrees(const char *path, const struct cluster_config *config, const struct agreed *agreed, char *detail,
                      size_t detail_bytes)
{
    struct cluster_fault fault;

    if (agrees(config, agreed, &fault))
        return true;
    cluster_fault_tell(&fault, path, detail, detail_bytes);
    return false;
}

bool
cluster_config_follows(const char *path, const struct cluster_config *config, const struct agreed *agreed, char *detail,
                       size_t detail_bytes)
{
    struct cluster_fault fault;

    if (names_follow(config, agreed, &fault))
        return true;
    cluster_fault_tell(&fault, path, detail, detail_bytes);
    return false;
}

void
cluster_config_adopt(struct cluster_config *config, const struct agreed *agreed)
{
    config->heartbeat_us = (uint32_t)(agreed->now.heartbeat_ns / 1000);
    config->timeout_us = (uint32_t)(agreed->now.timeout_ns / 1000);
    config->clock_bound_ms = (uint32_t)(agreed->now.clock_bound_ns / 1000000);
    if (config->timeout_ceiling_us != 0 && config->timeout_ceiling_us < config->timeout_us)
        config->timeout_ceiling_us = config->timeout_us;
    config->workers = agreed->workers;
    config->nodes = agreed->now.nodes;
    memcpy(config->names, agreed->names, sizeof(config->names));
    assert(cluster_workers(config) == agreed->workers && config->heartbeat_us < config->timeout_us);
    assert(config->timeout_ceiling_us == 0 || config->timeout_ceiling_us >= config->timeout_us);
}

/* What a file was taken for is what nodes may agree on. */
static void
assert_plausible(const struct cluster_config *config)
{
    const struct agreed agreed = cluster_agreed(config);

    assert(agreed_plausible(&agreed));
}

static bool
load(const char *path, struct cluster_config *out, enum cairn_error *error, struct cluster_fault *fault)
{
    struct cluster_config config;
    char text[CLUSTER_FILE_BYTES_MAX];
    size_t text_bytes;

    *error = CAIRN_IO;
    if (!cluster_file_read(path, text, &text_bytes, fault))
        return false;
    *error = CAIRN_INVALID;
    if (!cluster_text_decode(text, text_bytes, &config, fault) || !timing_makes_sense(&config, fault) ||
        !memory_makes_sense(&config, fault) ||
        (config.workers != 0 && !lcores_make_sense(&config, config.workers, fault)))
        return false;
    *error = CAIRN_OK;
    *out = config;
    assert_plausible(out);
    return true;
}

enum cairn_error
cluster_config_load(const char *path, struct cluster_config *out, char *detail, size_t detail_bytes)
{
    struct cluster_fault fault;
    enum cairn_error error;

    if (!load(path, out, &error, &fault))
        cluster_fault_tell(&fault, path, detail, detail_bytes);
    return error;
}

/* What a node would read of it, written once more: the same to the byte, or something of it was lost. */
static bool
reads_back(const char *draft, const char *text, size_t text_bytes, struct cluster_fault *fault)
{
    char again[CLUSTER_FILE_BYTES_MAX];
    struct cluster_config config;
    struct cluster_fault why;
    enum cairn_error error;

    if (!load(draft, &config, &error, &why))
        return cluster_fault_set(fault, (struct cluster_place){0}, why.mend, "not written: in line %u %s",
                                 why.place.line, why.what);
    if (cluster_text_encode(&config, again, sizeof(again)) != text_bytes || memcmp(again, text, text_bytes) != 0)
        return cluster_fault_set(fault, (struct cluster_place){0}, "what was there is as it was",
                                 "not written: it would not read back as what it is");
    return true;
}

static bool
save(const char *path, const struct cluster_config *config, enum cairn_error *error, struct cluster_fault *fault)
{
    char text[CLUSTER_FILE_BYTES_MAX], draft[PATH_MAX];
    size_t text_bytes = cluster_text_encode(config, text, sizeof(text));

    assert(text_bytes <= sizeof(text));
    *error = CAIRN_INVALID;
    if (text_bytes == 0)
        return cluster_fault_set(fault, (struct cluster_place){0}, "what was there is as it was",
                                 "not written: it has no room");
    *error = CAIRN_IO;
    if (!cluster_file_draft(path, text, text_bytes, draft, fault))
        return false;
    if (!reads_back(draft, text, text_bytes, fault)) {
        unlink(draft);
        *error = CAIRN_INVALID;
        return false;
    }
    return cluster_file_publish(path, draft, fault);
}

enum cairn_error
cluster_config_save(const char *path, const struct cluster_config *config, char *detail, size_t detail_bytes)
{
    struct cluster_fault fault;
    enum cairn_error error;

    if (save(path, config, &error, &fault))
        return CAIRN_OK;
    cluster_fault_tell(&fault, path, detail, detail_bytes);
    return error;
}
