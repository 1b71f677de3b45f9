/* What anybody in the process may ask of a node: its logs, events, latencies. Any thread. */
#include <assert.h>
#include <string.h>

#include "node/control/control.h"
#include "node/snapshot.h"
#include "node/status.h"
#include "node/worker/worker.h"

static const char *
role_name(const struct log_status *status)
{
    static const char *const names[] = {"follower", "candidate", "candidate", "leader"};

    assert((status->members.voters & status->members.learners) == 0);
    assert(status->stopped == STOP_NONE || status->role == ROLE_FOLLOWER);
    if (status->stopped != STOP_NONE)
        return "stopped";
    if (status->recovering)
        return "recovering";
    /* A node that was removed is sent nothing any more, and its trunk still counts it as a member. */
    if (status->role == ROLE_FOLLOWER && status->left)
        return "none";
    if (status->role == ROLE_FOLLOWER && !(status->members.voters >> status->self & 1))
        return status->members.learners >> status->self & 1 ? "learner" : "none";
    return names[status->role];
}

static void
view_fill(const struct node_log *log, const struct log_rules *rules, struct node_log_view *out)
{
    struct log_status status;

    status_read(log, &status);
    /* A block is of one moment. */
    assert(status.commit_lsn <= status.last_lsn && status.held_lsn <= status.last_lsn);
    assert(status.first_lsn <= status.commit_lsn + 1);
    memset(out, 0, sizeof(*out));
    memcpy(out->name, log->name, sizeof(out->name));
    out->id = log->id;
    out->worker = log->worker->task.number;
    out->role = role_name(&status);
    out->policy = rules->policy;
    out->deny = rules->deny;
    out->falls_to_cp = rules->falls_to_cp;
    out->retain_bytes = rules->retain_bytes;
    out->retain_age_ns = rules->retain_age_ns;
    out->trim_before_lsn = rules->trim_before_lsn;
    out->writer = status.writer;
    out->sealed = status.sealed;
    out->copies = status.copies;
    out->mode = status.mode;
    out->leader = status.leader;
    out->recovering = status.recovering;
    out->lost = status.lost;
    out->disk_failed = status.failed;
    out->stopped = (uint8_t)status.stopped;
    out->durability = log->durable == NULL ? CAIRN_MEMORY : CAIRN_DISK;
    out->held_lsn = status.held_lsn;
    out->lacks_lsn = status.lacks_lsn;
    out->voters = status.members.voters;
    out->learners = status.members.learners;
    out->term = status.term;
    out->commit_lsn = status.commit_lsn;
    out->last_lsn = status.last_lsn;
    out->first_lsn = status.first_lsn;
    out->branch_entries = status.branch_entries;
    out->merge_entries = status.merge.entries;
    out->merge_begun_ns = status.merge.begun_ns;
    out->digest = status.digest;
    out->counters = status.counters;
}

bool
node_view(struct node *node, const char *name, struct node_log_view *out)
{
    bool found = false;

    pthread_mutex_lock(&node->control->lock);
    for (uint32_t i = 0; i < node->snapshot->count && !found; i++) {
        const struct node_log *log = node->snapshot->logs[i].log;

        found = strcmp(log->name, name) == 0;
        if (found)
            view_fill(log, &node->snapshot->logs[i].rules, out);
    }
    pthread_mutex_unlock(&node->control->lock);
    return found;
}

bool
node_view_at(struct node *node, uint32_t index, struct node_log_view *out)
{
    bool found;

    pthread_mutex_lock(&node->control->lock);
    assert(node->snapshot->count <= LOGS_MAX);
    found = index < node->snapshot->count;
    if (found)
        view_fill(node->snapshot->logs[index].log, &node->snapshot->logs[index].rules, out);
    pthread_mutex_unlock(&node->control->lock);
    return found;
}

const struct latencies *
node_latencies(struct node *node, uint32_t index)
{
    const struct latencies *latencies = NULL;

    pthread_mutex_lock(&node->control->lock);
    if (index < node->snapshot->count)
        latencies = &node->snapshot->logs[index].log->latencies;
    pthread_mutex_unlock(&node->control->lock);
    return latencies;
}

uint32_t
node_events(struct node *node, uint64_t *next, struct node_event *out, uint32_t most)
{
    struct control *control = node->control;
    uint32_t count = 0;

    pthread_mutex_lock(&control->lock);
    /* The caller has counted more than there were: those were events of a life before this one. */
    if (*next > control->events_count)
        *next = 0;
    if (*next + EVENTS_KEPT < control->events_count)
        *next = control->events_count - EVENTS_KEPT;
    while (*next < control->events_count && count < most)
        out[count++] = control->events[(*next)++ % EVENTS_KEPT];
    assert(*next <= control->events_count && count <= most);
    pthread_mutex_unlock(&control->lock);
    return count;
}

void
node_events_by_kind(struct node *node, uint64_t *out)
{
    pthread_mutex_lock(&node->control->lock);
    memcpy(out, node->control->events_by_kind, sizeof(node->control->events_by_kind));
    pthread_mutex_unlock(&node->control->lock);
}

void
node_set_faults(struct node *node, const struct fault_rule *rules)
{
    struct snapshot *next, *former = NULL;

    pthread_mutex_lock(&node->control->lock);
    next = snapshot_copy(node);
    if (next != NULL) {
        memcpy(next->faults, rules, sizeof(next->faults));
        former = snapshot_publish(node, next);
        assert(former->count == node->snapshot->count);
    }
    pthread_mutex_unlock(&node->control->lock);
    snapshot_retire(former);
}
