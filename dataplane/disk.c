/* The machine's disk: files by name, writes by io_uring or by a thread. */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#define RING_ENTRIES 64u
#define FILES_MAX 64u
#define PATH_BYTES 448u
#define NAME_BYTES 64u
/* Beside the journal's files: a former one, of which the next is made, and space set aside. */
#define SPARE "spare"
#define RESERVE "reserve"

/* The fallback's one queue each way: [head, tail), a place is the thread's until it is done. */
struct queue {
    struct disk_request requests[RING_ENTRIES];
    struct disk_done done[RING_ENTRIES];
    _Atomic uint32_t asked, finished;
    uint32_t taken;
    sem_t wake;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

struct machine {
    struct disk disk;
    char directory[PATH_BYTES]; /* for people */
    int directory_fd;
    int extra_flags; /* O_DIRECT, where the file system has it */
    struct io_uring ring;
    bool ring_made, ring_enabled;
    int registered[FILES_MAX]; /* descriptor + 1 by place in the ring's table */
    uint32_t next_place;
    void *memory;
    size_t memory_bytes;
    uint32_t under_way;
    struct queue queue;
    /* The read that was begun, in a ring of its own where there is one; without, it is done when it is waited for. */
    struct io_uring ahead_ring;
    bool ahead_ring_tried, ahead_ring_made, ahead_under_way;
    struct disk_file ahead_file;
    struct disk_request ahead;
};

static struct machine *
machine_of(struct disk *disk)
{
    return (struct machine *)disk;
}

/* name: of a file of the directory; "": the directory itself. */
static enum cairn_error
fail(struct disk *disk, const char *name, const char *what)
{
    int error = errno;

    snprintf(disk->detail, sizeof(disk->detail), "%.80s%s%.40s: %.40s: %s", machine_of(disk)->directory,
             name[0] == '\0' ? "" : "/", name, what, strerror(error));
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? CAIRN_FULL : CAIRN_IO;
}

static void
name_of(uint64_t number, const char *suffix, char *out)
{
    snprintf(out, NAME_BYTES, "journal-%08" PRIu64 "%s", number, suffix);
}

/* In its directory, wherever that is called what now; and no link is followed. */
static int
open_there(const struct machine *machine, const char *name, int flags)
{
    return openat(machine->directory_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool
rename_there(const struct machine *machine, const char *from, const char *to)
{
    return renameat(machine->directory_fd, from, machine->directory_fd, to) == 0;
}

static DIR *
open_listing(const struct machine *machine)
{
    int fd = open_there(machine, ".", O_RDONLY | O_DIRECTORY);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && listing == NULL)
        close(fd);
    return listing;
}

static enum cairn_error
refuse_irregular(struct disk *disk, const char *name)
{
    snprintf(disk->detail, sizeof(disk->detail), "%.80s/%.40s: is not a regular file", machine_of(disk)->directory,
             name);
    return CAIRN_IO;
}

static int
compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static enum cairn_error
list(struct disk *disk, uint64_t *numbers, uint32_t max, uint32_t *count)
{
    struct machine *machine = machine_of(disk);
    DIR *directory = open_listing(machine);
    const struct dirent *entry;

    *count = 0;
    if (directory == NULL)
        return fail(disk, "", "cannot be read");
    while ((entry = readdir(directory)) != NULL) {
        uint64_t number;
        int end = 0;

        if (sscanf(entry->d_name, "journal-%8" SCNu64 "%n", &number, &end) != 1 || entry->d_name[end] != '\0')
            continue;
        if (*count == max) {
            closedir(directory);
            snprintf(disk->detail, sizeof(disk->detail), "%.120s: more than %u journal files", machine->directory, max);
            return CAIRN_FULL;
        }
        numbers[(*count)++] = number;
    }
    closedir(directory);
    qsort(numbers, *count, sizeof(*numbers), compare_numbers);
    return CAIRN_OK;
}

static enum cairn_error
file_open(struct disk *disk, const char *name, uint64_t number, int flags, struct disk_file *out)
{
    struct machine *machine = machine_of(disk);
    struct stat stat;
    int fd = open_there(machine, name, O_RDWR | O_DSYNC | machine->extra_flags | flags);

    if (fd < 0 && errno == EINVAL && machine->extra_flags != 0) {
        machine->extra_flags = 0;
        fd = open_there(machine, name, O_RDWR | O_DSYNC | flags);
    }
    if (fd < 0)
        return fail(disk, name, "cannot be opened");
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(fd);
        return refuse_irregular(disk, name);
    }
    *out = (struct disk_file){.number = number, .size_bytes = (uint64_t)stat.st_size, .handle = fd};
    return CAIRN_OK;
}

static enum cairn_error
take_space(struct disk *disk, const char *draft, uint64_t size_bytes, const struct disk_file *file)
{
    int error = ftruncate(file->handle, 0) != 0 ? errno : posix_fallocate(file->handle, 0, (off_t)size_bytes);

    if (error == 0)
        return CAIRN_OK;
    errno = error;
    return fail(disk, draft, "space cannot be taken");
}

/* Space, head, name, each durable before the next: a file that has its name is whole. */
static enum cairn_error
file_make(struct disk *disk, const char *name, const char *draft, uint64_t size_bytes, const void *head,
          struct disk_file *file)
{
    struct machine *machine = machine_of(disk);
    enum cairn_error error;

