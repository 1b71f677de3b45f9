/* How a client comes to a node, opens its logs, and leaves. In another process on the node's machine the admin socket hands over
 * a descriptor of shared memory, and from then on no system call is needed; one of the node's own process asks the node. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "client/dial.h"

/* The node's word for why not. CAIRN_AGAIN is this side's own, for what is under way. */
static enum cairn_error
named(const json_t *answer)
{
    const char *name = json_string_value(json_object_get(answer, "error"));

    for (enum cairn_error error = CAIRN_AGAIN + 1; name != NULL && error < CAIRN_ERRORS; error++) {
        if (strcmp(cairn_error_name(error), name) == 0)
            return error;
    }
    return CAIRN_INVALID;
}

/* What a call that is done came to, where it did not go well. */
static enum cairn_error
told(const struct call *call, char *detail, size_t detail_bytes)
{
    const char *why = json_string_value(json_object_get(call->answer, "detail"));

    snprintf(detail, detail_bytes, "%s", call->answer == NULL ? call->detail : why != NULL ? why : "refused");
    return call->answer == NULL ? call->error : named(call->answer);
}

/* A name becomes a part of a path. */
static void
take_seats(const json_t *answer, struct dial_seats *out)
{
    const json_t *seats = json_object_get(answer, "seats"), *name;
    size_t i;

    out->count = 0;
    if (json_array_size(seats) > CAIRN_NODES_MAX)
        return;
    json_array_foreach (seats, i, name) {
        const char *text = json_string_value(name);

        if (text == NULL || !cairn_name_is_valid(text))
            return;
        memcpy(out->names[i], text, strlen(text) + 1);
    }
    out->count = (uint32_t)json_array_size(seats);
}

uint8_t
dial_seat(const struct dial_seats *seats, const char *name)
{
    for (uint8_t i = 0; i < seats->count; i++) {
        if (strcmp(seats->names[i], name) == 0)
            return i;
    }
    return CAIRN_NODE_NONE;
}

/* Of a call that was answered. */
static enum cairn_error
make_client(struct call *call, struct cairn_client **out, char *detail, size_t detail_bytes)
{
    struct cairn_client *client;

    if (!json_is_true(json_object_get(call->answer, "ok")))
        return told(call, detail, detail_bytes);
    client = calloc(1, sizeof(*client));
    if (client == NULL)
        return CAIRN_NO_MEMORY;
    client->socket = call->fd;
    call->fd = -1;
    *out = client;
    return CAIRN_OK;
}

/* The rings to a worker, from a call that was answered. */
static enum cairn_error
open_lane(struct call *call, struct cairn_client *client, uint8_t worker, char *detail, size_t detail_bytes)
{
    struct lane *lane = &client->lanes[worker];
    int error;

    if (!json_is_true(json_object_get(call->answer, "ok")) || call->passed_fds[0] < 0)
        return told(call, detail, detail_bytes);
    error = byte_channel_open(&lane->channel, call->passed_fds[0]);
    call->passed_fds[0] = -1;
    if (error != 0) {
        snprintf(detail, detail_bytes, "the node's shared memory cannot be mapped: %s", strerror(error));
        return CAIRN_IO;
    }
    lane->worker_bell = &lane->channel.out.shared->bell;
    client_lane_opened(client, worker);
    return CAIRN_OK;
}

static json_t *
ask_to_attach(bool system)
{
    return json_pack("{s:s,s:b}", "cmd", "attach", "system", system);
}

static json_t *
ask_for_lane(uint8_t worker)
{
    return json_pack("{s:s,s:i}", "cmd", "attach", "worker", worker);
}

enum cairn_error
dial_attach(struct dial *dial, const char *path, bool system, char *detail, size_t detail_bytes)
{
    enum cairn_error error;

    if (dial->client != NULL)
        return CAIRN_OK;
    if (dial->call.state == CALL_NONE)
        call_begin(&dial->call, path, ask_to_attach(system));
    if (!call_step(&dial->call))
        return CAIRN_AGAIN;
    error = make_client(&dial->call, &dial->client, detail, detail_bytes);
    if (error == CAIRN_OK)
        take_seats(dial->call.answer, &dial->seats);
    call_end(&dial->call);
    return error;
}

