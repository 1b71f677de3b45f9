/* Requests and answers over a channel, whatever made it. */
#include "client/client.h"

#include <assert.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cairn/token.h"
#include "wire/protocol.h"
#include "wire/record.h"

#define SPIN_POLLS 200u
#define YIELD_POLLS 2000u

void
client_lane_opened(struct cairn_client *client, uint8_t worker)
{
    assert(worker < CAIRN_WORKERS_MAX && !client->lanes[worker].open);
    client->lanes[worker].open = true;
    client->open[client->open_count++] = worker;
}

static struct opened *
find_opened(const struct cairn_client *client, uint32_t log)
{
    for (uint32_t i = 0; i < client->opened_count; i++) {
        if (client->opened[i].log == log)
            return &client->opened[i];
    }
    return NULL;
}

enum cairn_error
client_note_log(struct cairn_client *client, uint32_t log, uint8_t worker)
{
    struct opened *known = find_opened(client, log), *more;

    if (known == NULL) {
        more = realloc(client->opened, (client->opened_count + 1) * sizeof(*more));
        if (more == NULL)
            return CAIRN_NO_MEMORY;
        client->opened = more;
        known = &more[client->opened_count++];
    }
    *known = (struct opened){.log = log, .worker = worker};
    client->recent = *known;
    return CAIRN_OK;
}

void
client_free(struct cairn_client *client)
{
    free(client->opened);
    free(client->record);
    free(client);
}

/* A log that is not the one touched last. */
static enum cairn_error
look_up(struct cairn_client *client, uint32_t log, struct lane **out)
{
    struct opened *known = find_opened(client, log);
    uint8_t worker;
    enum cairn_error error;

    if (known != NULL) {
        client->recent = *known;
    } else {
        if (client->place == NULL)
            return CAIRN_NO_LOG;
        error = client->place(client->context, log, &worker);
        if (error == CAIRN_OK)
            error = client_note_log(client, log, worker);
        if (error != CAIRN_OK)
            return error;
    }
    *out = &client->lanes[client->recent.worker];
    if ((*out)->open)
        return CAIRN_OK;
    if (client->attach == NULL)
        return CAIRN_NO_LOG;
    error = client->attach(client->context, client->recent.worker, *out);
    if (error == CAIRN_OK)
        client_lane_opened(client, client->recent.worker);
    return error;
}

/* The rings of the log's worker. */
static enum cairn_error
lane_of(struct cairn_client *client, uint32_t log, struct lane **out)
{
    *out = &client->lanes[client->recent.worker];
    if (log == client->recent.log && (*out)->open)
        return CAIRN_OK;
    return look_up(client, log, out);
}

enum cairn_error
client_touch(struct cairn_client *client, uint32_t log)
{
    struct lane *lane;

    return lane_of(client, log, &lane);
}

enum cairn_error
cairn_append(struct cairn_client *client, uint32_t log, const struct cairn_entry *entry, enum cairn_ack ack,
             uint64_t token)
{
    size_t size_bytes = sizeof(struct request) + record_bytes(entry->key_bytes, entry->payload_bytes);
    struct record head = {
        .payload_bytes = entry->payload_bytes,
        .producer = entry->producer,
        .producer_seq = entry->producer_seq,
        .epoch = entry->producer_epoch,
        .key_bytes = entry->key_bytes,
        .flags = entry->flags,
    };
    struct request *request;
    struct lane *lane;
    enum cairn_error error = lane_of(client, log, &lane);

    if (error != CAIRN_OK)
        return error;
    if (entry->payload_bytes > CAIRN_PAYLOAD_BYTES_MAX || entry->key_bytes > CAIRN_KEY_BYTES_MAX ||
        size_bytes > lane->channel.out.size_bytes)
        return CAIRN_TOO_LARGE;
    request = byte_ring_reserve(&lane->channel.out, size_bytes);
    if (request == NULL)
        return CAIRN_AGAIN;
    *request = (struct request){
        .size_bytes = (uint32_t)size_bytes,
        .type = REQUEST_APPEND,
        .level = (uint8_t)ack,
        .log = log,
        .token = token,
        .from = entry->hlc,
        .to = entry->clock_doubtful,
    };
    record_build((struct record *)(void *)(request + 1), &head, entry->key, entry->payload);
    byte_ring_push(&lane->channel.out, size_bytes);
    lane->asked = true;
    return CAIRN_OK;
}

static enum cairn_error
put_there(struct lane *lane, const struct request *request)
{
    void *place = byte_ring_reserve(&lane->channel.out, request->size_bytes);

    if (place == NULL)
        return CAIRN_AGAIN;
    memcpy(place, request, request->size_bytes);
    byte_ring_push(&lane->channel.out, request->size_bytes);
    lane->asked = true;
    return CAIRN_OK;
}

