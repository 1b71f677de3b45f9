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
durable_init(const struct node *node, struct node_log *log)
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
    durable->doubtful = durable->state_doubtful = node->restoring && node->journal_damaged;
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
list(struct node *node, struct node_log *log)
{
    if (log->durable->listed || node->restoring)
        return;
    log->durable->listed = true;
    node->unwritten[node->unwritten_count++] = log;
}

void
durable_want(struct node *node, struct node_log *log)
{
    if (log->durable == NULL)
        return;
    /* What was missing when the base was written is here now. */
    if (log->durable->producers_missing && !core_producers_partial(log->core)) {
        log->durable->producers_missing = false;
        log->durable->trim_due = true;
    }
    if (has_unwritten(log))
        list(node, log);
}

void
durable_state(struct node *node, struct node_log *log)
{
    if (log->durable == NULL || node->restoring)
        return;
    log->durable->state_wanted++;
    list(node, log);
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
durable_truncated(struct node *node, struct node_log *log, uint64_t from_lsn)
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
    if (!node->restoring)
        journal_clamp(&node->journal, log, from_lsn - 1);
}

void
durable_rebased(struct node *node, struct node_log *log, uint64_t lsn)
{
    struct durable *durable = log->durable;

    if (durable == NULL)
        return;
    index_truncate(&durable->index, 0);
    durable->truncations++;
    durable->trunk = (struct cursor){.position = lsn + 1};
    durable->held_lsn = lsn;
    durable->rewritten_lsn = UINT64_MAX;
    if (node->restoring)
        return;
    durable->base_due = true;
    journal_clamp(&node->journal, log, lsn);
    list(node, log);
}

