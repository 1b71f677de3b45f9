/* A node starts from a checkpoint and a journal of which whatever fields were changed, with checksums that match: it refuses, or
 * goes on, is read from, and nothing of it is outside of its memory. */
/* fuzz: node/worker/checkpoint.c:take,block_plausible,take_content,numbers_plausible,take_log,rows_bytes,log_bytes,places_plausible,is_usable,take_logs,checkpoint_read */
/* fuzz: node/worker/index.c:index_sane,index_load */
/* fuzz-options: -detect_leaks=0 -len_control=0 */
#include <stdlib.h>

#include "client/client.h"
#include "dataplane/journal.h"
#include "node/state.h"
#include "node/worker/index.h"
#include "sim/channels.h"
#include "sim/life.h"
#include "sim/node.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/world.h"
#include "wire/crc32c.h"

/* So many lives later the world is made anew. */
#define INPUTS_PER_WORLD 200u
#define TURNS 60u
/* In front of a checkpoint's sum, with it. */
#define UNSUMMED_BYTES 16u

static struct sim *sim;
static struct sim_node *node;
static uint32_t inputs;

/* A clean stop leaves both. */
static void
begin(void)
{
    sim = world_renew(1, true);
    node = &sim->nodes[0];
    node_stop(node);
    for (uint32_t i = 0; i < 100000 && node_is_up(node); i++)
        world_run_for(sim, 10 * US);
    if (node_is_up(node) || node->disk.directories[0].saved.size_bytes < 64)
        abort();
    disk_shelve(node, true);
}

/* Numbers of the checkpoint, wherever they stand. */
static void
forge_checkpoint(struct input *input)
{
    uint8_t *bytes = node->disk.directories[0].saved.bytes;
    size_t size_bytes = node->disk.directories[0].saved.size_bytes;
    uint32_t sum;

    for (uint64_t left = draw(input, 1) % 6; left > 0; left--) {
        size_t at = UNSUMMED_BYTES + draw(input, 2) % ((size_bytes - UNSUMMED_BYTES) / 4) * 4;
        uint64_t value = number(input);
        size_t width = draw(input, 1) & 1 ? 4 : 8;

        memcpy(bytes + at, &value, width < size_bytes - at ? width : size_bytes - at);
    }
    if (draw(input, 1) > 240)
        node->disk.directories[0].saved.size_bytes = size_bytes = UNSUMMED_BYTES +
                                                                  draw(input, 2) % (size_bytes - UNSUMMED_BYTES);
    if (draw(input, 1) < 240)
        memcpy(bytes + 24, &size_bytes, size_bytes < 32 ? 0 : sizeof(size_bytes));
    sum = crc32c(0, bytes + UNSUMMED_BYTES, size_bytes - UNSUMMED_BYTES);
    memcpy(bytes + UNSUMMED_BYTES - sizeof(sum), &sum, sizeof(sum));
}

static void
forge_block(struct input *input, uint8_t *at)
{
    struct journal_block head;
    uint64_t value = number(input);
    size_t from, place = offsetof(struct journal_block, log) + draw(input, 1) % 26 * 4;

    memcpy(&head, at, sizeof(head));
    if (draw(input, 1) & 1 && head.body_bytes >= 8) {
        from = sizeof(head) + draw(input, 2) % (head.body_bytes / 8) * 8;
        memcpy(at + from, &value, sizeof(value));
        head.body_crc32c = crc32c(0, at + sizeof(head), head.body_bytes);
        memcpy(at, &head, sizeof(head));
    } else {
        memcpy(at + place, &value, place + 8 <= sizeof(head) ? 8 : 4);
    }
    memcpy(&head, at, sizeof(head));
    head.head_crc32c = crc32c(0, at + offsetof(struct journal_block, file),
                              sizeof(head) - offsetof(struct journal_block, file));
    memcpy(at, &head, sizeof(head));
}

/* As many blocks as are there; the chosen of them are changed. Returns where they end. */
static size_t
forge_blocks(struct input *input, uint8_t *bytes, size_t size_bytes)
{
    size_t at = DISK_SECTOR_BYTES;

    while (at + sizeof(struct journal_block) <= size_bytes && input->left > 0) {
        struct journal_block head;
        size_t next;

        memcpy(&head, bytes + at, sizeof(head));
        if (head.magic != JOURNAL_BLOCK_MAGIC || head.body_bytes > size_bytes - at - sizeof(head))
            break;
        next = at + sizeof(head) + head.body_bytes;
        if (head.flags & JOURNAL_LAST)
            next = (next + DISK_SECTOR_BYTES - 1) & ~(size_t)(DISK_SECTOR_BYTES - 1);
        if (draw(input, 1) % 4 == 1)
            forge_block(input, bytes + at);
        at = next;
    }
    return at;
}

