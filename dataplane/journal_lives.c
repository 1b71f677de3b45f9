#include "dataplane/journal_lives.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/journal.h"
#include "wire/crc32c.h"

/* Who made a file, as its head says, or its first block, which says it again. */
struct maker {
    struct cairn_id life;
    uint32_t number; /* 0: neither is whole */
    bool written;    /* there is a first block */
};

static bool
head_is_whole(const struct journal_head *head, uint64_t number)
{
    return memcmp(head->magic, JOURNAL_MAGIC, sizeof(head->magic)) == 0 && head->version == JOURNAL_VERSION &&
           head->number == number &&
           head->crc32c == crc32c(0, &head->cluster, sizeof(*head) - offsetof(struct journal_head, cluster));
}

static bool
block_is_whole(const struct journal_block *block, uint64_t number)
{
    return block->magic == JOURNAL_BLOCK_MAGIC && block->file == number && block->type == JOURNAL_BEGIN &&
           block->head_crc32c == crc32c(0, &block->file, sizeof(*block) - offsetof(struct journal_block, file));
}

/* sectors: the first two of the file. */
static struct maker
maker_of(const uint8_t *sectors, int64_t size_bytes, uint64_t number)
{
    const struct journal_head *head = (const struct journal_head *)(const void *)sectors;
    const struct journal_block *block = (const struct journal_block *)(const void *)(sectors + DISK_SECTOR_BYTES);
    struct maker maker = {.number = 0};

    maker.written = size_bytes >= (int64_t)(DISK_SECTOR_BYTES + sizeof(*block)) && block_is_whole(block, number);
    if (size_bytes >= (int64_t)sizeof(*head) && head_is_whole(head, number)) {
        maker.life = head->life;
        maker.number = head->incarnation;
    } else if (maker.written) {
        maker.life = journal_begin_life(&block->block);
        maker.number = block->block.incarnation;
    }
    return maker;
}

static enum cairn_error
read_maker(struct disk *disk, uint64_t number, uint8_t *sectors, struct maker *out)
{
    struct disk_file file;
    enum cairn_error error = disk->operations->open(disk, number, &file);
    int64_t got;

    if (error != CAIRN_OK)
        return error;
    got = disk->operations->read(disk, &file, sectors, 2 * DISK_SECTOR_BYTES, 0);
    disk->operations->close(disk, &file);
    *out = maker_of(sectors, got, number);
    return CAIRN_OK;
}

enum cairn_error
journal_lives_read(struct disk *disk, const struct cairn_id *life, uint32_t number, struct journal_lives *out)
{
    uint64_t *numbers = calloc(JOURNAL_FILES_MAX, sizeof(*numbers));
    uint8_t *sectors = aligned_alloc(DISK_SECTOR_BYTES, 2 * DISK_SECTOR_BYTES);
    struct maker maker = {.number = 0};
    uint32_t count = 0;
    enum cairn_error error = numbers == NULL || sectors == NULL
                                 ? CAIRN_NO_MEMORY
                                 : disk->operations->list(disk, numbers, JOURNAL_FILES_MAX, &count);

    memset(out, 0, sizeof(*out));
    out->any = count > 0;
    /* A file that nothing was written to is what a life left that came no further. */
    while (error == CAIRN_OK && count > 0 && !maker.written) {
        error = read_maker(disk, numbers[--count], sectors, &maker);
        if (error != CAIRN_OK)
            break;
        if (maker.number > out->highest_number)
            out->highest_number = maker.number;
        out->has_file |= maker.number == number && memcmp(&maker.life, life, sizeof(*life)) == 0;
    }
    if (maker.written) {
        out->writer = maker.life;
        out->writer_number = maker.number;
    }
    assert(out->writer_number <= out->highest_number);
    assert(out->any || (!out->has_file && out->highest_number == 0));
    free(numbers);
    free(sectors);
    return error;
}
