/* How late a peer's heartbeats come, measured against when it had announced them: a histogram that forgets. Pure.
 *
 * The idea of judging a peer by its own history is that of accrual detectors (Hayashibara et al., SRDS 2004); a quantile
 * of what was seen needs no assumption about how lateness is distributed. */
#ifndef RULES_LATENESS_H
#define RULES_LATENESS_H

#include <stdint.h>

/* Four to an octave, from 1 us to some 17 s. */
#define LATENESS_BUCKETS 97u

struct lateness {
    uint32_t buckets[LATENESS_BUCKETS];
    uint32_t count;
    uint64_t mean_ns; /* the last sixteen or so weigh most */
};

/* One heartbeat came so late. What is old counts half, a quarter, ... after every 4,096. */
void lateness_note(struct lateness *lateness, uint64_t late_ns);

/* So many thousandths of them came no later than this, rounded up to a bucket's end. Of none: 0. */
uint64_t lateness_quantile_ns(const struct lateness *lateness, uint32_t thousandths);

#endif
