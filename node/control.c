/* The control thread: links, the catalog of logs, events, memory ahead of the worker, the admin
 * socket. Nothing here is on the data path; it wakes a few dozen times a second. */
#include "control.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <urcu/urcu-qsbr.h>

#include "agree.h"
#include "client.h"

#define TICK_MS 20
#define RESTING_TICK_MS 60
#define MAINTAIN_NS 50000000u
#define CATALOG_TOKEN 1u

struct snapshot *
snapshot_copy(const struct node *node)
{
    struct snapshot *copy = malloc(sizeof(*copy));

    if (copy != NULL)
        *copy = *node->snapshot;
    return copy;
}

/* Puts next in force, with the control lock held; returns the former one, for snapshot_retire(). */
struct snapshot *
snapshot_publish(struct node *node, struct snapshot *next)
{
    struct snapshot *before = node->snapshot;

    next->version = before->version + 1;
    rcu_assign_pointer(node->snapshot, next);
    if (node->bell != NULL)
        doorbell_ring(node->bell);
    return before;
}

/* Frees a former snapshot once no worker can be looking at it. Never with the lock held: whoever
 * waits for the lock may be the very thread that polls. */
void
snapshot_retire(struct snapshot *former)
{
    if (former == NULL)
        return;
    urcu_qsbr_synchronize_rcu();
    free(former);
}

static void
keep_event(struct control *control, const struct node_event *event)
{
    control->events[control->events_count++ % EVENTS_KEPT] = *event;
    control->events_by_kind[event->kind]++;
}

void
control_event(struct node *node, const struct node_event *event)
{
    struct control *control = node->control;

    pthread_mutex_lock(&control->lock);
    keep_event(control, event);
    pthread_mutex_unlock(&control->lock);
}

void
control_tell(struct node *node, enum event_kind kind, const char *reason, ...)
{
    struct node_event event = {.t_ns = node_now_ns(node), .kind = kind, .log = UINT32_MAX, .peer = node->self};
    va_list arguments;

    va_start(arguments, reason);
    vsnprintf(event.reason, sizeof(event.reason), reason, arguments);
    va_end(arguments);
    control_event(node, &event);
}

static void
collect_events(struct node *node)
{
    struct control *control = node->control;
    struct node_event event;

    while (rte_ring_sc_dequeue_elem(node->events, &event, sizeof(event)) == 0)
        keep_event(control, &event);
}

/* The catalog is a log like any other: what is committed of it is in force. */
static void
follow_catalog(struct node *node)
{
    struct control *control = node->control;
    struct cairn_result result;

    if (!control->catalog_reading)
        control->catalog_reading = cairn_read(control->catalog, CATALOG_LOG, 1, 0, CAIRN_READ_STALE, CAIRN_READ_FOLLOW,
                                              CATALOG_TOKEN) == CAIRN_OK;
    while (cairn_poll(control->catalog, &result) > 0) {
        if (result.type == CAIRN_RESULT_END)
            control->catalog_reading = false;
        else if (result.type == CAIRN_RESULT_ENTRY && result.error == CAIRN_OK)
            catalog_apply(node, result.lsn, result.entry.payload, result.entry.payload_bytes);
        if (result.type == CAIRN_RESULT_ENTRY)
            atomic_store_explicit(&node->catalog_applied_lsn, result.lsn, memory_order_release);
    }
}

static void
maintain_ports(struct node *node, uint64_t now_ns)
{
    struct control *control = node->control;

    if (now_ns - control->maintained_ns < MAINTAIN_NS)
        return;
    control->maintained_ns = now_ns;
    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        if (peer != node->self && node->config.cluster->transport == TRANSPORT_MEMIF)
            port_maintain(&node->ports[peer]);
    }
}

void
node_control_step(struct node *node, uint64_t now_ns)
{
    struct control *control = node->control;

    maintain_ports(node, now_ns);
    bells_step(node, now_ns);
    if (!atomic_load_explicit(&control->failed, memory_order_relaxed) &&
        introduction_step(node, control->failure, sizeof(control->failure)) != CAIRN_OK)
        atomic_store_explicit(&control->failed, true, memory_order_release);
    if (introduction_phase(&node->introduction) != PHASE_INSIDE)
        return;
    /* In virtual time nobody waits for a page. */
    if (!node->config.stepped)
        control->touching = segment_pool_touch(&node->segments);
    if (node->config.disk != NULL)
        journal_maintain(&node->journal);
    if (atomic_load_explicit(&node->unreadable, memory_order_relaxed))
        checkpoint_discard(node);
    scrub_step(node, now_ns);
    follow_catalog(node);
    pthread_mutex_lock(&control->lock);
    collect_events(node);
    attachments_reap(node);
    pthread_mutex_unlock(&control->lock);
}

