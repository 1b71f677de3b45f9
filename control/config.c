/* The cluster file, by libcyaml's schema, and what a schema cannot say. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cyaml/cyaml.h>

/* Without another word a node's suspicion becomes so many times as long at most, whatever its machine is like. */
#define CEILING_TIMEOUTS 50u
/* No scheduler keeps a thread waiting for longer: what does was stopped, or is broken. */
#define CEILING_MAX_NS 1000000000u

struct yaml_node {
    char *name;
};

struct yaml_cluster {
    uint32_t cluster;
    enum cluster_transport transport;
    enum cluster_profile profile;
    uint32_t memory_mib;
    enum cairn_durability durability;
    uint32_t flap_hold_ms, heartbeat_us, timeout_us, timeout_ceiling_us, clock_bound_ms;
    bool memory_at_start, auto_create;
    char *directory;
    struct yaml_node *nodes;
    unsigned nodes_count;
};

static const cyaml_strval_t transports[] = {
    {"memif", TRANSPORT_MEMIF}, {"ring", TRANSPORT_RING}, {"netns", TRANSPORT_NETNS}};
static const cyaml_strval_t durabilities[] = {{"memory", CAIRN_MEMORY}, {"disk", CAIRN_DISK}};
static const cyaml_strval_t profiles[] = {
    {"shared", PROFILE_SHARED}, {"dedicated", PROFILE_DEDICATED}, {"wan", PROFILE_WAN}};

static const cyaml_schema_field_t node_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct yaml_node, name, 1, CAIRN_NAME_BYTES - 1),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t node_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_node, node_fields)};

static const cyaml_schema_field_t cluster_fields[] = {
    CYAML_FIELD_UINT("cluster", CYAML_FLAG_DEFAULT, struct yaml_cluster, cluster),
    CYAML_FIELD_ENUM("transport", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct yaml_cluster, transport, transports,
                     CYAML_ARRAY_LEN(transports)),
    CYAML_FIELD_ENUM("profile", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct yaml_cluster, profile, profiles,
                     CYAML_ARRAY_LEN(profiles)),
    CYAML_FIELD_UINT("memory_mib", CYAML_FLAG_OPTIONAL, struct yaml_cluster, memory_mib),
    CYAML_FIELD_BOOL("memory_at_start", CYAML_FLAG_OPTIONAL, struct yaml_cluster, memory_at_start),
    CYAML_FIELD_ENUM("durability", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct yaml_cluster, durability,
                     durabilities, CYAML_ARRAY_LEN(durabilities)),
    CYAML_FIELD_UINT("flap_hold_ms", CYAML_FLAG_OPTIONAL, struct yaml_cluster, flap_hold_ms),
    CYAML_FIELD_UINT("heartbeat_us", CYAML_FLAG_OPTIONAL, struct yaml_cluster, heartbeat_us),
    CYAML_FIELD_UINT("timeout_us", CYAML_FLAG_OPTIONAL, struct yaml_cluster, timeout_us),
    CYAML_FIELD_UINT("timeout_ceiling_us", CYAML_FLAG_OPTIONAL, struct yaml_cluster, timeout_ceiling_us),
    CYAML_FIELD_UINT("clock_bound_ms", CYAML_FLAG_OPTIONAL, struct yaml_cluster, clock_bound_ms),
    CYAML_FIELD_BOOL("auto_create", CYAML_FLAG_OPTIONAL, struct yaml_cluster, auto_create),
    CYAML_FIELD_STRING_PTR("directory", CYAML_FLAG_POINTER, struct yaml_cluster, directory, 1, 255),
    CYAML_FIELD_SEQUENCE("nodes", CYAML_FLAG_POINTER, struct yaml_cluster, nodes, &node_schema, 1, CAIRN_NODES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t cluster_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_cluster, cluster_fields)};

/* libcyaml tells what is wrong, and where, through its log: the first complaint and the first place
 * that has a line number make one line. */
struct complaint {
    char what[256];
    char where[128];
};

static void
collect(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct complaint *complaint = context;
    char text[256];
    const char *line;

    (void)level;
    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\n")] = '\0';
    line = strstr(text, "line:");
    if (line != NULL && complaint->where[0] == '\0') {
        char *end;

        snprintf(complaint->where, sizeof(complaint->where), "%s", line);
        end = strchr(complaint->where, ')');
        if (end != NULL)
            *end = '\0';
    } else if (line == NULL && complaint->what[0] == '\0' && strstr(text, "Backtrace") == NULL) {
        const char *start = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;

        snprintf(complaint->what, sizeof(complaint->what), "%s", start);
    }
}

const char *
cluster_transport_name(enum cluster_transport transport)
{
    return transports[transport].str;
}

