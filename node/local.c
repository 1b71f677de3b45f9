#include "node/local.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/identity_file.h"
#include "dataplane/clock.h"
#include "dataplane/eal.h"

#define CREATE_NS 10000000000u
#define PATIENCE 100u

struct cluster_config
local_cluster_config(uint32_t nodes, enum cluster_transport transport, uint32_t memory_mib,
                     enum cluster_profile profile)
{
    struct cluster_config config = {
        .id = (uint32_t)clock_monotonic_ns() ^ ((uint32_t)getpid() << 16),
        .transport = transport,
        .profile = profile,
        .memory_mib = memory_mib,
        .nodes = nodes,
    };

    assert(nodes >= 1 && nodes <= CAIRN_NODES_MAX);
    for (uint32_t i = 0; i < nodes; i++)
        snprintf(config.names[i], sizeof(config.names[i]), "n%u", i + 1);
    return config;
}

static enum cairn_error
make_nodes(const struct local_config *config, struct local_cluster *local, char *detail, size_t detail_bytes)
{
    struct agreed agreed = cluster_agreed(&local->cluster);
    struct identity identities[CAIRN_NODES_MAX];
    enum cairn_error error = CAIRN_OK;

    assert(config->nodes == local->cluster.nodes);
    if (!identity_draw_cluster(&agreed, identities)) {
        snprintf(detail, detail_bytes, "the kernel has no random bits for a new cluster");
        return CAIRN_IO;
    }
    for (uint8_t i = 0; i < config->nodes && error == CAIRN_OK; i++) {
        struct node_config node = {
            .cluster = &local->cluster,
            .self = i,
            .identity = &identities[i],
            .standing = STANDING_MEMBER,
            .seed = local->cluster.id + i,
            .channel_bytes = config->channel_bytes,
            .election_patience = i == 0 ? 1 : PATIENCE,
            .retain_bytes = config->retain_bytes,
            .allow_faults = true,
        };

        for (uint32_t worker = 0; worker < local->cluster.workers; worker++) {
            node.bells[worker] = &local->lcores[worker].own_bell;
            node.disks[worker] = config->disks == NULL ? NULL : config->disks[i * local->cluster.workers + worker];
        }
        error = node_create(&node, &local->nodes[i], detail, detail_bytes);
        for (uint8_t j = 0; j < i && error == CAIRN_OK; j++)
            error = node_link(local->nodes[j], local->nodes[i], detail, detail_bytes);
    }
    for (uint8_t i = 0; i < config->nodes && error == CAIRN_OK; i++)
        error = node_control_start(local->nodes[i], detail, detail_bytes);
    return error;
}

/* An lcore for the workers of that number, of all nodes. */
static bool
poll_worker(const struct local_config *config, struct local_cluster *local, uint8_t worker)
{
    struct lcore *lcore = &local->lcores[worker];

    lcore->idle = config->idle;
    lcore->cpu = config->cpu < 0 ? -1 : config->cpu + worker;
    for (uint32_t i = 0; i < config->nodes; i++)
        lcore->tasks[lcore->tasks_count++] = node_task(local->nodes[i], worker);
    assert(lcore->tasks_count == config->nodes);
    return config->lcore_later || lcore_start(lcore);
}

enum cairn_error
local_start(const struct local_config *config, struct local_cluster *local, char *detail, size_t detail_bytes)
{
    enum cairn_error error = eal_start(NULL, detail, detail_bytes);

    memset(local, 0, sizeof(*local));
    if (error != CAIRN_OK)
        return error;
    local->cluster = local_cluster_config(config->nodes, TRANSPORT_RING, config->memory_mib, config->profile);
    local->cluster.memory_at_start = config->memory_at_start;
    local->cluster.workers = config->workers == 0 ? 1 : config->workers;
    assert(local->cluster.workers <= CAIRN_WORKERS_MAX);
    error = make_nodes(config, local, detail, detail_bytes);
    for (uint8_t worker = 0; worker < local->cluster.workers && error == CAIRN_OK; worker++) {
        if (!poll_worker(config, local, worker)) {
            snprintf(detail, detail_bytes, "the machine gives no thread for the workers");
            error = CAIRN_NO_MEMORY;
        }
    }
    if (error != CAIRN_OK)
        local_stop(local);
    return error;
}

