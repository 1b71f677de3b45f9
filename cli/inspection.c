/* The journals of a stopped node, read from their first block to their last, also where they are damaged. */
#include "cli/inspection.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/identity_file.h"
#include "replication/core.h"

#define LOGS_MAX 1024u

struct log_seen *
inspection_log(struct inspection *inspection, uint32_t id)
{
    struct log_seen *log;

    for (uint32_t i = 0; i < inspection->logs_count; i++) {
        if (inspection->logs[i].id == id)
            return &inspection->logs[i];
    }
    if (inspection->logs_count == LOGS_MAX)
        return NULL;
    log = &inspection->logs[inspection->logs_count++];
    log->id = id;
    log->limit_lsn = UINT64_MAX;
    snprintf(log->name, sizeof(log->name), id == 0 ? "_catalog" : "#%u", id);
    return log;
}

/* The catalog's entry of that lsn says how the log of that number is called. */
static void
learn_name(struct inspection *inspection, uint64_t lsn, const struct record *record)
{
    json_t *entry = json_loadb((const char *)record_payload(record), record->payload_bytes, 0, NULL);
    const char *op = json_string_value(json_object_get(entry, "op"));
    const char *name = json_string_value(json_object_get(entry, "name"));

    if (op != NULL && name != NULL && strcmp(op, "create") == 0) {
        struct log_seen *log = inspection_log(inspection, (uint32_t)lsn);

        if (log != NULL)
            snprintf(log->name, sizeof(log->name), "%s", name);
    }
    json_decref(entry);
}

static void
commit(struct log_seen *log, uint64_t lsn)
{
    uint64_t done = 0;

    if (lsn > log->limit_lsn)
        lsn = log->limit_lsn;
    while (log->commit_lsn < lsn && done < log->tail_count) {
        log->digest = digest_step(log->digest, &log->tail[done++].input);
        log->commit_lsn++;
    }
    if (done == 0)
        return;
    log->tail_count -= done;
    memmove(log->tail, log->tail + done, log->tail_count * sizeof(*log->tail));
}

static void
add(struct log_seen *log, uint64_t term, const struct digest_input *input)
{
    if (log->tail_count == log->tail_capacity) {
        log->tail_capacity = log->tail_capacity == 0 ? 1024 : 2 * log->tail_capacity;
        log->tail = realloc(log->tail, log->tail_capacity * sizeof(*log->tail));
        if (log->tail == NULL)
            abort();
    }
    log->tail[log->tail_count++] = (struct tail_entry){.term = term, .input = *input};
}

static void
note_missing(struct log_seen *log, uint64_t from, uint64_t to)
{
    if (log->missing_from == 0)
        log->missing_from = from;
    if (to > log->missing_to)
        log->missing_to = to;
}

/* Committed, or the same entry written again, which takes away nothing of what follows it. */
static bool
stands(const struct log_seen *log, uint64_t lsn, uint64_t term)
{
    return lsn <= log->commit_lsn ||
           (lsn <= log->commit_lsn + log->tail_count && log->tail[lsn - log->commit_lsn - 1].term == term);
}

static void
take_entries(struct inspection *inspection, struct log_seen *log, const struct journal_block *head, const uint8_t *body)
{
    const struct block *block = &head->block;
    const uint8_t *at = body;
    uint64_t known;

    commit(log, head->commit_lsn < block->first_lsn ? head->commit_lsn : block->first_lsn - 1);
    known = log->commit_lsn + log->tail_count;
    if (block->first_lsn > known + 1) {
        note_missing(log, known + 1, block->first_lsn - 1);
        return;
    }
    for (uint32_t i = 0; i < block->count; i++) {
        const struct record *record = (const struct record *)(const void *)at;
        uint64_t lsn = block->first_lsn + i;
        size_t size_bytes = record_measure(at, head->body_bytes - (size_t)(at - body));
        struct digest_input input = {.seq = block->first_seq + i,
                                     .crc32c = record->crc32c,
                                     .incarnation = block->incarnation,
                                     .origin = block->origin};

        if (size_bytes == 0)
            return;
        if (!stands(log, lsn, block->term)) {
            if (lsn <= log->commit_lsn + log->tail_count)
                log->tail_count = lsn - log->commit_lsn - 1;
            add(log, block->term, &input);
        }
        if (log->id == 0 && block->kind == ENTRY_DATA)
            learn_name(inspection, lsn, record);
        at += size_bytes;
    }
    if (log->missing_from != 0 && block->first_lsn <= log->missing_from)
        log->missing_from = log->missing_to = 0;
    commit(log, head->commit_lsn);
    if (log->first_lsn == 0)
        log->first_lsn = block->first_lsn;
}