bool
cluster_transport_parse(const char *text, enum cluster_transport *out)
{
    for (size_t i = 0; i < CYAML_ARRAY_LEN(transports); i++) {
        if (strcmp(transports[i].str, text) == 0) {
            *out = (enum cluster_transport)transports[i].val;
            return true;
        }
    }
    return false;
}

/* What a node learns of its machine lengthens its suspicion up to this, unless the cluster file says otherwise. */
static uint64_t
default_ceiling_ns(uint64_t timeout_ns)
{
    uint64_t ceiling_ns = CEILING_TIMEOUTS * timeout_ns;

    if (ceiling_ns > CEILING_MAX_NS)
        ceiling_ns = CEILING_MAX_NS;
    return ceiling_ns > 2 * timeout_ns ? ceiling_ns : 2 * timeout_ns;
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

/* A heartbeat or two may be lost without anybody being suspected. */
static bool
timing_makes_sense(const char *path, const struct cluster_config *config, char *detail, size_t detail_bytes)
{
    struct cluster_timing timing = cluster_timing(config);

    if (!agreed_timing_makes_sense(timing.heartbeat_ns, timing.timeout_ns)) {
        snprintf(
            detail, detail_bytes,
            "cluster file %s: heartbeat_us %lu with timeout_us %lu: a heartbeat is at least 10 us, and the timeout at "
            "least three of them and at most 60 s",
            path, (unsigned long)(timing.heartbeat_ns / 1000), (unsigned long)(timing.timeout_ns / 1000));
        return false;
    }
    if (timing.ceiling_ns < timing.timeout_ns) {
        snprintf(
            detail, detail_bytes,
            "cluster file %s: timeout_ceiling_us %lu is less than timeout_us %lu: what is learned only lengthens it",
            path, (unsigned long)(timing.ceiling_ns / 1000), (unsigned long)(timing.timeout_ns / 1000));
        return false;
    }
    return true;
}

uint64_t
cluster_clock_bound_ns(const struct cluster_config *config)
{
    return (config->clock_bound_ms == 0 ? 60000u : config->clock_bound_ms) * 1000000ull;
}

bool
cluster_profile_parse(const char *text, enum cluster_profile *out)
{
    for (size_t i = 0; i < CYAML_ARRAY_LEN(profiles); i++) {
        if (strcmp(profiles[i].str, text) == 0) {
            *out = (enum cluster_profile)profiles[i].val;
            return true;
        }
    }
    return false;
}

uint8_t
cluster_config_node(const struct cluster_config *config, const char *name)
{
    for (uint8_t i = 0; i < config->nodes; i++) {
        if (strcmp(config->names[i], name) == 0)
            return i;
    }
    return CAIRN_NODE_NONE;
}

/* Line of the nth `name: value` in the file, for complaints that the schema cannot make. */
static unsigned
line_of_name(const char *path, const char *value, unsigned nth)
{
    char line[512];
    unsigned number = 0, found = 0;
    FILE *file = fopen(path, "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, "name:");

        number++;
        if (at != NULL && strstr(at, value) != NULL && ++found == nth)
            break;
    }
    if (file != NULL)
        fclose(file);
    return number;
}

/* Line of `key: ...` in the file; 0: it says nothing of it. */
static unsigned
line_of_key(const char *path, const char *key)
{
    char line[512];
    unsigned number = 0;
    bool found = false;
    FILE *file = fopen(path, "re");

    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        number++;
        found = strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':';
    }
    if (file != NULL)
        fclose(file);
    return found ? number : 0;
}

struct agreed
cluster_agreed(const struct cluster_config *config)
{
    struct cluster_timing timing = cluster_timing(config);
    struct agreed agreed = {
        .number = config->id,
        .durability = config->durability,
        .now =
            {
                .nodes = config->nodes,
                .heartbeat_ns = timing.heartbeat_ns,
                .timeout_ns = timing.timeout_ns,
                .memory_mib = config->memory_mib,
                .clock_bound_ns = cluster_clock_bound_ns(config),
            },
    };

    agreed.founded = agreed.now;

    memcpy(agreed.names, config->names, sizeof(agreed.names));
    return agreed;
}

static bool
contradicts(const char *path, const char *key, const char *here, const char *agreed, char *detail, size_t detail_bytes)
{
    unsigned line = line_of_key(path, key);
    char place[32] = "";

    if (line != 0)
        snprintf(place, sizeof(place), ", line %u", line);
    snprintf(
        detail, detail_bytes,
        "cluster file %s%s: %s is %s here, but the cluster has agreed on %s (the file does not change a cluster: put "
        "it back)",
        path, place, key, here, agreed);
    return false;
}

static bool
number_agrees(const char *path, const char *key, uint64_t here, uint64_t agreed, char *detail, size_t detail_bytes)
{
    char texts[2][24];

    if (here == agreed)
        return true;
    snprintf(texts[0], sizeof(texts[0]), "%lu", (unsigned long)here);
    snprintf(texts[1], sizeof(texts[1]), "%lu", (unsigned long)agreed);
    return contradicts(path, key, texts[0], texts[1], detail, detail_bytes);
}

