#include "dataplane/journal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/journal_write.h"

/* Writes under way at once: what comes meanwhile goes together into the next one. A second one sets out early while both
 * are small, for the latency, or when it is large itself; between the two, fewer and larger writes are the faster. */
#define UNDER_WAY_MAX 2u
#define SMALL_BYTES (32u << 10)
#define LARGE_BYTES (512u << 10)
/* Zeroed ahead of the end while little is written: a write into space that was only reserved costs the file
 * system a journal entry of its own, half as long again as the write (docs/storage.md). */
#define AHEAD_BYTES (4u << 20)
#define ZEROES_BYTES (256u << 10)
#define ZEROES_PER_TICK 4u
#define ZEROES_TOKEN UINT64_MAX
/* The part of a file that is kept for states and tails when there is no space for another. */
#define KEPT_SHARE 16u

_Static_assert(ZEROES_BYTES % DISK_SECTOR_BYTES == 0 && AHEAD_BYTES % ZEROES_BYTES == 0, "pieces of whole sectors");
_Static_assert(UNDER_WAY_MAX < JOURNAL_WRITES_MAX, "another is filled meanwhile");

enum cairn_error
journal_init(struct journal *journal, const struct journal_config *config, uint64_t next_number, uint64_t former_end,
             char *detail, size_t detail_bytes)
{
    size_t memory_bytes = (size_t)config->write_bytes * JOURNAL_WRITES_MAX + ZEROES_BYTES;

    assert(config->write_bytes % DISK_SECTOR_BYTES == 0 && config->file_bytes % DISK_SECTOR_BYTES == 0);
    assert(config->file_bytes >= 2ull * config->write_bytes && config->file_bytes <= UINT32_MAX);
    assert(config->items_max > 0 && config->write_bytes > 2 * sizeof(struct journal_block));
    /* Places rise over files. */
    assert(next_number > former_end >> 32);
    memset(journal, 0, sizeof(*journal));
    journal->config = *config;
    journal->next_number = next_number;
    journal->former_end = former_end;
    atomic_store(&journal->doubtful, config->doubtful);
    journal->file.handle = -1;
    journal->memory = aligned_alloc(DISK_SECTOR_BYTES, memory_bytes);
    for (uint32_t i = 0; i < JOURNAL_WRITES_MAX; i++) {
        journal->writes[i].items = calloc(config->items_max, sizeof(struct journal_item));
        if (journal->memory == NULL || journal->writes[i].items == NULL) {
            journal_fini(journal);
            snprintf(detail, detail_bytes, "no memory for the journal");
            return CAIRN_NO_MEMORY;
        }
        journal->writes[i].bytes = journal->memory + (size_t)i * config->write_bytes;
    }
    journal->zeroes = journal->memory + (size_t)config->write_bytes * JOURNAL_WRITES_MAX;
    memset(journal->zeroes, 0, ZEROES_BYTES);
    config->disk->operations->use_memory(config->disk, journal->memory, memory_bytes);
    return CAIRN_OK;
}

void
journal_shorten(struct journal *journal)
{
    struct disk *disk = journal->config.disk;

    assert(journal->failed || !journal_busy(journal));
    if (!journal->failed && journal->file.handle >= 0 && journal->offset_bytes < journal->file.size_bytes)
        disk->operations->shrink(disk, &journal->file, journal->offset_bytes);
}

void
journal_fini(struct journal *journal)
{
    struct disk *disk = journal->config.disk;

    if (disk != NULL && journal->file.handle >= 0)
        disk->operations->close(disk, &journal->file);
    if (disk != NULL && atomic_load(&journal->next_ready))
        disk->operations->close(disk, &journal->next);
    for (uint32_t i = 0; i < JOURNAL_WRITES_MAX; i++)
        free(journal->writes[i].items);
    free(journal->memory);
    memset(journal, 0, sizeof(*journal));
}

