/* Plots for the pages: SVG, no script. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include <stdint.h>
#include <stdio.h>

#include "bench/histogram.h"

#define PLOT_STEPS 81
#define PLOT_CURVES_MAX 8u

/* A latency by percentile, from 0 to four nines, each nine the same number of steps. The name stays its owner's. */
struct plot_curve {
    const char *name;
    uint64_t ns[PLOT_STEPS];
};
void plot_curve_take(struct plot_curve *curve, const char *name, const struct histogram *histogram);

/* One picture of up to PLOT_CURVES_MAX curves, on a logarithmic scale that fits them all. label: for who cannot see. */
void plot_latency(FILE *out, const char *label, const struct plot_curve *curves, uint32_t count);

/* A bar for each, as long as its share of the longest, with the value's text at its end. */
struct plot_bar {
    char name[48], text[32];
    double value;
    const char *color; /* NULL: the usual one */
};
void plot_bars(FILE *out, const char *label, const struct plot_bar *bars, uint32_t count);

#endif
