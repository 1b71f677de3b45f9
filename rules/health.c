#include "rules/health.h"

#include <assert.h>

#include "assert_costly.h"

#define USUAL_SHIFT 5u /* the last thirty or so weigh most */
#define SLOW_NS 50000000u
#define HANGS_NS 500000000u
#define SLOW_TIMES 20u
/* Between disks that are both as they usually are. */
#define SLOWER_US 10000u
#define SLOWER_TIMES 10u

uint32_t
health_rank(uint32_t ailments, bool durable)
{
    if (durable && (ailments & (AIL_DISK_FAILED | AIL_DISK_HANGS)))
        return 4;
    if (durable && (ailments & (AIL_DISK_FULL | AIL_DISK_TIGHT)))
        return 3;
    if (ailments & AIL_NO_MEMORY)
        return 2;
    return (durable && (ailments & AIL_DISK_SLOW)) || (ailments & AIL_NO_SLOTS) ? 1 : 0;
}

bool
health_is_slower(uint32_t write_us, uint32_t than_us)
{
    return than_us != 0 && write_us > SLOWER_US && write_us / SLOWER_TIMES > than_us;
}

static const char *
worst(uint32_t ailments)
{
    if (ailments & AIL_DISK_FAILED)
        return "its disk has failed";
    if (ailments & AIL_DISK_HANGS)
        return "its disk hangs";
    if (ailments & AIL_DISK_FULL)
        return "its disk is full";
    if (ailments & AIL_DISK_TIGHT)
        return "its disk is nearly full";
    if (ailments & AIL_NO_MEMORY)
        return "its memory is used up";
    if (ailments & AIL_DISK_SLOW)
        return "its disk is slow";
    return ailments & AIL_NO_SLOTS ? "its places for clients are taken" : "";
}

const char *
health_text(uint32_t ailments)
{
    const char *text = worst(ailments);

    assert((text[0] != '\0') == (health_rank(ailments, true) > 0));
    return text;
}

bool
pulse_is_slow(const struct pulse *pulse, uint64_t for_ns)
{
    return pulse->usual_ns != 0 && for_ns > SLOW_NS && for_ns / SLOW_TIMES > pulse->usual_ns;
}

static bool
hangs(const struct pulse *pulse, uint64_t for_ns)
{
    return for_ns > HANGS_NS && for_ns / SLOW_TIMES > pulse->usual_ns;
}

bool
pulse_hangs(const struct pulse *pulse, uint64_t for_ns)
{
    assert_costly(!hangs(pulse, for_ns) || pulse->usual_ns == 0 || pulse_is_slow(pulse, for_ns));
    return hangs(pulse, for_ns);
}

void
pulse_note(struct pulse *pulse, uint64_t took_ns, uint64_t now_ns)
{
    if (pulse_is_slow(pulse, took_ns)) {
        pulse->slow_ns = now_ns;
        pulse->took_ns = took_ns;
    }
    /* A write that hung says little of what is usual; but a disk that has become slower is learned. */
    if (pulse->usual_ns != 0 && took_ns / SLOW_TIMES > pulse->usual_ns)
        took_ns = SLOW_TIMES * pulse->usual_ns;
    if (pulse->usual_ns == 0)
        pulse->usual_ns = took_ns;
    else
        pulse->usual_ns += (took_ns >> USUAL_SHIFT) - (pulse->usual_ns >> USUAL_SHIFT);
    assert(pulse->usual_ns <= UINT64_MAX / SLOW_TIMES);
}
