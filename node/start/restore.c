/* A node's start from its journal: the journal is read in order, and each log's core is told what it held.
 *
 * Where some of the journal is damaged, what was lost may have been any log's. A log is whole again when something
 * written later proves it: entries that follow on (their place and the term before them match, so all before them does),
 * or a tail that names the end this node has. A tail that names another end says what is missing. A log of which
 * nothing is proven recovers as a node that lost its memory. */
#include "node/start/restore.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/journal_scan.h"
#include "node/control/control.h"
#include "node/look.h"
#include "node/start/checkpoint_read.h"
#include "node/start/gather.h"
#include "node/start/keep.h"
#include "node/start/restore_blocks.h"
#include "node/start/restore_catalog.h"
#include "node/worker/durable.h"
#include "node/worker/index.h"
#include "node/worker/turn.h"

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

/* A block's log. There is a block of it, so the catalog had agreed on it, also where that is not known here yet. */
static struct node_log *
log_of(struct restoring *restoring, uint32_t id)
{
    struct worker *worker = restoring->worker;
    struct node_log *log = node_find_log(worker, id);

    /* What stands before the log's creation was committed with it. */
    if (log == NULL && id <= core_last_lsn(catalog_of(worker)->core)) {
        catalog_up_to(worker->node, &restoring->next_catalog, id);
        log = node_find_log(worker, id);
    }
    assert(worker->restoring);
    restoring->orphans += log == NULL;
    return log == NULL || log->durable == NULL ? NULL : log;
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
    assert(restoring->trims_count <= LOGS_MAX);
    restoring->trims[i].log = log;
    restoring->trims[i].base = *base;
}

static void
begin_at_trim(struct restoring *restoring, struct node_log *log)
{
    for (uint32_t i = 0; i < restoring->trims_count; i++) {
        if (restoring->trims[i].log == log->id && log->durable != NULL)
            restore_begin(restoring->worker, log, &restoring->trims[i].base);
    }
}

/* false: what the block says does not fit what was said before. */
static bool
take_block(struct restoring *restoring, struct node_log *log, const struct journal_block *head, const uint8_t *body)
{
    struct worker *worker = restoring->worker;
    uint64_t place = restoring->scan.place;

    assert(log->worker == worker);
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

/* Some of this log may be missing. */
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

    assert(restoring->pass != PASS_CATALOG || worker_is_first(restoring->worker));
    if (restoring->pass != PASS_ALL && catalog != (restoring->pass == PASS_CATALOG))
        return NULL;
    return log_of(restoring, head->log);
}

/* One block's records are lost; its header says which they were, and of which log. */
static void
lose_block(struct restoring *restoring, const struct journal_block *head)
{
    struct node_log *log = log_of_block(restoring, head);

    restoring->worker->journal_damaged = true;
    if (log == NULL || head->type == JOURNAL_ENDS)
        return;
    if (head->type == JOURNAL_ENTRIES)
        restore_lost(log, head);
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
        fprintf(stderr, "cairn: node %s: damaged: %s\n", restoring->worker->name, restoring->scan.reason);
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
        ends_restore(restoring->worker, (const struct journal_end *)(const void *)body,
                     head->body_bytes / sizeof(struct journal_end));
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
            catalog_up_to(worker->node, &restoring->next_catalog, core_commit_lsn(catalog_of(worker)->core));
        tell_progress(restoring);
    }
}

/* Once old files have been removed, blocks cannot be taken in order before it is known where each trunk begins: that was
 * written after entries that stand behind it. */
static enum cairn_error
survey(struct restoring *restoring)
{
    struct journal_scan *scan = &restoring->scan;
    enum scan_verdict verdict;

    assert(scan->count > 0 && restoring->pass == PASS_ALL);
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
    assert(from_place == 0 || restoring->checkpoint != NULL);
    if (from_place != 0) {
        restoring->next_catalog = core_commit_lsn(catalog_of(restoring->worker)->core) + 1;
        journal_scan_seek(scan, from_place);
        return read_journal(restoring, detail, detail_bytes);
    }
    if (scan->count == 0 || scan->numbers[0] <= 1)
        return read_journal(restoring, detail, detail_bytes);
    error = survey(restoring);
    if (error != CAIRN_OK)
        return error;
    journal_scan_seek(scan, journal_place(scan->numbers[0], DISK_SECTOR_BYTES));
    if (worker_is_first(restoring->worker)) {
        restoring->pass = PASS_CATALOG;
        error = read_journal(restoring, detail, detail_bytes);
        if (error != CAIRN_OK)
            return error;
        journal_scan_seek(scan, journal_place(scan->numbers[0], DISK_SECTOR_BYTES));
    }
    restoring->pass = PASS_OTHERS;
    for (uint32_t i = 0; i < restoring->worker->logs_count; i++)
        begin_at_trim(restoring, restoring->worker->logs[i]);
    return read_journal(restoring, detail, detail_bytes);
}

