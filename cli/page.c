#include "cli/page.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define LANE 24.0

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 "
    "1em;color:#1d2733;background:#fff}"
    "h1{font-size:1.6em;margin-bottom:.2em}h2{margin-top:1.6em;font-size:1.2em}"
    "table{border-collapse:collapse}td,th{padding:.25em 1em .25em 0;text-align:right;border-bottom:1px solid #dde3ea}"
    "td:first-child,th:first-child{text-align:left}.good{color:#0a7d3c;font-weight:600}.bad{color:#b3261e;font-weight:"
    "600}"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}small,.dim{color:#5b6875}"
    "svg text{fill:#1d2733}svg text.dim{fill:#5b6875}";

void
page_text(FILE *out, const char *text)
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

void
page_collect(struct page_events *events, const struct local_cluster *local, uint32_t nodes)
{
    /* The last ones are on their way yet. */
    usleep(50000);
    for (uint8_t node = 0; node < nodes; node++) {
        uint64_t next = 0;
        struct node_event event;

        while (events->count < PAGE_EVENTS_MAX && node_events(local->nodes[node], &next, &event, 1) == 1) {
            uint32_t place = events->count++;

            for (; place > 0 && events->items[place - 1].t_ns > event.t_ns; place--) {
                events->items[place] = events->items[place - 1];
                events->nodes[place] = events->nodes[place - 1];
            }
            events->items[place] = event;
            events->nodes[place] = node;
        }
    }
}

uint64_t
page_mode_ns(const struct page_events *events, uint8_t node, const char *log, enum cairn_mode mode, uint64_t since_ns)
{
    for (uint32_t i = 0; i < events->count; i++) {
        const struct node_event *event = &events->items[i];

        if (events->nodes[i] == node && event->kind == EVENT_MODE_CHANGED && event->t_ns >= since_ns &&
            event->to == mode && strcmp(event->log_name, log) == 0)
            return event->t_ns;
    }
    return since_ns;
}

FILE *
page_begin(const char *path, const char *title)
{
    FILE *out = cli_open_written("report", path);

    if (out == NULL)
        return NULL;
    fprintf(out,
            "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
            "content='width=device-width'><title>%s</title><style>%s</style></head><body>\n",
            title, style);
    return out;
}

int
page_end(FILE *out, const char *path)
{
    bool failed;

    fprintf(out, "</body></html>\n");
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        return cli_fail("report %s: cannot be written: %s", path, strerror(errno));
    return 0;
}

static double
x_of(const struct page_window *window, double t_ns)
{
    double share = (t_ns - window->from_ns) / (window->to_ns - window->from_ns);

    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return 110 + share * (PAGE_WIDTH - 130);
}

static const char *
mode_color(enum cairn_mode mode)
{
    static const char *const colors[] = {"#2e9e6b", "#c43d3d", "#e0a526", "#5b7fd6"};

    return colors[mode % 4];
}

/* A lane: the modes of one log on one node over time. */
static void
write_lane(FILE *out, const struct page_window *window, uint8_t node, uint32_t log, double y)
{
    const struct page_events *events = window->events;
    enum cairn_mode mode = window->modes[log];
    double since_ns = window->from_ns;

    fprintf(out, "<text x='100' y='%g' text-anchor='end'>%s %s</text>\n", y + 14, window->local->cluster.names[node],
            window->logs[log]);
    for (uint32_t i = 0; i <= events->count; i++) {
        const struct node_event *event = &events->items[i < events->count ? i : 0];
        bool last = i == events->count;
        double t_ns = last ? window->to_ns : (double)event->t_ns;

        if (!last && (events->nodes[i] != node || event->kind != EVENT_MODE_CHANGED ||
                      strcmp(event->log_name, window->logs[log]) != 0))
            continue;
        if (t_ns > window->from_ns && since_ns < window->to_ns)
            fprintf(out, "<rect x='%.1f' y='%g' width='%.1f' height='18' fill='%s'><title>%s</title></rect>\n",
                    x_of(window, since_ns), y, x_of(window, t_ns) - x_of(window, since_ns), mode_color(mode),
                    cairn_mode_name(mode));
        if (!last) {
            mode = (enum cairn_mode)event->to;
            since_ns = t_ns;
        }
    }
}

void
page_window(FILE *out, const struct page_window *window)
{
    double height = 24 + window->nodes * window->logs_count * LANE;

    fprintf(out, "<h3>%s</h3>\n<svg viewBox='0 0 %g %g' role='img' aria-label='%s'>\n", window->title, PAGE_WIDTH,
            height + 24, window->title);
    for (uint8_t node = 0; node < window->nodes; node++) {
        for (uint32_t log = 0; log < window->logs_count; log++)
            write_lane(out, window, node, log, 22 + (node * window->logs_count + log) * LANE);
    }
    for (uint32_t i = 0; i < window->marks_count; i++) {
        double t_ns = (double)window->marks[i].t_ns, x = x_of(window, t_ns);

        if (t_ns < window->from_ns || t_ns > window->to_ns)
            continue;
        fprintf(out,
                "<line x1='%.1f' x2='%.1f' y1='16' y2='%g' stroke='#1d2733' stroke-dasharray='3 3'/>"
                "<text x='%.1f' y='12' text-anchor='middle'>%s</text>\n",
                x, x, height, x, window->marks[i].name);
    }
    for (int tick = 0; tick <= 5; tick++) {
        double t_ns = window->from_ns + (window->to_ns - window->from_ns) * tick / 5;

        fprintf(out, "<text class='dim' x='%.1f' y='%g' text-anchor='%s'>%.1f ms</text>\n", x_of(window, t_ns),
                height + 16, tick == 5 ? "end" : "middle", (t_ns - window->zero_ns) / 1e6);
    }
    fprintf(out, "</svg>\n");
}

void
page_legend(FILE *out)
{
    for (int mode = 0; mode < 4; mode++)
        fprintf(out,
                "<svg viewBox='0 0 14 14' style='width:14px;display:inline'><rect width='14' height='14' fill='%s'/>"
                "</svg> %s &nbsp; ",
                mode_color((enum cairn_mode)mode), cairn_mode_name((enum cairn_mode)mode));
}

void
page_events_table(FILE *out, const struct page_events *events, const struct local_cluster *local, uint64_t since_ns)
{
    fprintf(out, "<table><tr><th>ms</th><th>node</th><th>event</th><th>log</th><th>reason</th></tr>\n");
    for (uint32_t i = 0; i < events->count; i++) {
        const struct node_event *event = &events->items[i];

        if (event->t_ns < since_ns)
            continue;
        fprintf(out, "<tr><td>%.3f</td><td>%s</td><td>%s</td><td>%s</td><td style='text-align:left'>",
                (double)(event->t_ns - since_ns) / 1e6, local->cluster.names[events->nodes[i]], event_name(event->kind),
                event->log_name);
        if (event->kind == EVENT_MODE_CHANGED)
            fprintf(out, "%s to %s: ", cairn_mode_name((enum cairn_mode)event->from),
                    cairn_mode_name((enum cairn_mode)event->to));
        page_text(out, event->reason);
        fprintf(out, "</td></tr>\n");
    }
    fprintf(out, "</table>\n");
}
