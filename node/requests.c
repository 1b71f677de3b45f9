/* Appends of clients: from their channels to the trunk or the branch, and their answers back. */
#include "requests.h"

#include <assert.h>
#include <string.h>

#include "answers.h"
#include "batch.h"
#include "due.h"
#include "durable.h"
#include "hlc.h"
#include "look.h"
#include "pending.h"
#include "protocol.h"
#include "readers.h"
#include "reassess.h"
#include "repeat.h"
#include "room.h"
#include "search.h"
#include "space.h"
#include "worker.h"

#define REQUESTS_PER_TURN 64u

/* Apart, so that what happens at each append stays short. */
__attribute__((noinline)) static bool
promise_more(struct attachment *attachment)
{
    size_t room = byte_ring_room(&attachment->channel.out) / sizeof(struct answer);
    uint32_t owed = answers_owed(attachment);

    if (room <= owed || attachment->in_flight >= IN_FLIGHT_MAX)
        return false;
    attachment->promises = (uint32_t)room - owed;
    if (attachment->promises > IN_FLIGHT_MAX - attachment->in_flight)
        attachment->promises = IN_FLIGHT_MAX - attachment->in_flight;
    return true;
}

/* Not in line with what an append to the trunk takes, which then has the registers to itself. */
#define SELDOM __attribute__((noinline))

static inline bool
may_promise(struct attachment *attachment)
{
    return attachment->promises > 0 || promise_more(attachment);
}

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

    /* The core does not remember the places of all that it knows to be held. */
    pending->lsn = accepted->lsn;
    if (pending->lsn == 0 &&
        !search_entry(worker, worker->attachments[pending->attachment], log, false, &id, 1, &pending->lsn))
        return false;
    if (refuse_other(worker, log, pending, &log->trunk, pending->lsn, record))
        return true;
    /* Nor is all of the trunk in memory: it stands before what is. */
    pending->unplaced = pending->lsn == 0;
    if (pending->unplaced)
        pending->lsn = store_first(&log->trunk) == 0 ? core_last_lsn(log->core) : store_first(&log->trunk) - 1;
    if (pending->lsn <= settled_lsn(log, (enum cairn_ack)pending->ack)) {
        answer_trunk(worker, log, pending, true);
        return true;
    }
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

/* If this node is deposed, what is not committed may have to be copied to branches: more than the free
 * segments take is not let in. Half of their room, since large records leave the ends unused. */
static bool
keepable(const struct worker *worker, size_t size_bytes)
{
    uint64_t room_bytes = (uint64_t)segments_free(worker) * (worker->segments.segment_bytes / 2);

    return worker->uncommitted_bytes == 0 || worker->uncommitted_bytes + size_bytes <= room_bytes;
}

/* Where somebody better off is about to lead the request waits for that: true once it is answered. */
static bool
refuse_unless_transferring(struct worker *worker, struct node_log *log, const struct attachment *attachment,
                           uint64_t token, enum cairn_error error)
{
    if (core_transferring(log->core))
        return false;
    answer_error(worker, log, attachment, token, error);
    return true;
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
    struct block block;
    uint64_t hlc;

    if (alone && log->durable != NULL)
        ring = &log->durable->local;
    if (!pending_room(ring) || !keepable(worker, record_size(record)))
        return false;
    if (!store_has_room(worker, &log->trunk, record_size(record)))
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
    hlc = node_trunk_hlc(worker, log, 1, now_ns);
    block = (struct block){
        .term = accepted.term,
        .first_lsn = accepted.lsn,
        .first_seq = accepted.seq,
        .fork_lsn = FORK_TRUNK,
        .hlc = hlc,
        .trunk_hlc = hlc,
        .count = 1,
        .size_bytes = (uint32_t)record_size(record),
        .incarnation = worker->codec.incarnation,
        .origin = worker->self,
    };
    store_append(&log->trunk, &block, record);
    durable_claim(worker, log, block.size_bytes);
    count_appended(log, block.size_bytes);
    log->uncommitted_bytes += block.size_bytes;
    worker->uncommitted_bytes += block.size_bytes;
    pending->lsn = accepted.lsn;
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

    if (!search_entry(worker, attachment, log, true, id, onward ? found->place : 1, &place))
        return false;
    /* What is not there any more the trunk holds. */
    if (place == 0)
        return true;
    *found = (struct found){.id = *id, .place = place};
    accepted->seq = branch_place_seq(place);
    accepted->incarnation = branch_place_incarnation(place);
    return true;
}

/* The same of what a branch is given again, which stands there, or on the trunk already. */
static bool
refuse_other_branch(struct worker *worker, struct node_log *log, struct pending *pending,
                    const struct accepted *accepted, const struct record *record)
{
    if (accepted->lsn != 0)
        return refuse_other(worker, log, pending, &log->trunk, accepted->lsn, record);
    return refuse_other(worker, log, pending, &log->own->store,
                        accepted->seq == 0 ? 0 : branch_place(accepted->incarnation, accepted->seq), record);
}

