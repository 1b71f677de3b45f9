/* The journal's next file is made before it is needed, and a reserve is kept for starts without space. */
#include "dataplane/journal.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/journal_write.h"
#include "wire/crc32c.h"

/* For starts without space: a file for this one, and as much again for the next; and what a node acknowledged alone, which a
 * start writes to its branch. */
#define RESERVE_BYTES (4u << 20)
#define RESERVE_BYTES_MIN (64u << 10)
/* No reserve takes the last of a disk: a start writes small files beside the journal too. */
#define LEFT_BYTES (256u << 10)

_Static_assert(RESERVE_BYTES % DISK_SECTOR_BYTES == 0 && RESERVE_BYTES_MIN % DISK_SECTOR_BYTES == 0, "whole sectors");
_Static_assert(RESERVE_BYTES >= 2 * RESERVE_BYTES_MIN, "a start leaves as much for the next");

static void
write_head(const struct journal *journal, uint64_t number, uint64_t size_bytes, uint8_t *sector)
{
    struct journal_head *head = (struct journal_head *)(void *)sector;

    assert(number > 0);
    assert(size_bytes % DISK_SECTOR_BYTES == 0 && size_bytes > DISK_SECTOR_BYTES);
    memset(sector, 0, DISK_SECTOR_BYTES);
    *head = (struct journal_head){
        .magic = JOURNAL_MAGIC,
        .version = JOURNAL_VERSION,
        .cluster = journal->config.cluster,
        .incarnation = journal->config.incarnation,
        .number = number,
        .size_bytes = size_bytes,
        .node = journal->config.node,
        .worker = journal->config.worker,
        .doubtful = atomic_load_explicit(&journal->doubtful, memory_order_relaxed),
        .cluster_id = journal->config.cluster_id,
        .life = journal->config.life,
    };
    head->crc32c = crc32c(0, &head->cluster, sizeof(*head) - offsetof(struct journal_head, cluster));
}

static void
next_is_made(struct journal *journal, bool reserved)
{
    /* The worker has taken the one before. */
    assert(!atomic_load_explicit(&journal->next_ready, memory_order_relaxed));
    assert(journal->next.number == journal->next_number);
    assert(reserved || journal->next.size_bytes == journal->config.file_bytes);
    journal->next_number++;
    journal->next_reserved = reserved;
    atomic_store_explicit(&journal->next_ready, true, memory_order_release);
}

/* Whole sectors that a reserve may take, as far as it needs them. */
static uint64_t
free_bytes(const struct journal *journal)
{
    uint64_t free_bytes = journal->config.disk->operations->free_bytes(journal->config.disk);

    free_bytes -= free_bytes < LEFT_BYTES ? free_bytes : LEFT_BYTES;
    return (free_bytes < RESERVE_BYTES ? free_bytes : RESERVE_BYTES) & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
}

/* A reserve that a start without space has made smaller grows again when there is some. */
static void
grow_reserve(struct journal *journal)
{
    struct disk *disk = journal->config.disk;

    if (journal->reserved_bytes != 0 && journal->reserved_bytes + free_bytes(journal) >= RESERVE_BYTES &&
        journal->reserved_bytes < RESERVE_BYTES)
        disk->operations->reserve(disk, RESERVE_BYTES, &journal->reserved_bytes);
}

static void
make_next(struct journal *journal)
{
    _Alignas(DISK_SECTOR_BYTES) uint8_t sector[DISK_SECTOR_BYTES];
    struct disk *disk = journal->config.disk;
    enum cairn_error error;

    if (atomic_load_explicit(&journal->next_ready, memory_order_acquire))
        return;
    write_head(journal, journal->next_number, journal->config.file_bytes, sector);
    error = disk->operations->create(disk, journal->next_number, journal->config.file_bytes, sector, &journal->next);
    atomic_store_explicit(&journal->no_space, error != CAIRN_OK, memory_order_relaxed);
    if (error != CAIRN_OK) {
        snprintf(journal->no_space_detail, sizeof(journal->no_space_detail), "%s", disk->detail);
        return;
    }
    next_is_made(journal, false);
    grow_reserve(journal);
}

