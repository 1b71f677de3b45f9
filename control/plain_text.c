#include "control/plain_text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS "..."
#define ESCAPE_BYTES 16u /* of a character of four bytes, each \xNN */

/* How many bytes a character has that begins so. *least: the lowest that may be written in as many. */
static size_t
rune_bytes(unsigned char first, uint32_t *least)
{
    static const uint32_t leasts[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = first < 0x80 ? 1 : first >> 5 == 0x6 ? 2 : first >> 4 == 0xe ? 3 : first >> 3 == 0x1e ? 4 : 0;

    *least = leasts[size];
    return size;
}

size_t
plain_text_rune(const char *text, size_t text_bytes, uint32_t *rune)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t least, value;
    size_t size;

    if (text_bytes == 0)
        return 0;
    size = rune_bytes(bytes[0], &least);
    if (size == 0 || size > text_bytes)
        return 0;
    value = bytes[0] & first_bits[size];
    for (size_t i = 1; i < size; i++) {
        if (bytes[i] >> 6 != 0x2)
            return 0;
        value = value << 6 | (bytes[i] & 0x3f);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *rune = value;
    assert(size >= 1 && size <= text_bytes);
    return size;
}

bool
plain_text_is_control(uint32_t rune)
{
    return rune < 0x20 || (rune >= 0x7f && rune < 0xa0) || rune == 0x2028 || rune == 0x2029 || rune == 0xfeff ||
           rune == 0xfffe || rune == 0xffff;
}

bool
plain_text_is_clean(const char *text, size_t text_bytes)
{
    for (size_t at = 0, size; at < text_bytes; at += size) {
        uint32_t rune;

        size = plain_text_rune(text + at, text_bytes - at, &rune);
        if (size == 0 || plain_text_is_control(rune))
            return false;
    }
    return true;
}

/* One character, or one byte that is none, as it is shown. Returns how many bytes of the text it took. */
static size_t
show_next(const char *text, size_t text_bytes, char shown[ESCAPE_BYTES + 1])
{
    uint32_t rune;
    size_t size = plain_text_rune(text, text_bytes, &rune);
    bool clean = size > 0 && !plain_text_is_control(rune);

    if (size == 0)
        size = 1;
    assert(4 * size <= ESCAPE_BYTES && size <= text_bytes);
    if (clean) {
        memcpy(shown, text, size);
        shown[size] = '\0';
    } else if (text[0] == '\n') {
        memcpy(shown, "\\n", sizeof("\\n"));
    } else {
        for (size_t i = 0; i < size; i++)
            snprintf(shown + 4 * i, ESCAPE_BYTES + 1 - 4 * i, "\\x%02x", (unsigned char)text[i]);
    }
    return size;
}

void
plain_text_show(const char *text, size_t text_bytes, char *out, size_t out_bytes)
{
    size_t used = 0, fitting = 0; /* fitting: what stays where not all fits, and dots follow */

    assert(out_bytes >= sizeof(ELLIPSIS));
    for (size_t at = 0; at < text_bytes;) {
        char shown[ESCAPE_BYTES + 1];

        at += show_next(text + at, text_bytes - at, shown);
        assert(at <= text_bytes && fitting + sizeof(ELLIPSIS) <= out_bytes);
        if (used + strlen(shown) >= out_bytes) {
            memcpy(out + fitting, ELLIPSIS, sizeof(ELLIPSIS));
            return;
        }
        memcpy(out + used, shown, strlen(shown));
        used += strlen(shown);
        if (used + sizeof(ELLIPSIS) <= out_bytes)
            fitting = used;
    }
    assert(fitting <= used && used < out_bytes);
    out[used] = '\0';
}
