/* What single blocks of the journal say of a log is known again. */
#include "node/start/restore_blocks.h"

#include <assert.h>
#include <stdio.h>

#include "node/events.h"
#include "node/state.h"
#include "node/status.h"
#include "node/worker/apply.h"
#include "node/worker/durable.h"
#include "node/worker/evict.h"
#include "node/worker/hlc.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/reassess.h"
#include "node/worker/receive.h"
#include "node/worker/room.h"
#include "node/worker/unwritten.h"
#include "node/worker/worker.h"

static bool
tell_no_memory(struct worker *worker, const struct node_log *log)
{
    snprintf(worker->restore_failure, sizeof(worker->restore_failure),
             "log %s: what its journal has that is not agreed on yet must be in memory, and worker %u has too little, "
             "%zu MiB: "
             "start the node with a larger memory_mib (its journal is as it was)",
             log->name, worker->task.number, (size_t)worker->segments.count * worker->segments.segment_bytes >> 20);
    return false;
}

/* Memory that can be given up is, before the start takes more than a running node would. */
static bool
room_for(struct worker *worker, const struct node_log *log, const struct store *store, size_t size_bytes)
{
    if (segments_free(worker) == 0)
        evict(worker);
    return restore_has_room(worker, store, size_bytes) || tell_no_memory(worker, log);
}

/* The next records of a block, as many as one event takes. Returns their bytes, 0 where they are not sound. */
static uint32_t
next_batch(struct worker *worker, const struct block *whole, const uint8_t *records, uint32_t done, uint32_t offset,
           struct block *part)
{
    const uint8_t *at = records + offset;

    assert(done < whole->count && offset <= whole->size_bytes);
    *part = *whole;
    part->first_lsn += done;
    part->hlc += done;
    part->trunk_hlc += whole->trunk_hlc == 0 ? 0 : done;
    part->first_seq += whole->kind == ENTRY_DATA ? done : 0;
    part->count = whole->count - done < BATCH_RECORDS_MAX ? whole->count - done : BATCH_RECORDS_MAX;
    for (uint32_t i = 0; i < part->count; i++) {
        size_t size_bytes = record_measure(at, whole->size_bytes - (size_t)(at - records));

        if (size_bytes == 0)
            return 0;
        at += size_bytes;
    }
    part->size_bytes = (uint32_t)(at - (records + offset));
    assert(part->size_bytes <= whole->size_bytes - offset);
    assert(part->first_lsn + part->count <= whole->first_lsn + whole->count);
    return batch_read(&worker->batch, records + offset, part) ? part->size_bytes : 0;
}

/* The log is known to have ended there, and does not here. Ends only move on, by (term, lsn). */
static void
promise(struct durable *durable, uint64_t lsn, uint64_t term)
{
    durable->doubtful = false;
    durable->broken = true;
    if (term < durable->promised_term || (term == durable->promised_term && lsn <= durable->promised_lsn))
        return;
    durable->promised_lsn = lsn;
    durable->promised_term = term;
}

/* All before this is as it was. */
static void
settle_doubt(struct node_log *log)
{
    log->durable->doubtful = log->durable->broken = false;
}

/* Compares the digest that a block carries with this node's, where both are at the same commit lsn. */
static bool
check_digest(struct worker *worker, struct node_log *log, const struct journal_block *head)
{
    assert(log->digest_lsn == core_commit_lsn(log->core));
    if (head->digest == 0 || head->commit_lsn != log->digest_lsn || head->digest == log->digest)
        return true;
    snprintf(worker->restore_failure, sizeof(worker->restore_failure),
             "log %s: the chain digest at lsn %" PRIu64 " is not what was written: its entries are not those that were "
             "agreed on (take the node's directory away and let it recover from the others)",
             log->name, head->commit_lsn);
    return false;
}

bool
restore_entries(struct worker *worker, struct node_log *log, const struct journal_block *head, const uint8_t *body,
                uint64_t place)
{
    const struct block *block = &head->block;
    const struct run whole = block_run(block);
    uint64_t end_lsn = block->first_lsn + block->count, new_lsn = core_commit_lsn(log->core) + 1;
    uint32_t offset = 0;

    /* The block was written before what restoring began with was agreed on, and its entries were written over. */
    if (new_lsn > block->first_lsn && new_lsn < end_lsn && core_term_at(log->core, new_lsn - 1) != block->term)
        return true;
    if (block->first_lsn > core_last_lsn(log->core) + 1 ||
        (block->first_lsn > core_commit_lsn(log->core) &&
         core_term_at(log->core, block->first_lsn - 1) != block->prev)) {
        promise(log->durable, end_lsn - 1, block->term);
        return true;
    }
    new_lsn = block->first_lsn + core_stands(log->core, &whole);
    assert(new_lsn >= block->first_lsn && new_lsn <= end_lsn);
    for (uint32_t done = 0; done < block->count; done += worker->batch.count) {
        struct block part;
        struct run run;
        uint32_t size_bytes = next_batch(worker, block, body, done, offset, &part);

        if (size_bytes == 0 || !room_for(worker, log, &log->trunk, size_bytes + sizeof(struct block)))
            return false;
        run = block_run(&part);
        if (!core_restore_entries(log->core, &run, worker->batch.ids, head->commit_lsn,
                                  (head->flags & JOURNAL_ACKED) != 0, &log->sink))
            return false;
        offset += size_bytes;
        assert(worker->batch.count > 0);
    }
    /* Whatever of it stood here before stands here still, and the rest does now. */
    assert(core_last_lsn(log->core) >= end_lsn - 1);
    assert(core_commit_lsn(log->core) >= log->base_lsn);
    if (new_lsn < end_lsn)
        index_note(&log->durable->index, new_lsn, place);
    if ((head->flags & JOURNAL_ACKED) != 0)
        log->durable->acked_place = place;
    log->durable->held_lsn = core_last_lsn(log->core);
    log->ticked_lsn = log->digest_lsn;
    settle_doubt(log);
    return check_digest(worker, log, head);
}

