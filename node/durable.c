/* What durable logs put on the journal, and what happens when it is there.
 *
 * In one turn: what was accepted goes to followers and to the journal alike, and counts as held when the journal
 * says so. A term or vote that changed is written first, and what the core sends meanwhile is parked until it is
 * held. What is acknowledged on this node's word alone waits for the same. */
#include "durable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "due.h"
#include "events.h"
#include "evict.h"
#include "excerpts.h"
#include "held.h"
#include "index.h"
#include "pending.h"
#include "send.h"
#include "space.h"
#include "state.h"
#include "unsent.h"

/* The trunk's end and the state are said a second time, in another write, so long after they changed: if the first
 * is damaged later, the node knows what it lacks. */
#define TAIL_AFTER_NS 10000000u
#define DONE_PER_POLL 16u
/* So often it is looked which files may go; what a log that rests keeps that is so many files old is moved. */
#define REVIEW_BEATS 64u
#define MOVED_FILES 4u
#define MENDED_REVIEWS 4u
#define MOVED_BYTES_MAX (1u << 20)
#define MOVED_BYTES_TIGHT (64u << 10)

bool
durable_init(const struct worker *worker, struct node_log *log)
{
    struct durable *durable = calloc(1, sizeof(*durable));

    log->durable = durable;
    if (durable == NULL || !index_init(&durable->index) || !pending_ring_init(&durable->local, DURABLE_PENDING) ||
        !pending_ring_init(&durable->branch_pending, DURABLE_PENDING))
        return false;
    durable->trunk.position = 1;
    durable->rewritten_lsn = UINT64_MAX;
    for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++)
        durable->branches[i].cursor.position = 1;
    /* What is lost of the journal already may have been of this log. */
    durable->doubtful = durable->state_doubtful = worker->restoring && worker->journal_damaged;
    return true;
}

void
durable_fini(struct node_log *log)
{
    if (log->durable == NULL)
        return;
    index_fini(&log->durable->index);
    free(log->durable->local.items);
    free(log->durable->branch_pending.items);
    free(log->durable);
}

static bool
has_unwritten_branch(const struct node_log *log)
{
    for (cairn_node_set left = written_branches(log); left != 0; left &= left - 1) {
        uint8_t origin = (uint8_t)__builtin_ctz(left);

        if (log->branches[origin].store.last >= log->durable->branches[origin].cursor.position)
            return true;
    }
    return false;
}

static bool
has_unwritten(const struct node_log *log)
{
    const struct durable *durable = log->durable;

    return durable->state_written != durable->state_wanted || durable->base_due || durable->trim_due ||
           durable->producers_due || log->trunk.last >= durable->trunk.position || has_unwritten_branch(log);
}

static void
list(struct worker *worker, struct node_log *log)
{
    if (log->durable->listed || worker->restoring)
        return;
    log->durable->listed = true;
    worker->unwritten[worker->unwritten_count++] = log;
}

void
durable_want(struct worker *worker, struct node_log *log)
{
    if (log->durable == NULL)
        return;
    /* What was missing when the base was written is here now. */
    if (log->durable->producers_missing && !core_producers_partial(log->core)) {
        log->durable->producers_missing = false;
        log->durable->trim_due = true;
    }
    if (has_unwritten(log))
        list(worker, log);
}

void
durable_state(struct worker *worker, struct node_log *log)
{
    if (log->durable == NULL || worker->restoring)
        return;
    log->durable->state_wanted++;
    list(worker, log);
}

/* true: the message leaves later. The network may lose one that finds no place. */
bool
durable_park(struct node_log *log, const struct message *message)
{
    struct durable *durable = log->durable;

    if (durable == NULL || durable->state_held == durable->state_wanted)
        return false;
    if (durable->parked_count < PARKED_MAX)
        durable->parked[durable->parked_count++] = *message;
    return true;
}

