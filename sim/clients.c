/* Who uses the logs: sessions that append (the production ones), an operator that writes the catalog,
 * and readers. */
#include "sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

#define CATALOG_CLIENT SIM_CLIENTS
/* Where a read begins, before the committed trunk's end: one in eight far back. */
#define READ_BACK 2u
#define READ_FAR_BACK 40u
/* A run's data fits the nodes' memory, also with every entry on a branch and on the trunk: full memory
 * has scenarios of its own. */
#define GIVEN_BYTES_MAX (16u << 20)
/* What a run takes is what its entries and reads take, and their number shows nothing that their order does not: so many
 * are ahead of the messages, beyond that there is one of each for so many messages. */
#define ASKED_AHEAD 1000u
#define MESSAGES_PER_ASKED 16u
#define UNANSWERED_NS (4000 * MS)

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

static struct op *
op_new(struct sim_client *client)
{
    if (client->given == client->capacity) {
        client->capacity = client->capacity == 0 ? 1024 : 2 * client->capacity;
        client->ops = realloc(client->ops, client->capacity * sizeof(*client->ops));
    }
    client->ops[client->given] = (struct op){
        .given_ns = client->sim->now_ns,
        .floor_lsn = client->sim->trunks[client->log].acked_lsn,
        .state = OP_GIVEN,
    };
    return &client->ops[client->given];
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
    op_new(client);
    entry = (struct cairn_entry){.payload = payload, .payload_bytes = size};
    if (session_append(client->session, &entry) != CAIRN_OK)
        return false;
    client->given++;
    sim->given_bytes += size;
    return true;
}

static bool
is_enough(const struct sim *sim, uint64_t asked)
{
    return asked > ASKED_AHEAD + sim->counts.messages / MESSAGES_PER_ASKED;
}

/* Until somebody's next turn. */
static uint64_t
think_ns(struct sim *sim, uint64_t slowness, uint64_t asked)
{
    return 1 + random_under(&sim->load, slowness * sim->plan.think_ns * (is_enough(sim, asked) ? 8 : 1));
}

/* The operator: creates the logs one by one, then changes policies. */
void
catalog_change(struct sim *sim, uint32_t log, enum cairn_policy policy)
{
    static const enum cairn_deny denies[] = {CAIRN_DENY_WRITES, CAIRN_DENY_BOTH, CAIRN_DENY_WRITES, CAIRN_DENY_READS};
    uint64_t turn = sim->plan.seed / 2 + sim->clients[CATALOG_CLIENT].given;
    char text[96];

    /* What a scenario denies it says itself. */
    snprintf(text, sizeof(text), "\"policy\":\"%s\",\"when_cut\":\"%s\",\"deny\":\"%s\"", cairn_policy_name(policy),
             sim->plan.seed % 2 == 0 ? "cp" : "deny", cairn_deny_name(denies[sim->scripted ? 0 : turn % 4]));
    catalog_write(sim, log, sim->log_ids[log + 1] == 0 ? "create" : "set", text);
}

void
catalog_write(struct sim *sim, uint32_t log, const char *operation, const char *rules)
{
    struct sim_client *client = &sim->clients[CATALOG_CLIENT];
    struct cairn_entry entry;
    char text[192];
    int size;

    if (client->session == NULL)
        return;
    size = snprintf(text, sizeof(text), "{\"op\":\"%s\",\"name\":\"%s\",%s}", operation, sim_log_name(log + 1), rules);
    op_new(client);
    entry = (struct cairn_entry){.payload = text, .payload_bytes = (uint32_t)size};
    if (session_append(client->session, &entry) == CAIRN_OK) {
        client->given++;
        trace_add(sim, TRACE_CLIENT, 0, 0, "operator writes %s", text);
    }
}

/* A log's number, from any node that knows it. */
static uint32_t
log_number(const struct sim *sim, uint32_t log)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node *node = sim->nodes[i].node;

        for (uint32_t j = 0; node != NULL && j < node->snapshot->count; j++) {
            if (strcmp(node->snapshot->logs[j].log->name, sim_log_name(log)) == 0)
                return node->snapshot->logs[j].log->id;
        }
    }
    return 0;
}

static void
create_missing(struct sim *sim, struct sim_client *client)
{
    for (uint32_t log = 0; log < sim->plan.logs && session_in_flight(client->session) == 0; log++) {
        if (sim->log_ids[log + 1] == 0)
            sim->log_ids[log + 1] = log_number(sim, log + 1);
        if (sim->log_ids[log + 1] == 0)
            catalog_change(sim, log, sim->plan.policies[log]);
    }
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
    while (burst-- > 0 && sim->given_bytes < GIVEN_BYTES_MAX && !is_enough(sim, sim->given) && give_one(sim, client))
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
                create_missing(sim, client);
            else
                give_some(sim, client);
            take_results(sim, client);
            node_asked(&sim->nodes[client->via]);
        }
    }
    sim_plan_happening(sim, think_ns(sim, 2, sim->given), HAPPEN_CLIENT, 0, 0, client->index, 0);
}

