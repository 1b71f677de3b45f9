/* The raw transport: what the same ports give without any protocol, measured in the same run. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <stdatomic.h>

#include "histogram.h"
#include "port.h"

#define RAW_FRAME_BYTES 64u

/* Sends back what comes in until *stop. The far end of raw_round_trips(). yields: both ends share a core, so
 * who finds nothing lets the other run. */
void raw_echo(struct port *port, const _Atomic bool *stop, bool yields);

/* Round trips of one small frame, one at a time. false: the far end does not answer. */
bool raw_round_trips(struct port *port, uint32_t count, bool yields, struct histogram *histogram);

/* Takes in and drops frames until *stop; counts them in *received. */
void raw_sink(struct port *port, const _Atomic bool *stop, _Atomic uint64_t *received);

/* Sends small frames as fast as the port takes them for duration_ns. */
void raw_flood(struct port *port, uint64_t duration_ns);

/* Empties the port. */
void raw_drain(struct port *port);

#endif
