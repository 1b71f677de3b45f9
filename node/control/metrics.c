/* What a node counts and measures, as Prometheus reads it: families of samples, each with a line a log. */
#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/control/control.h"
#include "node/latencies.h"
#include "node/look.h"

/* Bounds of the latency histograms: each power of two of nanoseconds from 1 us to 17 s. */
#define BOUND_FIRST_BITS 10u
#define BOUND_LAST_BITS 34u
_Static_assert(BOUND_FIRST_BITS >= LATENCY_PART_BITS, "each bound is where a bucket begins");
_Static_assert(BOUND_LAST_BITS < LATENCY_VALUE_BITS, "what is beyond the last bound is counted, too");

struct report {
    struct node *node;
    struct node_log_view *views;
    uint32_t count;
    FILE *out;
};

struct number {
    const char *name, *type, *help;
    size_t offset; /* of a uint64_t in the view */
};

#define OF(field) offsetof(struct node_log_view, field)

static const struct number numbers[] = {
    {"cairn_log_commit_lsn", "gauge", "Up to where the trunk is committed, as this node knows.", OF(commit_lsn)},
    {"cairn_log_last_lsn", "gauge", "Where the trunk ends on this node.", OF(last_lsn)},
    {"cairn_log_first_lsn", "gauge", "Where the trunk begins: what is before is trimmed.", OF(first_lsn)},
    {"cairn_log_held_lsn", "gauge", "Up to where the trunk is on this node's medium.", OF(held_lsn)},
    {"cairn_log_term", "gauge", "The term of the log's leadership.", OF(term)},
    {"cairn_log_branch_entries", "gauge", "Entries of this node's branch that are not known to be on the trunk.",
     OF(branch_entries)},
    {"cairn_log_merge_entries", "gauge", "How many the branch had when its merge began; 0: none is under way.",
     OF(merge_entries)},
    {"cairn_log_appended_total", "counter", "Entries that clients of this node appended.", OF(counters.appended)},
    {"cairn_log_appended_bytes_total", "counter", "Bytes of these, as records.", OF(counters.appended_bytes)},
    {"cairn_log_refused_total", "counter", "Appends that this node refused.", OF(counters.refused)},
    {"cairn_log_read_total", "counter", "Entries given to readers.", OF(counters.read)},
};

static void
family(const struct report *report, const char *name, const char *type, const char *help)
{
    fprintf(report->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static const char *
peer_name(const struct report *report, uint8_t peer)
{
    return report->node->config.cluster->names[peer];
}

static void
write_numbers(const struct report *report)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        family(report, numbers[i].name, numbers[i].type, numbers[i].help);
        for (uint32_t log = 0; log < report->count; log++) {
            uint64_t value;

            assert(numbers[i].offset + sizeof(value) <= sizeof(report->views[log]));
            memcpy(&value, (const uint8_t *)&report->views[log] + numbers[i].offset, sizeof(value));
            fprintf(report->out, "%s{node=\"%s\",log=\"%s\"} %" PRIu64 "\n", numbers[i].name, report->node->name,
                    report->views[log].name, value);
        }
    }
}

static void
write_flag(const struct report *report, const char *name, const char *help, bool (*is)(const struct node_log_view *))
{
    family(report, name, "gauge", help);
    for (uint32_t log = 0; log < report->count; log++)
        fprintf(report->out, "%s{node=\"%s\",log=\"%s\"} %d\n", name, report->node->name, report->views[log].name,
                is(&report->views[log]));
}

static bool
leads(const struct node_log_view *view)
{
    return strcmp(view->role, "leader") == 0;
}

static bool
recovers(const struct node_log_view *view)
{
    return view->recovering;
}

static bool
lacks(const struct node_log_view *view)
{
    return view->lacks_lsn != 0;
}

static bool
disk_failed(const struct node_log_view *view)
{
    return view->disk_failed;
}

static void
write_workers_of_logs(const struct report *report)
{
    family(report, "cairn_log_worker", "gauge", "The worker that has the log, of each node.");
    for (uint32_t log = 0; log < report->count; log++)
        fprintf(report->out, "cairn_log_worker{node=\"%s\",log=\"%s\"} %u\n", report->node->name,
                report->views[log].name, report->views[log].worker);
}