/* Lost entries count as promised, unless they were agreed on before restoring began, or what was agreed on replaced them. */
void
restore_lost(struct node_log *log, const struct journal_block *head)
{
    uint64_t last_lsn = head->block.first_lsn + head->block.count - 1;

    core_restore_state(log->core, head->block.term, CAIRN_NODE_NONE);
    if (last_lsn > core_commit_lsn(log->core) && head->block.count > 0)
        promise(log->durable, last_lsn, head->block.term);
}

/* The core is told of the next records of a branch. false: they do not fit. *kept: they stand there now. */
static bool
restore_batch(struct worker *worker, struct node_log *log, const struct block *part, const struct run *run,
              uint64_t prev_place, bool *kept)
{
    bool settled;

    assert(run->count == worker->batch.count);
    if (part->origin != worker->self)
        return core_restore_copy(log->core, run, prev_place, kept);
    if (!core_restore_branch(log->core, run, prev_place, worker->batch.ids, &settled))
        return false;
    *kept = !settled;
    return true;
}

/* Takes a block of the own branch, or of a copy of another's. */
bool
restore_branch(struct worker *worker, struct node_log *log, const struct journal_block *head, const uint8_t *body,
               uint64_t place)
{
    const struct block *block = &head->block;
    struct held_branch *branch = &log->branches[block->origin];
    uint64_t *begins = &log->durable->branches[block->origin].place, prev_place = block->prev;
    uint32_t offset = 0;

    for (uint32_t done = 0; done < block->count; done += worker->batch.count) {
        struct block part;
        struct run run;
        bool kept;
        uint32_t size_bytes = next_batch(worker, block, body, done, offset, &part);

        if (size_bytes == 0)
            return false;
        /* A copy that finds no room is not taken, here as elsewhere. */
        if (branch != log->own && !branch_has_room(worker, branch, size_bytes + sizeof(struct block)))
            return true;
        if (!room_for(worker, log, &branch->store, size_bytes + sizeof(struct block)))
            return false;
        run = block_run(&part);
        if (!restore_batch(worker, log, &part, &run, prev_place, &kept))
            return false;
        part.first_lsn = branch_place(part.incarnation, part.first_seq);
        part.prev = prev_place;
        if (kept && part.first_lsn <= branch->store.last) {
            /* It begins anew, so what stands before it was on the trunk by then. */
            *begins = 0;
            branch_begin(branch, part.first_lsn - 1);
        }
        if (kept) {
            if (*begins == 0)
                *begins = place;
            log->durable->branches[block->origin].last_place = place;
            store_append(&branch->store, &part, worker->batch.records);
            branch->entries += part.count;
            assert(branch->store.last == part.first_lsn + part.count - 1);
            assert(branch->entries <= branch->store.entries);
        }
        prev_place = part.first_lsn + part.count - 1;
        offset += size_bytes;
    }
    store_seal(&branch->store);
    node_take_hlc(worker, log, block->hlc + block->count - 1);
    return true;
}

void
restore_tail(struct worker *worker, struct node_log *log, const struct journal_block *head)
{
    const struct block *block = &head->block;

    core_restore_state(log->core, block->term, block->origin);
    log->durable->state_doubtful = false;
    if (block->first_lsn == core_last_lsn(log->core) && block->prev == core_term_at(log->core, block->first_lsn)) {
        settle_doubt(log);
        core_restore_commit(log->core, head->commit_lsn, &log->sink);
    } else {
        promise(log->durable, block->first_lsn, block->prev);
    }
}

bool
restore_begin(struct worker *worker, struct node_log *log, const struct journal_base *body)
{
    struct mark marks[MARKS_MAX];
    struct core_base base;

    journal_base_read(body, marks, &base);
    worker->event_digest = body->digest;
    worker->event_hlc = body->hlc;
    if (!core_restore_base(log->core, &base, &log->sink))
        return false;
    assert(log->base_lsn == core_base_lsn(log->core));
    assert(log->digest_lsn == core_commit_lsn(log->core));
    if (base_is_nothing(&base))
        log->durable->promised_lsn = log->durable->promised_term = 0;
    settle_doubt(log);
    return true;
}