/* The log's number and its worker, from a call that was answered. */
static enum cairn_error
take_log(struct call *call, struct cairn_client *client, uint32_t *log, char *detail, size_t detail_bytes)
{
    json_int_t id = json_integer_value(json_object_get(call->answer, "id"));
    json_int_t worker = json_integer_value(json_object_get(call->answer, "worker"));

    if (!json_is_true(json_object_get(call->answer, "ok")))
        return told(call, detail, detail_bytes);
    if (id < 0 || id > UINT32_MAX || worker < 0 || worker >= CAIRN_WORKERS_MAX) {
        snprintf(detail, detail_bytes, "the node names a log that cannot be (is it of another release?)");
        return CAIRN_INVALID;
    }
    *log = (uint32_t)id;
    return client_note_log(client, *log, (uint8_t)worker);
}

static json_t *
ask_for(const char *log)
{
    return json_pack("{s:s,s:s}", "cmd", "open", "log", log);
}

enum cairn_error
dial_open(struct dial *dial, const char *log, uint32_t *id, char *detail, size_t detail_bytes)
{
    struct cairn_client *client = dial->client;
    enum cairn_error error;

    if (client->socket < 0)
        return cairn_open(client, log, 0, id, detail, detail_bytes);
    if (dial->call.state == CALL_NONE)
        call_begin_over(&dial->call, client->socket, ask_for(log));
    if (!call_step(&dial->call))
        return CAIRN_AGAIN;
    if (dial->opens_lane) {
        error = open_lane(&dial->call, client, client->recent.worker, detail, detail_bytes);
        *id = client->recent.log;
    } else {
        error = take_log(&dial->call, client, id, detail, detail_bytes);
    }
    call_end(&dial->call);
    dial->opens_lane = error == CAIRN_OK && !client->lanes[client->recent.worker].open;
    if (!dial->opens_lane)
        return error;
    call_begin_over(&dial->call, client->socket, ask_for_lane(client->recent.worker));
    return CAIRN_AGAIN;
}

void
dial_end(struct dial *dial)
{
    call_end(&dial->call);
    dial->opens_lane = false;
    cairn_disconnect(dial->client);
    dial->client = NULL;
}

enum cairn_error
cairn_connect(const char *path, uint64_t timeout_ns, struct cairn_client **out, char *detail, size_t detail_bytes)
{
    return client_connect(path, false, timeout_ns, out, NULL, detail, detail_bytes);
}

enum cairn_error
client_connect(const char *path, bool system, uint64_t timeout_ns, struct cairn_client **out, struct dial_seats *seats,
               char *detail, size_t detail_bytes)
{
    struct call call;
    enum cairn_error error;

    call_begin(&call, path, ask_to_attach(system));
    error = call_finish(&call, timeout_ns);
    if (error == CAIRN_OK)
        error = make_client(&call, out, detail, detail_bytes);
    else
        error = told(&call, detail, detail_bytes);
    if (error == CAIRN_OK && seats != NULL)
        take_seats(call.answer, seats);
    call_end(&call);
    return error;
}

enum cairn_error
cairn_open(struct cairn_client *client, const char *name, uint64_t timeout_ns, uint32_t *log, char *detail,
           size_t detail_bytes)
{
    struct call call;
    enum cairn_error error;
    uint8_t worker;

    if (client->socket < 0) {
        error = client->find(client->context, name, log, &worker);
        if (error == CAIRN_OK)
            error = client_note_log(client, *log, worker);
        return error == CAIRN_OK ? client_touch(client, *log) : error;
    }
    call_begin_over(&call, client->socket, ask_for(name));
    call_finish(&call, timeout_ns);
    error = take_log(&call, client, log, detail, detail_bytes);
    call_end(&call);
    worker = client->recent.worker;
    if (error != CAIRN_OK || client->lanes[worker].open)
        return error;
    call_begin_over(&call, client->socket, ask_for_lane(worker));
    call_finish(&call, timeout_ns);
    error = open_lane(&call, client, worker, detail, detail_bytes);
    call_end(&call);
    return error;
}

/* Has the node gone? Its end of the socket closes with it. */
bool
cairn_client_alive(struct cairn_client *client)
{
    char byte;

    if (client->socket < 0)
        return !client->gone;
    return recv(client->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

void
cairn_disconnect(struct cairn_client *client)
{
    if (client == NULL)
        return;
    if (client->socket < 0) {
        client->detach(client->context, client);
    } else {
        close(client->socket);
        for (uint8_t i = 0; i < client->open_count; i++)
            byte_channel_close(&client->lanes[client->open[i]].channel);
    }
    client_free(client);
}
