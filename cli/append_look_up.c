#include "cli/append_look_up.h"

struct look_up {
    struct session_result *result;
    uint64_t end_ns;
};

static int
take_entry(void *context, const struct cairn_result *entry)
{
    struct look_up *look_up = context;
    struct session_result *result = look_up->result;

    if (entry->type == CAIRN_RESULT_ENTRY && !entry->on_branch && entry->entry.producer == result->producer &&
        entry->entry.producer_epoch == result->producer_epoch && entry->entry.producer_seq == result->seq) {
        result->error = CAIRN_OK;
        result->result = (struct cairn_result){.type = CAIRN_RESULT_APPEND,
                                               .ack = CAIRN_ACK_MAJORITY,
                                               .repeated = true,
                                               .lsn = entry->lsn,
                                               .term = entry->term,
                                               .origin = entry->origin};
        return EXIT_FAILED; /* no more of it */
    }
    return cli_now_ns() > look_up->end_ns ? EXIT_FAILED : EXIT_DONE;
}

void
append_look_up(const struct cluster_config *cluster, const char *log, struct session_result *result, uint64_t *left_ns)
{
    const struct cli_read_request request = {.log = log, .level = CAIRN_READ_POLICY};
    uint64_t begun_ns = cli_now_ns(), took_ns;
    struct look_up look_up = {result, begun_ns + *left_ns};

    if (*left_ns == 0)
        return;
    cli_read(cluster, CAIRN_NODE_NONE, &request, take_entry, &look_up);
    took_ns = cli_now_ns() - begun_ns;
    *left_ns -= took_ns < *left_ns ? took_ns : *left_ns;
}
