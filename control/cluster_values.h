/* The keys of a cluster file, and what a value of each may be: the one place that knows both. */
#ifndef CONTROL_CLUSTER_VALUES_H
#define CONTROL_CLUSTER_VALUES_H

#include "control/cluster_file.h"

enum cluster_kind {
    CLUSTER_NUMBER, /* with or without a unit */
    CLUSTER_ID,     /* decimal, or 0x and up to 8 digits */
    CLUSTER_BOOL,
    CLUSTER_WORD,
    CLUSTER_DIRECTORY,
    CLUSTER_NODES, /* a list of mappings: cluster_node_rules */
    CLUSTER_NODE_NAME,
    CLUSTER_LCORES,  /* how many */
    CLUSTER_CPUS,    /* a list, of one for each lcore */
    CLUSTER_CLIENTS, /* a mapping: cluster_client_rules */
    CLUSTER_USERS,   /* a list */
    CLUSTER_GROUP,
};

struct cluster_unit {
    const char *name;
    uint64_t scale; /* so many of what a plain number is measured in */
};

/* What stands behind a number. Without it the number is of the key's own unit. */
struct cluster_units {
    struct cluster_unit units[3];
    uint64_t own_scale;
    const char *mend;
};

struct cluster_rule {
    const char *name;
    enum cluster_kind kind;
    bool required;
    bool zero_is_default; /* beside min to max */
    uint32_t min, max;
    size_t offset; /* in struct cluster_config, of numbers, booleans and words */
    const struct cluster_units *units;
    const char *const *words; /* by their value, then NULL */
};

struct cluster_rules {
    const struct cluster_rule *rules;
    size_t count;
    const char *mend; /* of a key that is none of them */
};

/* Of the file itself, by enum cluster_key, in the order in which they are written; of a node; of clients. */
const struct cluster_rules *cluster_file_rules(void);
const struct cluster_rules *cluster_node_rules(void);
const struct cluster_rules *cluster_client_rules(void);

/* A value as the file has it. */
struct cluster_value {
    const char *text; /* ends with a zero, and may hold others */
    size_t text_bytes;
    bool quoted;
    struct cluster_place place;
};

/* Takes one value into config, whole, or names what is wrong with it. What is a node's goes to the place behind the nodes
 * that config has: it becomes one of them when all of it was taken. */
bool cluster_value_take(const struct cluster_rule *rule, const struct cluster_value *value,
                        struct cluster_config *config, struct cluster_fault *fault);

/* What config has for it: of CLUSTER_NUMBER, CLUSTER_ID and CLUSTER_WORD; of CLUSTER_BOOL. */
uint32_t cluster_value_number(const struct cluster_rule *rule, const struct cluster_config *config);
bool cluster_value_bool(const struct cluster_rule *rule, const struct cluster_config *config);

#endif
