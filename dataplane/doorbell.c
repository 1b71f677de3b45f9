#include "doorbell.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096
/* Nobody can cut it off under whoever has it mapped. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct doorbell *
map(int fd)
{
    void *memory = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

struct doorbell *
doorbell_make(int *fd)
{
    struct doorbell *bell;

    *fd = memfd_create("cairn-bell", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return NULL;
    bell = ftruncate(*fd, PAGE_BYTES) == 0 && fcntl(*fd, F_ADD_SEALS, SEALS) == 0 ? map(*fd) : NULL;
    if (bell == NULL)
        close(*fd);
    return bell;
}

struct doorbell *
doorbell_map(int fd)
{
    struct stat status;

    if (fstat(fd, &status) != 0 || status.st_size != PAGE_BYTES || fcntl(fd, F_GET_SEALS) != SEALS)
        return NULL;
    return map(fd);
}

void
doorbell_unmap(struct doorbell *bell)
{
    munmap(bell, PAGE_BYTES);
}

void
doorbell_ring_slow(struct doorbell *bell)
{
    atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&bell->word, 1, memory_order_release);
    syscall(SYS_futex, &bell->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

uint32_t
doorbell_prepare(struct doorbell *bell)
{
    uint32_t word = atomic_load_explicit(&bell->word, memory_order_acquire);

    atomic_store_explicit(&bell->asleep, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return word;
}

void
doorbell_wait(struct doorbell *bell, uint32_t prepared, uint64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long)(timeout_ns % 1000000000u),
    };

    syscall(SYS_futex, &bell->word, FUTEX_WAIT, prepared, &timeout, NULL, 0);
    doorbell_cancel(bell);
}

void
doorbell_cancel(struct doorbell *bell)
{
    atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}
