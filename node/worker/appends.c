/* An append of a client: to the trunk, to the branch, or refused. */
#include "node/worker/appends.h"

#include "assert_costly.h"
#include "node/look.h"
#include "node/worker/answers.h"
#include "node/worker/batch.h"
#include "node/worker/due.h"
#include "node/worker/durable.h"
#include "node/worker/hlc.h"
#include "node/worker/log.h"
#include "node/worker/reassess.h"
#include "node/worker/repeat.h"
#include "node/worker/room.h"
#include "node/worker/search.h"
#include "node/worker/space.h"
#include "node/worker/worker.h"

/* Refuses a repeat that is another entry than the one at `place` of the store; true: it did. */
static bool
refuse_other(struct worker *worker, struct node_log *log, struct pending *pending, const struct store *store,
             uint64_t place, const struct record *record)
{
    enum repeat repeat = repeat_compare(store, place, record);
    pending->compared = repeat == REPEAT_SAME;
    if (repeat == REPEAT_OTHER)
        answer_error(worker, log, worker->attachments[pending->attachment], pending->token, CAIRN_MISMATCH);
    return repeat == REPEAT_OTHER;
}

static bool
answer_repeated(struct worker *worker, struct node_log *log, struct pending *pending, const struct record *record,
                const struct accepted *accepted)
{
    struct entry_id id = record_id(record);

    assert(accepted->repeated && accepted->lsn <= core_last_lsn(log->core));
    /* The core does not remember the places of all that it knows to be held. */
    pending->lsn = accepted->lsn;
    if (pending->lsn == 0 &&
        !search_entry(worker, worker->attachments[pending->attachment], log, false, &id, 1, &pending->lsn))
        return false;
    if (refuse_other(worker, log, pending, &log->trunk, pending->lsn, record))
        return true;
    /* All of the trunk need not be in memory: the entry stands before what is. */
    pending->unplaced = pending->lsn == 0;
    if (pending->unplaced)
        pending->lsn = store_first(&log->trunk) == 0 ? core_last_lsn(log->core) : store_first(&log->trunk) - 1;
    if (pending->lsn <= settled_lsn(log, (enum cairn_ack)pending->ack)) {
        answer_trunk(worker, log, pending, true);
        return true;
    }
    assert(pending->lsn <= core_last_lsn(log->core));
    if (!waits_room(log, worker->attachments[pending->attachment]))
        return false;
    waits_push(worker, log, pending);
    return true;
}

static void
count_appended(struct node_log *log, uint32_t size_bytes)
{
    log->counters.appended++;
    log->counters.appended_bytes += size_bytes;
}

static void
count_uncommitted(struct worker *worker, struct node_log *log, uint32_t size_bytes)
{
    count_appended(log, size_bytes);
    log->uncommitted_bytes += size_bytes;
    worker->uncommitted_bytes += size_bytes;
    assert_costly(log->uncommitted_bytes <= worker->uncommitted_bytes);
}

/* A request waits where somebody better off is about to lead: true once it is answered. */
static bool
refuse_unless_transferring(struct worker *worker, struct node_log *log, const struct attachment *attachment,
                           uint64_t token, enum cairn_error error)
{
    if (core_transferring(log->core))
        return false;
    answer_error(worker, log, attachment, token, error);
    return true;
}

/* An entry that is copied keeps the clock that it had, as it was judged; that advances nobody's. */
static void
keep_clock(const struct worker *worker, struct block *block)
{
    if (worker->given_hlc == 0)
        return;
    /* The trunk's own clock goes on as ever. */
    assert(block->trunk_hlc != 0);
    block->hlc = worker->given_hlc;
    block->flags = worker->given_doubtful ? BLOCK_CLOCK_DOUBTFUL : 0;
}

static inline void
put_on_trunk(struct worker *worker, struct node_log *log, const struct record *record, const struct accepted *accepted,
             uint64_t now_ns)
{
    uint64_t hlc = node_trunk_hlc(worker, log, 1, now_ns);
    struct block block = {
        .term = accepted->term,
        .first_lsn = accepted->lsn,
        .first_seq = accepted->seq,
        .fork_lsn = FORK_TRUNK,
        .hlc = hlc,
        .trunk_hlc = hlc,
        .count = 1,
        .size_bytes = (uint32_t)record_size(record),
        .incarnation = worker->codec.incarnation,
        .origin = worker->self,
    };
    bool stored;

    assert_costly(accepted->lsn == core_last_lsn(log->core));
    assert_costly(log->trunk.last == 0 || log->trunk.last + 1 == accepted->lsn);
    if (log->rules.writer != 0)
        keep_clock(worker, &block);
    stored = store_append(&log->trunk, &block, record);
    /* append_room() has said that there is room. */
    assert(stored);
    (void)stored;
    assert_costly(log->trunk.last == accepted->lsn);
    durable_claim(worker, log, block.size_bytes);
    count_uncommitted(worker, log, block.size_bytes);
}

