/* CRC32C (RFC 3720, B.4). ISA-L is fastest from some 150 bytes on; most headers and small records are
 * shorter, and there the CPU's own instruction, inline, takes half to three quarters of its time
 * (bench/micro.c). */
#ifndef WIRE_CRC32C_H
#define WIRE_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <isa-l.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

#define CRC32C_SHORT_BYTES 160u

/* Goes on from crc (0 to begin with) over bytes; the whole is inverted once at the start and the end,
 * as the standard has it. */
static inline uint32_t
crc32c(uint32_t crc, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;

    crc = ~crc;
#ifdef __SSE4_2__
    if (size_bytes <= CRC32C_SHORT_BYTES) {
        uint64_t wide = crc, word;

        for (; size_bytes >= sizeof(word); size_bytes -= sizeof(word), at += sizeof(word)) {
            memcpy(&word, at, sizeof(word));
            wide = _mm_crc32_u64(wide, word);
        }
        crc = (uint32_t)wide;
        for (; size_bytes > 0; size_bytes--)
            crc = _mm_crc32_u8(crc, *at++);
        return ~crc;
    }
#endif
    return ~crc32_iscsi((unsigned char *)(uintptr_t)at, (int)size_bytes, crc);
}

#endif