static void
add(struct journal *journal, struct journal_write *write, const struct journal_block *from, const void *body,
    size_t body_bytes)
{
    struct journal_block *head = (struct journal_block *)(void *)(write->bytes + write->size_bytes);
    uint8_t *at = (uint8_t *)(head + 1);

    assert(body_bytes % 8 == 0);
    assert(write->size_bytes + sizeof(*head) + body_bytes <= journal->config.write_bytes);
    assert(write->size_bytes + sizeof(*head) + body_bytes <= write->capacity_bytes);
    assert_costly(!write->submitted && write->size_bytes % 8 == 0);
    *head = *from;
    if (body_bytes > 0)
        memcpy(at, body, body_bytes);
    head->magic = JOURNAL_BLOCK_MAGIC;
    head->file = write->file;
    head->offset_bytes = write->offset_bytes + write->size_bytes;
    head->body_bytes = (uint32_t)body_bytes;
    head->body_crc32c = crc32c(0, at, body_bytes);
    head->cluster = journal->config.cluster;
    head->node = journal->config.node;
    head->worker = journal->config.worker;
    head->durable = journal->durable;
    journal_seal(head);
    /* As who reads it will look at it. */
    assert_costly(journal_head_plausible(head));
    assert_costly(journal_body_plausible(head, at));
    write->last_bytes = write->size_bytes;
    write->size_bytes += (uint32_t)(sizeof(*head) + body_bytes);
}

/* Goes on in the file that the helper made. */
static bool
next_file(struct journal *journal)
{
    struct journal_block begin = {
        .type = JOURNAL_BEGIN,
        .flags = atomic_load_explicit(&journal->doubtful, memory_order_relaxed) ? JOURNAL_DOUBTFUL : 0};
    struct journal_write *write = journal_filling(journal);
    struct disk *disk = journal->config.disk;

    if (!atomic_load_explicit(&journal->next_ready, memory_order_acquire))
        return false;
    if (journal->file.handle >= 0) {
        /* Writes under way keep the descriptor until they have ended. */
        if (journal->head != journal->tail)
            return false;
        journal->former_end = journal_place(journal->file.number, journal->offset_bytes);
        disk->operations->close(disk, &journal->file);
    }
    assert(write->size_bytes == 0 && journal->zeroing_from == 0);
    assert(journal->next.number > journal->former_end >> 32);
    assert(journal->next.size_bytes % DISK_SECTOR_BYTES == 0 && journal->next.size_bytes > DISK_SECTOR_BYTES);
    journal->file = journal->next;
    journal->file_reserved = journal->next_reserved;
    journal->offset_bytes = DISK_SECTOR_BYTES;
    journal->zeroed_bytes = journal->file.written ? (uint32_t)journal->file.size_bytes : DISK_SECTOR_BYTES;
    atomic_store_explicit(&journal->next_ready, false, memory_order_release);
    write->file = journal->file.number;
    write->handle = journal->file.handle;
    write->offset_bytes = journal->offset_bytes;
    begin.block.first_lsn = journal->former_end >> 32;
    begin.block.first_seq = journal->former_end & UINT32_MAX;
    begin.block.incarnation = journal->config.incarnation;
    memcpy(&begin.block.fork_lsn, journal->config.life.bytes, sizeof(begin.block.fork_lsn));
    memcpy(&begin.block.hlc, journal->config.life.bytes + sizeof(begin.block.fork_lsn), sizeof(begin.block.hlc));
    add(journal, write, &begin, NULL, 0);
    return true;
}

/* What a write that begins now may hold: the largest, but where that does not fit the file and there is no other, what
 * is left of it. That is kept for states, without which leaders could not change: journal_space(). */
static uint32_t
capacity_bytes(const struct journal *journal, const struct journal_write *write)
{
    uint64_t rest_bytes;

    if (write->size_bytes > 0)
        return write->capacity_bytes;
    if (atomic_load_explicit(&journal->next_ready, memory_order_acquire))
        rest_bytes = journal->next.size_bytes - DISK_SECTOR_BYTES;
    else if (journal->file.handle < 0)
        return journal->config.write_bytes;
    else
        rest_bytes = journal->file.size_bytes - journal->offset_bytes;
    return rest_bytes < journal->config.write_bytes ? (uint32_t)rest_bytes : journal->config.write_bytes;
}

