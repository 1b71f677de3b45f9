/* What a journal's block can say: a checksum tells that it is as it was written, not that what was written could be. */
#include "assert_costly.h"
#include "dataplane/journal.h"
#include "replication/plausible.h"

/* As many records as it says need at least so many bytes. */
static bool
records_plausible(const struct journal_block *head)
{
    const struct block *block = &head->block;

    return block->size_bytes == head->body_bytes && block->count >= 1 &&
           block->count <= head->body_bytes / sizeof(struct record) && hlc_plausible(block->hlc, block->count) &&
           hlc_plausible(block->trunk_hlc, block->count) && fork_plausible(block->fork_lsn);
}

static bool
entries_plausible(const struct journal_block *head)
{
    const struct run run = block_run(&head->block);

    return records_plausible(head) && trunk_run_plausible(&run) && head->block.prev <= head->block.term;
}

static bool
branch_plausible(const struct journal_block *head)
{
    const struct run run = block_run(&head->block);

    return records_plausible(head) && branch_run_plausible(&run) &&
           head->block.first_lsn == branch_place(run.incarnation, run.first_seq);
}

static bool
state_plausible(const struct block *block)
{
    return block->term <= TERM_MAX && (block->origin < CAIRN_NODES_MAX || block->origin == CAIRN_NODE_NONE);
}

/* A former file ended behind its head. */
static bool
begin_plausible(const struct journal_block *head)
{
    return head->block.first_lsn < head->file && head->block.first_seq <= UINT32_MAX &&
           (head->block.first_lsn == 0 || head->block.first_seq >= DISK_SECTOR_BYTES);
}

bool
journal_head_plausible(const struct journal_block *head)
{
    if (head->commit_lsn > LSN_MAX)
        return false;
    switch ((enum journal_type)head->type) {
    case JOURNAL_BEGIN:
        return begin_plausible(head);
    case JOURNAL_ENTRIES:
        return entries_plausible(head);
    case JOURNAL_BRANCH:
        return branch_plausible(head);
    case JOURNAL_STATE:
        return state_plausible(&head->block);
    case JOURNAL_TAIL:
        return state_plausible(&head->block) && head->block.first_lsn <= LSN_MAX && head->block.prev <= TERM_MAX;
    case JOURNAL_BASE:
    case JOURNAL_TRIM:
        return head->body_bytes == sizeof(struct journal_base);
    case JOURNAL_PRODUCERS:
        return head->body_bytes == (uint64_t)head->block.count * sizeof(struct producer_row);
    case JOURNAL_ENDS:
        return head->body_bytes > 0 && head->body_bytes % JOURNAL_ENDS_BYTES == 0 &&
               head->body_bytes / JOURNAL_ENDS_BYTES <= CAIRN_WORKERS_MAX;
    }
    return false;
}

void
journal_base_read(const struct journal_base *body, struct mark marks[MARKS_MAX], struct core_base *out)
{
    *out = (struct core_base){
        .lsn = body->lsn,
        .base_term = body->base_term,
        .producer_floor = body->producer_floor,
        .marks_lsn = body->marks_lsn,
        .members = members_decode(body->members),
        .digest = body->digest,
        .marks = marks,
        .marks_count = body->marks_count <= MARKS_MAX ? (uint32_t)body->marks_count : UINT32_MAX,
    };
    _Static_assert(sizeof(body->marks) / sizeof(*body->marks) == MARKS_MAX, "all of them");
    for (uint32_t i = 0; i < MARKS_MAX; i++)
        marks[i] = (struct mark){.seq = body->marks[i].seq,
                                 .incarnation = body->marks[i].incarnation,
                                 .origin = body->marks[i].origin < CAIRN_NODES_MAX ? (uint8_t)body->marks[i].origin
                                                                                   : CAIRN_NODE_NONE};
}

static bool
ends_plausible(const struct journal_end *ends, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (ends[i].number > LIFE_MAX)
            return false;
    }
    return true;
}

/* By rising id, behind the one that the header names. */
static bool
rows_plausible(const struct journal_block *head, const struct producer_row *rows)
{
    uint64_t last_id = head->block.first_lsn;

    for (uint32_t i = 0; i < head->block.count; i++) {
        if (rows[i].id <= last_id || !producer_row_plausible(&rows[i]))
            return false;
        last_id = rows[i].id;
    }
    return true;
}

/* As many records as the header says, and of producers that there can be. */
static bool
bodies_plausible(const struct journal_block *head, const uint8_t *body)
{
    uint32_t left_bytes = head->body_bytes;

    for (uint32_t i = 0; i < head->block.count; i++) {
        const struct record *record = (const struct record *)(const void *)body;
        size_t size_bytes = record_measure(body, left_bytes);
        struct entry_id id;

        if (size_bytes == 0)
            return false;
        assert_costly(size_bytes <= left_bytes);
        id = (struct entry_id){record->producer, record->producer_seq, record->epoch};
        if (!entry_id_plausible(&id))
            return false;
        body += size_bytes;
        left_bytes -= (uint32_t)size_bytes;
    }
    return left_bytes == 0;
}

bool
journal_body_plausible(const struct journal_block *head, const void *body)
{
    struct mark marks[MARKS_MAX];
    struct core_base base;

    if (head->type == JOURNAL_ENTRIES || head->type == JOURNAL_BRANCH)
        return bodies_plausible(head, body);
    if (head->type == JOURNAL_ENDS)
        return ends_plausible(body, head->body_bytes / sizeof(struct journal_end));
    if (head->type == JOURNAL_PRODUCERS)
        return rows_plausible(head, body);
    if (head->type != JOURNAL_BASE && head->type != JOURNAL_TRIM)
        return true;
    journal_base_read(body, marks, &base);
    return base_plausible(&base) || (head->type == JOURNAL_BASE && base_is_nothing(&base));
}
