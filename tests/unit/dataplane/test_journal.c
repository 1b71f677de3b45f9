/* The journal and its reader: what was written is read back; whatever byte, sector or end of it is lost, that is noticed
 * and nothing else is told than what was written. */
#include "dataplane/journal_scan.h"
#include "tests/unit/check.h"
#include "wire/crc32c.h"

#define CLUSTER 77u
#define NODE 1u
#define FILE_BYTES (8u * DISK_SECTOR_BYTES)
#define WRITE_BYTES (3u * DISK_SECTOR_BYTES)
#define FILES_MAX 4u
#define BLOCKS_MAX 256u

/* A disk in memory, whose writes are done at once. */
struct memory_disk {
    struct disk base;
    struct memory_file {
        uint64_t number, size_bytes;
        uint8_t bytes[FILE_BYTES];
    } files[FILES_MAX];
    uint32_t count;
    struct disk_done done[JOURNAL_WRITES_MAX];
    uint32_t done_count;
    struct disk_file ahead_file;
    struct disk_request ahead;
};

static struct memory_file *
file_of(struct disk *disk, uint64_t number)
{
    struct memory_disk *memory = (struct memory_disk *)disk;

    for (uint32_t i = 0; i < memory->count; i++) {
        if (memory->files[i].number == number)
            return &memory->files[i];
    }
    return NULL;
}

static enum cairn_error
list(struct disk *disk, uint64_t *numbers, uint32_t max, uint32_t *count)
{
    struct memory_disk *memory = (struct memory_disk *)disk;

    assert_true(memory->count <= max);
    for (*count = 0; *count < memory->count; ++*count)
        numbers[*count] = memory->files[*count].number;
    return CAIRN_OK;
}

static enum cairn_error
open_file(struct disk *disk, uint64_t number, struct disk_file *out)
{
    *out = (struct disk_file){.number = number, .size_bytes = file_of(disk, number)->size_bytes, .handle = (int)number};
    return CAIRN_OK;
}

static enum cairn_error
create(struct disk *disk, uint64_t number, uint64_t size_bytes, const void *head, struct disk_file *out)
{
    struct memory_disk *memory = (struct memory_disk *)disk;
    struct memory_file *file = &memory->files[memory->count];

    assert_true(size_bytes == FILE_BYTES);
    if (memory->count == FILES_MAX)
        return CAIRN_FULL;
    memory->count++;
    file->number = number;
    file->size_bytes = size_bytes;
    memcpy(file->bytes, head, DISK_SECTOR_BYTES);
    return open_file(disk, number, out);
}

static enum cairn_error
retire(struct disk *disk, uint64_t number)
{
    (void)disk;
    (void)number;
    return CAIRN_OK;
}

static void
close_file(struct disk *disk, const struct disk_file *file)
{
    (void)disk;
    (void)file;
}

static int64_t
read_file(struct disk *disk, const struct disk_file *opened, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    const struct memory_file *file = file_of(disk, opened->number);

    if (offset_bytes >= file->size_bytes)
        return 0;
    if (size_bytes > file->size_bytes - offset_bytes)
        size_bytes = file->size_bytes - offset_bytes;
    memcpy(bytes, file->bytes + offset_bytes, size_bytes);
    return (int64_t)size_bytes;
}

static void
read_begin(struct disk *disk, const struct disk_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes)
{
    struct memory_disk *memory = (struct memory_disk *)disk;

    memory->ahead_file = *file;
    memory->ahead = (struct disk_request){
        .bytes = bytes, .size_bytes = (uint32_t)size_bytes, .offset_bytes = offset_bytes};
}

static int64_t
read_end(struct disk *disk)
{
    struct memory_disk *memory = (struct memory_disk *)disk;

    return read_file(disk, &memory->ahead_file, memory->ahead.bytes, memory->ahead.size_bytes,
                     memory->ahead.offset_bytes);
}

static void
use_memory(struct disk *disk, void *bytes, size_t size_bytes)
{
    (void)disk;
    (void)bytes;
    (void)size_bytes;
}

static bool
submit(struct disk *disk, const struct disk_request *request)
{
    struct memory_disk *memory = (struct memory_disk *)disk;

    memcpy(file_of(disk, (uint64_t)request->handle)->bytes + request->offset_bytes, request->bytes,
           request->size_bytes);
    memory->done[memory->done_count++] = (struct disk_done){.token = request->token,
                                                            .result = (int32_t)request->size_bytes};
    return true;
}