void
durable_truncated(struct worker *worker, struct node_log *log, uint64_t from_lsn)
{
    struct durable *durable = log->durable;

    if (durable == NULL)
        return;
    index_truncate(&durable->index, from_lsn);
    durable->truncations++;
    if (durable->trunk.position > from_lsn)
        durable->trunk = (struct cursor){.position = from_lsn};
    if (durable->held_lsn >= from_lsn)
        durable->held_lsn = from_lsn - 1;
    /* What is under way there is not what will stand there. */
    if (!worker->restoring)
        journal_clamp(&worker->journal, log, from_lsn - 1);
}

void
durable_rebased(struct worker *worker, struct node_log *log, uint64_t lsn)
{
    struct durable *durable = log->durable;

    if (durable == NULL)
        return;
    index_truncate(&durable->index, 0);
    durable->truncations++;
    durable->trunk = (struct cursor){.position = lsn + 1};
    durable->held_lsn = lsn;
    durable->rewritten_lsn = UINT64_MAX;
    if (worker->restoring)
        return;
    durable->base_due = true;
    journal_clamp(&worker->journal, log, lsn);
    list(worker, log);
}

void
durable_branch_trimmed(struct worker *worker, struct node_log *log, uint8_t origin, uint64_t place)
{
    struct durable *durable = log->durable;

    if (durable == NULL || durable->branches[origin].cursor.position > place)
        return;
    durable->branches[origin].cursor = (struct cursor){.position = place + 1};
    durable->branches[origin].skipped = true;
    if (origin != log->self || durable->held_branch >= place)
        return;
    durable->held_branch = place;
    pending_held(worker, log);
}

/* written_lsn: up to where the trunk stands in the journal with this block. What is committed behind that is not said:
 * something else may stand there yet. */
static struct journal_block
block_for(const struct node_log *log, enum journal_type type, uint64_t written_lsn)
{
    bool whole = log->digest_lsn <= written_lsn;

    return (struct journal_block){
        .type = (uint8_t)type,
        .flags = core_recovering(log->core) ? JOURNAL_DOUBTFUL : 0,
        .log = log->id,
        .commit_lsn = whole ? log->digest_lsn : written_lsn,
        .digest = whole ? log->digest : 0,
    };
}

static uint64_t
written_lsn(const struct node_log *log)
{
    return log->durable->trunk.position - 1;
}

static void
note_place(struct node_log *log, const struct journal_block *block, uint64_t place)
{
    struct durable *durable = log->durable;

    if (block->type == JOURNAL_ENTRIES)
        index_note(&durable->index, block->block.first_lsn, place);
    else if (block->type == JOURNAL_TAIL)
        durable->tail_place = place;
    else if (block->type == JOURNAL_BASE || block->type == JOURNAL_TRIM)
        durable->base_place = place;
    else if (block->type == JOURNAL_BRANCH && durable->branches[block->block.origin].place == 0)
        durable->branches[block->block.origin].place = place;
}

/* For which there is room: whoever has more to do for a block than to put it looks for that first. */
static void
put(struct worker *worker, struct node_log *log, const struct journal_block *block, const void *body, size_t body_bytes,
    struct journal_item item)
{
    uint64_t place;

    item.owner = log;
    place = journal_put(&worker->journal, block, body, body_bytes, &item);
    worker->ends.meant_place = place + sizeof(*block) + body_bytes;
    note_place(log, block, place);
    if (block->type == JOURNAL_ENTRIES || (block->type == JOURNAL_BRANCH && block->block.origin == worker->self))
        unclaim(worker, log, sizeof(*block) + body_bytes);
}

static bool
write_state(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;
    struct journal_block block = block_for(log, JOURNAL_STATE, written_lsn(log));

    if (durable->state_written == durable->state_wanted)
        return true;
    block.block.term = core_term(log->core);
    block.block.origin = core_voted_for(log->core);
    if (!journal_has_room(&worker->journal, 0))
        return false;
    put(worker, log, &block, NULL, 0, (struct journal_item){.state = durable->state_wanted});
    durable->state_written = durable->state_wanted;
    durable->tail_due = true;
    return true;
}

