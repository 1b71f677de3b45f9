/* The steps that scenarios are written with. */
#include "sim/scene.h"

#include <string.h>

#include "client/client.h"
#include "node/state.h"
#include "sim/catalog.h"
#include "sim/channels.h"
#include "sim/checker_end.h"
#include "sim/clients.h"
#include "sim/nemesis.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/plan.h"
#include "sim/readers.h"
#include "sim/run.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/steward.h"
#include "sim/trace.h"
#include "sim/trunk.h"

bool
takes_no_part(const struct sim *sim, uint8_t node, uint32_t log)
{
    const struct node_log *held = node_log_of(&sim->nodes[node], log);

    return node_is_up(&sim->nodes[node]) && (held == NULL || core_recovering(held->core));
}

struct core *
core_of(struct sim *sim, uint8_t node)
{
    return node_log_of(&sim->nodes[node], LOG)->core;
}

static bool
followed(struct sim *sim, uint8_t leader)
{
    cairn_node_set voters = core_members(core_of(sim, leader))->voters;
    uint32_t following = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], LOG);

        following += held != NULL && (voters >> i & 1) && core_leader(held->core) == leader &&
                     core_term(held->core) == core_term(core_of(sim, leader));
    }
    return following > (uint32_t)__builtin_popcount(voters) / 2;
}

static uint8_t
found_leader(struct sim *sim)
{
    uint8_t leader = sim_leader(sim, LOG);

    if (leader == CAIRN_NODE_NONE || !followed(sim, leader) ||
        core_commit_lsn(core_of(sim, leader)) != core_last_lsn(core_of(sim, leader)))
        return CAIRN_NODE_NONE;
    return leader;
}

uint8_t
scene_leader(struct sim *sim)
{
    eventually(sim, WITHIN, found_leader(sim) != CAIRN_NODE_NONE);
    return sim->failed ? 0 : found_leader(sim);
}

static bool
another_leads(const struct sim *sim, uint8_t old)
{
    uint8_t leader = sim_leader(sim, LOG);

    return leader != CAIRN_NODE_NONE && leader != old;
}

uint8_t
scene_successor(struct sim *sim, uint8_t old, uint64_t within_ns)
{
    eventually(sim, within_ns, another_leads(sim, old));
    return sim->failed ? 0 : sim_leader(sim, LOG);
}

struct worker *
worker_of(const struct sim *sim, uint8_t node)
{
    const struct node_log *held = node_log_of(&sim->nodes[node], LOG);

    return held != NULL ? held->worker : sim->nodes[node].node->workers[0];
}

bool
all_follow(struct sim *sim)
{
    uint8_t leader = found_leader(sim);

    for (uint8_t i = 0; leader != CAIRN_NODE_NONE && i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], LOG);

        if (held == NULL || core_leader(held->core) != leader ||
            __builtin_popcount(worker_of(sim, i)->reach) != (int)sim->plan.nodes)
            return false;
    }
    return leader != CAIRN_NODE_NONE;
}

uint8_t
scene_start(struct sim *sim, uint32_t nodes, enum cairn_policy policy)
{
    struct plan plan = {
        .seed = sim->plan.seed,
        .nodes = nodes,
        .workers = sim->plan.workers,
        .logs = 1,
        .policies = {policy, policy},
        .delay_ns = 20 * US,
        .jitter_ns = 10 * US,
        .poll_delay_ns = US,
        .window_entries = sim->plan.window_entries != 0 ? sim->plan.window_entries : 1024,
        .producers_max = sim->plan.producers_max != 0 ? sim->plan.producers_max : 64,
        .segment_bytes = sim->plan.segment_bytes != 0 ? sim->plan.segment_bytes : 4u << 20,
        .retain_bytes = sim->plan.retain_bytes,
        .clock_bound_ms = sim->plan.clock_bound_ms,
        .session_window = 16,
        .payload_max = 64,
        .large_ppm = 1, /* for the size of the channels */
        .think_ns = MS,
        .disk = sim->plan.disk,
        .disk_ns = sim->plan.disk_ns,
        .journal_file_bytes = sim->plan.journal_file_bytes,
        .memory_bytes = sim->plan.memory_bytes * sim_workers(sim),
    };

    sim->scripted = true;
    sim_begin(sim, &plan, true);
    eventually(sim, WITHIN, sim->log_ids[LOG] != 0 && all_follow(sim));
    return scene_leader(sim);
}

