/* Preloaded into a node by a test: its disk fails, writes short or takes long when the file that CAIRN_DISK_FAULTS
 * names says so. Requests are changed on their way to the kernel, by io_uring and by the thread's calls alike, so that
 * the node meets what the kernel makes of them.
 *
 * Only what is as large as a sector: the journal. Small files (the checkpoint, the start's mark) go through stdio. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <liburing.h>

#define SECTOR_BYTES 4096u

/* As the test writes them: 32 bits each. */
struct orders {
    _Atomic int32_t fail_writes, short_writes, fail_reads;
    _Atomic int32_t delay_us; /* of a write by the thread */
    _Atomic int32_t met;      /* how many requests met a fault */
};

static struct orders none, *orders = &none;
static int broken_fd = -1;

/* What is written to or read from its beginning, where nothing is mapped, fails with EIO. */
__attribute__((constructor)) static void
begin(void)
{
    const char *path = getenv("CAIRN_DISK_FAULTS");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *bytes = fd >= 0 ? mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (bytes != MAP_FAILED)
        orders = bytes;
    if (fd >= 0)
        close(fd);
    broken_fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

static void
change(struct io_uring_sqe *sqe)
{
    bool write = sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITE_FIXED;
    bool read = sqe->opcode == IORING_OP_READ;

    if ((write && orders->fail_writes) || (read && orders->fail_reads)) {
        sqe->opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
        sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE;
        sqe->fd = broken_fd;
        sqe->off = 0;
        sqe->buf_index = 0;
        orders->met++;
    } else if (write && orders->short_writes && sqe->len > SECTOR_BYTES) {
        sqe->len = SECTOR_BYTES;
        orders->met++;
    }
}

int
io_uring_submit(struct io_uring *ring)
{
    static int (*submit)(struct io_uring *);

    if (submit == NULL)
        *(void **)&submit = dlsym(RTLD_NEXT, "io_uring_submit");
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
        change(&ring->sq.sqes[i & ring->sq.ring_mask]);
    return submit(ring);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t size_bytes, off64_t offset_bytes)
{
    static ssize_t (*next)(int, const void *, size_t, off64_t);

    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "pwrite64");
    if (size_bytes < SECTOR_BYTES)
        return next(fd, bytes, size_bytes, offset_bytes);
    if (orders->delay_us != 0) {
        orders->met++;
        usleep((useconds_t)orders->delay_us);
    }
    if (orders->fail_writes) {
        orders->met++;
        errno = EIO;
        return -1;
    }
    if (orders->short_writes && size_bytes > SECTOR_BYTES) {
        size_bytes = SECTOR_BYTES;
        orders->met++;
    }
    return next(fd, bytes, size_bytes, offset_bytes);
}

ssize_t
pread64(int fd, void *bytes, size_t size_bytes, off64_t offset_bytes)
{
    static ssize_t (*next)(int, void *, size_t, off64_t);

    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "pread64");
    if (!orders->fail_reads || size_bytes < SECTOR_BYTES)
        return next(fd, bytes, size_bytes, offset_bytes);
    orders->met++;
    errno = EIO;
    return -1;
}
