/* One request of the price list at a time, and its answer. */
#include "cairn/token.h"
#include "cli/bench/consistency.h"
#include "cli/cli.h"

static enum cairn_error
answer(struct consistency *bench, uint8_t node, struct cairn_result *out)
{
    uint64_t end_ns = cli_now_ns() + CONSISTENCY_WAIT_NS;

    while (cli_now_ns() < end_ns) {
        while (cairn_poll(bench->clients[node], out) > 0) {
            if (out->token == bench->token && out->type != CAIRN_RESULT_ENTRY)
                return out->error;
        }
    }
    return CAIRN_TIMEOUT;
}

enum cairn_error
consistency_append(struct consistency *bench, uint8_t node, uint32_t log, enum cairn_ack ack)
{
    static const uint8_t payload[CAIRN_PAYLOAD_BYTES_MAX];
    struct cairn_entry entry = {.payload = payload, .payload_bytes = bench->options->payload_bytes};
    struct cairn_result result;

    if (cairn_append(bench->clients[node], log, &entry, ack, ++bench->token) != CAIRN_OK)
        return CAIRN_AGAIN;
    cairn_flush(bench->clients[node]);
    return answer(bench, node, &result);
}

enum cairn_error
consistency_read(struct consistency *bench, uint8_t node, uint32_t log, enum cairn_read_level level, uint64_t from)
{
    const struct cairn_token token = {.lsn = from};
    struct cairn_result result;
    enum cairn_error error;

    if (level == CAIRN_READ_SESSION)
        error = cairn_read_session(bench->clients[node], log, from, 0, &token, 0, ++bench->token);
    else
        error = cairn_read(bench->clients[node], log, from, 0, level, 0, ++bench->token);
    return error == CAIRN_OK ? answer(bench, node, &result) : error;
}
