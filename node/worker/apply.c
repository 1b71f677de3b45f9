/* Effects of the core become work of the dataplane. Nothing here calls back into the core. */
#include "node/worker/apply.h"

#include <string.h>

#include "assert_costly.h"
#include "node/events.h"
#include "node/look.h"
#include "node/status.h"
#include "node/worker/batch.h"
#include "node/worker/due.h"
#include "node/worker/durable.h"
#include "node/worker/hlc.h"
#include "node/worker/introduce.h"
#include "node/worker/pending.h"
#include "node/worker/readers.h"
#include "node/worker/seen.h"
#include "node/worker/send.h"
#include "node/worker/space.h"
#include "node/worker/unwritten.h"
#include "node/worker/worker.h"

/* The run is of the event's batch, from its record `index` on. */
static struct block
block_of(const struct worker *worker, const struct run *run, uint32_t index)
{
    return (struct block){
        .term = run->term,
        .first_lsn = run->first_lsn,
        .first_seq = run->first_seq,
        .fork_lsn = worker->batch.block.fork_lsn,
        .hlc = worker->batch.block.hlc + index,
        .trunk_hlc = worker->batch.block.trunk_hlc == 0 ? 0 : worker->batch.block.trunk_hlc + index,
        .flags = worker->batch.block.flags,
        .count = run->count,
        .incarnation = run->incarnation,
        .origin = run->origin,
        .kind = run->kind,
    };
}

/* There is room for it: that was made sure of before the event. */
static inline void
append_to(struct store *store, const struct block *block, const void *records)
{
    bool stored = store_append(store, block, records);

    assert(stored);
    (void)stored;
    assert_costly(store->last == block->first_lsn + block->count - 1);
}

/* Whatever a leader's clock said, who leads next goes on from there. */
static void
trunk_clock_read(struct worker *worker, struct node_log *log, const struct block *block)
{
    uint64_t last_hlc = block->trunk_hlc + block->count - 1;

    if (log->trunk_hlc < last_hlc)
        log->trunk_hlc = last_hlc;
    node_take_hlc(worker, log, last_hlc);
}

static void
store_batch(struct worker *worker, struct node_log *log, const struct run *run, uint32_t index)
{
    const struct batch *batch = &worker->batch;
    struct block block = block_of(worker, run, index);

    assert(index + run->count <= batch->count);
    block.size_bytes = batch->offsets[index + run->count] - batch->offsets[index];
    if (block.trunk_hlc == 0)
        node_stamp(worker, log, &block);
    else
        trunk_clock_read(worker, log, &block);
    append_to(&log->trunk, &block, batch->records + batch->offsets[index]);
    assert_costly(log->trunk.last == core_last_lsn(log->core));
    assert_costly(log->trunk_hlc >= block.trunk_hlc + block.count - 1);
    durable_claim(worker, log, block.size_bytes);
}

static void
store_control_entry(struct worker *worker, struct node_log *log, const struct run *run)
{
    struct record head = {.kind = run->kind}, record;
    struct block block = block_of(worker, run, 0);

    assert(core_role(log->core) == ROLE_LEADER && run->count == 1 && run->kind != ENTRY_DATA);
    record_build(&record, &head, NULL, NULL);
    block.fork_lsn = FORK_TRUNK;
    block.hlc = 0;
    block.trunk_hlc = node_trunk_hlc(worker, log, 1, worker->task.now_ns);
    block.flags = 0;
    block.size_bytes = sizeof(record);
    append_to(&log->trunk, &block, &record);
    assert(log->trunk.last == core_last_lsn(log->core));
    durable_claim(worker, log, block.size_bytes);
    store_seal(&log->trunk);
}

void
branch_begin(struct held_branch *branch, uint64_t place)
{
    store_reset(&branch->store, place);
    branch->trim_cursor = (struct cursor){.position = place + 1};
    branch->entries = 0;
}

/* A branch that is settled begins anew, if need be with an earlier life: what that one left on the trunk is kept only
 * now, since the policy asks for it only now. */
