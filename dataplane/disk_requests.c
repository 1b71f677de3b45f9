/* The machine's disk: writes and reads under way, by io_uring or by a thread. */
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/disk_machine.h"

void
machine_use_memory(struct disk *disk, void *bytes, size_t size_bytes)
{
    struct machine *machine = machine_of(disk);
    struct iovec vector = {.iov_base = bytes, .iov_len = size_bytes};

    assert(machine->under_way == 0 && machine->memory == NULL);
    assert((uintptr_t)bytes % DISK_SECTOR_BYTES == 0);
    if (machine->ring_made && io_uring_register_buffers(&machine->ring, &vector, 1) == 0) {
        machine->memory = bytes;
        machine->memory_bytes = size_bytes;
    } else {
        /* Where locked memory is limited too far, requests name their memory each time. */
        madvise(bytes, size_bytes, MADV_POPULATE_WRITE);
    }
}

/* Place of the descriptor in the ring's table; -1: it has none. */
static int
registered_place(struct machine *machine, int fd)
{
    uint32_t place;

    assert(fd >= 0);
    for (place = 0; place < FILES_MAX; place++) {
        if (machine->registered[place] == fd + 1)
            return (int)place;
    }
    place = machine->next_place++ % FILES_MAX;
    if (io_uring_register_files_update(&machine->ring, place, &fd, 1) < 0) {
        machine->registered[place] = 0;
        return -1;
    }
    machine->registered[place] = fd + 1;
    return (int)place;
}

static void
ring_fill(struct machine *machine, struct io_uring_sqe *sqe, const struct disk_request *request)
{
    int place = request->write ? registered_place(machine, request->handle) : -1;
    int fd = place >= 0 ? place : request->handle;
    bool ours = machine->memory != NULL && (char *)request->bytes >= (char *)machine->memory &&
                (char *)request->bytes + request->size_bytes <= (char *)machine->memory + machine->memory_bytes;

    machine_assert_aligned(request->bytes, request->size_bytes, request->offset_bytes);
    /* What is not wanted yet goes by the other ring. */
    assert(request->size_bytes > 0 && request->size_bytes <= INT32_MAX);
    if (request->write && ours)
        io_uring_prep_write_fixed(sqe, fd, request->bytes, request->size_bytes, request->offset_bytes, 0);
    else if (request->write)
        io_uring_prep_write(sqe, fd, request->bytes, request->size_bytes, request->offset_bytes);
    else
        io_uring_prep_read(sqe, fd, request->bytes, request->size_bytes, request->offset_bytes);
    if (place >= 0)
        sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, request->token);
}

bool
machine_ring_submit(struct disk *disk, const struct disk_request *request)
{
    struct machine *machine = machine_of(disk);
    struct io_uring_sqe *sqe;

    /* The ring belongs to the thread that enables it. (liburing 2.3 declares the call, and leaves it out.) */
    if (!machine->ring_enabled) {
        if (syscall(__NR_io_uring_register, machine->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) != 0)
            return false;
        machine->ring_enabled = true;
    }
    assert(machine->ring_made && machine->under_way <= RING_ENTRIES);
    if (machine->under_way == RING_ENTRIES)
        return false;
    sqe = io_uring_get_sqe(&machine->ring);
    if (sqe == NULL)
        return false;
    ring_fill(machine, sqe, request);
    /* What the kernel does not take now it takes by the next call. */
    io_uring_submit(&machine->ring);
    machine->under_way++;
    return true;
}

uint32_t
machine_ring_poll(struct disk *disk, struct disk_done *done, uint32_t max)
{
    struct machine *machine = machine_of(disk);
    struct io_uring_cqe *cqe;
    uint32_t count = 0;

    if (machine->under_way == 0)
        return 0;
    if (io_uring_cq_ready(&machine->ring) == 0)
        io_uring_submit_and_get_events(&machine->ring);
    while (count < max && io_uring_peek_cqe(&machine->ring, &cqe) == 0) {
        done[count++] = (struct disk_done){.token = io_uring_cqe_get_data64(cqe), .result = cqe->res};
        io_uring_cqe_seen(&machine->ring, cqe);
        assert(machine->under_way > 0);
        machine->under_way--;
    }
    return count;
}

/* Durable when it returns. */
static int32_t
request_do(const struct disk_request *request)
{
    ssize_t got = request->write
                      ? pwrite(request->handle, request->bytes, request->size_bytes, (off_t)request->offset_bytes)
                      : pread(request->handle, request->bytes, request->size_bytes, (off_t)request->offset_bytes);

    if (got < 0)
        return -errno;
    if (request->write && fdatasync(request->handle) != 0)
        return -errno;
    return (int32_t)got;
}

static void *
queue_run(void *argument)
{
    struct queue *queue = argument;

    for (;;) {
        uint32_t next = atomic_load_explicit(&queue->finished, memory_order_relaxed);

        while (sem_wait(&queue->wake) != 0)
            ;
        if (atomic_load(&queue->stop))
            return NULL;
        /* Each wake is for one. */
        assert(atomic_load_explicit(&queue->asked, memory_order_acquire) != next);
        queue->done[next % RING_ENTRIES] = (struct disk_done){
            .token = queue->requests[next % RING_ENTRIES].token,
            .result = request_do(&queue->requests[next % RING_ENTRIES])};
        atomic_store_explicit(&queue->finished, next + 1, memory_order_release);
    }
}

bool
machine_queue_submit(struct disk *disk, const struct disk_request *request)
{
    struct queue *queue = &machine_of(disk)->queue;
    uint32_t asked = atomic_load_explicit(&queue->asked, memory_order_relaxed);

    assert(queue->running && asked - queue->taken <= RING_ENTRIES);
    machine_assert_aligned(request->bytes, request->size_bytes, request->offset_bytes);
    if (asked - queue->taken == RING_ENTRIES)
        return false;
    queue->requests[asked % RING_ENTRIES] = *request;
    atomic_store_explicit(&queue->asked, asked + 1, memory_order_release);
    sem_post(&queue->wake);
    return true;
}

uint32_t
machine_queue_poll(struct disk *disk, struct disk_done *done, uint32_t max)
{
    struct queue *queue = &machine_of(disk)->queue;
    uint32_t finished = atomic_load_explicit(&queue->finished, memory_order_acquire), count = 0;

    assert(finished - queue->taken <= RING_ENTRIES);
    while (count < max && queue->taken != finished)
        done[count++] = queue->done[queue->taken++ % RING_ENTRIES];
    return count;
}

int
machine_ring_make(struct machine *machine)
{
    int error = io_uring_queue_init(RING_ENTRIES, &machine->ring,
                                    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED);

    if (error != 0)
        return error;
    machine->ring_made = true;
    return io_uring_register_files_sparse(&machine->ring, FILES_MAX);
}

enum cairn_error
machine_queue_start(struct machine *machine)
{
    assert(!machine->queue.running && machine->queue.asked == 0);
    if (sem_init(&machine->queue.wake, 0, 0) != 0)
        return CAIRN_NO_MEMORY;
    machine->queue.running = pthread_create(&machine->queue.thread, NULL, queue_run, &machine->queue) == 0;
    return machine->queue.running ? CAIRN_OK : CAIRN_NO_MEMORY;
}