/* The write to be filled has its place, or gets it now. */
static bool
place_write(struct journal *journal)
{
    struct journal_write *write = journal_filling(journal);

    journal_assert(journal);
    if (write->size_bytes > 0)
        return true;
    if (journal->tail - journal->head == JOURNAL_WRITES_MAX - 1)
        return false;
    write->capacity_bytes = capacity_bytes(journal, write);
    write->items_count = 0;
    write->submitted = write->done = false;
    if (journal->file.handle < 0 || journal->offset_bytes + write->capacity_bytes > journal->file.size_bytes)
        return journal->zeroing_from == 0 && next_file(journal);
    write->file = journal->file.number;
    write->handle = journal->file.handle;
    write->offset_bytes = journal->offset_bytes;
    assert_costly(write->offset_bytes + write->capacity_bytes <= journal->file.size_bytes);
    return true;
}

/* What a write has taken, with the next block's header; a first block may have a BEGIN before it. */
static uint32_t
taken_bytes(const struct journal_write *write)
{
    uint32_t before = write->size_bytes > 0 ? write->size_bytes : (uint32_t)sizeof(struct journal_block);

    return before + (uint32_t)sizeof(struct journal_block);
}

uint32_t
journal_room(const struct journal *journal)
{
    const struct journal_write *write = &journal->writes[journal->tail % JOURNAL_WRITES_MAX];
    uint32_t taken = taken_bytes(write), capacity = capacity_bytes(journal, write);

    return taken < capacity ? (capacity - taken) & ~7u : 0;
}

bool
journal_has_room(struct journal *journal, size_t body_bytes)
{
    const struct journal_write *write = &journal->writes[journal->tail % JOURNAL_WRITES_MAX];

    if (journal->failed || write->items_count == journal->config.items_max ||
        taken_bytes(write) + body_bytes > capacity_bytes(journal, write))
        return false;
    if (!place_write(journal))
        return false;
    assert_costly(write->file == journal->file.number);
    assert_costly(journal_room(journal) >= body_bytes);
    return true;
}

/* An owner has one item in a write: the latest. */
static void
note(struct journal_write *write, const struct journal_item *item)
{
    struct journal_item *last;

    if (write->items_count > 0) {
        last = &write->items[write->items_count - 1];
        if (last->owner == item->owner) {
            last->lsn = item->lsn > last->lsn ? item->lsn : last->lsn;
            last->branch = item->branch > last->branch ? item->branch : last->branch;
            last->state = item->state > last->state ? item->state : last->state;
            return;
        }
    }
    write->items[write->items_count++] = *item;
}

uint64_t
journal_put(struct journal *journal, const struct journal_block *head, const void *body, size_t body_bytes,
            const struct journal_item *item)
{
    struct journal_write *write = journal_filling(journal);
    uint64_t place = journal_place(write->file, write->offset_bytes + write->size_bytes);

    /* The write has its place since journal_has_room(), and is not placed again: the helper may have made a file since. */
    assert(write->file == journal->file.number && !journal->failed);
    assert_costly(write->items_count < journal->config.items_max);
    add(journal, write, head, body, body_bytes);
    note(write, item);
    assert_costly(place >= journal->durable);
    journal_assert(journal);
    return place;
}

/* Little is written and the zeroed part comes to its end: a piece of zeroes goes ahead. */
static void
ahead(struct journal *journal)
{
    struct disk *disk = journal->config.disk;
    uint32_t from = journal->zeroed_bytes > journal->offset_bytes ? journal->zeroed_bytes : journal->offset_bytes;
    struct disk_request request = {.handle = journal->file.handle,
                                   .write = true,
                                   .bytes = journal->zeroes,
                                   .size_bytes = ZEROES_BYTES,
                                   .offset_bytes = from,
                                   .token = ZEROES_TOKEN};

    if (journal->zeroing_from != 0 || journal->file.handle < 0 || journal->failed || journal->zeroes_left == 0 ||
        from + ZEROES_BYTES > journal->file.size_bytes || from > journal->offset_bytes + AHEAD_BYTES)
        return;
    /* Not over what is being filled, whose place is given already. */
    if (journal_filling(journal)->size_bytes > 0 && from < journal->offset_bytes + journal->config.write_bytes)
        return;
    assert_costly(from % DISK_SECTOR_BYTES == 0 && from >= journal->offset_bytes);
    if (!disk->operations->submit(disk, &request))
        return;
    journal->zeroes_left--;
    journal->zeroing_from = from;
}

