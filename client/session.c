#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client/session_state.h"

#define WINDOW_ENTRIES 1024u
#define WINDOW_BYTES (32u << 20)
#define ATTEMPT_NS 150000000u
#define LOOK_NS 2000000u
#define ELSEWHERE_NS 1000000000u
/* A name that there cannot be yet is tried again so much later. */
#define EARLY_NS 20000000u

uint64_t
session_new_producer(void)
{
    struct timespec time;
    uint32_t noise = 0;

    clock_gettime(CLOCK_REALTIME, &time);
    if (getrandom(&noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
        noise = (uint32_t)time.tv_nsec;
    return (((uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000) << PRODUCER_TIME_SHIFT) |
           (noise & PRODUCER_NOISE_MASK);
}

static uint64_t
new_producer(void *context)
{
    (void)context;
    return session_new_producer();
}

/* Room for what is in flight, a power of two. false: no memory. */
static bool
make_window(struct session *session)
{
    uint32_t entries = session->config.window_entries == 0 ? WINDOW_ENTRIES : session->config.window_entries;
    uint32_t places = 1;

    while (places < entries)
        places *= 2;
    session->slots = calloc(places, sizeof(*session->slots));
    session->mask = places - 1;
    session->allowed = places;
    return session->slots != NULL;
}

enum cairn_error
session_open(const struct session_config *config, struct session **out, char *detail, size_t detail_bytes)
{
    struct session *session = calloc(1, sizeof(*session));
    enum cairn_error error;

    if (session == NULL)
        return CAIRN_NO_MEMORY;
    session->config = *config;
    if (!make_window(session)) {
        free(session);
        return CAIRN_NO_MEMORY;
    }
    if (session->config.renew == NULL)
        session->config.renew = new_producer;
    session->fixed = config->producer != 0;
    if (!session->fixed)
        session->config.producer = session->config.renew(config->connect_context);
    session->next_seq = config->first_seq == 0 ? 1 : config->first_seq;
    session->node = config->via == CAIRN_NODE_NONE ? 0 : config->via;
    error = reach_first(session);
    if (error != CAIRN_OK && error != CAIRN_AGAIN) {
        snprintf(detail, detail_bytes, "%s", session->detail);
        session_close(session);
        return error;
    }
    session->heard_ns = session->dialled_ns = session_now_ns(session);
    *out = session;
    return CAIRN_OK;
}

void
session_close(struct session *session)
{
    for (uint32_t i = 0; i <= session->mask; i++)
        free(session->slots[i].payload);
    reach_end(session);
    cairn_disconnect(session->client);
    free(session->slots);
    free(session);
}

uint64_t
session_producer(const struct session *session)
{
    return session->config.producer;
}

bool
session_lacks_log(const struct session *session)
{
    return !session->connected && session->unopened == CAIRN_NO_LOG;
}

uint32_t
session_in_flight(const struct session *session)
{
    return (uint32_t)(session->tail - session->out);
}

static bool
has_room(const struct session *session, uint32_t payload_bytes)
{
    return session->tail - session->head <= session->mask &&
           (session->bytes == 0 || session->bytes + payload_bytes <= WINDOW_BYTES);
}

enum cairn_error
session_append(struct session *session, const struct cairn_entry *entry)
{
    struct slot *slot;

    if (entry->payload_bytes > CAIRN_PAYLOAD_BYTES_MAX || entry->key_bytes > CAIRN_KEY_BYTES_MAX)
        return CAIRN_TOO_LARGE;
    while (!has_room(session, entry->payload_bytes)) {
        if (!give_up_unknown(session))
            return CAIRN_AGAIN;
    }
    slot = slot_at(session, session->tail);
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
    slot->hlc = entry->hlc;
    slot->clock_doubtful = entry->clock_doubtful;
    slot->given_ns = session_now_ns(session);
    slot->producer = session->config.producer;
    slot->seq = session->next_seq++;
    /* A caller that says from which sequence on says that these may have been tried before. */
    slot->maybe = session->config.first_seq != 0;
    session->bytes += entry->payload_bytes;
    session->tail++;
    return CAIRN_OK;
}

static bool
final_refusal(const struct session *session, enum cairn_error error)
{
    switch (error) {
    case CAIRN_OUT_OF_ORDER:
        return session->broken;
    case CAIRN_NO_QUORUM:
    case CAIRN_DENIED:
    case CAIRN_FULL:
    case CAIRN_NO_SPACE:
    case CAIRN_TOO_LARGE:
    case CAIRN_CORRUPT:
    case CAIRN_INVALID:
    case CAIRN_FENCED:
    case CAIRN_SEALED:
        return true;
    default:
        return false;
    }
}

/* It stands right above the highest that a node would forget, which may be the highest that there can be at this moment. */
static bool
named_by_floor(const struct session *session, uint64_t producer)
{
    return session->producer_floor != 0 &&
           producer >> PRODUCER_TIME_SHIFT == (session->producer_floor >> PRODUCER_TIME_SHIFT) + 1;
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

static void
answered(struct session *session, const struct cairn_result *result, uint64_t at_ns)
{
    uint64_t index = session->head + (((result->token & INDEX_MASK) - session->head) & INDEX_MASK);
    uint32_t epoch = (uint32_t)(result->token >> INDEX_BITS);
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
    /* About a name that the entry had before: that is over. */
    if (((epoch - slot->named_epoch) & EPOCH_MASK) > EPOCH_MASK / 2)
        return;
    if (slot->attempts > 0)
        slot->attempts--;
    if (result->error == CAIRN_UNKNOWN)
        slot->maybe = true;
    if (epoch != session->epoch)
        return;
    slot->result = *result;
    if (result->error == CAIRN_PRODUCER_EVICTED && result->seq > session->producer_floor)
        session->producer_floor = result->seq;
    if (result->error == CAIRN_INVALID && named_by_floor(session, slot->producer))
        send_anew(session, at_ns + EARLY_NS);
    else if (result->error == CAIRN_PRODUCER_EVICTED || result->error == CAIRN_MISMATCH)
        lost_name(session, index, result->error, at_ns);
    else if (others_may(session, slot, result, at_ns))
        go_elsewhere(session, index, at_ns + BACKOFF_NS);
    else if (final_refusal(session, result->error) && (for_what_it_is(result->error) || !uncertain(slot))) {
        refused(session, index, result->error, at_ns);
        if (is_cut_off(session, result) && session->config.via == CAIRN_NODE_NONE)
            go_elsewhere(session, index, at_ns);
    } else if ((result->error == CAIRN_NOT_LEADER || result->error == CAIRN_NOT_MEMBER) &&
               result->leader < session->config.nodes && result->leader != session->node)
        go_to(session, result->leader, at_ns);
    /* Where this node reaches no leader, the next one may. */
    else if (result->error == CAIRN_DISK_FAILED || result->error == CAIRN_NO_LEADER || result->error == CAIRN_STOPPED)
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
    if (session->client == NULL && !reach_on(session, at_ns))
        return;
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
            .hlc = slot->hlc,
            .clock_doubtful = slot->clock_doubtful,
            .producer = slot->producer,
            .producer_seq = slot->seq,
            .producer_epoch = session->config.producer_epoch,
        };
        uint64_t token = ((uint64_t)session->epoch << INDEX_BITS) | (session->next & INDEX_MASK);

        if (slot->state != SLOT_DONE) {
            if (cairn_append(session->client, session->log, &entry, session->config.ack, token) != CAIRN_OK)
                break;
            slot->state = SLOT_SENT;
            if (slot->attempts++ == 0)
                slot->named_epoch = session->epoch;
        }
        session->next++;
    }
    cairn_flush(session->client);
}

/* An unknown entry is still refused for what should stand before it: a node alone acknowledged that, and it is lost
 * with the node, or comes by a branch that is far from being merged. */
static bool
missing_for_good(struct session *session, uint64_t at_ns)
{
    const struct slot *slot = slot_at(session, session->head);

    return session->head < session->out && slot->state != SLOT_DONE && slot->result.error == CAIRN_OUT_OF_ORDER &&
           at_ns - slot->given_ns > 2 * session->config.deadline_ns;
}

/* Why an entry was not taken until its time was up. */
static enum cairn_error
why_late(const struct session *session, const struct slot *slot)
{
    if (session->client == NULL && session->unopened != CAIRN_OK)
        return session->unopened;
    return slot->result.error == CAIRN_OK ? CAIRN_TIMEOUT : slot->result.error;
}

/* No waiting changes this. */
static bool
is_shut_out(const struct session *session)
{
    return session->client == NULL && session->unopened == CAIRN_FORBIDDEN;
}

/* An entry whose time is up: unknown if any attempt may have gone through, else refused. An unknown one
 * is repeated until its fate is known: what is behind it in the sequence waits for that. */
static void
expire(struct session *session, uint64_t at_ns)
{
    struct slot *slot = slot_at(session, session->out);
    enum cairn_error error;

    if (missing_for_good(session, at_ns))
        forgotten(session, slot_at(session, session->head)->producer, at_ns);
    if (session->out == session->tail || slot->state == SLOT_DONE ||
        (at_ns - slot->given_ns < session->config.deadline_ns && !is_shut_out(session)))
        return;
    if (uncertain(slot)) {
        slot->maybe = slot->told = true;
        slot->done_ns = at_ns;
        slot->node = session->node;
    } else {
        error = why_late(session, slot);
        refused(session, session->out, error, at_ns);
        if (error == CAIRN_OUT_OF_ORDER && !session->fixed)
            forgotten(session, slot->producer, at_ns);
    }
}

bool
session_poll(struct session *session, struct session_result *out)
{
    uint64_t at_ns = session_now_ns(session);
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
        .producer = slot->producer,
        .producer_epoch = session->config.producer_epoch,
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
    uint64_t at_ns = session_now_ns(session);

    send_some(session, at_ns);
    if (session->client == NULL || at_ns < session->retry_ns) {
        struct timespec pause = {.tv_nsec = BACKOFF_NS / 2};

        nanosleep(&pause, NULL);
        return;
    }
    cairn_wait(session->client, 2000000);
}
