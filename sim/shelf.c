/* What an operator puts aside of what a node keeps, and puts back. */
#include "sim/shelf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/medium.h"
#include "sim/node.h"
#include "sim/scale.h"

void
shelf_free(struct sim_shelf *shelf)
{
    for (uint32_t i = 0; i < shelf->files_count; i++)
        medium_free_file(&shelf->files[i]);
    free(shelf->files);
    for (uint32_t worker = 0; worker < SIM_WORKERS; worker++)
        free(shelf->saved[worker].bytes);
    *shelf = (struct sim_shelf){.used = false};
}

static struct sim_saved
saved_copy(const struct sim_saved *saved)
{
    struct sim_saved copy = {.bytes = saved->size_bytes > 0 ? malloc(saved->size_bytes) : NULL,
                             .size_bytes = saved->size_bytes};

    if (copy.bytes != NULL)
        memcpy(copy.bytes, saved->bytes, saved->size_bytes);
    return copy;
}

void
disk_shelve(struct sim_node *node, bool copy)
{
    struct sim_disk *disk = &node->disk;
    struct sim_shelf *shelf = &node->shelf;

    shelf_free(shelf);
    *shelf = (struct sim_shelf){.used = true,
                                .files = disk->files,
                                .files_count = disk->files_count,
                                .identity = node->identity,
                                .identified = node->identified};
    for (uint32_t worker = 0; worker < SIM_WORKERS; worker++)
        shelf->saved[worker] = copy ? saved_copy(&disk->directories[worker].saved) : disk->directories[worker].saved;
    if (copy) {
        shelf->files = malloc((disk->files_count + 1) * sizeof(*shelf->files));
        for (uint32_t i = 0; i < disk->files_count; i++)
            shelf->files[i] = medium_copy_file(&disk->files[i]);
        return;
    }
    disk->files = NULL;
    disk->files_count = 0;
    for (uint32_t worker = 0; worker < SIM_WORKERS; worker++)
        disk->directories[worker].saved = (struct sim_saved){.size_bytes = 0};
    node->identified = false;
}

void
disk_unshelve(struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;
    struct sim_shelf *shelf = &node->shelf;

    assert(shelf->used);
    disk_wipe(node);
    disk->files = shelf->files;
    disk->files_count = shelf->files_count;
    for (uint32_t worker = 0; worker < SIM_WORKERS; worker++)
        disk->directories[worker].saved = shelf->saved[worker];
    node->identity = shelf->identity;
    node->identified = shelf->identified;
    *shelf = (struct sim_shelf){.used = false};
}

void
disk_unshelve_directory(struct sim_node *node, uint8_t worker)
{
    struct sim_disk *disk = &node->disk;
    const struct sim_shelf *shelf = &node->shelf;
    struct sim_directory *directory = &disk->directories[worker];

    assert(shelf->used);
    disk_lose_directory(node, worker);
    disk->files = realloc(disk->files, (disk->files_count + shelf->files_count + 1) * sizeof(*disk->files));
    for (uint32_t i = 0; i < shelf->files_count; i++) {
        if (shelf->files[i].number >> FILE_WORKER_SHIFT == worker)
            disk->files[disk->files_count++] = medium_copy_file(&shelf->files[i]);
    }
    free(directory->saved.bytes);
    directory->saved = saved_copy(&shelf->saved[worker]);
}
