#include "node/control/scrub.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/control/control.h"
#include "node/look.h"
#include "node/status.h"

#define PASS_EVERY_NS 5000000000u
/* A node that has just started has other things to do than to open all of its files. */
#define FIRST_AFTER_NS 2000000000u
#define STEP_BYTES (256u << 10)
/* In one call: the control thread has other things to do. */
#define STEPS_MAX 8u
/* The newest files may be written to still: one that is, and one that is made and waits. */
#define FILES_IN_USE 2u
/* Before the first node starts anew to mend its journal everything must have been whole for so long; before each further one
 * for as much longer, so that no two start at once. */
#define WHOLE_FOR_NS 1000000000u
#define MENDED_BY " (a start mends it)"

static struct scrub *
scrub_of(const struct worker *worker)
{
    return &worker->node->control->scrub[worker->task.number];
}

static bool
begin(struct worker *worker, struct scrub *scrub, uint64_t now_ns)
{
    struct journal_scan *scan = &scrub->scan;
    char detail[192];

    assert(!scrub->under_way);
    scrub->next_ns = now_ns + PASS_EVERY_NS;
    if (journal_scan_init(scan, worker->disk, worker->config->cluster->id, worker->self, worker->task.number, 0, detail,
                          sizeof(detail)) != CAIRN_OK) {
        journal_scan_fini(scan);
        return false;
    }
    scan->streaming = false;
    scan->step_bytes = STEP_BYTES;
    while (scan->count > 0 && scan->numbers[scan->count - 1] + FILES_IN_USE >= worker->journal.next_number)
        scan->count--;
    scrub->began_ns = now_ns;
    return true;
}

static void
end(struct scrub *scrub)
{
    assert(scrub->under_way);
    journal_scan_fini(&scrub->scan);
    scrub->under_way = false;
}

/* Is the file that is looked at needed no more? Then another one is written over it. This thread is the one that retires
 * files, so that does not happen during this call. */
static bool
is_retired(const struct worker *worker, const struct journal_scan *scan)
{
    return scan->index < scan->count && scan->numbers[scan->index] < worker->journal.oldest_number;
}

bool
damage_is_new(struct worker *worker, uint64_t place)
{
    for (uint32_t i = 0; i < worker->damage_places_count; i++) {
        if (worker->damage_places[i] == place)
            return false;
    }
    assert(worker->damage_places_count <= DAMAGE_PLACES_MAX);
    if (worker->damage_places_count == DAMAGE_PLACES_MAX)
        return false;
    worker->damage_places[worker->damage_places_count++] = place;
    return true;
}

static void
tell(struct worker *worker, const struct journal_scan *scan)
{
    const struct journal_block *head = &scan->damaged;
    struct node_event event = {.t_ns = node_now_ns(worker->node),
                               .kind = EVENT_DAMAGED,
                               .log = UINT32_MAX,
                               .worker = worker->task.number,
                               .peer = worker->self};
    char what[48] = "";

    for (uint32_t i = 0; scan->known && i < worker->node->snapshot->count; i++) {
        const struct node_log *log = worker->node->snapshot->logs[i].log;

        if (log->id != head->log)
            continue;
        event.log = log->id;
        memcpy(event.log_name, log->name, sizeof(event.log_name));
        if (head->type == JOURNAL_ENTRIES)
            snprintf(what, sizeof(what), ", lsn %" PRIu64 " to %" PRIu64, head->block.first_lsn,
                     head->block.first_lsn + head->block.count - 1);
    }
    /* A reason that is too long is cut at its end: it begins with the place. */
    snprintf(event.reason, sizeof(event.reason), "%.*s%s" MENDED_BY,
             (int)(sizeof(event.reason) - sizeof(what) - sizeof(MENDED_BY)), scan->reason, what);
    control_event(worker->node, &event);
}

static void
found(struct worker *worker, const struct journal_scan *scan)
{
    if (scan->harmless || !damage_is_new(worker, scan->from))
        return;
    /* A start must not go by the checkpoint, which leaves out what is damaged. */
    atomic_store_explicit(&worker->unreadable, true, memory_order_relaxed);
    scrub_of(worker)->found = true;
    assert(worker->damage_places_count > 0);
    tell(worker, scan);
}

/* Would the others hardly miss this node for a moment? */
static bool
is_whole(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->node->snapshot->count; i++) {
        struct log_status status;

        status_read(worker->node->snapshot->logs[i].log, &status);
        if (!status.reaches_all || status.recovering || status.failed || status.lacks_lsn != 0 ||
            status.branch_entries > 0)
            return false;
    }
    return true;
}

static void
consider_start(struct worker *worker, uint64_t now_ns)
{
    struct scrub *scrub = scrub_of(worker);

    if (!scrub->found)
        return;
    if (!is_whole(worker))
        scrub->whole_ns = 0;
    else if (scrub->whole_ns == 0)
        scrub->whole_ns = now_ns;
    /* Whichever worker's journal it is: the whole node starts anew, and is whole. */
    atomic_store_explicit(&worker->node->control->start_wanted,
                          scrub->whole_ns != 0 && now_ns - scrub->whole_ns >= WHOLE_FOR_NS * (1ull + worker->self),
                          memory_order_relaxed);
}

void
scrub_step(struct worker *worker, uint64_t now_ns)
{
    struct scrub *scrub = scrub_of(worker);
    uint64_t rate = worker->config->scrub_bytes_per_s / worker->node->workers_count, steps_from, allowed;

    consider_start(worker, now_ns);
    if (scrub->next_ns == 0)
        scrub->next_ns = now_ns + FIRST_AFTER_NS;
    if (rate == 0 || worker->disk == NULL || (!scrub->under_way && now_ns < scrub->next_ns))
        return;
    if (!scrub->under_way && !(scrub->under_way = begin(worker, scrub, now_ns)))
        return;
    allowed = (now_ns - scrub->began_ns) / 1000 * rate / 1000000;
    steps_from = scrub->scan.read_bytes;
    if (is_retired(worker, &scrub->scan))
        journal_scan_seek(&scrub->scan, journal_place(worker->journal.oldest_number, 0));
    while (scrub->scan.read_bytes < allowed && scrub->scan.read_bytes - steps_from < STEPS_MAX * STEP_BYTES) {
        enum scan_verdict verdict = journal_scan_next(&scrub->scan);

        if (verdict == SCAN_DAMAGE)
            found(worker, &scrub->scan);
        else if (verdict != SCAN_BLOCK) {
            end(scrub);
            return;
        }
    }
}

void
scrub_stop(struct node *node)
{
    for (uint8_t number = 0; number < node->workers_count; number++) {
        if (node->control->scrub[number].under_way)
            end(&node->control->scrub[number]);
    }
}
