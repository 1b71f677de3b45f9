/* The window that a scan of a journal looks through, and what is read ahead of it. */
#include "dataplane/journal_window.h"

#include <assert.h>
#include <string.h>

/* What is loaded lies in its buffer, and comes from whole sectors. */
static void
assert_window(const struct journal_scan *scan)
{
    const uint8_t *buffer = scan->buffers[scan->current];

    assert(scan->window_from % DISK_SECTOR_BYTES == 0);
    assert(scan->window_bytes == 0 || scan->window >= buffer);
    assert(scan->window_bytes == 0 ||
           scan->window + scan->window_bytes <= buffer + scan->headroom_bytes + scan->room_bytes);
}

static uint64_t
window_end(const struct journal_scan *scan)
{
    return scan->window_from + scan->window_bytes;
}

static void
read_ahead(struct journal_scan *scan)
{
    uint64_t from = window_end(scan);

    if (!scan->streaming || from >= scan->file.size_bytes || from % DISK_SECTOR_BYTES != 0)
        return;
    assert(!scan->ahead);
    scan->disk->operations->read_begin(scan->disk, &scan->file, scan->buffers[!scan->current] + scan->headroom_bytes,
                                       scan->room_bytes, from);
    scan->ahead = true;
}

int64_t
journal_window_drop(struct journal_scan *scan)
{
    assert(scan->ahead && scan->opened);
    scan->ahead = false;
    return scan->disk->operations->read_end(scan->disk);
}

/* The window from there on, and what was read ahead behind it. false: it is not that which is wanted. */
static bool
go_ahead(struct journal_scan *scan, uint64_t from)
{
    int64_t got = scan->ahead ? journal_window_drop(scan) : 0;
    uint8_t *bytes = scan->buffers[!scan->current] + scan->headroom_bytes;
    size_t rest_bytes;

    if (got <= 0 || from < scan->window_from || from > window_end(scan) ||
        window_end(scan) - from > scan->headroom_bytes)
        return false;
    rest_bytes = window_end(scan) - from;
    memcpy(bytes - rest_bytes, scan->window + (from - scan->window_from), rest_bytes);
    scan->current = !scan->current;
    scan->window = bytes - rest_bytes;
    scan->window_from = from;
    scan->window_bytes = rest_bytes + (size_t)got;
    scan->read_bytes += (uint64_t)got;
    assert_window(scan);
    return true;
}

static int64_t
read_window(struct journal_scan *scan, uint64_t from, size_t size_bytes)
{
    int64_t got;

    assert(!scan->ahead);
    assert(size_bytes > 0 && size_bytes <= scan->room_bytes);
    scan->window = scan->buffers[scan->current] + scan->headroom_bytes;
    got = scan->disk->operations->read(scan->disk, &scan->file, scan->window, size_bytes, from);
    scan->window_from = from;
    scan->window_bytes = got < 0 ? 0 : (size_t)got;
    if (got > 0)
        scan->read_bytes += (uint64_t)got;
    assert_window(scan);
    return got;
}

int64_t
journal_window_load(struct journal_scan *scan, uint64_t offset, size_t size_bytes, const uint8_t **out)
{
    uint64_t from = offset & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
    size_t step_bytes = offset - from + size_bytes > scan->step_bytes ? scan->room_bytes : scan->step_bytes;
    int64_t got = 0;

    assert(scan->opened && size_bytes > 0);
    *out = scan->window;
    if (offset < scan->window_from || offset + size_bytes > window_end(scan)) {
        if (!go_ahead(scan, from) || offset + size_bytes > window_end(scan))
            got = read_window(scan, from, step_bytes < scan->room_bytes ? step_bytes : scan->room_bytes);
        if (got < 0)
            return got;
        read_ahead(scan);
    }
    assert(scan->window_from <= offset);
    *out = scan->window + (offset - scan->window_from);
    if (offset >= scan->window_from + scan->window_bytes)
        return 0;
    return (int64_t)(scan->window_from + scan->window_bytes - offset);
}
