#include "wire/doorbell.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define NS_PER_S 1000000000u
/* So long at most where not all bells can be waited for. */
#define NAP_NS 1000000u
/* Nobody can cut it off under whoever has it mapped. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

_Static_assert(sizeof(struct doorbell) <= PAGE_BYTES, "a page holds it");
_Static_assert(DOORBELLS_MAX <= FUTEX_WAITV_MAX, "as many as the kernel waits for at once");
_Static_assert(NAP_NS < NS_PER_S, "a nap is short");

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

static struct timespec
timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

void
doorbell_wait(struct doorbell *bell, uint32_t prepared, uint64_t timeout_ns)
{
    struct timespec timeout = timespec_of(timeout_ns);

    syscall(SYS_futex, &bell->word, FUTEX_WAIT, prepared, &timeout, NULL, 0);
    doorbell_cancel(bell);
}

static void
assert_bells(const struct doorbells *bells)
{
    assert(bells->count <= DOORBELLS_MAX);
    assert(!bells->incomplete || bells->count == DOORBELLS_MAX);
}

void
doorbells_add(struct doorbells *bells, struct doorbell *bell)
{
    assert_bells(bells);
    if (bells->count == DOORBELLS_MAX)
        bells->incomplete = true;
    else
        bells->of[bells->count++] = bell;
}

void
doorbells_prepare(struct doorbells *bells)
{
    assert_bells(bells);
    for (uint32_t i = 0; i < bells->count; i++) {
        bells->prepared[i] = atomic_load_explicit(&bells->of[i]->word, memory_order_acquire);
        atomic_store_explicit(&bells->of[i]->asleep, 1, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_seq_cst);
}

/* This kernel, or who confines this process, knows no such call: it is not made again. */
static _Atomic bool cannot_wait_for_any;

/* false: the kernel cannot wait so. */
static bool
wait_for_any(const struct doorbells *bells, uint64_t timeout_ns)
{
    struct futex_waitv waits[DOORBELLS_MAX];
    struct timespec end, left = timespec_of(timeout_ns);

    if (atomic_load_explicit(&cannot_wait_for_any, memory_order_relaxed))
        return false;
    for (uint32_t i = 0; i < bells->count; i++) {
        waits[i] = (struct futex_waitv){
            .val = bells->prepared[i], .uaddr = (uintptr_t)&bells->of[i]->word, .flags = FUTEX_32};
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += left.tv_sec;
    end.tv_nsec += left.tv_nsec;
    if (end.tv_nsec >= (long)NS_PER_S) {
        end.tv_sec++;
        end.tv_nsec -= (long)NS_PER_S;
    }
    assert(bells->count > 1 && end.tv_nsec < (long)NS_PER_S);
    if (syscall(SYS_futex_waitv, waits, bells->count, 0, &end, CLOCK_MONOTONIC) >= 0 ||
        (errno != ENOSYS && errno != EPERM))
        return true;
    atomic_store_explicit(&cannot_wait_for_any, true, memory_order_relaxed);
    return false;
}

void
doorbells_wait(struct doorbells *bells, uint64_t timeout_ns)
{
    uint64_t nap_ns = timeout_ns < NAP_NS ? timeout_ns : NAP_NS;

    assert_bells(bells);
    if (bells->incomplete)
        timeout_ns = nap_ns;
    if (bells->count == 1)
        doorbell_wait(bells->of[0], bells->prepared[0], timeout_ns);
    else if (bells->count > 1 && !wait_for_any(bells, timeout_ns))
        doorbell_wait(bells->of[0], bells->prepared[0], nap_ns);
    doorbells_cancel(bells);
}

void
doorbells_cancel(struct doorbells *bells)
{
    for (uint32_t i = 0; i < bells->count; i++)
        doorbell_cancel(bells->of[i]);
}

void
doorbell_cancel(struct doorbell *bell)
{
    atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}
