/* What `cairn bench consistency` found, and the page that shows it. */
#ifndef CLI_BENCH_CONSISTENCY_PAGE_H
#define CLI_BENCH_CONSISTENCY_PAGE_H

#include "cli/page.h"
#include "cli/plot.h"

#define CONSISTENCY_COSTS_MAX 16u
#define CONSISTENCY_CUTS_MAX 4u

/* One request at a time, healthy; and as many as it takes. */
struct consistency_cost {
    const char *phase, *policy, *level, *at;
    uint64_t samples, p50_ns, p99_ns, p999_ns, entries_per_s;
    double ratio;  /* to what is raw about it */
    char name[48]; /* in the plots */
    struct plot_curve curve;
};

/* n3 cut off and back. */
struct consistency_cut {
    enum cairn_policy policy;
    uint64_t cut_ns, heal_ns;
    uint64_t detection_ns, merge_ns, stale_lsns, branch_entries;
    uint64_t served[2], refused[2]; /* on the majority's side, on the other */
    uint64_t live_p99_ns, merging_p99_ns;
    struct page_events events;
};

struct consistency_figures {
    uint32_t payload_bytes, nodes;
    enum cairn_durability durability;
    uint64_t raw_write_p50_ns; /* 0: not on disk */
    struct plot_curve raw;
    uint64_t raw_p50_ns, raw_p99_ns;
    struct consistency_cost costs[CONSISTENCY_COSTS_MAX];
    uint32_t costs_count;
    struct consistency_cut cuts[CONSISTENCY_CUTS_MAX];
    uint32_t cuts_count;
};

/* Writes it into a page that was begun; local: the cluster that it was measured on. */
void consistency_page(FILE *out, const struct consistency_figures *figures, const struct local_cluster *local);

#endif
