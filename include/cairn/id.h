/* Identities as text: 32 hexadecimal digits. Any thread, constant time. */
#ifndef CAIRN_ID_H
#define CAIRN_ID_H

#include <stddef.h>
#include <string.h>

#include "cairn/types.h"

#define CAIRN_ID_TEXT_BYTES 33u

static inline bool
cairn_id_equal(const struct cairn_id *left, const struct cairn_id *right)
{
    return memcmp(left->bytes, right->bytes, sizeof(left->bytes)) == 0;
}

/* All zero is nobody's. */
static inline bool
cairn_id_is_set(const struct cairn_id *id)
{
    const struct cairn_id none = {{0}};

    return !cairn_id_equal(id, &none);
}

/* 32 digits in lower case and a NUL. */
static inline void
cairn_id_text(const struct cairn_id *id, char out[CAIRN_ID_TEXT_BYTES])
{
    for (size_t i = 0; i < sizeof(id->bytes); i++) {
        out[2 * i] = "0123456789abcdef"[id->bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[id->bytes[i] & 15];
    }
    out[CAIRN_ID_TEXT_BYTES - 1] = '\0';
}

/* The reverse, of exactly that; false, and *out untouched: it is something else. */
static inline bool
cairn_id_parse(const char *text, struct cairn_id *out)
{
    static const char digits[] = "0123456789abcdef";
    struct cairn_id id;

    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        const char *high = text[2 * i] == '\0' ? NULL : strchr(digits, text[2 * i]);
        const char *low = high == NULL || text[2 * i + 1] == '\0' ? NULL : strchr(digits, text[2 * i + 1]);

        if (low == NULL)
            return false;
        id.bytes[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    if (text[CAIRN_ID_TEXT_BYTES - 1] != '\0')
        return false;
    *out = id;
    return true;
}

#endif
