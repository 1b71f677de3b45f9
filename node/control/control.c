/* The control thread: links, the catalog of logs, events, memory ahead of the worker, the admin
 * socket. Nothing here is on the data path; it wakes a few dozen times a second. */
#include "node/control/control.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <urcu/urcu-qsbr.h>

#include "client/client.h"
#include "node/control/attach.h"
#include "node/control/catalog.h"
#include "node/control/commands.h"
#include "node/control/hung.h"
#include "node/control/offered.h"
#include "node/look.h"
#include "node/start/begin.h"
#include "node/worker/checkpoint.h"
#include "node/worker_command.h"

#define TICK_MS 20
#define RESTING_TICK_MS 60
#define MAINTAIN_NS 50000000u
#define CATALOG_TOKEN 1u

static void
collect_events(struct node *node)
{
    struct control *control = node->control;
    struct node_event event;

    for (uint8_t number = 0; number < node->workers_count; number++) {
        while (rte_ring_sc_dequeue_elem(node->workers[number]->events, &event, sizeof(event)) == 0) {
            assert(event.worker == number);
            keep_event(control, &event);
        }
    }
}

/* What workers note of their logs the first one takes down. */
static void
forward_notes(struct node *node)
{
    struct worker *first = node->workers[0];
    struct worker_command command = {.kind = COMMAND_NOTE};

    for (uint8_t number = 1; number < node->workers_count; number++) {
        struct rte_ring *notes = node->workers[number]->notes;

        /* Attachments that come meanwhile have their place in it. */
        while (rte_ring_free_count(first->commands) > ATTACHMENTS_MAX &&
               rte_ring_sc_dequeue_elem(notes, &command.note, sizeof(command.note)) == 0) {
            assert(command.note.log != CATALOG_LOG && command.note.term <= TERM_MAX);
            worker_tell(first, &command);
        }
    }
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
        else if (result.type == CAIRN_RESULT_ENTRY && result.error == CAIRN_OK) {
            catalog_apply(node, result.lsn, result.entry.payload, result.entry.payload_bytes);
            assert(control->applied_lsn >= result.lsn || (node->snapshot->agreed.removed >> node->self & 1) != 0);
        }
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
    if (node->config.cluster->transport != TRANSPORT_MEMIF)
        return;
    for (uint8_t peer = 0; peer < node->workers[0]->nodes; peer++) {
        if (peer != node->self)
            device_maintain(&node->links[peer]);
    }
}

/* What a worker needs and may not wait for. */
static void
serve_worker(struct worker *worker, uint64_t now_ns)
{
    /* In virtual time nobody waits for a page. */
    if (!worker->config->stepped)
        worker->node->control->touching |= segment_pool_touch(&worker->segments);
    if (worker->disk != NULL)
        journal_maintain(&worker->journal);
    if (atomic_load_explicit(&worker->unreadable, memory_order_relaxed))
        checkpoint_discard(worker);
    scrub_step(worker, now_ns);
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
    control->touching = false;
    for (uint8_t number = 0; number < node->workers_count; number++)
        serve_worker(node->workers[number], now_ns);
    follow_catalog(node);
    load_measure(node, now_ns);
    pthread_mutex_lock(&control->lock);
    collect_events(node);
    forward_notes(node);
    attachments_reap(node);
    pthread_mutex_unlock(&control->lock);
}

static bool
all_rest(const struct node *node)
{
    bool all = true;

    for (uint8_t number = 0; number < node->workers_count; number++)
        all &= atomic_load_explicit(&node->workers[number]->resting, memory_order_relaxed);
    return all;
}

static void *
control_run(void *argument)
{
    struct node *node = argument;
    struct control *control = node->control;

    while (!atomic_load_explicit(&control->stop, memory_order_relaxed)) {
        int tick_ms = all_rest(node) ? RESTING_TICK_MS : TICK_MS;

        if (control->touching)
            tick_ms = 0;
        if (control->admin != NULL)
            admin_poll(control->admin, tick_ms);
        else
            usleep((unsigned)tick_ms * 1000);
        node_control_step(node, node_now_ns(node));
        for (uint8_t number = 0; number < node->workers_count; number++)
            hung_review(node->workers[number], node_now_ns(node));
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

enum cairn_error
node_control_start(struct node *node, char *detail, size_t detail_bytes)
{
    struct control *control = calloc(1, sizeof(*control));
    enum cairn_error error;

    if (control == NULL)
        return CAIRN_NO_MEMORY;
    assert(node->control == NULL && node->snapshot->count == 0);
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
    /* Each connection that has ended took its visitor with it. */
    assert(control->visitors == 0);
    if (control->catalog != NULL)
        cairn_disconnect(control->catalog);
    for (uint32_t i = 0; i < CAIRN_WORKERS_MAX * ATTACHMENTS_MAX; i++) {
        struct attachment *attachment = control->attachments[i / ATTACHMENTS_MAX][i % ATTACHMENTS_MAX];

        if (attachment != NULL)
            attachment_free(attachment);
    }
    while (control->spares_count > 0)
        attachment_free(control->spares[--control->spares_count]);
    pthread_mutex_destroy(&control->lock);
    free(control->events);
    free(control);
    node->control = NULL;
}
