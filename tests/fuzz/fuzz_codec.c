/* Hostile bytes on a port: the frame around a message, and the message. The input is tried as it is and,
 * so that the depths are reached, with the checksum made right. */
/* fuzz: dataplane/codec.c:decode_small,records_fit,entries_sane,decode_entries,decode_base,decode_producers,decode_heartbeat,decode_body,header_intact,codec_decode */
/* fuzz: dataplane/frame.c:payload_of,frame_open,frame_is_from */
/* fuzz: dataplane/neighbour.c */
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "crc32c.h"
#include "frame.h"
#include "neighbour.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(const uint8_t *bytes, size_t size)
{
    static const struct codec receiver = {
        .hello = 7, .incarnation = 1, .self = 2, .worker = 0, .peers = {7, 1ull << 32 | 7, 0, 7}};
    struct decoded decoded;

    if (codec_decode(&receiver, 1, bytes, size, &decoded) != CODEC_OK)
        return;
    /* What is promised of a good one: pointers stay inside. */
    if (decoded.records_bytes > 0 &&
        (decoded.records < bytes || decoded.records + decoded.records_bytes > bytes + size))
        abort();
    if (decoded.type == CODEC_HEARTBEAT && decoded.heartbeat.rows > 0 &&
        (const uint8_t *)(decoded.rows + decoded.heartbeat.rows) > bytes + size)
        abort();
}

static void
decode_mended(const uint8_t *data, size_t size)
{
    struct wire_header header;
    uint8_t *bytes = malloc(size);

    memcpy(bytes, data, size);
    memcpy(&header, bytes, sizeof(header));
    header.version = CODEC_VERSION;
    header.from = 1;
    header.to = 2;
    header.identity = 7;
    header.incarnation = 1;
    header.worker = 0;
    header.crc32c = 0;
    memcpy(bytes, &header, sizeof(header));
    if (header.flags & WIRE_COVERED || sizeof(header) + header.body_bytes <= size)
        header.crc32c = crc32c(0, bytes,
                               header.flags & WIRE_COVERED ? size : sizeof(header) + (size_t)header.body_bytes);
    memcpy(bytes, &header, sizeof(header));
    decode(bytes, size);
    free(bytes);
}

/* ARP and ping: an answer goes back where the question came from. */
static void
answer(const uint8_t *data, size_t size)
{
    struct frame_template host;
    uint8_t *frame = malloc(size + 1);

    frame_template_init(&host, 2, 1, 0);
    memcpy(frame, data, size);
    if (neighbour_answer(&host, frame, size) && memcmp(frame, data + 6, 6) != 0)
        abort();
    free(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_template own;
    const uint8_t *payload;
    size_t payload_bytes;

    frame_template_init(&own, 2, 1, 0);
    if (frame_open(&own, data, size, &payload, &payload_bytes) == FRAME_OK)
        decode(payload, payload_bytes);
    answer(data, size);
    decode(data, size);
    if (size >= sizeof(struct wire_header))
        decode_mended(data, size);
    return 0;
}
