#include "node/worker/repeat.h"

#include <assert.h>
#include <string.h>

enum repeat
repeat_compare(const struct store *store, uint64_t position, const struct record *record)
{
    struct cursor cursor = {.position = position};
    const struct record *held;
    struct stretch stretch;

    if (position == 0 || !store_look(store, &cursor, position, 1, SIZE_MAX, &stretch) || stretch.first != position)
        return REPEAT_UNSEEN;
    held = (const struct record *)(const void *)stretch.records;
    assert(record_size(held) == stretch.size_bytes);
    /* Its place was reckoned, not found. */
    if (held->producer != record->producer || held->producer_seq != record->producer_seq ||
        held->epoch != record->epoch)
        return REPEAT_UNSEEN;
    if (held->crc32c != record->crc32c || record_size(held) != record_size(record) ||
        memcmp(held, record, record_size(record)) != 0)
        return REPEAT_OTHER;
    return REPEAT_SAME;
}
