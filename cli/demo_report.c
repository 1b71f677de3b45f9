/* report.html: one page, no script, nothing loaded from elsewhere. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli.h"
#include "demo.h"

#define PLOT_WIDTH 860.0
#define PLOT_HEIGHT 300.0
#define LEFT 70.0
#define TOP 20.0

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 "
    "1em;color:#1d2733;background:#fff}"
    "h1{font-size:1.6em;margin-bottom:.2em}h2{margin-top:1.6em;font-size:1.2em}"
    "table{border-collapse:collapse}td,th{padding:.25em 1em .25em 0;text-align:right;border-bottom:1px solid #dde3ea}"
    "td:first-child,th:first-child{text-align:left}.good{color:#0a7d3c;font-weight:600}.bad{color:#b3261e;font-weight:"
    "600}"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}small,.dim{color:#5b6875}"
    "svg text{fill:#1d2733}svg text.dim{fill:#5b6875}";

static void
write_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

/* Percentiles on an axis that gives each nine the same room. */
static double
x_of(double percentile)
{
    double nines = -log10(1 - percentile / 100);

    return LEFT + nines / 4 * (PLOT_WIDTH - LEFT - 20);
}

static double
y_of(double ns, double low, double high)
{
    return TOP + PLOT_HEIGHT - (log10(ns) - low) / (high - low) * PLOT_HEIGHT;
}

static void
write_curve(FILE *out, const struct histogram *histogram, const char *color, double low, double high)
{
    fprintf(out, "<polyline fill='none' stroke='%s' stroke-width='2' points='", color);
    for (int step = 0; step <= 80; step++) {
        double percentile = 100 * (1 - pow(10, -step / 20.0));
        double ns = (double)histogram_at(histogram, percentile);

        fprintf(out, "%.1f,%.1f ", x_of(percentile < 99.9999 ? percentile : 99.9999), y_of(ns < 1 ? 1 : ns, low, high));
    }
    fprintf(out, "'/>\n");
}

static void
write_axes(FILE *out, double low, double high)
{
    static const double percentiles[] = {0, 50, 90, 99, 99.9, 99.99};

    for (int decade = (int)low; decade <= (int)high; decade++) {
        double ns = pow(10, decade), y = y_of(ns, low, high);
        const char *unit = ns < 1000 ? "ns" : ns < 1e6 ? "us" : "ms";

        fprintf(out, "<line x1='%g' x2='%g' y1='%.1f' y2='%.1f' stroke='#dde3ea'/>", LEFT, PLOT_WIDTH - 20, y, y);
        fprintf(out, "<text class='dim' x='%g' y='%.1f' text-anchor='end'>%g %s</text>\n", LEFT - 8, y + 4,
                ns < 1000  ? ns
                : ns < 1e6 ? ns / 1e3
                           : ns / 1e6,
                unit);
    }
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++) {
        double x = x_of(percentiles[i]);

        fprintf(out, "<line x1='%.1f' x2='%.1f' y1='%g' y2='%g' stroke='#eef1f5'/>", x, x, TOP, TOP + PLOT_HEIGHT);
        fprintf(out, "<text class='dim' x='%.1f' y='%g' text-anchor='middle'>p%g</text>\n", x, TOP + PLOT_HEIGHT + 18,
                percentiles[i]);
    }
}

static void
write_latency(FILE *out, const struct demo_figures *f)
{
    static const char *const names[] = {"raw transport (round trip)", "ack local", "ack majority"};
    static const char *const colors[] = {"#7a8794", "#1f77b4", "#d1495b"};
    const struct histogram *const curves[] = {f->raw, f->local, f->majority};
    double low = floor(log10((double)histogram_at(f->raw, 0) + 1)), high = low + 1;

    for (int i = 0; i < 3; i++)
        high = fmax(high, ceil(log10((double)histogram_at(curves[i], 99.99) + 1)));
    fprintf(out,
            "<h2>Append latency</h2>\n<svg viewBox='0 0 %g %g' role='img' "
            "aria-label='latency by percentile'>\n",
            PLOT_WIDTH, PLOT_HEIGHT + 70);
    write_axes(out, low, high);
    for (int i = 0; i < 3; i++) {
        double x = LEFT + i * 240;

        write_curve(out, curves[i], colors[i], low, high);
        fprintf(out,
                "<line x1='%g' x2='%g' y1='%g' y2='%g' stroke='%s' stroke-width='3'/><text x='%g' y='%g'>%s</text>\n",
                x, x + 24, PLOT_HEIGHT + 58, PLOT_HEIGHT + 58, colors[i], x + 30, PLOT_HEIGHT + 62, names[i]);
    }
    fprintf(out,
            "</svg>\n<table><tr><th>us</th><th>p50</th><th>p99</th><th>p99.9</th><th>max</th><th>samples</th></tr>\n");
    for (int i = 0; i < 3; i++)
        fprintf(out, "<tr><td>%s</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>%.1f</td><td>%" PRIu64 "</td></tr>\n",
                names[i], (double)histogram_at(curves[i], 50) / 1e3, (double)histogram_at(curves[i], 99) / 1e3,
                (double)histogram_at(curves[i], 99.9) / 1e3, (double)histogram_max(curves[i]) / 1e3,
                histogram_count(curves[i]));
    fprintf(out, "</table>\n<p class='dim'>One append at a time, all nodes on one core, the client on another; the raw "
                 "transport is a pair of DPDK rings between two threads.</p>\n");
}

