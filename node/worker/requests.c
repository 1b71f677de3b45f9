/* Appends of clients: from their channels to the trunk or the branch, and their answers back. */
#include "node/worker/requests.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "node/look.h"
#include "node/worker/answers.h"
#include "node/worker/appends.h"
#include "node/worker/due.h"
#include "node/worker/durable.h"
#include "node/worker/pending.h"
#include "node/worker/readers.h"
#include "node/worker/space.h"
#include "node/worker/worker.h"
#include "wire/protocol.h"

#define REQUESTS_PER_TURN 64u

/* What a client has on its way, and what it may yet have. */
static void
assert_shares(const struct worker *worker, const struct attachment *attachment)
{
    assert(attachment->in_flight + attachment->promises <= IN_FLIGHT_MAX);
    assert(attachment->waits <= attachment->in_flight && attachment->waits <= WAITS_EACH);
    assert(attachment->reads <= worker->readers_used);
}

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
    assert(attachment->promises > 0 && attachment->in_flight + attachment->promises <= IN_FLIGHT_MAX);
    return true;
}

/* Not in line with what an append to the trunk takes, which then has the registers to itself. */
#define SELDOM __attribute__((noinline))

static inline bool
may_promise(struct attachment *attachment)
{
    return attachment->promises > 0 || promise_more(attachment);
}

/* A client that copies a log is an administrator's, and says what its entries' clocks were. Not in line with what most
 * appends take. */
static bool SELDOM
may_copy(struct worker *worker, const struct node_log *log, const struct attachment *attachment,
         const struct request *request)
{
    worker->given_hlc = request->from;
    worker->given_doubtful = request->to != 0;
    return log->rules.writer != 0 && attachment->administrator;
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
    assert_costly(attachment->in_flight <= IN_FLIGHT_MAX);
    if (log == NULL) {
        answer_error(worker, NULL, attachment, request->token, CAIRN_NO_LOG);
    } else if (log_is_closed_to(log, attachment)) {
        answer_error(worker, log, attachment, request->token, CAIRN_FORBIDDEN);
    } else if (record == NULL) {
        answer_error(worker, log, attachment, request->token, CAIRN_CORRUPT);
    } else if ((log->rules.writer | request->from) != 0 && !may_copy(worker, log, attachment, request)) {
        answer_error(worker, log, attachment, request->token, CAIRN_SEALED);
    } else if (request->level > CAIRN_ACK_ALL || !hlc_plausible(request->from, 1) ||
               !producer_plausible(record->producer, record->producer_seq, worker->producer_max)) {
        answer_error(worker, log, attachment, request->token, CAIRN_INVALID);
    } else if (!append_route(worker, log, attachment, &pending, record, now_ns)) {
        /* It has not been answered, so it is on its way still. */
        assert(attachment->in_flight > attachment->waits);
        attachment->promises++;
        attachment->in_flight--;
        return false;
    }
    assert_costly(log == NULL || log_is_sound(log));
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
    /* Nobody is both. */
    assert((members.voters & members.learners) == 0);
    return members;
}

static enum cairn_error
change_members(struct worker *worker, struct node_log *log, enum cairn_member_op op, uint8_t target, uint64_t now_ns,
               uint64_t *lsn)
{
    struct members now = *core_members(log->core), next = members_after(now, op, target);

    /* One change at a time: nobody's place but the target's is another. */
    assert((((next.voters ^ now.voters) | (next.learners ^ now.learners)) & ~((cairn_node_set)1 << target)) == 0);
    /* A node that does not lead may not know yet who is a member. */
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
    assert(pending.lsn <= core_last_lsn(log->core));
    assert_costly(log_is_sound(log));
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
    assert_shares(worker, attachment);
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
    assert(worker->attachments[attachment->index] == attachment && attachment->index < worker->attachments_end);
    assert_shares(worker, attachment);
    readers_drop(worker, attachment->index);
    waits_drop(worker, attachment);
    assert(attachment->reads == 0 && attachment->waits == 0);
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

    assert(worker->attachments_end <= ATTACHMENTS_MAX);
    for (uint32_t i = 0; i < worker->attachments_end; i++) {
        struct attachment *attachment = worker->attachments[i];

        if (attachment == NULL)
            continue;
        assert_costly(attachment->index == i);
        if (atomic_load_explicit(&attachment->state, memory_order_acquire) == ATTACHMENT_LEAVING)
            done += detach(worker, attachment);
        else
            done += attachment_turn(worker, attachment, now_ns);
    }
    return done;
}
