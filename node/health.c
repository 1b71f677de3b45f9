#include "health.h"

#include <stdio.h>

#include "state.h"

static uint32_t
in_us(uint64_t ns)
{
    return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

struct wire_health
health_told(const struct node *node)
{
    return (struct wire_health){.stall_us = in_us(detector_stall_ns(&node->detector))};
}

void
health_why(const struct node *node, const struct detector_patience *patience, char *text, size_t text_bytes)
{
    const char *peer = node->config.cluster->names[patience->peer];
    double cause_ms = (double)patience->cause_ns / 1e6;

    switch (patience->reason) {
    case DETECTOR_AGREED:
        snprintf(text, text_bytes, "%s", "");
        break;
    case DETECTOR_OWN_STALLS:
        snprintf(text, text_bytes, "%s stalls for up to %.1f ms", node->name, cause_ms);
        break;
    case DETECTOR_PEER_STALLS:
        snprintf(text, text_bytes, "%s says that it stalls for up to %.1f ms", peer, cause_ms);
        break;
    case DETECTOR_PEER_LATE:
        snprintf(text, text_bytes, "heartbeats of %s come up to %.1f ms late", peer, cause_ms);
        break;
    }
}