static void
reader_leave(struct sim_reader *reader)
{
    cairn_disconnect(reader->client);
    reader->client = NULL;
    reader->busy = false;
}

/* One append of a producer that nobody hears of again. */
static void
reader_append(struct sim *sim, struct sim_reader *reader)
{
    uint64_t payload[2] = {SIM_PROBE, 0};
    struct cairn_entry entry = {
        .payload = payload,
        .payload_bytes = sizeof(payload),
        .producer = (sim->now_ns << 6) | (32 + (uint64_t)(reader - sim->readers)),
        .producer_seq = 1,
    };

    /* One number for each, of all readers. */
    if (reader->probes == 0)
        reader->probes = (uint64_t)(1 + reader - sim->readers) << 48;
    payload[1] = ++reader->probes;
    reader->asked_ns = sim->now_ns;
    reader->from = reader->seen_lsn = 0;
    reader->ack = (uint8_t)random_under(&sim->load, 4);
    reader->busy = cairn_append(reader->client, sim->log_ids[reader->log], &entry, (enum cairn_ack)reader->ack,
                                ++reader->token) == CAIRN_OK;
}

static void
reader_ask(struct sim *sim, struct sim_reader *reader)
{
    static const enum cairn_read_level levels[] = {CAIRN_READ_STALE, CAIRN_READ_LINEARIZABLE, CAIRN_READ_LEASE,
                                                   CAIRN_READ_SESSION};
    enum cairn_read_level level;
    const struct trunk_check *trunk;
    uint64_t back;

    reader->log = 1 + (uint32_t)random_under(&sim->load, sim->plan.logs);
    if (sim->log_ids[reader->log] == 0)
        return;
    reader->appends = random_under(&sim->load, 4) == 0;
    if (reader->appends) {
        reader_append(sim, reader);
        return;
    }
    trunk = &sim->trunks[reader->log];
    level = levels[random_under(&sim->load, sizeof(levels) / sizeof(*levels))];
    reader->session = level == CAIRN_READ_SESSION;
    reader->linearizable = level != CAIRN_READ_STALE && !reader->session;
    reader->shown = 0;
    back = random_under(&sim->load, 8) == 0 ? READ_FAR_BACK : READ_BACK;
    reader->from = trunk->last > back ? trunk->last - back : 1;
    reader->seen_lsn = reader->from - 1;
    reader->floor_lsn = trunk->acked_lsn > trunk->read_lsn ? trunk->acked_lsn : trunk->read_lsn;
    reader->asked_ns = sim->now_ns;
    reader->token++;
    /* Clocks drift, so a tenth more is allowed. */
    reader->max_lag_ns = level == CAIRN_READ_STALE && random_under(&sim->load, 2) == 0
                             ? (1 + random_under(&sim->load, 200)) * MS
                             : 0;
    if (reader->max_lag_ns != 0) {
        uint64_t back_ns = reader->max_lag_ns + reader->max_lag_ns / 10;

        reader->floor_lsn = back_ns < sim->now_ns ? acked_before(trunk, sim->now_ns - back_ns) : 0;
        reader->busy = cairn_read_bounded(reader->client, sim->log_ids[reader->log], reader->from, 0,
                                          reader->max_lag_ns, 0, reader->token) == CAIRN_OK;
    } else if (reader->session)
        reader->busy = cairn_read_session(reader->client, sim->log_ids[reader->log], reader->from, 0,
                                          &reader->sessions[reader->log].token, 0, reader->token) == CAIRN_OK;
    else
        reader->busy = cairn_read(reader->client, sim->log_ids[reader->log], reader->from, 0, level, 0,
                                  reader->token) == CAIRN_OK;
}

static void
reader_collect(struct sim *sim, struct sim_reader *reader)
{
    struct cairn_result result;

    while (cairn_poll(reader->client, &result) > 0) {
        if (result.token != reader->token)
            continue;
        if (result.type == CAIRN_RESULT_APPEND) {
            reader->busy = false;
            check_session_write(sim, reader, &result);
        } else if (result.type == CAIRN_RESULT_ENTRY)
            check_read_entry(sim, reader, &result);
        else if (result.type == CAIRN_RESULT_END)
            check_read_end(sim, reader, &result);
        if (result.type == CAIRN_RESULT_END)
            reader->busy = false;
    }
}

