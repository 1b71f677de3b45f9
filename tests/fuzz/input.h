/* What a fuzzer's bytes are read as, from the first to the last; behind the last there are zeroes. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdint.h>
#include <string.h>

#include "replication/plausible.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static inline size_t
draw_bytes(struct input *input, void *out, size_t bytes)
{
    if (bytes > input->left)
        bytes = input->left;
    if (bytes > 0)
        memcpy(out, input->at, bytes);
    input->at += bytes;
    input->left -= bytes;
    return bytes;
}

static inline uint64_t
draw(struct input *input, size_t bytes)
{
    uint64_t value = 0;

    draw_bytes(input, &value, bytes);
    return value;
}

/* Any of 64 bits; small ones, which go together, and limits more often than others. */
static inline uint64_t
number(struct input *input)
{
    static const uint64_t limits[] = {TERM_MAX, LSN_MAX,    SEQ_MAX,        LIFE_MAX,       TERM_STEP_MAX,
                                      HLC_MAX,  1ull << 63, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
    uint8_t kind = (uint8_t)draw(input, 1);

    if (kind < 160)
        return kind % 40;
    if (kind < 220)
        return draw(input, 2);
    if (kind < 240)
        return draw(input, 8);
    return limits[kind % (sizeof(limits) / sizeof(*limits))] - draw(input, 1);
}

#endif
