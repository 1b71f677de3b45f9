/* What happened in a run: rows for people, and the digest of all of them. */
#include "sim/trace.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/codec.h"
#include "sim/sim.h"

#define ROWS_KEPT 512u /* of a run that is not looked at: enough to show how it ended; small, for the cache */

static const char *const types[] = {
    "none",
    "prevote",
    "prevote_reply",
    "vote",
    "vote_reply",
    "append",
    "append_reply",
    "confirm",
    "confirm_reply",
    "read_index",
    "read_index_reply",
    "hand_off",
    "hand_off_reply",
    "recover",
    "recover_reply",
    "timeout_now",
    "base",
    "pull",
    "lend",
    "spread",
    "spread_reply",
    "producers_wanted",
    "producers",
};

static uint64_t
mixed(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
    return digest ^ (digest >> 32);
}

static struct trace_row *
row_new(struct sim *sim)
{
    struct trace *trace = &sim->trace;

    if (trace->rows == NULL) {
        trace->capacity = ROWS_KEPT;
        trace->rows = calloc(trace->capacity, sizeof(*trace->rows));
    }
    if (trace->keep_all && trace->count == trace->capacity) {
        trace->capacity *= 2;
        trace->rows = realloc(trace->rows, trace->capacity * sizeof(*trace->rows));
    }
    return &trace->rows[trace->count++ % trace->capacity];
}

void
trace_add(struct sim *sim, enum trace_kind kind, uint8_t node, uint8_t peer, const char *format, ...)
{
    struct trace_row *row = row_new(sim);
    va_list arguments;

    row->at_ns = sim->now_ns;
    row->kind = (uint8_t)kind;
    row->node = node;
    row->peer = peer;
    va_start(arguments, format);
    vsnprintf(row->text, sizeof(row->text), format, arguments);
    va_end(arguments);
    sim->trace.digest = mixed(sim->trace.digest, sim->now_ns ^ ((uint64_t)kind << 56) ^ ((uint64_t)node << 48));
    for (const char *at = row->text; *at != '\0'; at++)
        sim->trace.digest = mixed(sim->trace.digest, (uint8_t)*at);
}

void
trace_frame(struct sim *sim, enum trace_kind kind, uint8_t node, uint8_t peer, const uint8_t *frame,
            uint32_t size_bytes)
{
    struct trace_row *row = row_new(sim);
    struct wire_header header;
    uint64_t small[2] = {0, 0};

    if (size_bytes < FRAME_HEAD_BYTES + sizeof(header) + sizeof(small))
        return;
    memcpy(&header, frame + FRAME_HEAD_BYTES, sizeof(header));
    memcpy(small, frame + FRAME_HEAD_BYTES + sizeof(header), sizeof(small));
    row->at_ns = sim->now_ns;
    row->kind = (uint8_t)kind;
    row->node = node;
    row->peer = peer;
    row->type = header.type;
    row->log = header.log;
    row->term = header.term;
    row->a = small[0];
    row->b = small[1];
    row->text[0] = (header.flags & WIRE_YES) != 0 ? 'y' : 'n';
    row->text[1] = '\0';
    if (codec_has_entries(header.type)) {
        struct wire_entries body;

        if (size_bytes >= FRAME_HEAD_BYTES + sizeof(header) + sizeof(body)) {
            memcpy(&body, frame + FRAME_HEAD_BYTES + sizeof(header), sizeof(body));
            row->b = body.block.count;
        }
    }
    sim->trace.digest = mixed(sim->trace.digest, sim->now_ns ^ ((uint64_t)header.crc32c << 24) ^
                                                     ((uint64_t)kind << 16) ^ ((uint64_t)node << 8) ^ peer);
}

static void
row_print(const struct sim *sim, const struct trace_row *row, FILE *out)
{
    static const char *const arrows[] = {"->", "=>", "-x"};

    fprintf(out, "%12.3f ms  ", (double)(row->at_ns - sim->started_ns) / 1e6);
    if (row->kind > TRACE_LOST) {
        fprintf(out, "n%u  %s\n", row->node + 1, row->text);
        return;
    }
    fprintf(out, "n%u %s n%u  ", row->node + 1, arrows[row->kind], row->peer + 1);
    if (row->type == CODEC_HEARTBEAT || row->type == CODEC_HELLO) {
        fprintf(out, row->type == CODEC_HELLO ? "hello\n" : "heartbeat\n");
        return;
    }
    fprintf(out, "%s log %u term %lu", row->type < MESSAGE_TYPES ? types[row->type] : "?", row->log,
            (unsigned long)row->term);
    if (row->type == MESSAGE_APPEND)
        fprintf(out, " after lsn %lu, %lu entries\n", (unsigned long)row->a, (unsigned long)row->b);
    else if (row->type == MESSAGE_HAND_OFF)
        fprintf(out, " after seq %lu, %lu entries\n", (unsigned long)row->a, (unsigned long)row->b);
    else
        fprintf(out, " %s %lu %lu\n", row->text[0] == 'y' ? "yes" : "no", (unsigned long)row->a, (unsigned long)row->b);
}

void
trace_print(const struct sim *sim, FILE *out, uint64_t last_rows)
{
    const struct trace *trace = &sim->trace;
    uint64_t first = trace->count > trace->capacity ? trace->count - trace->capacity : 0;

    if (trace->count - first > last_rows)
        first = trace->count - last_rows;
    for (uint64_t i = first; i < trace->count; i++)
        row_print(sim, &trace->rows[i % trace->capacity], out);
}

