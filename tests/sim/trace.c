#include "sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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
    if (header.type == MESSAGE_APPEND || header.type == MESSAGE_HAND_OFF) {
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
    if (row->type == CODEC_HEARTBEAT) {
        fprintf(out, "heartbeat\n");
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

bool
trace_write(const struct sim *sim, const char *path)
{
    FILE *out = fopen(path, "w");

    if (out == NULL)
        return false;
    trace_print(sim, out, UINT64_MAX);
    return fclose(out) == 0;
}
