/* A disk's files and sectors: found, written, read, copied; and taken away. */
#include "sim/medium.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/node.h"
#include "sim/scale.h"

struct sim_file *
medium_find(struct sim_disk *disk, uint64_t number)
{
    for (uint32_t i = 0; i < disk->files_count; i++) {
        if (disk->files[i].number == number)
            return &disk->files[i];
    }
    return NULL;
}

void
sector_put(struct sector *sector, const uint8_t *bytes)
{
    uint32_t size_bytes = DISK_SECTOR_BYTES;

    while (size_bytes >= 8 && memcmp(bytes + size_bytes - 8, "\0\0\0\0\0\0\0\0", 8) == 0)
        size_bytes -= 8;
    free(sector->bytes);
    sector->bytes = size_bytes == 0 ? NULL : malloc(size_bytes);
    sector->size_bytes = (uint16_t)size_bytes;
    if (size_bytes > 0)
        memcpy(sector->bytes, bytes, size_bytes);
}

void
sector_get(const struct sector *sector, uint8_t *bytes)
{
    if (sector->size_bytes > 0)
        memcpy(bytes, sector->bytes, sector->size_bytes);
    memset(bytes + sector->size_bytes, 0, DISK_SECTOR_BYTES - sector->size_bytes);
}

int64_t
medium_read(const struct sim_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    uint32_t first = (uint32_t)(offset_bytes / DISK_SECTOR_BYTES), count = (uint32_t)(size_bytes / DISK_SECTOR_BYTES);

    assert(offset_bytes % DISK_SECTOR_BYTES == 0 && size_bytes % DISK_SECTOR_BYTES == 0);
    if (file == NULL || first >= file->sectors_count)
        return 0;
    if (count > file->sectors_count - first)
        count = file->sectors_count - first;
    for (uint32_t i = 0; i < count; i++)
        sector_get(&file->sectors[first + i], (uint8_t *)bytes + (size_t)i * DISK_SECTOR_BYTES);
    return (int64_t)count * DISK_SECTOR_BYTES;
}

void
medium_free_file(struct sim_file *file)
{
    for (uint32_t i = 0; i < file->sectors_count; i++)
        free(file->sectors[i].bytes);
    free(file->sectors);
}

void
medium_free_spare(struct sim_directory *directory)
{
    if (directory->spare != NULL)
        medium_free_file(directory->spare);
    free(directory->spare);
    directory->spare = NULL;
}

struct sim_file
medium_copy_file(const struct sim_file *file)
{
    struct sim_file copy = *file;

    copy.sectors = malloc(file->sectors_count * sizeof(*copy.sectors));
    for (uint32_t i = 0; i < file->sectors_count; i++) {
        copy.sectors[i] = file->sectors[i];
        if (file->sectors[i].size_bytes == 0)
            continue;
        copy.sectors[i].bytes = malloc(file->sectors[i].size_bytes);
        memcpy(copy.sectors[i].bytes, file->sectors[i].bytes, file->sectors[i].size_bytes);
    }
    return copy;
}

void
disk_wipe(struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;

    for (uint32_t i = 0; i < disk->files_count; i++)
        medium_free_file(&disk->files[i]);
    free(disk->files);
    disk->files = NULL;
    disk->given_back_bytes = disk->files_count = 0;
    for (uint32_t worker = 0; worker < SIM_WORKERS; worker++) {
        struct sim_directory *directory = &disk->directories[worker];

        free(directory->saved.bytes);
        directory->saved = (struct sim_saved){.size_bytes = 0};
        directory->reserve_bytes = 0;
        medium_free_spare(directory);
    }
    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++)
        disk->requests[i].state = REQUEST_FREE;
}

void
disk_lose_directory(struct sim_node *node, uint8_t worker)
{
    struct sim_disk *disk = &node->disk;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < disk->files_count; i++) {
        if (disk->files[i].number >> FILE_WORKER_SHIFT == worker)
            medium_free_file(&disk->files[i]);
        else
            disk->files[kept++] = disk->files[i];
    }
    disk->files_count = kept;
}
