/* What the demos' pages share: one HTML file each, no script, nothing loaded from elsewhere. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdio.h>

#include "node/local.h"

#define PAGE_WIDTH 860.0
#define PAGE_EVENTS_MAX 512

/* What the nodes saw and decided, by time. */
struct page_events {
    struct node_event items[PAGE_EVENTS_MAX];
    uint8_t nodes[PAGE_EVENTS_MAX]; /* whose each is */
    uint32_t count;
};

/* Gathers the events of all nodes. */
void page_collect(struct page_events *events, const struct local_cluster *local, uint32_t nodes);

/* When the node's mode for the log first became `mode` at or after since_ns; since_ns itself where it never did. */
uint64_t page_mode_ns(const struct page_events *events, uint8_t node, const char *log, enum cairn_mode mode,
                      uint64_t since_ns);

/* NULL, said: the file cannot be written. page_end(): 0, or an exit status, said. */
FILE *page_begin(const char *path, const char *title);
int page_end(FILE *out, const char *path);

/* Text with what HTML would take for its own written out. */
void page_text(FILE *out, const char *text);

/* A window of time: each node's modes for each log in a lane, and what happened as marks. */
struct page_mark {
    uint64_t t_ns;
    const char *name;
};
struct page_window {
    const char *title;
    const struct page_events *events;
    const struct local_cluster *local;
    uint32_t nodes;
    const char *const *logs;
    const enum cairn_mode *modes; /* that each log begins with */
    uint32_t logs_count;
    const struct page_mark *marks;
    uint32_t marks_count;
    double from_ns, to_ns, zero_ns;
};
void page_window(FILE *out, const struct page_window *window);

/* What the colours of the lanes mean. */
void page_legend(FILE *out);

/* A table of the events from since_ns on. */
void page_events_table(FILE *out, const struct page_events *events, const struct local_cluster *local,
                       uint64_t since_ns);

#endif
