/* A node's start from its journal: the journal is read in order, and each log's core is told what it held.
 *
 * Where some of the journal is damaged, what was lost may have been any log's. A log is whole again when something
 * written later proves it: entries that follow on (their place and the term before them match, so all before them does),
 * or a tail that names the end this node has. A tail that names another end says what is missing. A log of which
 * nothing is proven recovers as a node that lost its memory. */
#include "restore.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"
#include "checkpoint.h"
#include "control.h"
#include "durable.h"
#include "events.h"
#include "evict.h"
#include "gather.h"
#include "hlc.h"
#include "index.h"
#include "journal_scan.h"
#include "keep.h"
#include "look.h"
#include "reassess.h"
#include "receive.h"
#include "restore_catalog.h"
#include "room.h"
#include "state.h"
#include "status.h"
#include "turn.h"

#define FILE_BYTES (64u << 20)
#define FILE_BYTES_MIN (4u << 20)
/* A file is at most this part of what the disk has free. */
#define FILE_SHARE 16u
/* Single places that are told; 'cairn inspect' tells all. */
#define DAMAGES_TOLD 8u
#define ITEMS_MAX (2u * LOGS_MAX)

/* What one reading of the journal is for. */
enum pass { PASS_ALL, PASS_CATALOG, PASS_OTHERS };

struct log_trim {
    uint32_t log;
    struct journal_base base;
};

struct restoring {
    struct worker *worker;
    enum pass pass;
    struct journal_scan scan;
    struct checkpoint_head *checkpoint; /* NULL: there is none */
    struct log_trim *trims;             /* the last of each log */
    uint32_t trims_count;
    uint64_t orphans, told_bytes;
    uint64_t next_catalog; /* lsn of what is to be applied next */
};

/* A block's log. One that the catalog is not known to have agreed on was, or there would be no block of it. */
static struct node_log *
log_of(struct restoring *restoring, uint32_t id)
{
    struct worker *worker = restoring->worker;
    struct node_log *log = node_find_log(worker, id);

    /* And what stands before that, which is committed with it. */
    if (log == NULL && id <= core_last_lsn(worker->logs[0]->core)) {
        catalog_up_to(worker->node, &restoring->next_catalog, id);
        log = node_find_log(worker, id);
    }
    restoring->orphans += log == NULL;
    return log == NULL || log->durable == NULL ? NULL : log;
}

static bool
room_for(struct worker *worker, const struct store *store, size_t size_bytes)
{
    if (!store_has_room(worker, store, size_bytes))
        evict(worker);
    return store_has_room(worker, store, size_bytes);
}

/* The next records of a block, as many as one event takes. Returns their bytes, 0 where they are not sound. */
static uint32_t
next_batch(struct worker *worker, const struct block *whole, const uint8_t *records, uint32_t done, uint32_t offset,
           struct block *part)
{
    const uint8_t *at = records + offset;

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

/* The commit lsn that a block carries, and the digest there: of what this node has, if it has all before it. */
static bool
check_digest(struct worker *worker, struct node_log *log, const struct journal_block *head)
{
    if (head->digest == 0 || head->commit_lsn != log->digest_lsn || head->digest == log->digest)
        return true;
    snprintf(worker->restore_failure, sizeof(worker->restore_failure),
             "log %s: the chain digest at lsn %" PRIu64 " is not what was written: its entries are not those that were "
             "agreed on (take the node's directory away and let it recover from the others)",
             log->name, head->commit_lsn);
    return false;
}

static bool
restore_entries(struct worker *worker, struct node_log *log, const struct journal_block *head, const uint8_t *body,
                uint64_t place)
{
    const struct block *block = &head->block;
    const struct run whole = block_run(block);
    uint64_t end_lsn = block->first_lsn + block->count, new_lsn = core_commit_lsn(log->core) + 1;
    uint32_t offset = 0;

    /* Written before what restoring began with was agreed on: it was written over. */
    if (new_lsn > block->first_lsn && new_lsn < end_lsn && core_term_at(log->core, new_lsn - 1) != block->term)
        return true;
    if (block->first_lsn > core_last_lsn(log->core) + 1 ||
        (block->first_lsn > core_commit_lsn(log->core) &&
         core_term_at(log->core, block->first_lsn - 1) != block->prev)) {
        promise(log->durable, end_lsn - 1, block->term);
        return true;
    }
    new_lsn = block->first_lsn + core_stands(log->core, &whole);
    for (uint32_t done = 0; done < block->count; done += worker->batch.count) {
        struct block part;
        struct run run;
        uint32_t size_bytes = next_batch(worker, block, body, done, offset, &part);

        if (size_bytes == 0 || !room_for(worker, &log->trunk, size_bytes + sizeof(struct block)))
            return false;
        run = block_run(&part);
        if (!core_restore_entries(log->core, &run, worker->batch.ids, head->commit_lsn,
                                  (head->flags & JOURNAL_ACKED) != 0, &log->sink))
            return false;
        offset += size_bytes;
        assert(worker->batch.count > 0);
    }
    if (new_lsn < end_lsn)
        index_note(&log->durable->index, new_lsn, place);
    if ((head->flags & JOURNAL_ACKED) != 0)
        log->durable->acked_place = place;
    log->durable->held_lsn = core_last_lsn(log->core);
    log->ticked_lsn = log->digest_lsn;
    settle_doubt(log);
    return check_digest(worker, log, head);
}

/* What is lost has been promised, unless it was agreed on before restoring began, or has been written over by that. */
static void
lose_entries(struct node_log *log, const struct journal_block *head)
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

