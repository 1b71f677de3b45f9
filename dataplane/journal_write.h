/* A write of the journal, while it is filled: what journal.c and journal_files.c share. */
#ifndef DATAPLANE_JOURNAL_WRITE_H
#define DATAPLANE_JOURNAL_WRITE_H

#include "crc32c.h"
#include "journal.h"

static inline uint32_t
journal_aligned(uint32_t size_bytes)
{
    return (size_bytes + DISK_SECTOR_BYTES - 1) & ~(DISK_SECTOR_BYTES - 1);
}

static inline struct journal_write *
journal_filling(struct journal *journal)
{
    return &journal->writes[journal->tail % JOURNAL_WRITES_MAX];
}

static inline void
journal_seal(struct journal_block *head)
{
    head->head_crc32c = crc32c(0, &head->file, sizeof(*head) - offsetof(struct journal_block, file));
}

/* So that a reader misses what a damaged sector held at the end of a write. */
static inline void
journal_mark_last(struct journal_write *write, bool last)
{
    struct journal_block *head = (struct journal_block *)(void *)(write->bytes + write->last_bytes);

    head->flags = (uint8_t)(last ? head->flags | JOURNAL_LAST : head->flags & ~JOURNAL_LAST);
    journal_seal(head);
}

#endif