static void
write_modes(const struct report *report)
{
    family(report, "cairn_log_mode", "gauge", "1 at the mode that the log is in on this node.");
    for (uint32_t log = 0; log < report->count; log++) {
        for (enum cairn_mode mode = CAIRN_MODE_CP; mode < CAIRN_MODES; mode++)
            fprintf(report->out, "cairn_log_mode{node=\"%s\",log=\"%s\",mode=\"%s\"} %d\n", report->node->name,
                    report->views[log].name, cairn_mode_name(mode), report->views[log].mode == mode);
    }
}

static void
write_merges(const struct report *report)
{
    uint64_t now_ns = node_now_ns(report->node);

    family(report, "cairn_log_merge_seconds", "gauge",
           "How long the merge of the branch has been under way; 0: none is.");
    for (uint32_t log = 0; log < report->count; log++) {
        const struct node_log_view *view = &report->views[log];

        fprintf(report->out, "cairn_log_merge_seconds{node=\"%s\",log=\"%s\"} %.3f\n", report->node->name, view->name,
                view->merge_entries == 0 ? 0 : (double)(now_ns - view->merge_begun_ns) / 1e9);
    }
}

static void
write_latency(const struct report *report, const char *log, enum cairn_ack ack, const struct latencies *latencies)
{
    uint64_t below = 0, total;
    uint32_t bucket = 0;
    char labels[160];
    int labels_bytes = snprintf(labels, sizeof(labels), "node=\"%s\",log=\"%s\",ack=\"%s\"", report->node->name, log,
                                cairn_ack_name(ack));

    assert((size_t)labels_bytes < sizeof(labels));
    (void)labels_bytes;
    for (uint32_t bits = BOUND_FIRST_BITS; bits <= BOUND_LAST_BITS; bits++) {
        for (; bucket < log_linear_bucket(1ull << bits, LATENCY_PART_BITS); bucket++)
            below += atomic_load_explicit(&latencies->levels[ack].counts[bucket], memory_order_relaxed);
        fprintf(report->out, "cairn_append_seconds_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", labels,
                (double)(1ull << bits) / 1e9, below);
    }
    assert(bucket < LATENCY_BUCKETS);
    for (total = below; bucket < LATENCY_BUCKETS; bucket++)
        total += atomic_load_explicit(&latencies->levels[ack].counts[bucket], memory_order_relaxed);
    fprintf(report->out,
            "cairn_append_seconds_bucket{%s,le=\"+Inf\"} %" PRIu64 "\ncairn_append_seconds_sum{%s} %.9f\n"
            "cairn_append_seconds_count{%s} %" PRIu64 "\n",
            labels, total, labels,
            (double)atomic_load_explicit(&latencies->levels[ack].sum_ns, memory_order_relaxed) / 1e9, labels, total);
}

/* There are no lines of a log that nothing was appended to by that level. */
static void
write_latencies(const struct report *report)
{
    family(report, "cairn_append_seconds", "histogram",
           "From an append's being found by the worker until it was answered, by the level it was acknowledged at.");
    for (uint32_t log = 0; log < report->count; log++) {
        const struct latencies *latencies = node_latencies(report->node, log);

        for (enum cairn_ack ack = CAIRN_ACK_LOCAL; ack <= CAIRN_ACK_ALL; ack++) {
            if (latencies_count(latencies, ack) > 0)
                write_latency(report, report->views[log].name, ack, latencies);
        }
    }
}