static void
begin_at(struct log_seen *log, const struct journal_base *base)
{
    log->base_lsn = log->commit_lsn = base->lsn;
    log->digest = base->digest;
    log->tail_count = 0;
    log->first_lsn = base->lsn + 1;
    log->missing_from = log->missing_to = 0;
}

static void
take(struct inspection *inspection, const struct journal_block *head, const uint8_t *body)
{
    struct log_seen *log = head->type == JOURNAL_BEGIN ? NULL : inspection_log(inspection, head->log);
    const struct journal_base *base = (const struct journal_base *)(const void *)body;

    inspection->blocks++;
    inspection->bytes += sizeof(*head) + head->body_bytes;
    if (log == NULL)
        return;
    if (head->type == JOURNAL_ENTRIES)
        take_entries(inspection, log, head, body);
    if (head->type == JOURNAL_BRANCH)
        *(head->block.origin == head->node ? &log->branch_entries : &log->copy_entries) += head->block.count;
    if ((head->type == JOURNAL_STATE || head->type == JOURNAL_TAIL) && head->block.term >= log->term) {
        log->term = head->block.term;
        log->vote = head->block.origin;
    }
    if (head->type == JOURNAL_TAIL && head->block.first_lsn == log->commit_lsn + log->tail_count)
        commit(log, head->commit_lsn);
    else if (head->type == JOURNAL_TAIL && head->block.first_lsn > log->commit_lsn + log->tail_count)
        note_missing(log, log->commit_lsn + log->tail_count + 1, head->block.first_lsn);
    if (head->type == JOURNAL_BASE && (base->lsn > log->commit_lsn || base->lsn == 0))
        begin_at(log, base);
    if (head->type == JOURNAL_TRIM && base->lsn > log->base_lsn)
        log->base_lsn = base->lsn;
}

/* Where files have been removed, trunks begin where their last trim says. */
static void
find_trims(struct inspection *inspection)
{
    struct journal_scan *scan = &inspection->scan;
    enum scan_verdict verdict;

    while ((verdict = journal_scan_next(scan)) == SCAN_BLOCK || verdict == SCAN_DAMAGE) {
        struct log_seen *log;

        if (verdict == SCAN_DAMAGE || scan->head->type != JOURNAL_TRIM)
            continue;
        log = inspection_log(inspection, scan->head->log);
        if (log != NULL)
            begin_at(log, (const struct journal_base *)(const void *)scan->body);
    }
    journal_scan_seek(scan, journal_place(scan->numbers[0], DISK_SECTOR_BYTES));
}

