#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "admin_client.h"

#define WINDOW_ENTRIES 1024u
#define WINDOW_BYTES (32u << 20)
#define BACKOFF_NS 500000u
#define ATTEMPT_NS 150000000u
#define LOOK_NS 2000000u
#define ELSEWHERE_NS 1000000000u

enum slot_state { SLOT_QUEUED, SLOT_SENT, SLOT_DONE };

struct slot {
    uint8_t *payload; /* and the key behind it */
    uint32_t payload_bytes;
    uint16_t key_bytes;
    uint8_t flags, node;
    enum slot_state state;
    uint32_t attempts; /* at the present node, not yet answered */
    bool maybe;        /* an attempt was made elsewhere whose outcome is not known */
    bool told;         /* its time is up: unknown, the caller heard; still repeated, for those behind it */
    enum cairn_error error;
    uint64_t seq, given_ns, done_ns;
    struct cairn_result result;
};

struct session {
    struct session_config config;
    struct cairn_client *client;
    uint8_t node; /* that client is connected to */
    uint32_t log;
    uint16_t epoch; /* of attempts: answers to earlier ones are told apart */
    struct slot *slots;
    uint32_t mask;
    uint64_t head, out, next, tail; /* entries [head, tail); told up to out; those before next are sent */
    uint64_t next_seq;
    uint64_t bytes;
    uint64_t retry_ns, heard_ns, looked_ns;
    uint32_t allowed;    /* in flight: one while things are refused */
    uint32_t cut_off;    /* nodes that said they are, one after the other, */
    uint64_t cut_off_ns; /* and since when that is all there is; 0: it is not */
    char detail[256];
};

