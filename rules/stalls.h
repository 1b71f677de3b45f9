/* How long this machine lets a thread wait that wants to run: the longest stall, remembered for as long as stalls go on.
 * Pure.
 *
 * One alone is remembered for a second; each further one of at least half that length doubles the time, up to two minutes.
 * When no such one has come for that time, length and time are halved, and so on until nothing is left: what was learned
 * in ten busy minutes is forgotten within four quiet ones, and a hiccup within two seconds. */
#ifndef RULES_STALLS_H
#define RULES_STALLS_H

#include <stdint.h>

struct stalls {
    uint64_t longest_ns, memory_ns, until_ns;
};

void stalls_note(struct stalls *stalls, uint64_t stall_ns, uint64_t now_ns);

/* The longest that is remembered; 0: none of least_ns or more. */
uint64_t stalls_longest_ns(struct stalls *stalls, uint64_t least_ns, uint64_t now_ns);

#endif