/* Where a moment stands on the timeline: the cut and the heal get room, what lies between is shown to
 * scale in two parts. */
struct axis {
    double from_ns, to_ns;
};

static double
t_of(const struct axis *axis, double t_ns)
{
    double share = (t_ns - axis->from_ns) / (axis->to_ns - axis->from_ns);

    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return 110 + share * (PLOT_WIDTH - 130);
}

static const char *
mode_color(enum cairn_mode mode)
{
    static const char *const colors[] = {"#2e9e6b", "#c43d3d", "#e0a526", "#5b7fd6"};

    return colors[mode % 4];
}

/* A lane: the modes of one log on one node over time. */
static void
write_lane(FILE *out, const struct demo *demo, const struct axis *axis, uint8_t node, const char *log, double y)
{
    const struct demo_figures *f = &demo->figures;
    enum cairn_mode mode = CAIRN_MODE_CP;
    double since = axis->from_ns;

    fprintf(out, "<text x='100' y='%g' text-anchor='end'>%s %s</text>\n", y + 14, demo->local.cluster.names[node], log);
    for (uint32_t i = 0; i <= f->events_count; i++) {
        const struct node_event *event = &f->events[i < f->events_count ? i : 0];
        bool last = i == f->events_count;
        double t = last ? axis->to_ns : (double)event->t_ns;

        if (!last &&
            (f->event_nodes[i] != node || event->kind != EVENT_MODE_CHANGED || strcmp(event->log_name, log) != 0))
            continue;
        if (t > axis->from_ns && since < axis->to_ns)
            fprintf(out, "<rect x='%.1f' y='%g' width='%.1f' height='18' fill='%s'><title>%s</title></rect>\n",
                    t_of(axis, since), y, t_of(axis, t) - t_of(axis, since), mode_color(mode), cairn_mode_name(mode));
        if (!last) {
            mode = (enum cairn_mode)event->to;
            since = t;
        }
    }
}

static void
write_marker(FILE *out, const struct axis *axis, uint64_t t_ns, const char *name, double height)
{
    double x = t_of(axis, (double)t_ns);

    fprintf(out,
            "<line x1='%.1f' x2='%.1f' y1='16' y2='%g' stroke='#1d2733' stroke-dasharray='3 3'/>"
            "<text x='%.1f' y='12' text-anchor='middle'>%s</text>\n",
            x, x, height, x, name);
}

static void
write_window(FILE *out, const struct demo *demo, const char *title, double from_ns, double to_ns)
{
    static const char *const logs[] = {"bank", "feed"};
    const struct demo_figures *f = &demo->figures;
    struct axis axis = {from_ns, to_ns};
    double height = 24 + demo->nodes * 2 * 24.0;

    fprintf(out, "<h3>%s</h3>\n<svg viewBox='0 0 %g %g' role='img' aria-label='%s'>\n", title, PLOT_WIDTH, height + 24,
            title);
    for (uint8_t node = 0; node < demo->nodes; node++) {
        for (int log = 0; log < 2; log++)
            write_lane(out, demo, &axis, node, logs[log], 22 + (node * 2 + log) * 24.0);
    }
    if ((double)f->cut_ns >= from_ns && (double)f->cut_ns <= to_ns)
        write_marker(out, &axis, f->cut_ns, "cut", height);
    if ((double)f->heal_ns >= from_ns && (double)f->heal_ns <= to_ns)
        write_marker(out, &axis, f->heal_ns, "heal", height);
    if ((double)f->merged_ns >= from_ns && (double)f->merged_ns <= to_ns)
        write_marker(out, &axis, f->merged_ns, "merged", height);
    for (int tick = 0; tick <= 5; tick++) {
        double t = from_ns + (to_ns - from_ns) * tick / 5;

        fprintf(out, "<text class='dim' x='%.1f' y='%g' text-anchor='%s'>%.1f ms</text>\n", t_of(&axis, t), height + 16,
                tick == 5 ? "end" : "middle", (t - (double)f->cut_ns) / 1e6);
    }
    fprintf(out, "</svg>\n");
}

