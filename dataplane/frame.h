/* Ethernet, IPv4 and UDP around a cairn message, and the addresses that nodes are known by there.
 *
 * A port may hand over what was sent to others: a hub's, a bridge's that does not know the address yet, a promiscuous
 * card's. So every layer is looked at for whom it is. */
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

enum frame_verdict {
    FRAME_OK,
    FRAME_FORM,   /* not IPv4 and UDP, damaged, or shorter than it says */
    FRAME_MAC,    /* for another station */
    FRAME_IP,     /* for another host */
    FRAME_PORT,   /* for another of this host's programs, or workers */
    FRAME_SOURCE, /* from an address that is no peer's, or not that of the link's peer */
    FRAME_VERDICTS,
};

/* The message inside a frame of size_bytes to whoever sends by the template. Safe on hostile bytes. */
enum frame_verdict frame_open(const struct frame_template *own, const uint8_t *frame, size_t size_bytes,
                              const uint8_t **payload, size_t *payload_bytes);

/* Does a frame that was opened come from whom the template sends to? */
bool frame_is_from(const struct frame_template *own, const uint8_t *frame);

#endif
