/* Readers: reads at every level, and appends of their own now and then, at nodes as they come. */
#include "sim/readers.h"

#include "client/client.h"
#include "sim/channels.h"
#include "sim/checker_answers.h"
#include "sim/clients.h"
#include "sim/load.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trunk.h"

/* Where a read begins, before the committed trunk's end: one in eight far back. */
#define READ_BACK 2u
#define READ_FAR_BACK 40u

void
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
        if (!reader->busy && !load_is_enough(sim, sim->asked)) {
            sim->asked++;
            if (random_under(&sim->load, 64) == 0)
                reader_leave(reader);
            else
                reader_ask(sim, reader);
        }
        node_asked(node);
    }
    sim_plan_happening(sim, load_think_ns(sim, 4, sim->asked), HAPPEN_READER, 0, 0, index, 0);
}