void
local_stop(struct local_cluster *local)
{
    for (uint8_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++)
        lcore_stop(&local->lcores[worker]);
    for (uint32_t i = 0; i < local->cluster.nodes; i++) {
        if (local->nodes[i] == NULL)
            continue;
        node_control_stop(local->nodes[i]);
        node_free(local->nodes[i]);
        local->nodes[i] = NULL;
    }
}

enum cairn_error
local_connect(void *context, uint8_t node, struct dial *dial, struct cairn_client **out, char *detail,
              size_t detail_bytes)
{
    struct local_cluster *local = context;

    assert(node < local->cluster.nodes);
    (void)dial;
    (void)detail;
    (void)detail_bytes;
    return node_attach(local->nodes[node], out);
}

static void
pause_or_poll(void (*poll)(void *context, uint64_t now_ns), void *context)
{
    struct timespec pause = {.tv_nsec = 200000};

    if (poll != NULL)
        poll(context, clock_monotonic_ns());
    else
        nanosleep(&pause, NULL);
}

/* Repeats the catalog's entry with the same sequence until it is acknowledged. */
static enum cairn_error
write_catalog(struct cairn_client *client, const char *text, void (*poll)(void *context, uint64_t now_ns),
              void *context, uint64_t end_ns)
{
    struct cairn_entry entry = {
        .payload = text,
        .payload_bytes = (uint32_t)strlen(text),
        .producer = session_new_producer(),
        .producer_seq = 1,
    };
    struct cairn_result result = {.error = CAIRN_NO_LEADER};

    while (clock_monotonic_ns() < end_ns) {
        if (cairn_append(client, 0, &entry, CAIRN_ACK_MAJORITY, 1) != CAIRN_OK)
            return CAIRN_FULL;
        cairn_flush(client);
        while (cairn_poll(client, &result) == 0 && clock_monotonic_ns() < end_ns)
            pause_or_poll(poll, context);
        if (result.error == CAIRN_OK)
            return CAIRN_OK;
        pause_or_poll(poll, context);
    }
    return result.error;
}

enum cairn_error
local_create_log(struct node *node, const char *name, enum cairn_policy policy, enum cairn_durability durability,
                 uint8_t worker, void (*poll)(void *context, uint64_t now_ns), void *context, uint32_t *log)
{
    uint64_t end_ns = clock_monotonic_ns() + CREATE_NS;
    struct cairn_client *client;
    struct node_log_view view = {0};
    char text[256];
    enum cairn_error error = node_attach(node, &client);
    int text_bytes;

    if (error != CAIRN_OK)
        return error;
    assert(worker < node_workers(node));
    text_bytes = snprintf(text, sizeof(text),
                          "{\"op\":\"create\",\"name\":\"%s\",\"policy\":\"%s\",\"durability\":\"%s\",\"worker\":%u}",
                          name, cairn_policy_name(policy), cairn_durability_name(durability), worker);
    assert((size_t)text_bytes < sizeof(text));
    (void)text_bytes;
    error = write_catalog(client, text, poll, context, end_ns);
    while (error == CAIRN_OK && !(node_view(node, name, &view) && strcmp(view.role, "leader") == 0)) {
        if (clock_monotonic_ns() > end_ns)
            error = CAIRN_NO_LEADER;
        pause_or_poll(poll, context);
    }
    assert(error != CAIRN_OK || view.worker == worker);
    if (error == CAIRN_OK)
        *log = view.id;
    cairn_disconnect(client);
    return error;
}