static bool SELDOM
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
        store_append(&log->own->store, &block, record);
        durable_claim(worker, log, block.size_bytes);
        log->own->entries++;
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

/* Of a node that takes nothing any more: who does, if it is known and in reach. */
static enum cairn_error
why_failed(const struct worker *worker, const struct core *core)
{
    uint8_t leader = core_leader(core);

    return leader == CAIRN_NODE_NONE || !(worker->reach >> leader & 1) ? CAIRN_DISK_FAILED : CAIRN_NOT_LEADER;
}

/* What keeps a replica that does not lead from taking anything, if it is not what its mode says. */
static enum cairn_error
why_not_here(const struct worker *worker, const struct node_log *log, enum cairn_error error)
{
    if (core_stopped(log->core) != STOP_NONE)
        return CAIRN_STOPPED;
    if (!node_is_member(worker, log))
        return CAIRN_NOT_MEMBER;
    return error == CAIRN_OK && core_failed(log->core) ? why_failed(worker, log->core) : error;
}

/* Trunk here, branch here, or somebody else's. */
static bool
append_route(struct worker *worker, struct node_log *log, const struct attachment *attachment, struct pending *pending,
             const struct record *record, uint64_t now_ns)
{
    struct mode_inputs inputs = node_mode_inputs(worker, log);
    enum cairn_ack ack;
    enum cairn_error error = mode_admit_append(log->mode, &inputs, (enum cairn_ack)pending->asked, &ack);
    bool leads = core_role(log->core) == ROLE_LEADER;

    /* Who leads is a member, and neither failed nor stopped. */
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
static const struct record *
take_record(struct worker *worker, const void *bytes, size_t size_bytes)
{
    struct record *record = (struct record *)(void *)worker->scratch;

    if (size_bytes > RECORD_BYTES_MAX + 8 || size_bytes < sizeof(*record))
        return NULL;
    memcpy(record, bytes, size_bytes);
    if (record_measure(record, size_bytes) != size_bytes || record->kind != ENTRY_DATA || !record_intact(record))
        return NULL;
    return record;
}

static bool
handle_append(struct worker *worker, struct attachment *attachment, const struct request *request, const void *body,
              uint64_t now_ns)
{
    struct node_log *log = node_find_log(worker, request->log);
    const struct record *record = take_record(worker, body, request->size_bytes - sizeof(*request));
    struct pending pending = {
        .token = request->token,
        .serial = attachment->serial,
        .taken = (uint32_t)(now_ns >> TAKEN_SHIFT),
        .attachment = attachment->index,
        .asked = request->level,
    };

    if (!may_promise(attachment))
        return false;
    attachment->promises--;
    attachment->in_flight++;
    if (log == NULL) {
        answer_error(worker, NULL, attachment, request->token, CAIRN_NO_LOG);
    } else if (log_is_closed_to(log, attachment)) {
        answer_error(worker, log, attachment, request->token, CAIRN_FORBIDDEN);
    } else if (record == NULL) {
        answer_error(worker, log, attachment, request->token, CAIRN_CORRUPT);
    } else if (request->level > CAIRN_ACK_ALL ||
               !producer_plausible(record->producer, record->producer_seq, worker->producer_max)) {
        answer_error(worker, log, attachment, request->token, CAIRN_INVALID);
    } else if (!append_route(worker, log, attachment, &pending, record, now_ns)) {
        attachment->promises++;
        attachment->in_flight--;
        return false;
    }
    return true;
}

/* The membership that the operation asks for. */
static struct members
members_after(struct members members, enum cairn_member_op op, uint8_t node)
{
    cairn_node_set bit = (cairn_node_set)1 << node;

    if (op == CAIRN_MEMBER_ADD && !(members.voters & bit))
        members.learners |= bit;
    if (op == CAIRN_MEMBER_PROMOTE && (members.learners & bit)) {
        members.learners &= ~bit;
        members.voters |= bit;
    }
    if (op == CAIRN_MEMBER_REMOVE) {
        members.learners &= ~bit;
        members.voters &= ~bit;
    }
    return members;
}

static enum cairn_error
change_members(struct worker *worker, struct node_log *log, enum cairn_member_op op, uint8_t target, uint64_t now_ns,
               uint64_t *lsn)
{
    struct members now = *core_members(log->core), next = members_after(now, op, target);

    /* Who does not lead may not know yet who is a member. */
    if (core_role(log->core) != ROLE_LEADER)
        return CAIRN_NOT_LEADER;
    if (op == CAIRN_MEMBER_PROMOTE && !((now.learners | now.voters) >> target & 1))
        return CAIRN_INVALID;
    /* As asked already. */
    if (next.voters == now.voters && next.learners == now.learners) {
        *lsn = core_commit_lsn(log->core);
        return CAIRN_OK;
    }
    return core_change_members(log->core, &next, now_ns, &log->sink, lsn);
}

/* A change is answered when it is agreed on, a transfer when it has begun. */
static bool SELDOM
handle_member(struct worker *worker, struct attachment *attachment, const struct request *request, uint64_t now_ns)
{
    struct node_log *log = node_find_log(worker, request->log);
    enum cairn_member_op op = (enum cairn_member_op)request->level;
    uint8_t target = request->from < worker->nodes ? (uint8_t)request->from : CAIRN_NODE_NONE;
    struct pending pending = {.token = request->token,
                              .serial = attachment->serial,
                              .attachment = attachment->index,
                              .ack = CAIRN_ACK_MAJORITY,
                              .asked = CAIRN_ACK_MAJORITY};
    enum cairn_error error = CAIRN_OK;

    if ((log != NULL && !waits_room(log, attachment)) || !may_promise(attachment))
        return false;
    attachment->promises--;
    attachment->in_flight++;
    if (log == NULL)
        error = CAIRN_NO_LOG;
    else if (!attachment->administrator || log_is_closed_to(log, attachment))
        error = CAIRN_FORBIDDEN;
    else if (target == CAIRN_NODE_NONE || op > CAIRN_MEMBER_TRANSFER)
        error = CAIRN_INVALID;
    else if (op == CAIRN_MEMBER_TRANSFER && core_role(log->core) == ROLE_LEADER && target == worker->self)
        error = CAIRN_OK;
    else if (op == CAIRN_MEMBER_TRANSFER)
        error = core_transfer(log->core, target, now_ns);
    else
        error = change_members(worker, log, op, target, now_ns, &pending.lsn);
    if (error == CAIRN_NOT_LEADER && core_leader(log->core) == CAIRN_NODE_NONE)
        error = CAIRN_NO_LEADER;
    if (error != CAIRN_OK) {
        answer_error(worker, log, attachment, request->token, error);
        return true;
    }
    node_activate(worker, log);
    if (pending.lsn <= core_commit_lsn(log->core))
        answer_trunk(worker, log, &pending, false);
    else
        waits_push(worker, log, &pending);
    return true;
}

static bool SELDOM
handle_read(struct worker *worker, struct attachment *attachment, const struct request *request, const void *body,
            uint64_t now_ns)
{
    struct request_session session;
    bool has_session = request->size_bytes == sizeof(*request) + sizeof(session);

    if (!may_promise(attachment))
        return false;
    attachment->promises--;
    /* Copied out of the client's reach before it is looked at. */
    if (has_session)
        memcpy(&session, body, sizeof(session));
    reader_start(worker, attachment, request, has_session ? &session : NULL, now_ns);
    return true;
}

/* One request. 0: none, or not now; else the bytes it took. */
static size_t
handle_one(struct worker *worker, struct attachment *attachment, uint64_t now_ns)
{
    struct request request;
    const void *bytes;
    size_t ready = byte_ring_peek(&attachment->channel.in, &bytes);

    if (ready < sizeof(request))
        return 0;
    memcpy(&request, bytes, sizeof(request));
    if (request.size_bytes < sizeof(request) || request.size_bytes > ready)
        return ready; /* nonsense: what there is of it is thrown away */
    switch (request.type) {
    case REQUEST_APPEND:
        if (!handle_append(worker, attachment, &request, (const uint8_t *)bytes + sizeof(request), now_ns))
            return 0;
        break;
    case REQUEST_READ:
        if (!handle_read(worker, attachment, &request, (const uint8_t *)bytes + sizeof(request), now_ns))
            return 0;
        break;
    case REQUEST_MEMBER:
        if (!handle_member(worker, attachment, &request, now_ns))
            return 0;
        break;
    case REQUEST_CANCEL:
        reader_cancel(worker, attachment, request.token);
        break;
    default:
        break;
    }
    return request.size_bytes;
}

static uint32_t
attachment_turn(struct worker *worker, struct attachment *attachment, uint64_t now_ns)
{
    uint32_t done = 0;

    while (done < REQUESTS_PER_TURN) {
        size_t size_bytes = handle_one(worker, attachment, now_ns);

        if (size_bytes == 0)
            break;
        byte_ring_pop(&attachment->channel.in, size_bytes);
        done++;
    }
    return done;
}

/* Counts as work: its bell is no more. */
static uint32_t SELDOM
detach(struct worker *worker, struct attachment *attachment)
{
    readers_drop(worker, attachment->index);
    waits_drop(worker, attachment);
    worker->attachments[attachment->index] = NULL;
    while (worker->attachments_end > 0 && worker->attachments[worker->attachments_end - 1] == NULL)
        worker->attachments_end--;
    atomic_store_explicit(&attachment->state, ATTACHMENT_GONE, memory_order_release);
    return 1;
}

uint32_t
requests_turn(struct worker *worker, uint64_t now_ns)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < worker->attachments_end; i++) {
        struct attachment *attachment = worker->attachments[i];

        if (attachment == NULL)
            continue;
        if (atomic_load_explicit(&attachment->state, memory_order_acquire) == ATTACHMENT_LEAVING)
            done += detach(worker, attachment);
        else
            done += attachment_turn(worker, attachment, now_ns);
    }
    return done;
}
