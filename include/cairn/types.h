/* The words of cairn as types. Every other header starts from these. */
#ifndef CAIRN_TYPES_H
#define CAIRN_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Nodes of one cluster are numbered from 0 in the order of the cluster file; sets of nodes are
 * bitmaps, so this bounds a cluster. */
#define CAIRN_NODES_MAX 16
#define CAIRN_WORKERS_MAX 16 /* of a node */
#define CAIRN_NODE_NONE 0xff

/* Largest payload of one entry. */
#define CAIRN_PAYLOAD_BYTES_MAX (1u << 20)
#define CAIRN_KEY_BYTES_MAX 1024u

/* Longest name of a node or a log, with its final NUL. */
#define CAIRN_NAME_BYTES 64

/* Is it a name of a node or a log: letters, digits, '-', '_' and '.', not beginning with '.', '-' or '_'? What begins with '_' is
 * the system's own. */
static inline bool
cairn_name_is_valid(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return size > 0 && size < CAIRN_NAME_BYTES && name[size] == '\0' && strchr(".-_", name[0]) == NULL;
}

/* A set of nodes: bit i is node i. */
typedef uint32_t cairn_node_set;

/* Who a cluster, a member of one, or a life of a member is: 128 random bits; all zero: nobody. */
struct cairn_id {
    uint8_t bytes[16];
};

/* How many replicas hold an entry before its producer hears. CAIRN_ACK_POLICY asks for what the
 * log's policy gives. */
enum cairn_ack {
    CAIRN_ACK_POLICY = 0,
    CAIRN_ACK_LOCAL = 1,
    CAIRN_ACK_MAJORITY = 2,
    CAIRN_ACK_ALL = 3,
};

enum cairn_read_level {
    CAIRN_READ_POLICY = 0,
    CAIRN_READ_STALE = 1,
    CAIRN_READ_SESSION = 2,
    CAIRN_READ_LEASE = 3,
    CAIRN_READ_LINEARIZABLE = 4,
};

/* What a log does when its node cannot reach a majority. */
enum cairn_policy {
    CAIRN_POLICY_CP = 0,
    CAIRN_POLICY_AP = 1,
    CAIRN_POLICY_ADAPTIVE = 2,
    CAIRN_POLICY_CA = 3,
};

/* What a cut-off node of a `cp` log denies. Linearizable reads are always denied there. */
enum cairn_deny {
    CAIRN_DENY_WRITES = 1,
    CAIRN_DENY_READS = 2,
    CAIRN_DENY_BOTH = 3,
};

/* What holding an entry means. */
enum cairn_durability {
    CAIRN_MEMORY = 0, /* survives any minority of nodes ending */
    CAIRN_DISK = 1,   /* survives every node losing power */
};

/* What a log is doing now on one node. */
enum cairn_mode {
    CAIRN_MODE_CP = 0,
    CAIRN_MODE_DENIED = 1,
    CAIRN_MODE_AP = 2,
    CAIRN_MODE_MERGING = 3,
    CAIRN_MODES,
};

/* Names as the command line and JSON show them; never NULL. Constant time, any thread. */
const char *cairn_ack_name(enum cairn_ack ack);
const char *cairn_policy_name(enum cairn_policy policy);
const char *cairn_mode_name(enum cairn_mode mode);
const char *cairn_deny_name(enum cairn_deny deny);
const char *cairn_durability_name(enum cairn_durability durability);

/* The reverse: false, and *out untouched, where text names nothing. */
bool cairn_ack_parse(const char *text, enum cairn_ack *out);
bool cairn_policy_parse(const char *text, enum cairn_policy *out);
bool cairn_read_level_parse(const char *text, enum cairn_read_level *out);
bool cairn_deny_parse(const char *text, enum cairn_deny *out);
bool cairn_durability_parse(const char *text, enum cairn_durability *out);

#endif
