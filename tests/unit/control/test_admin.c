/* The admin socket: who is served first, and who waits for how many others. */
#include "tests/unit/check.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/admin.h"

#define NOBODY 65534u
#define CLIENTS 20
#define EACH 8u
/* A request takes more than there is for all clients in a turn: one of them is served in each. */
#define REQUEST_NS 11000000
#define TURNS_MAX 1000u

struct desk {
    struct admin *admin;
    char directory[64], path[80];
    uint32_t of_clients, of_administrators;
    bool works; /* a client's request takes the core's time, and not only time */
};

static void
work_for(uint64_t duration_ns)
{
    struct timespec time;
    uint64_t start_ns, now_ns;

    clock_gettime(CLOCK_MONOTONIC, &time);
    start_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    do {
        clock_gettime(CLOCK_MONOTONIC, &time);
        now_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    } while (now_ns - start_ns < duration_ns);
}

static void
command(void *context, void **connection, bool administrator, const void *request, struct admin_reply *reply)
{
    const struct timespec while_it_works = {.tv_nsec = REQUEST_NS};
    struct desk *desk = context;

    (void)connection;
    (void)request;
    if (administrator) {
        desk->of_administrators++;
    } else {
        desk->of_clients++;
        if (desk->works)
            work_for(REQUEST_NS);
        else
            nanosleep(&while_it_works, NULL);
    }
    reply->body = json_pack("{s:b}", "ok", 1);
}

static void
closed(void *context, void *connection)
{
    (void)context;
    (void)connection;
}

static void
open_desk(struct desk *desk)
{
    const struct access access = {.users_count = 1, .users = {NOBODY}};
    const struct admin_handler handler = {.command = command, .closed = closed, .context = desk};
    char detail[256];

    *desk = (struct desk){.directory = "/tmp/cairn-unit-XXXXXX"};
    assert_non_null(mkdtemp(desk->directory));
    assert_int_equal(chmod(desk->directory, 0711), 0);
    snprintf(desk->path, sizeof(desk->path), "%s/a", desk->directory);
    assert_int_equal(admin_start(desk->path, &access, &handler, &desk->admin, detail, sizeof(detail)), CAIRN_OK);
}

static void
close_desk(struct desk *desk)
{
    admin_stop(desk->admin);
    rmdir(desk->directory);
}

/* A connection of that user, with requests on their way. */
static int
ask(const struct desk *desk, uid_t user, uint32_t requests)
{
    static const char line[] = "{\"cmd\":\"any\"}\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", desk->path);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(seteuid(0), 0);
    for (uint32_t i = 0; i < requests; i++)
        assert_int_equal(write(fd, line, sizeof(line) - 1), sizeof(line) - 1);
    return fd;
}

/* Lines that have come. */
static uint32_t
answers(int fd)
{
    char bytes[4096];
    uint32_t lines = 0;
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            lines += bytes[i] == '\n';
    }
    return lines;
}

static void
an_administrator_waits_for_one_request_of_many(void **state)
{
    struct desk desk;
    int clients[CLIENTS], administrator;
    uint32_t before;

    (void)state;
    if (geteuid() != 0)
        skip();
    open_desk(&desk);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask(&desk, NOBODY, EACH);
    while (desk.of_clients < 2)
        admin_poll(desk.admin, 0);
    before = desk.of_clients;
    administrator = ask(&desk, 0, 1);
    /* It is let in at the end of a turn, and first in the next. */
    while (desk.of_administrators == 0)
        admin_poll(desk.admin, 0);
    assert_int_equal(answers(administrator), 1);
    assert_in_range(desk.of_clients - before, 0, 2);
    close(administrator);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_desk(&desk);
}

static void
clients_have_their_turns_one_after_the_other(void **state)
{
    struct desk desk;
    int clients[CLIENTS];
    uint32_t answered[CLIENTS] = {0}, all = 0;

    (void)state;
    if (geteuid() != 0)
        skip();
    open_desk(&desk);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask(&desk, NOBODY, 2);
    for (uint32_t turn = 0; turn < TURNS_MAX && all < 2 * CLIENTS; turn++) {
        uint32_t least = UINT32_MAX, most = 0;

        admin_poll(desk.admin, 0);
        for (int i = 0; i < CLIENTS; i++) {
            uint32_t more = answers(clients[i]);

            answered[i] += more;
            all += more;
            least = answered[i] < least ? answered[i] : least;
            most = answered[i] > most ? answered[i] : most;
        }
        assert_true(most - least <= 1);
    }
    assert_int_equal(all, 2 * CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_desk(&desk);
}

/* Whose requests come without end leaves others their turns. */
static void
administrators_do_not_keep_clients_waiting(void **state)
{
    struct desk desk;
    int client, administrator;

    (void)state;
    if (geteuid() != 0)
        skip();
    open_desk(&desk);
    administrator = ask(&desk, 0, 100);
    client = ask(&desk, NOBODY, 1);
    while (desk.of_clients == 0)
        admin_poll(desk.admin, 0);
    assert_int_equal(answers(client), 1);
    assert_in_range(desk.of_administrators, 0, 3);
    close(client);
    close(administrator);
    close_desk(&desk);
}

/* Who has used up the clients' share rests, and is served again, however often it is looked meanwhile. */
static void
a_costly_client_has_its_turn_again(void **state)
{
    struct desk desk;
    int client;

    (void)state;
    if (geteuid() != 0)
        skip();
    open_desk(&desk);
    desk.works = true;
    client = ask(&desk, NOBODY, 3);
    while (desk.of_clients < 3)
        admin_poll(desk.admin, 0);
    assert_int_equal(answers(client), 3);
    close(client);
    close_desk(&desk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_administrator_waits_for_one_request_of_many),
        cmocka_unit_test(clients_have_their_turns_one_after_the_other),
        cmocka_unit_test(administrators_do_not_keep_clients_waiting),
        cmocka_unit_test(a_costly_client_has_its_turn_again),
    };

    return RUN_TESTS(tests);
}
