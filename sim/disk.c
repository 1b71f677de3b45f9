/* A node's disk: files of sectors, writes that take their time, and what can go wrong with them.
 *
 * A write that is done is on the medium. When the power goes, each sector of what was under way is written or
 * not. What is at rest may rot, or be written over by a write that went astray; space may run out. */
#include "sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/crc32c.h"

/* How old a sector is at least that may rot, or be lost, before a crash, beside what two writes have told since. What has
 * not been told of twice nobody can tell from a write that the crash cut off. */
#define SAID_TWICE_NS (60 * MS)
#define FILES_MAX 4096u
/* A write to a disk that hangs. */
#define HANG_NS (30000 * MS)
/* In a sector's written_ms: it holds what its file held when it had another number. */
#define NOT_OF_THIS_FILE UINT32_MAX

/* Bytes behind `size_bytes` are zero: most of a journal is padding. */
struct sector {
    uint8_t *bytes;
    uint16_t size_bytes;
    uint32_t written_ms;
};

struct sim_file {
    uint64_t number;
    uint32_t sectors_count;
    struct sector *sectors;
};

/* Files of all workers are on one medium, by numbers that say whose they are. */
#define WORKER_SHIFT 24

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
    assert(number >> WORKER_SHIFT == 0);
    return (uint64_t)directory_of(disk)->worker << WORKER_SHIFT | number;
}

static uint64_t
in_directory(uint64_t number)
{
    return number & ((1u << WORKER_SHIFT) - 1);
}

static struct sim_file *
file_find(struct sim_disk *disk, uint64_t number)
{
    for (uint32_t i = 0; i < disk->files_count; i++) {
        if (disk->files[i].number == number)
            return &disk->files[i];
    }
    return NULL;
}

static void
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

static void
sector_get(const struct sector *sector, uint8_t *bytes)
{
    if (sector->size_bytes > 0)
        memcpy(bytes, sector->bytes, sector->size_bytes);
    memset(bytes + sector->size_bytes, 0, DISK_SECTOR_BYTES - sector->size_bytes);
}

static void
file_free(struct sim_file *file)
{
    for (uint32_t i = 0; i < file->sectors_count; i++)
        free(file->sectors[i].bytes);
    free(file->sectors);
}

static void
spare_free(struct sim_directory *directory)
{
    if (directory->spare != NULL)
        file_free(directory->spare);
    free(directory->spare);
    directory->spare = NULL;
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
    assert(file_find(disk, at) == NULL);
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
        spare_free(directory);
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
    struct sim_file *file = file_find(disk, on_medium(base, opened->number));

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
    const struct sim_file *file = file_find(disk_of(base), on_medium(base, number));

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
    struct sim_file *file = file_find(disk, on_medium(base, number));

    if (file == NULL)
        return CAIRN_IO;
    disk->given_back_bytes += (uint64_t)file->sectors_count * DISK_SECTOR_BYTES;
    file_free(file);
    *file = disk->files[--disk->files_count];
    return CAIRN_OK;
}