    if (part->origin != worker->self)
        return core_restore_copy(log->core, run, prev_place, kept);
    if (!core_restore_branch(log->core, run, prev_place, worker->batch.ids, &settled))
        return false;
    *kept = !settled;
    return true;
}

/* Of the own branch, or of a copy of another's. */
static bool
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
        if (!room_for(worker, &branch->store, size_bytes + sizeof(struct block)))
            return branch != log->own;
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
        }
        prev_place = part.first_lsn + part.count - 1;
        offset += size_bytes;
    }
    store_seal(&branch->store);
    node_take_hlc(worker, log, block->hlc + block->count - 1);
    return true;
}

static void
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

static bool
begin_at(struct worker *worker, struct node_log *log, const struct journal_base *body)
{
    struct mark marks[MARKS_MAX];
    struct core_base base;

    journal_base_read(body, marks, &base);
    worker->event_digest = body->digest;
    worker->event_hlc = body->hlc;
    if (!core_restore_base(log->core, &base, &log->sink))
        return false;
    if (base_is_nothing(&base))
        log->durable->promised_lsn = log->durable->promised_term = 0;
    settle_doubt(log);
    return true;
}

/* What a base does not tell of its producers. Rows are of what is committed, so they hold whenever they were written;
 * but only those of this trunk's base, with none missing between, are all. */
static bool
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
        return begin_at(worker, log, body);
    if (body->lsn <= log->base_lsn)
        return true;
    core_trimmed(log->core, body->lsn);
    log->base_lsn = body->lsn;
    log->base_digest = body->digest;
    if (log->trunk_hlc < body->hlc)
        log->trunk_hlc = body->hlc;
    return true;
}

static bool
restore_base(struct worker *worker, struct node_log *log, const struct journal_block *head,
             const struct journal_base *body)
{
    if (head->body_bytes != sizeof(*body))
        return false;
    log->durable->producers_lsn = body->lsn;
    log->durable->producers_after_id = 0;
    return head->type == JOURNAL_TRIM ? restore_trim(worker, log, head, body) : begin_at(worker, log, body);
}

static void
note_trim(struct restoring *restoring, uint32_t log, const struct journal_base *base)
{
    uint32_t i = 0;

    while (i < restoring->trims_count && restoring->trims[i].log != log)
        i++;
    if (i == LOGS_MAX)
        return;
    if (i == restoring->trims_count)
        restoring->trims_count++;
    restoring->trims[i].log = log;
    restoring->trims[i].base = *base;
}

static void
begin_at_trim(struct restoring *restoring, struct node_log *log)
{
    for (uint32_t i = 0; i < restoring->trims_count; i++) {
        if (restoring->trims[i].log == log->id && log->durable != NULL)
            begin_at(restoring->worker, log, &restoring->trims[i].base);
    }
}

