/* Journals as a disk may give them back: files made of the input, block by block, with whatever numbers, and with checksums
 * that match, so that what is behind them is reached; and over that a few bytes that are changed. Reading comes to its end,
 * says of each place what it is, and gives out nothing that is not plausible. */
/* fuzz: dataplane/journal_look.c dataplane/journal_scan.c dataplane/journal_check.c dataplane/journal_lives.c */
/* fuzz-options: -len_control=0 */
#include <stdlib.h>

#include "dataplane/journal_lives.h"
#include "dataplane/journal_scan.h"
#include "tests/fuzz/input.h"
#include "wire/crc32c.h"

#define FILES_MAX 3u
#define FILE_BYTES (16u * DISK_SECTOR_BYTES)
#define CLUSTER 7u
/* Each verdict but for the last of a file is about a block, or a sector at least. */
#define VERDICTS_MAX (FILES_MAX * FILE_BYTES / sizeof(struct journal_block) + 64)

struct memory_disk {
    struct disk base;
    uint64_t numbers[FILES_MAX];
    uint32_t sizes[FILES_MAX];
    uint8_t *bytes[FILES_MAX];
    uint32_t count;
    struct disk_file ahead_file;
    void *ahead_bytes;
    size_t ahead_size_bytes;
    uint64_t ahead_offset_bytes;
};

static uint32_t
index_of(const struct memory_disk *disk, uint64_t number)
{
    uint32_t index = 0;

    while (index < disk->count && disk->numbers[index] != number)
        index++;
    return index;
}

static enum cairn_error
list(struct disk *base, uint64_t *numbers, uint32_t max, uint32_t *count)
{
    const struct memory_disk *disk = (struct memory_disk *)base;

    (void)max;
    memcpy(numbers, disk->numbers, disk->count * sizeof(*numbers));
    *count = disk->count;
    return CAIRN_OK;
}

static enum cairn_error
open_file(struct disk *base, uint64_t number, struct disk_file *out)
{
    const struct memory_disk *disk = (struct memory_disk *)base;
    uint32_t index = index_of(disk, number);

    if (index == disk->count)
        return CAIRN_IO;
    *out = (struct disk_file){.number = number, .size_bytes = disk->sizes[index], .handle = (int)index};
    return CAIRN_OK;
}

static void
close_file(struct disk *base, const struct disk_file *file)
{
    (void)base;
    (void)file;
}

static enum cairn_error
remove_file(struct disk *base, uint64_t number)
{
    return index_of((struct memory_disk *)base, number) == ((struct memory_disk *)base)->count ? CAIRN_IO : CAIRN_OK;
}

static enum cairn_error
shrink(struct disk *base, const struct disk_file *file, uint64_t size_bytes)
{
    if (size_bytes % DISK_SECTOR_BYTES != 0 || size_bytes > FILE_BYTES + DISK_SECTOR_BYTES)
        abort();
    (void)base;
    (void)file;
    return CAIRN_OK;
}

static int64_t
read_file(struct disk *base, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    const struct memory_disk *disk = (struct memory_disk *)base;
    uint32_t index = (uint32_t)file->handle;

    if (offset_bytes % DISK_SECTOR_BYTES != 0)
        abort();
    if (offset_bytes >= disk->sizes[index])
        return 0;
    if (size_bytes > disk->sizes[index] - offset_bytes)
        size_bytes = disk->sizes[index] - offset_bytes;
    memcpy(bytes, disk->bytes[index] + offset_bytes, size_bytes);
    return (int64_t)size_bytes;
}

static void
read_begin(struct disk *base, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    struct memory_disk *disk = (struct memory_disk *)base;

    disk->ahead_file = *file;
    disk->ahead_bytes = bytes;
    disk->ahead_size_bytes = size_bytes;
    disk->ahead_offset_bytes = offset_bytes;
}

static int64_t
read_end(struct disk *base)
{
    const struct memory_disk *disk = (struct memory_disk *)base;

    return read_file(base, &disk->ahead_file, disk->ahead_bytes, disk->ahead_size_bytes, disk->ahead_offset_bytes);
}

static const struct disk_operations operations = {.list = list,
                                                  .open = open_file,
                                                  .close = close_file,
                                                  .remove = remove_file,
                                                  .shrink = shrink,
                                                  .read = read_file,
                                                  .read_begin = read_begin,
                                                  .read_end = read_end};

