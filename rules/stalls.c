#include "rules/stalls.h"

#include <assert.h>

#define MEMORY_FIRST_NS 1000000000u
#define MEMORY_MAX_NS 120000000000u

void
stalls_note(struct stalls *stalls, uint64_t stall_ns, uint64_t now_ns)
{
    if (stall_ns < stalls->longest_ns / 2)
        return;
    if (stall_ns > stalls->longest_ns)
        stalls->longest_ns = stall_ns;
    stalls->memory_ns = stalls->memory_ns == 0 ? MEMORY_FIRST_NS : 2 * stalls->memory_ns;
    if (stalls->memory_ns > MEMORY_MAX_NS)
        stalls->memory_ns = MEMORY_MAX_NS;
    assert(stalls->memory_ns > 0 && stalls->longest_ns >= stall_ns);
    stalls->until_ns = now_ns + stalls->memory_ns;
}

uint64_t
stalls_longest_ns(struct stalls *stalls, uint64_t least_ns, uint64_t now_ns)
{
    while (stalls->longest_ns != 0 && now_ns >= stalls->until_ns) {
        stalls->longest_ns /= 2;
        stalls->memory_ns /= 2;
        stalls->until_ns += stalls->memory_ns;
        if (stalls->longest_ns < least_ns)
            *stalls = (struct stalls){0};
    }
    assert(stalls->memory_ns <= MEMORY_MAX_NS);
    assert(stalls->until_ns == 0 || stalls->until_ns > now_ns || stalls->longest_ns == 0);
    return stalls->longest_ns >= least_ns ? stalls->longest_ns : 0;
}
