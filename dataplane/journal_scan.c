#include "dataplane/journal_scan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/journal_look.h"
#include "dataplane/journal_window.h"
#include "wire/crc32c.h"

#ifndef WINDOW_BYTES /* the fuzzer's is small, for files that are */
#define WINDOW_BYTES (4u << 20)
#endif
/* In front of each, for what the window before ended with: a block may begin in one and end in the next. */
#ifndef HEADROOM_BYTES
#define HEADROOM_BYTES (2u << 20)
#endif
/* Of a file whose beginning alone is looked at. */
#define GLANCE_BYTES (16u << 10)
/* Where a file's first block is lost, another not far behind tells that it was written to. */
#define FILLED_SEARCH_BYTES WINDOW_BYTES

_Static_assert(WINDOW_BYTES % DISK_SECTOR_BYTES == 0 && HEADROOM_BYTES % DISK_SECTOR_BYTES == 0, "whole sectors");
_Static_assert(GLANCE_BYTES % DISK_SECTOR_BYTES == 0 && GLANCE_BYTES <= WINDOW_BYTES, "part of a window");
_Static_assert(GLANCE_BYTES >= 2 * DISK_SECTOR_BYTES, "a file's head and first block");

static bool
all_zero(const uint8_t *bytes, size_t size_bytes)
{
    /* Each byte is the one before it: as fast as memcmp. */
    return size_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

static bool
head_sound(const struct journal_head *head, uint64_t number)
{
    return memcmp(head->magic, JOURNAL_MAGIC, sizeof(head->magic)) == 0 && head->number == number &&
           life_plausible(head->incarnation) &&
           head->crc32c == crc32c(0, &head->cluster, sizeof(*head) - offsetof(struct journal_head, cluster));
}

static void
close_file(struct journal_scan *scan)
{
    if (scan->ahead)
        journal_window_drop(scan);
    if (scan->opened)
        scan->disk->operations->close(scan->disk, &scan->file);
    scan->opened = false;
    assert(!scan->ahead);
    scan->window_bytes = 0;
    scan->window_from = 0;
}

static enum cairn_error
open_file(struct journal_scan *scan, uint32_t index)
{
    enum cairn_error error;

    assert(index < scan->count);
    close_file(scan);
    error = scan->disk->operations->open(scan->disk, scan->numbers[index], &scan->file);
    scan->opened = error == CAIRN_OK;
    return error;
}

/* The file's first block is whole; it may say where the file before it ends. */
static bool
begins(struct journal_scan *scan, uint32_t index)
{
    assert(scan->opened && scan->file.number == scan->numbers[index]);
    if (journal_look(scan, DISK_SECTOR_BYTES) != BLOCK_SOUND || scan->head->type != JOURNAL_BEGIN)
        return false;
    for (uint32_t before = 0; before < index; before++) {
        if (scan->numbers[before] == scan->head->block.first_lsn)
            scan->ends[before] = scan->head->block.first_seq;
        /* Made, and not written to before the node ended; or this file has all that was in it (node/start/gather.c). */
        else if (scan->numbers[before] > scan->head->block.first_lsn)
            scan->ends[before] = DISK_SECTOR_BYTES;
    }
    return true;
}

/* Head and first block of a file: whose it is, and where the one before it ends. */
static enum cairn_error
introduce(struct journal_scan *scan, uint32_t index, char *detail, size_t detail_bytes)
{
    const uint8_t *bytes;
    const struct journal_head *head;
    enum cairn_error error = open_file(scan, index);
    int64_t there;
    bool sound, doubtful;

    assert(index >= scan->known_from && !scan->streaming);
    if (error != CAIRN_OK) {
        snprintf(detail, detail_bytes, "%s", scan->disk->detail);
        return error;
    }
    scan->total_bytes += scan->file.size_bytes;
    there = journal_window_load(scan, 0, DISK_SECTOR_BYTES, &bytes);
    head = (const struct journal_head *)(const void *)bytes;
    sound = there >= (int64_t)sizeof(*head) && head_sound(head, scan->numbers[index]);
    doubtful = !sound || head->doubtful;
    scan->headless[index] = !sound || there < DISK_SECTOR_BYTES ||
                            !all_zero(bytes + sizeof(*head), DISK_SECTOR_BYTES - sizeof(*head));
    if (sound) {
        if (head->version != JOURNAL_VERSION) {
            snprintf(detail, detail_bytes,
                     "journal-%08" PRIu64 ": format version %u, this cairn reads %u (use a newer one)",
                     scan->numbers[index], head->version, JOURNAL_VERSION);
            return CAIRN_CORRUPT;
        }
        if (scan->cluster == 0)
            scan->cluster = head->cluster;
        if (scan->node == UINT8_MAX)
            scan->node = head->node;
        if (scan->incarnation == 0)
            scan->cluster_id = head->cluster_id;
        if (memcmp(&head->cluster_id, &scan->cluster_id, sizeof(head->cluster_id)) != 0) {
            snprintf(detail, detail_bytes,
                     "journal-%08" PRIu64 ": of another cluster than the files before it (they were mixed up)",
                     scan->numbers[index]);
            return CAIRN_CORRUPT;
        }
        if (head->cluster != scan->cluster || head->node != scan->node || head->worker != scan->worker) {
            snprintf(detail, detail_bytes,
                     "journal-%08" PRIu64
                     ": of cluster %08x, node %u, not of %08x, node %u (the directory is another's)",
                     scan->numbers[index], head->cluster, head->node + 1, scan->cluster, scan->node + 1);
            return CAIRN_CORRUPT;
        }
        if (head->incarnation > scan->incarnation)
            scan->incarnation = head->incarnation;
    }
    scan->filled[index] = begins(scan, index);
    if (!scan->filled[index]) {
        scan->step_bytes = FILLED_SEARCH_BYTES;
        scan->filled[index] = journal_was_durable(scan, DISK_SECTOR_BYTES, DISK_SECTOR_BYTES, FILLED_SEARCH_BYTES);
        scan->step_bytes = GLANCE_BYTES;
    }
    scan->empty &= !scan->filled[index];
    scan->doubtful |= doubtful && !scan->filled[index];
    return CAIRN_OK;
}

static enum cairn_error
no_memory(char *detail, size_t detail_bytes)
{
    snprintf(detail, detail_bytes, "no memory to read the journal");
    return CAIRN_NO_MEMORY;
}

static enum cairn_error
find_numbers(struct journal_scan *scan, char *detail, size_t detail_bytes)
{
    enum cairn_error error;

    scan->numbers = calloc(JOURNAL_FILES_MAX, sizeof(*scan->numbers));
    scan->ends = calloc(JOURNAL_FILES_MAX, sizeof(*scan->ends));
    scan->filled = calloc(JOURNAL_FILES_MAX, sizeof(*scan->filled));
    scan->headless = calloc(JOURNAL_FILES_MAX, sizeof(*scan->headless));
    if (scan->numbers == NULL || scan->ends == NULL || scan->filled == NULL || scan->headless == NULL)
        return no_memory(detail, detail_bytes);
    assert(scan->count == 0);
    error = scan->disk->operations->list(scan->disk, scan->numbers, JOURNAL_FILES_MAX, &scan->count);
    if (error != CAIRN_OK)
        snprintf(detail, detail_bytes, "%s", scan->disk->detail);
    return error;
}

/* Two windows, each as large as what may be read at once; where all files are smaller, as the largest. */
static enum cairn_error
make_windows(struct journal_scan *scan, char *detail, size_t detail_bytes)
{
    uint64_t largest_bytes = DISK_SECTOR_BYTES;

    /* A file as large as a window settles it. */
    for (uint32_t i = 0; i < scan->count && largest_bytes < WINDOW_BYTES; i++) {
        struct disk_file file;

        if (scan->disk->operations->open(scan->disk, scan->numbers[i], &file) != CAIRN_OK)
            continue;
        largest_bytes = file.size_bytes > largest_bytes ? file.size_bytes : largest_bytes;
        scan->disk->operations->close(scan->disk, &file);
    }
    largest_bytes = (largest_bytes + DISK_SECTOR_BYTES - 1) & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
    scan->room_bytes = largest_bytes < WINDOW_BYTES ? (size_t)largest_bytes : WINDOW_BYTES;
    scan->headroom_bytes = scan->room_bytes < HEADROOM_BYTES ? scan->room_bytes : HEADROOM_BYTES;
    assert(scan->room_bytes >= DISK_SECTOR_BYTES && scan->room_bytes % DISK_SECTOR_BYTES == 0);
    assert(scan->headroom_bytes <= scan->room_bytes && scan->headroom_bytes % DISK_SECTOR_BYTES == 0);
    for (int i = 0; i < 2; i++) {
        scan->buffers[i] = aligned_alloc(DISK_SECTOR_BYTES, scan->headroom_bytes + scan->room_bytes);
        if (scan->buffers[i] == NULL)
            return no_memory(detail, detail_bytes);
    }
    return CAIRN_OK;
}

/* The files from the one of that number on. */
static enum cairn_error
introduce_from(struct journal_scan *scan, uint64_t from_number, char *detail, size_t detail_bytes)
{
    enum cairn_error error = CAIRN_OK;

    scan->step_bytes = GLANCE_BYTES;
    scan->streaming = false;
    scan->total_bytes = 0;
    memset(scan->ends, 0, scan->count * sizeof(*scan->ends));
    for (scan->known_from = 0; scan->known_from < scan->count && scan->numbers[scan->known_from] < from_number;)
        scan->filled[scan->known_from++] = true;
    scan->empty = scan->known_from == 0;
    scan->doubtful = false;
    for (uint32_t i = scan->known_from; i < scan->count && error == CAIRN_OK; i++)
        error = introduce(scan, i, detail, detail_bytes);
    assert(scan->known_from <= scan->count);
    close_file(scan);
    scan->read_bytes = 0;
    scan->streaming = true;
    scan->step_bytes = scan->room_bytes;
    return error;
}

enum cairn_error
journal_scan_know_all(struct journal_scan *scan, char *detail, size_t detail_bytes)
{
    enum cairn_error error = scan->known_from == 0 ? CAIRN_OK : introduce_from(scan, 0, detail, detail_bytes);

    assert(scan->known_from == 0);
    return error;
}

enum cairn_error
journal_scan_init(struct journal_scan *scan, struct disk *disk, uint32_t cluster, uint8_t node, uint8_t worker,
                  uint64_t from_number, char *detail, size_t detail_bytes)
{
    enum cairn_error error;

    memset(scan, 0, sizeof(*scan));
    scan->disk = disk;
    scan->cluster = cluster;
    scan->node = node;
    scan->worker = worker;
    error = find_numbers(scan, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = make_windows(scan, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = introduce_from(scan, from_number, detail, detail_bytes);
    scan->highest_number = scan->count == 0 ? 0 : scan->numbers[scan->count - 1];
    scan->offset = DISK_SECTOR_BYTES;
    return error;
}

void
journal_scan_fini(struct journal_scan *scan)
{
    close_file(scan);
    free(scan->numbers);
    free(scan->ends);
    free(scan->filled);
    free(scan->headless);
    free(scan->buffers[0]);
    free(scan->buffers[1]);
    memset(scan, 0, sizeof(*scan));
}

static enum scan_verdict
damage(struct journal_scan *scan, uint64_t from, uint64_t to, const char *what)
{
    assert(scan->opened && !scan->ended && from <= to);
    scan->from = journal_place(scan->file.number, (uint32_t)from);
    scan->to = journal_place(scan->file.number, (uint32_t)to);
    scan->offset = to;
    scan->within = scan->harmless = scan->known = false;
    snprintf(scan->reason, sizeof(scan->reason), "journal-%08" PRIu64 ", bytes %" PRIu64 " to %" PRIu64 ": %s",
             scan->file.number, from, to, what);
    return SCAN_DAMAGE;
}

/* A later file was written to: then this one is not the last, though nobody says where it ends. */
static bool
is_followed(const struct journal_scan *scan)
{
    assert(scan->index < scan->count);
    for (uint32_t i = scan->index + 1; i < scan->count; i++) {
        if (scan->filled[i])
            return true;
    }
    return false;
}

/* The header can be trusted: is the block behind it whole, so that nothing else is damaged? */
static bool
is_alone(struct journal_scan *scan, uint64_t offset, uint64_t *next)
{
    scan->damaged = *scan->head;
    *next = journal_behind(&scan->damaged, offset);
    assert(*next > offset);
    return journal_look(scan, *next) == BLOCK_SOUND;
}

/* No crash writes that; its header says where it ends. */
static enum scan_verdict
implausible(struct journal_scan *scan, uint64_t offset)
{
    const struct journal_block head = *scan->head;

    damage(scan, offset, journal_behind(&head, offset), journal_what_is_wrong(BLOCK_IMPLAUSIBLE));
    scan->within = (head.flags & JOURNAL_LAST) == 0;
    return SCAN_DAMAGE;
}

/* Something is not as it should be at offset: torn, or damaged? */
static enum scan_verdict
judge(struct journal_scan *scan, uint64_t offset, enum soundness sound)
{
    bool last = scan->ends[scan->index] == 0, followed = last && is_followed(scan);
    uint64_t end = last ? scan->file.size_bytes : scan->ends[scan->index], next;
    bool known = sound == BLOCK_BAD_BODY && is_alone(scan, offset, &next);

    assert(sound != BLOCK_SOUND && sound != BLOCK_IMPLAUSIBLE);
    assert(last || offset < scan->ends[scan->index]);
    if (!known)
        next = journal_find_sound(scan, journal_next_sector(offset), end);
    if (followed && next == end) {
        scan->ends[scan->index] = offset;
        return damage(scan, offset, offset, "the next file's first block, or that file, is missing");
    }
    if (!last || followed || journal_was_durable(scan, offset, next, end)) {
        damage(scan, offset, next, journal_what_is_wrong(sound));
        scan->known = known;
        scan->within = known && (scan->damaged.flags & JOURNAL_LAST) == 0;
        return SCAN_DAMAGE;
    }
    scan->ended = true;
    scan->from = scan->end = journal_place(scan->file.number, (uint32_t)offset);
    /* Whatever stands at the very end without a trace of a write is just where the journal ends. */
    if (sound == BLOCK_NOTHING && next == end && !scan->within)
        return SCAN_END;
    snprintf(scan->reason, sizeof(scan->reason), "journal-%08" PRIu64 ", byte %" PRIu64 ": a write was cut off",
             scan->file.number, offset);
    return SCAN_TORN;
}

static enum scan_verdict
harmless_damage(struct journal_scan *scan, uint64_t from, uint64_t to, const char *what)
{
    /* No block is where a file's head is, or behind a write's last one. */
    assert(to % DISK_SECTOR_BYTES == 0 && to - from <= DISK_SECTOR_BYTES);
    damage(scan, from, to, what);
    scan->harmless = true;
    return SCAN_DAMAGE;
}

/* Behind a write's last block there are zeroes up to the sector's end. */
static enum scan_verdict
skip_padding(struct journal_scan *scan)
{
    uint64_t from = scan->offset, to = journal_next_sector(from);
    const uint8_t *bytes;
    int64_t there = journal_window_load(scan, from, to - from, &bytes);

    assert(!scan->within && to - from < DISK_SECTOR_BYTES);
    scan->offset = to;
    if (there >= (int64_t)(to - from) && all_zero(bytes, to - from))
        return SCAN_BLOCK;
    return harmless_damage(scan, from, to, "bytes behind a write's last block are not zero (nothing is lost)");
}

/* Steps over padding and from file to file. */
static enum scan_verdict
settle(struct journal_scan *scan, bool *settled)
{
    assert(!scan->ended && scan->index <= scan->count);
    assert(!scan->opened || scan->file.number == scan->numbers[scan->index]);
    *settled = false;
    if (!scan->opened) {
        if (scan->index >= scan->count) {
            scan->ended = true;
            return SCAN_END;
        }
        if (open_file(scan, scan->index) != CAIRN_OK) {
            snprintf(scan->reason, sizeof(scan->reason), "%s", scan->disk->detail);
            return SCAN_FAILED;
        }
        if (scan->headless[scan->index] && scan->filled[scan->index] && scan->offset == DISK_SECTOR_BYTES)
            return harmless_damage(scan, 0, DISK_SECTOR_BYTES,
                                   "the file's first sector is not as it was written (nothing is lost)");
        return SCAN_BLOCK;
    }
    if (scan->ends[scan->index] != 0 && scan->offset >= scan->ends[scan->index]) {
        close_file(scan);
        scan->index++;
        scan->offset = DISK_SECTOR_BYTES;
        scan->within = false;
        return SCAN_BLOCK;
    }
    if (scan->offset % DISK_SECTOR_BYTES != 0 && !scan->within)
        return skip_padding(scan);
    *settled = true;
    return SCAN_BLOCK;
}

enum scan_verdict
journal_scan_next(struct journal_scan *scan)
{
    enum soundness sound;
    bool settled;

    do {
        enum scan_verdict verdict = scan->ended ? SCAN_END : settle(scan, &settled);

        if (scan->ended || verdict != SCAN_BLOCK)
            return verdict;
    } while (!settled);
    assert(scan->index >= scan->known_from);
    sound = journal_look(scan, scan->offset);
    if (sound == BLOCK_IMPLAUSIBLE)
        return implausible(scan, scan->offset);
    if (sound != BLOCK_SOUND)
        return judge(scan, scan->offset, sound);
    scan->place = journal_place(scan->file.number, (uint32_t)scan->offset);
    scan->offset += sizeof(*scan->head) + scan->head->body_bytes;
    scan->within = (scan->head->flags & JOURNAL_LAST) == 0;
    scan->end = journal_place(scan->file.number, (uint32_t)scan->offset);
    return SCAN_BLOCK;
}

enum cairn_error
journal_scan_tidy(struct journal_scan *scan)
{
    const struct disk_operations *operations = scan->disk->operations;
    uint64_t number = scan->end >> 32, offset = scan->end & UINT32_MAX;
    enum cairn_error error = CAIRN_OK;

    /* Nobody knows before what was cut off. */
    assert(scan->ended);
    close_file(scan);
    for (uint32_t i = 0; i < scan->count && error == CAIRN_OK; i++) {
        if (scan->numbers[i] > number || (scan->numbers[i] < number && scan->ends[i] == DISK_SECTOR_BYTES)) {
            error = operations->remove(scan->disk, scan->numbers[i]);
        } else if (scan->numbers[i] == number && (error = open_file(scan, i)) == CAIRN_OK) {
            error = operations->shrink(scan->disk, &scan->file, journal_next_sector(offset - 1));
            close_file(scan);
        }
    }
    return error;
}

void
journal_scan_seek(struct journal_scan *scan, uint64_t place)
{
    close_file(scan);
    scan->ended = false;
    /* Only the first block of a write stands at the beginning of a sector. */
    scan->within = place % DISK_SECTOR_BYTES != 0;
    for (scan->index = 0; scan->index < scan->count && scan->numbers[scan->index] < place >> 32; scan->index++)
        ;
    assert(scan->index >= scan->known_from);
    scan->offset = DISK_SECTOR_BYTES;
    /* No block stands in a file's head, whatever a checkpoint says. */
    if (scan->index < scan->count && scan->numbers[scan->index] == place >> 32 && (uint32_t)place > DISK_SECTOR_BYTES)
        scan->offset = (uint32_t)place;
}