static void
branch_reopen(struct node_log *log, uint8_t origin, uint64_t place)
{
    assert(log->branches[origin].entries == 0);
    assert(place < log->branches[origin].store.last);
    branch_begin(&log->branches[origin], place);
    if (log->durable == NULL)
        return;
    log->durable->branches[origin].cursor = (struct cursor){.position = place + 1};
    log->durable->branches[origin].skipped = false;
    if (origin == log->self)
        log->durable->held_branch = place;
}

/* Copies trunk entries to the branch, where a truncation does not reach them. */
static void
keep_on_branch(struct worker *worker, struct node_log *log, const struct run *run)
{
    struct cursor cursor = {.position = run->first_lsn};
    uint64_t last_lsn = run->first_lsn + run->count - 1;
    struct stretch stretch;

    assert(run->origin == log->self && run->first_lsn > log->digest_lsn && last_lsn <= log->trunk.last);
    while (cursor.position <= last_lsn && store_look(&log->trunk, &cursor, last_lsn, UINT32_MAX, SIZE_MAX, &stretch)) {
        struct block block = *stretch.block;

        block.count = stretch.count;
        block.size_bytes = stretch.size_bytes;
        block.first_seq = run->first_seq + (stretch.first - run->first_lsn);
        block.hlc += stretch.index;
        block.trunk_hlc = 0;
        block.flags = 0;
        block.first_lsn = branch_place(run->incarnation, block.first_seq);
        if (block.first_lsn <= log->own->store.last)
            branch_reopen(log, log->self, block.first_lsn - 1);
        /* What stood before it here and is not committed may go the same way: its place says nothing. */
        if (block.fork_lsn == FORK_TRUNK)
            block.fork_lsn = core_commit_lsn(log->core);
        block.prev = branch_end(log->own);
        append_to(&log->own->store, &block, stretch.records);
        log->own->entries += stretch.count;
        store_advance(&cursor, &stretch);
    }
    store_seal(&log->own->store);
    assert(cursor.position == last_lsn + 1);
    assert(log->own->store.last == branch_place(run->incarnation, run->first_seq + run->count - 1));
    branch_assert(log->own);
}

/* Did a client append these here, under the present leadership? Those alone are in uncommitted_bytes. */
static bool
appended_here(const struct worker *worker, const struct node_log *log, const struct block *block)
{
    return block->origin == worker->self && block->kind == ENTRY_DATA && block->fork_lsn == FORK_TRUNK &&
           block->term == core_term(log->core);
}

/* size_bytes more of what clients appended here are settled; all of it, where that is more. */
static void
settle_uncommitted(struct worker *worker, struct node_log *log, uint64_t size_bytes)
{
    assert_costly(log->uncommitted_bytes <= worker->uncommitted_bytes);
    if (size_bytes > log->uncommitted_bytes)
        size_bytes = log->uncommitted_bytes;
    log->uncommitted_bytes -= size_bytes;
    worker->uncommitted_bytes -= size_bytes;
}

static void
members_changed(struct worker *worker, struct node_log *log)
{
    const struct members *members = core_members(log->core);

    node_event(worker, EVENT_MEMBERS, log, worker->self, 0, 0, "voters %x, learners %x (bit 0 is %s)", members->voters,
               members->learners, worker->config->cluster->names[0]);
}

/* The trunk was given up for another history: nothing that was known of it holds. */
static void
begun_anew(struct worker *worker, struct node_log *log)
{
    readers_stopped(worker, log);
    log->data_lsn = log->ticked_lsn = log->trim_lsn = log->aged_lsn = 0;
    log->fresh_lsn = log->fresh_ns = 0;
}