static bool
names_agree(const char *path, const struct cluster_config *config, const struct agreed *agreed, char *detail,
            size_t detail_bytes)
{
    for (uint32_t i = 0; i < agreed->now.nodes && i < config->nodes; i++) {
        if (strcmp(config->names[i], agreed->names[i]) == 0)
            continue;
        snprintf(
            detail, detail_bytes,
            "cluster file %s, line %u: node %u is '%s' here, but the cluster has agreed on '%s' (names and their order "
            "are the same on every node: put them back)",
            path, line_of_name(path, config->names[i], 1), i + 1, config->names[i], agreed->names[i]);
        return false;
    }
    if (config->nodes <= agreed->now.nodes)
        return true;
    snprintf(
        detail, detail_bytes,
        "cluster file %s, line %u: %u nodes are listed, but the cluster has agreed on %u (the file does not change "
        "a cluster: put it back, or add one with 'cairn cluster add')",
        path, line_of_key(path, "nodes"), config->nodes, agreed->now.nodes);
    return false;
}

/* What the file leaves to the profile says nothing once that was changed. */
static bool
timing_agrees(const char *path, const char *key, bool stated, uint64_t here_ns, uint64_t agreed_ns,
              const struct agreed *agreed, char *detail, size_t detail_bytes)
{
    if (!stated && agreed->lsn > 0)
        return true;
    return number_agrees(path, stated ? key : "profile", here_ns / 1000, agreed_ns / 1000, detail, detail_bytes);
}

bool
cluster_config_agrees(const char *path, const struct cluster_config *config, const struct agreed *agreed, char *detail,
                      size_t detail_bytes)
{
    const struct agreed here = cluster_agreed(config);
    const struct agreed_figures *now = &agreed->now;

    if (here.durability != agreed->durability)
        return contradicts(path, "durability", durabilities[here.durability].str, durabilities[agreed->durability].str,
                           detail, detail_bytes);
    if (here.now.memory_mib < now->memory_mib) {
        snprintf(detail, detail_bytes,
                 "cluster file %s, line %u: memory_mib is %u, %u less than the cluster's logs may need (at least %u)",
                 path, line_of_key(path, "memory_mib"), here.now.memory_mib, now->memory_mib - here.now.memory_mib,
                 now->memory_mib);
        return false;
    }
    return number_agrees(path, "cluster", here.number, agreed->number, detail, detail_bytes) &&
           names_agree(path, config, agreed, detail, detail_bytes) &&
           timing_agrees(path, "heartbeat_us", config->heartbeat_us != 0, here.now.heartbeat_ns, now->heartbeat_ns,
                         agreed, detail, detail_bytes) &&
           timing_agrees(path, "timeout_us", config->timeout_us != 0, here.now.timeout_ns, now->timeout_ns, agreed,
                         detail, detail_bytes) &&
           ((config->clock_bound_ms == 0 && agreed->lsn > 0) ||
            number_agrees(path, "clock_bound_ms", here.now.clock_bound_ns / 1000000, now->clock_bound_ns / 1000000,
                          detail, detail_bytes));
}

void
cluster_config_adopt(struct cluster_config *config, const struct agreed *agreed)
{
    config->heartbeat_us = (uint32_t)(agreed->now.heartbeat_ns / 1000);
    config->timeout_us = (uint32_t)(agreed->now.timeout_ns / 1000);
    config->clock_bound_ms = (uint32_t)(agreed->now.clock_bound_ns / 1000000);
    if (config->timeout_ceiling_us != 0 && config->timeout_ceiling_us < config->timeout_us)
        config->timeout_ceiling_us = config->timeout_us;
    config->nodes = agreed->now.nodes;
    memcpy(config->names, agreed->names, sizeof(config->names));
}