uint8_t
scene_start_writing(struct sim *sim, uint32_t nodes, enum cairn_policy policy, uint64_t write_ns)
{
    sim->plan.disk = true;
    sim->plan.disk_ns = write_ns;
    sim->plan.journal_file_bytes = 1u << 20;
    return scene_start(sim, nodes, policy);
}

uint8_t
scene_start_on_disk(struct sim *sim, uint32_t nodes)
{
    return scene_start_writing(sim, nodes, CAIRN_POLICY_CP, 100 * US);
}

uint8_t
follower(struct sim *sim, uint8_t leader, uint32_t nth)
{
    return (uint8_t)((leader + nth) % sim->plan.nodes);
}

void
link_cut(struct sim *sim, uint8_t left, uint8_t right, bool cut)
{
    network_cut(sim, left, right, cut);
    network_cut(sim, right, left, cut);
}

void
cut_pair(struct sim *sim, uint8_t left, uint8_t right)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        if (i != left && i != right) {
            link_cut(sim, i, left, true);
            link_cut(sim, i, right, true);
        }
    }
}

void
lose_from(struct sim *sim, uint8_t node, enum message_type type)
{
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++)
        sim->links[node][peer].lost_type = (uint8_t)type;
}

void
lose_to(struct sim *sim, uint8_t node, enum message_type type)
{
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++)
        sim->links[peer][node].lost_type = (uint8_t)type;
}

void
isolate(struct sim *sim, uint8_t node, bool cut)
{
    trace_add(sim, TRACE_FAULT, node, 0, cut ? "is cut off" : "is back");
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        if (peer != node)
            link_cut(sim, node, peer, cut);
    }
}

static struct cairn_client *
client_at(struct sim *sim, uint8_t node)
{
    struct sim_reader *reader = &sim->scene_clients[node];

    if (reader->client != NULL && reader->client->gone) {
        cairn_disconnect(reader->client);
        reader->client = NULL;
    }
    if (reader->client == NULL)
        reader->client = node_connect(&sim->nodes[node]);
    return reader->client;
}

uint64_t
give(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, uint32_t epoch, enum cairn_ack ack,
     uint32_t payload_bytes)
{
    static uint8_t payload[CAIRN_PAYLOAD_BYTES_MAX];
    uint64_t head[2] = {SIM_PROBE, producer << 32 | seq};
    struct cairn_entry entry = {
        .payload = payload,
        .payload_bytes = payload_bytes < sizeof(head) ? (uint32_t)sizeof(head) : payload_bytes,
        .producer = producer >= ANONYMOUS ? 0 : producer,
        .producer_seq = producer >= ANONYMOUS ? 0 : seq,
        .producer_epoch = epoch,
    };
    struct cairn_client *client = client_at(sim, node);

    memcpy(payload, head, sizeof(head));
    if (client == NULL || cairn_append(client, sim->log_ids[LOG], &entry, ack, ++sim->scene_token) != CAIRN_OK)
        return 0;
    node_want_poll(&sim->nodes[node], US);
    return sim->scene_token;
}

bool
take(struct sim *sim, uint8_t node, uint64_t token, struct cairn_result *out)
{
    struct cairn_client *client = client_at(sim, node);

    node_want_poll(&sim->nodes[node], US);
    for (uint32_t i = 0; i < SCENE_ANSWERS; i++) {
        if (sim->answers[i].token != token || token == 0)
            continue;
        *out = sim->answers[i];
        return true;
    }
    while (client != NULL && cairn_poll(client, out) > 0) {
        if (out->type == CAIRN_RESULT_ENTRY)
            continue;
        if (out->token == token)
            return true;
        /* Somebody will ask for it. */
        sim->answers[sim->answers_count++ % SCENE_ANSWERS] = *out;
    }
    return false;
}

