/* A node's disk as its workers use it: a directory for each, with the operations of dataplane/disk.h. Space may run out. */
#include "sim/disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/disk_requests.h"
#include "sim/medium.h"
#include "sim/node.h"
#include "sim/scale.h"
#include "sim/sim.h"

#define FILES_MAX 4096u
/* In a sector's written_ms: it holds what its file held when it had another number. */
#define NOT_OF_THIS_FILE UINT32_MAX

static struct sim_directory *
directory_of(struct disk *disk)
{
    return (struct sim_directory *)disk;
}

static struct sim_disk *
disk_of(struct disk *disk)
{
    return directory_of(disk)->disk;
}

static uint64_t
on_medium(struct disk *disk, uint64_t number)
{
    assert(number >> FILE_WORKER_SHIFT == 0);
    return (uint64_t)directory_of(disk)->worker << FILE_WORKER_SHIFT | number;
}

static uint64_t
in_directory(uint64_t number)
{
    return number & ((1u << FILE_WORKER_SHIFT) - 1);
}

static enum cairn_error
list(struct disk *base, uint64_t *numbers, uint32_t max, uint32_t *count)
{
    struct sim_disk *disk = disk_of(base);

    *count = 0;
    for (uint32_t i = 0; i < disk->files_count && *count < max; i++) {
        uint64_t number = in_directory(disk->files[i].number);
        uint32_t at = *count;

        if (disk->files[i].number != on_medium(base, number))
            continue;
        for ((*count)++; at > 0 && numbers[at - 1] > number; at--)
            numbers[at] = numbers[at - 1];
        numbers[at] = number;
    }
    return CAIRN_OK;
}

static enum cairn_error
create(struct disk *base, uint64_t number, uint64_t size_bytes, const void *head, struct disk_file *out)
{
    struct sim_directory *directory = directory_of(base);
    struct sim_disk *disk = directory->disk;
    uint32_t sectors_count = (uint32_t)(size_bytes / DISK_SECTOR_BYTES);
    bool written = directory->spare != NULL && directory->spare->sectors_count == sectors_count;
    const uint64_t at = on_medium(base, number);
    struct sim_file *file;

    if ((disk->no_space && !written) || disk->files_count == FILES_MAX) {
        snprintf(base->detail, sizeof(base->detail), "the simulated disk is full");
        return CAIRN_FULL;
    }
    assert(medium_find(disk, at) == NULL);
    disk->files = realloc(disk->files, (disk->files_count + 1) * sizeof(*disk->files));
    file = &disk->files[disk->files_count++];
    *file = (struct sim_file){.number = at, .sectors_count = sectors_count};
    if (written) {
        file->sectors = directory->spare->sectors;
        for (uint32_t i = 0; i < sectors_count; i++)
            file->sectors[i].written_ms = NOT_OF_THIS_FILE;
        free(directory->spare);
        directory->spare = NULL;
    } else {
        medium_free_spare(directory);
        file->sectors = calloc(sectors_count, sizeof(*file->sectors));
    }
    sector_put(&file->sectors[0], head);
    *out = (struct disk_file){.number = number, .size_bytes = size_bytes, .handle = (int)at, .written = written};
    return CAIRN_OK;
}

/* A full disk has what was given back since. */
static enum cairn_error
reserve(struct disk *base, uint64_t size_bytes, uint64_t *got_bytes)
{
    struct sim_directory *directory = directory_of(base);
    struct sim_disk *disk = directory->disk;
    uint64_t more_bytes = size_bytes > directory->reserve_bytes ? size_bytes - directory->reserve_bytes : 0;

    if (more_bytes != 0 && (!disk->no_space || disk->given_back_bytes >= more_bytes)) {
        disk->given_back_bytes -= disk->no_space ? more_bytes : 0;
        directory->reserve_bytes = size_bytes;
    }
    *got_bytes = directory->reserve_bytes;
    return directory->reserve_bytes != 0 && directory->reserve_bytes >= size_bytes ? CAIRN_OK : CAIRN_FULL;
}

/* Nothing crashes before it has its name. */
static enum cairn_error
open_reserved(struct disk *base, uint64_t number, uint64_t size_bytes, struct disk_file *out)
{
    static const uint8_t no_head[DISK_SECTOR_BYTES];
    struct sim_disk *disk = disk_of(base);
    bool no_space = disk->no_space;
    enum cairn_error error;

    disk->no_space = false;
    error = create(base, number, size_bytes, no_head, out);
    disk->no_space = no_space;
    if (error == CAIRN_OK) {
        disk->given_back_bytes += directory_of(base)->reserve_bytes - size_bytes;
        directory_of(base)->reserve_bytes = 0;
    }
    return error;
}

static enum cairn_error
name_reserved(struct disk *base, const struct disk_file *opened, const void *head, const void *content,
              size_t content_bytes)
{
    struct sim_disk *disk = disk_of(base);
    struct sim_file *file = medium_find(disk, on_medium(base, opened->number));

    sector_put(&file->sectors[0], head);
    for (size_t done = 0; done < content_bytes; done += DISK_SECTOR_BYTES) {
        struct sector *sector = &file->sectors[1 + done / DISK_SECTOR_BYTES];

        sector_put(sector, (const uint8_t *)content + done);
        sector->written_ms = (uint32_t)(disk->node->sim->now_ns / MS);
    }
    return CAIRN_OK;
}

