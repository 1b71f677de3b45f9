/* Entries are given to who reads: of the trunk, and of the branches held here. */
#include "node/worker/reader_entries.h"

#include <assert.h>

#include "assert_costly.h"
#include "node/worker/answers.h"
#include "node/worker/held.h"
#include "node/worker/log.h"
#include "node/worker/readers.h"
#include "node/worker/worker.h"

#define ENTRIES_PER_TURN 64u
/* Answers to appends always find room behind what readers may fill: one part of so many. */
#define ANSWERS_RESERVED_SHARE 4u

/* Is its clock in doubt? Nobody has decided yet of an entry on a branch: that is this node's own view. */
static bool
is_doubtful(const struct worker *worker, const struct block *block, bool on_branch)
{
    if (on_branch)
        return clocks_is_ahead(&worker->clocks, block->hlc, worker->task.now_ns);
    return (block->flags & BLOCK_CLOCK_DOUBTFUL) != 0;
}

/* Room that entries leave free: for answers that are owed, and for those of what may be appended meanwhile. */
static size_t
room_kept(const struct attachment *attachment)
{
    size_t owed = answers_owed(attachment) * sizeof(struct answer);
    size_t share = attachment->channel.out.size_bytes / ANSWERS_RESERVED_SHARE;

    return owed > share ? owed : share;
}

/* Has its client room for what could not be given when it was looked for last? */
bool
reader_has_room(const struct worker *worker, const struct reader *reader)
{
    struct attachment *attachment = worker->attachments[reader->attachment];

    return attachment != NULL &&
           byte_ring_room(&attachment->channel.out) >= reader->lacks_bytes + room_kept(attachment);
}

static bool
emit_entry(struct worker *worker, struct reader *reader, const struct stretch *stretch, bool on_branch)
{
    const struct block *block = stretch->block;
    struct answer answer = {
        .type = ANSWER_ENTRY,
        .flags = (uint8_t)((on_branch ? ANSWER_ON_BRANCH : 0) |
                           (is_doubtful(worker, block, on_branch) ? ANSWER_CLOCK_DOUBTFUL : 0)),
        .token = reader->token,
        .lsn = on_branch ? 0 : stretch->first,
        .term = on_branch ? 0 : block->term,
        .seq = block->first_seq + stretch->index,
        .fork_lsn = block->fork_lsn == FORK_TRUNK ? stretch->first - 1 : block->fork_lsn,
        .hlc = block->hlc + stretch->index,
        .incarnation = block->incarnation,
        .origin = block->origin,
    };
    struct attachment *attachment = worker->attachments[reader->attachment];
    const struct record *record = (const struct record *)(const void *)stretch->records;

    assert(stretch->count == 1 && stretch->index < block->count);
    assert_costly(record_size(record) == stretch->size_bytes);
    /* Of the trunk nothing is ever given that is not agreed on. */
    assert_costly(on_branch || stretch->first <= core_commit_lsn(reader->log->core));
    reader->lacks_bytes = sizeof(answer) + record_size(record);
    if (!reader_has_room(worker, reader))
        return false;
    reader->lacks_bytes = 0;
    /* A reader goes with its client. */
    assert(attachment->serial == reader->serial);
    /* What is taken here cannot be promised any more. */
    attachment->promises = 0;
    if (!answer_put(worker, reader->attachment, reader->serial, &answer, record))
        return false;
    reader->log->counters.read++;
    return true;
}

/* Trunk entries that may be read now. Returns how many were given. */
uint32_t
read_trunk(struct worker *worker, struct reader *reader)
{
    uint64_t commit_lsn = core_commit_lsn(reader->log->core);
    uint64_t last = reader->follow ? reader->to : reader->limit;
    const struct store *store;
    struct stretch stretch;
    uint32_t given = 0;

    assert(!reader->waiting && reader->next == reader->cursor.position);
    assert(reader->next > reader->log->base_lsn);
    if (last > commit_lsn)
        last = commit_lsn;
    /* What the catalog says is in force on a node only when the node cannot forget it. */
    if (reader->log->id == CATALOG_LOG && last > durable_held_lsn(reader->log))
        last = durable_held_lsn(reader->log);
    /* What nobody takes is not read from disk, where others have theirs read. */
    if (reader->lacks_bytes != 0 && !reader_has_room(worker, reader))
        return 0;
    while (given < ENTRIES_PER_TURN && reader->cursor.position <= last &&
           (store = trunk_at(worker, reader->log, reader->cursor.position)) != NULL &&
           store_look(store, &reader->cursor, last, 1, SIZE_MAX, &stretch)) {
        /* No entry is passed over. */
        assert(stretch.first == reader->next);
        if (stretch.block->kind == ENTRY_DATA && stretch.block->trunk_hlc + stretch.index >= reader->since_hlc) {
            if (!emit_entry(worker, reader, &stretch, false))
                return given;
            reader->since_hlc = 0;
        }
        store_advance(&reader->cursor, &stretch);
        reader->next = reader->cursor.position;
        reader->earliest = false; /* it has begun: from here on nothing may be missing */
        given++;
    }
    assert(given == 0 || reader->next <= last + 1);
    return given;
}

/* The reader reads first, on the trunk, what went there from the branch since it was at it. false: it has not yet. */
static bool
reader_is_past_trim(struct reader *reader, uint8_t origin)
{
    const struct held_branch *branch = &reader->log->branches[origin];
    struct cursor *cursor = &reader->branch_cursors[origin];
    uint64_t commit_lsn = core_commit_lsn(reader->log->core);

    assert(reader->limit <= reader->to);
    if (!branch->trim_cursor.placed || branch->trim_cursor.position <= cursor->position)
        return true;
    *cursor = (struct cursor){.position = branch->trim_cursor.position};
    /* It may stand there before what the reader asked for: then it is only known to be there. */
    if (reader->began_lsn < commit_lsn)
        reader->began_lsn = commit_lsn;
    if (reader->follow || reader->limit >= commit_lsn || reader->limit >= reader->to)
        return true;
    assert(reader->limit < commit_lsn && reader->limit < reader->to);
    reader->limit = commit_lsn < reader->to ? commit_lsn : reader->to;
    return false;
}

/* This node's branch first, then what it holds of others'. false: not all that there is was given. */
bool
read_branches(struct worker *worker, struct reader *reader, uint32_t *given)
{
    assert(reader->tentative && !reader->waiting);
    for (uint8_t i = 0; i < worker->nodes; i++) {
        uint8_t origin = (uint8_t)((worker->self + i) % worker->nodes);
        struct cursor *cursor = &reader->branch_cursors[origin];
        struct stretch stretch;

        if (!reader_is_past_trim(reader, origin))
            return false;
        while (store_look(&reader->log->branches[origin].store, cursor, UINT64_MAX, 1, SIZE_MAX, &stretch)) {
            assert_costly(stretch.block->origin == origin);
            if (*given >= ENTRIES_PER_TURN || !emit_entry(worker, reader, &stretch, true))
                return false;
            store_advance(cursor, &stretch);
            ++*given;
        }
    }
    return true;
}
