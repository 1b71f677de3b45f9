#include "control/admin.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/admin_places.h"

#define BACKLOG 64
#define ACCEPTS_PER_TURN 32
/* What all who are no administrators get in each turn: an administrator who asks next waits for that and one request. */
#define OTHERS_NS 500000u
/* In the long run they and newcomers get one part in so many of a core: it may be the workers' core too. */
#define OTHERS_SHARE 4u
/* What they may take at once beyond that. */
#define OTHERS_AHEAD_NS 4000000u
/* While they rest, this is how often the thread looks whether they may have more. */
#define REST_MS 2
/* Newcomers wait so long where not even a refusal can be sent. */
#define LISTENER_RESTS_NS 100000000u

struct admin {
    struct admin_handler handler;
    struct access access;
    char path[108];
    int listener, spare; /* a descriptor to have one left when there are none */
    uint64_t listens_ns; /* newcomers wait until then */
    uint64_t owed_ns;    /* until then the others, and newcomers, have had their share */
    int next;            /* the place at which the others' next turn begins */
    struct places places;
};

static uint64_t
monotonic_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int
open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Does a process serve at the path already? One that is stopped, and does not accept, counts too. */
static bool
served(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answered = probe >= 0 &&
                    (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN);

    if (probe >= 0)
        close(probe);
    return answered;
}

static enum cairn_error
refuse(char *detail, size_t detail_bytes, const char *path, const char *why)
{
    snprintf(detail, detail_bytes, "admin socket %s: %s", path, why);
    return CAIRN_IO;
}

enum cairn_error
admin_start(const char *path, const struct access *access, const struct admin_handler *handler, struct admin **out,
            char *detail, size_t detail_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct admin *admin;

    if (strlen(path) >= sizeof(address.sun_path))
        return refuse(detail, detail_bytes, path, "the path is longer than 107 bytes (use a shorter directory)");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (served(&address))
        return refuse(detail, detail_bytes, path, "in use: this node is running already");
    admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return CAIRN_NO_MEMORY;
    unlink(path);
    admin->access = *access;
    admin->handler = *handler;
    snprintf(admin->path, sizeof(admin->path), "%s", path);
    places_init(&admin->places, &admin->handler);
    admin->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->listener < 0 || bind(admin->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, access_names_any(access) ? 0666 : 0600) != 0 || listen(admin->listener, BACKLOG) != 0) {
        refuse(detail, detail_bytes, path, strerror(errno));
        if (admin->listener >= 0)
            close(admin->listener);
        free(admin);
        return CAIRN_IO;
    }
    admin->spare = open_spare();
    *out = admin;
    return CAIRN_OK;
}

/* Says why, as far as that goes without waiting, and hangs up. */
static void
turn_away(int socket, enum cairn_error error, const char *why)
{
    char line[256];
    int size_bytes = snprintf(line, sizeof(line), "{\"ok\":false,\"error\":\"%s\",\"detail\":\"%s\"}\n",
                              error == CAIRN_FULL ? "full" : "forbidden", why);

    (void)!send(socket, line, (size_t)size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(socket);
}

static void
let_in(struct admin *admin, int socket, uint64_t now_ns)
{
    uid_t uid;
    enum access_right right = access_of(&admin->access, socket, &uid);
    bool administrator = right == ACCESS_ADMINISTRATOR;
    struct connection *place = right == ACCESS_NONE ? NULL : places_find(&admin->places, administrator, uid, now_ns);
    char why[160];

    if (right == ACCESS_NONE) {
        snprintf(why, sizeof(why),
                 "uid %u may not be a client of this node (its cluster file names who may, under 'clients')",
                 (unsigned)uid);
        turn_away(socket, CAIRN_FORBIDDEN, why);
        return;
    }
    if (place == NULL || !connection_open(place, socket, administrator, uid, now_ns))
        turn_away(socket, CAIRN_FULL, "the node has no place for another connection of this user");
}

/* There are no descriptors left: an idle connection goes, or else the newcomer does. */
static bool
make_descriptor(struct admin *admin, uint64_t now_ns)
{
    int socket;

    if (places_end_idle(&admin->places, now_ns))
        return true;
    if (admin->spare >= 0)
        close(admin->spare);
    socket = accept4(admin->listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket >= 0)
        turn_away(socket, CAIRN_FULL, "the node has no file descriptor left");
    admin->spare = open_spare();
    return socket >= 0 && admin->spare >= 0;
}

static void
accept_some(struct admin *admin, uint64_t now_ns)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int socket = accept4(admin->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (socket >= 0) {
            let_in(admin, socket, now_ns);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (make_descriptor(admin, now_ns))
                continue;
            /* The listener would be readable all the while. */
            admin->listens_ns = now_ns + LISTENER_RESTS_NS;
            return;
        } else {
            return;
        }
    }
}

/* The processor time of this thread: the time in which it was kept from running does not count. */
static uint64_t
spent_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static bool
others_rest(const struct admin *admin, uint64_t now_ns)
{
    return admin->owed_ns > now_ns + OTHERS_AHEAD_NS;
}

