/* What may be wrong with a node that is not gone, and when a write takes too long. Pure.
 *
 * A leader that is worse off than a voter in reach lets that one lead (node/health.c). Ranks say who is worse off; equals do
 * not hand over to each other, so that where all are in the same trouble everybody stays. */
#ifndef RULES_HEALTH_H
#define RULES_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

enum ailment {
    AIL_DISK_FAILED = 1, /* a write failed: nothing durable is written until the next start */
    AIL_DISK_HANGS = 2,  /* a write has been under way for far longer than usual */
    AIL_DISK_FULL = 4,   /* no space for entries */
    AIL_DISK_SLOW = 8,   /* a write took, or takes, much longer than usual */
    AIL_NO_MEMORY = 16,  /* no segment for entries */
    AIL_NO_SLOTS = 32,   /* no place for another client or reader */
    AIL_DISK_TIGHT = 64, /* no space for the next file: it will be full before long */
    AIL_DISK_WAITS =
        128, /* little is left before its next file, which is being made: no ailment, but a reason to wait */
};
#define AILMENTS 255u
#define AILMENT_BITS 8u

/* For a log that is durable or not: 0 is well, and higher is worse. A disk that is nearly full is as bad as one that is
 * full: where all fill at the same time it makes no difference which is first. */
uint32_t health_rank(uint32_t ailments, bool durable);

/* Is a disk so much slower than the other node's that the other had better lead? 0: a node has no disk, or nothing is
 * known. */
bool health_is_slower(uint32_t write_us, uint32_t than_us);

/* The worst ailment in words; "" where all is well. */
const char *health_text(uint32_t ailments);

/* How long writes take. */
struct pulse {
    uint64_t usual_ns; /* 0: nothing is known */
    uint64_t slow_ns;  /* when one took too long last; 0: none did */
    uint64_t took_ns;  /* that one */
};

void pulse_note(struct pulse *pulse, uint64_t took_ns, uint64_t now_ns);
/* A write has been under way for so long: is it slow, or does it hang? */
bool pulse_is_slow(const struct pulse *pulse, uint64_t for_ns);
bool pulse_hangs(const struct pulse *pulse, uint64_t for_ns);

#endif
