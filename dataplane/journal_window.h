/* The window that a scan of a journal looks through, and what is read ahead of it. */
#ifndef DATAPLANE_JOURNAL_WINDOW_H
#define DATAPLANE_JOURNAL_WINDOW_H

#include "dataplane/journal_scan.h"

/* Loads what is needed of [offset, offset + size_bytes) of the file; returns how much of it there is, negative: why it cannot be read. */
int64_t journal_window_load(struct journal_scan *scan, uint64_t offset, size_t size_bytes, const uint8_t **out);
/* What is being read ahead is waited for, and is not wanted. How much it was. */
int64_t journal_window_drop(struct journal_scan *scan);

#endif
