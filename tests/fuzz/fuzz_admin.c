/* Lines at a node's admin socket, from a client or an administrator, in pieces or at once: each is answered by a line, and the
 * node goes on. */
/* fuzz: control/admin_connection.c:serve_line,connection_has_line,serve_one,receive_some */
/* fuzz: node/control/commands.c:attach,open_log,take_figure,take_rule,faults,administer,is_for_administrators,admin_command */
/* fuzz-options: -detect_leaks=0 -len_control=0 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/admin.h"
#include "node/control/commands.h"
#include "node/control/control.h"
#include "sim/node.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/world.h"

#define INPUTS_PER_WORLD 2000u
#define TURNS_MAX 64

static struct sim *sim;
static uint32_t inputs;
static char path[64];

static void
remove_socket(void)
{
    unlink(path);
}

static struct admin *
start(void)
{
    struct admin_handler handler = {.command = admin_command, .closed = admin_closed, .context = sim->nodes[0].node};
    const struct access access = {.users_count = 0};
    struct admin *admin;
    char detail[256];

    if (path[0] == '\0') {
        snprintf(path, sizeof(path), "/dev/shm/cairn-fuzz-admin-%d", (int)getpid());
        atexit(remove_socket);
    }
    if (admin_start(path, &access, &handler, &admin, detail, sizeof(detail)) != CAIRN_OK)
        abort();
    return admin;
}

static int
dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        abort();
    return fd;
}

/* Lines that have come back. Descriptors that come along are dropped by who asks for none. */
static uint32_t
hear(int fd)
{
    static char bytes[65536];
    uint32_t lines = 0;
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            lines += bytes[i] == '\n';
    }
    return lines;
}

static void
talk(struct admin *admin, const uint8_t *data, size_t size, size_t first)
{
    uint32_t asked = 0, answered = 0;
    int fd = dial();

    for (size_t i = 0; i < size; i++)
        asked += data[i] == '\n';
    admin_poll(admin, 0);
    if (write(fd, data, first) != (ssize_t)first)
        abort();
    admin_poll(admin, 0);
    if (write(fd, data + first, size - first) != (ssize_t)(size - first))
        abort();
    for (int i = 0; i < TURNS_MAX && answered < asked; i++) {
        admin_poll(admin, 0);
        answered += hear(fd);
    }
    if (answered < asked && asked < TURNS_MAX)
        abort();
    close(fd);
    admin_poll(admin, 0);
}

/* What only administrators may is refused to a client. */
static void
ask_as_client(const char *line)
{
    json_t *request = json_loads(line, 0, NULL);
    struct admin_reply reply = {.body = NULL};
    void *connection = NULL;

    if (json_is_object(request)) {
        admin_command(sim->nodes[0].node, &connection, false, request, &reply);
        if (!json_is_object(reply.body))
            abort();
    }
    admin_closed(sim->nodes[0].node, connection);
    json_decref(reply.body);
    json_decref(request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[65536];
    struct admin *admin;
    size_t first;

    if (size < 2 || size >= sizeof(line) - 1)
        return 0;
    if (inputs++ % INPUTS_PER_WORLD == 0)
        sim = world_renew(1, false);
    first = (data[0] * 256u + data[1]) % (size - 1);
    memcpy(line, data + 2, size - 2);
    line[size - 2] = '\n';
    line[size - 1] = '\0';
    admin = start();
    talk(admin, (const uint8_t *)line, size - 1, first);
    admin_stop(admin);
    ask_as_client(line);
    world_run_for(sim, 30 * US);
    if (!node_is_up(&sim->nodes[0]))
        abort();
    return 0;
}
