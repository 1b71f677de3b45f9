/* The accounts of a demo: every replica is read and compared with the file, byte for byte. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/demo/demo.h"

#define WAIT_NS 30000000000u

struct account {
    uint64_t *order; /* line number at each place of the trunk, as the first node has it */
    uint64_t together, alone;
    uint64_t entries;
    bool good;
};

/* Which line must this entry be? The next of its producer. */
static bool
next_line(const struct demo *demo, struct account *account, const struct cairn_result *result, uint64_t *line)
{
    if (result->entry.producer == session_producer(demo->together) && account->together < demo->together_count)
        *line = demo->together_lines[account->together++];
    else if (demo->alone != NULL && result->entry.producer == session_producer(demo->alone) &&
             account->alone < demo->alone_count)
        *line = demo->alone_lines[account->alone++];
    else
        return false;
    return true;
}

static void
check_entry(const struct demo *demo, struct account *account, const struct cairn_result *result, bool first_node)
{
    const uint8_t *bytes;
    uint32_t size_bytes;
    uint64_t line;

    if (result->error != CAIRN_OK || account->entries == demo->lines.count ||
        !next_line(demo, account, result, &line)) {
        account->good = false;
        return;
    }
    demo_line(&demo->lines, line, &bytes, &size_bytes);
    if (size_bytes != result->entry.payload_bytes || memcmp(bytes, result->entry.payload, size_bytes) != 0)
        account->good = false;
    if (first_node)
        account->order[account->entries] = line;
    else if (account->order[account->entries] != line)
        account->good = false;
    account->entries++;
}

static int
check_node(struct demo *demo, struct account *account, uint8_t node)
{
    struct cairn_client *client;
    struct cairn_result result;
    uint64_t heard_ns = cli_now_ns();

    account->together = account->alone = account->entries = 0;
    if (node_attach(demo->local.nodes[node], &client) != CAIRN_OK)
        return cli_fail("no place for a client");
    cairn_read(client, demo->feed, 1, 0, CAIRN_READ_STALE, 0, 1);
    for (;;) {
        int got = cairn_poll(client, &result);

        if (got < 0 || cli_now_ns() - heard_ns > WAIT_NS)
            return cli_fail("%s cannot be read", demo->local.cluster.names[node]);
        if (got == 0) {
            cairn_wait(client, 1000000);
            continue;
        }
        heard_ns = cli_now_ns();
        if (result.type == CAIRN_RESULT_END)
            break;
        check_entry(demo, account, &result, node == 0);
    }
    cairn_disconnect(client);
    return 0;
}

int
demo_verify(struct demo *demo)
{
    struct demo_figures *f = &demo->figures;
    struct account account = {.good = true};
    int status = 0;

    account.order = calloc(demo->lines.count, sizeof(*account.order));
    if (account.order == NULL)
        return cli_fail("no memory to verify");
    f->identical = true;
    f->lost = 0;
    for (uint8_t node = 0; node < demo->nodes && status == 0; node++) {
        status = check_node(demo, &account, node);
        f->identical = f->identical && account.good && account.entries == demo->lines.count;
        if (account.entries < f->acked && f->acked - account.entries > f->lost)
            f->lost = f->acked - account.entries;
        f->entries = account.entries;
    }
    free(account.order);
    if (status == 0)
        demo_tell(demo, "verify", "%u replicas read back and compared with the file: %s", demo->nodes,
                  f->identical ? "identical" : "DIFFERENT");
    return status;
}