static uint32_t
file_bytes(const struct worker *worker, uint32_t write_bytes)
{
    uint64_t size_bytes = worker->config->journal_file_bytes;

    if (size_bytes == 0) {
        uint64_t share = worker->disk->operations->free_bytes(worker->disk) / FILE_SHARE;

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
        .disk = worker->disk,
        .cluster = worker->config->cluster->id,
        .incarnation = worker->codec.incarnation,
        .cluster_id = worker->node->introduction.lives.identity.cluster,
        .life = worker->node->introduction.lives.identity.life.id,
        .node = worker->self,
        .worker = worker->task.number,
        .doubtful = restore_forgot(worker),
        .file_bytes = file_bytes(worker, write_bytes),
        .write_bytes = write_bytes,
        .items_max = ITEMS_MAX,
    };
    enum cairn_error error;

    assert(config.file_bytes >= 3ull * write_bytes && write_bytes % DISK_SECTOR_BYTES == 0);
    worker->began_place = (restoring->scan.end + DISK_SECTOR_BYTES - 1) & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
    /* Files that nothing was written to go now, perhaps the last life's among them. */
    if (!node_keep_life(worker->node, false, detail, detail_bytes))
        return CAIRN_IO;
    error = journal_scan_tidy(&restoring->scan);
    if (error != CAIRN_OK) {
        snprintf(detail, detail_bytes, "%s", worker->disk->detail);
        return error;
    }
    error = journal_init(&worker->journal, &config, restoring->scan.highest_number + 1, restoring->scan.end, detail,
                         detail_bytes);
    if (error != CAIRN_OK)
        return error;
    /* A checkpoint names it, also where this life ends before the first review of files. */
    worker->journal.oldest_number = restoring->scan.count == 0 ? restoring->scan.highest_number + 1
                                                               : restoring->scan.numbers[0];
    assert(worker->journal.oldest_number <= worker->journal.next_number);
    journal_maintain(&worker->journal);
    /* The reserve gets its name only when all that is known is in it: gather(). */
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
            worker->name);
        return CAIRN_CORRUPT;
    }
    if (restoring->scan.incarnation < worker->codec.incarnation)
        return CAIRN_OK;
    snprintf(
        detail, detail_bytes,
        "node %s: its journal is of life %u, and this would be life %u (take the node's directory away to recover from "
        "the others)",
        worker->name, restoring->scan.incarnation, worker->codec.incarnation);
    return CAIRN_CORRUPT;
}

/* There are blocks of logs that the catalog does not know: some of the catalog is lost, and not by damage. */
static enum cairn_error
check_orphans(const struct restoring *restoring, char *detail, size_t detail_bytes)
{
    const struct worker *first = restoring->worker->node->workers[0];

    if (restoring->orphans == 0 || restoring->worker->journal_damaged || first->journal_damaged ||
        first->journal_was_empty)
        return CAIRN_OK;
    snprintf(detail, detail_bytes,
             "node %s: its journal has %" PRIu64
             " blocks of logs that its catalog does not know (keep the directory, and "
             "let the node recover from the others with an empty one)",
             restoring->worker->name, restoring->orphans);
    return CAIRN_CORRUPT;
}

/* Then gather() writes again what small files hold, so all of them must be read. */
static bool
is_nearly_full(const struct worker *worker)
{
    struct disk *disk = worker->disk;

    return disk->operations->free_bytes(disk) < FILE_BYTES_MIN;
}

/* A checkpoint tells of logs that the catalog knows, and the first worker has read that by now. Where some of the catalog may
 * be missing the checkpoint does not fit. */
static bool
fits_catalog(const struct worker *worker)
{
    return worker_is_first(worker) || catalog_is_kept(worker->node);
}

enum cairn_error
restore(struct worker *worker, char *detail, size_t detail_bytes)
{
    struct restoring restoring = {.worker = worker, .next_catalog = 1};
    enum cairn_error error;
    uint64_t term;

    assert(!worker->restoring && !worker->entered);
    worker->restoring = true;
    adopt_snapshot(worker, node_now_ns(worker->node));
    restoring.checkpoint = is_nearly_full(worker) || !fits_catalog(worker) ? NULL : checkpoint_read(worker);
    error = journal_scan_init(
        &restoring.scan, worker->disk, worker->config->cluster->id, worker->self, worker->task.number,
        restoring.checkpoint == NULL ? 0 : checkpoint_file(restoring.checkpoint), detail, detail_bytes);
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
    assert(worker->unwritten_count == 0 && worker->claimed_bytes == 0);
    for (uint32_t i = 0; i < worker->logs_count && error == CAIRN_OK; i++) {
        if (worker->logs[i]->durable != NULL && !restore_finish(worker, worker->logs[i], node_now_ns(worker->node))) {
            snprintf(detail, detail_bytes, "%s", worker->restore_failure);
            error = CAIRN_NO_MEMORY;
        }
    }
    if (error == CAIRN_OK && worker->journal.next_reserved)
        error = gather(worker, &restoring.scan, detail, detail_bytes);
    if (worker_is_first(worker) &&
        (error != CAIRN_OK || !core_lacks(catalog_of(worker)->core, &worker->node->restored_catalog_lsn, &term)))
        worker->node->restored_catalog_lsn = core_last_lsn(catalog_of(worker)->core);
    free(restoring.checkpoint);
    free(restoring.trims);
    journal_scan_fini(&restoring.scan);
    return error;
}