static enum cairn_error
no_reserve(struct disk *disk, uint64_t size_bytes, uint64_t *got_bytes)
{
    (void)disk;
    (void)size_bytes;
    *got_bytes = 0;
    return CAIRN_FULL;
}

static uint64_t
no_free_bytes(struct disk *disk)
{
    (void)disk;
    return 0;
}

static const struct disk_operations operations = {
    .list = list,
    .create = create,
    .reserve = no_reserve,
    .free_bytes = no_free_bytes,
    .open = open_file,
    .close = close_file,
    .retire = retire,
    .read = read_file,
    .read_begin = read_begin,
    .read_end = read_end,
    .use_memory = use_memory,
    .submit = submit,
};

/* What a block is known by. */
struct seen {
    uint64_t place;
    uint32_t head_crc32c, body_crc32c;
};

struct reading {
    struct seen blocks[BLOCKS_MAX];
    uint32_t count, damages;
    bool torn, refused;
};

static void
put(struct journal *journal, uint32_t index)
{
    static uint8_t body[2 * DISK_SECTOR_BYTES];
    size_t body_bytes = index % 3 == 0 ? 0 : (index * 1187 % (index % 5 == 1 ? 7000 : 300)) & ~7u;
    bool entries = body_bytes >= sizeof(struct record);
    struct journal_block head = {.type = entries ? JOURNAL_ENTRIES : JOURNAL_STATE,
                                 .log = 1 + index % 4,
                                 .block = {.term = 1,
                                           .first_lsn = index,
                                           .first_seq = index,
                                           .count = entries,
                                           .size_bytes = (uint32_t)body_bytes,
                                           .incarnation = 1}};
    struct journal_item item = {.owner = journal, .lsn = index};

    memset(body, (int)(index % 251 + 1), body_bytes);
    if (entries) {
        const struct record record = {.payload_bytes = (uint32_t)(body_bytes - sizeof(record)), .producer_seq = index};

        memcpy(body, &record, sizeof(record));
    }
    assert_true(journal_has_room(journal, body_bytes));
    journal_put(journal, &head, body, body_bytes, &item);
}

/* A journal in its first file, on a disk that is empty. The caller frees the disk. */
static struct memory_disk *
begin_journal(struct journal *journal)
{
    struct memory_disk *disk = calloc(1, sizeof(*disk));
    struct journal_config config = {.disk = &disk->base,
                                    .cluster = CLUSTER,
                                    .incarnation = 1,
                                    .node = NODE,
                                    .file_bytes = FILE_BYTES,
                                    .write_bytes = WRITE_BYTES,
                                    .items_max = 8};
    char detail[256];

    disk->base.operations = &operations;
    assert_int_equal(journal_init(journal, &config, 1, 0, detail, sizeof(detail)), CAIRN_OK);
    return disk;
}

static void
settle(struct journal *journal, struct memory_disk *disk)
{
    for (uint32_t i = 0; i < disk->done_count; i++)
        journal_done(journal, &disk->done[i]);
    disk->done_count = 0;
    while (journal_take(journal) != NULL)
        ;
}

/* Writes of one to four blocks, into the second file. */
static struct memory_disk *
write_journal(void)
{
    struct journal journal;
    struct memory_disk *disk = begin_journal(&journal);

    for (uint32_t index = 1, write = 0; disk->count < 3; write++) {
        journal_maintain(&journal);
        for (uint32_t i = 0; i <= write % 4 && journal_has_room(&journal, 7000); i++)
            put(&journal, index++);
        journal_submit(&journal, 0);
        settle(&journal, disk);
    }
    journal_fini(&journal);
    return disk;
}

static void
read_journal(struct memory_disk *disk, struct reading *out)
{
    struct journal_scan scan;
    char detail[256];
    enum scan_verdict verdict;

    memset(out, 0, sizeof(*out));
    out->refused = journal_scan_init(&scan, &disk->base, CLUSTER, NODE, 0, 0, detail, sizeof(detail)) != CAIRN_OK;
    if (out->refused) {
        journal_scan_fini(&scan);
        return;
    }
    while ((verdict = journal_scan_next(&scan)) == SCAN_BLOCK || verdict == SCAN_DAMAGE) {
        if (verdict == SCAN_DAMAGE) {
            out->damages++;
            continue;
        }
        assert_true(out->count < BLOCKS_MAX);
        out->blocks[out->count++] = (struct seen){
            .place = scan.place, .head_crc32c = scan.head->head_crc32c, .body_crc32c = scan.head->body_crc32c};
    }
    assert_true(verdict == SCAN_END || verdict == SCAN_TORN);
    out->torn = verdict == SCAN_TORN;
    journal_scan_fini(&scan);
}

