#include "cli/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

/* A frame of the nodes, and to spare. */
#define MTU 9000
#define NET "cairn-net"
#define CLIENT "c"

/* Gives iproute2 a batch of commands in the namespace (NULL: where we are). The first complaint goes to why. */
static bool
ip_batch(const char *namespace, const char *commands, char *why, size_t why_bytes)
{
    int in[2], err[2], status;
    size_t used = 0;
    ssize_t got;
    pid_t pid;

    if (pipe(in) != 0 || pipe(err) != 0)
        return false;
    pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(err[1], 2);
        closefrom(3);
        if (namespace == NULL)
            execlp("ip", "ip", "-batch", "-", (char *)NULL);
        else
            execlp("ip", "ip", "-n", namespace, "-batch", "-", (char *)NULL);
        fprintf(stderr, "ip: %s (install iproute2)", strerror(errno));
        _exit(127);
    }
    close(in[0]);
    close(err[1]);
    if (write(in[1], commands, strlen(commands)) < 0)
        used = 0;
    close(in[1]);
    while (used + 1 < why_bytes && (got = read(err[0], why + used, why_bytes - 1 - used)) > 0)
        used += (size_t)got;
    why[used] = '\0';
    why[strcspn(why, "\n")] = '\0';
    close(err[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
namespace_is(const char *node)
{
    char path[128];

    snprintf(path, sizeof(path), "/run/netns/cairn-%s", node);
    return access(path, F_OK) == 0;
}

/* A process that lives in the node's namespace; 0: none. */
static int
somebody_in(const char *node)
{
    char command[128];
    int pid = 0;
    FILE *pids;

    if (!namespace_is(node))
        return 0;
    snprintf(command, sizeof(command), "ip netns pids cairn-%s", node);
    pids = popen(command, "re");
    if (pids == NULL)
        return 0;
    if (fscanf(pids, "%d", &pid) != 1)
        pid = 0;
    pclose(pids);
    return pid;
}

static size_t put(char *text, size_t used, size_t text_bytes, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static size_t
put(char *text, size_t used, size_t text_bytes, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
    return size < 0 || used + (size_t)size >= text_bytes ? text_bytes - 1 : used + (size_t)size;
}

/* A node's own namespace, and its end of the cable. */
static bool
plug(const char *node, uint32_t number, bool by_kernel, char *why, size_t why_bytes)
{
    char namespace[CAIRN_NAME_BYTES + 8], text[1024];
    size_t used = 0;

    snprintf(namespace, sizeof(namespace), "cairn-%s", node);
    used = put(text, used, sizeof(text), "link set lo up\nlink set eth0 mtu %d addrgenmode none\n", MTU);
    used = put(text, used, sizeof(text), "link set eth0 address 02:ca:00:00:00:%02x\n", number);
    if (by_kernel)
        used = put(text, used, sizeof(text), "addr add 10.202.0.%u/24 dev eth0\n", number);
    put(text, used, sizeof(text), "link set eth0 up\n");
    return ip_batch(namespace, text, why, why_bytes);
}

static bool
make_bridge(const struct cluster_config *cluster, char *why, size_t why_bytes)
{
    char text[4096];
    size_t used = put(text, 0, sizeof(text), "link add br0 mtu %d type bridge stp_state 0 mcast_snooping 0\n", MTU);

    used = put(text, used, sizeof(text), "link set br0 addrgenmode none\nlink set br0 up\n");
    for (uint32_t i = 0; i <= cluster->nodes; i++) {
        const char *node = i < cluster->nodes ? cluster->names[i] : CLIENT;

        used = put(text, used, sizeof(text), "link add %s mtu %d type veth peer name eth0 netns cairn-%s\n", node, MTU,
                   node);
        used = put(text, used, sizeof(text), "link set %s addrgenmode none\nlink set %s master br0\nlink set %s up\n",
                   node, node, node);
    }
    return ip_batch(NET, text, why, why_bytes);
}

int
netns_make(const struct cluster_config *cluster)
{
    char text[2048], why[256] = "";
    size_t used;

    if (geteuid() != 0)
        return cli_fail("--transport netns: network namespaces are root's to make (run it as root, or use memif)");
    for (uint32_t i = 0; i < cluster->nodes; i++) {
        int pid = somebody_in(cluster->names[i]);

        if (pid != 0)
            return cli_fail("namespace cairn-%s is in use by process %d (one such cluster runs at a time; "
                            "'cairn dev --stop --dir DIR' ends it)",
                            cluster->names[i], pid);
    }
    netns_remove(cluster);
    used = put(text, 0, sizeof(text), "netns add " NET "\nnetns add cairn-" CLIENT "\n");
    for (uint32_t i = 0; i < cluster->nodes; i++)
        used = put(text, used, sizeof(text), "netns add cairn-%s\n", cluster->names[i]);
    if (!ip_batch(NULL, text, why, sizeof(why)) || !make_bridge(cluster, why, sizeof(why)))
        goto failed;
    for (uint32_t i = 0; i < cluster->nodes; i++) {
        if (!plug(cluster->names[i], i + 1, false, why, sizeof(why)))
            goto failed;
    }
    if (plug(CLIENT, 200, true, why, sizeof(why)))
        return 0;
failed:
    netns_remove(cluster);
    return cli_fail("the namespaces cannot be made: %s", why);
}

void
netns_remove(const struct cluster_config *cluster)
{
    char text[2048], why[256];
    size_t used = 0;

    text[0] = '\0';
    if (namespace_is("net"))
        used = put(text, used, sizeof(text), "netns del " NET "\n");
    if (namespace_is(CLIENT))
        used = put(text, used, sizeof(text), "netns del cairn-" CLIENT "\n");
    for (uint32_t i = 0; i < cluster->nodes; i++) {
        if (namespace_is(cluster->names[i]))
            used = put(text, used, sizeof(text), "netns del cairn-%s\n", cluster->names[i]);
    }
    if (used > 0)
        ip_batch(NULL, text, why, sizeof(why));
}

int
netns_enter(const char *node)
{
    char path[128];
    int fd, failed;

    snprintf(path, sizeof(path), "/run/netns/cairn-%s", node);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail("namespace cairn-%s: %s ('cairn dev --transport netns' makes it)", node, strerror(errno));
    failed = setns(fd, CLONE_NEWNET);
    close(fd);
    return failed == 0 ? 0 : cli_fail("namespace cairn-%s cannot be entered: %s", node, strerror(errno));
}