static enum cairn_error
retire(struct disk *base, uint64_t number)
{
    struct sim_directory *directory = directory_of(base);
    struct sim_disk *disk = directory->disk;
    struct sim_file *file = file_find(disk, on_medium(base, number));

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
    struct sim_file *file = file_find(disk_of(base), on_medium(base, opened->number));
    uint32_t count = (uint32_t)((size_bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES);

    for (; file->sectors_count > count; disk_of(base)->given_back_bytes += DISK_SECTOR_BYTES)
        free(file->sectors[--file->sectors_count].bytes);
    return CAIRN_OK;
}

static int64_t
read_file(struct disk *base, const struct disk_file *opened, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    const struct sim_file *file = file_find(disk_of(base), on_medium(base, opened->number));
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

static uint64_t
latency_ns(struct sim_disk *disk)
{
    struct sim *sim = disk->node->sim;
    uint64_t ns = disk->hangs ? HANG_NS : sim->plan.disk_ns / 2 + random_under(&sim->disks, sim->plan.disk_ns);

    if (!sim->healing && (sim->plan.faults & (1u << FAULT_DISK_SLOW)) && random_chance(&sim->disks, 3000)) {
        sim->counts.kinds |= 1u << FAULT_DISK_SLOW;
        sim->counts.disk_faults++;
        ns += random_under(&sim->disks, 60 * MS);
    }
    return ns + disk->slower_ns;
}

static bool
submit(struct disk *base, const struct disk_request *request)
{
    struct sim_disk *disk = disk_of(base);

    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        struct sim_disk_request *place = &disk->requests[i];

        if (place->state != REQUEST_FREE)
            continue;
        place->request = *request;
        place->submitted_ns = disk->node->sim->now_ns;
        place->worker = directory_of(base)->worker;
        place->state = REQUEST_UNDER_WAY;
        /* The memory may be written to only when the request has ended, so it is read then. */
        sim_plan_happening(disk->node->sim, latency_ns(disk), HAPPEN_DISK, disk->node->self, (uint8_t)i,
                           disk->node->boots, 0);
        return true;
    }
    return false;
}

static uint32_t
poll_done(struct disk *base, struct disk_done *done, uint32_t max)
{
    struct sim_disk *disk = disk_of(base);
    uint32_t count = 0;

    for (uint32_t i = 0; i < SIM_DISK_REQUESTS && count < max; i++) {
        struct sim_disk_request *place = &disk->requests[i];

        if (place->state != REQUEST_DONE || place->worker != directory_of(base)->worker)
            continue;
        done[count++] = (struct disk_done){.token = place->request.token, .result = place->result};
        place->state = REQUEST_FREE;
    }
    return count;
}

static bool
arrives(struct sim_disk *disk, uint32_t atom)
{
    if (disk->torn_atoms >= 0)
        return atom < (uint32_t)disk->torn_atoms;
    return random_under(&disk->node->sim->disks, 2) == 0;
}

/* Atoms of a write reach the medium: all, or those that the coin lets. */
static void
write_atoms(struct sim_disk *disk, struct sim_file *file, const struct disk_request *request, bool all)
{
    struct sim *sim = disk->node->sim;
    uint8_t sector[DISK_SECTOR_BYTES];

    for (uint32_t done = 0; done < request->size_bytes; done += DISK_SECTOR_BYTES) {
        uint32_t index = (uint32_t)((request->offset_bytes + done) / DISK_SECTOR_BYTES);

        if (index >= file->sectors_count)
            return;
        sector_get(&file->sectors[index], sector);
        for (uint32_t atom = 0; atom < DISK_SECTOR_BYTES; atom += SIM_ATOM_BYTES) {
            if (all || arrives(disk, (done + atom) / SIM_ATOM_BYTES))
                memcpy(sector + atom, (const uint8_t *)request->bytes + done + atom, SIM_ATOM_BYTES);
        }
        sector_put(&file->sectors[index], sector);
        file->sectors[index].written_ms = (uint32_t)(sim->now_ns / MS);
    }
}

/* Where a write that goes astray ends up: at another place of a file that is written to. */
static void
go_astray(struct sim_disk *disk, struct disk_request *request, uint8_t worker)
{
    struct sim *sim = disk->node->sim;
    struct sim_file *file = &disk->files[random_under(&sim->disks, disk->files_count)];

    sim->counts.kinds |= 1u << FAULT_DISK_ASTRAY;
    sim->counts.disk_faults++;
    disk->damaged = true;
    disk->astray--;
    disk->lost.at_ns = sim->now_ns;
    disk->lost.worker = worker;
    request->handle = (int)file->number;
    request->offset_bytes = (1 + random_under(&sim->disks, file->sectors_count - 1)) * DISK_SECTOR_BYTES;
    trace_add(sim, TRACE_FAULT, disk->node->self, 0, "a write goes to journal-%d, byte %lu", request->handle,
              (unsigned long)request->offset_bytes);
}

/* A block says up to where all was durable when its write was handed in. */
static void
note_told(struct sim_directory *directory, uint64_t submitted_ns)
{
    if (submitted_ns <= directory->told_ns[0])
        return;
    directory->told_ns[1] = directory->told_ns[0];
    directory->told_ns[0] = submitted_ns;
}

bool
disk_may_crash(const struct sim_node *node)
{
    const struct sim_disk *disk = &node->disk;

    return disk->lost.at_ns == 0 || (node->sim->now_ns >= disk->lost.at_ns + SAID_TWICE_NS &&
                                     disk->directories[disk->lost.worker].told_ns[1] > disk->lost.at_ns);
}

void
disk_request_end(struct sim_node *node, uint32_t index)
{
    struct sim_disk *disk = &node->disk;
    struct sim_disk_request *place = &disk->requests[index];
    struct disk_request request = place->request;
    struct sim_file *file;

    assert(place->state == REQUEST_UNDER_WAY);
    if (request.write && disk->astray > 0 && disk->files_count > 0)
        go_astray(disk, &request, place->worker);
    file = file_find(disk, (uint64_t)request.handle);
    place->state = REQUEST_DONE;
    place->result = (int32_t)request.size_bytes;
    if (request.write && disk->failing > 0 && disk_may_crash(node)) {
        disk->failing--;
        place->result = -EIO;
        trace_add(node->sim, TRACE_FAULT, node->self, 0, "a write fails");
        write_atoms(disk, file, &request, false);
    } else if (request.write) {
        write_atoms(disk, file, &request, true);
        note_told(&disk->directories[place->worker], place->submitted_ns);
    } else {
        const struct disk_file opened = {.number = in_directory((uint64_t)request.handle)};

        place->result = (int32_t)read_file(&disk->directories[place->worker].base, &opened, request.bytes,
                                           request.size_bytes, request.offset_bytes);
    }
    worker_want_poll(node, place->worker, US);
}

void
disk_power_cut(struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;

    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        struct sim_disk_request *place = &disk->requests[i];
        struct sim_file *file = file_find(disk, (uint64_t)place->request.handle);

        if (place->state == REQUEST_UNDER_WAY && place->request.write && file != NULL &&
            (disk->torn_atoms >= 0 || random_under(&node->sim->disks, 4) != 0))
            write_atoms(disk, file, &place->request, false);
        place->state = REQUEST_FREE;
    }
}

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
            file->sectors[index].written_ms * MS + MS > disk->directories[file->number >> WORKER_SHIFT].told_ns[1])
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

