#include "bench/load.h"

#include <stdlib.h>

#include "dataplane/clock.h"

#define TIMES_MAX 65536u
#define BURST 64u
#define DRAIN_NS 2000000000u

struct run {
    const struct load_config *config;
    struct histogram *histogram;
    struct clock clock;
    uint64_t start_ns, measure_ns, end_ns;
    uint64_t sent, done, measured;
    uint64_t intended_ns[TIMES_MAX]; /* by token */
    enum cairn_error error;
};

/* The next intended send time: on the grid, or now. */
static uint64_t
next_intended(const struct run *run, uint64_t now_ns)
{
    if (run->config->rate_per_s == 0)
        return now_ns;
    return run->start_ns + (uint64_t)((double)run->sent * 1e9 / (double)run->config->rate_per_s);
}

static void
send_due(struct run *run, uint64_t now_ns)
{
    static const uint8_t payload[CAIRN_PAYLOAD_BYTES_MAX];
    const struct load_config *config = run->config;

    for (uint32_t i = 0; i < BURST && run->sent - run->done < config->in_flight; i++) {
        uint64_t intended_ns = next_intended(run, now_ns);
        struct cairn_entry entry = {
            .payload = payload,
            .payload_bytes = config->payload_bytes,
            .producer = config->producer,
            .producer_seq = *config->seq + 1,
        };

        if (intended_ns > now_ns)
            break;
        if (cairn_append(config->client, config->log, &entry, config->ack, run->sent) != CAIRN_OK)
            break;
        ++*config->seq;
        run->intended_ns[run->sent++ % TIMES_MAX] = intended_ns;
    }
    cairn_flush(config->client);
}

static void
collect(struct run *run)
{
    struct cairn_result result;
    uint64_t now_ns = 0;

    while (cairn_poll(run->config->client, &result) > 0) {
        uint64_t intended_ns = run->intended_ns[result.token % TIMES_MAX];

        if (now_ns == 0)
            now_ns = clock_now_ns(&run->clock);
        run->done++;
        if (result.error != CAIRN_OK && run->error == CAIRN_OK)
            run->error = result.error;
        if (intended_ns < run->measure_ns || now_ns > run->end_ns)
            continue;
        run->measured++;
        histogram_add(run->histogram, now_ns > intended_ns ? now_ns - intended_ns : 0);
    }
}

struct load_result
load_run(const struct load_config *config, struct histogram *histogram)
{
    struct run *run = calloc(1, sizeof(*run)); /* loads of several threads run beside each other */
    struct load_result result = {.error = CAIRN_NO_MEMORY, .duration_ns = config->duration_ns};
    uint64_t now_ns;

    if (run == NULL)
        return result;
    run->config = config;
    run->histogram = histogram;
    clock_start(&run->clock);
    run->start_ns = clock_now_ns(&run->clock);
    run->measure_ns = run->start_ns + config->warm_up_ns;
    run->end_ns = run->measure_ns + config->duration_ns;
    while ((now_ns = clock_now_ns(&run->clock)) < run->end_ns && run->error == CAIRN_OK &&
           (config->stop == NULL || !*config->stop)) {
        send_due(run, now_ns);
        if (config->poll != NULL)
            config->poll(config->context, now_ns);
        collect(run);
    }
    /* What is under way is answered before the next run. */
    while (run->done < run->sent && (now_ns = clock_now_ns(&run->clock)) < run->end_ns + DRAIN_NS) {
        if (config->poll != NULL)
            config->poll(config->context, now_ns);
        collect(run);
    }
    if (run->done < run->sent && run->error == CAIRN_OK)
        run->error = CAIRN_TIMEOUT;
    result.error = run->error;
    result.entries = run->measured;
    free(run);
    return result;
}
