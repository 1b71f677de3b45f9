/* A write of the journal, while it is filled: what journal.c and journal_files.c share. */
#ifndef DATAPLANE_JOURNAL_WRITE_H
#define DATAPLANE_JOURNAL_WRITE_H

#include "assert_costly.h"
#include "dataplane/journal.h"
#include "wire/crc32c.h"

/* What holds between any two calls. */
static inline void
journal_assert(const struct journal *journal)
{
    const struct journal_write *write = &journal->writes[journal->tail % JOURNAL_WRITES_MAX];

    assert_costly(journal->tail - journal->head < JOURNAL_WRITES_MAX);
    assert_costly(journal->failed == (journal->failure != 0));
    assert_costly(journal->offset_bytes % DISK_SECTOR_BYTES == 0 && journal->zeroing_from % DISK_SECTOR_BYTES == 0);
    assert_costly(write->size_bytes <= journal->config.write_bytes && write->items_count <= journal->config.items_max);
    if (journal->file.handle < 0)
        return;
    assert_costly(journal->offset_bytes >= DISK_SECTOR_BYTES && journal->offset_bytes <= journal->file.size_bytes);
    assert_costly(journal->durable <= journal_place(journal->file.number, journal->offset_bytes));
    assert_costly(journal->former_end < journal_place(journal->file.number, 0));
    assert_costly(journal->zeroing_from == 0 || journal->zeroing_from < journal->file.size_bytes);
}

static inline uint32_t
journal_aligned(uint32_t size_bytes)
{
    return (size_bytes + DISK_SECTOR_BYTES - 1) & ~(DISK_SECTOR_BYTES - 1);
}

static inline struct journal_write *
journal_filling(struct journal *journal)
{
    assert_costly(journal->tail - journal->head < JOURNAL_WRITES_MAX);
    return &journal->writes[journal->tail % JOURNAL_WRITES_MAX];
}

static inline void
journal_seal(struct journal_block *head)
{
    assert_costly(head->magic == JOURNAL_BLOCK_MAGIC && head->body_bytes % 8 == 0);
    head->head_crc32c = crc32c(0, &head->file, sizeof(*head) - offsetof(struct journal_block, file));
}

/* So that a reader misses what a damaged sector held at the end of a write. */
static inline void
journal_mark_last(struct journal_write *write, bool last)
{
    struct journal_block *head = (struct journal_block *)(void *)(write->bytes + write->last_bytes);

    assert_costly(write->last_bytes + sizeof(*head) + head->body_bytes == write->size_bytes);
    head->flags = (uint8_t)(last ? head->flags | JOURNAL_LAST : head->flags & ~JOURNAL_LAST);
    journal_seal(head);
}

#endif