/* Nothing is read that was not written, in another order, or twice. */
static void
expect_part_of(const struct reading *whole, const struct reading *part)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < part->count; i++) {
        while (at < whole->count && memcmp(&whole->blocks[at], &part->blocks[i], sizeof(part->blocks[i])) != 0)
            at++;
        assert_true(at++ < whole->count);
    }
}

/* Where what is written of the first file, which is closed, ends. */
static uint32_t
closed_bytes(const struct reading *whole, const struct memory_disk *disk)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < whole->count && whole->blocks[i].place >> 32 == 1; i++) {
        uint32_t offset = (uint32_t)whole->blocks[i].place;

        end = offset + (uint32_t)sizeof(struct journal_block) +
              ((const struct journal_block *)(const void *)(disk->files[0].bytes + offset))->body_bytes;
    }
    return (end + DISK_SECTOR_BYTES - 1) & ~(DISK_SECTOR_BYTES - 1);
}

/* A journal, what stands in it, and where its closed file ends. */
static struct memory_disk *
closed_journal(struct reading *whole, uint32_t *end)
{
    struct memory_disk *disk = write_journal();

    read_journal(disk, whole);
    *end = closed_bytes(whole, disk);
    return disk;
}

static void
what_was_written_is_read(void **state)
{
    struct reading whole;
    uint32_t end;
    struct memory_disk *disk = closed_journal(&whole, &end);

    (void)state;
    assert_false(whole.refused);
    assert_int_equal(whole.damages, 0);
    assert_false(whole.torn);
    assert_true(whole.count > 8 && end > 4 * DISK_SECTOR_BYTES);
    free(disk);
}

/* What is behind it in its write is read: its header says where that begins. */
static void
records_that_change_cost_their_block_alone(void **state)
{
    struct reading whole, part;
    uint32_t end, tried = 0;
    struct memory_disk *disk = closed_journal(&whole, &end);

    (void)state;
    for (uint32_t i = 0; i + 1 < whole.count && whole.blocks[i + 1].place >> 32 == 1; i++) {
        uint8_t *at = disk->files[0].bytes + (uint32_t)whole.blocks[i].place;

        if (((const struct journal_block *)(const void *)at)->body_bytes == 0)
            continue;
        at[sizeof(struct journal_block)] ^= 1;
        read_journal(disk, &part);
        assert_int_equal(part.damages, 1);
        assert_int_equal(part.count, whole.count - 1);
        expect_part_of(&whole, &part);
        at[sizeof(struct journal_block)] ^= 1;
        tried++;
    }
    assert_true(tried > 4);
    free(disk);
}

