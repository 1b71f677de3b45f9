/* The runs of a bench, whatever its nodes are connected by, and the rows that tell of them. */
#include <string.h>
#include <unistd.h>

#include "bench/load.h"
#include "bench/raw.h"
#include "cli/bench/bench.h"
#include "cli/cli.h"
#include "cli/page.h"

#define RAW_ROUND_TRIPS 100000u
#define WARM_UP_NS 300000000u

static json_t *
row_of(const struct bench *bench, uint32_t run, const struct load_result *load)
{
    const struct histogram *h = bench->histogram;
    double seconds = (double)load->duration_ns / 1e9, per_s = (double)load->entries / seconds;
    uint64_t p50 = histogram_at(h, 50);

    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}",
                     "bench", bench->throughput ? "throughput" : "latency", "transport", bench->transport, "ack",
                     cairn_ack_name(bench->ack), "durability", cairn_durability_name(bench->durability),
                     "payload_bytes", (json_int_t)bench->payload_bytes, "rate_per_s", (json_int_t)bench->rate_per_s,
                     "in_flight", (json_int_t)bench->in_flight, "run", (int)run, "runs", (int)bench->runs, "seconds",
                     (json_int_t)bench->seconds, "samples", (json_int_t)histogram_count(h), "p50_ns", (json_int_t)p50,
                     "p90_ns", (json_int_t)histogram_at(h, 90), "p99_ns", (json_int_t)histogram_at(h, 99), "p999_ns",
                     (json_int_t)histogram_at(h, 99.9), "p9999_ns", (json_int_t)histogram_at(h, 99.99), "max_ns",
                     (json_int_t)histogram_max(h), "entries_per_s", (json_int_t)per_s, "bytes_per_s",
                     (json_int_t)(per_s * bench->payload_bytes), "raw_rtt_p50_ns", (json_int_t)bench->raw.rtt_p50_ns,
                     "raw_rtt_p99_ns", (json_int_t)bench->raw.rtt_p99_ns, "ratio_p50",
                     bench->raw.rtt_p50_ns == 0 ? 0.0 : (double)p50 / (double)bench->raw.rtt_p50_ns);
}

/* What the disk gives without us, and what it is asked for: each entry by three nodes. */
static void
add_disk(const struct bench *bench, json_t *row)
{
    double p50 = (double)json_integer_value(json_object_get(row, "p50_ns"));
    double bytes_per_s = 3 * (double)json_integer_value(json_object_get(row, "bytes_per_s"));
    const struct raw_disk_figures *raw = &bench->raw_disk;

    json_object_set_new(row, "raw_write_p50_ns", json_integer((json_int_t)raw->write_p50_ns));
    json_object_set_new(row, "raw_write_p99_ns", json_integer((json_int_t)raw->write_p99_ns));
    json_object_set_new(row, "raw_write_bytes_per_s", json_integer((json_int_t)raw->bytes_per_s));
    json_object_set_new(row, "ratio_write_p50", json_real(p50 / (double)raw->write_p50_ns));
    json_object_set_new(row, "ratio_write_bytes", json_real(bytes_per_s / (double)raw->bytes_per_s));
}

static void
print_head(const struct bench *bench)
{
    printf("%s, %s, ack %s, %u-byte entries, %s; raw round trip p50 %lu ns, p99 %lu ns, %.1f M frames/s\n\n",
           bench->throughput ? "throughput" : "latency", bench->transport, cairn_ack_name(bench->ack),
           bench->payload_bytes,
           bench->throughput        ? "as fast as it goes"
           : bench->rate_per_s == 0 ? "one at a time"
                                    : "open loop",
           (unsigned long)bench->raw.rtt_p50_ns, (unsigned long)bench->raw.rtt_p99_ns, (double)bench->raw.pps / 1e6);
    if (bench->durability == CAIRN_DISK)
        printf("three raw writers: 4 KiB p50 %.1f us, p99 %.1f us; 1 MiB after the other %.0f MB/s together\n\n",
               (double)bench->raw_disk.write_p50_ns / 1000, (double)bench->raw_disk.write_p99_ns / 1000,
               (double)bench->raw_disk.bytes_per_s / 1e6);
    printf("%4s %10s %9s %9s %9s %9s %9s %10s %12s %6s\n", "run", "samples", "p50 us", "p90", "p99", "p99.9", "p99.99",
           "max", "entries/s", "x raw");
}