/* A sequence diagram: a line down for each node, time downwards, an arrow per message. */
#define LANE 190.0
#define LINE 16.0
#define PAGE_ROWS 4000u

static void
page_text(FILE *out, double x, double y, const char *class, const char *text)
{
    fprintf(out, "<text x=\"%.0f\" y=\"%.0f\" class=\"%s\">", x, y, class);
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '&')
            fputs(*text == '<' ? "&lt;" : "&amp;", out);
        else
            fputc(*text, out);
    }
    fputs("</text>\n", out);
}

static void
page_row(const struct sim *sim, const struct trace_row *row, double y, FILE *out)
{
    double from = 120 + LANE * row->node, to = 120 + LANE * row->peer;
    char text[128];

    snprintf(text, sizeof(text), "%.3f", (double)(row->at_ns - sim->started_ns) / 1e6);
    page_text(out, 4, y, "time", text);
    if (row->kind > TRACE_LOST) {
        fprintf(out, "<circle cx=\"%.0f\" cy=\"%.0f\" r=\"4\" class=\"%s\"/>", from, y - 4,
                row->kind == TRACE_FAULT || row->kind == TRACE_NOTE ? "fault" : "event");
        page_text(out, from + 8, y, row->kind == TRACE_FAULT || row->kind == TRACE_NOTE ? "fault" : "event", row->text);
        return;
    }
    fprintf(out, "<path d=\"M%.0f %.0f L%.0f %.0f\" class=\"%s\" marker-end=\"url(#tip)\"/>", from, y - 4,
            row->kind == TRACE_LOST ? (from + to) / 2 : to, y - 4, row->kind == TRACE_LOST ? "lost" : "sent");
    snprintf(text, sizeof(text), "%s %lu: %lu %lu", row->type < MESSAGE_TYPES ? types[row->type] : "?",
             (unsigned long)row->term, (unsigned long)row->a, (unsigned long)row->b);
    page_text(out, (from + to) / 2 - 60, y - 6, "label", text);
}

/* Heartbeats, deliveries (the arrows are drawn when sent) and what confirms reads would hide the rest. */
static bool
page_shows(const struct trace_row *row)
{
    return row->kind != TRACE_DELIVER && row->type != CODEC_HEARTBEAT &&
           (row->kind > TRACE_LOST || (row->type != MESSAGE_CONFIRM && row->type != MESSAGE_CONFIRM_REPLY &&
                                       row->type != MESSAGE_READ_INDEX && row->type != MESSAGE_READ_INDEX_REPLY));
}

static void
page_write(const struct sim *sim, FILE *out)
{
    const struct trace *trace = &sim->trace;
    uint64_t first = trace->count > trace->capacity ? trace->count - trace->capacity : 0, shown = 0, skipped = 0;
    double y = 60;

    for (uint64_t i = first; i < trace->count; i++)
        shown += page_shows(&trace->rows[i % trace->capacity]);
    skipped = shown > PAGE_ROWS ? shown - PAGE_ROWS : 0;
    fprintf(
        out,
        "<!doctype html><meta charset=\"utf-8\"><title>cairn sim, seed %lu</title><style>body{font:13px "
        "sans-serif;margin:1em}text{font:11px monospace}.time{fill:#888}.sent{stroke:#357;fill:none}.lost{stroke:"
        "#c33;stroke-dasharray:4 3;fill:none}.fault{fill:#c33}.event{fill:#171}.label{fill:#357;font-size:9px}"
        ".lane{stroke:#ddd}</style><h1>Seed %lu</h1><p>%s</p><p>Time in ms. Blue: sent. Red, dashed: lost. "
        "Heartbeats are left out%s.</p><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\"><defs>"
        "<marker id=\"tip\" markerWidth=\"7\" markerHeight=\"7\" refX=\"6\" refY=\"3\" orient=\"auto\"><path d=\"M0 0 "
        "L6 3 L0 6z\" fill=\"#357\"/></marker></defs>\n",
        (unsigned long)sim->plan.seed, (unsigned long)sim->plan.seed,
        sim->failed ? sim->reason : "Nothing was violated.", skipped > 0 ? ", and all but the last 4,000 rows" : "",
        400 + LANE * sim->plan.nodes, 80 + LINE * (double)(shown - skipped));
    for (uint32_t node = 0; node < sim->plan.nodes; node++) {
        char name[16];

        fprintf(out, "<path d=\"M%.0f 30 V%.0f\" class=\"lane\"/>", 120 + LANE * node,
                70 + LINE * (double)(shown - skipped));
        snprintf(name, sizeof(name), "n%u", node + 1);
        page_text(out, 112 + LANE * node, 24, "event", name);
    }
    for (uint64_t i = first; i < trace->count; i++) {
        const struct trace_row *row = &trace->rows[i % trace->capacity];

        if (!page_shows(row) || (skipped > 0 && skipped-- > 0))
            continue;
        page_row(sim, row, y, out);
        y += LINE;
    }
    fputs("</svg>\n", out);
}

bool
trace_write(const struct sim *sim, const char *path, FILE *out)
{
    size_t length = strlen(path);
    bool failed;

    if (length > 5 && strcmp(path + length - 5, ".html") == 0)
        page_write(sim, out);
    else
        trace_print(sim, out, UINT64_MAX);
    failed = ferror(out) != 0;
    return fclose(out) == 0 && !failed;
}