static bool
write_base(struct worker *worker, struct node_log *log)
{
    struct journal_block block = block_for(log, log->durable->base_due ? JOURNAL_BASE : JOURNAL_TRIM, written_lsn(log));
    struct core_base base;
    struct journal_base body;

    if (!log->durable->base_due && !log->durable->trim_due)
        return true;
    /* Asked again at each turn until there is room: only then it is worth looking at all producers. */
    if (!journal_has_room(&worker->journal, sizeof(body)))
        return false;
    core_base(log->core, &base);
    /* What was given up says nothing; what came since is written behind. */
    if (base.lsn == 0)
        base = (struct core_base){.members = base.members, .marks = base.marks};
    memset(&body, 0, sizeof(body));
    body.lsn = base.lsn;
    body.base_term = base.base_term;
    body.producer_floor = base.producer_floor;
    body.marks_lsn = base.marks_lsn;
    body.digest = log->base_digest;
    body.hlc = base.lsn == 0 ? 0 : log->trunk_hlc;
    body.members = members_encode(&base.members);
    body.marks_count = base.marks_count;
    for (uint32_t i = 0; i < base.marks_count; i++) {
        body.marks[i].seq = base.marks[i].seq;
        body.marks[i].incarnation = base.marks[i].incarnation;
        body.marks[i].origin = base.marks[i].origin;
    }
    put(worker, log, &block, &body, sizeof(body), (struct journal_item){.lsn = base.lsn});
    log->durable->base_due = log->durable->trim_due = false;
    log->durable->tail_due = true;
    log->durable->producers_due = true;
    log->durable->producers_after_id = 0;
    return true;
}

/* A base says nothing of the producers of what is gone: this does, by rising id. */
static bool
write_producers(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;
    struct producer_row *page = worker->producer_rows + worker->config->producers_max;

    while (durable->producers_due) {
        struct journal_block block = block_for(log, JOURNAL_PRODUCERS, written_lsn(log));
        bool last;

        if (!journal_has_room(&worker->journal, JOURNAL_ROWS * sizeof(*page)))
            return false;
        block.block.count = core_producers(log->core, durable->producers_after_id, worker->producer_rows, page,
                                           JOURNAL_ROWS, &last);
        block.block.first_lsn = durable->producers_after_id;
        block.block.first_seq = last && !core_producers_partial(log->core);
        put(worker, log, &block, page, block.block.count * sizeof(*page), (struct journal_item){0});
        durable->producers_due = !last;
        if (last)
            durable->producers_missing = core_producers_partial(log->core);
        else
            durable->producers_after_id = page[block.block.count - 1].id;
    }
    return true;
}

/* Was any of these appended here and acknowledged before others held it? */
static bool
maybe_acked(const struct worker *worker, const struct node_log *log, const struct stretch *stretch)
{
    return stretch->block->origin == worker->self && core_acked_alone(log->core, stretch->first, stretch->count);
}

/* What was let in has its place in the journal: durable_claim_some(). What is kept on branches besides, of the own trunk or of
 * others, has none: it takes no more than a follower may, and waits where there is no space, so that states, the catalog and
 * trims go on. What is gathered has been measured before. */
static bool
has_place(const struct worker *worker, const struct node_log *log, const struct stretch *stretch, bool let_in)
{
    enum journal_use use = stretch->block->kind == ENTRY_DATA ? USE_FOLLOWER : USE_ORDER;

    return worker->gathering || (let_in && log->durable->claimed_bytes >= stretch->size_bytes) ||
           durable_space(worker, log, stretch->size_bytes, use) == SPACE_YES;
}