/* The trunk begins anew behind what its leader has trimmed: nothing of before is here any more. */
static void
rebased(struct worker *worker, struct node_log *log, uint64_t lsn)
{
    assert(core_commit_lsn(log->core) == lsn && core_last_lsn(log->core) == lsn);
    assert(lsn == 0 || lsn > log->digest_lsn);
    assert(log->uncommitted_bytes == 0);
    if (lsn == 0)
        begun_anew(worker, log);
    store_reset(&log->trunk, lsn);
    seen_truncate(worker, log, 0);
    log->base_lsn = log->digest_lsn = lsn;
    log->base_digest = log->digest = lsn == 0 ? 0 : worker->event_digest;
    log->digest_hlc = lsn == 0 ? 0 : worker->event_hlc;
    if (log->trunk_hlc < log->digest_hlc)
        log->trunk_hlc = log->digest_hlc;
    log->commit_cursor = (struct cursor){.position = lsn + 1};
    durable_rebased(worker, log, lsn);
    assert(log->data_lsn <= lsn && log->ticked_lsn <= lsn);
    /* Where a journal is read from is no news. */
    if (!worker->restoring && lsn == 0)
        node_event(worker, EVENT_REBASED, log, worker->self, 0, 0, "%s begins anew with another node's history",
                   worker->name);
    else if (!worker->restoring)
        node_event(worker, EVENT_REBASED, log, worker->self, 0, 0,
                   "%s begins anew after lsn %lu: the log is trimmed up to there", worker->name, (unsigned long)lsn);
    node_activate(worker, log);
}

void
digest_over(struct node_log *log, const struct stretch *stretch)
{
    struct segment *segment = store_segment(&log->trunk, stretch);
    uint64_t last_hlc = stretch->block->trunk_hlc + stretch->index + stretch->count - 1;

    assert_costly(stretch->first == log->commit_cursor.position && log->data_lsn < stretch->first);
    if (stretch->first == segment_block(segment, 0)->first_lsn) {
        segment->digest_before = log->digest;
        segment->hlc_before = log->digest_hlc;
    }
    log->digest = digest_extend(log->digest, stretch);
    if (stretch->block->kind == ENTRY_DATA)
        log->data_lsn = stretch->first + stretch->count - 1;
    if (log->digest_hlc < last_hlc)
        log->digest_hlc = last_hlc;
    store_advance(&log->commit_cursor, stretch);
}

static void
committed(struct worker *worker, struct node_log *log, uint64_t lsn)
{
    struct stretch stretch;

    assert_costly(lsn == core_commit_lsn(log->core) && lsn >= log->digest_lsn);
    /* Whoever waits hears first. */
    pending_committed(worker, log);
    while (store_look(&log->trunk, &log->commit_cursor, lsn, UINT32_MAX, SIZE_MAX, &stretch)) {
        digest_over(log, &stretch);
        if (stretch.block->kind == ENTRY_CONFIG)
            members_changed(worker, log);
        if (appended_here(worker, log, stretch.block))
            settle_uncommitted(worker, log, stretch.size_bytes);
    }
    /* What is committed is in memory until the digest has gone over it. */
    assert_costly(log->commit_cursor.position == lsn + 1);
    log->digest_lsn = lsn;
    node_touch(worker, log);
}

/* Entries of another's branch, as they came. */
static void
store_copy(struct worker *worker, struct node_log *log, const struct run *run, uint32_t index, uint64_t prev_place)
{
    struct held_branch *copy = &log->branches[run->origin];
    const struct batch *batch = &worker->batch;
    struct block block = block_of(worker, run, index);

    assert(run->origin != worker->self && index + run->count <= batch->count);
    block.size_bytes = batch->offsets[index + run->count] - batch->offsets[index];
    block.prev = prev_place;
    assert(block.first_lsn == branch_place(run->incarnation, run->first_seq) && prev_place < block.first_lsn);
    if (copy->entries == 0 && block.first_lsn <= copy->store.last)
        branch_reopen(log, run->origin, block.first_lsn - 1);
    append_to(&copy->store, &block, batch->records + batch->offsets[index]);
    copy->entries += run->count;
    store_seal(&copy->store);
    branch_assert(copy);
    durable_want(worker, log);
}