void
durable_branch_trimmed(struct node *node, struct node_log *log, uint8_t origin, uint64_t place)
{
    struct durable *durable = log->durable;

    if (durable == NULL || durable->branches[origin].cursor.position > place)
        return;
    durable->branches[origin].cursor = (struct cursor){.position = place + 1};
    durable->branches[origin].skipped = true;
    if (origin != log->self || durable->held_branch >= place)
        return;
    durable->held_branch = place;
    pending_held(node, log);
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
put(struct node *node, struct node_log *log, const struct journal_block *block, const void *body, size_t body_bytes,
    struct journal_item item)
{
    uint64_t place;

    item.owner = log;
    place = journal_put(&node->journal, block, body, body_bytes, &item);
    node->ends.meant_place = place + sizeof(*block) + body_bytes;
    note_place(log, block, place);
    if (block->type == JOURNAL_ENTRIES || (block->type == JOURNAL_BRANCH && block->block.origin == node->self))
        unclaim(node, log, sizeof(*block) + body_bytes);
}

static bool
write_state(struct node *node, struct node_log *log)
{
    struct durable *durable = log->durable;
    struct journal_block block = block_for(log, JOURNAL_STATE, written_lsn(log));

    if (durable->state_written == durable->state_wanted)
        return true;
    block.block.term = core_term(log->core);
    block.block.origin = core_voted_for(log->core);
    if (!journal_has_room(&node->journal, 0))
        return false;
    put(node, log, &block, NULL, 0, (struct journal_item){.state = durable->state_wanted});
    durable->state_written = durable->state_wanted;
    durable->tail_due = true;
    return true;
}

static bool
write_base(struct node *node, struct node_log *log)
{
    struct journal_block block = block_for(log, log->durable->base_due ? JOURNAL_BASE : JOURNAL_TRIM, written_lsn(log));
    struct core_base base;
    struct journal_base body;

    if (!log->durable->base_due && !log->durable->trim_due)
        return true;
    /* Asked again at each turn until there is room: only then it is worth looking at all producers. */
    if (!journal_has_room(&node->journal, sizeof(body)))
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
    put(node, log, &block, &body, sizeof(body), (struct journal_item){.lsn = base.lsn});
    log->durable->base_due = log->durable->trim_due = false;
    log->durable->tail_due = true;
    log->durable->producers_due = true;
    log->durable->producers_after_id = 0;
    return true;
}

/* A base says nothing of the producers of what is gone: this does, by rising id. */
static bool
write_producers(struct node *node, struct node_log *log)
{
    struct durable *durable = log->durable;
    struct producer_row *page = node->producer_rows + node->config.producers_max;

    while (durable->producers_due) {
        struct journal_block block = block_for(log, JOURNAL_PRODUCERS, written_lsn(log));
        bool last;

        if (!journal_has_room(&node->journal, JOURNAL_ROWS * sizeof(*page)))
            return false;
        block.block.count = core_producers(log->core, durable->producers_after_id, node->producer_rows, page,
                                           JOURNAL_ROWS, &last);
        block.block.first_lsn = durable->producers_after_id;
        block.block.first_seq = last && !core_producers_partial(log->core);
        put(node, log, &block, page, block.block.count * sizeof(*page), (struct journal_item){0});
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
maybe_acked(const struct node *node, const struct node_log *log, const struct stretch *stretch)
{
    return stretch->block->origin == node->self && core_acked_alone(log->core, stretch->first, stretch->count);
}

/* What was let in has its place in the journal: durable_claim_some(). What is kept on branches besides, of the own trunk or of
 * others, has none: it takes no more than a follower may, and waits where there is no space, so that states, the catalog and
 * trims go on. What is gathered has been measured before. */
static bool
has_place(const struct node *node, const struct node_log *log, const struct stretch *stretch, bool let_in)
{
    enum journal_use use = stretch->block->kind == ENTRY_DATA ? USE_FOLLOWER : USE_ORDER;

    return node->gathering || (let_in && log->durable->claimed_bytes >= stretch->size_bytes) ||
           durable_space(node, log, stretch->size_bytes, use) == SPACE_YES;
}

/* The trunk's records from the cursor on, a block at a time. false: no room. */
static bool
write_trunk(struct node *node, struct node_log *log)
{
    const struct store *store = &log->trunk;
    struct cursor *cursor = &log->durable->trunk;
    struct stretch stretch;

    while (cursor->position <= store->last) {
        uint32_t room = journal_room(&node->journal);
        struct journal_block block;
        uint64_t last;

        if (!store_look(store, cursor, UINT64_MAX, UINT32_MAX, room, &stretch))
            return true;
        if (!has_place(node, log, &stretch, true) || !journal_has_room(&node->journal, stretch.size_bytes))
            return false;
        last = stretch.first + stretch.count - 1;
        block = block_for(log, JOURNAL_ENTRIES, last);
        block.block = block_part(&stretch);
        block.block.prev = core_term_at(log->core, stretch.first - 1);
        block.flags |= maybe_acked(node, log, &stretch) ? JOURNAL_ACKED : 0;
        put(node, log, &block, stretch.records, stretch.size_bytes, (struct journal_item){.lsn = last});
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
write_branch(struct node *node, struct node_log *log, uint8_t origin)
{
    const struct store *store = &log->branches[origin].store;
    struct cursor *cursor = &log->durable->branches[origin].cursor;
    bool *skipped = &log->durable->branches[origin].skipped, own = origin == node->self;
    struct stretch stretch;

    while (cursor->position <= store->last) {
        struct journal_block block;

        if (!store_look(store, cursor, UINT64_MAX, UINT32_MAX, journal_room(&node->journal), &stretch))
            return true;
        if (!has_place(node, log, &stretch, own) || !journal_has_room(&node->journal, stretch.size_bytes))
            return false;
        block = block_for(log, JOURNAL_BRANCH, written_lsn(log));
        block.block = block_part(&stretch);
        block.block.prev = prev_place(&stretch, *skipped && !own);
        *skipped = false;
        put(node, log, &block, stretch.records, stretch.size_bytes,
            (struct journal_item){.branch = own ? stretch.first + stretch.count - 1 : 0});
        store_advance(cursor, &stretch);
        log->durable->tail_due = true;
    }
    return true;
}

static bool
write_branches(struct node *node, struct node_log *log, cairn_node_set origins)
{
    for (cairn_node_set left = origins; left != 0; left &= left - 1) {
        if (!write_branch(node, log, (uint8_t)__builtin_ctz(left)))
            return false;
    }
    return true;
}

/* Branches before the trunk: what was kept on the own one may be written over here. */
static bool
write_with(struct node *node, struct node_log *log, cairn_node_set branches)
{
    return write_state(node, log) && write_base(node, log) && write_producers(node, log) &&
           write_branches(node, log, branches) && write_trunk(node, log);
}

/* Copies of others' branches come last: the trunk does not wait for their space. */
static bool
write_log(struct node *node, struct node_log *log)
{
    cairn_node_set own = (cairn_node_set)1 << log->self;

    return write_with(node, log, own) && write_branches(node, log, written_branches(log) & ~own);
}

/* Where the trunk ends so far in the journal, and the state. */
static bool
write_tail(struct node *node, struct node_log *log)
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
    if (!journal_has_room(&node->journal, 0))
        return false;
    put(node, log, &block, NULL, 0, (struct journal_item){0});
    return true;
}

bool
durable_gather(struct node *node, struct node_log *log, cairn_node_set branches)
{
    return write_with(node, log, branches) && write_tail(node, log);
}

/* Each file has a tail of every log that is written to in it, so that older ones are not needed for that. */
static void
write_tail_once(struct node *node, struct node_log *log)
{
    if (log->durable->tail_place >> 32 != node->journal.file.number)
        write_tail(node, log);
}

void
durable_write(struct node *node, uint64_t now_ns)
{
    uint32_t kept = 0;

    if (node->config.disk == NULL || node->journal_failed)
        return;
    for (uint32_t i = 0; i < node->unwritten_count; i++) {
        struct node_log *log = node->unwritten[i];

        if (write_log(node, log)) {
            write_tail_once(node, log);
            unclaim(node, log, UINT64_MAX);
            log->durable->listed = false;
        } else
            node->unwritten[kept++] = log;
    }
    node->unwritten_count = kept;
    /* Who leads is to know at once, not with the next heartbeat: it lets nothing in that is not held. */
    if (journal_is_short(&node->journal) != node->journal_short) {
        node->journal_short = !node->journal_short;
        node->reviewed_ns = 0;
        node->heartbeat_ns = now_ns;
    }
    journal_submit(&node->journal, detector_awake_ns(&node->detector, now_ns));
}

void
durable_tail(struct node *node, struct node_log *log, uint64_t now_ns)
{
    struct durable *durable = log->durable;

    if (durable == NULL || !durable->tail_due || node->journal_failed || now_ns - durable->tail_ns < TAIL_AFTER_NS ||
        has_unwritten(log) || durable->held_lsn != core_last_lsn(log->core) ||
        durable->state_held != durable->state_wanted)
        return;
    if (!write_tail(node, log))
        return;
    durable->tail_due = false;
    durable->tail_ns = now_ns;
}

static void
unpark(struct node *node, struct node_log *log)
{
    struct durable *durable = log->durable;

    for (uint32_t i = 0; i < durable->parked_count; i++)
        send_message(node, log, &durable->parked[i]);
    durable->parked_count = 0;
}

static void
item_held(struct node *node, const struct journal_item *item, uint64_t now_ns)
{
    struct node_log *log = item->owner;
    struct durable *durable = log->durable;

    if (item->state > durable->state_held) {
        durable->state_held = item->state;
        if (durable->state_held == durable->state_wanted) {
            unpark(node, log);
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
    pending_held(node, log);
    node_touch(node, log);
    if (node_has_unsent(node, log))
        node_activate(node, log);
}

static void
journal_fails(struct node *node, uint64_t now_ns)
{
    node->journal_failed = true;
    node_event(node, EVENT_DISK_FAILED, NULL, node->self, 0, 0,
               "a write of the journal failed: %s; this node leads and acknowledges nothing durable until it is "
               "started anew",
               strerror(-node->journal.failure));
    for (uint32_t i = 0; i < node->logs_count; i++) {
        struct node_log *log = node->logs[i];

        if (log->durable == NULL)
            continue;
        core_fail(log->core, now_ns, &log->sink);
        pending_fail(node, log);
        log->durable->parked_count = 0;
        node_touch(node, log);
    }
}

uint32_t
durable_poll(struct node *node, uint64_t now_ns)
{
    struct disk *disk = node->config.disk;
    struct disk_done done[DONE_PER_POLL];
    const struct journal_write *write;
    uint32_t count;

    if (disk == NULL)
        return 0;
    count = disk->operations->poll(disk, done, DONE_PER_POLL);
    for (uint32_t i = 0; i < count; i++) {
        if (done[i].token >= EXCERPT_TOKEN && done[i].token < EXCERPT_TOKEN + EXCERPTS_MAX)
            excerpt_done(node, &done[i]);
        else
            health_wrote(node, journal_done(&node->journal, &done[i]), now_ns);
    }
    while ((write = journal_take(&node->journal)) != NULL) {
        for (uint32_t i = 0; i < write->items_count; i++)
            item_held(node, &write->items[i], now_ns);
    }
    if (node->journal.failed && !node->journal_failed)
        journal_fails(node, now_ns);
    return count;
}

bool
durable_settle(struct node *node, uint64_t now_ns)
{
    durable_poll(node, now_ns);
    for (uint32_t i = 0; i < node->logs_count; i++)
        durable_want(node, node->logs[i]);
    durable_write(node, now_ns);
    if (node->unwritten_count > 0 || journal_busy(&node->journal))
        return false;
    if (node->ends_written)
        return true;
    /* The catalog's comes last of all: reading begins there. */
    for (uint32_t i = node->logs_count; i-- > 0;) {
        struct durable *durable = node->logs[i]->durable;

        if (durable == NULL || (i > 0 && !durable->tail_due))
            continue;
        if (!write_tail(node, node->logs[i]))
            return false;
        durable->tail_due = false;
    }
    node->ends_written = true;
    journal_submit(&node->journal, detector_awake_ns(&node->detector, now_ns));
    return !journal_busy(&node->journal);
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
move_up(struct node *node, struct node_log *log)
{
    struct durable *durable = log->durable;
    uint64_t bytes = moved_bytes(log);

    if (has_unwritten(log) || durable->held_lsn != core_last_lsn(log->core))
        return;
    if (bytes > 0) {
        durable_claim_some(node, log, bytes);
        durable->rewritten_lsn = log->base_lsn;
        index_truncate(&durable->index, 0);
        durable->trunk = (struct cursor){.position = log->base_lsn + 1};
    }
    durable->trim_due = log->base_lsn > 0;
    durable->tail_place = 0;
    list(node, log);
}

/* What is damaged stays where it is, as the evidence of what this node cannot know, until every log has what it lacked:
 * for a while, since the catalog may tell of further ones yet. */
static bool
is_mended(struct node *node)
{
    bool whole = core_commit_lsn(node->logs[0]->core) == core_last_lsn(node->logs[0]->core) &&
                 core_leader(node->logs[0]->core) != CAIRN_NODE_NONE;
    uint64_t lsn, term;

    for (uint32_t i = 0; i < node->logs_count && whole; i++)
        whole = node->logs[i]->durable == NULL ||
                (!core_recovering(node->logs[i]->core) && !core_lacks(node->logs[i]->core, &lsn, &term));
    node->mended_reviews = whole ? node->mended_reviews + 1 : 0;
    return node->mended_reviews > MENDED_REVIEWS;
}

/* For want of space a small log is written again further on, once in each file, so that those before it may go: it would
 * be the catalog, else, that keeps the file that a trim has emptied. */
static bool
makes_space(const struct node *node, struct node_log *log)
{
    uint64_t current = node->journal.file.number, bytes = moved_bytes(log);

    if (log->durable->moved_file == current || bytes > MOVED_BYTES_TIGHT ||
        durable_space(node, log, 2 * bytes + sizeof(struct journal_base), USE_ORDER) != SPACE_YES)
        return false;
    log->durable->moved_file = current;
    return true;
}

/* What rests is moved out of files that are a few behind; where there is no space, out of every one, but only little. */
static bool
is_to_move(const struct node *node, struct node_log *log, uint64_t oldest)
{
    uint64_t current = node->journal.file.number;

    if (oldest == 0 || oldest >= current || stays_in(log, oldest))
        return false;
    return node->journal_full ? makes_space(node, log) : oldest + MOVED_FILES < current;
}

/* Which files are needed no more? */
static void
review_files(struct node *node)
{
    uint64_t current = node->journal.file.number, keep = current;

    if (node->beats % REVIEW_BEATS != 0 || node->journal.file.handle < 0 || node->journal_failed)
        return;
    if (node->journal_damaged && !is_mended(node))
        return;
    for (uint32_t i = 0; i < node->logs_count; i++) {
        struct node_log *log = node->logs[i];
        uint64_t oldest;

        if (log->durable == NULL)
            continue;
        oldest = oldest_file(log, node->journal.durable);
        if (oldest < keep)
            keep = oldest;
        if (is_to_move(node, log, oldest))
            move_up(node, log);
    }
    atomic_store_explicit(&node->journal.keep_number, keep, memory_order_release);
}

/* What was cut off, or left a branch, before it was written claims nothing any more: looked for where room is short. */
static void
review_claims(struct node *node)
{
    if (node->claimed_bytes == 0 || journal_space(&node->journal, node->claimed_bytes, USE_CLIENT) == SPACE_YES)
        return;
    for (uint32_t i = 0; i < node->logs_count; i++) {
        struct node_log *log = node->logs[i];

        if (log->durable != NULL && !log->durable->listed && !has_unwritten(log))
            unclaim(node, log, UINT64_MAX);
    }
}

void
durable_tick(struct node *node, uint64_t now_ns)
{
    bool full;

    if (node->config.disk == NULL)
        return;
    journal_tick(&node->journal);
    ends_write(node, now_ns);
    review_files(node);
    review_claims(node);
    full = journal_space(&node->journal, node->journal.config.write_bytes, USE_CLIENT) == SPACE_NONE;
    if (full == node->journal_full)
        return;
    node->journal_full = full;
    if (full)
        node_event(node, EVENT_DISK_FULL, NULL, node->self, 0, 0,
                   "no space for the journal's next file (%s): appends are refused until some is freed",
                   node->journal.no_space_detail);
    else
        node_event(node, EVENT_DISK_SPACE, NULL, node->self, 0, 0, "there is space for the journal again");
}
