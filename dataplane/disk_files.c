/* The machine's disk: the journal's files by number, and space set aside for them. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/disk_machine.h"

/* Beside the journal's files: a former one, of which the next is made, and space set aside. */
#define SPARE "spare"
#define RESERVE "reserve"

/* name: of a file of the directory; "": the directory itself. */
enum cairn_error
machine_fail(struct disk *disk, const char *name, const char *what)
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

/* In its directory, whatever that is called by now; and no link is followed. */
int
machine_open_there(const struct machine *machine, const char *name, int flags)
{
    assert(strchr(name, '/') == NULL);
    return openat(machine->directory_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool
machine_rename_there(const struct machine *machine, const char *from, const char *to)
{
    assert(strchr(from, '/') == NULL && strchr(to, '/') == NULL);
    return renameat(machine->directory_fd, from, machine->directory_fd, to) == 0;
}

static DIR *
open_listing(const struct machine *machine)
{
    int fd = machine_open_there(machine, ".", O_RDONLY | O_DIRECTORY);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && listing == NULL)
        close(fd);
    return listing;
}

enum cairn_error
machine_refuse_irregular(struct disk *disk, const char *name)
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

enum cairn_error
machine_list(struct disk *disk, uint64_t *numbers, uint32_t max, uint32_t *count)
{
    struct machine *machine = machine_of(disk);
    DIR *directory = open_listing(machine);
    const struct dirent *entry;

    *count = 0;
    if (directory == NULL)
        return machine_fail(disk, "", "cannot be read");
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
    assert(*count <= max);
    qsort(numbers, *count, sizeof(*numbers), compare_numbers);
    return CAIRN_OK;
}

static enum cairn_error
file_open(struct disk *disk, const char *name, uint64_t number, int flags, struct disk_file *out)
{
    struct machine *machine = machine_of(disk);
    struct stat stat;
    int fd = machine_open_there(machine, name, O_RDWR | O_DSYNC | machine->extra_flags | flags);

    if (fd < 0 && errno == EINVAL && machine->extra_flags != 0) {
        machine->extra_flags = 0;
        fd = machine_open_there(machine, name, O_RDWR | O_DSYNC | flags);
    }
    if (fd < 0)
        return machine_fail(disk, name, "cannot be opened");
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(fd);
        return machine_refuse_irregular(disk, name);
    }
    *out = (struct disk_file){.number = number, .size_bytes = (uint64_t)stat.st_size, .handle = fd};
    return CAIRN_OK;
}

static enum cairn_error
take_space(struct disk *disk, const char *draft, uint64_t size_bytes, const struct disk_file *file)
{
    int error;

    assert(size_bytes > 0 && size_bytes % DISK_SECTOR_BYTES == 0);
    error = ftruncate(file->handle, 0) != 0 ? errno : posix_fallocate(file->handle, 0, (off_t)size_bytes);

    if (error == 0)
        return CAIRN_OK;
    errno = error;
    return machine_fail(disk, draft, "space cannot be taken");
}

/* Space, head, name, each durable before the next: a file that has its name is whole. */
static enum cairn_error
file_make(struct disk *disk, const char *name, const char *draft, uint64_t size_bytes, const void *head,
          struct disk_file *file)
{
    struct machine *machine = machine_of(disk);
    enum cairn_error error;

    /* There is room for a block behind its head. */
    assert(size_bytes > DISK_SECTOR_BYTES);
    machine_assert_aligned(head, DISK_SECTOR_BYTES, 0);
    file->written = file->size_bytes == size_bytes;
    error = file->written ? CAIRN_OK : take_space(disk, draft, size_bytes, file);
    if (error != CAIRN_OK)
        return error;
    if (pwrite(file->handle, head, DISK_SECTOR_BYTES, 0) != (ssize_t)DISK_SECTOR_BYTES || fsync(file->handle) != 0)
        return machine_fail(disk, draft, "cannot be written");
    if (!machine_rename_there(machine, draft, name) || fsync(machine->directory_fd) != 0)
        return machine_fail(disk, name, "cannot be named");
    file->size_bytes = size_bytes;
    return CAIRN_OK;
}

enum cairn_error
machine_create(struct disk *disk, uint64_t number, uint64_t size_bytes, const void *head, struct disk_file *out)
{
    const struct machine *machine = machine_of(disk);
    char name[NAME_BYTES], draft[NAME_BYTES];
    enum cairn_error error;

    /* 0 is nobody's: the first file says that it follows that one. */
    assert(number > 0);
    name_of(number, "", name);
    name_of(number, ".new", draft);
    error = file_open(disk, draft, number, machine_rename_there(machine, SPARE, draft) ? 0 : O_CREAT | O_TRUNC, out);
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

    assert(*got_bytes > 0 && *got_bytes < size_bytes);
    if (error != CAIRN_OK)
        return error;
    failed = posix_fallocate(file.handle, 0, (off_t)size_bytes);
    if (failed == 0 && fsync(file.handle) == 0) {
        *got_bytes = size_bytes;
    } else {
        errno = failed != 0 ? failed : errno;
        error = machine_fail(disk, RESERVE, "space cannot be taken");
        /* A part of it may have been taken. */
        if (ftruncate(file.handle, (off_t)*got_bytes) != 0)
            error = machine_fail(disk, RESERVE, "cannot be shortened");
    }
    close(file.handle);
    assert((error == CAIRN_OK) == (*got_bytes == size_bytes));
    return error;
}