/* false: what the block says does not fit what was said before. */
static bool
take_block(struct restoring *restoring, struct node_log *log, const struct journal_block *head, const uint8_t *body)
{
    struct worker *worker = restoring->worker;
    uint64_t place = restoring->scan.place;

    switch ((enum journal_type)head->type) {
    case JOURNAL_ENTRIES:
        return head->block.size_bytes == head->body_bytes && restore_entries(worker, log, head, body, place);
    case JOURNAL_BRANCH:
        return head->block.size_bytes == head->body_bytes && head->block.origin < worker->nodes &&
               restore_branch(worker, log, head, body, place);
    case JOURNAL_STATE:
        core_restore_state(log->core, head->block.term, head->block.origin);
        log->durable->state_doubtful = false;
        return true;
    case JOURNAL_TAIL:
        log->durable->tail_place = place;
        restore_tail(worker, log, head);
        return true;
    case JOURNAL_BASE:
        log->durable->anew_place = place;
        /* fall through */
    case JOURNAL_TRIM:
        log->durable->base_place = place;
        return restore_base(worker, log, head, (const struct journal_base *)(const void *)body);
    case JOURNAL_PRODUCERS:
        log->durable->producers_place = place;
        return restore_producers(log, head, (const struct producer_row *)(const void *)body);
    case JOURNAL_ENDS:
    case JOURNAL_BEGIN:
        break;
    }
    return false;
}

/* Something may be missing of this log. */
static void
doubt(struct node_log *log)
{
    log->durable->doubtful = log->durable->state_doubtful = true;
}

/* Something is missing here, and it may be of any log. */
static void
doubt_all(struct restoring *restoring)
{
    struct worker *worker = restoring->worker;

    worker->journal_damaged = true;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        if (worker->logs[i]->durable != NULL && (worker->logs[i]->id != CATALOG_LOG || restoring->pass != PASS_OTHERS))
            doubt(worker->logs[i]);
    }
}

/* The durable log that a block is of; NULL: it is not of this pass, or of no such log. */
static struct node_log *
log_of_block(struct restoring *restoring, const struct journal_block *head)
{
    bool catalog = head->log == CATALOG_LOG;

    if (restoring->pass != PASS_ALL && catalog != (restoring->pass == PASS_CATALOG))
        return NULL;
    return log_of(restoring, head->log);
}

/* One block's records: whose they were, and which, its header says. */
static void
lose_block(struct restoring *restoring, const struct journal_block *head)
{
    struct node_log *log = log_of_block(restoring, head);

    restoring->worker->journal_damaged = true;
    if (log == NULL || head->type == JOURNAL_ENDS)
        return;
    if (head->type == JOURNAL_ENTRIES)
        lose_entries(log, head);
    else if (head->type == JOURNAL_PRODUCERS)
        log->durable->producers_after_id = UINT64_MAX;
    else if (head->type == JOURNAL_BRANCH) /* nobody has voted by it; what stands behind it on a copy is not taken */
        log->durable->branch_damages += head->block.origin == log->self;
    else
        log->durable->doubtful = true;
    if (head->flags & JOURNAL_DOUBTFUL)
        doubt(log);
}

static void
note_damage(struct restoring *restoring)
{
    /* What is read in two passes is met twice. */
    if (damage_is_new(restoring->worker, restoring->scan.from) &&
        restoring->worker->damage_places_count <= DAMAGES_TOLD && !restoring->worker->config->quiet)
        fprintf(stderr, "cairn: node %s: damaged: %s\n", restoring->worker->node->name, restoring->scan.reason);
    if (restoring->scan.known)
        lose_block(restoring, &restoring->scan.damaged);
    else if (!restoring->scan.harmless)
        doubt_all(restoring);
}

static bool
restore_block(struct restoring *restoring, const struct journal_block *head, const uint8_t *body)
{
    struct node_log *log;

    if (head->type == JOURNAL_BEGIN) {
        if (head->flags & JOURNAL_DOUBTFUL)
            doubt_all(restoring);
        return true;
    }
    if (head->type == JOURNAL_ENDS) {
        ends_restore(restoring->worker, (const struct journal_end *)(const void *)body);
        return true;
    }
    log = log_of_block(restoring, head);
    if (log == NULL)
        return true;
    if (!take_block(restoring, log, head, body))
        return false;
    if (head->flags & JOURNAL_DOUBTFUL)
        doubt(log);
    return true;
}

