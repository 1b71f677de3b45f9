/* What stands at a place of a journal: a block that is whole, the trace of one, or nothing. And where the next one that is
 * whole begins. */
#ifndef DATAPLANE_JOURNAL_LOOK_H
#define DATAPLANE_JOURNAL_LOOK_H

#include "dataplane/journal.h"

struct journal_scan;

/* What bytes at a place are. */
enum soundness {
    BLOCK_SOUND,
    BLOCK_NOTHING,
    BLOCK_STALE,
    BLOCK_BAD_HEAD,
    BLOCK_BAD_BODY,
    BLOCK_CUT,
    BLOCK_IMPLAUSIBLE, /* whole, and says what cannot be */
};

/* Whole, and of this place? For whoever has bytes of a journal in hand. */
bool journal_block_sound(const void *bytes, size_t size_bytes, uint64_t place, uint32_t cluster);

/* Looks at the open file; of a block whose header can be trusted scan->head is that. A part of the file that cannot be read
 * counts as damaged: others may still be. */
enum soundness journal_look(struct journal_scan *scan, uint64_t offset);
/* For people. */
const char *journal_what_is_wrong(enum soundness sound);

uint64_t journal_next_sector(uint64_t offset);
/* Where the block after the one at offset begins: behind it or, where that ends its write, at the next sector. */
uint64_t journal_behind(const struct journal_block *head, uint64_t offset);
/* The next block that is whole, at or behind offset and before end; end: there is none. Only the beginnings of
 * writes and what follows a known header can be found. */
uint64_t journal_find_sound(struct journal_scan *scan, uint64_t offset, uint64_t end);
/* Was anything at or behind `from` durable when something at or behind `at` was written? */
bool journal_was_durable(struct journal_scan *scan, uint64_t from, uint64_t at, uint64_t end);

#endif