static void
forge_file(struct input *input, uint64_t file_number)
{
    const struct disk_operations *operations = node->disk.directories[0].base.operations;
    struct disk_file file;
    struct disk_request request;
    uint8_t *bytes;
    size_t end;

    if (operations->open(&node->disk.directories[0].base, file_number, &file) != CAIRN_OK)
        abort();
    bytes = malloc(file.size_bytes);
    operations->read(&node->disk.directories[0].base, &file, bytes, file.size_bytes, 0);
    end = (forge_blocks(input, bytes, file.size_bytes) + DISK_SECTOR_BYTES - 1) & ~(size_t)(DISK_SECTOR_BYTES - 1);
    request = (struct disk_request){
        .handle = file.handle,
        .write = true,
        .bytes = bytes,
        .size_bytes = (uint32_t)(end < file.size_bytes ? end : file.size_bytes),
    };
    operations->submit(&node->disk.directories[0].base, &request);
    disk_request_end(node, 0);
    node->disk.requests[0].state = REQUEST_FREE;
    free(bytes);
}

static void
forge_journal(struct input *input)
{
    uint64_t numbers[64];
    uint32_t count = 0;

    node->disk.directories[0].base.operations->list(&node->disk.directories[0].base, numbers, 64, &count);
    for (uint32_t i = 0; i < count && input->left > 0; i++)
        forge_file(input, numbers[i]);
}

/* Without the simulator's checks, which take a node for an honest one. */
static bool
turn(uint32_t index)
{
    sim->now_ns += 500 * US;
    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        if (node->disk.requests[i].state == REQUEST_UNDER_WAY)
            disk_request_end(node, i);
    }
    task_poll(node_task(node->node, 0), node_clock_ns(node));
    if (index % 8 == 0)
        node_control_step(node->node, node_clock_ns(node));
    return node_end(node->node) == NODE_GOES_ON && node_failure(node->node) == NULL;
}

/* All that it has, from memory and from the disk. */
static void
read_through(struct cairn_client *client)
{
    struct cairn_result result;

    for (uint32_t log = 0; log < 2; log++)
        cairn_read(client, sim->log_ids[log], 1, 0, CAIRN_READ_STALE, CAIRN_READ_TENTATIVE, log);
    for (uint32_t i = 0; i < TURNS && turn(i); i++) {
        while (cairn_poll(client, &result) > 0)
            ;
    }
}

static void
live(void)
{
    struct cairn_client *client;

    for (uint32_t i = 0; i < TURNS; i++) {
        if (!turn(i))
            return;
    }
    client = node_connect(node);
    if (client == NULL)
        return;
    read_through(client);
    cairn_disconnect(client);
}

/* The index of a log as a checkpoint has it: taken only where it rises, and is of what there is. */
static void
load_index(struct input *input)
{
    struct {
        uint64_t lsn, place;
    } items[8];
    struct cut cuts[8];
    uint32_t items_count = (uint32_t)draw(input, 1) % 9, cuts_count = (uint32_t)draw(input, 1) % 9;
    uint64_t last_lsn = number(input);
    struct log_index index = {0};

    memset(items, 0, sizeof(items));
    memset(cuts, 0, sizeof(cuts));
    for (uint32_t i = 0; i < items_count; i++)
        items[i].lsn = number(input);
    for (uint32_t i = 0; i < cuts_count; i++)
        cuts[i].first_lsn = number(input);
    if (!index_init(&index))
        abort();
    if (index_load(&index, items, items_count, cuts, cuts_count, last_lsn)) {
        for (uint32_t i = 0; i < items_count; i++) {
            if (items[i].lsn > last_lsn || (i > 0 && items[i].lsn <= items[i - 1].lsn))
                abort();
        }
        for (uint32_t i = 0; i < cuts_count; i++) {
            if (cuts[i].first_lsn > last_lsn || (i > 0 && cuts[i].first_lsn <= cuts[i - 1].first_lsn))
                abort();
        }
    }
    index_fini(&index);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint64_t what = draw(&input, 1) % 4;

    if (what == 3) {
        load_index(&input);
        return 0;
    }
    if (inputs++ % INPUTS_PER_WORLD == 0)
        begin();
    disk_unshelve(node);
    disk_shelve(node, true);
    if (what != 1)
        forge_checkpoint(&input);
    if (what != 0)
        forge_journal(&input);
    node->disk.damaged = true;
    node_boot(node);
    if (node_is_up(node))
        live();
    if (node_is_up(node))
        node_crash(node);
    return 0;
}