/* A peer is heard by each worker for itself: here, by all of them; and keeps up with all. */
static void
write_peers(const struct report *report)
{
    const struct node *node = report->node;
    cairn_node_set hears = node->workers[0]->hears, slow = 0;

    for (uint8_t worker = 0; worker < node->workers_count; worker++) {
        hears &= node->workers[worker]->hears;
        slow |= node->workers[worker]->slow.peers;
    }

    family(report, "cairn_peer_heard", "gauge", "Is the peer heard?");
    for (uint8_t peer = 0; peer < node->workers[0]->nodes; peer++) {
        if (peer != node->self)
            fprintf(report->out, "cairn_peer_heard{node=\"%s\",peer=\"%s\"} %d\n", node->name, peer_name(report, peer),
                    hears >> peer & 1);
    }
    family(report, "cairn_peer_slow", "gauge", "Is the peer heard, and does not keep up?");
    for (uint8_t peer = 0; peer < node->workers[0]->nodes; peer++) {
        if (peer != node->self)
            fprintf(report->out, "cairn_peer_slow{node=\"%s\",peer=\"%s\"} %d\n", node->name, peer_name(report, peer),
                    slow >> peer & 1);
    }
}

/* Of all workers: what any of them ails from, and the slowest journal. */
static struct wire_health
health_of(const struct node *node, uint64_t *wait_ns)
{
    struct wire_health all = {.ailments = 0};

    *wait_ns = 0;
    for (uint8_t worker = 0; worker < node->workers_count; worker++) {
        struct sight sights[CAIRN_NODES_MAX];
        struct detector_patience patience;
        const struct wire_health *health;

        sights_read(node->workers[worker], sights, &patience);
        health = &sights[node->self].health;
        all.ailments |= health->ailments;
        if (health->write_us > all.write_us)
            all.write_us = health->write_us;
        if (patience.wait_ns > *wait_ns)
            *wait_ns = patience.wait_ns;
    }
    return all;
}

/* How it does, and how long it waits for others. */
static void
write_health(const struct report *report)
{
    static const struct {
        const char *name, *help;
        uint32_t ailments;
    } flags[] = {
        {"cairn_disk_full", "Is there no space for entries?", AIL_DISK_FULL},
        {"cairn_disk_slow", "Does a write take much longer than usual?", AIL_DISK_SLOW | AIL_DISK_HANGS},
        {"cairn_disk_hangs", "Does a write not end?", AIL_DISK_HANGS},
        {"cairn_memory_full", "Is there no memory for entries?", AIL_NO_MEMORY},
        {"cairn_slots_full", "Is there no place for another client or reader?", AIL_NO_SLOTS},
    };
    const struct node *node = report->node;
    uint64_t wait_ns;
    struct wire_health health = health_of(node, &wait_ns);

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        family(report, flags[i].name, "gauge", flags[i].help);
        fprintf(report->out, "%s{node=\"%s\"} %d\n", flags[i].name, node->name,
                (health.ailments & flags[i].ailments) != 0);
    }
    family(report, "cairn_disk_write_seconds", "gauge", "What a write of the journal usually takes.");
    fprintf(report->out, "cairn_disk_write_seconds{node=\"%s\"} %.6f\n", node->name, (double)health.write_us / 1e6);
    family(report, "cairn_timeout_seconds", "gauge", "How long it waits for others before it suspects them.");
    fprintf(report->out, "cairn_timeout_seconds{node=\"%s\"} %.6f\n", node->name, (double)wait_ns / 1e9);
}

static void
write_node(const struct report *report)
{
    struct node *node = report->node;
    uint64_t events[EVENT_KINDS];

    family(report, "cairn_node_start", "counter", "How often this node has started in this cluster.");
    fprintf(report->out, "cairn_node_start{node=\"%s\"} %" PRIu32 "\n", node->name, node->incarnation);
    family(report, "cairn_worker_hung", "gauge", "Does a worker take no turns?");
    for (uint8_t worker = 0; worker < node->workers_count; worker++)
        fprintf(report->out, "cairn_worker_hung{node=\"%s\",worker=\"%u\"} %d\n", node->name, worker,
                atomic_load_explicit(&node->workers[worker]->hung, memory_order_relaxed));
    family(report, "cairn_events_total", "counter", "Events since the start, as 'cairn events' tells them.");
    node_events_by_kind(node, events);
    for (enum event_kind kind = 0; kind < EVENT_KINDS; kind++)
        fprintf(report->out, "cairn_events_total{node=\"%s\",event=\"%s\"} %" PRIu64 "\n", node->name, event_name(kind),
                events[kind]);
}