/* The trunk's records from the cursor on, a block at a time. false: no room. */
static bool
write_trunk(struct worker *worker, struct node_log *log)
{
    const struct store *store = &log->trunk;
    struct cursor *cursor = &log->durable->trunk;
    struct stretch stretch;

    while (cursor->position <= store->last) {
        uint32_t room = journal_room(&worker->journal);
        struct journal_block block;
        uint64_t last;

        if (!store_look(store, cursor, UINT64_MAX, UINT32_MAX, room, &stretch))
            return true;
        if (!has_place(worker, log, &stretch, true) || !journal_has_room(&worker->journal, stretch.size_bytes))
            return false;
        last = stretch.first + stretch.count - 1;
        block = block_for(log, JOURNAL_ENTRIES, last);
        block.block = block_part(&stretch);
        block.block.prev = core_term_at(log->core, stretch.first - 1);
        block.flags |= maybe_acked(worker, log, &stretch) ? JOURNAL_ACKED : 0;
        put(worker, log, &block, stretch.records, stretch.size_bytes, (struct journal_item){.lsn = last});
        store_advance(cursor, &stretch);
        log->durable->tail_due = true;
    }
    return true;
}

/* The place before a stretch of a branch: a block has no gaps. What is before a copy's was on the trunk, where it is said not to
 * stand in the journal. */
static uint64_t
prev_place(const struct stretch *stretch, bool nothing_before)
{
    if (nothing_before)
        return 0;
    return stretch->index == 0 ? stretch->block->prev : stretch->first - 1;
}

/* The same of a branch. */
static bool
write_branch(struct worker *worker, struct node_log *log, uint8_t origin)
{
    const struct store *store = &log->branches[origin].store;
    struct cursor *cursor = &log->durable->branches[origin].cursor;
    bool *skipped = &log->durable->branches[origin].skipped, own = origin == worker->self;
    struct stretch stretch;

    while (cursor->position <= store->last) {
        struct journal_block block;

        if (!store_look(store, cursor, UINT64_MAX, UINT32_MAX, journal_room(&worker->journal), &stretch))
            return true;
        if (!has_place(worker, log, &stretch, own) || !journal_has_room(&worker->journal, stretch.size_bytes))
            return false;
        block = block_for(log, JOURNAL_BRANCH, written_lsn(log));
        block.block = block_part(&stretch);
        block.block.prev = prev_place(&stretch, *skipped && !own);
        *skipped = false;
        put(worker, log, &block, stretch.records, stretch.size_bytes,
            (struct journal_item){.branch = own ? stretch.first + stretch.count - 1 : 0});
        store_advance(cursor, &stretch);
        log->durable->tail_due = true;
    }
    return true;
}

static bool
write_branches(struct worker *worker, struct node_log *log, cairn_node_set origins)
{
    for (cairn_node_set left = origins; left != 0; left &= left - 1) {
        if (!write_branch(worker, log, (uint8_t)__builtin_ctz(left)))
            return false;
    }
    return true;
}

/* Branches before the trunk: what was kept on the own one may be written over here. */
static bool
write_with(struct worker *worker, struct node_log *log, cairn_node_set branches)
{
    return write_state(worker, log) && write_base(worker, log) && write_producers(worker, log) &&
           write_branches(worker, log, branches) && write_trunk(worker, log);
}

/* Copies of others' branches come last: the trunk does not wait for their space. */
static bool
write_log(struct worker *worker, struct node_log *log)
{
    cairn_node_set own = (cairn_node_set)1 << log->self;

    return write_with(worker, log, own) && write_branches(worker, log, written_branches(log) & ~own);
}

/* Where the trunk ends so far in the journal, and the state. */
static bool
write_tail(struct worker *worker, struct node_log *log)
{
    struct journal_block block = block_for(log, JOURNAL_TAIL, written_lsn(log));
    uint64_t last_lsn, last_term;

    /* What is lacking here stays promised. */
    if (!core_lacks(log->core, &last_lsn, &last_term)) {
        last_lsn = core_last_lsn(log->core);
        last_term = core_term_at(log->core, last_lsn);
    }
    block.block.first_lsn = last_lsn;
    block.block.prev = last_term;
    block.block.term = core_term(log->core);
    block.block.origin = core_voted_for(log->core);
    if (!journal_has_room(&worker->journal, 0))
        return false;
    put(worker, log, &block, NULL, 0, (struct journal_item){0});
    return true;
}

