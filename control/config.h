/* The cluster file (YAML): who belongs to the cluster, and how it runs. docs/operations.md. */
#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H

#include <stddef.h>
#include <string.h>

#include "cairn/error.h"
#include "cairn/types.h"
#include "rules/identity.h"

/* netns: each node in a network namespace of its own, by its eth0. */
enum cluster_transport { TRANSPORT_MEMIF, TRANSPORT_RING, TRANSPORT_NETNS };

const char *cluster_transport_name(enum cluster_transport transport);
bool cluster_transport_parse(const char *text, enum cluster_transport *out);

enum cluster_profile { PROFILE_SHARED, PROFILE_DEDICATED, PROFILE_WAN };

struct cluster_timing {
    uint64_t heartbeat_ns, timeout_ns;
    uint64_t ceiling_ns; /* what a node learns of its machine lengthens its suspicion up to this */
};

#define CLUSTER_MEMORY_MIB 1024u /* where a file says nothing of it */
#define CLUSTER_CLIENT_USERS_MAX 16u

/* Its keys, in the order in which they are written: more nodes can be added at its end. */
enum cluster_key {
    CLUSTER_KEY_CLUSTER,
    CLUSTER_KEY_TRANSPORT,
    CLUSTER_KEY_PROFILE,
    CLUSTER_KEY_WORKERS,
    CLUSTER_KEY_MEMORY_MIB,
    CLUSTER_KEY_MEMORY_AT_START,
    CLUSTER_KEY_DURABILITY,
    CLUSTER_KEY_AUTO_CREATE,
    CLUSTER_KEY_FLAP_HOLD_MS,
    CLUSTER_KEY_HEARTBEAT_US,
    CLUSTER_KEY_TIMEOUT_US,
    CLUSTER_KEY_TIMEOUT_CEILING_US,
    CLUSTER_KEY_CLOCK_BOUND_MS,
    CLUSTER_KEY_DIRECTORY,
    CLUSTER_KEY_CLIENTS,
    CLUSTER_KEY_NODES,
    CLUSTER_KEYS,
};

#define CLUSTER_CPU_MAX 1023u /* as many as a set of the C library holds */

/* Where the file says something, from 1 on. 0: it does not. */
struct cluster_place {
    uint32_t line, column;
};

/* Who polls a node's workers: this many threads, each on the processor of its place where those are named. Each node's own:
 * nobody agrees on it. */
struct cluster_lcores {
    uint32_t count; /* 0: the file does not say */
    uint32_t cpus_count;
    uint32_t cpus[CAIRN_WORKERS_MAX];
    struct cluster_place place;
};

struct cluster_config {
    uint32_t id;
    enum cluster_transport transport;
    enum cluster_profile profile;
    uint32_t workers;     /* of each node; 0: the file does not say (1, or what was agreed on) */
    uint32_t memory_mib;  /* of each node, for its logs */
    bool memory_at_start; /* all its pages exist before the node starts; else they do a little before they are used */
    enum cairn_durability
        durability;        /* disk: each node keeps a journal, and logs are durable unless they say otherwise */
    uint32_t flap_hold_ms; /* how long a link that flaps is held back at most; 0: twenty timeouts */
    /* 0: the profile's; the ceiling: fifty timeouts, a second at most, two timeouts at least. */
    uint32_t heartbeat_us, timeout_us, timeout_ceiling_us;
    uint32_t clock_bound_ms; /* how far wall clocks may be apart; 0: a minute */
    bool auto_create;        /* an append to a log that does not exist creates it */
    char directory[256];     /* of sockets and of what each node keeps; absolute */
    /* Of this machine, names or numbers as text: who may be a client beside root and the node's own user. "": no group. */
    uint32_t client_users_count;
    char client_users[CLUSTER_CLIENT_USERS_MAX][CAIRN_NAME_BYTES];
    char client_group[CAIRN_NAME_BYTES];
    uint32_t nodes;
    char names[CAIRN_NODES_MAX][CAIRN_NAME_BYTES];
    struct cluster_lcores lcores[CAIRN_NODES_MAX];
    /* Of each key, and of each node's name, in the file that was read. */
    struct cluster_place places[CLUSTER_KEYS];
    struct cluster_place name_places[CAIRN_NODES_MAX];
    /* For commands, once a node has said who is of the cluster: who was of it, and who is listed and was never added. */
    bool seats_known;
    cairn_node_set removed, not_added;
    const char *path; /* of the file */
};

/* What the profile says, and the file's own figures instead. */
struct cluster_timing cluster_timing(const struct cluster_config *config);

/* How many workers each node has. */
uint32_t cluster_workers(const struct cluster_config *config);

/* How many threads poll the workers of that node; 0: the file leaves it to the machine. */
uint32_t cluster_lcores_count(const struct cluster_config *config, uint8_t node);

uint64_t cluster_clock_bound_ns(const struct cluster_config *config);

/* The part of it that all nodes must be configured with alike. */
struct agreed cluster_agreed(const struct cluster_config *config);

/* Does the file agree with what was agreed on? false: it does not, and detail names the place and the mend. What is
 * this node's own (memory above what is agreed on, directories) may differ. */
bool cluster_config_agrees(const char *path, const struct cluster_config *config, const struct agreed *agreed,
                           char *detail, size_t detail_bytes);

/* Does a client's file name the nodes in the order that was agreed on, as far as it names them? Some may be missing,
 * others listed that are not of the cluster. false: it does not, as above. */
bool cluster_config_follows(const char *path, const struct cluster_config *config, const struct agreed *agreed,
                            char *detail, size_t detail_bytes);

/* Goes by what was agreed on, where the file says less. */
void cluster_config_adopt(struct cluster_config *config, const struct agreed *agreed);

/* Reads and checks a file, which has to be a regular one. On failure detail is one line that names file, place and mend, and
 * *out is as it was. */
enum cairn_error cluster_config_load(const char *path, struct cluster_config *out, char *detail, size_t detail_bytes);

/* Writes a file beside it, reads that back, compares, and only then puts it in the place of what was there. */
enum cairn_error cluster_config_save(const char *path, const struct cluster_config *config, char *detail,
                                     size_t detail_bytes);

/* Number of the node of that name, or CAIRN_NODE_NONE. */
static inline uint8_t
cluster_config_node(const struct cluster_config *config, const char *name)
{
    for (uint8_t i = 0; i < config->nodes; i++) {
        if (strcmp(config->names[i], name) == 0)
            return i;
    }
    return CAIRN_NODE_NONE;
}

bool cluster_profile_parse(const char *text, enum cluster_profile *out);

#endif