static void
every_byte_that_changes_is_noticed(void **state)
{
    struct reading whole, part;
    uint32_t end;
    struct memory_disk *disk = closed_journal(&whole, &end);

    (void)state;
    for (uint32_t at = 0; at < end; at++) {
        disk->files[0].bytes[at] ^= (uint8_t)(1u << at % 8);
        read_journal(disk, &part);
        /* Another format's version is not to be read on. */
        assert_true(part.refused == (at >= 8 && at < 12));
        assert_true(part.refused || part.damages > 0);
        expect_part_of(&whole, &part);
        /* One block at most, and what cannot be found without it: the rest of its write. */
        assert_true(part.refused || part.count + 4 >= whole.count);
        disk->files[0].bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    free(disk);
}

/* The block's checksums are made right. */
static void
seal(struct journal_block *head)
{
    head->body_crc32c = crc32c(0, head + 1, head->body_bytes);
    head->head_crc32c = crc32c(0, &head->file, sizeof(*head) - offsetof(struct journal_block, file));
}

/* Sums that are right make no sense of what makes none: it is damage, at its place, wherever in the journal it stands, and
 * costs its block. */
static void
whole_blocks_of_numbers_that_cannot_be_are_damage(void **state)
{
    struct reading whole, part;
    uint32_t end, tried = 0;
    struct memory_disk *disk = closed_journal(&whole, &end);

    (void)state;
    for (uint32_t i = 0; i < whole.count; i++) {
        uint8_t *at = file_of(&disk->base, whole.blocks[i].place >> 32)->bytes + (uint32_t)whole.blocks[i].place;
        struct journal_block *head = (struct journal_block *)(void *)at, kept = *head;

        for (uint32_t which = 0; which < 8; which++) {
            if (head->type == JOURNAL_BEGIN || (head->type == JOURNAL_STATE && which > 2))
                continue;
            switch (which) {
            case 0:
                head->block.term = UINT64_MAX;
                break;
            case 1:
                head->block.origin = CAIRN_NODES_MAX;
                break;
            case 2:
                head->commit_lsn = LSN_MAX + 1;
                break;
            case 3:
                head->block.first_lsn = UINT64_MAX;
                break;
            case 4:
                head->block.first_seq = SEQ_MAX + 1;
                break;
            case 5:
                head->block.incarnation = LIFE_MAX + 1;
                break;
            case 6:
                head->block.count = UINT32_MAX;
                break;
            default:
                head->block.hlc = UINT64_MAX;
            }
            seal(head);
            read_journal(disk, &part);
            assert_int_equal(part.damages, 1);
            assert_int_equal(part.count, whole.count - 1);
            assert_false(part.torn);
            expect_part_of(&whole, &part);
            *head = kept;
            tried++;
        }
    }
    assert_true(tried > 32);
    read_journal(disk, &part);
    assert_int_equal(part.damages, 0);
    free(disk);
}

static void
bodies_of_numbers_that_cannot_be_are_not_believed(void **state)
{
    struct journal_block base = {.type = JOURNAL_BASE, .body_bytes = sizeof(struct journal_base)},
                         rows_head = {.type = JOURNAL_PRODUCERS, .block.count = 2};
    struct journal_base body = {
        .lsn = 1, .base_term = 1, .members = 7, .marks_count = 1, .marks[0] = {.seq = 1, .incarnation = 1}};
    struct producer_row rows[2] = {{.id = 7, .seq = 1, .lsn = 1}, {.id = 8, .seq = 1, .lsn = 1}};
    struct journal_block records = {.type = JOURNAL_ENTRIES, .body_bytes = 2 * sizeof(struct record), .block.count = 2};
    struct record record[2] = {{.producer = 0}, {.producer = 0}};

    (void)state;
    assert_true(journal_body_plausible(&base, &body));
    body.marks_count = 65;
    assert_false(journal_body_plausible(&base, &body));
    body.marks_count = 1ull << 32 | 1;
    assert_false(journal_body_plausible(&base, &body));
    body.marks_count = 1;
    body.marks[0].origin = 256;
    assert_false(journal_body_plausible(&base, &body));
    body.marks[0].origin = 0;
    body.members = 0;
    assert_false(journal_body_plausible(&base, &body));
    body.members = 7;
    body.lsn = LSN_MAX + 1;
    assert_false(journal_body_plausible(&base, &body));
    rows_head.body_bytes = sizeof(rows);
    assert_true(journal_head_plausible(&rows_head) && journal_body_plausible(&rows_head, rows));
    rows[1].id = 7;
    assert_false(journal_body_plausible(&rows_head, rows));
    rows[1] = (struct producer_row){.id = 8, .seq = 1, .lsn = UINT64_MAX};
    assert_false(journal_body_plausible(&rows_head, rows));
    assert_true(journal_body_plausible(&records, record));
    record[1].producer = 9; /* of no sequence */
    assert_false(journal_body_plausible(&records, record));
    record[1].producer_seq = 1;
    assert_true(journal_body_plausible(&records, record));
    record[1].producer_seq = PRODUCER_SEQ_MAX + 1;
    assert_false(journal_body_plausible(&records, record));
    record[1].producer = 0;
    records.block.count = 1;
    assert_false(journal_body_plausible(&records, record));
    records.block.count = 3;
    assert_false(journal_body_plausible(&records, record));
    rows_head.body_bytes -= 8;
    assert_false(journal_head_plausible(&rows_head));
    base.body_bytes -= 8;
    assert_false(journal_head_plausible(&base));
    base.type = JOURNAL_ENDS + 1;
    assert_false(journal_head_plausible(&base));
}

static void
zero_each(uint32_t sector_bytes)
{
    struct reading whole, part;
    uint8_t kept[DISK_SECTOR_BYTES], nothing[DISK_SECTOR_BYTES] = {0};
    uint32_t end;
    struct memory_disk *disk = closed_journal(&whole, &end);

    for (uint32_t at = 0; at < end; at += sector_bytes) {
        memcpy(kept, disk->files[0].bytes + at, sector_bytes);
        memset(disk->files[0].bytes + at, 0, sector_bytes);
        read_journal(disk, &part);
        assert_true(part.damages > 0 || memcmp(kept, nothing, sector_bytes) == 0);
        expect_part_of(&whole, &part);
        memcpy(disk->files[0].bytes + at, kept, sector_bytes);
    }
    free(disk);
}

static void
every_sector_that_is_zeroed_is_noticed(void **state)
{
    (void)state;
    zero_each(512);
    zero_each(DISK_SECTOR_BYTES);
}

static void
every_end_that_is_cut_off_is_noticed(void **state)
{
    struct reading whole, part;
    uint32_t end;
    struct memory_disk *disk = closed_journal(&whole, &end);

    (void)state;
    for (uint32_t size_bytes = 0; size_bytes < end; size_bytes++) {
        disk->files[0].size_bytes = size_bytes;
        read_journal(disk, &part);
        assert_true(part.damages > 0);
        expect_part_of(&whole, &part);
    }
    disk->files[0].size_bytes = FILE_BYTES;
    /* Of the last file a write may have been cut off. */
    for (uint32_t size_bytes = 0; size_bytes < FILE_BYTES; size_bytes += 8) {
        disk->files[1].size_bytes = size_bytes;
        read_journal(disk, &part);
        expect_part_of(&whole, &part);
    }
    free(disk);
}

/* A checkpoint may say so: no block stands there, and reading comes to its end. */
static void
a_place_in_front_of_the_first_block_is_that_block(void **state)
{
    struct memory_disk *disk = write_journal();
    struct journal_scan scan;
    char detail[256];

    (void)state;
    assert_int_equal(journal_scan_init(&scan, &disk->base, CLUSTER, NODE, 0, 0, detail, sizeof(detail)), CAIRN_OK);
    for (uint32_t offset = 0; offset < DISK_SECTOR_BYTES; offset += 8) {
        journal_scan_seek(&scan, journal_place(1, offset));
        assert_int_equal(journal_scan_next(&scan), SCAN_BLOCK);
        assert_int_equal(scan.place, journal_place(1, DISK_SECTOR_BYTES));
    }
    journal_scan_fini(&scan);
    free(disk);
}

/* The helper makes the next file between the look for room, which there is in the rest of this one, and what is put there,
 * while a write is on its way to it. */
static void
what_has_its_place_is_put_there_whatever_the_helper_makes(void **state)
{
    struct journal journal;
    struct memory_disk *disk = begin_journal(&journal);
    struct journal_block head = {.type = JOURNAL_STATE, .log = 1};
    struct journal_item item = {.owner = disk};

    (void)state;
    journal_maintain(&journal);
    do {
        settle(&journal, disk);
        assert_true(journal_has_room(&journal, 0));
        journal_put(&journal, &head, NULL, 0, &item);
        journal_submit(&journal, 0);
    } while (journal.file.size_bytes - journal.offset_bytes >= WRITE_BYTES);
    assert_int_equal(disk->count, 1);
    assert_true(journal_has_room(&journal, 0));
    journal_maintain(&journal);
    assert_int_equal(disk->count, 2);
    assert_int_equal(journal_put(&journal, &head, NULL, 0, &item) >> 32, 1);
    settle(&journal, disk);
    journal_submit(&journal, 0);
    settle(&journal, disk);
    assert_true(journal_has_room(&journal, 0));
    assert_int_equal(journal_put(&journal, &head, NULL, 0, &item) >> 32, 2);
    journal_fini(&journal);
    free(disk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_its_place_is_put_there_whatever_the_helper_makes),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(records_that_change_cost_their_block_alone),
        cmocka_unit_test(whole_blocks_of_numbers_that_cannot_be_are_damage),
        cmocka_unit_test(bodies_of_numbers_that_cannot_be_are_not_believed),
        cmocka_unit_test(every_byte_that_changes_is_noticed),
        cmocka_unit_test(every_sector_that_is_zeroed_is_noticed),
        cmocka_unit_test(every_end_that_is_cut_off_is_noticed),
        cmocka_unit_test(a_place_in_front_of_the_first_block_is_that_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
