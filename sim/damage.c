/* What is at rest on a disk and is damaged: it rots, or a scenario damages or forges it. */
#include "sim/damage.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/journal.h"
#include "sim/disk.h"
#include "sim/medium.h"
#include "sim/node.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "wire/crc32c.h"

/* One bit of what is written, somewhere; true: there was something. */
bool
disk_rot(struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;
    struct sim *sim = node->sim;

    for (uint32_t tries = 0; disk->files_count > 0 && tries < 1000; tries++) {
        struct sim_file *file = &disk->files[random_under(&sim->disks, disk->files_count)];
        uint32_t index = (uint32_t)random_under(&sim->disks, file->sectors_count), byte;

        if (file->sectors[index].size_bytes == 0 ||
            file->sectors[index].written_ms * MS + SAID_TWICE_NS > node->crashed_ns ||
            file->sectors[index].written_ms * MS + MS > disk->directories[file->number >> FILE_WORKER_SHIFT].told_ns[1])
            continue;
        byte = (uint32_t)random_under(&sim->disks, file->sectors[index].size_bytes);
        file->sectors[index].bytes[byte] ^= (uint8_t)(1u << random_under(&sim->disks, 8));
        trace_add(sim, TRACE_FAULT, node->self, 0, "journal-%lu rots at byte %u", (unsigned long)file->number,
                  index * DISK_SECTOR_BYTES + byte);
        disk->damaged = true;
        /* A medium is damaged once: no write that is to go astray comes on top, which was waiting for one. */
        disk->astray = 0;
        sim->counts.disk_faults++;
        return true;
    }
    return false;
}

static void
flip(struct sim_disk *disk, struct sim_file *file, uint64_t offset)
{
    uint8_t sector[DISK_SECTOR_BYTES];

    sector_get(&file->sectors[offset / DISK_SECTOR_BYTES], sector);
    sector[offset % DISK_SECTOR_BYTES] ^= 1;
    sector_put(&file->sectors[offset / DISK_SECTOR_BYTES], sector);
    disk->damaged = true;
}

bool
disk_damage_oldest(struct sim_node *node, uint64_t which)
{
    enum { FLIP, ZERO_SECTOR, CUT_OFF } how = which % 3;
    static const char *const said[] = {"flips", "its sector is zero", "the file ends there"};
    struct sim_disk *disk = &node->disk;
    struct sim_file *oldest = &disk->files[0];
    uint8_t before[DISK_SECTOR_BYTES], after[DISK_SECTOR_BYTES];
    uint64_t offset, within;
    struct sector *sector;
    bool changed;

    for (uint32_t i = 1; i < disk->files_count; i++)
        oldest = disk->files[i].number < oldest->number ? &disk->files[i] : oldest;
    offset = which / 3 % ((uint64_t)oldest->sectors_count * DISK_SECTOR_BYTES);
    sector = &oldest->sectors[offset / DISK_SECTOR_BYTES];
    within = how == ZERO_SECTOR ? 0 : offset % DISK_SECTOR_BYTES;
    sector_get(sector, before);
    memcpy(after, before, sizeof(after));
    if (how == FLIP)
        after[within] ^= (uint8_t)(1u << which / 3 % 8);
    else
        memset(after + within, 0, sizeof(after) - within);
    changed = memcmp(before, after, sizeof(after)) != 0;
    sector_put(sector, after);
    while (how == CUT_OFF && oldest->sectors_count > offset / DISK_SECTOR_BYTES + 1) {
        changed |= oldest->sectors[oldest->sectors_count - 1].size_bytes > 0;
        free(oldest->sectors[--oldest->sectors_count].bytes);
    }
    trace_add(node->sim, TRACE_FAULT, node->self, 0, "journal-%lu, byte %lu: %s", (unsigned long)oldest->number,
              (unsigned long)offset, said[how]);
    disk->damaged |= changed;
    return changed;
}

static uint8_t *
file_bytes(const struct sim_file *file)
{
    uint8_t *bytes = malloc((size_t)file->sectors_count * DISK_SECTOR_BYTES);

    for (uint32_t i = 0; i < file->sectors_count; i++)
        sector_get(&file->sectors[i], bytes + (size_t)i * DISK_SECTOR_BYTES);
    return bytes;
}

/* What is looked for on a disk. */
struct wanted {
    const void *bytes; /* where these stand; NULL: blocks of the types in the set */
    size_t size_bytes;
    uint32_t types;
};

static bool
is_wanted(const struct wanted *wanted, const uint8_t *at)
{
    const struct journal_block *head = (const struct journal_block *)(const void *)at;

    if (wanted->bytes != NULL)
        return memcmp(at, wanted->bytes, wanted->size_bytes) == 0;
    return head->magic == JOURNAL_BLOCK_MAGIC && head->type <= 31 && (wanted->types >> head->type & 1) != 0;
}

/* Damages what is wanted, so many bytes behind where it begins. Everything stands at multiples of 8. */
static uint32_t
flip_each(struct sim_disk *disk, const struct wanted *wanted, size_t behind)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < disk->files_count; i++) {
        struct sim_file *file = &disk->files[i];
        uint8_t *bytes = file_bytes(file);
        size_t end = (size_t)file->sectors_count * DISK_SECTOR_BYTES;

        for (size_t at = 0; at + wanted->size_bytes <= end; at += 8) {
            if (!is_wanted(wanted, bytes + at))
                continue;
            flip(disk, file, at + behind);
            found++;
        }
        free(bytes);
    }
    return found;
}

uint32_t
disk_flip_where(struct sim_node *node, const void *bytes, size_t size_bytes)
{
    const struct wanted wanted = {.bytes = bytes, .size_bytes = size_bytes};

    return flip_each(&node->disk, &wanted, 0);
}

uint32_t
disk_flip_blocks(struct sim_node *node, uint32_t types)
{
    const struct wanted wanted = {.size_bytes = sizeof(struct journal_block), .types = types};

    return flip_each(&node->disk, &wanted, offsetof(struct journal_block, block));
}

static uint32_t
forge_in(uint8_t *bytes, size_t end, const struct wanted *wanted, void (*forge)(struct journal_block *head))
{
    uint32_t found = 0;

    for (size_t at = 0; at + wanted->size_bytes <= end; at += 8) {
        struct journal_block *head = (struct journal_block *)(void *)(bytes + at);

        if (!is_wanted(wanted, bytes + at))
            continue;
        forge(head);
        head->head_crc32c = crc32c(0, &head->file, sizeof(*head) - offsetof(struct journal_block, file));
        found++;
    }
    return found;
}

uint32_t
disk_forge_blocks(struct sim_node *node, uint32_t types, void (*forge)(struct journal_block *head))
{
    const struct wanted wanted = {.size_bytes = sizeof(struct journal_block), .types = types};
    struct sim_disk *disk = &node->disk;
    uint32_t found = 0;

    for (uint32_t i = 0; i < disk->files_count; i++) {
        struct sim_file *file = &disk->files[i];
        uint8_t *bytes = file_bytes(file);

        found += forge_in(bytes, (size_t)file->sectors_count * DISK_SECTOR_BYTES, &wanted, forge);
        for (uint32_t sector = 0; sector < file->sectors_count; sector++)
            sector_put(&file->sectors[sector], bytes + (size_t)sector * DISK_SECTOR_BYTES);
        free(bytes);
    }
    disk->damaged = true;
    return found;
}