/* false: not now, the request stays where it is. */
static bool
append_trunk(struct worker *worker, struct node_log *log, const struct attachment *attachment, struct pending *pending,
             const struct record *record, uint64_t now_ns)
{
    struct pending_ring *ring = pending->ack == CAIRN_ACK_ALL ? &log->pending_all : &log->pending;
    bool alone = pending->ack == CAIRN_ACK_LOCAL;
    struct entry_id id = record_id(record);
    enum journal_space space;
    struct accepted accepted;
    enum cairn_error error;
    enum room room;

    if (alone && log->durable != NULL)
        ring = &log->durable->local;
    room = append_room(worker, log, record_size(record));
    if (!pending_room(ring) || room == ROOM_LATER)
        return false;
    if (room == ROOM_NONE)
        return refuse_unless_transferring(worker, log, attachment, pending->token, CAIRN_FULL);
    space = durable_space(worker, log, record_size(record), USE_CLIENT);
    if (space == SPACE_SOON)
        return false;
    if (space == SPACE_NONE ||
        (worker->health.unwritable != 0 && health_forbids(worker, log, (enum cairn_ack)pending->ack)))
        return refuse_unless_transferring(worker, log, attachment, pending->token, CAIRN_NO_SPACE);
    if (worker->health.tight != 0 && health_delays(worker, log, (enum cairn_ack)pending->ack))
        return false;
    error = core_append(log->core, &id, (enum cairn_ack)pending->ack, &accepted);
    if (error == CAIRN_AGAIN && health_forbids(worker, log, CAIRN_ACK_MAJORITY))
        error = CAIRN_NO_SPACE;
    if (error == CAIRN_AGAIN)
        return false;
    if (error != CAIRN_OK) {
        answer_error(worker, log, attachment, pending->token, error);
        return true;
    }
    if (accepted.repeated)
        return answer_repeated(worker, log, pending, record, &accepted);
    put_on_trunk(worker, log, record, &accepted, now_ns);
    pending->lsn = accepted.lsn;
    assert_costly(ring->head == ring->tail || ring->items[(ring->tail - 1) & ring->mask].lsn < pending->lsn);
    if (alone && log->durable == NULL)
        answer_appended(worker, log, pending);
    else
        pending_push(ring, pending);
    node_activate(worker, log);
    return true;
}

/* The core remembers the places of a producer's last run alone. Where that is over, the branch is looked through: repeats
 * come in order, so from where the one before was found. false: not yet. */
static bool
place_repeated(struct worker *worker, struct attachment *attachment, struct node_log *log, const struct entry_id *id,
               struct accepted *accepted)
{
    struct found *found = &log->found;
    bool onward = found->id.producer == id->producer && found->id.epoch == id->epoch &&
                  found->id.producer_seq <= id->producer_seq;
    uint64_t place;

    assert(accepted->repeated && accepted->on_branch && accepted->seq == 0);
    if (!search_entry(worker, attachment, log, true, id, onward ? found->place : 1, &place))
        return false;
    /* The trunk holds what is not there any more. */
    if (place == 0)
        return true;
    assert(place <= log->own->store.last);
    *found = (struct found){.id = *id, .place = place};
    accepted->seq = branch_place_seq(place);
    accepted->incarnation = branch_place_incarnation(place);
    return true;
}

/* The same of an entry that a branch is given again, and that stands there, or on the trunk already. */
static bool
refuse_other_branch(struct worker *worker, struct node_log *log, struct pending *pending,
                    const struct accepted *accepted, const struct record *record)
{
    assert(accepted->repeated);
    if (accepted->lsn != 0)
        return refuse_other(worker, log, pending, &log->trunk, accepted->lsn, record);
    assert(accepted->seq == 0 || branch_place(accepted->incarnation, accepted->seq) <= log->own->store.last);
    return refuse_other(worker, log, pending, &log->own->store,
                        accepted->seq == 0 ? 0 : branch_place(accepted->incarnation, accepted->seq), record);
}