    file->written = file->size_bytes == size_bytes;
    error = file->written ? CAIRN_OK : take_space(disk, draft, size_bytes, file);
    if (error != CAIRN_OK)
        return error;
    if (pwrite(file->handle, head, DISK_SECTOR_BYTES, 0) != (ssize_t)DISK_SECTOR_BYTES || fsync(file->handle) != 0)
        return fail(disk, draft, "cannot be written");
    if (!rename_there(machine, draft, name) || fsync(machine->directory_fd) != 0)
        return fail(disk, name, "cannot be named");
    file->size_bytes = size_bytes;
    return CAIRN_OK;
}

static enum cairn_error
create(struct disk *disk, uint64_t number, uint64_t size_bytes, const void *head, struct disk_file *out)
{
    const struct machine *machine = machine_of(disk);
    char name[NAME_BYTES], draft[NAME_BYTES];
    enum cairn_error error;

    name_of(number, "", name);
    name_of(number, ".new", draft);
    error = file_open(disk, draft, number, rename_there(machine, SPARE, draft) ? 0 : O_CREAT | O_TRUNC, out);
    if (error != CAIRN_OK)
        return error;
    error = file_make(disk, name, draft, size_bytes, head, out);
    if (error != CAIRN_OK) {
        unlinkat(machine->directory_fd, draft, 0);
        close(out->handle);
    }
    return error;
}

/* What there is gets larger, or stays as it is. */
static enum cairn_error
grow_reserve(struct disk *disk, uint64_t size_bytes, uint64_t *got_bytes)
{
    struct disk_file file;
    enum cairn_error error = file_open(disk, RESERVE, 0, 0, &file);
    int failed;

    if (error != CAIRN_OK)
        return error;
    failed = posix_fallocate(file.handle, 0, (off_t)size_bytes);
    if (failed == 0 && fsync(file.handle) == 0) {
        *got_bytes = size_bytes;
    } else {
        errno = failed != 0 ? failed : errno;
        error = fail(disk, RESERVE, "space cannot be taken");
        /* A part of it may have been taken. */
        if (ftruncate(file.handle, (off_t)*got_bytes) != 0)
            error = fail(disk, RESERVE, "cannot be shortened");
    }
    close(file.handle);
    return error;
}

/* It has its name once its space is taken. */
static enum cairn_error
reserve(struct disk *disk, uint64_t size_bytes, uint64_t *got_bytes)
{
    static const char draft[] = RESERVE ".new";
    const struct machine *machine = machine_of(disk);
    struct disk_file file;
    struct stat known;
    enum cairn_error error;

    *got_bytes = fstatat(machine->directory_fd, RESERVE, &known, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(known.st_mode)
                     ? (uint64_t)known.st_size
                     : 0;
    if (*got_bytes >= size_bytes)
        return *got_bytes != 0 ? CAIRN_OK : CAIRN_FULL;
    if (*got_bytes != 0)
        return grow_reserve(disk, size_bytes, got_bytes);
    error = file_open(disk, draft, 0, O_CREAT | O_TRUNC, &file);
    if (error != CAIRN_OK)
        return error;
    error = take_space(disk, draft, size_bytes, &file);
    if (error == CAIRN_OK && (fsync(file.handle) != 0 || !rename_there(machine, draft, RESERVE)))
        error = fail(disk, draft, "cannot be kept");
    if (error != CAIRN_OK)
        unlinkat(machine->directory_fd, draft, 0);
    else
        *got_bytes = size_bytes;
    close(file.handle);
    return error;
}

static enum cairn_error
open_reserved(struct disk *disk, uint64_t number, uint64_t size_bytes, struct disk_file *out)
{
    enum cairn_error error = file_open(disk, RESERVE, number, 0, out);

    if (error != CAIRN_OK)
        return error;
    if (out->size_bytes > size_bytes && ftruncate(out->handle, (off_t)size_bytes) != 0) {
        error = fail(disk, RESERVE, "cannot be shortened");
        close(out->handle);
        return error;
    }
    out->size_bytes = out->size_bytes > size_bytes ? size_bytes : out->size_bytes;
    /* Zeroes are written behind what it begins with. */
    out->written = true;
    return CAIRN_OK;
}

/* A start that came no further may have left blocks in it, of the number that it has now. */
static bool
write_zeroes(const struct disk_file *file, uint64_t from)
{
    static _Alignas(DISK_SECTOR_BYTES) const uint8_t zeroes[64u << 10];

    while (from < file->size_bytes) {
        uint64_t size_bytes = file->size_bytes - from < sizeof(zeroes) ? file->size_bytes - from : sizeof(zeroes);
        ssize_t wrote = pwrite(file->handle, zeroes, size_bytes, (off_t)from);

        if (wrote != (ssize_t)size_bytes)
            return false;
        from += size_bytes;
    }
    return true;
}

static enum cairn_error
name_reserved(struct disk *disk, const struct disk_file *file, const void *head, const void *content,
              size_t content_bytes)
{
    struct machine *machine = machine_of(disk);
    char name[NAME_BYTES];

    name_of(file->number, "", name);
    if (pwrite(file->handle, content, content_bytes, DISK_SECTOR_BYTES) != (ssize_t)content_bytes ||
        !write_zeroes(file, DISK_SECTOR_BYTES + content_bytes) ||
        pwrite(file->handle, head, DISK_SECTOR_BYTES, 0) != (ssize_t)DISK_SECTOR_BYTES || fsync(file->handle) != 0)
        return fail(disk, RESERVE, "cannot be written");
    return rename_there(machine, RESERVE, name) && fsync(machine->directory_fd) == 0
               ? CAIRN_OK
               : fail(disk, name, "cannot be named");
}

static enum cairn_error
open_file(struct disk *disk, uint64_t number, struct disk_file *out)
{
    char name[NAME_BYTES];

    name_of(number, "", name);
    return file_open(disk, name, number, 0, out);
}

/* The ring's table keeps a file open that is closed here, and the descriptor's number is soon another file's: what is
 * written to that one must not go to this. */
static void
close_file(struct disk *disk, const struct disk_file *file)
{
    struct machine *machine = machine_of(disk);
    int none = -1;

    for (uint32_t place = 0; machine->ring_made && place < FILES_MAX; place++) {
        if (machine->registered[place] != file->handle + 1)
            continue;
        machine->registered[place] = 0;
        io_uring_register_files_update(&machine->ring, place, &none, 1);
    }
    close(file->handle);
}

static enum cairn_error
remove_file(struct disk *disk, uint64_t number)
{
    char name[NAME_BYTES];

    name_of(number, "", name);
    return unlinkat(machine_of(disk)->directory_fd, name, 0) == 0 ? CAIRN_OK : fail(disk, name, "cannot be removed");
}

/* A name that nothing of a node's looks for. */
static bool
rename_aside(const struct machine *machine, const char *name, uint32_t tag)
{
    char aside[NAME_MAX + 32];

    snprintf(aside, sizeof(aside), "aside-%u-%s", tag, name);
    return rename_there(machine, name, aside);
}

static enum cairn_error
set_aside(struct disk *disk, uint32_t tag)
{
    struct machine *machine = machine_of(disk);
    DIR *directory = open_listing(machine);
    const struct dirent *entry;
    bool done = true;

    if (directory == NULL)
        return fail(disk, "", "cannot be read");
    /* What is renamed may be found again: under its new name it is none of these. */
    while (done && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "journal-", 8) == 0 || strcmp(entry->d_name, "checkpoint") == 0)
            done = rename_aside(machine, entry->d_name, tag);
    }
    closedir(directory);
    return done && fsync(machine->directory_fd) == 0 ? CAIRN_OK : fail(disk, "", "its files cannot be set aside");
}

