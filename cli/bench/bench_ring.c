/* A bench of three nodes on one core, and its client on the other. */
#include <urcu/urcu-qsbr.h>

#include "bench/cpus.h"
#include "bench/raw.h"
#include "cli/bench/bench.h"
#include "cli/cli.h"
#include "dataplane/eal.h"

static int
ring_raw(struct bench *bench)
{
    static struct raw_pair pair;
    char detail[256];
    int status;

    if (raw_pair_open(&pair, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("bench: %s", detail);
    pair.cpu = bench->cpus[1];
    pair.yields = bench_shares_core(bench);
    if (!raw_pair_start(&pair, false))
        return cli_fail("bench: a thread cannot be started");
    status = bench_raw_round_trips(bench, &pair.near);
    raw_pair_stop(&pair);
    if (status == 0 && !raw_pair_start(&pair, true))
        return cli_fail("bench: a thread cannot be started");
    if (status == 0) {
        raw_flood(&pair.near, BENCH_RAW_FLOOD_NS);
        raw_pair_stop(&pair);
    }
    bench->raw.pps = atomic_load(&pair.received) * 1000000000u / BENCH_RAW_FLOOD_NS;
    raw_pair_close(&pair);
    return status;
}

static void
ring_poll(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
    urcu_qsbr_quiescent_state();
}

int
bench_ring(struct bench *bench)
{
    static struct local_cluster local;
    struct local_config config = {
        .nodes = 3,
        .memory_mib = BENCH_MEMORY_MIB,
        .retain_bytes = BENCH_RETAIN_BYTES,
        .memory_at_start = true,
        .channel_bytes = BENCH_CHANNEL_BYTES,
        .profile = bench->profile,
        .idle = bench_shares_core(bench) ? IDLE_YIELD : IDLE_SPIN,
        .cpu = bench->cpus[1],
    };
    char detail[512];
    int status;

    /* Threads that are not the load's float as they like. */
    if (local_start(&config, &local, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    bench->leader = local.nodes[0];
    status = bench_open_log(bench);
    lcore_stop(&local.lcores[0]);
    cpus_pin(bench->cpus[0]);
    eal_enter_thread();
    if (status == 0)
        status = ring_raw(bench);
    bench->poll = ring_poll;
    if (status == 0 && !lcore_start(&local.lcores[0]))
        status = cli_fail("bench: a thread cannot be started");
    if (status == 0)
        status = bench_run(bench);
    if (bench->client != NULL)
        cairn_disconnect(bench->client);
    eal_leave_thread();
    local_stop(&local);
    return status;
}