/* Not in line with what an append to the trunk takes, which then has the registers to itself. */
__attribute__((noinline)) static bool
append_branch(struct worker *worker, struct node_log *log, const struct attachment *attachment, struct pending *pending,
              const struct record *record, uint64_t now_ns)
{
    struct entry_id id = record_id(record);
    enum journal_space space;
    struct accepted accepted;
    enum cairn_error error;
    struct block block;

    if (log->durable != NULL && !pending_room(&log->durable->branch_pending))
        return false;
    if (!branch_has_room(worker, log->own, record_size(record))) {
        answer_error(worker, log, attachment, pending->token, CAIRN_FULL);
        return true;
    }
    space = durable_space(worker, log, record_size(record), USE_CLIENT);
    if (space == SPACE_SOON)
        return false;
    if (space == SPACE_NONE) {
        answer_error(worker, log, attachment, pending->token, CAIRN_NO_SPACE);
        return true;
    }
    error = core_append_branch(log->core, &id, &accepted);
    if (error != CAIRN_OK) {
        answer_error(worker, log, attachment, pending->token, error);
        return true;
    }
    if (accepted.repeated && !accepted.on_branch)
        return answer_repeated(worker, log, pending, record, &accepted);
    if (!accepted.repeated) {
        block = (struct block){
            .first_lsn = branch_place(worker->codec.incarnation, accepted.seq),
            .prev = branch_end(log->own),
            .first_seq = accepted.seq,
            .fork_lsn = core_commit_lsn(log->core),
            .hlc = node_hlc(worker, log, now_ns),
            .count = 1,
            .size_bytes = (uint32_t)record_size(record),
            .incarnation = worker->codec.incarnation,
            .origin = worker->self,
        };
        assert(block.prev < block.first_lsn);
        store_append(&log->own->store, &block, record);
        /* branch_has_room() has said that there is room. */
        assert(log->own->store.last == block.first_lsn);
        durable_claim(worker, log, block.size_bytes);
        log->own->entries++;
        assert(log->own->entries <= log->own->store.entries);
        count_appended(log, block.size_bytes);
        log_reassess(worker, log);
        node_activate(worker, log);
    } else {
        if (accepted.seq == 0 && !place_repeated(worker, worker->attachments[pending->attachment], log, &id, &accepted))
            return false;
        if (refuse_other_branch(worker, log, pending, &accepted, record))
            return true;
    }
    answer_kept(worker, log, pending, accepted.incarnation, accepted.seq, accepted.repeated);
    return true;
}

/* A node that takes nothing any more says who does, if that one is known and in reach. */
static enum cairn_error
why_failed(const struct worker *worker, const struct core *core)
{
    uint8_t leader = core_leader(core);

    assert(leader != worker->self);
    return leader == CAIRN_NODE_NONE || !(worker->reach >> leader & 1) ? CAIRN_DISK_FAILED : CAIRN_NOT_LEADER;
}

/* What keeps a replica that does not lead from taking anything, if it is not what its mode says. */
static enum cairn_error
why_not_here(const struct worker *worker, const struct node_log *log, enum cairn_error error)
{
    assert(core_role(log->core) != ROLE_LEADER);
    if (core_stopped(log->core) != STOP_NONE)
        return CAIRN_STOPPED;
    if (!node_is_member(worker, log))
        return CAIRN_NOT_MEMBER;
    return error == CAIRN_OK && core_failed(log->core) ? why_failed(worker, log->core) : error;
}

/* Trunk here, branch here, or somebody else's. */
bool
append_route(struct worker *worker, struct node_log *log, const struct attachment *attachment, struct pending *pending,
             const struct record *record, uint64_t now_ns)
{
    struct mode_inputs inputs = node_mode_inputs(worker, log);
    enum cairn_ack ack;
    enum cairn_error error = mode_admit_append(log->mode, &inputs, (enum cairn_ack)pending->asked, &ack);
    bool leads = core_role(log->core) == ROLE_LEADER;

    assert_costly(pending->serial == attachment->serial && attachment->in_flight > 0);
    /* A leader is a member, and has neither failed nor stopped. */
    assert_costly(!leads || (core_stopped(log->core) == STOP_NONE && !core_failed(log->core)));
    if (!leads)
        error = why_not_here(worker, log, error);
    if (error != CAIRN_OK) {
        answer_error(worker, log, attachment, pending->token, error);
        return true;
    }
    pending->ack = (uint8_t)ack;
    if (leads)
        return append_trunk(worker, log, attachment, pending, record, now_ns);
    if (log->mode == CAIRN_MODE_AP && ack == CAIRN_ACK_LOCAL)
        return append_branch(worker, log, attachment, pending, record, now_ns);
    if (core_recovering(log->core) && core_leader(log->core) == CAIRN_NODE_NONE)
        error = CAIRN_RECOVERING;
    else
        error = core_leader(log->core) == CAIRN_NODE_NONE ? CAIRN_NO_LEADER : CAIRN_NOT_LEADER;
    answer_error(worker, log, attachment, pending->token, error);
    return true;
}

/* Copies the record out of the client's reach before looking at it. NULL: it is none. */
const struct record *
take_record(struct worker *worker, const void *bytes, size_t size_bytes)
{
    struct record *record = (struct record *)(void *)worker->scratch;

    if (size_bytes > RECORD_BYTES_MAX + 8 || size_bytes < sizeof(*record))
        return NULL;
    memcpy(record, bytes, size_bytes);
    if (record_measure(record, size_bytes) != size_bytes || record->kind != ENTRY_DATA || !record_intact(record))
        return NULL;
    assert_costly(record_size(record) == size_bytes);
    return record;
}
