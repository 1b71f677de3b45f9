/* The demo's pieces: the story it plays, and the page it leaves. */
#ifndef CLI_DEMO_DEMO_H
#define CLI_DEMO_DEMO_H

#include "bench/histogram.h"
#include "cli/page.h"

#define DEMO_NODES_MAX 9
#define DEMO_WORKERS_MAX 3 /* as many as it has logs */

/* The input, in memory: a line is text[start, end). */
struct demo_lines {
    const uint8_t *text;
    size_t size_bytes;
    uint64_t *ends; /* one past each line's last byte, its newline excluded */
    uint64_t count;
    bool terminated; /* the last line ends in a newline */
};

/* Everything that is shown at the end. */
struct demo_figures {
    struct histogram *raw, *local, *majority;
    uint64_t start_ns, cut_ns, denied_ns, accepting_ns, heal_ns, merged_ns, end_ns;
    struct page_events events;
    uint64_t entries, acked, lost, refused, on_branch, last_lsn;
    char refusal[128];
    char digest[20];
    bool identical;
};

struct demo {
    struct local_cluster local;
    struct demo_lines lines;
    struct demo_figures figures;
    const char *input, *report;
    uint32_t nodes, workers;
    uint8_t away; /* the node that is cut off */
    bool json;
    bool one_core;              /* nodes and clients share it: who waits yields */
    uint32_t bank, feed, speed; /* logs */
    struct session *together, *alone;
    struct session *bank_at[2]; /* at the first node, and at the one that is cut off */
    /* Which line each entry of a producer was, in the order of its sequences. */
    uint64_t *together_lines, *alone_lines;
    uint64_t together_count, alone_count;
};

/* The lines of demo->input, or of a text that the machine has: 0, or an exit status, said. */
int demo_load(struct demo *demo);
bool demo_line(const struct demo_lines *lines, uint64_t index, const uint8_t **bytes, uint32_t *size_bytes);

/* Plays it: 0, or an exit status, said. */
int demo_play(struct demo *demo);

/* Reads every replica and compares it with the file, byte for byte: the same. */
int demo_verify(struct demo *demo);

/* Tells a step: text for people, a row for programs. */
void demo_tell(const struct demo *demo, const char *step, const char *text, ...) __attribute__((format(printf, 3, 4)));

/* Writes the page. 0, or an exit status, said. */
int demo_report(const struct demo *demo);

#endif