bool
durable_gather(struct worker *worker, struct node_log *log, cairn_node_set branches)
{
    return write_with(worker, log, branches) && write_tail(worker, log);
}

/* Each file has a tail of every log that is written to in it, so that older ones are not needed for that. */
static void
write_tail_once(struct worker *worker, struct node_log *log)
{
    if (log->durable->tail_place >> 32 != worker->journal.file.number)
        write_tail(worker, log);
}

void
durable_write(struct worker *worker, uint64_t now_ns)
{
    uint32_t kept = 0;

    if (worker->config->disk == NULL || worker->journal_failed)
        return;
    for (uint32_t i = 0; i < worker->unwritten_count; i++) {
        struct node_log *log = worker->unwritten[i];

        if (write_log(worker, log)) {
            write_tail_once(worker, log);
            unclaim(worker, log, UINT64_MAX);
            log->durable->listed = false;
        } else
            worker->unwritten[kept++] = log;
    }
    worker->unwritten_count = kept;
    /* Who leads is to know at once, not with the next heartbeat: it lets nothing in that is not held. */
    if (journal_is_short(&worker->journal) != worker->journal_short) {
        worker->journal_short = !worker->journal_short;
        worker->reviewed_ns = 0;
        worker->heartbeat_ns = now_ns;
    }
    journal_submit(&worker->journal, detector_awake_ns(&worker->detector, now_ns));
}

void
durable_tail(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    struct durable *durable = log->durable;

    if (durable == NULL || !durable->tail_due || worker->journal_failed || now_ns - durable->tail_ns < TAIL_AFTER_NS ||
        has_unwritten(log) || durable->held_lsn != core_last_lsn(log->core) ||
        durable->state_held != durable->state_wanted)
        return;
    if (!write_tail(worker, log))
        return;
    durable->tail_due = false;
    durable->tail_ns = now_ns;
}

static void
unpark(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;

    for (uint32_t i = 0; i < durable->parked_count; i++)
        send_message(worker, log, &durable->parked[i]);
    durable->parked_count = 0;
}

static void
item_held(struct worker *worker, const struct journal_item *item, uint64_t now_ns)
{
    struct node_log *log = item->owner;
    struct durable *durable = log->durable;

    if (item->state > durable->state_held) {
        durable->state_held = item->state;
        if (durable->state_held == durable->state_wanted) {
            unpark(worker, log);
            core_state_held(log->core, now_ns, &log->sink);
        }
    }
    if (item->branch > durable->held_branch)
        durable->held_branch = item->branch;
    if (item->lsn > durable->rewritten_lsn)
        durable->rewritten_lsn = item->lsn < durable->held_lsn ? item->lsn : UINT64_MAX;
    if (item->lsn > durable->held_lsn) {
        durable->held_lsn = item->lsn;
        core_held(log->core, item->lsn, now_ns, &log->sink);
    }
    pending_held(worker, log);
    node_touch(worker, log);
    if (node_has_unsent(worker, log))
        node_activate(worker, log);
}

static void
journal_fails(struct worker *worker, uint64_t now_ns)
{
    worker->journal_failed = true;
    node_event(worker, EVENT_DISK_FAILED, NULL, worker->self, 0, 0,
               "a write of the journal failed: %s; this node leads and acknowledges nothing durable until it is "
               "started anew",
               strerror(-worker->journal.failure));
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        if (log->durable == NULL)
            continue;
        core_fail(log->core, now_ns, &log->sink);
        pending_fail(worker, log);
        log->durable->parked_count = 0;
        node_touch(worker, log);
    }
}

