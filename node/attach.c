/* Clients coming and going: the control thread's side. */
#include "attach.h"

#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "control.h"

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

/* Frees those that the worker has let go. With the control lock held. */
void
attachments_reap(struct node *node)
{
    struct control *control = node->control;

    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        struct attachment *attachment = control->attachments[i];

        if (attachment == NULL || atomic_load_explicit(&attachment->state, memory_order_acquire) != ATTACHMENT_GONE)
            continue;
        control->attachments[i] = NULL;
        if (attachment->embedded && control->spares_count < SPARES_MAX)
            control->spares[control->spares_count++] = attachment;
        else
            attachment_free(attachment);
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
        channel = attachment->channel;
        byte_channel_renew(&channel);
        *attachment = (struct attachment){.channel = channel, .embedded = true};
        return attachment;
    }
    attachment = calloc(1, sizeof(*attachment));
    if (attachment != NULL && byte_channel_make(&attachment->channel, node->config.channel_bytes) != 0) {
        free(attachment);
        return NULL;
    }
    if (attachment != NULL)
        attachment->embedded = embedded;
    return attachment;
}

/* Called with the control lock held: one writer on the command ring. */
struct attachment *
attachment_make(struct node *node, enum attachment_kind kind)
{
    struct control *control = node->control;
    struct attachment *attachment;
    uint32_t index = 0, left = 0, kept = kind == ATTACHED_CLIENT ? ATTACHMENTS_KEPT : 0;

    attachments_reap(node);
    while (index < ATTACHMENTS_MAX && control->attachments[index] != NULL)
        index++;
    for (uint32_t i = index; i < ATTACHMENTS_MAX; i++)
        left += control->attachments[i] == NULL;
    attachment = left > kept ? spare_or_new(node, kind == ATTACHED_EMBEDDED) : NULL;
    if (attachment == NULL)
        return NULL;
    attachment->index = (uint8_t)index;
    attachment->administrator = kind >= ATTACHED_ADMINISTRATOR;
    attachment->system = kind >= ATTACHED_SYSTEM;
    attachment->serial = ++control->attachment_serial;
    atomic_store(&attachment->state, ATTACHMENT_NEW);
    control->attachments[index] = attachment;
    rte_ring_sp_enqueue(node->workers[0]->commands, attachment);
    if (node->workers[0]->bell != NULL)
        doorbell_ring(node->workers[0]->bell);
    return attachment;
}

static enum cairn_error
embedded_open(void *context, const char *name, uint32_t *log)
{
    struct node_log_view view;

    if (!node_view(context, name, &view))
        return CAIRN_NO_LOG;
    *log = view.id;
    return CAIRN_OK;
}

static void
embedded_detach(void *context, struct cairn_client *client)
{
    (void)context;
    attachment_leave(client->attachment);
}

enum cairn_error
node_attach(struct node *node, struct cairn_client **out)
{
    struct cairn_client *client = calloc(1, sizeof(*client));
    enum phase phase = introduction_phase(&node->introduction);
    struct attachment *attachment;

    if (client == NULL)
        return CAIRN_NO_MEMORY;
    if (phase == PHASE_OUTSIDE || phase == PHASE_ENDED) {
        free(client);
        return CAIRN_RECOVERING;
    }
    pthread_mutex_lock(&node->control->lock);
    attachment = attachment_make(node, ATTACHED_EMBEDDED);
    pthread_mutex_unlock(&node->control->lock);
    if (attachment == NULL) {
        free(client);
        return CAIRN_FULL;
    }
    byte_channel_mirror(&attachment->channel, &client->channel);
    client->worker_bell = node->workers[0]->bell;
    client->socket = -1;
    client->open = embedded_open;
    client->detach = embedded_detach;
    client->context = node;
    client->attachment = attachment;
    *out = client;
    return CAIRN_OK;
}