/* Of all workers. counter: where it stands in each. */
static void
write_drops_of(const struct report *report, const char *reason, size_t counter)
{
    const struct node *node = report->node;
    uint64_t sum = 0;

    for (uint8_t number = 0; number < node->workers_count; number++) {
        const char *worker = (const char *)node->workers[number];

        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(worker + counter), memory_order_relaxed);
    }
    fprintf(report->out, "cairn_frames_dropped_total{node=\"%s\",reason=\"%s\"} %" PRIu64 "\n", node->name, reason,
            sum);
}

/* What a network brings, and nobody takes. */
static void
write_drops(const struct report *report)
{
    static const char *const frames[FRAME_VERDICTS] = {[FRAME_FORM] = "form",
                                                       [FRAME_MAC] = "mac",
                                                       [FRAME_IP] = "ip",
                                                       [FRAME_PORT] = "port",
                                                       [FRAME_SOURCE] = "source"};
    static const char *const messages[CODEC_VERDICTS] = {
        [CODEC_SHORT] = "short", [CODEC_FOREIGN] = "foreign", [CODEC_CHECKSUM] = "checksum", [CODEC_TO] = "to",
        [CODEC_FROM] = "from",   [CODEC_STRANGER] = "life",   [CODEC_FIELD] = "field"};

    family(report, "cairn_frames_dropped_total", "counter",
           "Frames that were dropped as they came in, by why: docs/protocol.md has the reasons.");
    for (unsigned verdict = FRAME_OK + 1; verdict < FRAME_VERDICTS; verdict++)
        write_drops_of(report, frames[verdict], offsetof(struct worker, task.dropped[verdict]));
    for (unsigned verdict = CODEC_OK + 1; verdict < CODEC_VERDICTS; verdict++)
        write_drops_of(report, messages[verdict], offsetof(struct worker, counters.frames_dropped[verdict]));
    write_drops_of(report, "incarnation", offsetof(struct worker, counters.stale_incarnation));
    write_drops_of(report, "term", offsetof(struct worker, counters.far_terms));
    write_drops_of(report, "log", offsetof(struct worker, counters.no_log));
    write_drops_of(report, "record", offsetof(struct worker, counters.damaged_records));
    write_drops_of(report, "room", offsetof(struct worker, counters.no_room));
}

/* A status is of one moment. */
static void
assert_view(const struct node_log_view *view)
{
    assert(view->commit_lsn <= view->last_lsn);
    assert(view->first_lsn <= view->commit_lsn + 1);
}

/* Logs are only ever added, so what is there first stays there. */
static bool
take_views(struct report *report)
{
    uint32_t room = 0;

    for (;;) {
        if (report->count == room) {
            struct node_log_view *more;

            room = room == 0 ? 16 : 2 * room;
            more = realloc(report->views, room * sizeof(*more));
            if (more == NULL)
                return false;
            report->views = more;
        }
        assert(report->count < room && report->count <= LOGS_MAX);
        if (!node_view_at(report->node, report->count, &report->views[report->count]))
            return true;
        assert_view(&report->views[report->count]);
        report->count++;
    }
}

char *
node_metrics(struct node *node, size_t *size_bytes)
{
    struct report report = {.node = node};
    char *text = NULL;

    if (take_views(&report))
        report.out = open_memstream(&text, size_bytes);
    if (report.out != NULL) {
        write_numbers(&report);
        write_flag(&report, "cairn_log_leads", "Does this node lead the log?", leads);
        write_flag(&report, "cairn_log_recovering", "Does it recover what it may have acknowledged in a former life?",
                   recovers);
        write_flag(&report, "cairn_log_lacking", "Does it lack what damage took from it?", lacks);
        write_flag(&report, "cairn_log_disk_failed", "Can the log not be written any more on this node?", disk_failed);
        write_workers_of_logs(&report);
        write_modes(&report);
        write_merges(&report);
        write_latencies(&report);
        write_peers(&report);
        write_drops(&report);
        write_node(&report);
        write_health(&report);
        if (fclose(report.out) != 0) {
            free(text);
            text = NULL;
        }
    }
    free(report.views);
    return text;
}
