/* Clients' channels to nodes, which stay where their clients mapped them when the node is no more. */
#include "sim/channels.h"

#include <assert.h>

#include "client/client.h"
#include "node/control/attach.h"
#include "node/control/control.h"
#include "node/state.h"
#include "sim/node.h"
#include "sim/scale.h"
#include "sim/sim.h"

static void
leave_node(void *context, struct cairn_client *client)
{
    struct sim *sim = client->owner;

    (void)context;
    for (uint32_t i = 0; i < sim->attached_count; i++) {
        if (sim->attached[i] == client)
            sim->attached[i] = sim->attached[--sim->attached_count];
    }
    for (uint8_t i = 0; i < client->open_count; i++)
        attachment_leave(client->lanes[client->open[i]].attachment);
}

struct cairn_client *
node_connect(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct cairn_client *client;

    if (node->node == NULL || sim->attached_count == sizeof(sim->attached) / sizeof(*sim->attached) ||
        node_attach(node->node, &client) != CAIRN_OK)
        return NULL;
    client->detach = leave_node;
    client->owner = sim;
    sim->attached[sim->attached_count++] = client;
    return client;
}

void
node_asked(struct sim_node *node)
{
    if (node->node == NULL)
        return;
    for (uint32_t i = 0; i < node->sim->attached_count; i++) {
        const struct cairn_client *client = node->sim->attached[i];

        for (uint8_t at = 0; client->context == node->node && at < client->open_count; at++) {
            struct attachment *attachment = client->lanes[client->open[at]].attachment;
            const void *bytes;

            if (byte_ring_peek(&attachment->channel.in, &bytes) > 0)
                worker_want_poll(node, client->open[at], US);
        }
    }
}

/* The channel of a dead process stays where its client mapped it; nobody answers any more. */
void
node_bury_attachments(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct control *control = node->node->control;

    for (uint32_t i = 0; i < sim->attached_count; i++) {
        struct cairn_client *client = sim->attached[i];

        if (client->context != node->node)
            continue;
        client->gone = true;
        client->context = NULL;
    }
    for (uint32_t i = 0; i < SIM_WORKERS * ATTACHMENTS_MAX; i++) {
        struct attachment **attachment = &control->attachments[i / ATTACHMENTS_MAX][i % ATTACHMENTS_MAX];

        if (*attachment == NULL)
            continue;
        assert(sim->buried_count < sizeof(sim->buried) / sizeof(*sim->buried));
        sim->buried[sim->buried_count++] = *attachment;
        *attachment = NULL;
    }
}
