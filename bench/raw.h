/* The raw transport: what the same ports give without any protocol, measured in the same run. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <pthread.h>
#include <stdatomic.h>

#include "bench/histogram.h"
#include "dataplane/port.h"

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

/* A pair of rings, with a thread of ours at the far end. */
struct raw_pair {
    struct port near, far;
    struct device near_device, far_device;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t received; /* by a far end that is a sink */
    int cpu;                   /* of the far end; -1: floats */
    bool sink, yields;
};

/* The pair lives until raw_pair_close(); cpu and yields are the caller's to set between. */
enum cairn_error raw_pair_open(struct raw_pair *pair, char *detail, size_t detail_bytes);
/* The far end echoes, or sinks, until raw_pair_stop(). false: no thread to be had. */
bool raw_pair_start(struct raw_pair *pair, bool sink);
void raw_pair_stop(struct raw_pair *pair);
void raw_pair_close(struct raw_pair *pair);

#endif
