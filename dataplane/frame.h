/* Ethernet, IPv4 and UDP around a cairn message. */
#ifndef DATAPLANE_FRAME_H
#define DATAPLANE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD_BYTES 42u
#define FRAME_UDP_PORT 7400u /* and the worker's number on top */

/* What stays the same in every frame from one node to another. */
struct frame_template {
    uint8_t head[FRAME_HEAD_BYTES];
    uint32_t checksum; /* of the IPv4 header with length 0, not yet folded */
};

void frame_template_init(struct frame_template *template, uint8_t from, uint8_t to, uint8_t worker);

/* Writes the headers for payload_bytes of message in front of it. */
void frame_write(const struct frame_template *template, uint8_t *out, size_t payload_bytes);

/* The message inside a frame of size_bytes: NULL where it is not IPv4 and UDP to this worker, or is
 * shorter than it says. Safe on hostile bytes. */
const uint8_t *frame_payload(const uint8_t *frame, size_t size_bytes, uint8_t worker, size_t *payload_bytes);

#endif