void
disk_wipe(struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;

    for (uint32_t i = 0; i < disk->files_count; i++)
        file_free(&disk->files[i]);
    free(disk->files);
    disk->files = NULL;
    disk->given_back_bytes = disk->files_count = 0;
    for (uint32_t worker = 0; worker < SIM_WORKERS; worker++) {
        struct sim_directory *directory = &disk->directories[worker];

        free(directory->saved.bytes);
        directory->saved = (struct sim_saved){.size_bytes = 0};
        directory->reserve_bytes = 0;
        spare_free(directory);
    }
    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++)
        disk->requests[i].state = REQUEST_FREE;
}

static struct sim_file
file_copy(const struct sim_file *file)
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
shelf_free(struct sim_shelf *shelf)
{
    for (uint32_t i = 0; i < shelf->files_count; i++)
        file_free(&shelf->files[i]);
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
            shelf->files[i] = file_copy(&disk->files[i]);
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
disk_lose_directory(struct sim_node *node, uint8_t worker)
{
    struct sim_disk *disk = &node->disk;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < disk->files_count; i++) {
        if (disk->files[i].number >> WORKER_SHIFT == worker)
            file_free(&disk->files[i]);
        else
            disk->files[kept++] = disk->files[i];
    }
    disk->files_count = kept;
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
        if (shelf->files[i].number >> WORKER_SHIFT == worker)
            disk->files[disk->files_count++] = file_copy(&shelf->files[i]);
    }
    free(directory->saved.bytes);
    directory->saved = saved_copy(&shelf->saved[worker]);
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
    .submit = submit,
    .poll = poll_done,
};

void
disk_init(struct sim_node *node)
{
    node->disk = (struct sim_disk){.node = node, .torn_atoms = -1};
    for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
        node->disk.directories[worker] = (struct sim_directory){
            .base = {.operations = &operations, .kind = "simulated"}, .disk = &node->disk, .worker = worker};
}