static enum cairn_error
retire(struct disk *disk, uint64_t number)
{
    const struct machine *machine = machine_of(disk);
    char name[NAME_BYTES];

    name_of(number, "", name);
    if (faccessat(machine->directory_fd, SPARE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return remove_file(disk, number);
    return rename_there(machine, name, SPARE) ? CAIRN_OK : fail(disk, name, "cannot be retired");
}

static enum cairn_error
shrink(struct disk *disk, const struct disk_file *file, uint64_t size_bytes)
{
    return ftruncate(file->handle, (off_t)size_bytes) == 0 && fsync(file->handle) == 0
               ? CAIRN_OK
               : fail(disk, "journal", "cannot be shortened");
}

static int64_t
read_file(struct disk *disk, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    size_t done = 0;

    (void)disk;
    while (done < size_bytes) {
        ssize_t got = pread(file->handle, (char *)bytes + done, size_bytes - done, (off_t)(offset_bytes + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
        /* An unaligned rest cannot be asked for; it is the end of the file. */
        if (done % DISK_SECTOR_BYTES != 0)
            break;
    }
    return (int64_t)done;
}

static void
read_begin(struct disk *disk, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    struct machine *machine = machine_of(disk);
    struct io_uring_sqe *sqe;

    machine->ahead_file = *file;
    machine->ahead = (struct disk_request){
        .bytes = bytes, .size_bytes = (uint32_t)size_bytes, .offset_bytes = offset_bytes};
    if (!machine->ahead_ring_tried && machine->ring_made)
        machine->ahead_ring_made = io_uring_queue_init(2, &machine->ahead_ring, 0) == 0;
    machine->ahead_ring_tried = true;
    sqe = machine->ahead_ring_made ? io_uring_get_sqe(&machine->ahead_ring) : NULL;
    if (sqe == NULL)
        return;
    io_uring_prep_read(sqe, file->handle, bytes, (unsigned)size_bytes, offset_bytes);
    machine->ahead_under_way = io_uring_submit(&machine->ahead_ring) == 1;
}

/* What came short is asked for the other way, which says why. */
static int64_t
read_end(struct disk *disk)
{
    struct machine *machine = machine_of(disk);
    const struct disk_request *ahead = &machine->ahead;
    struct io_uring_cqe *cqe;
    int32_t got = 0;

    while (machine->ahead_under_way) {
        int error = io_uring_wait_cqe(&machine->ahead_ring, &cqe);

        if (error == -EINTR)
            continue;
        machine->ahead_under_way = false;
        if (error != 0)
            break;
        got = cqe->res;
        io_uring_cqe_seen(&machine->ahead_ring, cqe);
    }
    if (got == (int32_t)ahead->size_bytes)
        return got;
    return read_file(disk, &machine->ahead_file, ahead->bytes, ahead->size_bytes, ahead->offset_bytes);
}

static enum cairn_error
save(struct disk *disk, const char *name, const void *bytes, size_t size_bytes)
{
    struct machine *machine = machine_of(disk);
    char draft[NAME_BYTES];
    enum cairn_error error = CAIRN_OK;
    FILE *file;
    int fd;

    snprintf(draft, sizeof(draft), "%.40s.new", name);
    /* Made anew: of what is there under that name, a pipe would be waited for. */
    unlinkat(machine->directory_fd, draft, 0);
    fd = open_there(machine, draft, O_WRONLY | O_CREAT | O_EXCL);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        error = fail(disk, draft, "cannot be made");
        if (fd >= 0)
            close(fd);
        return error;
    }
    if (fwrite(bytes, 1, size_bytes, file) != size_bytes || fflush(file) != 0 || fsync(fileno(file)) != 0)
        error = fail(disk, draft, "cannot be written");
    if (fclose(file) != 0 && error == CAIRN_OK)
        error = fail(disk, draft, "cannot be written");
    if (error == CAIRN_OK && (!rename_there(machine, draft, name) || fsync(machine->directory_fd) != 0))
        error = fail(disk, name, "cannot be named");
    if (error != CAIRN_OK)
        unlinkat(machine->directory_fd, draft, 0);
    return error;
}

static enum cairn_error
load(struct disk *disk, const char *name, void **bytes, size_t *size_bytes)
{
    enum cairn_error error = CAIRN_OK;
    struct stat stat;
    int fd = open_there(machine_of(disk), name, O_RDONLY | O_NONBLOCK);

    *bytes = NULL;
    *size_bytes = 0;
    if (fd < 0)
        return errno == ENOENT ? CAIRN_OK : fail(disk, name, "cannot be opened");
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        error = refuse_irregular(disk, name);
    else if ((*bytes = malloc((size_t)stat.st_size + 1)) == NULL)
        error = CAIRN_NO_MEMORY;
    else if (read(fd, *bytes, (size_t)stat.st_size) != stat.st_size)
        error = fail(disk, name, "cannot be read");
    else
        *size_bytes = (size_t)stat.st_size;
    close(fd);
    if (error != CAIRN_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return error;
}

static uint64_t
free_bytes(struct disk *disk)
{
    struct statvfs stat;

    return fstatvfs(machine_of(disk)->directory_fd, &stat) == 0 ? (uint64_t)stat.f_bavail * stat.f_frsize : UINT64_MAX;
}

static void
use_memory(struct disk *disk, void *bytes, size_t size_bytes)
{
    struct machine *machine = machine_of(disk);
    struct iovec vector = {.iov_base = bytes, .iov_len = size_bytes};

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

static bool
ring_submit(struct disk *disk, const struct disk_request *request)
{
    struct machine *machine = machine_of(disk);
    struct io_uring_sqe *sqe;

    /* The ring belongs to the thread that enables it. (liburing 2.3 declares the call, and leaves it out.) */
    if (!machine->ring_enabled) {
        if (syscall(__NR_io_uring_register, machine->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) != 0)
            return false;
        machine->ring_enabled = true;
    }
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

static uint32_t
ring_poll(struct disk *disk, struct disk_done *done, uint32_t max)
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
        queue->done[next % RING_ENTRIES] = (struct disk_done){
            .token = queue->requests[next % RING_ENTRIES].token,
            .result = request_do(&queue->requests[next % RING_ENTRIES])};
        atomic_store_explicit(&queue->finished, next + 1, memory_order_release);
    }
}

static bool
queue_submit(struct disk *disk, const struct disk_request *request)
{
    struct queue *queue = &machine_of(disk)->queue;
    uint32_t asked = atomic_load_explicit(&queue->asked, memory_order_relaxed);

    if (asked - queue->taken == RING_ENTRIES)
        return false;
    queue->requests[asked % RING_ENTRIES] = *request;
    atomic_store_explicit(&queue->asked, asked + 1, memory_order_release);
    sem_post(&queue->wake);
    return true;
}

static uint32_t
queue_poll(struct disk *disk, struct disk_done *done, uint32_t max)
{
    struct queue *queue = &machine_of(disk)->queue;
    uint32_t finished = atomic_load_explicit(&queue->finished, memory_order_acquire), count = 0;

    while (count < max && queue->taken != finished)
        done[count++] = queue->done[queue->taken++ % RING_ENTRIES];
    return count;
}

static void
destroy(struct disk *disk)
{
    struct machine *machine = machine_of(disk);

    if (machine->queue.running) {
        atomic_store(&machine->queue.stop, true);
        sem_post(&machine->queue.wake);
        pthread_join(machine->queue.thread, NULL);
        sem_destroy(&machine->queue.wake);
    }
    if (machine->ring_made)
        io_uring_queue_exit(&machine->ring);
    if (machine->ahead_ring_made)
        io_uring_queue_exit(&machine->ahead_ring);
    if (machine->directory_fd >= 0)
        close(machine->directory_fd);
    free(machine);
}

#define WAITING_OPERATIONS                                                                                             \
    .reserve = reserve, .open_reserved = open_reserved, .name_reserved = name_reserved, .list = list,                  \
    .create = create, .open = open_file, .close = close_file, .remove = remove_file, .set_aside = set_aside,           \
    .retire = retire, .shrink = shrink, .read = read_file, .read_begin = read_begin, .read_end = read_end,             \
    .save = save, .load = load, .free_bytes = free_bytes, .use_memory = use_memory, .destroy = destroy

static const struct disk_operations ring_operations = {WAITING_OPERATIONS, .submit = ring_submit, .poll = ring_poll};
static const struct disk_operations queue_operations = {WAITING_OPERATIONS, .submit = queue_submit, .poll = queue_poll};

static int
ring_make(struct machine *machine)
{
    int error = io_uring_queue_init(RING_ENTRIES, &machine->ring,
                                    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED);

    if (error != 0)
        return error;
    machine->ring_made = true;
    return io_uring_register_files_sparse(&machine->ring, FILES_MAX);
}

static enum cairn_error
queue_start(struct machine *machine)
{
    if (sem_init(&machine->queue.wake, 0, 0) != 0)
        return CAIRN_NO_MEMORY;
    machine->queue.running = pthread_create(&machine->queue.thread, NULL, queue_run, &machine->queue) == 0;
    return machine->queue.running ? CAIRN_OK : CAIRN_NO_MEMORY;
}

enum cairn_error
disk_machine_open(const char *directory, bool without_uring, struct disk **out, char *detail, size_t detail_bytes)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    int error = -ENOSYS;

    if (machine == NULL)
        return CAIRN_NO_MEMORY;
    snprintf(machine->directory, sizeof(machine->directory), "%s", directory);
    machine->extra_flags = O_DIRECT;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        snprintf(detail, detail_bytes, "directory %s: %s", directory, strerror(errno));
        free(machine);
        return CAIRN_IO;
    }
    machine->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (machine->directory_fd < 0) {
        snprintf(detail, detail_bytes, "directory %s: %s", directory, strerror(errno));
        free(machine);
        return CAIRN_IO;
    }
    machine->disk.operations = &ring_operations;
    machine->disk.kind = "io_uring";
    if (!without_uring)
        error = ring_make(machine);
    if (error != 0) {
        machine->disk.operations = &queue_operations;
        machine->disk.kind = "thread";
        snprintf(machine->disk.detail, sizeof(machine->disk.detail), "%s: a thread writes, slower",
                 without_uring ? "io_uring is switched off" : strerror(-error));
        if (queue_start(machine) != CAIRN_OK) {
            snprintf(detail, detail_bytes, "no thread to be had for the disk");
            destroy(&machine->disk);
            return CAIRN_NO_MEMORY;
        }
    }
    *out = &machine->disk;
    return CAIRN_OK;
}