static enum cairn_error
wait_for(struct sim *sim, uint8_t node, uint64_t token, struct cairn_result *out)
{
    uint64_t end_ns = sim->now_ns + WITHIN;

    while (token != 0 && !sim->failed && sim->now_ns < end_ns) {
        if (take(sim, node, token, out))
            return out->error;
        sim_run_for(sim, 50 * US);
    }
    return CAIRN_TIMEOUT;
}

enum cairn_error
scene_append_sized(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, enum cairn_ack ack,
                   uint32_t payload_bytes, struct cairn_result *out)
{
    struct cairn_result unused;

    return wait_for(sim, node, give(sim, node, producer, seq, 0, ack, payload_bytes), out == NULL ? &unused : out);
}

enum cairn_error
append(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, enum cairn_ack ack, struct cairn_result *out)
{
    return scene_append_sized(sim, node, producer, seq, ack, 16, out);
}

uint64_t
scene_ask_bounded(struct sim *sim, uint8_t node, uint64_t max_lag_ns)
{
    struct cairn_client *client = client_at(sim, node);

    if (client == NULL ||
        cairn_read_bounded(client, sim->log_ids[LOG], 1, 0, max_lag_ns, 0, ++sim->scene_token) != CAIRN_OK)
        return 0;
    node_want_poll(&sim->nodes[node], US);
    return sim->scene_token;
}

uint64_t
scene_ask(struct sim *sim, uint8_t node, enum cairn_read_level level, uint64_t from)
{
    struct cairn_client *client = client_at(sim, node);

    if (client == NULL || cairn_read(client, sim->log_ids[LOG], from, 0, level, 0, ++sim->scene_token) != CAIRN_OK)
        return 0;
    node_want_poll(&sim->nodes[node], US);
    return sim->scene_token;
}

enum cairn_error
scene_read(struct sim *sim, uint8_t node, enum cairn_read_level level, uint64_t from, uint64_t *lsn)
{
    struct cairn_result result = {0};
    enum cairn_error error = wait_for(sim, node, scene_ask(sim, node, level, from), &result);

    if (lsn != NULL)
        *lsn = result.lsn;
    return error;
}

enum cairn_error
append_keyed(struct sim *sim, uint8_t node, const char *key, const char *payload, struct cairn_result *out)
{
    struct cairn_entry entry = {
        .payload = payload,
        .payload_bytes = (uint32_t)strlen(payload),
        .key = key,
        .key_bytes = (uint16_t)strlen(key),
    };
    struct cairn_client *client = client_at(sim, node);
    struct cairn_result unused;

    if (client == NULL ||
        cairn_append(client, sim->log_ids[LOG], &entry, CAIRN_ACK_POLICY, ++sim->scene_token) != CAIRN_OK)
        return CAIRN_TIMEOUT;
    node_want_poll(&sim->nodes[node], US);
    return wait_for(sim, node, sim->scene_token, out == NULL ? &unused : out);
}

enum cairn_error
scene_read_all(struct sim *sim, uint8_t node, struct cairn_token *token, scene_take *take_entry, void *context)
{
    struct cairn_client *client = client_at(sim, node);
    uint64_t end_ns = sim->now_ns + 3000 * MS, name = ++sim->scene_token;
    const struct cairn_token none = {0};

    if (client == NULL || cairn_read_session(client, sim->log_ids[LOG], 0, 0, token == NULL ? &none : token,
                                             CAIRN_READ_TENTATIVE, name) != CAIRN_OK)
        return CAIRN_TIMEOUT;
    while (!sim->failed && sim->now_ns < end_ns) {
        struct cairn_result result;

        node_want_poll(&sim->nodes[node], US);
        while (cairn_poll(client, &result) > 0) {
            if (result.token != name)
                continue;
            if (result.type == CAIRN_RESULT_ENTRY)
                take_entry(context, &result);
            if (result.type != CAIRN_RESULT_END)
                continue;
            if (token != NULL)
                cairn_token_settle(token, &result);
            return result.error;
        }
        sim_run_for(sim, 50 * US);
    }
    return CAIRN_TIMEOUT;
}

