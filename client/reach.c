/* Which node a session talks to. Nothing here waits: a node that does not answer at once is left to its time, and the
 * next is asked beside it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/session_state.h"

/* Before the next node is asked too. */
#define HEDGE_NS 15000000u
/* The opening takes no longer; entries have their deadlines. */
#define OPEN_NS 50000000u

enum cairn_error
session_connect_shm(void *context, uint8_t node, struct dial *dial, struct cairn_client **out, char *detail,
                    size_t detail_bytes)
{
    struct session_sockets *sockets = context;
    char path[384];
    enum cairn_error error;

    /* The names may have changed by the time it answers. */
    if (dial->call.state == CALL_NONE)
        memcpy(dial->name, sockets->names[node], sizeof(dial->name));
    snprintf(path, sizeof(path), "%s/%s.sock", sockets->directory, dial->name);
    error = dial_attach(dial, path, sockets->system, detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    if (dial->seats.count > 0 && dial_seat(&dial->seats, dial->name) != node) {
        snprintf(detail, detail_bytes, "%s is not node %u of its cluster, as the cluster file has it", dial->name,
                 node + 1u);
        return CAIRN_INVALID;
    }
    *out = dial->client;
    if (dial->seats.count > 0) {
        sockets->nodes = dial->seats.count;
        memcpy(sockets->names, dial->seats.names, sizeof(sockets->names));
    }
    return CAIRN_OK;
}

/* A step of it; CAIRN_AGAIN: under way. */
static enum cairn_error
connect_to(struct session *session, uint8_t node)
{
    struct dial *dial = &session->dials[node];
    enum cairn_error error = CAIRN_OK;

    assert(session->client == NULL);
    if (dial->client == NULL)
        error = session->config.connect(session->config.connect_context, node, dial, &dial->client, session->detail,
                                        sizeof(session->detail));
    if (error == CAIRN_OK)
        error = dial_open(dial, session->config.log, &session->log, session->detail, sizeof(session->detail));
    if (error == CAIRN_AGAIN)
        return error;
    if (error == CAIRN_OK) {
        if (dial->seats.count > 0)
            session->config.nodes = dial->seats.count;
        session->client = dial->client;
        dial->client = NULL;
        session->node = node;
        session->connected = true;
    }
    dial_end(dial);
    if (error == CAIRN_OK || error == CAIRN_NO_LOG || error == CAIRN_FORBIDDEN)
        session->unopened = error;
    return error;
}

void
reach_end(struct session *session)
{
    for (uint32_t node = 0; node < CAIRN_NODES_MAX; node++)
        dial_end(&session->dials[node]);
}

/* With a node named, that one alone is asked until it has answered once. */
static bool
bound_to_one(const struct session *session)
{
    return session->config.via != CAIRN_NODE_NONE && !session->connected;
}

/* Asks one more node for every while that none has answered. */
static enum cairn_error
ask_round(struct session *session, uint64_t waited_ns, cairn_node_set *failed)
{
    uint8_t first = session->node;
    uint32_t nodes = bound_to_one(session) ? 1 : session->config.nodes, asked = 0;

    for (uint32_t i = 0; i < nodes && asked <= waited_ns / HEDGE_NS; i++) {
        uint8_t node = (uint8_t)((first + i) % session->config.nodes);
        enum cairn_error error;

        if (*failed >> node & 1)
            continue;
        error = connect_to(session, node);
        if (error == CAIRN_OK || error == CAIRN_NO_LOG || error == CAIRN_FORBIDDEN)
            return error;
        if (error == CAIRN_AGAIN)
            asked++;
        else
            *failed |= (cairn_node_set)1 << node;
    }
    return asked > 0 ? CAIRN_AGAIN : CAIRN_CLOSED;
}

enum cairn_error
reach_first(struct session *session)
{
    uint64_t begun_ns = session_now_ns(session), waited_ns = 0;
    struct timespec pause = {.tv_nsec = 100000};
    cairn_node_set failed = 0;
    enum cairn_error error = CAIRN_AGAIN;

    while (waited_ns < OPEN_NS) {
        error = ask_round(session, waited_ns, &failed);
        if (error != CAIRN_AGAIN)
            break;
        nanosleep(&pause, NULL);
        waited_ns = session_now_ns(session) - begun_ns;
    }
    if (error == CAIRN_OK)
        reach_end(session);
    return error;
}

/* The one it wants, or any other that was asked and answers first. */
static enum cairn_error
reach_any(struct session *session)
{
    uint8_t wanted = session->node;
    enum cairn_error error = connect_to(session, wanted);

    for (uint32_t i = 1; i < session->config.nodes && error != CAIRN_OK; i++) {
        uint8_t node = (uint8_t)((wanted + i) % session->config.nodes);

        if (dial_pending(&session->dials[node]) && connect_to(session, node) == CAIRN_OK)
            return CAIRN_OK;
    }
    return error;
}

bool
reach_on(struct session *session, uint64_t at_ns)
{
    enum cairn_error error = reach_any(session);

    if (error == CAIRN_OK) {
        reach_end(session);
        return true;
    }
    if (error == CAIRN_AGAIN && at_ns - session->dialled_ns < HEDGE_NS)
        return false;
    if (bound_to_one(session))
        session->retry_ns = at_ns + BACKOFF_NS;
    else
        go_to_next(session, error == CAIRN_AGAIN ? at_ns : at_ns + BACKOFF_NS);
    return false;
}

void
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

void
send_anew(struct session *session, uint64_t at_ns)
{
    session->epoch = (session->epoch + 1) & EPOCH_MASK;
    session->retry_ns = at_ns;
    session->next = session->head;
    for (uint64_t i = session->head; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->state == SLOT_SENT)
            slot->state = SLOT_QUEUED;
    }
}

void
go_to(struct session *session, uint8_t node, uint64_t at_ns)
{
    if (session->client != NULL && node != session->node)
        leave(session);
    send_anew(session, at_ns);
    if (session->client == NULL) {
        session->node = node;
        session->dialled_ns = at_ns;
    }
}

void
go_to_next(struct session *session, uint64_t at_ns)
{
    go_to(session, (uint8_t)((session->node + 1) % session->config.nodes), at_ns);
}