static void
put_head(struct input *input, uint8_t *at, uint64_t file_number)
{
    uint64_t bits = draw(input, 1);
    struct journal_head head = {.magic = JOURNAL_MAGIC,
                                .version = bits % 16 == 15 ? (uint32_t)number(input) : JOURNAL_VERSION,
                                .cluster = bits / 16 == 15 ? (uint32_t)number(input) : CLUSTER,
                                .incarnation = (uint32_t)number(input),
                                .number = file_number,
                                .size_bytes = number(input),
                                .doubtful = bits & 1};

    head.crc32c = crc32c(0, &head.cluster, sizeof(head) - offsetof(struct journal_head, cluster));
    memcpy(at, &head, sizeof(head));
}

/* One in eight numbers is whatever it is; else it is what fits. */
static uint64_t
about(struct input *input, uint64_t fitting)
{
    return draw(input, 1) < 224 ? fitting : number(input);
}

/* As many records of a few bytes as there is room for. */
static void
put_records(struct input *input, uint8_t *at, uint32_t count, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < count && size_bytes >= sizeof(struct record); i++) {
        uint32_t rest_bytes = i + 1 == count ? size_bytes - (uint32_t)sizeof(struct record) : 0;
        struct record record = {.payload_bytes = (uint32_t)about(input, rest_bytes),
                                .producer = about(input, 1),
                                .producer_seq = about(input, i + 1)};

        memcpy(at, &record, sizeof(record));
        at += sizeof(record);
        size_bytes -= (uint32_t)sizeof(record);
    }
}

static void
put_body(struct input *input, const struct journal_block *head, uint8_t *at)
{
    memset(at, 0, head->body_bytes);
    if (head->type == JOURNAL_ENTRIES || head->type == JOURNAL_BRANCH)
        put_records(input, at, head->block.count % 16, head->body_bytes);
    else
        for (uint32_t i = 0; i + 8 <= head->body_bytes && input->left > 0; i += 8) {
            uint64_t word = number(input);

            memcpy(at + i, &word, sizeof(word));
        }
}

static uint32_t
body_bytes(struct input *input, uint8_t type, uint32_t count)
{
    switch (type) {
    case JOURNAL_ENTRIES:
    case JOURNAL_BRANCH:
        return (uint32_t)(count * sizeof(struct record) + draw(input, 1) % 4 * 8);
    case JOURNAL_BASE:
    case JOURNAL_TRIM:
        return sizeof(struct journal_base);
    case JOURNAL_PRODUCERS:
        return count * (uint32_t)sizeof(struct producer_row);
    case JOURNAL_ENDS:
        return CAIRN_NODES_MAX * (uint32_t)sizeof(struct journal_end);
    default:
        return 0;
    }
}

static struct journal_block
block_head(struct input *input, uint64_t file, uint32_t offset_bytes, bool first)
{
    struct journal_block head = {.magic = JOURNAL_BLOCK_MAGIC,
                                 .file = about(input, file),
                                 .offset_bytes = (uint32_t)about(input, offset_bytes),
                                 .log = (uint32_t)number(input),
                                 .cluster = CLUSTER,
                                 .type = (uint8_t)about(input, first ? JOURNAL_BEGIN : 2 + draw(input, 1) % 8),
                                 .flags = (uint8_t)draw(input, 1),
                                 .durable = about(input, journal_place(file, offset_bytes)),
                                 .commit_lsn = number(input)};

    head.block = (struct block){.term = about(input, 1),
                                .first_lsn = number(input),
                                .prev = about(input, 1),
                                .first_seq = about(input, first ? 2 * DISK_SECTOR_BYTES : 1),
                                .fork_lsn = number(input),
                                .hlc = number(input),
                                .trunk_hlc = number(input),
                                .count = (uint32_t)about(input, draw(input, 1) % 8),
                                .incarnation = (uint32_t)about(input, 1),
                                .origin = (uint8_t)about(input, 0),
                                .kind = (uint8_t)about(input, 0)};
    head.body_bytes = body_bytes(input, head.type, head.block.count % 16);
    head.block.size_bytes = (uint32_t)about(input, head.body_bytes);
    return head;
}