void
append_many(struct sim *sim, uint8_t node, uint64_t producer, uint32_t count, enum cairn_ack ack)
{
    for (uint32_t i = 0; i < count && !sim->failed; i++) {
        while (give(sim, node, producer, i + 1, 0, ack, SCENE_MANY_BYTES) == 0 && !sim->failed)
            sim_run_for(sim, 100 * US);
        if (i % 32 == 31) {
            struct cairn_result unused;

            sim_run_for(sim, 200 * US);
            take(sim, node, 0, &unused);
        }
    }
}

uint64_t
place(const struct sim *sim, uint64_t producer, uint64_t seq)
{
    const struct trunk_check *trunk = &sim->trunks[LOG];

    for (uint64_t lsn = 1; lsn <= trunk->last; lsn++) {
        if (trunk->entries[lsn].client == SIM_PROBE && trunk->entries[lsn].index == (producer << 32 | seq))
            return lsn;
    }
    return 0;
}

uint32_t
copies(const struct sim *sim, uint64_t producer, uint64_t seq)
{
    const struct trunk_check *trunk = &sim->trunks[LOG];
    uint32_t count = 0;

    for (uint64_t lsn = 1; lsn <= trunk->last; lsn++)
        count += trunk->entries[lsn].client == SIM_PROBE && trunk->entries[lsn].index == (producer << 32 | seq);
    return count;
}

void
set_policy(struct sim *sim, enum cairn_policy policy)
{
    catalog_change(sim, LOG - 1, policy);
}

void
scene_calm(struct sim *sim)
{
    sim_run_for(sim, 50 * SIM_TIMEOUT_NS);
}

void
scene_lead(struct sim *sim, uint8_t node)
{
    for (int tries = 0; tries < 20 && scene_leader(sim) != node && !sim->failed; tries++) {
        steward_ask(sim, scene_leader(sim), LOG, CAIRN_MEMBER_TRANSFER, node);
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    }
    expect(sim, scene_leader(sim) == node);
}

enum cairn_error
member(struct sim *sim, enum cairn_member_op op, uint8_t node)
{
    struct cairn_result result = {0};
    uint8_t leader = scene_leader(sim);
    struct cairn_client *client = client_at(sim, leader);

    if (client == NULL || cairn_member(client, sim->log_ids[LOG], op, node, ++sim->scene_token) != CAIRN_OK)
        return CAIRN_TIMEOUT;
    node_want_poll(&sim->nodes[leader], US);
    return wait_for(sim, leader, sim->scene_token, &result);
}

void
scene_end(struct sim *sim)
{
    if (sim->failed)
        return;
    nemesis_peace(sim);
    sim_settle(sim, 10000 * MS);
    if (!sim->failed)
        check_final(sim);
}

enum cairn_mode
scene_mode(struct sim *sim, uint8_t node)
{
    return node_log_of(&sim->nodes[node], LOG)->mode;
}

void
nobody_leads(struct sim *sim, uint64_t for_ns)
{
    for (uint64_t end_ns = sim->now_ns + for_ns; sim->now_ns < end_ns && !sim->failed;) {
        sim_run_for(sim, SIM_TIMEOUT_NS / 2);
        expect(sim, sim_leader(sim, LOG) == CAIRN_NODE_NONE);
    }
}

void
end_with_each_once(struct sim *sim, uint64_t count)
{
    scene_end(sim);
    for (uint64_t seq = 1; seq <= count; seq++)
        expect(sim, copies(sim, 7, seq) == 1);
}
