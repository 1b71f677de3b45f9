/* The catalog: log 0, whose entries say which logs there are and how they behave. Every node applies
 * what is committed of it, in order, so all agree; a log's number is the lsn of its creation. */
#include "node/control/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "node/control/agree.h"
#include "node/control/control.h"
#include "node/control/logs.h"
#include "node/control/placement.h"
#include "node/look.h"
#include "node/snapshot.h"
#include "node/status.h"

static uint32_t
find(const struct snapshot *snapshot, const char *name)
{
    assert(snapshot->count <= LOGS_MAX);
    for (uint32_t i = 0; i < snapshot->count; i++) {
        if (strcmp(snapshot->logs[i].log->name, name) == 0)
            return i;
    }
    return UINT32_MAX;
}

/* Did the catalog say that at lsn before this life? Only what is held of it is applied: so it did not where the lsn is behind
 * what the journal had of it or, where that is not all, behind what recovery found. */
static bool
is_of_former_life(const struct node *node, uint64_t lsn)
{
    const struct worker *first = node->workers[0];
    struct log_status status;

    assert(lsn > 0 && lsn == node->control->applied_lsn);
    if (!node->recovering)
        return false;
    if (first->restoring || lsn <= node->restored_catalog_lsn)
        return true;
    if (catalog_is_kept(node))
        return false;
    status_read(node->snapshot->logs[CATALOG_LOG].log, &status);
    return status.recovering || lsn <= status.recovery_lsn;
}

/* Could this node, in a former life, have acknowledged something of a log created at lsn that it holds no more? What was in
 * memory is gone, whatever the journals are like; what the disk knows it knows. */
static bool
must_recover(const struct worker *worker, uint64_t lsn, enum cairn_durability durability)
{
    const struct node *node = worker->node;
    const struct worker *first = node->workers[0];
    bool forgot = worker->forgetful || worker->journal_was_empty || worker->journal_damaged;

    if (durability == CAIRN_MEMORY || first->disk == NULL)
        return is_of_former_life(node, lsn);
    /* While journals are read that is for the reading to say. */
    if (first->restoring || worker->restoring)
        return false;
    return (forgot || !catalog_is_kept(node)) && is_of_former_life(node, lsn);
}

static bool
create(struct node *node, struct snapshot *next, uint64_t lsn, const struct log_settings *settings,
       const json_t *number)
{
    struct worker *worker = placement_of(node, next, number);
    struct node_log *log;
    bool recovers;

    /* The same on every node, which all have the same memory and workers. */
    if (worker == NULL || find(next, settings->name) != UINT32_MAX || next->count == LOGS_MAX)
        return false;
    recovers = must_recover(worker, lsn, settings->durability);
    log = node_log_create(worker, (uint32_t)lsn, settings, recovers);
    if (log == NULL)
        return false;
    /* A log's number is the lsn of its creation, and logs are only ever added. */
    assert(next->count > CATALOG_LOG && next->logs[next->count - 1].log->id < log->id);
    if (recovers)
        atomic_store_explicit(&node->recovering_rows, next->count + 1, memory_order_release);
    next->logs[next->count].log = log;
    next->logs[next->count++].rules = settings->rules;
    assert(log->worker == worker);
    assert(atomic_load_explicit(&node->recovering_rows, memory_order_relaxed) <= next->count);
    return true;
}

