#include "node/control/placement.h"

#include <assert.h>
#include <string.h>

#include "node/control/control.h"
#include "node/snapshot.h"
#include "node/status.h"
#include "node/worker/worker.h"

#define EVERY_NS 1000000000u
/* The new value is one part of so many of the average. */
#define WEIGHT 10u

static uint64_t
average(uint64_t before, uint64_t now)
{
    return before - before / WEIGHT + now / WEIGHT;
}

static uint64_t
per_second(uint64_t count, uint64_t elapsed_ns)
{
    return (uint64_t)((double)count * 1e9 / (double)elapsed_ns);
}

void
load_measure(struct node *node, uint64_t now_ns)
{
    struct worker_load *load = &node->control->load, now = {.measured_ns = now_ns};
    uint64_t elapsed_ns = now_ns - load->measured_ns;

    if (load->measured_ns != 0 && elapsed_ns < EVERY_NS)
        return;
    for (uint32_t i = 0; i < node->snapshot->count; i++) {
        const struct node_log *log = node->snapshot->logs[i].log;
        uint8_t worker = log->worker->task.number;
        struct log_status status;

        status_read(log, &status);
        now.of[worker].entries += status.counters.appended;
        now.of[worker].bytes += status.counters.appended_bytes;
    }
    for (uint8_t worker = 0; worker < node->workers_count && load->measured_ns != 0; worker++) {
        /* Logs are only ever added, and count on and on. */
        assert(now.of[worker].entries >= load->of[worker].entries);
        assert(now.of[worker].bytes >= load->of[worker].bytes);
        now.of[worker].entries_per_s = average(
            load->of[worker].entries_per_s, per_second(now.of[worker].entries - load->of[worker].entries, elapsed_ns));
        now.of[worker].bytes_per_s = average(load->of[worker].bytes_per_s,
                                             per_second(now.of[worker].bytes - load->of[worker].bytes, elapsed_ns));
    }
    *load = now;
}

static uint32_t
logs_at(const struct snapshot *snapshot, const struct worker *worker)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < snapshot->count; i++)
        count += snapshot->logs[i].log->worker == worker;
    return count;
}

/* The worker of that number or, without one, the one that has fewest. NULL: there is none of that number. */
static struct worker *
named_or_least(const struct node *node, const struct snapshot *snapshot, const json_t *number)
{
    struct worker *least = node->workers[0];

    if (number != NULL)
        return json_is_integer(number) && json_integer_value(number) >= 0 &&
                       json_integer_value(number) < node->workers_count
                   ? node->workers[json_integer_value(number)]
                   : NULL;
    for (uint8_t i = 1; i < node->workers_count; i++) {
        if (logs_at(snapshot, node->workers[i]) < logs_at(snapshot, least))
            least = node->workers[i];
    }
    assert(logs_at(snapshot, least) <= snapshot->count / node->workers_count);
    return least;
}

/* How many logs a worker may have, the catalog among them: each has its part of the memory. */
static uint32_t
logs_max(const struct node *node)
{
    const struct agreed *agreed = &node->control->replayed;

    return agreed_logs_max(agreed->now.memory_mib, agreed->workers, agreed->durability) + 1;
}

struct worker *
placement_of(const struct node *node, const struct snapshot *snapshot, const json_t *number)
{
    struct worker *worker = named_or_least(node, snapshot, number);

    return worker == NULL || logs_at(snapshot, worker) >= logs_max(node) ? NULL : worker;
}