static void *
control_run(void *argument)
{
    struct node *node = argument;
    struct control *control = node->control;

    while (!atomic_load_explicit(&control->stop, memory_order_relaxed)) {
        int tick_ms = atomic_load_explicit(&node->resting, memory_order_relaxed) ? RESTING_TICK_MS : TICK_MS;

        if (control->touching)
            tick_ms = 0;
        if (control->admin != NULL)
            admin_poll(control->admin, tick_ms);
        else
            usleep((unsigned)tick_ms * 1000);
        node_control_step(node, node_now_ns(node));
        watch_worker(node, node_now_ns(node));
    }
    return NULL;
}

static enum cairn_error
open_admin(struct node *node, char *detail, size_t detail_bytes)
{
    struct admin_handler handler = {.command = admin_command, .closed = admin_closed, .context = node};
    char path[384];

    if (node->config.directory == NULL)
        return CAIRN_OK;
    snprintf(path, sizeof(path), "%s/%s.sock", node->config.directory, node->name);
    return admin_start(path, &node->config.access, &handler, &node->control->admin, detail, detail_bytes);
}

static enum cairn_error
create_catalog(struct node *node)
{
    struct log_settings settings = {.name = "_catalog",
                                    .rules = {.policy = CAIRN_POLICY_CP, .deny = CAIRN_DENY_WRITES},
                                    .voters = agreed_present(&node->control->replayed),
                                    .durability = durability_default(node)};
    struct node_log *log = node_log_create(node, CATALOG_LOG, &settings,
                                           node->recovering && settings.durability == CAIRN_MEMORY);
    struct snapshot *next = snapshot_copy(node);

    if (log == NULL || next == NULL) {
        free(next);
        return CAIRN_NO_MEMORY;
    }
    next->logs[next->count].log = log;
    next->logs[next->count++].rules = log->rules;
    snapshot_retire(snapshot_publish(node, next));
    return node_attach(node, &node->control->catalog);
}

bool
node_keep_life(struct node *node, bool begun, char *detail, size_t detail_bytes)
{
    struct identity *identity = &node->introduction.begun;

    identity_begin(identity, node->began_place);
    identity->begun = begun;
    return node->config.keep == NULL || node->config.keep(node->config.keep_context, identity, detail, detail_bytes);
}

/* The cluster goes on without what this node held; whoever decided that may want to look at it. */
static enum cairn_error
set_aside(struct node *node, char *detail, size_t detail_bytes)
{
    struct disk *disk = node->config.disk;
    enum cairn_error error = disk == NULL ? CAIRN_OK : disk->operations->set_aside(disk, node->incarnation);

    if (error != CAIRN_OK)
        snprintf(detail, detail_bytes, "%s", disk->detail);
    else
        node->introduction.begun.discard = false;
    return error;
}

enum cairn_error
node_begin(struct node *node, const struct identity *identity, char *detail, size_t detail_bytes)
{
    enum cairn_error error;

    assert(identity->life.number > 0 && node->snapshot->count == 0);
    atomic_store_explicit(&node->introduction.phase, PHASE_BEGINNING, memory_order_release);
    /* From now on the worker looks at nothing but that. */
    urcu_qsbr_synchronize_rcu();
    node->introduction.begun = *identity;
    node->incarnation = node->codec.incarnation = identity->life.number;
    node->codec.identity = identity_tag(&identity->cluster, &identity->life.id);
    node->recovering = !identity->born;
    node->forgotten = identity->forgotten;
    /* No epoch of a former life comes again. */
    node->lead_epoch = node->incarnation << 12 | 1;
    agree_begin(node, identity);
    error = create_catalog(node);
    if (error != CAIRN_OK)
        snprintf(detail, detail_bytes, "no memory for the catalog of logs");
    if (error == CAIRN_OK && identity->discard)
        error = set_aside(node, detail, detail_bytes);
    if (error == CAIRN_OK && node->config.disk != NULL)
        error = restore(node, detail, detail_bytes);
    ends_merge(&node->ends, &node->introduction.begun);
    if (error == CAIRN_OK && !node_keep_life(node, true, detail, detail_bytes))
        error = CAIRN_IO;
    if (error == CAIRN_OK)
        atomic_store_explicit(&node->introduction.phase, PHASE_INSIDE, memory_order_release);
    return error;
}