void
journal_tick(struct journal *journal)
{
    journal->zeroes_left = journal->wrote_bytes <= ZEROES_PER_TICK * ZEROES_BYTES ? ZEROES_PER_TICK : 0;
    journal->wrote_bytes = 0;
    ahead(journal);
    journal_assert(journal);
}

/* What is being zeroed is not written to before. */
static bool
in_zeroing(const struct journal *journal, const struct journal_write *write)
{
    return journal->zeroing_from != 0 &&
           write->offset_bytes + journal_aligned(write->size_bytes) > journal->zeroing_from;
}

static bool
may_set_out(const struct journal *journal, const struct journal_write *write)
{
    const struct journal_write *former = &journal->writes[journal->head % JOURNAL_WRITES_MAX];

    if (journal->tail == journal->head)
        return true;
    if (journal->tail - journal->head >= UNDER_WAY_MAX)
        return false;
    return former->size_bytes + write->size_bytes <= SMALL_BYTES || write->size_bytes >= LARGE_BYTES;
}

void
journal_submit(struct journal *journal, uint64_t now_ns)
{
    struct journal_write *write = journal_filling(journal);
    struct disk *disk = journal->config.disk;
    uint32_t size_bytes = journal_aligned(write->size_bytes);
    struct disk_request request = {.handle = write->handle,
                                   .write = true,
                                   .bytes = write->bytes,
                                   .size_bytes = size_bytes,
                                   .offset_bytes = write->offset_bytes,
                                   .token = journal->tail};

    if (write->size_bytes == 0 || journal->failed || !may_set_out(journal, write) || in_zeroing(journal, write))
        return;
    /* It goes where the one before it ends. */
    assert(write->file == journal->file.number && write->offset_bytes == journal->offset_bytes);
    assert_costly(write->handle == journal->file.handle && !write->submitted);
    assert_costly(size_bytes <= journal->config.write_bytes);
    journal_mark_last(write, true);
    memset(write->bytes + write->size_bytes, 0, size_bytes - write->size_bytes);
    if (!disk->operations->submit(disk, &request)) {
        journal_mark_last(write, false);
        return;
    }
    write->submitted = true;
    write->submitted_ns = now_ns;
    journal->offset_bytes += size_bytes;
    journal->wrote_bytes += size_bytes;
    journal->tail++;
    journal_filling(journal)->size_bytes = 0;
    journal_assert(journal);
}

const struct journal_write *
journal_done(struct journal *journal, const struct disk_done *done)
{
    struct journal_write *write;

    if (done->token == ZEROES_TOKEN) {
        assert(journal->zeroing_from != 0);
        if (done->result == (int32_t)ZEROES_BYTES)
            journal->zeroed_bytes = journal->zeroing_from + ZEROES_BYTES;
        journal->zeroing_from = 0;
        ahead(journal);
        return NULL;
    }
    write = &journal->writes[done->token % JOURNAL_WRITES_MAX];
    assert(write->submitted && !write->done);
    assert((uint32_t)done->token - journal->head < journal->tail - journal->head);
    write->done = true;
    /* A write that failed is never sent again: nobody can tell what the device has of it (Rebello et al.,
     * ATC'20). Nothing behind it counts either. */
    if (done->result != (int32_t)journal_aligned(write->size_bytes)) {
        journal->failure = done->result < 0 ? done->result : -EIO;
        journal->failed = true;
    }
    journal_assert(journal);
    return write;
}

const struct journal_write *
journal_under_way(const struct journal *journal)
{
    for (uint32_t i = journal->head; i != journal->tail; i++) {
        const struct journal_write *write = &journal->writes[i % JOURNAL_WRITES_MAX];

        assert_costly(write->submitted);
        if (!write->done)
            return write;
    }
    return NULL;
}