void
reader_step(struct sim *sim, struct sim_reader *reader)
{
    uint32_t index = (uint32_t)(reader - sim->readers);

    if (reader->client != NULL && reader->client->gone)
        reader_leave(reader);
    if (reader->client == NULL) {
        reader->node = (uint8_t)random_under(&sim->load, sim->plan.nodes);
        reader->client = node_connect(&sim->nodes[reader->node]);
    }
    if (reader->client != NULL) {
        struct sim_node *node = &sim->nodes[reader->node];

        reader_collect(sim, reader);
        if (reader->busy && sim->now_ns - reader->asked_ns > UNANSWERED_NS &&
            sim->now_ns > node_resumed_ns(node) + UNANSWERED_NS)
            sim_violation(sim, "a %s of %s from lsn %lu at n%u is at lsn %lu after %lu ms (committed: %lu)",
                          reader->appends        ? "single append"
                          : reader->session      ? "session's read"
                          : reader->linearizable ? "linearizable read"
                                                 : "stale read",
                          sim_log_name(reader->log), (unsigned long)reader->from, reader->node + 1,
                          (unsigned long)reader->seen_lsn, (unsigned long)((sim->now_ns - reader->asked_ns) / MS),
                          (unsigned long)sim->trunks[reader->log].last);
        if (!reader->busy && !is_enough(sim, sim->asked)) {
            sim->asked++;
            if (random_under(&sim->load, 64) == 0)
                reader_leave(reader);
            else
                reader_ask(sim, reader);
        }
        node_asked(node);
    }
    sim_plan_happening(sim, think_ns(sim, 4, sim->asked), HAPPEN_READER, 0, 0, index, 0);
}

static void
steward_leave(struct sim_steward *steward)
{
    if (steward->client != NULL)
        cairn_disconnect(steward->client);
    steward->client = NULL;
    steward->busy = false;
}

bool
steward_ask(struct sim *sim, uint8_t via, uint32_t log, enum cairn_member_op op, uint8_t target)
{
    static const char *const names[] = {"add", "promote", "remove", "transfer to"};
    struct sim_steward *steward = &sim->steward;

    if (steward->busy || via >= sim->plan.nodes || (log > 0 && sim->log_ids[log] == 0))
        return false;
    if (steward->client == NULL || steward->node != via || steward->client->gone) {
        steward_leave(steward);
        steward->client = node_connect(&sim->nodes[via]);
        steward->node = via;
    }
    if (steward->client == NULL)
        return false;
    steward->asked_ns = sim->now_ns;
    steward->busy = cairn_member(steward->client, sim->log_ids[log], op, target, ++steward->token) == CAIRN_OK;
    trace_add(sim, TRACE_CLIENT, via, 0, "steward asks for log %s: %s n%u", sim_log_name(log), names[op], target + 1);
    node_want_poll(&sim->nodes[via], US);
    return steward->busy;
}

/* In peace every node is made a voter of every log again. */
static void
restore_members(struct sim *sim)
{
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        uint8_t leader = sim_leader(sim, log);
        const struct members *members;

        if (leader == CAIRN_NODE_NONE)
            continue;
        members = core_members(node_log_of(&sim->nodes[leader], log)->core);
        for (uint8_t i = 0; i < sim->plan.nodes; i++) {
            if (members->voters >> i & 1)
                continue;
            /* Two votes, and one of them of who has just lost its memory, are none: as of the nemesis, that is not asked. */
            if ((members->learners >> i & 1) && without_memory(sim, log) != 0)
                continue;
            steward_ask(sim, leader, log, members->learners >> i & 1 ? CAIRN_MEMBER_PROMOTE : CAIRN_MEMBER_ADD, i);
            return;
        }
    }
}

void
steward_step(struct sim *sim)
{
    struct sim_steward *steward = &sim->steward;
    struct cairn_result result;

    if (steward->client != NULL && steward->client->gone)
        steward_leave(steward);
    while (steward->client != NULL && cairn_poll(steward->client, &result) > 0) {
        if (result.token != steward->token)
            continue;
        steward->busy = false;
        trace_add(sim, TRACE_CLIENT, steward->node, 0, "steward hears: %s", cairn_error_name(result.error));
    }
    if (steward->busy && sim->now_ns - steward->asked_ns > UNANSWERED_NS &&
        sim->now_ns > node_resumed_ns(&sim->nodes[steward->node]) + UNANSWERED_NS)
        sim_violation(sim, "a change of members at n%u is not answered after %lu ms", steward->node + 1,
                      (unsigned long)((sim->now_ns - steward->asked_ns) / MS));
    if (sim->healing)
        restore_members(sim);
    if (steward->client != NULL)
        node_want_poll(&sim->nodes[steward->node], US);
    sim_plan_happening(sim, MS + random_under(&sim->load, 4 * MS), HAPPEN_STEWARD, 0, 0, 0, 0);
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