static enum cairn_error
open_file(struct disk *base, uint64_t number, struct disk_file *out)
{
    const struct sim_file *file = medium_find(disk_of(base), on_medium(base, number));

    if (file == NULL)
        return CAIRN_IO;
    *out = (struct disk_file){
        .number = number, .size_bytes = (uint64_t)file->sectors_count * DISK_SECTOR_BYTES, .handle = (int)file->number};
    return CAIRN_OK;
}

static void
close_file(struct disk *base, const struct disk_file *file)
{
    (void)base;
    (void)file;
}

static enum cairn_error
remove_file(struct disk *base, uint64_t number)
{
    struct sim_disk *disk = disk_of(base);
    struct sim_file *file = medium_find(disk, on_medium(base, number));

    if (file == NULL)
        return CAIRN_IO;
    disk->given_back_bytes += (uint64_t)file->sectors_count * DISK_SECTOR_BYTES;
    medium_free_file(file);
    *file = disk->files[--disk->files_count];
    return CAIRN_OK;
}

static enum cairn_error
retire(struct disk *base, uint64_t number)
{
    struct sim_directory *directory = directory_of(base);
    struct sim_disk *disk = directory->disk;
    struct sim_file *file = medium_find(disk, on_medium(base, number));

    if (file == NULL || directory->spare != NULL)
        return remove_file(base, number);
    directory->spare = malloc(sizeof(*directory->spare));
    *directory->spare = *file;
    *file = disk->files[--disk->files_count];
    return CAIRN_OK;
}

static enum cairn_error
shrink(struct disk *base, const struct disk_file *opened, uint64_t size_bytes)
{
    struct sim_file *file = medium_find(disk_of(base), on_medium(base, opened->number));
    uint32_t count = (uint32_t)((size_bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES);

    for (; file->sectors_count > count; disk_of(base)->given_back_bytes += DISK_SECTOR_BYTES)
        free(file->sectors[--file->sectors_count].bytes);
    return CAIRN_OK;
}

static int64_t
read_file(struct disk *base, const struct disk_file *opened, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    return medium_read(medium_find(disk_of(base), on_medium(base, opened->number)), bytes, size_bytes, offset_bytes);
}

static void
read_begin(struct disk *base, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    struct sim_directory *directory = directory_of(base);

    directory->ahead_file = *file;
    directory->ahead = (struct disk_request){
        .bytes = bytes, .size_bytes = (uint32_t)size_bytes, .offset_bytes = offset_bytes};
}

static int64_t
read_end(struct disk *base)
{
    const struct disk_request *ahead = &directory_of(base)->ahead;

    return read_file(base, &directory_of(base)->ahead_file, ahead->bytes, ahead->size_bytes, ahead->offset_bytes);
}

static enum cairn_error
save(struct disk *base, const char *name, const void *bytes, size_t size_bytes)
{
    struct sim_saved *saved = &directory_of(base)->saved;

    (void)name;
    if (disk_of(base)->no_space && size_bytes > 0)
        return CAIRN_FULL;
    free(saved->bytes);
    *saved = (struct sim_saved){.bytes = malloc(size_bytes + 1), .size_bytes = size_bytes};
    memcpy(saved->bytes, bytes, size_bytes);
    return CAIRN_OK;
}

static enum cairn_error
load(struct disk *base, const char *name, void **bytes, size_t *size_bytes)
{
    const struct sim_saved *saved = &directory_of(base)->saved;

    (void)name;
    *bytes = NULL;
    *size_bytes = saved->size_bytes;
    if (saved->bytes == NULL)
        return CAIRN_OK;
    *bytes = malloc(saved->size_bytes + 1);
    memcpy(*bytes, saved->bytes, saved->size_bytes);
    return CAIRN_OK;
}

static uint64_t
free_bytes(struct disk *base)
{
    const struct sim_disk *disk = disk_of(base);

    return disk->no_space ? disk->given_back_bytes : UINT64_MAX;
}

static void
use_memory(struct disk *base, void *bytes, size_t size_bytes)
{
    (void)base;
    (void)bytes;
    (void)size_bytes;
}

/* Nobody looks at what was set aside. */
static enum cairn_error
set_aside(struct disk *base, uint32_t tag)
{
    struct sim_saved *saved = &directory_of(base)->saved;

    (void)tag;
    disk_lose_directory(disk_of(base)->node, directory_of(base)->worker);
    free(saved->bytes);
    *saved = (struct sim_saved){.size_bytes = 0};
    return CAIRN_OK;
}

static const struct disk_operations operations = {
    .list = list,
    .create = create,
    .reserve = reserve,
    .open_reserved = open_reserved,
    .name_reserved = name_reserved,
    .open = open_file,
    .close = close_file,
    .remove = remove_file,
    .set_aside = set_aside,
    .retire = retire,
    .shrink = shrink,
    .read = read_file,
    .read_begin = read_begin,
    .read_end = read_end,
    .save = save,
    .load = load,
    .free_bytes = free_bytes,
    .use_memory = use_memory,
    .submit = disk_submit,
    .poll = disk_poll_done,
};

void
disk_init(struct sim_node *node)
{
    node->disk = (struct sim_disk){.node = node, .torn_atoms = -1};
    for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
        node->disk.directories[worker] = (struct sim_directory){
            .base = {.operations = &operations, .kind = "simulated"}, .disk = &node->disk, .worker = worker};
}

bool
disk_is_writing(const struct sim_node *node, bool (*kind)(const struct disk_request *request))
{
    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        const struct sim_disk_request *place = &node->disk.requests[i];

        if (place->state == REQUEST_UNDER_WAY && place->request.write && kind(&place->request))
            return true;
    }
    return false;
}
