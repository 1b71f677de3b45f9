/* The last entry that a copy of a log holds: whoever goes on copying looks for it in the log. */
#include "cli/log_copied.h"

#include <stdlib.h>
#include <string.h>

#include "cli/log_change.h"

#define LOOK_BACK 64u

static int
keep_last(void *context, const struct cairn_result *result)
{
    struct last_copied *last = context;
    const struct cairn_entry *entry = &result->entry;

    if (result->type == CAIRN_RESULT_END)
        return EXIT_DONE;
    free(last->bytes);
    *last = (struct last_copied){
        .bytes = malloc((size_t)entry->payload_bytes + entry->key_bytes + 1),
        .payload_bytes = entry->payload_bytes,
        .key_bytes = entry->key_bytes,
        .seq = entry->producer_seq,
        .hlc = result->hlc,
        .writer = entry->producer,
    };
    if (last->bytes == NULL)
        return cli_fail("no memory for an entry of the copy");
    if (entry->payload_bytes > 0)
        memcpy(last->bytes, entry->payload, entry->payload_bytes);
    if (entry->key_bytes > 0)
        memcpy(last->bytes + entry->payload_bytes, entry->key, entry->key_bytes);
    return EXIT_DONE;
}

int
last_copied_find(const struct cluster_config *to, const char *as, uint64_t writer, struct last_copied *out)
{
    struct cli_read_request request = {.log = as, .level = CAIRN_READ_LINEARIZABLE, .patient = true};
    int status;
    json_t *row = log_row(to, as, &status);
    uint64_t first_lsn = cli_number(row, "first_lsn"), end_lsn = cli_number(row, "commit_lsn");

    json_decref(row);
    for (uint64_t back = LOOK_BACK; status == 0 && out->bytes == NULL; back *= 8) {
        request.from = end_lsn > first_lsn + back ? end_lsn - back : first_lsn;
        status = cli_read(to, CAIRN_NODE_NONE, &request, keep_last, out);
        if (request.from == first_lsn)
            break;
    }
    if (status != 0)
        return status;
    if (out->bytes == NULL && first_lsn > 1)
        return cli_fail("all that '%s' had is trimmed, so nothing says where it ended: name another with --as", as);
    if (out->bytes != NULL && out->writer != writer)
        return cli_fail("log '%s' has entries of others than this copy: name another with --as", as);
    return 0;
}

bool
last_copied_is(const struct last_copied *last, const struct cairn_result *result)
{
    const struct cairn_entry *entry = &result->entry;

    return result->hlc == last->hlc && entry->payload_bytes == last->payload_bytes &&
           entry->key_bytes == last->key_bytes &&
           (entry->payload_bytes == 0 || memcmp(entry->payload, last->bytes, entry->payload_bytes) == 0) &&
           (entry->key_bytes == 0 || memcmp(entry->key, last->bytes + last->payload_bytes, entry->key_bytes) == 0);
}