/* The worker's journal, of a node's directory, or of one that is a journal's itself. */
static int
open_journal(struct inspection *inspection, const char *directory)
{
    char detail[512] = "";

    if (disk_machine_open(directory, true, &inspection->disk, detail, sizeof(detail)) != CAIRN_OK ||
        journal_scan_init(&inspection->scan, inspection->disk, 0, UINT8_MAX, (uint8_t)inspection->worker, 0, detail,
                          sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if (inspection->scan.count == 0)
        return cli_fail("%s: no journal there (a node's directory has w0, w1, ..., and each of these files called "
                        "journal-N)",
                        directory);
    snprintf(inspection->node, sizeof(inspection->node), "n%u", inspection->scan.node + 1u);
    return 0;
}

static void
close_journal(struct inspection *inspection)
{
    if (inspection->scan.disk != NULL)
        journal_scan_fini(&inspection->scan);
    if (inspection->disk != NULL)
        inspection->disk->operations->destroy(inspection->disk);
    inspection->disk = NULL;
    memset(&inspection->scan, 0, sizeof(inspection->scan));
}

static void
note_damaged(struct inspection *inspection)
{
    const struct journal_scan *scan = &inspection->scan;

    json_array_append_new(inspection->damaged,
                          json_pack("{s:i,s:I,s:I,s:I,s:s}", "worker", (int)inspection->worker, "file",
                                    (json_int_t)(scan->from >> 32), "from_bytes", (json_int_t)(uint32_t)scan->from,
                                    "to_bytes", (json_int_t)(uint32_t)scan->to, "what", scan->reason));
}

static int
read_journal(struct inspection *inspection)
{
    struct journal_scan *scan = &inspection->scan;

    inspection->files += scan->count;
    if (scan->numbers[0] > 1)
        find_trims(inspection);
    for (;;) {
        enum scan_verdict verdict = journal_scan_next(scan);

        if (verdict == SCAN_BLOCK)
            take(inspection, scan->head, scan->body);
        else if (verdict == SCAN_DAMAGE)
            note_damaged(inspection);
        else if (verdict == SCAN_FAILED)
            return cli_fail("%s", scan->reason);
        else {
            inspection->torn |= verdict == SCAN_TORN;
            return 0;
        }
    }
}

static bool
is_directory(const char *path)
{
    struct stat stat_now;

    return stat(path, &stat_now) == 0 && S_ISDIR(stat_now.st_mode);
}

/* A journal's own directory is called by its worker's number. */
static uint32_t
worker_of(const char *directory)
{
    const char *name = strrchr(directory, '/');
    unsigned worker;
    char rest;

    return sscanf(name == NULL ? directory : name + 1, "w%u%c", &worker, &rest) == 1 && worker < CAIRN_WORKERS_MAX
               ? worker
               : 0;
}

static int
inspect_one(struct inspection *inspection, const char *directory)
{
    int status = open_journal(inspection, directory);

    if (status == 0)
        status = read_journal(inspection);
    close_journal(inspection);
    return status;
}

/* How many workers have, or had, a directory in the node's: as its identity says, and no fewer than are there. 0: it is
 * no node's. */
static uint32_t
workers_of(const char *directory)
{
    static struct identity identity;
    char path[PATH_MAX + 8], detail[512] = "";
    uint32_t workers = 0;
    bool found = false;

    for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++) {
        snprintf(path, sizeof(path), "%s/w%u", directory, worker);
        if (is_directory(path))
            workers = worker + 1;
    }
    if (workers > 0 && identity_load(directory, ".", &identity, &found, detail, sizeof(detail)) == CAIRN_OK && found &&
        identity.agreed.workers > workers)
        workers = identity.agreed.workers;
    return workers;
}

/* What its logs held is not known, and not nothing. */
static void
note_gone(struct inspection *inspection)
{
    char what[64];

    snprintf(what, sizeof(what), "worker %u has no journal (w%u)", inspection->worker, inspection->worker);
    json_array_append_new(inspection->damaged, json_pack("{s:i,s:s}", "worker", (int)inspection->worker, "what", what));
}

int
inspection_read(struct inspection *inspection, const char *directory, const struct inspection *limits)
{
    char path[PATH_MAX + 8];
    uint32_t workers;
    int status = 0;

    memset(inspection, 0, sizeof(*inspection));
    inspection->damaged = json_array();
    inspection->logs = calloc(LOGS_MAX, sizeof(*inspection->logs));
    if (inspection->logs == NULL)
        return cli_fail("out of memory");
    if (!is_directory(directory))
        return cli_fail("%s: no such directory (give a node's, such as DIR/n1)", directory);
    snprintf(inspection->directory, sizeof(inspection->directory), "%s", directory);
    for (uint32_t i = 0; limits != NULL && i < limits->logs_count; i++)
        inspection_log(inspection, limits->logs[i].id)->limit_lsn = limits->logs[i].limit_lsn;
    workers = workers_of(directory);
    if (workers == 0) {
        inspection->worker = worker_of(directory);
        return inspect_one(inspection, directory);
    }
    for (; status == 0 && inspection->worker < workers; inspection->worker++) {
        snprintf(path, sizeof(path), "%s/w%u", directory, inspection->worker);
        if (cli_has_journal(path))
            status = inspect_one(inspection, path);
        else
            note_gone(inspection);
    }
    return status;
}

void
inspection_end(struct inspection *inspection)
{
    for (uint32_t i = 0; i < inspection->logs_count; i++)
        free(inspection->logs[i].tail);
    free(inspection->logs);
    json_decref(inspection->damaged);
}

bool
inspection_is_damaged(const struct inspection *inspection)
{
    bool damaged = json_array_size(inspection->damaged) > 0;

    for (uint32_t i = 0; i < inspection->logs_count; i++)
        damaged |= inspection->logs[i].missing_from != 0;
    return damaged;
}