static void
branch_trim(struct worker *worker, struct node_log *log, uint8_t origin, uint64_t place)
{
    struct held_branch *branch = &log->branches[origin];
    struct stretch stretch;

    if (!branch->trim_cursor.placed)
        branch->trim_cursor.position = store_first(&branch->store);
    while (branch->entries > 0 &&
           store_look(&branch->store, &branch->trim_cursor, place, UINT32_MAX, SIZE_MAX, &stretch)) {
        branch->entries -= stretch.count;
        store_advance(&branch->trim_cursor, &stretch);
    }
    store_trim(&branch->store, place + 1);
    branch_assert(branch);
    durable_branch_trimmed(worker, log, origin, place);
    if (branch->entries > 0)
        return;
    if (log->durable != NULL)
        log->durable->branches[origin].place = 0;
    if (branch != log->own)
        return;
    if (log->merge.entries == 0)
        node_event(worker, EVENT_MERGED, log, worker->self, 0, 0, "every branch entry of %s is on the trunk",
                   worker->name);
    else
        node_event(worker, EVENT_MERGED, log, worker->self, 0, 0,
                   "every branch entry of %s is on the trunk: %lu in %.1f ms", worker->name,
                   (unsigned long)log->merge.entries, (double)(node_now_ns(worker->node) - log->merge.begun_ns) / 1e6);
    log->merge.entries = 0;
}

/* What it holds is kept, and nothing of it is given to anybody. Peers hear of a log that stops by heartbeats. */
static void
stopped(struct worker *worker, struct node_log *log, uint8_t peer, uint64_t lsn)
{
    enum core_stop stop = core_stopped(log->core);
    const char *other = worker->config->cluster->names[peer];

    assert(stop != STOP_NONE && core_role(log->core) == ROLE_FOLLOWER && peer != worker->self);
    if (stop == STOP_REPLICA)
        node_event(worker, EVENT_DIVERGED, log, peer, 0, 0,
                   "lsn %lu is not what %s has: this replica stops (docs/identity.md, Histories that contradict)",
                   (unsigned long)lsn, other);
    else
        node_event(worker, EVENT_DIVERGED, log, peer, 0, 0,
                   "%s contradicts what was committed at lsn %lu: the log stops until somebody decides", other,
                   (unsigned long)lsn);
    log->stopped_term = core_term_at(log->core, core_last_lsn(log->core));
    introduction_note_stop(worker, log->id, stop, log->stopped_term);
    worker->lead_epoch++;
    node_touch(worker, log);
}

static void
role_changed(struct worker *worker, struct node_log *log)
{
    assert((core_role(log->core) == ROLE_LEADER) == (core_leader(log->core) == worker->self));
    if (core_role(log->core) == ROLE_LEADER) {
        worker->lead_epoch++;
        node_event(worker, EVENT_LEADER, log, worker->self, 0, 0, "%s leads in term %lu", worker->name,
                   (unsigned long)core_term(log->core));
    }
    node_activate(worker, log);
    status_publish(log);
}

/* The branch's node knew what was put on the trunk before the batch forked off. What is trimmed meanwhile
 * cannot be seen any more. */
bool
apply_holds(void *context, const struct entry_id *id)
{
    const struct node_log *log = context;

    return seen_behind(log->worker, log, id, log->worker->batch.block.fork_lsn);
}

static void
leave(struct worker *worker, struct node_log *log, const struct message *message)
{
    assert_costly(message->from == worker->self && message->to != worker->self);
    if (durable_park(log, message))
        return;
    send_message(worker, log, message);
    /* The one thing that a client somewhere waits for leaves before what comes next is done. */
    if (message->type == MESSAGE_APPEND_REPLY && worker->active_count <= 1)
        port_flush(&worker->ports[message->to], worker->task.now_ns);
}

static void
truncated(struct worker *worker, struct node_log *log, uint64_t from_lsn)
{
    assert(from_lsn > log->digest_lsn && core_last_lsn(log->core) == from_lsn - 1);
    assert(core_role(log->core) != ROLE_LEADER && log->pending.head == log->pending.tail);
    store_truncate(&log->trunk, from_lsn);
    assert(log->trunk.last < from_lsn && log->commit_cursor.position <= from_lsn);
    seen_truncate(worker, log, from_lsn);
    readers_truncated(worker, log, from_lsn);
    durable_truncated(worker, log, from_lsn);
}

