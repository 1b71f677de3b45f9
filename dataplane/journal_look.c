#include "dataplane/journal_look.h"

#include <assert.h>
#include <string.h>

#include "dataplane/journal_scan.h"
#include "dataplane/journal_window.h"
#include "wire/crc32c.h"

static enum soundness
look_at_head(const struct journal_block *head, uint64_t place, uint32_t cluster, uint64_t rest_bytes)
{
    /* Before the next write begins there may be as little padding as this. */
    if (head->magic == 0 && head->head_crc32c == 0)
        return BLOCK_NOTHING;
    if (head->magic != JOURNAL_BLOCK_MAGIC ||
        head->head_crc32c != crc32c(0, &head->file, sizeof(*head) - offsetof(struct journal_block, file)))
        return BLOCK_BAD_HEAD;
    /* What the file held when it had a lower number. */
    if (head->file < place >> 32 && head->offset_bytes == (uint32_t)place && head->cluster == cluster)
        return BLOCK_NOTHING;
    if (journal_place(head->file, head->offset_bytes) != place || (cluster != 0 && head->cluster != cluster))
        return BLOCK_STALE;
    if (head->body_bytes % 8 != 0 || head->body_bytes > rest_bytes - sizeof(*head))
        return BLOCK_CUT;
    return journal_head_plausible(head) ? BLOCK_SOUND : BLOCK_IMPLAUSIBLE;
}

static enum soundness
look_at_body(const struct journal_block *head, const void *body)
{
    if (head->body_crc32c != crc32c(0, body, head->body_bytes))
        return BLOCK_BAD_BODY;
    return journal_body_plausible(head, body) ? BLOCK_SOUND : BLOCK_IMPLAUSIBLE;
}

bool
journal_block_sound(const void *bytes, size_t size_bytes, uint64_t place, uint32_t cluster)
{
    const struct journal_block *head = bytes;

    return size_bytes >= sizeof(*head) && look_at_head(head, place, cluster, size_bytes) == BLOCK_SOUND &&
           look_at_body(head, head + 1) == BLOCK_SOUND;
}

enum soundness
journal_look(struct journal_scan *scan, uint64_t offset)
{
    const uint8_t *bytes;
    int64_t there = journal_window_load(scan, offset, sizeof(struct journal_block), &bytes);
    uint64_t place = journal_place(scan->file.number, (uint32_t)offset);
    enum soundness sound;

    /* No block stands in a file's head. */
    assert(scan->opened && offset >= DISK_SECTOR_BYTES);
    if (there < 0)
        return BLOCK_BAD_HEAD;
    if (there < (int64_t)sizeof(struct journal_block))
        return BLOCK_NOTHING;
    sound = look_at_head((const struct journal_block *)(const void *)bytes, place, scan->cluster,
                         scan->file.size_bytes - offset);
    if (sound == BLOCK_SOUND || sound == BLOCK_IMPLAUSIBLE)
        scan->head = (const struct journal_block *)(const void *)bytes;
    if (sound != BLOCK_SOUND)
        return sound;
    there = journal_window_load(scan, offset, sizeof(*scan->head) + scan->head->body_bytes, &bytes);
    scan->head = (const struct journal_block *)(const void *)bytes;
    if (there < (int64_t)(sizeof(*scan->head) + scan->head->body_bytes))
        return there < 0 ? BLOCK_BAD_HEAD : BLOCK_CUT;
    scan->body = (const uint8_t *)(scan->head + 1);
    return look_at_body(scan->head, scan->body);
}

uint64_t
journal_next_sector(uint64_t offset)
{
    return (offset / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
}

uint64_t
journal_behind(const struct journal_block *head, uint64_t offset)
{
    uint64_t end = offset + sizeof(*head) + head->body_bytes;

    /* Reading comes to its end. */
    assert(end > offset && journal_next_sector(end - 1) >= end);
    return head->flags & JOURNAL_LAST ? journal_next_sector(end - 1) : end;
}

uint64_t
journal_find_sound(struct journal_scan *scan, uint64_t offset, uint64_t end)
{
    /* A file may be shorter than another says, by as much as can be said. */
    uint64_t there = end < scan->file.size_bytes ? end : scan->file.size_bytes;

    while (offset < there && journal_look(scan, offset) != BLOCK_SOUND)
        offset = journal_next_sector(offset);
    return offset < there ? offset : end;
}

bool
journal_was_durable(struct journal_scan *scan, uint64_t from, uint64_t at, uint64_t end)
{
    uint64_t place = journal_place(scan->file.number, (uint32_t)from);

    assert(scan->opened);
    while ((at = journal_find_sound(scan, at, end)) < end) {
        if (scan->head->durable > place)
            return true;
        at = journal_behind(scan->head, at);
    }
    return false;
}

const char *
journal_what_is_wrong(enum soundness sound)
{
    static const char *const texts[] = {
        [BLOCK_SOUND] = "",
        [BLOCK_NOTHING] = "nothing is there where a block should be",
        [BLOCK_STALE] = "a block that belongs to another place",
        [BLOCK_BAD_HEAD] = "a block's header does not match its checksum",
        [BLOCK_BAD_BODY] = "a block's records do not match their checksum",
        [BLOCK_CUT] = "a block that is longer than its file",
        [BLOCK_IMPLAUSIBLE] = "a block, whole, of numbers that cannot be: none that cairn has written",
    };

    assert(sound != BLOCK_SOUND);
    return texts[sound];
}
