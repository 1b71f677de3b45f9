/* One bench: what is measured, and with what; the pieces that its transports share. */
#ifndef CLI_BENCH_BENCH_H
#define CLI_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/histogram.h"
#include "bench/raw_disk.h"
#include "control/home.h"
#include "control/identity_file.h"
#include "node/local.h"

#define BENCH_MEMORY_MIB 96u
#define BENCH_RETAIN_BYTES (32u << 20)
#define BENCH_CHANNEL_BYTES (1u << 20)
#define BENCH_RAW_FLOOD_NS 200000000u
#define BENCH_IN_FLIGHT_MAX 8192u

struct raw_figures {
    uint64_t rtt_p50_ns, rtt_p99_ns, pps;
};

struct bench {
    bool throughput, json;
    const char *transport;
    enum cairn_ack ack;
    enum cluster_profile profile;
    uint32_t payload_bytes, runs, in_flight, workers;
    uint64_t rate_per_s, seconds;
    int cpus[2];
    struct identity identities[3]; /* of the nodes of two processes */
    struct histogram *histogram;
    struct raw_figures raw;
    enum cairn_durability durability;
    const char *report;
    const char *dir;   /* where logs on disk go, */
    const char *place; /* in this directory of their own */
    struct home_links links;
    int (*measure)(struct bench *bench);
    struct raw_disk_figures raw_disk;
    /* the place the load comes in */
    struct node *leader;
    struct cairn_client *client;
    uint32_t log;
    uint64_t producer, seq;
    void (*poll)(void *context, uint64_t now_ns);
    void *context;
};

/* One CPU for both ends? */
static inline bool
bench_shares_core(const struct bench *bench)
{
    return bench->cpus[0] == bench->cpus[1];
}

/* The leader makes the log, and the load becomes its client. 0, or an exit status, said. */
int bench_open_log(struct bench *bench);
/* What the port does without any protocol: the same. */
int bench_raw_round_trips(struct bench *bench, struct port *port);
/* The runs, each told when it is over: the same. */
int bench_run(struct bench *bench);

/* The nodes on one core, the client on the other; leader and client in this process on one core, the followers in another on the
 * other. Each the raw transport first, then the runs: the same. */
int bench_ring(struct bench *bench);
int bench_memif(struct bench *bench);

#endif