static void
deposed(struct worker *worker, struct node_log *log)
{
    assert(core_role(log->core) == ROLE_FOLLOWER);
    worker->lead_epoch++;
    node_event(worker, EVENT_LEADER_LOST, log, worker->self, 0, 0, "%s no longer leads", worker->name);
    pending_deposed(worker, log);
    settle_uncommitted(worker, log, UINT64_MAX);
    assert(log->pending.head == log->pending.tail && log->pending_all.head == log->pending_all.tail);
    assert(log->waits_count == 0 && log->uncommitted_bytes == 0);
}

/* News that does not change what is held: who leads, what may be read, what is to be told. */
static void
apply_news(struct worker *worker, struct node_log *log, const struct effect *effect)
{
    switch (effect->type) {
    case EFFECT_ROLE:
        role_changed(worker, log);
        break;
    case EFFECT_DEPOSED:
        deposed(worker, log);
        break;
    case EFFECT_READ_READY:
        reader_ready(worker, effect->read.token, effect->read.lsn, effect->read.here);
        break;
    case EFFECT_READ_FAILED:
        reader_failed(worker, effect->read.token);
        break;
    case EFFECT_STOPPED:
        stopped(worker, log, effect->contradiction.peer, effect->contradiction.lsn);
        break;
    case EFFECT_BEYOND:
        node_event(worker, EVENT_DIVERGED, log, effect->contradiction.peer, 0, 0,
                   "%s says that it holds lsn %lu, which its leader has not got: it does not count",
                   worker->config->cluster->names[effect->contradiction.peer],
                   (unsigned long)effect->contradiction.lsn);
        break;
    case EFFECT_LEND:
        assert(effect->lend.to != worker->self && effect->lend.from_lsn > log->base_lsn);
        log->lend_from_lsn = effect->lend.from_lsn;
        log->lend_to = effect->lend.to;
        node_activate(worker, log);
        break;
    case EFFECT_RECOVERED:
        assert(!core_recovering(log->core));
        /* What was written meanwhile says that something may be missing: what is written now ends that, and is the last word on
         * it, also where nothing comes after. */
        durable_state(worker, log);
        node_event(worker, EVENT_RECOVERED, log, worker->self, 0, 0,
                   "%s holds all it could have promised again, lsn %lu", worker->name,
                   (unsigned long)core_last_lsn(log->core));
        break;
    /* apply_effect() deals with these; without a default the compiler names a new one that nobody deals with. */
    case EFFECT_SEND:
    case EFFECT_STORE:
    case EFFECT_STORE_CONTROL:
    case EFFECT_TRUNCATE:
    case EFFECT_KEEP_COPY:
    case EFFECT_KEEP:
    case EFFECT_COMMIT:
    case EFFECT_BRANCH_TRIM:
    case EFFECT_REBASE:
    case EFFECT_STATE:
        assert(false);
    }
}

void
apply_effect(void *context, const struct effect *effect)
{
    struct node_log *log = context;
    struct worker *worker = log->worker;

    switch (effect->type) {
    case EFFECT_SEND:
        leave(worker, log, &effect->message);
        break;
    case EFFECT_STORE:
        store_batch(worker, log, &effect->store.run, effect->store.index);
        node_activate(worker, log);
        break;
    case EFFECT_STORE_CONTROL:
        store_control_entry(worker, log, &effect->store.run);
        node_activate(worker, log);
        break;
    case EFFECT_TRUNCATE:
        truncated(worker, log, effect->lsn);
        break;
    case EFFECT_KEEP_COPY:
        store_copy(worker, log, &effect->store.run, effect->store.index, effect->store.prev_place);
        break;
    case EFFECT_KEEP:
        keep_on_branch(worker, log, &effect->store.run);
        break;
    case EFFECT_COMMIT:
        committed(worker, log, effect->lsn);
        break;
    case EFFECT_BRANCH_TRIM:
        branch_trim(worker, log, effect->branch.origin, branch_place(effect->branch.incarnation, effect->branch.seq));
        break;
    case EFFECT_REBASE:
        rebased(worker, log, effect->lsn);
        break;
    case EFFECT_STATE:
        durable_state(worker, log);
        break;
    default:
        apply_news(worker, log, effect);
        break;
    }
}