static void
tell_progress(struct restoring *restoring)
{
    struct journal_scan *scan = &restoring->scan;

    if (restoring->worker->config->restore_progress == NULL || scan->read_bytes - restoring->told_bytes < (64u << 20))
        return;
    restoring->told_bytes = scan->read_bytes;
    restoring->worker->config->restore_progress(scan->read_bytes, scan->total_bytes);
}

static enum cairn_error
read_journal(struct restoring *restoring, char *detail, size_t detail_bytes)
{
    struct worker *worker = restoring->worker;
    struct journal_scan *scan = &restoring->scan;

    for (;;) {
        enum scan_verdict verdict = journal_scan_next(scan);

        if (verdict == SCAN_END || verdict == SCAN_TORN)
            return CAIRN_OK;
        if (verdict == SCAN_FAILED) {
            snprintf(detail, detail_bytes, "%s", scan->reason);
            return CAIRN_IO;
        }
        if (verdict == SCAN_DAMAGE) {
            note_damage(restoring);
            continue;
        }
        if (!restore_block(restoring, scan->head, scan->body)) {
            if (worker->restore_failure[0] == '\0')
                snprintf(worker->restore_failure, sizeof(worker->restore_failure),
                         "journal-%08" PRIu64
                         ", byte %u: a block of log %u that does not follow what was written before "
                         "('cairn inspect' shows it; take the node's directory away to recover from the others)",
                         scan->place >> 32, (uint32_t)scan->place, scan->head->log);
            snprintf(detail, detail_bytes, "%s", worker->restore_failure);
            return CAIRN_CORRUPT;
        }
        if (scan->head->log == CATALOG_LOG && restoring->pass != PASS_OTHERS)
            catalog_up_to(worker->node, &restoring->next_catalog, core_commit_lsn(worker->logs[0]->core));
        tell_progress(restoring);
    }
}

/* What must be known before blocks are taken in order, once old files have been removed: where each trunk begins, which
 * was written after entries that stand behind it. */
static enum cairn_error
survey(struct restoring *restoring)
{
    struct journal_scan *scan = &restoring->scan;
    enum scan_verdict verdict;

    restoring->trims = malloc(LOGS_MAX * sizeof(*restoring->trims));
    if (restoring->trims == NULL)
        return CAIRN_NO_MEMORY;
    journal_scan_seek(scan, journal_place(scan->numbers[0], DISK_SECTOR_BYTES));
    while ((verdict = journal_scan_next(scan)) == SCAN_BLOCK || verdict == SCAN_DAMAGE) {
        const struct journal_block *head = scan->head;

        if (verdict == SCAN_BLOCK && head->type == JOURNAL_TRIM && head->body_bytes == sizeof(struct journal_base))
            note_trim(restoring, head->log, (const struct journal_base *)(const void *)scan->body);
    }
    return CAIRN_OK;
}

/* The catalog says which logs there are, so it must be known before their blocks are read. It was written before them;
 * but when old files are removed it has been written again behind. */