static uint64_t
now_ns(const struct session *session)
{
    struct timespec time;

    if (session->config.now_ns != NULL)
        return session->config.now_ns(session->config.connect_context);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t
session_new_producer(void)
{
    struct timespec time;
    uint32_t noise = 0;

    clock_gettime(CLOCK_REALTIME, &time);
    if (getrandom(&noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
        noise = (uint32_t)time.tv_nsec;
    return (((uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000) << 21) | (noise & 0x1fffff);
}

static uint64_t
new_producer(void *context)
{
    (void)context;
    return session_new_producer();
}

static struct slot *
slot_at(struct session *session, uint64_t index)
{
    return &session->slots[index & session->mask];
}

enum cairn_error
session_connect_shm(void *context, uint8_t node, struct cairn_client **out, char *detail, size_t detail_bytes)
{
    const struct session_sockets *sockets = context;
    char path[384];

    snprintf(path, sizeof(path), "%s/%s.sock", sockets->directory, sockets->names[node]);
    return cairn_connect(path, out, detail, detail_bytes);
}

static enum cairn_error
connect_to(struct session *session, uint8_t node)
{
    enum cairn_error error = session->config.connect(session->config.connect_context, node, &session->client,
                                                     session->detail, sizeof(session->detail));

    if (error != CAIRN_OK)
        return error;
    session->node = node;
    error = cairn_open(session->client, session->config.log, &session->log, session->detail, sizeof(session->detail));
    if (error != CAIRN_OK) {
        cairn_disconnect(session->client);
        session->client = NULL;
    }
    return error;
}

/* What is under way at the node just left may or may not have happened. */
static void
leave(struct session *session)
{
    for (uint64_t i = session->head; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->attempts > 0)
            slot->maybe = true;
        slot->attempts = 0;
    }
    cairn_disconnect(session->client);
    session->client = NULL;
}

/* All that is not answered for is sent anew, in order. */
static void
send_anew(struct session *session, uint64_t at_ns)
{
    session->epoch++;
    session->retry_ns = at_ns;
    session->next = session->head;
    for (uint64_t i = session->head; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->state == SLOT_SENT)
            slot->state = SLOT_QUEUED;
    }
}

static void
go_to(struct session *session, uint8_t node, uint64_t at_ns)
{
    if (session->client != NULL && node != session->node)
        leave(session);
    send_anew(session, at_ns);
    if (session->client == NULL)
        session->node = node;
}

static void
go_to_next(struct session *session, uint64_t at_ns)
{
    go_to(session, (uint8_t)((session->node + 1) % session->config.nodes), at_ns);
}

enum cairn_error
session_open(const struct session_config *config, struct session **out, char *detail, size_t detail_bytes)
{
    struct session *session = calloc(1, sizeof(*session));
    uint8_t first = config->via == CAIRN_NODE_NONE ? 0 : config->via;
    enum cairn_error error = CAIRN_CLOSED;
    uint32_t window = config->window_entries == 0 ? WINDOW_ENTRIES : config->window_entries;

    if (session == NULL)
        return CAIRN_NO_MEMORY;
    session->config = *config;
    session->mask = 1;
    while (session->mask < window)
        session->mask *= 2;
    session->allowed = session->mask--;
    session->slots = calloc(session->mask + 1, sizeof(*session->slots));
    if (session->slots == NULL) {
        free(session);
        return CAIRN_NO_MEMORY;
    }
    if (session->config.renew == NULL)
        session->config.renew = new_producer;
    if (session->config.producer == 0)
        session->config.producer = session->config.renew(config->connect_context);
    session->next_seq = config->first_seq == 0 ? 1 : config->first_seq;
    for (uint32_t i = 0; i < config->nodes && error != CAIRN_OK; i++) {
        error = connect_to(session, (uint8_t)((first + i) % config->nodes));
        if (config->via != CAIRN_NODE_NONE || error == CAIRN_NO_LOG)
            break;
    }
    if (error != CAIRN_OK) {
        snprintf(detail, detail_bytes, "%s", session->detail);
        session_close(session);
        return error;
    }
    session->heard_ns = now_ns(session);
    *out = session;
    return CAIRN_OK;
}

void
session_close(struct session *session)
{
    for (uint32_t i = 0; i <= session->mask; i++)
        free(session->slots[i].payload);
    cairn_disconnect(session->client);
    free(session->slots);
    free(session);
}

uint64_t
session_producer(const struct session *session)
{
    return session->config.producer;
}

uint32_t
session_in_flight(const struct session *session)
{
    return (uint32_t)(session->tail - session->out);
}

enum cairn_error
session_append(struct session *session, const struct cairn_entry *entry)
{
    struct slot *slot = slot_at(session, session->tail);

    if (entry->payload_bytes > CAIRN_PAYLOAD_BYTES_MAX || entry->key_bytes > CAIRN_KEY_BYTES_MAX)
        return CAIRN_TOO_LARGE;
    if (session->tail - session->head > session->mask ||
        (session->bytes > 0 && session->bytes + entry->payload_bytes > WINDOW_BYTES))
        return CAIRN_AGAIN;
    memset(slot, 0, sizeof(*slot));
    slot->payload = malloc((size_t)entry->payload_bytes + entry->key_bytes + 1);
    if (slot->payload == NULL)
        return CAIRN_NO_MEMORY;
    if (entry->payload_bytes > 0)
        memcpy(slot->payload, entry->payload, entry->payload_bytes);
    if (entry->key_bytes > 0)
        memcpy(slot->payload + entry->payload_bytes, entry->key, entry->key_bytes);
    slot->payload_bytes = entry->payload_bytes;
    slot->key_bytes = entry->key_bytes;
    slot->flags = entry->flags;
    slot->given_ns = now_ns(session);
    slot->seq = session->next_seq++;
    session->bytes += entry->payload_bytes;
    session->tail++;
    return CAIRN_OK;
}

static void
finish(struct session *session, struct slot *slot, enum cairn_error error)
{
    slot->state = SLOT_DONE;
    slot->error = error;
    slot->node = session->node;
    slot->done_ns = now_ns(session);
}

/* May an attempt have been taken, or be taken yet? */
static bool
uncertain(const struct slot *slot)
{
    return slot->maybe || slot->attempts > 0;
}

/* The log remembers the producer no longer, or not all of what it acknowledged: what may have been taken
 * cannot be told any more. All that certainly was not goes on under a new name. */
static void
forgotten(struct session *session, uint64_t at_ns)
{
    session->config.producer = session->config.renew(session->config.connect_context);
    session->next_seq = 1;
    for (uint64_t i = session->head; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->state == SLOT_DONE)
            continue;
        if (uncertain(slot))
            finish(session, slot, CAIRN_UNKNOWN);
        else
            slot->seq = session->next_seq++;
    }
    session->allowed = 1;
    send_anew(session, at_ns);
}

/* Refused for good, certainly not appended: the entries behind take its place in the sequence. They
 * cannot have been taken meanwhile, since one was missing before them. */
static void
refused(struct session *session, uint64_t index, enum cairn_error error, uint64_t at_ns)
{
    struct slot *slot = slot_at(session, index);

    finish(session, slot, error);
    for (uint64_t i = index + 1; i < session->tail; i++) {
        slot_at(session, i)->seq--;
        slot_at(session, i)->maybe = false;
    }
    session->next_seq--;
    session->allowed = 1;
    send_anew(session, at_ns);
}

static bool
final_refusal(enum cairn_error error)
{
    switch (error) {
    case CAIRN_NO_QUORUM:
    case CAIRN_DENIED:
    case CAIRN_FULL:
    case CAIRN_NO_SPACE:
    case CAIRN_TOO_LARGE:
    case CAIRN_CORRUPT:
    case CAIRN_INVALID:
        return true;
    default:
        return false;
    }
}

/* The node is on the lesser side of a cut. */
static bool
is_cut_off(const struct session *session, const struct cairn_result *result)
{
    return result->error == CAIRN_NO_QUORUM && 2u * result->reached <= session->config.nodes;
}

/* Then the next one may be on the other side, or soon know a leader there; unless all say the same, or it takes long. */
static bool
others_may(struct session *session, const struct slot *slot, const struct cairn_result *result, uint64_t at_ns)
{
    session->cut_off = is_cut_off(session, result) ? session->cut_off + 1 : 0;
    if (session->cut_off == 0)
        return false;
    if (uncertain(slot))
        return true;
    if (session->cut_off_ns == 0)
        session->cut_off_ns = at_ns;
    return session->config.via == CAIRN_NODE_NONE && session->cut_off % session->config.nodes != 0 &&
           at_ns - session->cut_off_ns < ELSEWHERE_NS;
}

/* What is under way behind an entry that certainly was not taken was not either: one is missing before it. */
static void
go_elsewhere(struct session *session, uint64_t index, uint64_t at_ns)
{
    bool taken = uncertain(slot_at(session, index));

    for (uint64_t i = index; i < session->tail && !taken; i++) {
        slot_at(session, i)->attempts = 0;
        slot_at(session, i)->maybe = false;
    }
    go_to_next(session, at_ns);
}

static void
answered(struct session *session, const struct cairn_result *result, uint64_t at_ns)
{
    uint64_t index = session->head + (((result->token & 0xffffffffffffu) - session->head) & 0xffffffffffffu);
    bool current = (uint16_t)(result->token >> 48) == session->epoch;
    struct slot *slot = slot_at(session, index);

    session->heard_ns = at_ns;
    if (index >= session->tail || slot->state == SLOT_DONE)
        return;
    if (result->error == CAIRN_OK) {
        slot->result = *result;
        finish(session, slot, CAIRN_OK);
        session->cut_off_ns = session->cut_off = 0;
        session->allowed = session->mask + 1;
        return;
    }
    if (slot->attempts > 0)
        slot->attempts--;
    if (result->error == CAIRN_UNKNOWN)
        slot->maybe = true;
    if (!current)
        return;
    slot->result = *result;
    if (result->error == CAIRN_PRODUCER_EVICTED)
        forgotten(session, at_ns);
    else if (others_may(session, slot, result, at_ns))
        go_elsewhere(session, index, at_ns + BACKOFF_NS);
    else if (final_refusal(result->error) && !uncertain(slot)) {
        refused(session, index, result->error, at_ns);
        if (is_cut_off(session, result) && session->config.via == CAIRN_NODE_NONE)
            go_elsewhere(session, index, at_ns);
    } else if (result->error == CAIRN_NOT_LEADER && result->leader < session->config.nodes &&
               result->leader != session->node)
        go_to(session, result->leader, at_ns);
    /* Without a leader in reach of it there may be one in reach of the next. */
    else if (result->error == CAIRN_DISK_FAILED || result->error == CAIRN_NO_LEADER)
        go_to_next(session, at_ns + BACKOFF_NS);
    else
        send_anew(session, at_ns + BACKOFF_NS);
}

static void
collect(struct session *session, uint64_t at_ns)
{
    struct cairn_result result;

    while (session->client != NULL && cairn_poll(session->client, &result) > 0) {
        if (result.type == CAIRN_RESULT_APPEND)
            answered(session, &result, at_ns);
    }
}

/* A node that has gone, or says nothing for too long, is left for the next. */
static void
look_after_node(struct session *session, uint64_t at_ns)
{
    bool waiting = session->next > session->head;

    if (session->client == NULL || at_ns - session->looked_ns < LOOK_NS)
        return;
    session->looked_ns = at_ns;
    if (!cairn_client_alive(session->client) || (waiting && at_ns - session->heard_ns > ATTEMPT_NS)) {
        session->heard_ns = at_ns;
        leave(session);
        go_to_next(session, at_ns);
    }
}

static void
send_some(struct session *session, uint64_t at_ns)
{
    if (at_ns < session->retry_ns)
        return;
    if (session->client == NULL && connect_to(session, session->node) != CAIRN_OK) {
        go_to_next(session, at_ns + BACKOFF_NS);
        return;
    }
    if (session->next == session->head)
        session->heard_ns = at_ns;
    while (session->next < session->tail && session->next - session->head < session->allowed) {
        struct slot *slot = slot_at(session, session->next);
        struct cairn_entry entry = {
            .payload = slot->payload,
            .payload_bytes = slot->payload_bytes,
            .key = slot->payload + slot->payload_bytes,
            .key_bytes = slot->key_bytes,
            .flags = slot->flags,
            .producer = session->config.producer,
            .producer_seq = slot->seq,
        };
        uint64_t token = ((uint64_t)session->epoch << 48) | (session->next & 0xffffffffffffu);

        if (slot->state != SLOT_DONE) {
            if (cairn_append(session->client, session->log, &entry, session->config.ack, token) != CAIRN_OK)
                break;
            slot->state = SLOT_SENT;
            slot->attempts++;
        }
        session->next++;
    }
    cairn_flush(session->client);
}

/* An unknown entry that is still refused for what should stand before it: that was acknowledged by a
 * node alone, and is lost with it, or comes by a branch that is far from being merged. */
static bool
missing_for_good(struct session *session, uint64_t at_ns)
{
    const struct slot *slot = slot_at(session, session->head);

    return session->head < session->out && slot->state != SLOT_DONE && slot->result.error == CAIRN_OUT_OF_ORDER &&
           at_ns - slot->given_ns > 2 * session->config.deadline_ns;
}

/* An entry whose time is up: unknown if any attempt may have gone through, else refused. An unknown one
 * is repeated until its fate is known: what is behind it in the sequence waits for that. */
static void
expire(struct session *session, uint64_t at_ns)
{
    struct slot *slot = slot_at(session, session->out);
    enum cairn_error error = slot->result.error;

    if (missing_for_good(session, at_ns))
        forgotten(session, at_ns);
    if (session->out == session->tail || slot->state == SLOT_DONE ||
        at_ns - slot->given_ns < session->config.deadline_ns)
        return;
    if (uncertain(slot)) {
        slot->maybe = slot->told = true;
        slot->done_ns = at_ns;
        slot->node = session->node;
    } else {
        refused(session, session->out, error == CAIRN_OK ? CAIRN_TIMEOUT : error, at_ns);
        if (error == CAIRN_OUT_OF_ORDER)
            forgotten(session, at_ns);
    }
}

/* What is settled and told leaves the window. */
static void
release(struct session *session)
{
    while (session->head < session->out) {
        struct slot *slot = slot_at(session, session->head);

        if (slot->state != SLOT_DONE)
            break;
        free(slot->payload);
        slot->payload = NULL;
        session->bytes -= slot->payload_bytes;
        session->head++;
    }
    if (session->next < session->head)
        session->next = session->head;
}

bool
session_poll(struct session *session, struct session_result *out)
{
    uint64_t at_ns = now_ns(session);
    struct slot *slot;

    collect(session, at_ns);
    if (session->head < session->tail && slot_at(session, session->head)->state != SLOT_DONE)
        look_after_node(session, at_ns);
    expire(session, at_ns);
    release(session);
    send_some(session, at_ns);
    slot = slot_at(session, session->out);
    if (session->out == session->tail || (slot->state != SLOT_DONE && !slot->told))
        return false;
    *out = (struct session_result){
        .error = slot->told ? CAIRN_UNKNOWN : slot->error,
        .index = session->out,
        .seq = slot->seq,
        .latency_ns = slot->done_ns - slot->given_ns,
        .result = slot->result,
        .node = slot->node,
    };
    session->out++;
    release(session);
    return true;
}

void
session_wait(struct session *session)
{
    uint64_t at_ns = now_ns(session);

    send_some(session, at_ns);
    if (session->client == NULL || at_ns < session->retry_ns) {
        struct timespec pause = {.tv_nsec = BACKOFF_NS / 2};

        nanosleep(&pause, NULL);
        return;
    }
    cairn_wait(session->client, 2000000);
}