static void
charge_others(struct admin *admin, uint64_t spent, uint64_t now_ns)
{
    if (admin->owed_ns < now_ns)
        admin->owed_ns = now_ns;
    admin->owed_ns += spent * OTHERS_SHARE;
    assert(admin->owed_ns >= now_ns);
}

/* Whom to poll: the listener first, then the connections whose turn it may be (not the others' while they rest). Places
 * without a connection are left out, since a process may not name more of them than it may have descriptors. *more: a
 * request is there already, so there is nothing to wait for. */
static nfds_t
gather(const struct admin *admin, bool rest, uint64_t now_ns, struct pollfd *fds, int *places, bool *more)
{
    nfds_t count = 0;

    assert(admin->next >= 0 && admin->next < PLACES_MAX);
    fds[count++] = (struct pollfd){.fd = rest || now_ns < admin->listens_ns ? -1 : admin->listener, .events = POLLIN};
    for (int i = 0; i < PLACES_MAX; i++) {
        int place = (admin->next + i) % PLACES_MAX;
        const struct connection *connection = &admin->places.connections[place];

        if (connection->socket < 0 || (rest && !connection->administrator))
            continue;
        places[count] = place;
        fds[count++] = (struct pollfd){.fd = connection->socket,
                                       .events = connection->answer != NULL ? POLLOUT : POLLIN};
        *more |= connection_has_line(connection);
    }
    assert(count <= PLACES_MAX + 1);
    return count;
}

static void
serve_or_hang_up(struct admin *admin, int place, const struct pollfd *fd, uint64_t now_ns)
{
    struct connection *connection = &admin->places.connections[place];
    bool ready = fd->revents != 0;

    /* No newcomer got the place since it was polled. */
    assert(connection->socket == fd->fd);
    if (!connection_serve(connection, &admin->handler, ready, now_ns))
        connection_close(connection, &admin->handler);
}

/* Administrators come first, however much others have asked for. */
static void
serve_administrators(struct admin *admin, const struct pollfd *fds, const int *places, nfds_t count, uint64_t now_ns)
{
    for (nfds_t i = 1; i < count; i++) {
        if (admin->places.connections[places[i]].administrator)
            serve_or_hang_up(admin, places[i], &fds[i], now_ns);
    }
}

/* Does a newcomer or a client that is no administrator want anything? */
static bool
others_want(const struct admin *admin, const struct pollfd *fds, const int *places, nfds_t count)
{
    bool want = fds[0].revents != 0;

    for (nfds_t i = 1; i < count && !want; i++) {
        const struct connection *connection = &admin->places.connections[places[i]];

        want = connection->socket >= 0 && !connection->administrator &&
               (fds[i].revents != 0 || connection_has_line(connection));
    }
    return want;
}

/* The others have their turns one after another; whoever gets none this time is first the next time. */
static void
serve_clients(struct admin *admin, const struct pollfd *fds, const int *places, nfds_t count, uint64_t now_ns)
{
    uint64_t end_ns = monotonic_ns() + OTHERS_NS;

    for (nfds_t i = 1; i < count; i++) {
        struct connection *connection = &admin->places.connections[places[i]];

        if (connection->socket < 0 || connection->administrator)
            continue;
        serve_or_hang_up(admin, places[i], &fds[i], now_ns);
        admin->next = (places[i] + 1) % PLACES_MAX;
        if (monotonic_ns() >= end_ns)
            return;
    }
}

/* Looking whether there is anything to do is not charged: reading the clock alone, turn after turn, would take more
 * than the others' share, and they would rest for good. */
static void
serve_others(struct admin *admin, const struct pollfd *fds, const int *places, nfds_t count, uint64_t now_ns)
{
    uint64_t before_ns;

    if (!others_want(admin, fds, places, count))
        return;
    before_ns = spent_ns();
    serve_clients(admin, fds, places, count, now_ns);
    if (fds[0].revents != 0)
        accept_some(admin, now_ns);
    charge_others(admin, spent_ns() - before_ns, now_ns);
}

void
admin_poll(struct admin *admin, int timeout_ms)
{
    int places[PLACES_MAX + 1];
    struct pollfd fds[PLACES_MAX + 1];
    uint64_t now_ns = monotonic_ns();
    bool rest = others_rest(admin, now_ns), more = false;
    nfds_t count = gather(admin, rest, now_ns, fds, places, &more);

    if (rest && timeout_ms > REST_MS)
        timeout_ms = REST_MS;
    if (poll(fds, count, more ? 0 : timeout_ms) < 0)
        return;
    now_ns = monotonic_ns();
    serve_administrators(admin, fds, places, count, now_ns);
    serve_others(admin, fds, places, count, now_ns);
}

void
admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    places_end_all(&admin->places);
    close(admin->listener);
    if (admin->spare >= 0)
        close(admin->spare);
    unlink(admin->path);
    free(admin);
}