struct journal_write *
journal_take(struct journal *journal)
{
    struct journal_write *write = &journal->writes[journal->head % JOURNAL_WRITES_MAX];

    if (journal->head == journal->tail || !write->done || journal->failed)
        return NULL;
    assert(write->submitted && journal_place(write->file, write->offset_bytes) >= journal->durable);
    journal->durable = journal_place(write->file, write->offset_bytes + journal_aligned(write->size_bytes));
    journal->head++;
    journal_assert(journal);
    return write;
}

bool
journal_busy(const struct journal *journal)
{
    return journal->head != journal->tail || journal->zeroing_from != 0 ||
           journal->writes[journal->tail % JOURNAL_WRITES_MAX].size_bytes > 0;
}

void
journal_clamp(struct journal *journal, const void *owner, uint64_t lsn)
{
    for (uint32_t i = journal->head; i != journal->tail + 1; i++) {
        struct journal_write *write = &journal->writes[i % JOURNAL_WRITES_MAX];

        if (i == journal->tail && write->size_bytes == 0)
            return;
        assert_costly(write->items_count <= journal->config.items_max);
        for (uint32_t j = 0; j < write->items_count; j++) {
            if (write->items[j].owner == owner && write->items[j].lsn > lsn)
                write->items[j].lsn = lsn;
        }
    }
}

/* What of the file that is written to is kept for others than whoever asks. */
static uint64_t
kept_bytes(const struct journal *journal, enum journal_use use)
{
    uint64_t file_bytes = journal->file.size_bytes, share_bytes = file_bytes / KEPT_SHARE;
    uint64_t order_bytes = (share_bytes + journal->config.write_bytes) / 4;

    /* What a start without space goes on in is no client's while there is none. Followers take little of it: as much as the
     * next start, which may have half of the space, can write again there. */
    if (journal->file_reserved && use != USE_ORDER && !atomic_load_explicit(&journal->next_ready, memory_order_relaxed))
        return use == USE_CLIENT ? file_bytes : file_bytes - file_bytes / 4;
    if (use == USE_CLIENT)
        return share_bytes + journal->config.write_bytes;
    if (order_bytes > 2 * share_bytes)
        order_bytes = 2 * share_bytes;
    /* Clients' entries end first. */
    assert_costly(order_bytes + order_bytes / 2 <= share_bytes + journal->config.write_bytes);
    return use == USE_FOLLOWER ? order_bytes + order_bytes / 2 : order_bytes;
}

/* Of this file, behind the write that is being filled, and of the next one. Where a large write does not fit the end of a
 * file it begins the next. */
static uint64_t
left_bytes(const struct journal *journal)
{
    const struct journal_write *write = &journal->writes[journal->tail % JOURNAL_WRITES_MAX];
    uint64_t left_bytes = 0;

    journal_assert(journal);
    if (journal->file.handle >= 0)
        left_bytes = journal->file.size_bytes - journal->offset_bytes;
    if (journal->file.handle >= 0 && write->size_bytes > 0 && write->file == journal->file.number)
        left_bytes -= write->size_bytes < left_bytes ? write->size_bytes : left_bytes;
    if (!atomic_load_explicit(&journal->next_ready, memory_order_acquire))
        return left_bytes;
    left_bytes -= journal->config.write_bytes < left_bytes ? journal->config.write_bytes : left_bytes;
    return left_bytes + journal->next.size_bytes - DISK_SECTOR_BYTES;
}

enum journal_space
journal_space(const struct journal *journal, uint64_t size_bytes, enum journal_use use)
{
    assert_costly(kept_bytes(journal, USE_ORDER) <= kept_bytes(journal, use));
    if (size_bytes + kept_bytes(journal, use) <= left_bytes(journal))
        return SPACE_YES;
    return atomic_load_explicit(&journal->no_space, memory_order_relaxed) ? SPACE_NONE : SPACE_SOON;
}

bool
journal_is_tight(const struct journal *journal)
{
    return !atomic_load_explicit(&journal->next_ready, memory_order_relaxed) &&
           atomic_load_explicit(&journal->no_space, memory_order_relaxed);
}

bool
journal_is_short(const struct journal *journal)
{
    return journal_space(journal, journal->config.write_bytes, USE_CLIENT) != SPACE_YES;
}