static void
print_row(const json_t *row)
{
    static const char *const keys[] = {"p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns"};

    printf("%4lld %10lld", json_integer_value(json_object_get(row, "run")),
           json_integer_value(json_object_get(row, "samples")));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        printf(" %9.2f", (double)json_integer_value(json_object_get(row, keys[i])) / 1000);
    printf(" %10.2f %12lld %6.2f", (double)json_integer_value(json_object_get(row, "max_ns")) / 1000,
           json_integer_value(json_object_get(row, "entries_per_s")),
           json_real_value(json_object_get(row, "ratio_p50")));
    if (json_object_get(row, "ratio_write_p50") != NULL)
        printf("  x raw write %.2f, of raw bandwidth %.2f", json_real_value(json_object_get(row, "ratio_write_p50")),
               json_real_value(json_object_get(row, "ratio_write_bytes")));
    printf("\n");
}

/* What the leader saw, when a run fails. */
static void
tell_events(const struct bench *bench)
{
    struct node_event events[32];
    uint64_t next = 0;
    uint32_t count;

    usleep(50000);
    while ((count = node_events(bench->leader, &next, events, 32)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            fprintf(stderr, "cairn: bench: %.6f %s %s %s\n", (double)events[i].t_ns / 1e9, event_name(events[i].kind),
                    events[i].log_name, events[i].reason);
    }
}

/* The load, as often as asked. The client, the leader's polling and the raw figures are in place. */
int
bench_run(struct bench *bench)
{
    if (!bench->json)
        print_head(bench);
    for (uint32_t run = 1; run <= bench->runs; run++) {
        struct load_config config = {
            .client = bench->client,
            .log = bench->log,
            .ack = bench->ack,
            .payload_bytes = bench->payload_bytes,
            .rate_per_s = bench->rate_per_s,
            .in_flight = bench->in_flight,
            .warm_up_ns = WARM_UP_NS,
            .duration_ns = bench->seconds * 1000000000u,
            .poll = bench->poll,
            .context = bench->context,
            .seq = &bench->seq,
            .producer = bench->producer,
        };
        struct load_result result;
        json_t *row;

        histogram_reset(bench->histogram);
        result = load_run(&config, bench->histogram);
        if (result.error != CAIRN_OK) {
            tell_events(bench);
            return cli_fail("bench: an append was not acknowledged: %s (is the machine too busy?)",
                            cairn_error_text(result.error));
        }
        row = row_of(bench, run, &result);
        json_object_set_new(row, "raw_pps", json_integer((json_int_t)bench->raw.pps));
        if (bench->durability == CAIRN_DISK)
            add_disk(bench, row);
        if (bench->json) {
            cli_row(row);
        } else {
            print_row(row);
            json_decref(row);
        }
        fflush(stdout);
    }
    return EXIT_DONE;
}

int
bench_open_log(struct bench *bench)
{
    enum cairn_error error = local_create_log(bench->leader, "bench", CAIRN_POLICY_CP, bench->durability, 0,
                                              bench->poll, bench->context, &bench->log);

    if (error == CAIRN_OK)
        error = node_attach(bench->leader, &bench->client);
    bench->producer = session_new_producer();
    return error == CAIRN_OK ? 0 : cli_fail("bench: the cluster does not start: %s", cairn_error_text(error));
}

int
bench_raw_round_trips(struct bench *bench, struct port *port)
{
    histogram_reset(bench->histogram);
    if (!raw_round_trips(port, RAW_ROUND_TRIPS, bench_shares_core(bench), bench->histogram))
        return cli_fail("bench: the raw transport does not answer");
    bench->raw.rtt_p50_ns = histogram_at(bench->histogram, 50);
    bench->raw.rtt_p99_ns = histogram_at(bench->histogram, 99);
    return 0;
}
