#include "wire/record.h"

#include <assert.h>
#include <string.h>

#include "wire/crc32c.h"

#define CRC_FROM offsetof(struct record, producer)
_Static_assert(CRC_FROM == offsetof(struct record, crc32c) + sizeof(uint32_t), "all that follows it");

static inline uint32_t
checksum(const struct record *record)
{
    size_t bytes = sizeof(*record) - CRC_FROM + record->key_bytes + record->payload_bytes;

    /* Measured before. */
    assert_costly(bytes + CRC_FROM <= RECORD_BYTES_MAX);
    return crc32c(0, (const uint8_t *)record + CRC_FROM, bytes);
}

void
record_build(struct record *out, const struct record *head, const void *key, const void *payload)
{
    uint8_t *at = (uint8_t *)(out + 1);
    size_t bytes = record_size(head);

    assert(head->payload_bytes <= CAIRN_PAYLOAD_BYTES_MAX && head->key_bytes <= CAIRN_KEY_BYTES_MAX);
    *out = *head;
    if (head->key_bytes > 0)
        memcpy(at, key, head->key_bytes);
    if (head->payload_bytes > 0)
        memcpy(at + head->key_bytes, payload, head->payload_bytes);
    at += head->key_bytes + head->payload_bytes;
    memset(at, 0, (size_t)((uint8_t *)out + bytes - at));
    out->crc32c = checksum(out);
    assert_costly(record_measure(out, bytes) == bytes && record_intact(out));
}

size_t
record_measure(const void *bytes, size_t size_bytes)
{
    struct record head;
    size_t size;

    if (size_bytes < sizeof(head))
        return 0;
    memcpy(&head, bytes, sizeof(head));
    if (head.payload_bytes > CAIRN_PAYLOAD_BYTES_MAX || head.key_bytes > CAIRN_KEY_BYTES_MAX)
        return 0;
    size = record_size(&head);
    return size <= size_bytes ? size : 0;
}

/* The checksum says nothing of padding, and a repeat is compared with all of what is held. */
static bool
is_padded(const struct record *record)
{
    const uint32_t used = record->key_bytes + record->payload_bytes, into = used % sizeof(uint64_t);
    uint64_t last;

    if (into == 0)
        return true;
    assert_costly(sizeof(*record) + used - into + sizeof(last) == record_size(record));
    memcpy(&last, (const uint8_t *)(record + 1) + used - into, sizeof(last));
    return last >> into * 8 == 0;
}

bool
record_intact(const struct record *record)
{
    return is_padded(record) && record->crc32c == checksum(record);
}