/* Producers' rows, which a base leaves out. Rows are of what is committed, so they hold whenever they were written; but they
 * are complete only where they follow this trunk's base, with none missing between. */
bool
restore_producers(struct node_log *log, const struct journal_block *head, const struct producer_row *rows)
{
    struct durable *durable = log->durable;
    bool follows = head->block.first_lsn == durable->producers_after_id;

    if (head->body_bytes != head->block.count * sizeof(*rows))
        return false;
    core_restore_producers(log->core, rows, head->block.count,
                           follows && head->block.first_seq == 1 && durable->producers_lsn >= log->base_lsn);
    if (!follows)
        durable->producers_after_id = UINT64_MAX;
    else if (head->block.count > 0)
        durable->producers_after_id = rows[head->block.count - 1].id;
    return true;
}

/* The trunk's beginning moved: nothing changes but that. */
static bool
restore_trim(struct worker *worker, struct node_log *log, const struct journal_block *head,
             const struct journal_base *body)
{
    if (!log->durable->doubtful && !log->durable->broken)
        core_restore_commit(log->core, head->commit_lsn, &log->sink);
    if (body->lsn > core_commit_lsn(log->core))
        return restore_begin(worker, log, body);
    if (body->lsn <= log->base_lsn)
        return true;
    core_trimmed(log->core, body->lsn);
    log->base_lsn = body->lsn;
    log->base_digest = body->digest;
    if (log->trunk_hlc < body->hlc)
        log->trunk_hlc = body->hlc;
    assert(log->base_lsn == core_base_lsn(log->core));
    return true;
}

bool
restore_base(struct worker *worker, struct node_log *log, const struct journal_block *head,
             const struct journal_base *body)
{
    if (head->body_bytes != sizeof(*body))
        return false;
    log->durable->producers_lsn = body->lsn;
    log->durable->producers_after_id = 0;
    return head->type == JOURNAL_TRIM ? restore_trim(worker, log, head, body) : restore_begin(worker, log, body);
}

/* What former lives promised is not in the journal, or not all of it. */
bool
restore_forgot(const struct worker *worker)
{
    return worker->forgetful || (worker->journal_was_empty && worker->node->recovering);
}

/* How much of the trunk is copied to the own branch now, at most. */
static uint64_t
to_be_kept_bytes(const struct node_log *log)
{
    struct cursor cursor = {.position = core_commit_lsn(log->core) + 1};
    struct stretch stretch;
    uint64_t size_bytes = 0;

    while (store_look(&log->trunk, &cursor, log->trunk.last, UINT32_MAX, SIZE_MAX, &stretch)) {
        if (stretch.block->kind == ENTRY_DATA && stretch.block->origin == log->self)
            size_bytes += stretch.size_bytes;
        store_advance(&cursor, &stretch);
    }
    return size_bytes;
}

/* The log stands where the disk left it, and says what it lacks, or may lack. */
bool
restore_finish(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    struct durable *durable = log->durable;
    uint64_t lacks_lsn, lacks_term;

    assert(!worker->restoring && !durable->listed);
    if (!restore_can_keep(worker, to_be_kept_bytes(log)))
        return tell_no_memory(worker, log);
    durable->trunk.position = core_last_lsn(log->core) + 1;
    for (uint8_t i = 0; i < worker->nodes; i++)
        durable->branches[i].cursor.position = log->branches[i].store.last + 1;
    durable->held_lsn = core_last_lsn(log->core);
    durable->held_branch = log->own->store.last;
    durable->producers_missing = core_producers_partial(log->core);
    core_restore_end(log->core, durable->promised_lsn, durable->promised_term, now_ns, &log->sink);
    if (durable->doubtful || durable->state_doubtful || restore_forgot(worker))
        core_restore_doubt(log->core);
    if (core_lacks(log->core, &lacks_lsn, &lacks_term))
        node_event(worker, EVENT_DAMAGED, log, worker->self, 0, 0,
                   "lsn %" PRIu64 " to %" PRIu64 " are damaged here: %s does not lead until others have sent them",
                   core_last_lsn(log->core) + 1, lacks_lsn, worker->name);
    else if (core_recovering(log->core))
        node_event(worker, EVENT_DAMAGED, log, worker->self, 0, 0,
                   "what is damaged may have been of this log: %s does not vote until it has caught up", worker->name);
    else if (core_last_lsn(log->core) > 0)
        node_event(worker, EVENT_RESTORED, log, worker->self, 0, 0,
                   "up to lsn %" PRIu64 ", term %" PRIu64 ", %" PRIu64 " branch entries", core_last_lsn(log->core),
                   core_term(log->core), log->own->entries);
    if (durable->branch_damages > 0)
        node_event(worker, EVENT_DAMAGED, log, worker->self, 0, 0,
                   "%" PRIu32
                   " blocks of a branch are damaged: what the trunk lacks of them comes from who has a copy, else "
                   "it is lost",
                   durable->branch_damages);
    /* What core_restore_end() has put on the branch is to be written. */
    durable_want(worker, log);
    log_reassess(worker, log);
    status_assert(log);
    status_publish(log);
    return true;
}
