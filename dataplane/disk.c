/* The machine's disk: it is opened and closed, and small files are read and written as a whole. */
#include "dataplane/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "dataplane/disk_machine.h"

static int64_t
read_file(struct disk *disk, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    size_t done = 0;

    (void)disk;
    machine_assert_aligned(bytes, size_bytes, offset_bytes);
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

    assert(!machine->ahead_under_way);
    /* The ring tells what it read in 32 bits, with a sign. */
    assert(size_bytes > 0 && size_bytes <= INT32_MAX);
    machine_assert_aligned(bytes, size_bytes, offset_bytes);
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

    assert(machine->ahead_ring_tried && ahead->size_bytes > 0);
    assert(machine->ahead_ring_made || !machine->ahead_under_way);
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

    /* No two names have one draft. */
    assert(strlen(name) <= 40);
    snprintf(draft, sizeof(draft), "%.40s.new", name);
    /* Made anew: a pipe that has that name would be waited for. */
    unlinkat(machine->directory_fd, draft, 0);
    fd = machine_open_there(machine, draft, O_WRONLY | O_CREAT | O_EXCL);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        error = machine_fail(disk, draft, "cannot be made");
        if (fd >= 0)
            close(fd);
        return error;
    }
    if (fwrite(bytes, 1, size_bytes, file) != size_bytes || fflush(file) != 0 || fsync(fileno(file)) != 0)
        error = machine_fail(disk, draft, "cannot be written");
    if (fclose(file) != 0 && error == CAIRN_OK)
        error = machine_fail(disk, draft, "cannot be written");
    if (error == CAIRN_OK && (!machine_rename_there(machine, draft, name) || fsync(machine->directory_fd) != 0))
        error = machine_fail(disk, name, "cannot be named");
    if (error != CAIRN_OK)
        unlinkat(machine->directory_fd, draft, 0);
    return error;
}

static enum cairn_error
load(struct disk *disk, const char *name, void **bytes, size_t *size_bytes)
{
    enum cairn_error error = CAIRN_OK;
    struct stat stat;
    int fd = machine_open_there(machine_of(disk), name, O_RDONLY | O_NONBLOCK);

    *bytes = NULL;
    *size_bytes = 0;
    if (fd < 0)
        return errno == ENOENT ? CAIRN_OK : machine_fail(disk, name, "cannot be opened");
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        error = machine_refuse_irregular(disk, name);
    else if ((*bytes = malloc((size_t)stat.st_size + 1)) == NULL)
        error = CAIRN_NO_MEMORY;
    else if (read(fd, *bytes, (size_t)stat.st_size) != stat.st_size)
        error = machine_fail(disk, name, "cannot be read");
    else
        *size_bytes = (size_t)stat.st_size;
    close(fd);
    if (error != CAIRN_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    assert((error == CAIRN_OK) == (*bytes != NULL));
    assert(error == CAIRN_OK || *size_bytes == 0);
    return error;
}

static uint64_t
free_bytes(struct disk *disk)
{
    struct statvfs stat;

    return fstatvfs(machine_of(disk)->directory_fd, &stat) == 0 ? (uint64_t)stat.f_bavail * stat.f_frsize : UINT64_MAX;
}

static void
destroy(struct disk *disk)
{
    struct machine *machine = machine_of(disk);

    /* It would write to memory that is freed. */
    assert(!machine->ahead_under_way);
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
    .reserve = machine_reserve, .open_reserved = machine_open_reserved, .name_reserved = machine_name_reserved,        \
    .list = machine_list, .create = machine_create, .open = machine_open_file, .close = machine_close_file,            \
    .remove = machine_remove_file, .set_aside = machine_set_aside, .retire = machine_retire, .shrink = machine_shrink, \
    .read = read_file, .read_begin = read_begin, .read_end = read_end, .save = save, .load = load,                     \
    .free_bytes = free_bytes, .use_memory = machine_use_memory, .destroy = destroy

static const struct disk_operations ring_operations = {WAITING_OPERATIONS, .submit = machine_ring_submit,
                                                       .poll = machine_ring_poll};
static const struct disk_operations queue_operations = {WAITING_OPERATIONS, .submit = machine_queue_submit,
                                                        .poll = machine_queue_poll};

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
        error = machine_ring_make(machine);
    if (error != 0) {
        machine->disk.operations = &queue_operations;
        machine->disk.kind = "thread";
        snprintf(machine->disk.detail, sizeof(machine->disk.detail), "%s: a thread writes, slower",
                 without_uring ? "io_uring is switched off" : strerror(-error));
        if (machine_queue_start(machine) != CAIRN_OK) {
            snprintf(detail, detail_bytes, "no thread to be had for the disk");
            destroy(&machine->disk);
            return CAIRN_NO_MEMORY;
        }
    }
    assert(machine->queue.running == (error != 0));
    *out = &machine->disk;
    return CAIRN_OK;
}