static enum cairn_error
put(struct cairn_client *client, const struct request *request)
{
    struct lane *lane;
    enum cairn_error error = lane_of(client, request->log, &lane);

    if (error == CAIRN_OK)
        error = put_there(lane, request);
    if (error == CAIRN_OK)
        cairn_flush(client);
    return error;
}

enum cairn_error
cairn_read(struct cairn_client *client, uint32_t log, uint64_t from, uint64_t to, enum cairn_read_level level,
           unsigned flags, uint64_t token)
{
    struct request request = {
        .size_bytes = sizeof(request),
        .type = REQUEST_READ,
        .level = (uint8_t)level,
        .flags = (uint16_t)flags,
        .log = log,
        .token = token,
        .from = from,
        .to = to == 0 ? UINT64_MAX : to,
    };

    return put(client, &request);
}

enum cairn_error
cairn_read_bounded(struct cairn_client *client, uint32_t log, uint64_t from, uint64_t to, uint64_t max_lag_ns,
                   unsigned flags, uint64_t token)
{
    struct request request = {
        .size_bytes = sizeof(request),
        .type = REQUEST_READ,
        .level = CAIRN_READ_STALE,
        .flags = (uint16_t)flags,
        .log = log,
        .max_lag_us = (uint32_t)(max_lag_ns / 1000),
        .token = token,
        .from = from,
        .to = to == 0 ? UINT64_MAX : to,
    };

    if (max_lag_ns < 1000 || max_lag_ns / 1000 > UINT32_MAX)
        return CAIRN_INVALID;
    return put(client, &request);
}

enum cairn_error
cairn_read_session(struct cairn_client *client, uint32_t log, uint64_t from, uint64_t to,
                   const struct cairn_token *token, unsigned flags, uint64_t name)
{
    struct {
        struct request request;
        struct request_session session;
    } message = {
        .request = {.size_bytes = sizeof(message),
                    .type = REQUEST_READ,
                    .level = CAIRN_READ_SESSION,
                    .flags = (uint16_t)flags,
                    .log = log,
                    .token = name,
                    .from = from,
                    .to = to == 0 ? UINT64_MAX : to},
        .session = {.lsn = token->lsn, .branches_count = token->branches_count},
    };

    for (uint32_t i = 0; i < token->branches_count; i++) {
        message.session.branches[i].seq = token->branches[i].seq;
        message.session.branches[i].incarnation = token->branches[i].incarnation;
        message.session.branches[i].origin = token->branches[i].origin;
    }
    return put(client, &message.request);
}

enum cairn_error
cairn_member(struct cairn_client *client, uint32_t log, enum cairn_member_op op, uint8_t node, uint64_t token)
{
    struct request request = {
        .size_bytes = sizeof(request),
        .type = REQUEST_MEMBER,
        .level = (uint8_t)op,
        .log = log,
        .token = token,
        .from = node,
    };

    return put(client, &request);
}

enum cairn_error
cairn_read_cancel(struct cairn_client *client, uint64_t token)
{
    struct request request = {.size_bytes = sizeof(request), .type = REQUEST_CANCEL, .token = token};
    enum cairn_error error = CAIRN_OK;

    /* Only the request said which log the read is of; a worker that does not know the token does nothing. */
    for (uint8_t i = 0; i < client->open_count && error == CAIRN_OK; i++)
        error = put_there(&client->lanes[client->open[i]], &request);
    cairn_flush(client);
    return error;
}

/* head: of the answer, copied and found sane; each other number is read once, and none of them says where to look. */
static void
fill(const struct answer *head, const struct answer *answer, const struct record *record, struct cairn_result *result)
{
    static const enum cairn_result_type types[] = {
        [ANSWER_APPEND] = CAIRN_RESULT_APPEND, [ANSWER_ENTRY] = CAIRN_RESULT_ENTRY, [ANSWER_END] = CAIRN_RESULT_END};

    *result = (struct cairn_result){
        .type = types[head->type],
        .error = (enum cairn_error)head->error,
        .token = answer->token,
        .ack = (enum cairn_ack)head->ack,
        .on_branch = (head->flags & ANSWER_ON_BRANCH) != 0,
        .repeated = (head->flags & ANSWER_REPEATED) != 0,
        .compared = (head->flags & ANSWER_COMPARED) != 0,
        .clock_doubtful = (head->flags & ANSWER_CLOCK_DOUBTFUL) != 0,
        .origin = answer->origin,
        .leader = answer->leader,
        .reached = answer->reached,
        .needed = answer->needed,
        .incarnation = answer->incarnation,
        .lsn = answer->lsn,
        .term = answer->term,
        .seq = answer->seq,
        .fork_lsn = answer->fork_lsn,
        .hlc = head->type == ANSWER_END ? 0 : answer->hlc,
        .lag_ns = head->type == ANSWER_END ? answer->hlc : UINT64_MAX,
    };
    if (head->type != ANSWER_ENTRY)
        return;
    result->entry = (struct cairn_entry){
        .payload = record_payload(record),
        .payload_bytes = record->payload_bytes,
        .key = record + 1,
        .key_bytes = record->key_bytes,
        .flags = record->flags,
        .producer = record->producer,
        .producer_seq = record->producer_seq,
        .producer_epoch = record->epoch,
    };
}

