/* Preloaded into a node by a test: its wall clock is off by as many seconds as the file that CAIRN_CLOCK_SHIFT names says,
 * in 64 bits. Its other clocks go on as they are. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t none, *seconds = &none;

__attribute__((constructor)) static void
begin(void)
{
    const char *path = getenv("CAIRN_CLOCK_SHIFT");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *bytes = fd >= 0 ? mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (bytes != MAP_FAILED)
        seconds = bytes;
    if (fd >= 0)
        close(fd);
}

int
clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);

    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        out->tv_sec += atomic_load_explicit(seconds, memory_order_relaxed);
    return result;
}