static void
write_timeline(FILE *out, const struct demo *demo)
{
    const struct demo_figures *f = &demo->figures;
    double cut = (double)f->cut_ns, heal = (double)f->heal_ns, merged = (double)f->merged_ns;

    fprintf(out, "<h2>The partition</h2>\n<p>");
    for (int mode = 0; mode < 4; mode++)
        fprintf(out,
                "<svg viewBox='0 0 14 14' style='width:14px;display:inline'><rect width='14' height='14' fill='%s'/>"
                "</svg> %s &nbsp; ",
                mode_color((enum cairn_mode)mode), cairn_mode_name((enum cairn_mode)mode));
    fprintf(out, "<span class='dim'>times are after the cut</span></p>\n");
    write_window(out, demo, "From the cut to the heal and the merge", cut - (merged - cut) * 0.06,
                 merged + (merged - cut) * 0.06);
    write_window(out, demo, "The first 20 ms", cut - 2e6, cut + 20e6);
    write_window(out, demo, "The heal", heal - 2e6, merged + 5e6);
    fprintf(out, "<table><tr><th>ms</th><th>node</th><th>event</th><th>log</th><th>reason</th></tr>\n");
    for (uint32_t i = 0; i < f->events_count; i++) {
        const struct node_event *event = &f->events[i];

        if (event->t_ns < f->cut_ns)
            continue;
        fprintf(out, "<tr><td>%.3f</td><td>%s</td><td>%s</td><td>%s</td><td style='text-align:left'>",
                (double)(event->t_ns - f->cut_ns) / 1e6, demo->local.cluster.names[f->event_nodes[i]],
                event_name(event->kind), event->log_name);
        if (event->kind == EVENT_MODE_CHANGED)
            fprintf(out, "%s to %s: ", cairn_mode_name((enum cairn_mode)event->from),
                    cairn_mode_name((enum cairn_mode)event->to));
        write_text(out, event->reason);
        fprintf(out, "</td></tr>\n");
    }
    fprintf(out, "</table>\n");
}

static void
write_summary(FILE *out, const struct demo *demo)
{
    const struct demo_figures *f = &demo->figures;
    const char *away = demo->local.cluster.names[demo->away];

    fprintf(out,
            "<h1>cairn: %" PRIu64 " lines on %u nodes, through a partition</h1>\n<p class='dim'>input: ", f->entries,
            demo->nodes);
    write_text(out, demo->input);
    fprintf(out,
            "</p>\n<p>Replicas: <span class='%s'>%s</span>, digest <code>%s</code>. Acknowledged %" PRIu64
            ", lost <span class='%s'>%" PRIu64 "</span>.</p>\n",
            f->identical ? "good" : "bad", f->identical ? "identical, byte for byte the file's lines" : "different",
            f->digest, f->acked, f->lost == 0 ? "good" : "bad", f->lost);
    fprintf(out,
            "<ul><li>%s was cut off in the middle. Its <b>bank</b> log (policy cp) refused %" PRIu64 " appends: <i>",
            away, f->refused);
    write_text(out, f->refusal);
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
    FILE *out = fopen(demo->report, "we");
    bool failed;

    if (out == NULL)
        return cli_fail("report %s: cannot be written: %s", demo->report, strerror(errno));
    fprintf(out,
            "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
            "content='width=device-width'><title>cairn demo</title><style>%s</style></head><body>\n",
            style);
    write_summary(out, demo);
    write_timeline(out, demo);
    write_latency(out, &demo->figures);
    fprintf(out, "</body></html>\n");
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        return cli_fail("report %s: cannot be written: %s", demo->report, strerror(errno));
    return 0;
}