static enum cairn_error
take(const char *path, const struct yaml_cluster *yaml, struct cluster_config *out, char *detail, size_t detail_bytes)
{
    struct cluster_config config = {
        .id = yaml->cluster,
        .transport = yaml->transport,
        .profile = yaml->profile,
        .memory_mib = yaml->memory_mib == 0 ? 1024 : yaml->memory_mib,
        .memory_at_start = yaml->memory_at_start,
        .durability = yaml->durability,
        .flap_hold_ms = yaml->flap_hold_ms,
        .heartbeat_us = yaml->heartbeat_us,
        .timeout_us = yaml->timeout_us,
        .timeout_ceiling_us = yaml->timeout_ceiling_us,
        .clock_bound_ms = yaml->clock_bound_ms,
        .auto_create = yaml->auto_create,
        .nodes = yaml->nodes_count,
    };

    if (config.memory_mib < MEMORY_MIB_MIN || config.memory_mib > MEMORY_MIB_MAX) {
        snprintf(detail, detail_bytes, "cluster file %s: memory_mib is %u, at least %u is needed, and %u at most", path,
                 config.memory_mib, MEMORY_MIB_MIN, MEMORY_MIB_MAX);
        return CAIRN_INVALID;
    }
    if (!timing_makes_sense(path, &config, detail, detail_bytes))
        return CAIRN_INVALID;
    if (config.clock_bound_ms != 0 && (config.clock_bound_ms < 100 || config.clock_bound_ms > 3600000)) {
        snprintf(detail, detail_bytes, "cluster file %s: clock_bound_ms is %u, 100 to 3600000 is allowed", path,
                 config.clock_bound_ms);
        return CAIRN_INVALID;
    }
    if (yaml->directory[0] != '/') {
        snprintf(detail, detail_bytes, "cluster file %s: directory '%s' must be an absolute path", path,
                 yaml->directory);
        return CAIRN_INVALID;
    }
    snprintf(config.directory, sizeof(config.directory), "%s", yaml->directory);
    for (unsigned i = 0; i < yaml->nodes_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(config.names[j], yaml->nodes[i].name) == 0) {
                snprintf(detail, detail_bytes, "cluster file %s, line %u: node '%s' is listed twice (remove one)", path,
                         line_of_name(path, config.names[j], 2), config.names[j]);
                return CAIRN_INVALID;
            }
        }
        if (!agreed_is_name(yaml->nodes[i].name)) {
            snprintf(detail, detail_bytes, "cluster file %s, line %u: node '%s': %s", path,
                     line_of_name(path, yaml->nodes[i].name, 1), yaml->nodes[i].name,
                     agreed_refusal_text(AGREED_NO_NAME));
            return CAIRN_INVALID;
        }
        snprintf(config.names[i], sizeof(config.names[i]), "%s", yaml->nodes[i].name);
    }
    *out = config;
    return CAIRN_OK;
}

enum cairn_error
cluster_config_load(const char *path, struct cluster_config *out, char *detail, size_t detail_bytes)
{
    struct complaint complaint = {0};
    const cyaml_config_t settings = {
        .log_fn = collect,
        .log_ctx = &complaint,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
    };
    struct yaml_cluster *yaml = NULL;
    enum cairn_error error;
    cyaml_err_t status;

    if (access(path, R_OK) != 0) {
        snprintf(detail, detail_bytes,
                 "cluster file %s: %s (give one with --cluster FILE or CAIRN_CLUSTER; "
                 "'cairn dev' makes one)",
                 path, strerror(errno));
        return CAIRN_IO;
    }
    status = cyaml_load_file(path, &settings, &cluster_schema, (cyaml_data_t **)&yaml, NULL);
    if (status != CYAML_OK) {
        snprintf(detail, detail_bytes, "cluster file %s%s%s: %s", path, complaint.where[0] ? ", " : "", complaint.where,
                 complaint.what[0] ? complaint.what : cyaml_strerror(status));
        return CAIRN_INVALID;
    }
    error = take(path, yaml, out, detail, detail_bytes);
    cyaml_free(&settings, &cluster_schema, yaml, 0);
    return error;
}

enum cairn_error
cluster_config_save(const char *path, const struct cluster_config *config, char *detail, size_t detail_bytes)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        snprintf(detail, detail_bytes, "cluster file %s: cannot be written: %s", path, strerror(errno));
        return CAIRN_IO;
    }
    fprintf(file, "# cairn cluster file; docs/operations.md describes every key\n");
    fprintf(file,
            "cluster: 0x%08x\ntransport: %s\nprofile: %s\nmemory_mib: %u\nmemory_at_start: %s\ndurability: %s\n"
            "auto_create: %s\nflap_hold_ms: %u\n",
            config->id, cluster_transport_name(config->transport), profiles[config->profile].str, config->memory_mib,
            config->memory_at_start ? "true" : "false", durabilities[config->durability].str,
            config->auto_create ? "true" : "false", config->flap_hold_ms);
    fprintf(file, "heartbeat_us: %u\ntimeout_us: %u\ntimeout_ceiling_us: %u\nclock_bound_ms: %u\n",
            config->heartbeat_us, config->timeout_us, config->timeout_ceiling_us, config->clock_bound_ms);
    fprintf(file, "directory: %s\nnodes:\n", config->directory);
    for (uint32_t i = 0; i < config->nodes; i++)
        fprintf(file, "  - name: %s\n", config->names[i]);
    if (fclose(file) != 0) {
        snprintf(detail, detail_bytes, "cluster file %s: cannot be written: %s", path, strerror(errno));
        return CAIRN_IO;
    }
    return CAIRN_OK;
}
