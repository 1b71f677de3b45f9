/* Load on a log through a client, from one thread. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/histogram.h"
#include "cairn/cairn.h"

struct load_config {
    struct cairn_client *client;
    uint32_t log;
    enum cairn_ack ack;
    uint32_t payload_bytes;
    uint64_t rate_per_s; /* open loop: intended sends; 0: as many as `in_flight` allows */
    uint32_t in_flight;
    uint64_t warm_up_ns, duration_ns;
    /* Called in every round: whoever polls the node in this thread does it here. May be NULL. */
    void (*poll)(void *context, uint64_t now_ns);
    void *context;
    const bool *stop; /* the load ends once this is true, which poll() may bring about; or NULL */
    uint64_t *seq;    /* of the producer, carried from run to run */
    uint64_t producer;
};

struct load_result {
    enum cairn_error error; /* the first that was not CAIRN_OK */
    uint64_t entries;       /* acknowledged after the warm-up */
    uint64_t duration_ns;
};

/* Latency counts from the intended send time, so that a stall is charged to every entry it delays. */
struct load_result load_run(const struct load_config *config, struct histogram *histogram);

#endif