bool
journal_open_reserve(struct journal *journal)
{
    struct disk *disk = journal->config.disk;
    uint64_t size_bytes = 0, rest_bytes = free_bytes(journal);

    assert(!atomic_load(&journal->next_ready));
    assert(journal->file.handle < 0 && !journal_busy(journal));
    if (disk->operations->reserve(disk, 0, &size_bytes) != CAIRN_OK || size_bytes < RESERVE_BYTES_MIN)
        return false;
    if (rest_bytes < size_bytes && size_bytes >= 2 * RESERVE_BYTES_MIN)
        size_bytes = (size_bytes + rest_bytes) / 2;
    /* Whoever took some of it away may have left part of a sector. */
    size_bytes &= ~(uint64_t)(DISK_SECTOR_BYTES - 1);
    if (disk->operations->open_reserved(disk, journal->next_number, size_bytes, &journal->next) != CAIRN_OK) {
        snprintf(journal->no_space_detail, sizeof(journal->no_space_detail), "%s", disk->detail);
        return false;
    }
    next_is_made(journal, true);
    return true;
}

/* What was put is on the disk as if it had been submitted. */
static void
wrote_reserve(struct journal *journal)
{
    struct journal_write *write = journal_filling(journal);

    assert(write->size_bytes > 0 && write->offset_bytes == DISK_SECTOR_BYTES);
    write->submitted = write->done = true;
    journal->offset_bytes += journal_aligned(write->size_bytes);
    journal->tail++;
    journal_filling(journal)->size_bytes = 0;
}

bool
journal_name_reserve(struct journal *journal, uint64_t former_end)
{
    _Alignas(DISK_SECTOR_BYTES) uint8_t sector[DISK_SECTOR_BYTES];
    struct disk *disk = journal->config.disk;
    struct journal_write *write = journal_filling(journal);
    const struct disk_file *file = write->size_bytes > 0 ? &journal->file : &journal->next;
    uint32_t content_bytes = journal_aligned(write->size_bytes);

    assert(journal->head == journal->tail);
    assert(write->size_bytes > 0 ? journal->file_reserved : journal->next_reserved);
    assert(file->number > former_end >> 32 && DISK_SECTOR_BYTES + content_bytes <= file->size_bytes);
    if (content_bytes > 0) {
        struct journal_block *begin = (struct journal_block *)(void *)write->bytes;

        assert(begin->type == JOURNAL_BEGIN);
        begin->block.first_lsn = former_end >> 32;
        begin->block.first_seq = former_end & UINT32_MAX;
        journal_seal(begin);
        journal_mark_last(write, true);
        memset(write->bytes + write->size_bytes, 0, content_bytes - write->size_bytes);
    }
    write_head(journal, file->number, file->size_bytes, sector);
    if (disk->operations->name_reserved(disk, file, sector, write->bytes, content_bytes) != CAIRN_OK)
        return false;
    journal->reserved_bytes = 0;
    if (content_bytes > 0)
        wrote_reserve(journal);
    journal_assert(journal);
    return true;
}

/* As large as it can be had, but not so small that it is of no use. */
static void
make_reserve(struct journal *journal)
{
    struct disk *disk = journal->config.disk;
    uint64_t want_bytes = journal->reserved_bytes == 0 ? free_bytes(journal) : 0;

    while (journal->reserved_bytes == 0 && want_bytes >= RESERVE_BYTES_MIN) {
        assert(want_bytes % DISK_SECTOR_BYTES == 0 && want_bytes <= RESERVE_BYTES);
        disk->operations->reserve(disk, want_bytes, &journal->reserved_bytes);
        want_bytes = want_bytes / 4 * 3 & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
    }
}

/* One at a time: removing a large file takes a while. */
static void
retire_oldest(struct journal *journal)
{
    struct disk *disk = journal->config.disk;

    if (journal->oldest_number >= atomic_load_explicit(&journal->keep_number, memory_order_acquire))
        return;
    /* What is written to, or will be next, is never among them. */
    assert(journal->oldest_number < journal->next_number);
    /* Numbers that no file has are passed over. */
    disk->operations->retire(disk, journal->oldest_number++);
}

void
journal_maintain(struct journal *journal)
{
    retire_oldest(journal);
    make_reserve(journal);
    make_next(journal);
}
