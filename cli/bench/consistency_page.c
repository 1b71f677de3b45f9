#include "cli/bench/consistency_page.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"

#define SERVED "#2e9e6b"

static void
write_costs(FILE *out, const struct consistency_figures *figures)
{
    fprintf(out, "<table><tr><th>healthy</th><th>policy</th><th>level</th><th>at</th><th>p50 us</th><th>p99 us</th>"
                 "<th>p99.9 us</th><th>x raw</th><th>entries/s</th></tr>\n");
    for (uint32_t i = 0; i < figures->costs_count; i++) {
        const struct consistency_cost *cost = &figures->costs[i];
        char per_s[24] = "";

        if (cost->entries_per_s != 0)
            snprintf(per_s, sizeof(per_s), "%" PRIu64, cost->entries_per_s);
        fprintf(out,
                "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>%.1f</td>"
                "<td>%s</td></tr>\n",
                cost->phase, cost->policy, cost->level, cost->at, (double)cost->p50_ns / 1e3,
                (double)cost->p99_ns / 1e3, (double)cost->p999_ns / 1e3, cost->ratio, per_s);
    }
    fprintf(out, "</table>\n");
}

static void
write_cuts(FILE *out, const struct consistency_figures *figures)
{
    fprintf(out, "<table><tr><th>policy</th><th>detected ms</th><th>majority served</th><th>refused</th>"
                 "<th>n3 served</th><th>refused</th><th>stale lsns</th><th>branch</th><th>merged ms</th>"
                 "<th>live p99 us</th><th>while merging</th></tr>\n");
    for (uint32_t i = 0; i < figures->cuts_count; i++) {
        const struct consistency_cut *cut = &figures->cuts[i];

        fprintf(out,
                "<tr><td>%s</td><td>%.2f</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64
                "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%.1f</td><td>%.1f</td><td>%.1f</td></tr>\n",
                cairn_policy_name(cut->policy), (double)cut->detection_ns / 1e6, cut->served[0], cut->refused[0],
                cut->served[1], cut->refused[1], cut->stale_lsns, cut->branch_entries, (double)cut->merge_ns / 1e6,
                (double)cut->live_p99_ns / 1e3, (double)cut->merging_p99_ns / 1e3);
    }
    fprintf(out, "</table>\n");
}

static void
plot_phase(FILE *out, const struct consistency_figures *figures, const char *phase, const char *title)
{
    struct plot_curve curves[PLOT_CURVES_MAX] = {figures->raw};
    uint32_t count = 1;

    for (uint32_t i = 0; i < figures->costs_count && count < PLOT_CURVES_MAX; i++) {
        if (strcmp(figures->costs[i].phase, phase) == 0)
            curves[count++] = figures->costs[i].curve;
    }
    fprintf(out, "<h2>%s</h2>\n", title);
    plot_latency(out, title, curves, count);
}

static void
plot_throughput(FILE *out, const struct consistency_figures *figures)
{
    struct plot_bar bars[CONSISTENCY_COSTS_MAX] = {0};
    uint32_t count = 0;

    for (uint32_t i = 0; i < figures->costs_count; i++) {
        const struct consistency_cost *cost = &figures->costs[i];

        if (cost->entries_per_s == 0)
            continue;
        bars[count].value = (double)cost->entries_per_s;
        snprintf(bars[count].name, sizeof(bars[count].name), "%s", cost->name);
        snprintf(bars[count].text, sizeof(bars[count].text), "%.2f M/s", (double)cost->entries_per_s / 1e6);
        count++;
    }
    fprintf(out, "<h2>Appends a second, 256 in flight</h2>\n");
    plot_bars(out, "appends a second", bars, count);
}

static void
put_share(struct plot_bar *bar, const char *policy, const char *side, uint64_t served, uint64_t refused)
{
    uint64_t asked = served + refused;

    bar->value = asked == 0 ? 0 : (double)served / (double)asked;
    bar->color = SERVED;
    snprintf(bar->name, sizeof(bar->name), "%s, %s", policy, side);
    snprintf(bar->text, sizeof(bar->text), "%.0f %% served", 100 * bar->value);
}

