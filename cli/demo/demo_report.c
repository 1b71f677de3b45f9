/* report.html: one page, no script, nothing loaded from elsewhere. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/demo/demo.h"
#include "cli/plot.h"

static void
write_latency(FILE *out, const struct demo_figures *f)
{
    static const char *const names[] = {"raw transport (round trip)", "ack local", "ack majority"};
    const struct histogram *const histograms[] = {f->raw, f->local, f->majority};
    struct plot_curve curves[3];

    for (int i = 0; i < 3; i++)
        plot_curve_take(&curves[i], names[i], histograms[i]);
    fprintf(out, "<h2>Append latency</h2>\n");
    plot_latency(out, "append latency by percentile", curves, 3);
    fprintf(out, "<table><tr><th>us</th><th>p50</th><th>p99</th><th>p99.9</th><th>max</th><th>samples</th></tr>\n");
    for (int i = 0; i < 3; i++)
        fprintf(out, "<tr><td>%s</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>%.1f</td><td>%" PRIu64 "</td></tr>\n",
                names[i], (double)histogram_at(histograms[i], 50) / 1e3, (double)histogram_at(histograms[i], 99) / 1e3,
                (double)histogram_at(histograms[i], 99.9) / 1e3, (double)histogram_max(histograms[i]) / 1e3,
                histogram_count(histograms[i]));
    fprintf(out, "</table>\n<p class='dim'>One append at a time, all nodes on one core, the client on another; the raw "
                 "transport is a pair of DPDK rings between two threads.</p>\n");
}

static void
write_window(FILE *out, const struct demo *demo, const char *title, double from_ns, double to_ns)
{
    static const char *const logs[] = {"bank", "feed"};
    static const enum cairn_mode modes[] = {CAIRN_MODE_CP, CAIRN_MODE_CP};
    const struct demo_figures *f = &demo->figures;
    const struct page_mark marks[] = {{f->cut_ns, "cut"}, {f->heal_ns, "heal"}, {f->merged_ns, "merged"}};
    const struct page_window window = {
        .title = title,
        .events = &f->events,
        .local = &demo->local,
        .nodes = demo->nodes,
        .logs = logs,
        .modes = modes,
        .logs_count = 2,
        .marks = marks,
        .marks_count = 3,
        .from_ns = from_ns,
        .to_ns = to_ns,
        .zero_ns = (double)f->cut_ns,
    };

    page_window(out, &window);
}

static void
write_timeline(FILE *out, const struct demo *demo)
{
    const struct demo_figures *f = &demo->figures;
    double cut = (double)f->cut_ns, heal = (double)f->heal_ns, merged = (double)f->merged_ns;

    fprintf(out, "<h2>The partition</h2>\n<p>");
    page_legend(out);
    fprintf(out, "<span class='dim'>times are after the cut</span></p>\n");
    write_window(out, demo, "From the cut to the heal and the merge", cut - (merged - cut) * 0.06,
                 merged + (merged - cut) * 0.06);
    write_window(out, demo, "The first 20 ms", cut - 2e6, cut + 20e6);
    write_window(out, demo, "The heal", heal - 2e6, merged + 5e6);
    page_events_table(out, &f->events, &demo->local, f->cut_ns);
}

static void
write_summary(FILE *out, const struct demo *demo)
{
    const struct demo_figures *f = &demo->figures;
    const char *away = demo->local.cluster.names[demo->away];

    fprintf(out,
            "<h1>cairn: %" PRIu64 " lines on %u nodes, through a partition</h1>\n<p class='dim'>input: ", f->entries,
            demo->nodes);
    page_text(out, demo->input);
    fprintf(out,
            "</p>\n<p>Replicas: <span class='%s'>%s</span>, digest <code>%s</code>. Acknowledged %" PRIu64
            ", lost <span class='%s'>%" PRIu64 "</span>.</p>\n",
            f->identical ? "good" : "bad", f->identical ? "identical, byte for byte the file's lines" : "different",
            f->digest, f->acked, f->lost == 0 ? "good" : "bad", f->lost);
    fprintf(out,
            "<ul><li>%s was cut off in the middle. Its <b>bank</b> log (policy cp) refused %" PRIu64 " appends: <i>",
            away, f->refused);
    page_text(out, f->refusal);
    fprintf(out,
            "</i>; the majority went on.</li>\n<li>Its <b>feed</b> log (policy adaptive) accepted %" PRIu64
            " lines on a branch meanwhile; after the heal they were merged, once and in order, in %.1f ms.</li>\n"
            "<li>From the cut to the switch of mode: %.2f ms (timeout 10 ms + one heartbeat interval of 1 ms).</li>"
            "</ul>\n",
            f->on_branch, (double)(f->merged_ns - f->heal_ns) / 1e6, (double)(f->accepting_ns - f->cut_ns) / 1e6);
}

int
demo_report(const struct demo *demo)
{
    FILE *out = page_begin(demo->report, "cairn demo");

    if (out == NULL)
        return EXIT_FAILED;
    write_summary(out, demo);
    write_timeline(out, demo);
    write_latency(out, &demo->figures);
    return page_end(out, demo->report);
}
