/* Blocks of durable logs are put on the journal: the state first, then where the trunk begins, the own branch, the trunk, and
 * copies of others' branches last. */
#include "node/worker/writes.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "node/worker/durable.h"
#include "node/worker/held.h"
#include "node/worker/index.h"
#include "node/worker/log.h"
#include "node/worker/send.h"
#include "node/worker/space.h"
#include "node/worker/worker.h"

/* written_lsn: up to where the trunk stands in the journal with this block. The block does not say what is committed behind
 * that: in the journal something else may stand there yet. */
static struct journal_block
block_for(const struct node_log *log, enum journal_type type, uint64_t written_lsn)
{
    bool whole = log->digest_lsn <= written_lsn;

    assert_costly(log->digest_lsn == core_commit_lsn(log->core));
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
    assert_costly(log->durable->trunk.position > 0);
    assert_costly(log->durable->trunk.position <= core_last_lsn(log->core) + 1);
    return log->durable->trunk.position - 1;
}

static void
note_place(struct node_log *log, const struct journal_block *block, uint64_t place)
{
    struct durable *durable = log->durable;

    /* A journal only grows. */
    assert_costly(place > durable->tail_place && place > durable->base_place);
    if (block->type == JOURNAL_ENTRIES) {
        const uint32_t count = durable->index.count;

        index_note(&durable->index, block->block.first_lsn, place);
        /* It was thinned out: reads that are on their way know their place in it no more. */
        if (durable->index.count < count)
            durable->truncations++;
    } else if (block->type == JOURNAL_TAIL)
        durable->tail_place = place;
    else if (block->type == JOURNAL_BASE || block->type == JOURNAL_TRIM)
        durable->base_place = place;
    else if (block->type == JOURNAL_BRANCH && durable->branches[block->block.origin].place == 0)
        durable->branches[block->block.origin].place = place;
}

/* There must be room for the block: a caller with more to do for it than to put it looks for room first. */
static void
put(struct worker *worker, struct node_log *log, const struct journal_block *block, const void *body, size_t body_bytes,
    struct journal_item item)
{
    uint64_t place;

    assert_costly(log->worker == worker && !worker->journal_failed && !worker->restoring);
    assert_costly(item.lsn <= core_last_lsn(log->core) && item.state <= log->durable->state_wanted);
    item.owner = log;
    place = journal_put(&worker->journal, block, body, body_bytes, &item);
    assert_costly(place >= worker->journal.durable);
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
    assert(durable->state_written < durable->state_wanted);
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
    assert(base.lsn == log->base_lsn && base.lsn <= core_commit_lsn(log->core));
    assert(base.marks_count <= MARKS_MAX);
    /* A history that was given up says nothing; what came since is written behind. */
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
        assert(block.block.count <= JOURNAL_ROWS && (last || block.block.count > 0));
        assert(last || page[block.block.count - 1].id > durable->producers_after_id);
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

/* Entries that were let in have their place in the journal: durable_claim_some(). Those that are kept on branches besides, from
 * the own trunk or as copies, have none: they take no more than a follower may, and wait where there is no space, so that
 * states, the catalog and trims go on. What is gathered has been measured before. */
static bool
has_place(const struct worker *worker, const struct node_log *log, const struct stretch *stretch, bool let_in)
{
    enum journal_use use = stretch->block->kind == ENTRY_DATA ? USE_FOLLOWER : USE_ORDER;

    assert_costly(!worker->gathering || !worker->entered);
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
        assert_costly(last <= core_last_lsn(log->core));
        /* Terms never fall along a trunk. */
        assert_costly(block.block.prev <= block.block.term);
        block.flags |= maybe_acked(worker, log, &stretch) ? JOURNAL_ACKED : 0;
        put(worker, log, &block, stretch.records, stretch.size_bytes, (struct journal_item){.lsn = last});
        store_advance(cursor, &stretch);
        log->durable->tail_due = true;
    }
    return true;
}

/* The place before a stretch of a branch: a block has no gaps. nothing_before: what stood before this part of a copy was on the
 * trunk before it was written, and is not in the journal. */
static uint64_t
prev_place(const struct stretch *stretch, bool nothing_before)
{
    if (nothing_before)
        return 0;
    assert_costly(stretch->index > 0 || stretch->block->prev < stretch->first);
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
        assert_costly(block.block.kind == ENTRY_DATA && block.block.origin == origin);
        assert_costly(stretch.first == branch_place(block.block.incarnation, block.block.first_seq));
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

/* Branches go before the trunk: the trunk may write over entries that the own branch has kept. So may a base, which voids
 * the blocks of the trunk that alone have them on the medium yet. */
static bool
write_with(struct worker *worker, struct node_log *log, cairn_node_set branches)
{
    cairn_node_set first = log->durable->base_due ? branches & (cairn_node_set)1 << log->self : 0;

    return write_state(worker, log) && write_branches(worker, log, first) && write_base(worker, log) &&
           write_producers(worker, log) && write_branches(worker, log, branches) && write_trunk(worker, log);
}

/* Copies of others' branches come last: the trunk does not wait for their space. */
static bool
write_log(struct worker *worker, struct node_log *log)
{
    cairn_node_set own = (cairn_node_set)1 << log->self;

    return write_with(worker, log, own) && write_branches(worker, log, written_branches(log) & ~own);
}

/* Where the trunk ends so far in the journal, and the state. */
bool
write_tail(struct worker *worker, struct node_log *log)
{
    struct journal_block block = block_for(log, JOURNAL_TAIL, written_lsn(log));
    uint64_t last_lsn, last_term;

    /* Entries that are lacking here stay promised. */
    if (!core_lacks(log->core, &last_lsn, &last_term)) {
        last_lsn = core_last_lsn(log->core);
        last_term = core_term_at(log->core, last_lsn);
        assert(last_term <= core_term(log->core));
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
    assert(worker->gathering);
    return write_with(worker, log, branches) && write_tail(worker, log);
}

/* Each file has a tail of every log that is written to in it, so that older ones are not needed for that. false: there is no
 * room now. */
static bool
write_tail_once(struct worker *worker, struct node_log *log)
{
    return log->durable->tail_place >> 32 == worker->journal.file.number || write_tail(worker, log);
}

void
durable_write(struct worker *worker, uint64_t now_ns)
{
    uint32_t kept = 0;

    if (worker->disk == NULL || worker->journal_failed)
        return;
    for (uint32_t i = 0; i < worker->unwritten_count; i++) {
        struct node_log *log = worker->unwritten[i];

        assert_costly(log->durable->listed);
        /* A log without a tail would keep every file: it is asked again until it has one. */
        if (write_log(worker, log) && write_tail_once(worker, log)) {
            unclaim(worker, log, UINT64_MAX);
            log->durable->listed = false;
        } else
            worker->unwritten[kept++] = log;
    }
    worker->unwritten_count = kept;
    /* The leader is to know at once, not with the next heartbeat: it lets nothing in that cannot be held. */
    if (journal_is_short(&worker->journal) != worker->journal_short) {
        worker->journal_short = !worker->journal_short;
        worker->reviewed_ns = 0;
        worker->heartbeat_ns = now_ns;
    }
    journal_submit(&worker->journal, detector_awake_ns(&worker->detector, now_ns));
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
        assert(stretch.first >= from);
        bytes += stretch.size_bytes + sizeof(struct journal_block);
        store_advance(&cursor, &stretch);
    }
    return bytes;
}