uint32_t
durable_poll(struct worker *worker, uint64_t now_ns)
{
    struct disk *disk = worker->config->disk;
    struct disk_done done[DONE_PER_POLL];
    const struct journal_write *write;
    uint32_t count;

    if (disk == NULL)
        return 0;
    count = disk->operations->poll(disk, done, DONE_PER_POLL);
    for (uint32_t i = 0; i < count; i++) {
        if (done[i].token >= EXCERPT_TOKEN && done[i].token < EXCERPT_TOKEN + EXCERPTS_MAX)
            excerpt_done(worker, &done[i]);
        else
            health_wrote(worker, journal_done(&worker->journal, &done[i]), now_ns);
    }
    while ((write = journal_take(&worker->journal)) != NULL) {
        for (uint32_t i = 0; i < write->items_count; i++)
            item_held(worker, &write->items[i], now_ns);
    }
    if (worker->journal.failed && !worker->journal_failed)
        journal_fails(worker, now_ns);
    return count;
}

bool
durable_settle(struct worker *worker, uint64_t now_ns)
{
    durable_poll(worker, now_ns);
    for (uint32_t i = 0; i < worker->logs_count; i++)
        durable_want(worker, worker->logs[i]);
    durable_write(worker, now_ns);
    if (worker->unwritten_count > 0 || journal_busy(&worker->journal))
        return false;
    if (worker->ends_written)
        return true;
    /* The catalog's comes last of all: reading begins there. */
    for (uint32_t i = worker->logs_count; i-- > 0;) {
        struct durable *durable = worker->logs[i]->durable;

        if (durable == NULL || (i > 0 && !durable->tail_due))
            continue;
        if (!write_tail(worker, worker->logs[i]))
            return false;
        durable->tail_due = false;
    }
    worker->ends_written = true;
    journal_submit(&worker->journal, detector_awake_ns(&worker->detector, now_ns));
    return !journal_busy(&worker->journal);
}

uint64_t
durable_bytes(const struct store *store, uint64_t from, uint64_t most_bytes)
{
    struct cursor cursor = {.position = from};
    struct stretch stretch;
    uint64_t bytes = 0;

    if (from > store->last)
        return 0;
    if (store_first(store) == 0 || store_first(store) > from)
        return UINT64_MAX;
    while (bytes <= most_bytes && store_look(store, &cursor, UINT64_MAX, UINT32_MAX, SIZE_MAX, &stretch)) {
        bytes += stretch.size_bytes + sizeof(struct journal_block);
        store_advance(&cursor, &stretch);
    }
    return bytes;
}

/* What a move writes again of the trunk: all of it, where that is in memory and little, else nothing. */
static uint64_t
moved_bytes(const struct node_log *log)
{
    uint64_t bytes;

    if (log->trunk.bytes > MOVED_BYTES_MAX + 2 * (uint64_t)log->trunk.pool->segment_bytes)
        return 0;
    bytes = durable_bytes(&log->trunk, log->base_lsn + 1, MOVED_BYTES_MAX);
    return bytes <= MOVED_BYTES_MAX ? bytes : 0;
}

/* Is anything else of it in that file than what a move writes again? Then that would only take space, with each review. */
static bool
stays_in(const struct node_log *log, uint64_t file)
{
    const struct durable *durable = log->durable;
    uint32_t item = index_find(&durable->index, log->base_lsn + 1);

    return durable_branches_place(log, UINT64_MAX) >> 32 == file ||
           (moved_bytes(log) == 0 && item < durable->index.count && durable->index.items[item].place >> 32 == file);
}

/* A log that rests, or is small, is written again where the journal is now, rather than keep old files for it. */
static void
move_up(struct worker *worker, struct node_log *log)
{
    struct durable *durable = log->durable;
    uint64_t bytes = moved_bytes(log);

    if (has_unwritten(log) || durable->held_lsn != core_last_lsn(log->core))
        return;
    if (bytes > 0) {
        durable_claim_some(worker, log, bytes);
        durable->rewritten_lsn = log->base_lsn;
        index_truncate(&durable->index, 0);
        durable->trunk = (struct cursor){.position = log->base_lsn + 1};
    }
    durable->trim_due = log->base_lsn > 0;
    durable->tail_place = 0;
    list(worker, log);
}

