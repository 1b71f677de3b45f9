/* Hostile bytes on a port: the frame around a message, and the message. The input is tried as it is and,
 * so that the depths are reached, with the checksum made right. */
/* fuzz: dataplane/codec.c:decode_small,records_fit,entries_sane,decode_entries,decode_base,decode_producers,decode_heartbeat,decode_body,header_intact,codec_decode */
/* fuzz: dataplane/frame.c:payload_of,frame_open,frame_is_from */
/* fuzz: dataplane/neighbour.c */
#include <stdlib.h>
#include <string.h>

#include "dataplane/codec.h"
#include "dataplane/frame.h"
#include "dataplane/neighbour.h"
#include "wire/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(const uint8_t *bytes, size_t size)
{
    static const _Atomic uint64_t introduced[CAIRN_NODES_MAX] = {7, 1ull << 32 | 7, 0, 7};
    static const struct codec receiver = {.hello = 7, .incarnation = 1, .self = 2, .worker = 0, .peers = introduced};
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

/* Its lengths too: as many rows as there are bytes for. */
static void
fit(struct wire_header *header, uint8_t *bytes, size_t size)
{
    uint64_t rows;

    header->flags &= (uint8_t)~WIRE_COVERED;
    header->body_bytes = (uint32_t)(size - sizeof(*header));
    bytes += sizeof(*header);
    if (header->type == MESSAGE_BASE && header->body_bytes >= sizeof(struct wire_base)) {
        rows = (header->body_bytes - sizeof(struct wire_base)) / sizeof(struct wire_mark);
        header->body_bytes = (uint32_t)(sizeof(struct wire_base) + rows * sizeof(struct wire_mark));
        memcpy(bytes + offsetof(struct wire_base, marks), &rows, sizeof(uint32_t));
    }
    if (header->type == MESSAGE_PRODUCERS && header->body_bytes >= sizeof(struct wire_producers)) {
        rows = (header->body_bytes - sizeof(struct wire_producers)) / sizeof(struct producer_row);
        header->body_bytes = (uint32_t)(sizeof(struct wire_producers) + rows * sizeof(struct producer_row));
        memcpy(bytes + offsetof(struct wire_producers, rows), &rows, sizeof(rows));
    }
}

static void
decode_mended(const uint8_t *data, size_t size, bool fitted)
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
    if (fitted)
        fit(&header, bytes, size);
    memcpy(bytes, &header, sizeof(header));
    if (header.flags & WIRE_COVERED || sizeof(header) + header.body_bytes <= size)
        header.crc32c = crc32c(0, bytes,
                               header.flags & WIRE_COVERED ? size : sizeof(header) + (size_t)header.body_bytes);
    memcpy(bytes, &header, sizeof(header));
    decode(bytes, size);
    free(bytes);
}

/* A frame as a peer sends it, of whose head one byte is another. */
static void
open_forged(const uint8_t *data, size_t size)
{
    struct frame_template peer, own;
    uint8_t *frame = malloc(FRAME_HEAD_BYTES + size);
    const uint8_t *payload;
    size_t payload_bytes;

    frame_template_init(&peer, 1, 2, 0);
    frame_template_init(&own, 2, 1, 0);
    memcpy(frame + FRAME_HEAD_BYTES, data, size);
    frame_write(&peer, frame, size);
    frame[data[0] % FRAME_HEAD_BYTES] ^= data[1];
    if (frame_open(&own, frame, FRAME_HEAD_BYTES + size - data[2] % 4, &payload, &payload_bytes) == FRAME_OK) {
        if (payload != frame + FRAME_HEAD_BYTES || payload_bytes != size)
            abort();
        if (frame_is_from(&own, frame))
            decode(payload, payload_bytes);
    }
    free(frame);
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
    if (size >= 4)
        open_forged(data, size);
    if (size >= sizeof(struct wire_header)) {
        decode_mended(data, size, false);
        decode_mended(data, size, true);
    }
    return 0;
}
