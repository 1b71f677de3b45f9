/* What a node tells of itself: its worker puts it into a ring, the control thread keeps it. */
#include "node/events.h"

#include "node/state.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
event_name(enum event_kind kind)
{
    static const char *const names[EVENT_KINDS] = {
        [EVENT_PARTITION_SUSPECTED] = "partition_suspected",
        [EVENT_HEALED] = "healed",
        [EVENT_MODE_CHANGED] = "mode_changed",
        [EVENT_MERGED] = "merged",
        [EVENT_LEADER] = "leader",
        [EVENT_LEADER_LOST] = "leader_lost",
        [EVENT_RESTORED] = "restored",
        [EVENT_DAMAGED] = "damaged",
        [EVENT_DISK_FAILED] = "disk_failed",
        [EVENT_DISK_FULL] = "disk_full",
        [EVENT_DISK_SPACE] = "disk_space",
        [EVENT_PEER_RESTARTED] = "peer_restarted",
        [EVENT_RECOVERED] = "recovered",
        [EVENT_DIVERGED] = "diverged",
        [EVENT_REBASED] = "rebased",
        [EVENT_MEMBERS] = "members_changed",
        [EVENT_PEER_SLOW] = "peer_slow",
        [EVENT_PEER_STEADY] = "peer_steady",
        [EVENT_WORKER_HUNG] = "worker_hung",
        [EVENT_WORKER_BACK] = "worker_back",
        [EVENT_STRANGER] = "stranger",
        [EVENT_FORGOTTEN] = "forgotten",
        [EVENT_DISK_SLOW] = "disk_slow",
        [EVENT_DISK_HANGS] = "disk_hangs",
        [EVENT_DISK_STEADY] = "disk_steady",
        [EVENT_STEPS_ASIDE] = "steps_aside",
        [EVENT_CLOCK] = "clock",
        [EVENT_DECIDED] = "decided",
        [EVENT_AGREED] = "agreed",
    };

    return (unsigned)kind < EVENT_KINDS ? names[kind] : "?";
}

/* What one worker meets, and another of the node need not. */
static bool
is_of_a_worker(enum event_kind kind)
{
    static const bool is[EVENT_KINDS] = {
        [EVENT_PARTITION_SUSPECTED] = true, [EVENT_HEALED] = true,      [EVENT_DAMAGED] = true,
        [EVENT_DISK_FAILED] = true,         [EVENT_DISK_FULL] = true,   [EVENT_DISK_SPACE] = true,
        [EVENT_PEER_SLOW] = true,           [EVENT_PEER_STEADY] = true, [EVENT_DISK_SLOW] = true,
        [EVENT_DISK_HANGS] = true,          [EVENT_DISK_STEADY] = true};

    return is[kind];
}

static void
name_worker(struct node_event *event)
{
    size_t used = strlen(event->reason);

    assert(used < sizeof(event->reason) && event->log == UINT32_MAX);
    snprintf(event->reason + used, sizeof(event->reason) - used, " (worker %u)", event->worker);
}

void
node_event(struct worker *worker, enum event_kind kind, const struct node_log *log, uint8_t peer, uint8_t from,
           uint8_t to, const char *reason, ...)
{
    struct node_event event = {
        .t_ns = worker->task.now_ns,
        .kind = kind,
        .log = log == NULL ? UINT32_MAX : log->id,
        .worker = worker->task.number,
        .peer = peer,
        .from = from,
        .to = to,
    };
    va_list arguments;

    assert(log == NULL || log->worker == worker);
    assert(kind != EVENT_MODE_CHANGED || (log != NULL && from != to));
    if (worker->restoring)
        return;
    if (log != NULL)
        memcpy(event.log_name, log->name, sizeof(event.log_name));
    va_start(arguments, reason);
    vsnprintf(event.reason, sizeof(event.reason), reason, arguments);
    va_end(arguments);
    if (log == NULL && worker->node->workers_count > 1 && is_of_a_worker(kind))
        name_worker(&event);
    /* A full ring loses the event, not the worker's time. */
    rte_ring_sp_enqueue_elem(worker->events, &event, sizeof(event));
}
