/* Requests and answers over a channel, whatever made it. */
#include "client.h"

#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cairn/token.h"
#include "protocol.h"
#include "record.h"

#define SPIN_POLLS 200u
#define YIELD_POLLS 2000u

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

    if (entry->payload_bytes > CAIRN_PAYLOAD_BYTES_MAX || entry->key_bytes > CAIRN_KEY_BYTES_MAX ||
        size_bytes > client->channel.out.size_bytes)
        return CAIRN_TOO_LARGE;
    request = byte_ring_reserve(&client->channel.out, size_bytes);
    if (request == NULL)
        return CAIRN_AGAIN;
    *request = (struct request){
        .size_bytes = (uint32_t)size_bytes,
        .type = REQUEST_APPEND,
        .level = (uint8_t)ack,
        .log = log,
        .token = token,
    };
    record_build((struct record *)(void *)(request + 1), &head, entry->key, entry->payload);
    byte_ring_push(&client->channel.out, size_bytes);
    return CAIRN_OK;
}

static enum cairn_error
put(struct cairn_client *client, const struct request *request)
{
    void *place = byte_ring_reserve(&client->channel.out, request->size_bytes);

    if (place == NULL)
        return CAIRN_AGAIN;
    memcpy(place, request, request->size_bytes);
    byte_ring_push(&client->channel.out, request->size_bytes);
    cairn_flush(client);
    return CAIRN_OK;
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

    return put(client, &request);
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

int
cairn_poll(struct cairn_client *client, struct cairn_result *result)
{
    struct byte_ring *ring = &client->channel.in;
    const struct record *record = NULL;
    struct answer head;
    const void *bytes;
    size_t ready;

    if (client->popped_bytes > 0) {
        byte_ring_pop(ring, client->popped_bytes);
        client->popped_bytes = 0;
    }
    ready = byte_ring_peek(ring, &bytes);
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
    return 1;
}

void
cairn_flush(struct cairn_client *client)
{
    if (client->worker_bell != NULL)
        doorbell_ring(client->worker_bell);
}

static bool
ready(struct cairn_client *client)
{
    const void *bytes;

    if (client->popped_bytes > 0) {
        byte_ring_pop(&client->channel.in, client->popped_bytes);
        client->popped_bytes = 0;
    }
    return byte_ring_peek(&client->channel.in, &bytes) > 0;
}

void
cairn_wait(struct cairn_client *client, uint64_t timeout_ns)
{
    struct doorbell *bell = &client->channel.in.shared->bell;
    uint32_t prepared;

    cairn_flush(client);
    for (uint32_t i = 0; i < SPIN_POLLS + YIELD_POLLS; i++) {
        if (ready(client))
            return;
        if (i >= SPIN_POLLS)
            sched_yield();
    }
    prepared = doorbell_prepare(bell);
    if (ready(client))
        doorbell_cancel(bell);
    else
        doorbell_wait(bell, prepared, timeout_ns);
}