enum cairn_error
node_control_start(struct node *node, char *detail, size_t detail_bytes)
{
    struct control *control = calloc(1, sizeof(*control));
    enum cairn_error error;

    if (control == NULL)
        return CAIRN_NO_MEMORY;
    node->control = control;
    pthread_mutex_init(&control->lock, NULL);
    control->events = malloc(EVENTS_KEPT * sizeof(*control->events));
    if (control->events == NULL) {
        node_control_stop(node);
        return CAIRN_NO_MEMORY;
    }
    error = open_admin(node, detail, detail_bytes);
    if (error == CAIRN_OK && node->config.standing == STANDING_MEMBER)
        error = node_begin(node, &node->introduction.lives.identity, detail, detail_bytes);
    if (error == CAIRN_OK && node->config.stepped)
        return CAIRN_OK;
    if (error == CAIRN_OK && pthread_create(&control->thread, NULL, control_run, node) != 0) {
        snprintf(detail, detail_bytes, "no thread to be had");
        error = CAIRN_NO_MEMORY;
    }
    control->running = error == CAIRN_OK;
    if (control->running)
        pthread_setname_np(control->thread, "cairn-control");
    if (error != CAIRN_OK)
        node_control_stop(node);
    return error;
}

bool
node_wants_start(const struct node *node)
{
    return atomic_load_explicit(&node->control->start_wanted, memory_order_relaxed);
}

const char *
node_failure(const struct node *node)
{
    return atomic_load_explicit(&node->control->failed, memory_order_acquire) ? node->control->failure : NULL;
}

/* The worker is not polled any more. */
void
node_control_stop(struct node *node)
{
    struct control *control = node->control;

    if (control == NULL)
        return;
    atomic_store(&control->stop, true);
    if (control->running)
        pthread_join(control->thread, NULL);
    scrub_stop(node);
    bells_end(node);
    admin_stop(control->admin);
    if (control->catalog != NULL)
        cairn_disconnect(control->catalog);
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        if (control->attachments[i] != NULL)
            attachment_free(control->attachments[i]);
    }
    while (control->spares_count > 0)
        attachment_free(control->spares[--control->spares_count]);
    pthread_mutex_destroy(&control->lock);
    free(control->events);
    free(control);
    node->control = NULL;
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
    }
    pthread_mutex_unlock(&node->control->lock);
    snapshot_retire(former);
}

static const char *
role_name(const struct log_status *status)
{
    static const char *const names[] = {"follower", "candidate", "candidate", "leader"};

    if (status->stopped != STOP_NONE)
        return "stopped";
    if (status->recovering)
        return "recovering";
    if (status->role == ROLE_FOLLOWER && !(status->members.voters >> status->self & 1))
        return status->members.learners >> status->self & 1 ? "learner" : "none";
    return names[status->role];
}

static void
view_fill(const struct node_log *log, const struct log_rules *rules, struct node_log_view *out)
{
    struct log_status status;

    status_read(log, &status);
    memset(out, 0, sizeof(*out));
    memcpy(out->name, log->name, sizeof(out->name));
    out->id = log->id;
    out->role = role_name(&status);
    out->policy = rules->policy;
    out->deny = rules->deny;
    out->falls_to_cp = rules->falls_to_cp;
    out->retain_bytes = rules->retain_bytes;
    out->retain_age_ns = rules->retain_age_ns;
    out->trim_before_lsn = rules->trim_before_lsn;
    out->mode = status.mode;
    out->leader = status.leader;
    out->recovering = status.recovering;
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
    /* More than there were: who asks counted those of a life before this one. */
    if (*next > control->events_count)
        *next = 0;
    if (*next + EVENTS_KEPT < control->events_count)
        *next = control->events_count - EVENTS_KEPT;
    while (*next < control->events_count && count < most)
        out[count++] = control->events[(*next)++ % EVENTS_KEPT];
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