/* It has its name once its space is taken. */
enum cairn_error
machine_reserve(struct disk *disk, uint64_t size_bytes, uint64_t *got_bytes)
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
    if (error == CAIRN_OK && (fsync(file.handle) != 0 || !machine_rename_there(machine, draft, RESERVE)))
        error = machine_fail(disk, draft, "cannot be kept");
    if (error != CAIRN_OK)
        unlinkat(machine->directory_fd, draft, 0);
    else
        *got_bytes = size_bytes;
    close(file.handle);
    assert((error == CAIRN_OK) == (*got_bytes == size_bytes));
    return error;
}

enum cairn_error
machine_open_reserved(struct disk *disk, uint64_t number, uint64_t size_bytes, struct disk_file *out)
{
    enum cairn_error error = file_open(disk, RESERVE, number, 0, out);

    if (error != CAIRN_OK)
        return error;
    if (out->size_bytes > size_bytes && ftruncate(out->handle, (off_t)size_bytes) != 0) {
        error = machine_fail(disk, RESERVE, "cannot be shortened");
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

    _Static_assert(sizeof(zeroes) % DISK_SECTOR_BYTES == 0, "whole sectors");
    assert(from % DISK_SECTOR_BYTES == 0);
    while (from < file->size_bytes) {
        uint64_t size_bytes = file->size_bytes - from < sizeof(zeroes) ? file->size_bytes - from : sizeof(zeroes);
        ssize_t wrote = pwrite(file->handle, zeroes, size_bytes, (off_t)from);

        if (wrote != (ssize_t)size_bytes)
            return false;
        from += size_bytes;
    }
    return true;
}

enum cairn_error
machine_name_reserved(struct disk *disk, const struct disk_file *file, const void *head, const void *content,
                      size_t content_bytes)
{
    struct machine *machine = machine_of(disk);
    char name[NAME_BYTES];

    /* As open_reserved() gave it. */
    assert(file->written && file->number > 0);
    machine_assert_aligned(head, DISK_SECTOR_BYTES, 0);
    machine_assert_aligned(content, content_bytes, DISK_SECTOR_BYTES);
    name_of(file->number, "", name);
    if (pwrite(file->handle, content, content_bytes, DISK_SECTOR_BYTES) != (ssize_t)content_bytes ||
        !write_zeroes(file, DISK_SECTOR_BYTES + content_bytes) ||
        pwrite(file->handle, head, DISK_SECTOR_BYTES, 0) != (ssize_t)DISK_SECTOR_BYTES || fsync(file->handle) != 0)
        return machine_fail(disk, RESERVE, "cannot be written");
    return machine_rename_there(machine, RESERVE, name) && fsync(machine->directory_fd) == 0
               ? CAIRN_OK
               : machine_fail(disk, name, "cannot be named");
}

enum cairn_error
machine_open_file(struct disk *disk, uint64_t number, struct disk_file *out)
{
    char name[NAME_BYTES];

    name_of(number, "", name);
    return file_open(disk, name, number, 0, out);
}

/* The ring's table keeps a file open that is closed here, and the descriptor's number is soon another file's: what is
 * written to that one must not go to this. */
void
machine_close_file(struct disk *disk, const struct disk_file *file)
{
    struct machine *machine = machine_of(disk);
    int none = -1;

    assert(file->handle >= 0);
    for (uint32_t place = 0; machine->ring_made && place < FILES_MAX; place++) {
        if (machine->registered[place] != file->handle + 1)
            continue;
        machine->registered[place] = 0;
        io_uring_register_files_update(&machine->ring, place, &none, 1);
    }
    close(file->handle);
}

enum cairn_error
machine_remove_file(struct disk *disk, uint64_t number)
{
    char name[NAME_BYTES];

    name_of(number, "", name);
    return unlinkat(machine_of(disk)->directory_fd, name, 0) == 0 ? CAIRN_OK
                                                                  : machine_fail(disk, name, "cannot be removed");
}

/* A name that nothing of a node's looks for. */
static bool
rename_aside(const struct machine *machine, const char *name, uint32_t tag)
{
    char aside[NAME_MAX + 32];

    _Static_assert(sizeof(aside) >= NAME_MAX + sizeof("aside-4294967295-"), "any tag and name");
    snprintf(aside, sizeof(aside), "aside-%u-%s", tag, name);
    return machine_rename_there(machine, name, aside);
}

enum cairn_error
machine_set_aside(struct disk *disk, uint32_t tag)
{
    struct machine *machine = machine_of(disk);
    DIR *directory = open_listing(machine);
    const struct dirent *entry;
    bool done = true;

    if (directory == NULL)
        return machine_fail(disk, "", "cannot be read");
    /* What is renamed may be found again: under its new name it is none of these. */
    while (done && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "journal-", 8) == 0 || strcmp(entry->d_name, "checkpoint") == 0)
            done = rename_aside(machine, entry->d_name, tag);
    }
    closedir(directory);
    return done && fsync(machine->directory_fd) == 0 ? CAIRN_OK
                                                     : machine_fail(disk, "", "its files cannot be set aside");
}

enum cairn_error
machine_retire(struct disk *disk, uint64_t number)
{
    const struct machine *machine = machine_of(disk);
    char name[NAME_BYTES];

    name_of(number, "", name);
    if (faccessat(machine->directory_fd, SPARE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return machine_remove_file(disk, number);
    return machine_rename_there(machine, name, SPARE) ? CAIRN_OK : machine_fail(disk, name, "cannot be retired");
}

enum cairn_error
machine_shrink(struct disk *disk, const struct disk_file *file, uint64_t size_bytes)
{
    /* Its head stays, and what is written goes by sectors. */
    assert(size_bytes >= DISK_SECTOR_BYTES && size_bytes % DISK_SECTOR_BYTES == 0);
    return ftruncate(file->handle, (off_t)size_bytes) == 0 && fsync(file->handle) == 0
               ? CAIRN_OK
               : machine_fail(disk, "journal", "cannot be shortened");
}