/* Where a log says nothing: as the cluster file does. */
enum cairn_durability
durability_default(const struct node *node)
{
    return node->workers[0]->disk == NULL ? CAIRN_MEMORY : CAIRN_DISK;
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

/* false: it is there and cannot be meant. */
static bool
take_number(const json_t *entry, const char *key, uint64_t scale, uint64_t *out)
{
    const json_t *number = json_object_get(entry, key);

    if (number == NULL)
        return true;
    if (!json_is_integer(number) || json_integer_value(number) < 0 ||
        (uint64_t)json_integer_value(number) > UINT64_MAX / 2 / scale)
        return false;
    *out = (uint64_t)json_integer_value(number) * scale;
    assert(*out <= UINT64_MAX / 2);
    return true;
}

/* Is it a text where it is there? NULL: it is not there. */
static bool
take_text(const json_t *entry, const char *key, const char **out)
{
    const json_t *text = json_object_get(entry, key);

    *out = json_string_value(text);
    return text == NULL || *out != NULL;
}

/* What the entry says of how the log behaves; of what it does not mention nothing changes. false: it is none of this
 * version's. */
static bool
take_rules(const json_t *entry, struct log_rules *rules)
{
    const char *policy, *deny, *when_cut;

    if (!take_text(entry, "policy", &policy) || !take_text(entry, "deny", &deny) ||
        !take_text(entry, "when_cut", &when_cut))
        return false;
    if ((policy != NULL && !cairn_policy_parse(policy, &rules->policy)) ||
        (deny != NULL && !cairn_deny_parse(deny, &rules->deny)) ||
        (when_cut != NULL && strcmp(when_cut, "cp") != 0 && strcmp(when_cut, "deny") != 0))
        return false;
    if (when_cut != NULL)
        rules->falls_to_cp = strcmp(when_cut, "cp") == 0;
    return take_number(entry, "writer", 1, &rules->writer) && take_number(entry, "sealed", 1, &rules->sealed) &&
           take_number(entry, "retain_bytes", 1, &rules->retain_bytes) &&
           take_number(entry, "retain_age_ms", 1000000, &rules->retain_age_ns);
}

/* Whose history goes on, and from which term on: one decision follows another. false: it is none that can be meant. */
static bool
take_adoption(const struct node *node, uint64_t lsn, const json_t *entry, struct log_rules *rules)
{
    const char *from = json_string_value(json_object_get(entry, "from"));
    json_int_t term = json_integer_value(json_object_get(entry, "term"));
    const uint64_t former_term = rules->adopted_term;
    uint8_t seat = from == NULL ? CAIRN_NODE_NONE : cluster_config_node(node->config.cluster, from);

    if (seat == CAIRN_NODE_NONE || !(agreed_present(&node->control->replayed) >> seat & 1) || term < 1 ||
        term_decided((uint64_t)term) == 0)
        return false;
    /* A replica that has stopped stays in its term, so a decision that nobody could carry out yet looks as if there were none. */
    if ((uint64_t)term <= rules->adopted_term &&
        (seat == rules->adopted_from || term_decided(rules->adopted_term) == 0))
        return false;
    rules->adopted_term = (uint64_t)term > rules->adopted_term ? (uint64_t)term : term_decided(rules->adopted_term);
    /* The decision that counts is the last one. */
    assert(rules->adopted_term > former_term && rules->adopted_term <= TERM_MAX);
    (void)former_term;
    rules->adopted_from = seat;
    rules->adopted_before = is_of_former_life(node, lsn);
    return true;
}

/* What is asked to go is gone: it does not come back by a smaller number. */
static bool
change(const struct node *node, struct snapshot *next, uint64_t lsn, const char *operation, const char *name,
       const json_t *entry)
{
    uint32_t index = find(next, name);
    struct log_rules rules;
    uint64_t trim_before_lsn = 0;

    /* The catalog is what decides, so nothing is decided about it. */
    if (index == UINT32_MAX || index == CATALOG_LOG)
        return false;
    rules = next->logs[index].rules;
    if (!take_rules(entry, &rules))
        return false;
    if (strcmp(operation, "adopt") == 0 && !take_adoption(node, lsn, entry, &rules))
        return false;
    if (!take_number(entry, "trim_before", 1, &trim_before_lsn) || trim_before_lsn > LSN_MAX)
        return false;
    if (trim_before_lsn > rules.trim_before_lsn)
        rules.trim_before_lsn = trim_before_lsn;
    assert(rules.trim_before_lsn >= next->logs[index].rules.trim_before_lsn);
    assert(rules.adopted_term >= next->logs[index].rules.adopted_term);
    next->logs[index].rules = rules;
    return true;
}

void
catalog_apply(struct node *node, uint64_t lsn, const void *text, size_t text_bytes)
{
    /* A node that was removed goes by nothing that came after. */
    bool known = lsn <= node->control->applied_lsn || (node->snapshot->agreed.removed >> node->self & 1) != 0;
    json_t *entry = known ? NULL : json_loadb(text, text_bytes, 0, NULL);
    const char *operation = json_string_value(json_object_get(entry, "op"));
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *durability_name = NULL;
    struct log_settings settings = {
        .name = name,
        .rules = {.deny = CAIRN_DENY_WRITES, .retain_bytes = node->config.retain_bytes},
        .durability = durability_default(node),
    };
    struct snapshot *next, *former = NULL;
    bool creates = operation != NULL && strcmp(operation, "create") == 0;
    bool agrees = operation != NULL && strcmp(operation, "agree") == 0;
    bool changed;

    assert(node->control->replayed.lsn <= node->control->applied_lsn);
    if (!known)
        node->control->applied_lsn = lsn;
    if (operation == NULL || (!agrees && (name == NULL || !cairn_name_is_valid(name))) ||
        (creates && (json_object_get(entry, "policy") == NULL || !take_rules(entry, &settings.rules))) ||
        !take_text(entry, "durability", &durability_name) ||
        (durability_name != NULL && !cairn_durability_parse(durability_name, &settings.durability))) {
        json_decref(entry);
        return;
    }
    settings.voters = members_of(node, entry) & agreed_present(&node->control->replayed);
    if (settings.voters == 0)
        settings.voters = agreed_present(&node->control->replayed);
    pthread_mutex_lock(&node->control->lock);
    next = snapshot_copy(node);
    if (next != NULL) {
        changed = agrees    ? agree_apply(node, lsn, entry, next)
                  : creates ? create(node, next, lsn, &settings, json_object_get(entry, "worker"))
                            : change(node, next, lsn, operation, name, entry);
        assert(next->count >= node->snapshot->count && next->agreed.lsn >= node->snapshot->agreed.lsn);
        if (changed)
            former = snapshot_publish(node, next);
        else
            free(next);
    }
    pthread_mutex_unlock(&node->control->lock);
    snapshot_retire(former);
    if (node->control->agree_failure[0] != '\0')
        control_tell(node, EVENT_AGREED, "%s", node->control->agree_failure);
    node->control->agree_failure[0] = '\0';
    json_decref(entry);
}
