/* Clients coming and going: the control thread's side. */
#include "node/control/attach.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "node/control/control.h"
#include "node/worker_command.h"

void
attachment_leave(struct attachment *attachment)
{
    atomic_store_explicit(&attachment->state, ATTACHMENT_LEAVING, memory_order_release);
}

void
attachment_free(struct attachment *attachment)
{
    byte_channel_close(&attachment->channel);
    free(attachment);
}

/* Frees those that the workers have let go. With the control lock held. */
void
attachments_reap(struct node *node)
{
    struct control *control = node->control;

    for (uint8_t worker = 0; worker < node->workers_count; worker++) {
        for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
            struct attachment *attachment = control->attachments[worker][i];

            if (attachment == NULL || atomic_load_explicit(&attachment->state, memory_order_acquire) != ATTACHMENT_GONE)
                continue;
            assert(attachment->index == i && attachment->waits == 0);
            control->attachments[worker][i] = NULL;
            if (attachment->embedded && control->spares_count < SPARES_MAX)
                control->spares[control->spares_count++] = attachment;
            else
                attachment_free(attachment);
            assert(control->spares_count <= SPARES_MAX);
        }
    }
}

static struct attachment *
spare_or_new(struct node *node, bool embedded)
{
    struct control *control = node->control;
    struct attachment *attachment;
    struct byte_channel channel;

    if (embedded && control->spares_count > 0) {
        attachment = control->spares[--control->spares_count];
        assert(attachment->embedded);
        assert(atomic_load_explicit(&attachment->state, memory_order_relaxed) == ATTACHMENT_GONE);
        channel = attachment->channel;
        byte_channel_renew(&channel);
        *attachment = (struct attachment){.channel = channel, .embedded = true};
        return attachment;
    }
    attachment = aligned_alloc(alignof(struct attachment), sizeof(*attachment));
    if (attachment != NULL)
        *attachment = (struct attachment){.embedded = embedded};
    if (attachment != NULL && byte_channel_make(&attachment->channel, node->config.channel_bytes) != 0) {
        free(attachment);
        return NULL;
    }
    return attachment;
}

/* A place at the worker; ATTACHMENTS_MAX: there is none for one of that kind. */
static uint32_t
place_at(const struct control *control, uint8_t worker, enum attachment_kind kind)
{
    uint32_t kept = kind == ATTACHED_CLIENT ? ATTACHMENTS_KEPT : 0, left = 0, first = ATTACHMENTS_MAX;

    for (uint32_t i = ATTACHMENTS_MAX; i-- > 0;) {
        if (control->attachments[worker][i] != NULL)
            continue;
        first = i;
        left++;
    }
    assert((left == 0) == (first == ATTACHMENTS_MAX));
    return left > kept ? first : ATTACHMENTS_MAX;
}

struct attachment *
attachment_make(struct node *node, uint8_t worker, enum attachment_kind kind)
{
    struct control *control = node->control;
    struct worker_command command = {.kind = COMMAND_ATTACH};
    struct attachment *attachment;
    uint32_t index;

    assert(worker < node->workers_count);
    attachments_reap(node);
    index = place_at(control, worker, kind);
    attachment = index < ATTACHMENTS_MAX ? spare_or_new(node, kind == ATTACHED_EMBEDDED) : NULL;
    if (attachment == NULL)
        return NULL;
    assert(control->attachments[worker][index] == NULL && attachment->in_flight == 0);
    attachment->index = (uint8_t)index;
    attachment->administrator = kind >= ATTACHED_ADMINISTRATOR;
    attachment->system = kind >= ATTACHED_SYSTEM;
    attachment->serial = ++control->attachment_serial;
    atomic_store(&attachment->state, ATTACHMENT_NEW);
    control->attachments[worker][index] = attachment;
    command.attachment = attachment;
    worker_tell(node->workers[worker], &command);
    return attachment;
}

static enum cairn_error
embedded_find(void *context, const char *name, uint32_t *log, uint8_t *worker)
{
    struct node_log_view view;

    if (!node_view(context, name, &view))
        return CAIRN_NO_LOG;
    assert(view.worker < ((const struct node *)context)->workers_count);
    *log = view.id;
    *worker = view.worker;
    return CAIRN_OK;
}

static enum cairn_error
embedded_place(void *context, uint32_t log, uint8_t *worker)
{
    struct node *node = context;
    bool found = false;

    pthread_mutex_lock(&node->control->lock);
    for (uint32_t i = 0; i < node->snapshot->count && !found; i++) {
        found = node->snapshot->logs[i].log->id == log;
        if (found)
            *worker = node->snapshot->logs[i].log->worker->task.number;
    }
    pthread_mutex_unlock(&node->control->lock);
    assert(!found || *worker < node->workers_count);
    return found ? CAIRN_OK : CAIRN_NO_LOG;
}

static enum cairn_error
embedded_attach(void *context, uint8_t worker, struct lane *lane)
{
    struct node *node = context;
    struct attachment *attachment;

    pthread_mutex_lock(&node->control->lock);
    attachment = attachment_make(node, worker, ATTACHED_EMBEDDED);
    pthread_mutex_unlock(&node->control->lock);
    if (attachment == NULL)
        return CAIRN_FULL;
    byte_channel_mirror(&attachment->channel, &lane->channel);
    lane->worker_bell = node->workers[worker]->bell;
    lane->attachment = attachment;
    return CAIRN_OK;
}

static void
embedded_detach(void *context, struct cairn_client *client)
{
    (void)context;
    assert(client->open_count <= CAIRN_WORKERS_MAX);
    for (uint8_t i = 0; i < client->open_count; i++)
        attachment_leave(client->lanes[client->open[i]].attachment);
}

enum cairn_error
node_attach(struct node *node, struct cairn_client **out)
{
    struct cairn_client *client = calloc(1, sizeof(*client));
    enum phase phase = introduction_phase(&node->introduction);

    if (client == NULL)
        return CAIRN_NO_MEMORY;
    if (phase == PHASE_OUTSIDE || phase == PHASE_ENDED) {
        free(client);
        return CAIRN_RECOVERING;
    }
    client->socket = -1;
    client->find = embedded_find;
    client->place = embedded_place;
    client->attach = embedded_attach;
    client->detach = embedded_detach;
    client->context = node;
    *out = client;
    return CAIRN_OK;
}

struct visitor *
visitor_make(struct node *node, enum attachment_kind kind)
{
    struct control *control = node->control;
    struct visitor *visitor = NULL;

    if (control->visitors < ATTACHMENTS_MAX - (kind == ATTACHED_CLIENT ? ATTACHMENTS_KEPT : 0))
        visitor = calloc(1, sizeof(*visitor));
    if (visitor == NULL)
        return NULL;
    visitor->kind = kind;
    control->visitors++;
    assert(control->visitors <= ATTACHMENTS_MAX);
    return visitor;
}

void
visitor_leave(struct node *node, struct visitor *visitor)
{
    for (uint8_t worker = 0; worker < node->workers_count; worker++) {
        if (visitor->at[worker] != NULL)
            attachment_leave(visitor->at[worker]);
    }
    assert(node->control->visitors > 0);
    node->control->visitors--;
    free(visitor);
}
