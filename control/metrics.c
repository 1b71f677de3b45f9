/* libmicrohttpd is loaded only when an endpoint is asked for: with TLS and all that it needs, which the endpoint does
 * not, loading it would take longer than most commands take to run. */
#include "control/metrics.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <microhttpd.h>

#define CONNECTIONS_MAX 64u
/* With so many open the oldest is ended for a new one: a slow client does not keep others out, even if it sends a byte
 * now and then. */
#define CONNECTIONS_CALM 32u
#define TIMEOUT_S 10u
#define TYPE "text/plain; version=0.0.4; charset=utf-8"

#define LIBRARY "libmicrohttpd.so.12"

static struct {
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_create_response_from_buffer) *create_response;
    __typeof__(MHD_add_response_header) *add_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
    __typeof__(MHD_get_connection_info) *connection_info;
} http;

struct metrics {
    struct MHD_Daemon *daemon;
    struct metrics_source source;
    /* The server's thread's own. */
    struct MHD_Connection *open[CONNECTIONS_MAX]; /* the oldest first */
    uint32_t open_count;
};

static void
forget_connection(struct metrics *metrics, const struct MHD_Connection *connection)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < metrics->open_count; i++) {
        if (metrics->open[i] != connection)
            metrics->open[kept++] = metrics->open[i];
    }
    assert(metrics->open_count - kept <= 1);
    metrics->open_count = kept;
}

/* Called by the server's thread, which then finds that the other end has gone. */
static void
end_connection(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = http.connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (info != NULL)
        shutdown(info->connect_fd, SHUT_RDWR);
}

static void
note_connection(void *context, struct MHD_Connection *connection, void **connection_context,
                enum MHD_ConnectionNotificationCode code)
{
    struct metrics *metrics = context;

    (void)connection_context;
    forget_connection(metrics, connection);
    if (code != MHD_CONNECTION_NOTIFY_STARTED)
        return;
    if (metrics->open_count >= CONNECTIONS_CALM) {
        end_connection(metrics->open[0]);
        forget_connection(metrics, metrics->open[0]);
    }
    assert(metrics->open_count < CONNECTIONS_CALM);
    metrics->open[metrics->open_count++] = connection;
}

static enum MHD_Result
answer(struct MHD_Connection *connection, unsigned status, char *text, size_t size_bytes,
       enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = http.create_response(size_bytes, text, mode);
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO;
    http.add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, TYPE);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        http.add_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = http.queue_response(connection, status, response);
    http.destroy_response(response);
    return result;
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
    return answer(connection, status, (char *)(uintptr_t)why, strlen(why), MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result
serve(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
      const char *body, size_t *body_bytes, void **request)
{
    const struct metrics *metrics = context;
    size_t size_bytes = 0;
    char *text;

    (void)version;
    (void)body;
    (void)request;
    if (*body_bytes != 0) {
        *body_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served here\n");
    if (strcmp(path, "/metrics") != 0)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "only /metrics is served here\n");
    text = metrics->source.text(metrics->source.context, &size_bytes);
    if (text == NULL)
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for it\n");
    return answer(connection, MHD_HTTP_OK, text, size_bytes, MHD_RESPMEM_MUST_FREE);
}

/* Takes the text apart: host and port, "" where there is no host. */
static bool
split(const char *address, char *host, size_t host_bytes, const char **port)
{
    const char *colon = strrchr(address, ':'), *end = colon;
    size_t length;

    *port = colon == NULL ? address : colon + 1;
    host[0] = '\0';
    if (colon == NULL)
        return **port != '\0';
    if (address[0] == '[' && colon > address + 1 && colon[-1] == ']') {
        address++;
        end--;
    }
    length = (size_t)(end - address);
    if (length == 0 || length >= host_bytes)
        return false;
    memcpy(host, address, length);
    host[length] = '\0';
    return **port != '\0';
}

static enum cairn_error
refuse_start(enum cairn_error error, const char *address, const char *why, char *detail, size_t detail_bytes)
{
    snprintf(detail, detail_bytes, "metrics at %s: %s", address, why);
    return error;
}

static enum cairn_error
resolve(const char *address, struct addrinfo **out, char *detail, size_t detail_bytes)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *port;
    char host[64], *end;

    if (!split(address, host, sizeof(host), &port) || strtoul(port, &end, 10) - 1 >= 65535 || *end != '\0' ||
        getaddrinfo(host[0] == '\0' ? "127.0.0.1" : host, port, &hints, out) != 0)
        return refuse_start(CAIRN_INVALID, address,
                            "not an address to listen at (PORT, or HOST:PORT with the host as a number)", detail,
                            detail_bytes);
    return CAIRN_OK;
}

static bool
find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);

    memcpy(function, &found, sizeof(found));
    return found != NULL;
}

/* Stays loaded. */
static bool
load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    return library != NULL && find(library, "MHD_start_daemon", &http.start_daemon) &&
           find(library, "MHD_stop_daemon", &http.stop_daemon) &&
           find(library, "MHD_create_response_from_buffer", &http.create_response) &&
           find(library, "MHD_add_response_header", &http.add_header) &&
           find(library, "MHD_queue_response", &http.queue_response) &&
           find(library, "MHD_destroy_response", &http.destroy_response) &&
           find(library, "MHD_get_connection_info", &http.connection_info);
}

enum cairn_error
metrics_start(const char *address, const struct metrics_source *source, struct metrics **out, char *detail,
              size_t detail_bytes)
{
    struct metrics *metrics = NULL;
    struct addrinfo *found;
    enum cairn_error error = resolve(address, &found, detail, detail_bytes);

    if (error != CAIRN_OK)
        return error;
    metrics = calloc(1, sizeof(*metrics));
    if (!load()) {
        error = refuse_start(CAIRN_IO, address, LIBRARY " cannot be loaded (install libmicrohttpd12)", detail,
                             detail_bytes);
    } else if (metrics != NULL) {
        unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;

        metrics->source = *source;
        errno = 0;
        metrics->daemon = http.start_daemon(found->ai_family == AF_INET6 ? flags | MHD_USE_IPv6 : flags, 0, NULL, NULL,
                                            serve, metrics, MHD_OPTION_SOCK_ADDR, found->ai_addr,
                                            MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                            TIMEOUT_S, MHD_OPTION_NOTIFY_CONNECTION, note_connection, metrics,
                                            MHD_OPTION_END);
        if (metrics->daemon == NULL)
            error = refuse_start(CAIRN_IO, address, errno == 0 ? "cannot be listened at" : strerror(errno), detail,
                                 detail_bytes);
    } else
        error = refuse_start(CAIRN_NO_MEMORY, address, "no memory", detail, detail_bytes);
    freeaddrinfo(found);
    if (error != CAIRN_OK)
        free(metrics);
    else
        *out = metrics;
    return error;
}

void
metrics_stop(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    http.stop_daemon(metrics->daemon);
    free(metrics);
}
