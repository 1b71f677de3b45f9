/* The catalog: log 0, whose entries say which logs there are and how they behave. Every node applies
 * what is committed of it, in order, so all agree; a log's number is the lsn of its creation. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "control.h"
#include "state.h"

static uint32_t
find(const struct snapshot *snapshot, const char *name)
{
    for (uint32_t i = 0; i < snapshot->count; i++) {
        if (strcmp(snapshot->logs[i].log->name, name) == 0)
            return i;
    }
    return UINT32_MAX;
}

/* Could this node, in a former life, have acknowledged something of a log created at lsn? Not if
 * the creation came after what recovery found of the catalog. */
static bool
must_recover(const struct node *node, uint64_t lsn, enum cairn_durability durability)
{
    struct log_status status;

    if (!node->config.recovering)
        return false;
    /* What the disk knows it knows; whether it knows of the log at all is read off the catalog, of which nothing
     * is applied that is not held. */
    if (node->config.disk != NULL && !node->journal_was_empty && !node->journal_damaged)
        return durability == CAIRN_MEMORY && lsn <= node->restored_catalog_lsn;
    if (lsn <= node->restored_catalog_lsn)
        return true;
    status_read(node->snapshot->logs[0].log, &status);
    return status.recovering || lsn <= status.recovery_lsn;
}

static bool
create(struct node *node, struct snapshot *next, uint64_t lsn, const struct log_settings *settings)
{
    struct node_log *log;

    /* The same on every node, which all have the same memory. */
    if (find(next, settings->name) != UINT32_MAX || next->count == LOGS_MAX ||
        next->count > cluster_logs_max(node->config.cluster))
        return false;
    log = node_log_create(node, (uint32_t)lsn, settings, must_recover(node, lsn, settings->durability));
    if (log == NULL)
        return false;
    next->logs[next->count].log = log;
    next->logs[next->count].policy = settings->policy;
    next->logs[next->count++].deny = settings->deny;
    return true;
}

/* Where a log says nothing: as the cluster file does. */
enum cairn_durability
durability_default(const struct node *node)
{
    return node->config.disk == NULL ? CAIRN_MEMORY : CAIRN_DISK;
}

/* Who votes from the beginning: all, unless the entry names them. */
static cairn_node_set
members_of(const struct node *node, const json_t *entry)
{
    cairn_node_set voters = 0;
    const json_t *name;
    size_t i;

    json_array_foreach (json_object_get(entry, "members"), i, name) {
        uint8_t member = json_is_string(name) ? cluster_config_node(node->config.cluster, json_string_value(name))
                                              : CAIRN_NODE_NONE;

        if (member != CAIRN_NODE_NONE)
            voters |= (cairn_node_set)1 << member;
    }
    return voters;
}

static bool
change(struct snapshot *next, const char *name, enum cairn_policy policy, enum cairn_deny deny)
{
    uint32_t index = find(next, name);

    if (index == UINT32_MAX)
        return false;
    next->logs[index].policy = policy;
    next->logs[index].deny = deny;
    return true;
}

void
catalog_apply(struct node *node, uint64_t lsn, const void *text, size_t text_bytes)
{
    json_t *entry = json_loadb(text, text_bytes, 0, NULL);
    const char *operation = json_string_value(json_object_get(entry, "op"));
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *policy_name = json_string_value(json_object_get(entry, "policy"));
    const char *deny_name = json_string_value(json_object_get(entry, "deny"));
    const char *durability_name = json_string_value(json_object_get(entry, "durability"));
    struct log_settings settings = {.name = name, .deny = CAIRN_DENY_WRITES, .durability = durability_default(node)};
    struct snapshot *next, *former = NULL;
    bool changed;

    if (operation == NULL || name == NULL || strlen(name) >= CAIRN_NAME_BYTES || policy_name == NULL ||
        !cairn_policy_parse(policy_name, &settings.policy)) {
        json_decref(entry);
        return;
    }
    if (deny_name != NULL)
        cairn_deny_parse(deny_name, &settings.deny);
    if (durability_name != NULL)
        cairn_durability_parse(durability_name, &settings.durability);
    settings.voters = members_of(node, entry);
    pthread_mutex_lock(&node->control->lock);
    next = snapshot_copy(node);
    if (next != NULL) {
        changed = strcmp(operation, "create") == 0 ? create(node, next, lsn, &settings)
                                                   : change(next, name, settings.policy, settings.deny);
        if (changed)
            former = snapshot_publish(node, next);
        else
            free(next);
    }
    pthread_mutex_unlock(&node->control->lock);
    snapshot_retire(former);
    json_decref(entry);
}
