/* Text of the public enums: errors, levels, policies, modes. */
#include <stddef.h>
#include <string.h>

#include "cairn/error.h"
#include "cairn/types.h"

static const struct {
    const char *name, *text;
} errors[CAIRN_ERRORS] = {
    [CAIRN_OK] = {"ok", "done"},
    [CAIRN_AGAIN] = {"again", "no room at the moment"},
    [CAIRN_UNKNOWN] = {"unknown", "the outcome is not known; repeat it with the same producer and sequence to tell"},
    [CAIRN_NO_QUORUM] = {"no_quorum", "not enough nodes in reach for what was asked"},
    [CAIRN_DENIED] = {"denied", "the log's policy denies this while its node is cut off"},
    [CAIRN_NO_LEADER] = {"no_leader", "no leader yet, one is being elected"},
    [CAIRN_NOT_LEADER] = {"not_leader", "another node leads this log"},
    [CAIRN_RECOVERING] = {"recovering", "the node is catching up after a restart"},
    [CAIRN_OUT_OF_ORDER] = {"out_of_order", "an earlier sequence of this producer is missing"},
    [CAIRN_PRODUCER_EVICTED] = {"producer_evicted", "this producer is no longer remembered; start a new one"},
    [CAIRN_FULL] = {"full", "the log's memory is used up"},
    [CAIRN_TOO_LARGE] = {"too_large", "the entry is larger than 1 MiB"},
    [CAIRN_CORRUPT] = {"corrupt", "checksum or length mismatch"},
    [CAIRN_NO_LOG] = {"no_log", "no such log"},
    [CAIRN_TIMEOUT] = {"timeout", "no answer within the deadline"},
    [CAIRN_CLOSED] = {"closed", "the node went away"},
    [CAIRN_BEHIND] = {"behind", "the node has to catch up with the log first"},
    [CAIRN_FENCED] = {"fenced", "a newer holder of this producer's id has taken over"},
    [CAIRN_TRIMMED] = {"trimmed", "what was asked for is older than what the log still has"},
    [CAIRN_INVALID] = {"invalid", "a value is out of its range"},
    [CAIRN_NO_MEMORY] = {"no_memory", "out of memory"},
    [CAIRN_IO] = {"io", "the operating system refused"},
    [CAIRN_NO_SPACE] = {"no_space",
                        "the node's disk has no space left for its journal; free some, it goes on by itself"},
    [CAIRN_DISK_FAILED] = {"disk_failed",
                           "a write to the node's disk failed; look at the disk, then start the node anew"},
    [CAIRN_UNREADABLE] = {"unreadable", "the node's disk does not give back what was written; read from another node"},
    [CAIRN_NOT_MEMBER] = {"not_member", "the node is no member of the log"},
    [CAIRN_STOPPED] = {"stopped",
                       "replicas of the log contradict each other; 'cairn log adopt' decides whose history goes on"},
    [CAIRN_FORBIDDEN] = {"forbidden",
                         "names that begin with '_' belong to the system, and changes to administrators (root, and "
                         "the node's own user)"},
    [CAIRN_SEALED] = {"sealed",
                      "the log is being copied, or was, and takes no new entries: append where it was copied to"},
    [CAIRN_MISMATCH] = {"mismatch", "this sequence was taken with other bytes; it names another entry of its producer"},
};

static const char *const acks[] = {"policy", "local", "majority", "all"};
static const char *const policies[] = {"cp", "ap", "adaptive", "ca"};
static const char *const modes[] = {"CP", "DENIED", "AP", "MERGING"};
static const char *const denies[] = {"none", "writes", "reads", "both"};
static const char *const durabilities[] = {"memory", "disk"};
static const char *const read_levels[] = {"policy", "stale", "session", "lease", "linearizable"};

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const char *
name_at(const char *const *table, size_t count, size_t index)
{
    return index < count ? table[index] : "?";
}

static bool
find(const char *const *table, size_t count, const char *text, unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(table[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

const char *
cairn_error_text(enum cairn_error error)
{
    return (unsigned)error < CAIRN_ERRORS ? errors[error].text : "unknown error";
}

const char *
cairn_error_name(enum cairn_error error)
{
    return (unsigned)error < CAIRN_ERRORS ? errors[error].name : "?";
}

const char *
cairn_ack_name(enum cairn_ack ack)
{
    return name_at(acks, COUNT(acks), ack);
}

const char *
cairn_policy_name(enum cairn_policy policy)
{
    return name_at(policies, COUNT(policies), policy);
}

const char *
cairn_mode_name(enum cairn_mode mode)
{
    return name_at(modes, COUNT(modes), mode);
}

const char *
cairn_deny_name(enum cairn_deny deny)
{
    return name_at(denies, COUNT(denies), deny);
}

bool
cairn_ack_parse(const char *text, enum cairn_ack *out)
{
    unsigned index;

    if (!find(acks, COUNT(acks), text, &index) || index == CAIRN_ACK_POLICY)
        return false;
    *out = (enum cairn_ack)index;
    return true;
}

bool
cairn_policy_parse(const char *text, enum cairn_policy *out)
{
    unsigned index;

    if (!find(policies, COUNT(policies), text, &index))
        return false;
    *out = (enum cairn_policy)index;
    return true;
}

bool
cairn_read_level_parse(const char *text, enum cairn_read_level *out)
{
    unsigned index;

    if (!find(read_levels, COUNT(read_levels), text, &index) || index == CAIRN_READ_POLICY)
        return false;
    *out = (enum cairn_read_level)index;
    return true;
}

const char *
cairn_durability_name(enum cairn_durability durability)
{
    return name_at(durabilities, COUNT(durabilities), durability);
}

bool
cairn_durability_parse(const char *text, enum cairn_durability *out)
{
    unsigned index;

    if (!find(durabilities, COUNT(durabilities), text, &index))
        return false;
    *out = (enum cairn_durability)index;
    return true;
}

bool
cairn_deny_parse(const char *text, enum cairn_deny *out)
{
    unsigned index;

    if (!find(denies, COUNT(denies), text, &index) || index == 0)
        return false;
    *out = (enum cairn_deny)index;
    return true;
}