static void
plot_served(FILE *out, const struct consistency_figures *figures)
{
    struct plot_bar bars[2 * CONSISTENCY_CUTS_MAX] = {0};

    for (uint32_t i = 0; i < figures->cuts_count; i++) {
        const struct consistency_cut *cut = &figures->cuts[i];
        const char *policy = cairn_policy_name(cut->policy);

        put_share(&bars[2 * i], policy, "majority", cut->served[0], cut->refused[0]);
        put_share(&bars[2 * i + 1], policy, "n3", cut->served[1], cut->refused[1]);
    }
    fprintf(out, "<h2>Appends served while n3 is cut off</h2>\n");
    plot_bars(out, "share of appends served on each side", bars, 2 * figures->cuts_count);
}

/* What live appends at half load pay while the other side's are merged. */
static void
plot_live(FILE *out, const struct consistency_figures *figures)
{
    struct plot_bar bars[2 * CONSISTENCY_CUTS_MAX] = {0};

    for (uint32_t i = 0; i < figures->cuts_count; i++) {
        const struct consistency_cut *cut = &figures->cuts[i];
        const uint64_t p99_ns[2] = {cut->live_p99_ns, cut->merging_p99_ns};

        for (uint32_t when = 0; when < 2; when++) {
            struct plot_bar *bar = &bars[2 * i + when];

            bar->value = (double)p99_ns[when];
            bar->color = when == 0 ? NULL : "#5b7fd6";
            snprintf(bar->name, sizeof(bar->name), "%s, %s", cairn_policy_name(cut->policy),
                     when == 0 ? "before the cut" : "after the heal");
            snprintf(bar->text, sizeof(bar->text), "%.1f us", bar->value / 1e3);
        }
    }
    fprintf(out, "<h2>p99 of live appends at half load</h2>\n");
    plot_bars(out, "p99 of live appends", bars, 2 * figures->cuts_count);
}

static void
write_window(FILE *out, const struct consistency_figures *figures, const struct local_cluster *local,
             const struct consistency_cut *cut, bool heal)
{
    const char *log = cairn_policy_name(cut->policy);
    const enum cairn_mode mode = cut->policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_CP;
    const struct page_mark marks[] = {
        {cut->cut_ns, "cut"}, {cut->heal_ns, "heal"}, {cut->heal_ns + cut->merge_ns, "equal"}};
    double at_ns = (double)(heal ? cut->heal_ns : cut->cut_ns);
    double after_ns = fmax(20e6, (double)(heal ? cut->merge_ns : cut->detection_ns));
    char title[64];
    const struct page_window window = {
        .title = title,
        .events = &cut->events,
        .local = local,
        .nodes = figures->nodes,
        .logs = &log,
        .modes = &mode,
        .logs_count = 1,
        .marks = marks,
        .marks_count = sizeof(marks) / sizeof(*marks),
        .from_ns = at_ns - 2e6,
        .to_ns = at_ns + after_ns * 1.1,
        .zero_ns = at_ns,
    };

    snprintf(title, sizeof(title), "%s: %s", log, heal ? "from the heal on" : "from the cut on");
    page_window(out, &window);
}

void
consistency_page(FILE *out, const struct consistency_figures *figures, const struct local_cluster *local)
{
    fprintf(out,
            "<h1>What consistency costs</h1><p>%u-byte entries, %u nodes on one core, durability %s; raw round "
            "trip p50 %.2f us",
            figures->payload_bytes, figures->nodes, cairn_durability_name(figures->durability),
            (double)figures->raw_p50_ns / 1e3);
    if (figures->raw_write_p50_ns != 0)
        fprintf(out, "; raw 4 KiB write, three at once, p50 %.0f us", (double)figures->raw_write_p50_ns / 1e3);
    fprintf(out, ".</p>\n");
    write_costs(out, figures);
    plot_phase(out, figures, "append", "Latency of an append, by ack level");
    plot_phase(out, figures, "read", "Latency of a read, by level");
    plot_throughput(out, figures);
    fprintf(out, "<h2>Through a partition: n3 cut off, and back</h2>\n");
    write_cuts(out, figures);
    plot_served(out, figures);
    plot_live(out, figures);
    fprintf(out, "<h2>Modes</h2>\n<p>");
    page_legend(out);
    fprintf(out, "</p>\n");
    for (uint32_t i = 0; i < figures->cuts_count; i++) {
        write_window(out, figures, local, &figures->cuts[i], false);
        write_window(out, figures, local, &figures->cuts[i], true);
    }
}
