/* Sessions that append, the production ones; and everybody who uses the logs, begun and ended. */
#include "sim/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/catalog.h"
#include "sim/channels.h"
#include "sim/checker_answers.h"
#include "sim/load.h"
#include "sim/node.h"
#include "sim/ops.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/readers.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/steward.h"
#include "sim/trace.h"

/* A run's data fits the nodes' memory, also with every entry on a branch and on the trunk: full memory
 * has scenarios of its own. */
#define GIVEN_BYTES_MAX (16u << 20)

static struct sim_node *
node_via(struct sim *sim, uint8_t node)
{
    return &sim->nodes[node];
}

static enum cairn_error
connect_session(void *context, uint8_t node, struct dial *dial, struct cairn_client **out, char *detail,
                size_t detail_bytes)
{
    struct sim_client *client = context;

    (void)dial;
    *out = node_connect(node_via(client->sim, node));
    if (*out == NULL) {
        snprintf(detail, detail_bytes, "n%u is down", node + 1);
        return CAIRN_CLOSED;
    }
    client->via = node;
    return CAIRN_OK;
}

static uint64_t
session_time_ns(void *context)
{
    const struct sim_client *client = context;

    return client->sim->now_ns;
}

/* Ids rise with time, as real ones do. */
static uint64_t
new_producer(void *context)
{
    struct sim_client *client = context;
    uint64_t producer = (client->sim->now_ns << 6) | client->index;

    if (client->lives_count == client->lives_capacity) {
        client->lives_capacity = client->lives_capacity == 0 ? 16 : 2 * client->lives_capacity;
        client->lives = realloc(client->lives, client->lives_capacity * sizeof(*client->lives));
    }
    client->lives[client->lives_count++] = (struct producer_life){.producer = producer,
                                                                  .last_index = client->first_index};
    return producer;
}

static void
session_begin(struct sim_client *client)
{
    struct sim *sim = client->sim;
    uint8_t via = (uint8_t)random_under(&sim->load, sim->plan.nodes);
    uint64_t deadline_ns = 200 * MS + random_under(&sim->load, 1000 * MS);
    struct session_config config = {
        .nodes = sim->plan.nodes,
        .connect = connect_session,
        .connect_context = client,
        .log = sim_log_name(client->log),
        .via = via,
        .ack = client->ack,
        .deadline_ns = deadline_ns,
        .window_entries = sim->plan.session_window,
        .now_ns = session_time_ns,
        .renew = new_producer,
    };
    char detail[256];

    client->first_index = client->given;
    if (session_open(&config, &client->session, detail, sizeof(detail)) != CAIRN_OK) {
        client->session = NULL;
        client->lives_count--;
    }
}

/* The process of a client is killed: what it was told until then is all it knows. */
void
client_die(struct sim *sim, struct sim_client *client)
{
    if (client->session == NULL)
        return;
    trace_add(sim, TRACE_CLIENT, client->via, 0, "client %u dies", client->index);
    session_close(client->session);
    client->session = NULL;
    for (uint64_t index = client->first_index; index < client->given; index++) {
        if (client->ops[index].state == OP_GIVEN)
            client->ops[index].state = OP_UNKNOWN;
    }
}

static bool
give_one(struct sim *sim, struct sim_client *client)
{
    static uint8_t payload[200000];
    uint64_t head[2] = {client->index, client->given};
    struct cairn_entry entry;
    uint32_t size = 16 + (uint32_t)random_under(&sim->load, sim->plan.payload_max);

    if (random_chance(&sim->load, sim->plan.large_ppm))
        size = 2000 + (uint32_t)random_under(&sim->load, sizeof(payload) - 2000);
    memcpy(payload, head, sizeof(head));
    client_new_op(client);
    entry = (struct cairn_entry){.payload = payload, .payload_bytes = size};
    if (session_append(client->session, &entry) != CAIRN_OK)
        return false;
    client->given++;
    sim->given_bytes += size;
    return true;
}

static void
take_results(struct sim *sim, struct sim_client *client)
{
    struct session_result result;

    while (session_poll(client->session, &result)) {
        check_append_result(sim, client, &result);
    }
}

static void
give_some(struct sim *sim, struct sim_client *client)
{
    uint64_t burst = 1 + random_under(&sim->load, sim->plan.session_window < 8 ? sim->plan.session_window : 8);

    if (sim->healing) {
        /* Peace has come: one more each, which must be taken. */
        if (sim->asking_last && (!client->last_given || client->ops[client->given - 1].state == OP_REFUSED))
            client->last_given = give_one(sim, client);
        return;
    }
    while (burst-- > 0 && sim->given_bytes < GIVEN_BYTES_MAX && !load_is_enough(sim, sim->given) &&
           give_one(sim, client))
        sim->given++;
}

void
client_turn(struct sim *sim, struct sim_client *client)
{
    if (client->log == 0 || sim->log_ids[client->log] != 0) {
        if (client->session == NULL)
            session_begin(client);
        if (client->session != NULL) {
            take_results(sim, client);
            if (client->log == 0)
                catalog_create_missing(sim, client);
            else
                give_some(sim, client);
            take_results(sim, client);
            node_asked(&sim->nodes[client->via]);
        }
    }
    sim_plan_happening(sim, load_think_ns(sim, 2, sim->given), HAPPEN_CLIENT, 0, 0, client->index, 0);
}

void
clients_start(struct sim *sim)
{
    static const enum cairn_ack acks[] = {CAIRN_ACK_POLICY, CAIRN_ACK_POLICY, CAIRN_ACK_MAJORITY, CAIRN_ACK_LOCAL,
                                          CAIRN_ACK_ALL};

    for (uint32_t i = 0; i <= SIM_CLIENTS; i++) {
        struct sim_client *client = &sim->clients[i];

        client->sim = sim;
        client->index = i;
        client->log = i == CATALOG_CLIENT ? 0 : 1 + i % sim->plan.logs;
        client->ack = i == CATALOG_CLIENT ? CAIRN_ACK_MAJORITY
                                          : acks[random_under(&sim->load, sizeof(acks) / sizeof(*acks))];
        if (i == CATALOG_CLIENT || (!sim->scripted && i < sim->plan.sessions))
            sim_plan_happening(sim, (1 + i) * MS, HAPPEN_CLIENT, 0, 0, i, 0);
    }
    sim_plan_happening(sim, MS, HAPPEN_STEWARD, 0, 0, 0, 0);
    for (uint32_t i = 0; !sim->scripted && i < sim->plan.readers; i++)
        sim_plan_happening(sim, (1 + i) * MS, HAPPEN_READER, 0, 0, i, 0);
}

void
clients_stop(struct sim *sim)
{
    for (uint32_t i = 0; i <= SIM_CLIENTS; i++) {
        if (sim->clients[i].session != NULL)
            session_close(sim->clients[i].session);
        free(sim->clients[i].ops);
        free(sim->clients[i].lives);
        sim->clients[i].session = NULL;
        sim->clients[i].ops = NULL;
    }
    steward_leave(&sim->steward);
    for (uint32_t i = 0; i < SIM_NODES; i++) {
        if (sim->scene_clients[i].client != NULL)
            reader_leave(&sim->scene_clients[i]);
    }
    for (uint32_t i = 0; i < SIM_READERS; i++) {
        if (sim->readers[i].client != NULL)
            reader_leave(&sim->readers[i]);
    }
}
