#include "dataplane/eal.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <urcu/urcu-qsbr.h>

#define ARGS_MAX 64
#define HUGE_BYTES_WANTED (192ull << 20)

static bool started;

/* memif's interrupt thread unmaps a peer's rings the moment the peer dies, while a worker may be
 * reading them. It clears the port's connected flag first, so once every worker has passed a
 * quiescent state none can be inside: the unmapping waits for that (linked with --wrap=munmap). */
int __real_munmap(void *address, size_t size_bytes);
int __wrap_munmap(void *address, size_t size_bytes);

static _Thread_local bool reader;

int
__wrap_munmap(void *address, size_t size_bytes)
{
    if (started && !reader)
        urcu_qsbr_synchronize_rcu();
    return __real_munmap(address, size_bytes);
}

/* Where the processor does not say how fast its time stamp counter runs, EAL counts for a tenth of a second, and rounds
 * to 10 MHz: a hundredth of a second is as good, and a node starts the sooner (linked with --wrap=nanosleep). */
#define EAL_SLEEP_NS_MAX 10000000

int __real_nanosleep(const struct timespec *duration, struct timespec *left);
int __wrap_nanosleep(const struct timespec *duration, struct timespec *left);

static bool starting;

int
__wrap_nanosleep(const struct timespec *duration, struct timespec *left)
{
    struct timespec shorter = {.tv_nsec = EAL_SLEEP_NS_MAX};

    if (starting && duration->tv_sec == 0 && duration->tv_nsec > shorter.tv_nsec)
        duration = &shorter;
    return __real_nanosleep(duration, left);
}

/* net_af_packet puts all sockets that one process has on an interface into one group, whose members share the frames out by
 * a hash. Each worker has such a socket, and needs the frames for its own port, whatever their hash is: they all get all of
 * them, and drop what is not theirs (linked with --wrap=setsockopt). */
int __real_setsockopt(int socket, int level, int name, const void *value, socklen_t size_bytes);
int __wrap_setsockopt(int socket, int level, int name, const void *value, socklen_t size_bytes);

int
__wrap_setsockopt(int socket, int level, int name, const void *value, socklen_t size_bytes)
{
    return level == SOL_PACKET && name == PACKET_FANOUT ? 0 : __real_setsockopt(socket, level, name, value, size_bytes);
}

/* memif's listener frees what it made for a peer whose greeting cannot be sent, and leaves it registered with the interrupt
 * thread, which dies of that. A peer that was killed while it connected counts as greeted here: the thread then reads
 * from the socket that it is gone, and takes all of it away (linked with --wrap=sendmsg). */
ssize_t __real_sendmsg(int socket, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags);

static bool
is_memif(int socket)
{
    socklen_t size_bytes = sizeof(int);
    int type = 0;

    return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size_bytes) == 0 && type == SOCK_SEQPACKET;
}

ssize_t
__wrap_sendmsg(int socket, const struct msghdr *message, int flags)
{
    ssize_t sent_bytes = __real_sendmsg(socket, message, flags);
    int failure = errno;

    if (sent_bytes >= 0 || (failure != EPIPE && failure != ECONNRESET) || !is_memif(socket)) {
        errno = failure;
        return sent_bytes;
    }
    sent_bytes = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        sent_bytes += (ssize_t)message->msg_iov[i].iov_len;
    return sent_bytes;
}

static unsigned long long
free_hugepage_bytes(void)
{
    unsigned long long bytes = 0;
    unsigned long pages;
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");

    if (file != NULL) {
        if (fscanf(file, "%lu", &pages) == 1)
            bytes = pages * (2ull << 20);
        fclose(file);
    }
    return bytes;
}

/* The main lcore floats over all CPUs this process may use. */
static void
lcores_argument(const cpu_set_t *cpus, char *text, size_t text_bytes)
{
    size_t used = (size_t)snprintf(text, text_bytes, "0@(");
    const char *comma = "";

    for (int cpu = 0; cpu < CPU_SETSIZE && used < text_bytes - 8; cpu++) {
        if (!CPU_ISSET(cpu, cpus))
            continue;
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%d", comma, cpu);
        comma = ",";
    }
    assert(used + sizeof(")") <= text_bytes);
    snprintf(text + used, text_bytes - used, ")");
}

static int
split(char *text, char **args, int count)
{
    char *rest = NULL;

    for (char *word = strtok_r(text, " \t", &rest); word != NULL && count < ARGS_MAX - 1;
         word = strtok_r(NULL, " \t", &rest))
        args[count++] = word;
    assert(count < ARGS_MAX);
    return count;
}

enum cairn_error
eal_start(const char *extra_args, char *detail, size_t detail_bytes)
{
    static char lcores[1024], extra[1024];
    static char *args[ARGS_MAX];
    int count = 0;
    bool initialised;
    cpu_set_t cpus;

    if (started)
        return CAIRN_OK;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        CPU_ZERO(&cpus);
    lcores_argument(&cpus, lcores, sizeof(lcores));
    args[count++] = (char *)(uintptr_t) "cairn";
    args[count++] = (char *)(uintptr_t) "--lcores";
    args[count++] = lcores;
    args[count++] = (char *)(uintptr_t) "--no-telemetry";
    args[count++] = (char *)(uintptr_t) "--no-pci";
    args[count++] = (char *)(uintptr_t) "--log-level=*:emergency";
    if (free_hugepage_bytes() >= HUGE_BYTES_WANTED) {
        args[count++] = (char *)(uintptr_t) "--in-memory";
    } else {
        /* --no-huge means legacy memory, which excludes --in-memory. */
        args[count++] = (char *)(uintptr_t) "--no-huge";
        args[count++] = (char *)(uintptr_t) "--no-shconf";
        args[count++] = (char *)(uintptr_t) "-m";
        args[count++] = (char *)(uintptr_t) "128";
    }
    if (extra_args == NULL)
        extra_args = getenv("CAIRN_EAL_ARGS");
    if (extra_args != NULL) {
        snprintf(extra, sizeof(extra), "%s", extra_args);
        count = split(extra, args, count);
    }
    assert(!starting && count < ARGS_MAX);
    starting = true;
    initialised = rte_eal_init(count, args) >= 0;
    starting = false;
    if (!initialised) {
        snprintf(detail, detail_bytes,
                 "DPDK's EAL does not start: %s (look at CAIRN_EAL_ARGS, or run with "
                 "CAIRN_EAL_ARGS=--log-level=*:debug to see why)",
                 rte_strerror(rte_errno));
        return CAIRN_IO;
    }
    sched_setaffinity(0, sizeof(cpus), &cpus);
    started = true;
    return CAIRN_OK;
}

void
eal_enter_thread(void)
{
    assert(started && !reader);
    if (rte_lcore_id() == LCORE_ID_ANY)
        rte_thread_register();
    urcu_qsbr_register_thread();
    reader = true;
}

void
eal_leave_thread(void)
{
    assert(reader);
    reader = false;
    urcu_qsbr_unregister_thread();
    rte_thread_unregister();
}
