#include "cli/plot.h"

#include <assert.h>
#include <math.h>

#include "cli/page.h"

#define HEIGHT 300.0
#define LEFT 70.0
#define TOP 20.0
#define NINES 4.0
#define KEY_COLUMNS 3u
#define KEY_ROW 18.0
#define BAR_LEFT 220.0
#define BAR_RIGHT 120.0
#define BAR_ROW 22.0

static const char *const colors[PLOT_CURVES_MAX] = {"#7a8794", "#1f77b4", "#d1495b", "#2e9e6b",
                                                    "#e0a526", "#8457b0", "#17a2b8", "#a0522d"};

/* Percentiles on an axis that gives each nine the same room. */
static double
x_of(double nines)
{
    return LEFT + nines / NINES * (PAGE_WIDTH - LEFT - 20);
}

static double
y_of(double ns, double low, double high)
{
    return TOP + HEIGHT - (log10(ns < 1 ? 1 : ns) - low) / (high - low) * HEIGHT;
}

static double
nines_at(int step)
{
    return step * NINES / (PLOT_STEPS - 1);
}

void
plot_curve_take(struct plot_curve *curve, const char *name, const struct histogram *histogram)
{
    curve->name = name;
    for (int step = 0; step < PLOT_STEPS; step++)
        curve->ns[step] = histogram_at(histogram, 100 * (1 - pow(10, -nines_at(step))));
}

static void
write_curve(FILE *out, const struct plot_curve *curve, const char *color, double low, double high)
{
    fprintf(out, "<polyline fill='none' stroke='%s' stroke-width='2' points='", color);
    for (int step = 0; step < PLOT_STEPS; step++)
        fprintf(out, "%.1f,%.1f ", x_of(nines_at(step)), y_of((double)curve->ns[step], low, high));
    fprintf(out, "'/>\n");
}

static void
write_axes(FILE *out, double low, double high)
{
    static const double percentiles[] = {0, 50, 90, 99, 99.9, 99.99};

    for (int decade = (int)low; decade <= (int)high; decade++) {
        double ns = pow(10, decade), y = y_of(ns, low, high);
        const char *unit = ns < 1000 ? "ns" : ns < 1e6 ? "us" : "ms";

        fprintf(out, "<line x1='%g' x2='%g' y1='%.1f' y2='%.1f' stroke='#dde3ea'/>", LEFT, PAGE_WIDTH - 20, y, y);
        fprintf(out, "<text class='dim' x='%g' y='%.1f' text-anchor='end'>%g %s</text>\n", LEFT - 8, y + 4,
                ns < 1000  ? ns
                : ns < 1e6 ? ns / 1e3
                           : ns / 1e6,
                unit);
    }
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++) {
        double x = x_of(-log10(1 - percentiles[i] / 100));

        fprintf(out, "<line x1='%.1f' x2='%.1f' y1='%g' y2='%g' stroke='#eef1f5'/>", x, x, TOP, TOP + HEIGHT);
        fprintf(out, "<text class='dim' x='%.1f' y='%g' text-anchor='middle'>p%g</text>\n", x, TOP + HEIGHT + 18,
                percentiles[i]);
    }
}

static void
write_key(FILE *out, const struct plot_curve *curves, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = i / KEY_COLUMNS, column = i % KEY_COLUMNS;
        double x = LEFT + column * (PAGE_WIDTH - LEFT) / KEY_COLUMNS;
        double y = TOP + HEIGHT + 38 + row * KEY_ROW;

        fprintf(out, "<line x1='%g' x2='%g' y1='%g' y2='%g' stroke='%s' stroke-width='3'/><text x='%g' y='%g'>", x,
                x + 24, y, y, colors[i], x + 30, y + 4);
        page_text(out, curves[i].name);
        fprintf(out, "</text>\n");
    }
}

void
plot_latency(FILE *out, const char *label, const struct plot_curve *curves, uint32_t count)
{
    uint32_t key_rows = (count + KEY_COLUMNS - 1) / KEY_COLUMNS;
    double low = INFINITY, high = 0;

    assert(count > 0 && count <= PLOT_CURVES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        low = fmin(low, floor(log10((double)curves[i].ns[0] + 1)));
        high = fmax(high, ceil(log10((double)curves[i].ns[PLOT_STEPS - 1] + 1)));
    }
    high = fmax(high, low + 1);
    fprintf(out, "<svg viewBox='0 0 %g %g' role='img' aria-label='%s'>\n", PAGE_WIDTH,
            TOP + HEIGHT + 40 + key_rows * KEY_ROW, label);
    write_axes(out, low, high);
    for (uint32_t i = 0; i < count; i++)
        write_curve(out, &curves[i], colors[i], low, high);
    write_key(out, curves, count);
    fprintf(out, "</svg>\n");
}

void
plot_bars(FILE *out, const char *label, const struct plot_bar *bars, uint32_t count)
{
    double longest = 0;

    for (uint32_t i = 0; i < count; i++)
        longest = fmax(longest, bars[i].value);
    fprintf(out, "<svg viewBox='0 0 %g %g' role='img' aria-label='%s'>\n", PAGE_WIDTH, count * BAR_ROW + 4, label);
    for (uint32_t i = 0; i < count; i++) {
        double y = i * BAR_ROW + 2;
        double width = longest > 0 ? bars[i].value / longest * (PAGE_WIDTH - BAR_LEFT - BAR_RIGHT) : 0;

        fprintf(out, "<text x='%g' y='%g' text-anchor='end'>%s</text>", BAR_LEFT - 10, y + 14, bars[i].name);
        fprintf(out, "<rect x='%g' y='%g' width='%.1f' height='18' fill='%s'/><text x='%.1f' y='%g'>%s</text>\n",
                BAR_LEFT, y, width, bars[i].color == NULL ? colors[1] : bars[i].color, BAR_LEFT + width + 6, y + 14,
                bars[i].text);
    }
    fprintf(out, "</svg>\n");
}