static enum cairn_error
read_all(struct restoring *restoring, char *detail, size_t detail_bytes)
{
    struct journal_scan *scan = &restoring->scan;
    uint64_t from_place;
    enum cairn_error error = checkpoint_load(restoring->worker, scan, restoring->checkpoint, &from_place, detail,
                                             detail_bytes);

    if (error == CAIRN_OK && from_place == 0)
        error = journal_scan_know_all(scan, detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    if (from_place != 0) {
        restoring->next_catalog = core_commit_lsn(restoring->worker->logs[0]->core) + 1;
        journal_scan_seek(scan, from_place);
        return read_journal(restoring, detail, detail_bytes);
    }
    if (scan->count == 0 || scan->numbers[0] <= 1)
        return read_journal(restoring, detail, detail_bytes);
    error = survey(restoring);
    if (error != CAIRN_OK)
        return error;
    journal_scan_seek(scan, journal_place(scan->numbers[0], DISK_SECTOR_BYTES));
    restoring->pass = PASS_CATALOG;
    error = read_journal(restoring, detail, detail_bytes);
    if (error != CAIRN_OK)
        return error;
    journal_scan_seek(scan, journal_place(scan->numbers[0], DISK_SECTOR_BYTES));
    restoring->pass = PASS_OTHERS;
    for (uint32_t i = 0; i < restoring->worker->logs_count; i++)
        begin_at_trim(restoring, restoring->worker->logs[i]);
    return read_journal(restoring, detail, detail_bytes);
}

/* What former lives promised is not in the journal, or not all of it. */
static bool
has_forgotten(const struct worker *worker)
{
    return worker->node->forgotten || (worker->journal_was_empty && worker->node->recovering);
}

/* Each log stands where its node's disk says; what may be missing it says, and what cannot be known. */
static void
finish_log(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    struct durable *durable = log->durable;
    uint64_t lacks_lsn, lacks_term;

    durable->trunk.position = core_last_lsn(log->core) + 1;
    for (uint8_t i = 0; i < worker->nodes; i++)
        durable->branches[i].cursor.position = log->branches[i].store.last + 1;
    durable->held_lsn = core_last_lsn(log->core);
    durable->held_branch = log->own->store.last;
    durable->producers_missing = core_producers_partial(log->core);
    core_restore_end(log->core, durable->promised_lsn, durable->promised_term, now_ns, &log->sink);
    if (durable->doubtful || durable->state_doubtful || has_forgotten(worker))
        core_restore_doubt(log->core);
    if (core_lacks(log->core, &lacks_lsn, &lacks_term))
        node_event(worker, EVENT_DAMAGED, log, worker->self, 0, 0,
                   "lsn %" PRIu64 " to %" PRIu64 " are damaged here: %s does not lead until others have sent them",
                   core_last_lsn(log->core) + 1, lacks_lsn, worker->node->name);
    else if (core_recovering(log->core))
        node_event(worker, EVENT_DAMAGED, log, worker->self, 0, 0,
                   "what is damaged may have been of this log: %s does not vote until it has caught up",
                   worker->node->name);
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
    /* What is kept for the branch now is written there. */
    durable_want(worker, log);
    log_reassess(worker, log);
    status_publish(log);
}

static uint32_t
file_bytes(const struct worker *worker, uint32_t write_bytes)
{
    uint64_t size_bytes = worker->config->journal_file_bytes;

    if (size_bytes == 0) {
        uint64_t share = worker->config->disk->operations->free_bytes(worker->config->disk) / FILE_SHARE;

        size_bytes = share > FILE_BYTES ? FILE_BYTES : share < FILE_BYTES_MIN ? FILE_BYTES_MIN : share;
    }
    if (size_bytes < 3ull * write_bytes)
        size_bytes = 3ull * write_bytes;
    return (uint32_t)((size_bytes + DISK_SECTOR_BYTES - 1) & ~(uint64_t)(DISK_SECTOR_BYTES - 1));
}

/* The journal goes on behind what was read, in a file of this life. */
static enum cairn_error
go_on(struct restoring *restoring, char *detail, size_t detail_bytes)
{
    struct worker *worker = restoring->worker;
    uint32_t largest = worker->segments.segment_bytes / 2 < JOURNAL_BLOCK_BYTES_MAX ? worker->segments.segment_bytes / 2
                                                                                    : (uint32_t)JOURNAL_BLOCK_BYTES_MAX;
    uint32_t write_bytes = (largest + 4 * DISK_SECTOR_BYTES) & ~(DISK_SECTOR_BYTES - 1);
    struct journal_config config = {
        .disk = worker->config->disk,
        .cluster = worker->config->cluster->id,
        .incarnation = worker->node->incarnation,
        .cluster_id = worker->node->introduction.lives.identity.cluster,
        .life = worker->node->introduction.lives.identity.life.id,
        .node = worker->self,
        .doubtful = has_forgotten(worker),
        .file_bytes = file_bytes(worker, write_bytes),
        .write_bytes = write_bytes,
        .items_max = ITEMS_MAX,
    };
    enum cairn_error error;

    worker->began_place = (restoring->scan.end + DISK_SECTOR_BYTES - 1) & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
    /* The last life's file may be among those that nothing was written to, and go now. */
    if (!node_keep_life(worker->node, false, detail, detail_bytes))
        return CAIRN_IO;
    error = journal_scan_tidy(&restoring->scan);
    if (error != CAIRN_OK) {
        snprintf(detail, detail_bytes, "%s", worker->config->disk->detail);
        return error;
    }
    error = journal_init(&worker->journal, &config, restoring->scan.highest_number + 1, restoring->scan.end, detail,
                         detail_bytes);
    if (error != CAIRN_OK)
        return error;
    /* A checkpoint names it: of a life that ends before the first review of files, too. */
    worker->journal.oldest_number = restoring->scan.count == 0 ? restoring->scan.highest_number + 1
                                                               : restoring->scan.numbers[0];
    journal_maintain(&worker->journal);
    /* It has no name before what is known is in it: gather(). */
    if (journal_is_tight(&worker->journal))
        journal_open_reserve(&worker->journal);
    if (!atomic_load(&worker->journal.next_ready)) {
        snprintf(detail, detail_bytes, "%s (free some space)", worker->journal.no_space_detail);
        return atomic_load(&worker->journal.no_space) ? CAIRN_NO_SPACE : CAIRN_IO;
    }
    return CAIRN_OK;
}

static enum cairn_error
check_lives(const struct restoring *restoring, char *detail, size_t detail_bytes)
{
    const struct worker *worker = restoring->worker;
    const struct cairn_id *cluster = &worker->node->introduction.lives.identity.cluster;

    if (cairn_id_is_set(&restoring->scan.cluster_id) && !cairn_id_equal(&restoring->scan.cluster_id, cluster)) {
        snprintf(
            detail, detail_bytes,
            "node %s: its journal is of another cluster (take the node's directory away to recover from the others)",
            worker->node->name);
        return CAIRN_CORRUPT;
    }
    if (restoring->scan.incarnation < worker->node->incarnation)
        return CAIRN_OK;
    snprintf(
        detail, detail_bytes,
        "node %s: its journal is of life %u, and this would be life %u (take the node's directory away to recover from "
        "the others)",
        worker->node->name, restoring->scan.incarnation, worker->node->incarnation);
    return CAIRN_CORRUPT;
}

/* Blocks of logs that the catalog does not know: what says which logs there are is lost, and not by damage. */
static enum cairn_error
check_orphans(const struct restoring *restoring, char *detail, size_t detail_bytes)
{
    if (restoring->orphans == 0 || restoring->worker->journal_damaged)
        return CAIRN_OK;
    snprintf(detail, detail_bytes,
             "node %s: its journal has %" PRIu64
             " blocks of logs that its catalog does not know (keep the directory, and "
             "let the node recover from the others with an empty one)",
             restoring->worker->node->name, restoring->orphans);
    return CAIRN_CORRUPT;
}

/* What small files hold is then written again, for which it must have been read: gather(). */
static bool
is_nearly_full(const struct worker *worker)
{
    struct disk *disk = worker->config->disk;

    return disk->operations->free_bytes(disk) < FILE_BYTES_MIN;
}

enum cairn_error
restore(struct worker *worker, char *detail, size_t detail_bytes)
{
    struct restoring restoring = {.worker = worker, .next_catalog = 1};
    enum cairn_error error;
    uint64_t term;

    worker->restoring = true;
    adopt_snapshot(worker, node_now_ns(worker->node));
    restoring.checkpoint = is_nearly_full(worker) ? NULL : checkpoint_read(worker);
    error = journal_scan_init(&restoring.scan, worker->config->disk, worker->config->cluster->id, worker->self, 0,
                              restoring.checkpoint == NULL ? 0 : checkpoint_file(restoring.checkpoint), detail,
                              detail_bytes);
    if (error == CAIRN_OK)
        error = check_lives(&restoring, detail, detail_bytes);
    /* A life that knew nothing of those before, and ended before its first write, leaves a file that says so. */
    worker->journal_was_empty = restoring.scan.empty && (restoring.scan.count == 0 || restoring.scan.doubtful);
    if (error == CAIRN_OK)
        error = read_all(&restoring, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = check_orphans(&restoring, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = go_on(&restoring, detail, detail_bytes);
    worker->restoring = false;
    for (uint32_t i = 0; i < worker->logs_count && error == CAIRN_OK; i++) {
        if (worker->logs[i]->durable != NULL)
            finish_log(worker, worker->logs[i], node_now_ns(worker->node));
    }
    if (error == CAIRN_OK && worker->journal.next_reserved)
        error = gather(worker, &restoring.scan, detail, detail_bytes);
    if (error != CAIRN_OK || !core_lacks(worker->logs[0]->core, &worker->node->restored_catalog_lsn, &term))
        worker->node->restored_catalog_lsn = core_last_lsn(worker->logs[0]->core);
    free(restoring.checkpoint);
    free(restoring.trims);
    journal_scan_fini(&restoring.scan);
    return error;
}