/* *offset: behind the block, and where that ends its write at the next sector. false: there is no room. */
static bool
put_block(struct input *input, struct memory_disk *disk, uint32_t index, uint32_t *offset)
{
    uint8_t *at = disk->bytes[index] + *offset;
    struct journal_block head = block_head(input, disk->numbers[index], *offset, *offset == DISK_SECTOR_BYTES);

    if (*offset + sizeof(head) + head.body_bytes > disk->sizes[index])
        return false;
    put_body(input, &head, at + sizeof(head));
    head.body_crc32c = crc32c(0, at + sizeof(head), head.body_bytes);
    head.body_bytes = (uint32_t)about(input, head.body_bytes);
    head.head_crc32c = crc32c(0, &head.file, sizeof(head) - offsetof(struct journal_block, file));
    memcpy(at, &head, sizeof(head));
    *offset += (uint32_t)sizeof(head) + head.body_bytes % FILE_BYTES;
    if (head.flags & JOURNAL_LAST)
        *offset = (*offset + DISK_SECTOR_BYTES - 1) & ~(DISK_SECTOR_BYTES - 1);
    return *offset + sizeof(head) <= disk->sizes[index];
}

static void
make_file(struct input *input, struct memory_disk *disk)
{
    uint32_t index = disk->count++, offset = DISK_SECTOR_BYTES, blocks = (uint32_t)draw(input, 1) % 24;

    disk->sizes[index] = (1 + (uint32_t)draw(input, 1) % (FILE_BYTES / DISK_SECTOR_BYTES)) * DISK_SECTOR_BYTES;
    disk->numbers[index] = (index == 0 ? 0 : disk->numbers[index - 1]) + 1 + draw(input, 1) % 2;
    disk->bytes[index] = calloc(1, disk->sizes[index]);
    put_head(input, disk->bytes[index], disk->numbers[index]);
    for (uint32_t i = 0; i < blocks && offset + sizeof(struct journal_block) <= disk->sizes[index]; i++) {
        if (!put_block(input, disk, index, &offset))
            break;
    }
}

static void
damage_some(struct input *input, struct memory_disk *disk)
{
    for (uint64_t left = draw(input, 1) % 4; left > 0; left--) {
        uint32_t index = (uint32_t)(draw(input, 1) % disk->count);

        disk->bytes[index][draw(input, 2) % disk->sizes[index]] ^= (uint8_t)draw(input, 1);
    }
}

static void
check_block(const struct journal_scan *scan)
{
    const struct journal_block *head = scan->head;

    if (!journal_head_plausible(head) || !journal_body_plausible(head, scan->body) ||
        journal_place(head->file, head->offset_bytes) != scan->place || scan->body != (const uint8_t *)(head + 1))
        abort();
}

static void
check_damage(const struct journal_scan *scan)
{
    if (scan->from > scan->to || scan->from >> 32 != scan->to >> 32 || scan->reason[0] == '\0')
        abort();
}

static void
read_all(struct journal_scan *scan)
{
    enum scan_verdict verdict = SCAN_BLOCK;

    for (uint32_t i = 0; verdict == SCAN_BLOCK || verdict == SCAN_DAMAGE; i++) {
        verdict = journal_scan_next(scan);
        if (verdict == SCAN_BLOCK)
            check_block(scan);
        if (verdict == SCAN_DAMAGE)
            check_damage(scan);
        if (i > VERDICTS_MAX)
            abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct memory_disk disk = {.base.operations = &operations};
    const struct cairn_id life = {{0}};
    struct journal_lives lives;
    struct journal_scan scan;
    char detail[256];
    uint64_t files = draw(&input, 1) % FILES_MAX + 1, from = draw(&input, 1), place = number(&input);

    for (uint64_t i = 0; i < files; i++)
        make_file(&input, &disk);
    damage_some(&input, &disk);
    from = from % 4 == 0 ? disk.numbers[from / 4 % files] : 0;
    if (journal_scan_init(&scan, &disk.base, CLUSTER, 0, 0, from, detail, sizeof(detail)) == CAIRN_OK) {
        /* As a checkpoint says. */
        journal_scan_seek(&scan, journal_place(from, (uint32_t)place));
        read_all(&scan);
        if (journal_scan_know_all(&scan, detail, sizeof(detail)) == CAIRN_OK) {
            journal_scan_seek(&scan, journal_place(scan.numbers[0], DISK_SECTOR_BYTES));
            read_all(&scan);
            journal_scan_tidy(&scan);
        }
    }
    journal_scan_fini(&scan);
    journal_lives_read(&disk.base, &life, 1, &lives);
    for (uint32_t i = 0; i < disk.count; i++)
        free(disk.bytes[i]);
    return 0;
}