/* What is damaged stays where it is, as the evidence of what this node cannot know, until every log has what it lacked:
 * for a while, since the catalog may tell of further ones yet. */
static bool
is_mended(struct worker *worker)
{
    bool whole = core_commit_lsn(worker->logs[0]->core) == core_last_lsn(worker->logs[0]->core) &&
                 core_leader(worker->logs[0]->core) != CAIRN_NODE_NONE;
    uint64_t lsn, term;

    for (uint32_t i = 0; i < worker->logs_count && whole; i++)
        whole = worker->logs[i]->durable == NULL ||
                (!core_recovering(worker->logs[i]->core) && !core_lacks(worker->logs[i]->core, &lsn, &term));
    worker->mended_reviews = whole ? worker->mended_reviews + 1 : 0;
    return worker->mended_reviews > MENDED_REVIEWS;
}

/* For want of space a small log is written again further on, once in each file, so that those before it may go: it would
 * be the catalog, else, that keeps the file that a trim has emptied. */
static bool
makes_space(const struct worker *worker, struct node_log *log)
{
    uint64_t current = worker->journal.file.number, bytes = moved_bytes(log);

    if (log->durable->moved_file == current || bytes > MOVED_BYTES_TIGHT ||
        durable_space(worker, log, 2 * bytes + sizeof(struct journal_base), USE_ORDER) != SPACE_YES)
        return false;
    log->durable->moved_file = current;
    return true;
}

/* What rests is moved out of files that are a few behind; where there is no space, out of every one, but only little. */
static bool
is_to_move(const struct worker *worker, struct node_log *log, uint64_t oldest)
{
    uint64_t current = worker->journal.file.number;

    if (oldest == 0 || oldest >= current || stays_in(log, oldest))
        return false;
    return worker->journal_full ? makes_space(worker, log) : oldest + MOVED_FILES < current;
}

/* Which files are needed no more? */
static void
review_files(struct worker *worker)
{
    uint64_t current = worker->journal.file.number, keep = current;

    if (worker->beats % REVIEW_BEATS != 0 || worker->journal.file.handle < 0 || worker->journal_failed)
        return;
    if (worker->journal_damaged && !is_mended(worker))
        return;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];
        uint64_t oldest;

        if (log->durable == NULL)
            continue;
        oldest = oldest_file(log, worker->journal.durable);
        if (oldest < keep)
            keep = oldest;
        if (is_to_move(worker, log, oldest))
            move_up(worker, log);
    }
    atomic_store_explicit(&worker->journal.keep_number, keep, memory_order_release);
}

/* What was cut off, or left a branch, before it was written claims nothing any more: looked for where room is short. */
static void
review_claims(struct worker *worker)
{
    if (worker->claimed_bytes == 0 || journal_space(&worker->journal, worker->claimed_bytes, USE_CLIENT) == SPACE_YES)
        return;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        if (log->durable != NULL && !log->durable->listed && !has_unwritten(log))
            unclaim(worker, log, UINT64_MAX);
    }
}

void
durable_tick(struct worker *worker, uint64_t now_ns)
{
    bool full;

    if (worker->config->disk == NULL)
        return;
    journal_tick(&worker->journal);
    ends_write(worker, now_ns);
    review_files(worker);
    review_claims(worker);
    full = journal_space(&worker->journal, worker->journal.config.write_bytes, USE_CLIENT) == SPACE_NONE;
    if (full == worker->journal_full)
        return;
    worker->journal_full = full;
    if (full)
        node_event(worker, EVENT_DISK_FULL, NULL, worker->self, 0, 0,
                   "no space for the journal's next file (%s): appends are refused until some is freed",
                   worker->journal.no_space_detail);
    else
        node_event(worker, EVENT_DISK_SPACE, NULL, worker->self, 0, 0, "there is space for the journal again");
}