static bool
answer_sane(const struct answer *answer, size_t ready)
{
    if (answer->size_bytes < sizeof(*answer) || answer->size_bytes > ready)
        return false;
    if (answer->type < ANSWER_APPEND || answer->type > ANSWER_END || answer->error >= CAIRN_ERRORS ||
        answer->ack > CAIRN_ACK_ALL)
        return false;
    return answer->type != ANSWER_ENTRY || answer->size_bytes - sizeof(*answer) <= RECORD_BYTES_MAX + 8;
}

/* Copied, and then looked at: what the node, or whoever has its memory, writes there meanwhile changes nothing. NULL: it is none,
 * or there is no memory for it. */
static const struct record *
take_record(struct cairn_client *client, const void *bytes, size_t size_bytes)
{
    if (client->record == NULL)
        client->record = malloc(RECORD_BYTES_MAX + 8);
    if (client->record == NULL)
        return NULL;
    memcpy(client->record, bytes, size_bytes);
    return record_measure(client->record, size_bytes) == 0 ? NULL : client->record;
}

static void
pop(struct cairn_client *client)
{
    if (client->popped_bytes > 0)
        byte_ring_pop(&client->popped->channel.in, client->popped_bytes);
    client->popped_bytes = 0;
}

/* As cairn_poll(), of one worker. */
static int
poll_lane(struct cairn_client *client, struct lane *lane, struct cairn_result *result)
{
    const struct record *record = NULL;
    struct answer head;
    const void *bytes;
    size_t ready = byte_ring_peek(&lane->channel.in, &bytes);

    if (ready < sizeof(head))
        return ready == 0 ? 0 : -1;
    memcpy(&head, bytes, offsetof(struct answer, token));
    if (!answer_sane(&head, ready))
        return -1;
    if (head.type == ANSWER_ENTRY) {
        record = take_record(client, (const uint8_t *)bytes + sizeof(head), head.size_bytes - sizeof(head));
        if (record == NULL)
            return -1;
    }
    fill(&head, bytes, record, result);
    /* A damaged entry is not given out. */
    if (record != NULL && !record_intact(record))
        result->error = CAIRN_CORRUPT;
    client->popped_bytes = head.size_bytes;
    client->popped = lane;
    return 1;
}

int
cairn_poll(struct cairn_client *client, struct cairn_result *result)
{
    int got = 0;

    pop(client);
    for (uint8_t i = 0; i < client->open_count && got == 0; i++) {
        uint8_t turn = client->turn;

        got = poll_lane(client, &client->lanes[client->open[turn]], result);
        /* The others have their turns, too. */
        client->turn = turn + 1u < client->open_count ? (uint8_t)(turn + 1) : 0;
    }
    return got;
}

void
cairn_flush(struct cairn_client *client)
{
    for (uint8_t i = 0; i < client->open_count; i++) {
        struct lane *lane = &client->lanes[client->open[i]];

        if (lane->asked && lane->worker_bell != NULL)
            doorbell_ring(lane->worker_bell);
        lane->asked = false;
    }
}

static bool
ready(struct cairn_client *client)
{
    bool any = false;

    pop(client);
    for (uint8_t i = 0; i < client->open_count && !any; i++) {
        const void *bytes;

        any = byte_ring_peek(&client->lanes[client->open[i]].channel.in, &bytes) > 0;
    }
    return any;
}

void
cairn_wait(struct cairn_client *client, uint64_t timeout_ns)
{
    struct doorbells bells;

    cairn_flush(client);
    for (uint32_t i = 0; i < SPIN_POLLS + YIELD_POLLS; i++) {
        if (ready(client))
            return;
        if (i >= SPIN_POLLS)
            sched_yield();
    }
    bells.count = 0;
    bells.incomplete = false;
    for (uint8_t i = 0; i < client->open_count; i++)
        doorbells_add(&bells, &client->lanes[client->open[i]].channel.in.shared->bell);
    doorbells_prepare(&bells);
    if (ready(client))
        doorbells_cancel(&bells);
    else
        doorbells_wait(&bells, timeout_ns);
}
