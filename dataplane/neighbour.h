/* What a host answers on a network beside its own traffic: ARP (RFC 826) and ping (ICMP echo, RFC 792), so that an
 * ordinary UDP socket finds a node that no kernel speaks for. */
#ifndef DATAPLANE_NEIGHBOUR_H
#define DATAPLANE_NEIGHBOUR_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/frame.h"

/* Turns a question to the host that sends by the template into its answer, in place. false: it is none, and is as it
 * was. Safe on hostile bytes; an answer is as long as the question. */
bool neighbour_answer(const struct frame_template *host, uint8_t *frame, size_t size_bytes);

#endif
