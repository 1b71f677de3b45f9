/* Answers to appends, and the room that is kept for them. */
#include "node/worker/answers.h"

#include "assert_costly.h"
#include "node/look.h"
#include "node/worker/durable.h"
#include "node/worker/worker.h"
#include "wire/protocol.h"

/* Room for one answer to each request that is not answered yet is kept free, whatever else is put there. So no request is taken
 * without such room, and a client that leaves the indices alone gets each of its answers. */
uint32_t
answers_owed(const struct attachment *attachment)
{
    assert_costly(attachment->waits <= attachment->in_flight && attachment->in_flight <= IN_FLIGHT_MAX);
    return attachment->in_flight + attachment->reads;
}

bool
answer_put(struct worker *worker, uint8_t attachment_index, uint32_t serial, const struct answer *answer,
           const struct record *record)
{
    struct attachment *attachment = worker->attachments[attachment_index];
    size_t record_size_bytes = record == NULL ? 0 : record_size(record);
    struct answer *place;

    if (attachment == NULL || attachment->serial != serial)
        return true; /* the client has left */
    assert_costly(attachment->index == attachment_index);
    assert_costly(record == NULL || answer->type != ANSWER_APPEND);
    /* Also where the client has made the indices such that there is no room: it alone is not answered. */
    if (answer->type == ANSWER_APPEND && attachment->in_flight > 0)
        attachment->in_flight--;
    assert_costly(attachment->waits <= attachment->in_flight);
    place = byte_ring_reserve(&attachment->channel.out, sizeof(*answer) + record_size_bytes);
    if (place == NULL) {
        worker->counters.answers_lost += record == NULL;
        return false;
    }
    *place = *answer;
    place->size_bytes = (uint32_t)(sizeof(*answer) + record_size_bytes);
    if (record != NULL)
        memcpy(place + 1, record, record_size_bytes);
    byte_ring_push(&attachment->channel.out, sizeof(*answer) + record_size_bytes);
    doorbell_ring(&attachment->channel.out.shared->bell);
    return true;
}

/* What an answer says of a repeat. */
static uint8_t
repeat_flags(bool repeated, const struct pending *pending)
{
    assert_costly(repeated || !pending->compared);
    return (uint8_t)((repeated ? ANSWER_REPEATED : 0) | (repeated && pending->compared ? ANSWER_COMPARED : 0));
}

struct answer
answer_to(const struct worker *worker, const struct node_log *log, uint64_t token, enum cairn_error error)
{
    uint8_t leader = log == NULL ? CAIRN_NODE_NONE : core_leader(log->core);
    struct answer answer = {
        .type = ANSWER_APPEND,
        .error = (uint8_t)error,
        .token = token,
        .leader = log == NULL || leader != CAIRN_NODE_NONE ? leader : node_to_ask(worker, log),
        .origin = worker->self,
        .reached = (uint8_t)__builtin_popcount(worker->reach),
        .incarnation = worker->codec.incarnation,
    };

    assert_costly(log == NULL || log->worker == worker);
    /* So that the next name that it takes is a new one. */
    if (log != NULL && error == CAIRN_PRODUCER_EVICTED)
        answer.seq = core_producer_floor(log->core);
    /* Whoever was answered needs no more than there is. */
    if (log != NULL && error != CAIRN_OK)
        answer.needed = node_needs(log);
    return answer;
}

void
answer_error(struct worker *worker, struct node_log *log, const struct attachment *attachment, uint64_t token,
             enum cairn_error error)
{
    struct answer answer = answer_to(worker, log, token, error);

    assert(error != CAIRN_OK);
    if (log != NULL)
        log->counters.refused++;
    answer_put(worker, attachment->index, attachment->serial, &answer, NULL);
}

static void
count_latency(const struct worker *worker, struct node_log *log, const struct pending *pending, uint8_t ack)
{
    uint32_t units = (uint32_t)(worker->task.now_ns >> TAKEN_SHIFT) - pending->taken;

    /* By now the policy has said which level that is. */
    assert_costly(ack != CAIRN_ACK_POLICY && ack <= CAIRN_ACK_ALL);
    latencies_add(&log->latencies, ack, (uint64_t)units << TAKEN_SHIFT);
}

void
answer_trunk(struct worker *worker, struct node_log *log, const struct pending *pending, bool repeated)
{
    struct answer answer = answer_to(worker, log, pending->token, CAIRN_OK);

    assert_costly(pending->unplaced || pending->lsn <= core_last_lsn(log->core));
    answer.ack = pending->ack;
    answer.flags = repeat_flags(repeated, pending);
    answer.lsn = pending->unplaced ? 0 : pending->lsn;
    answer.term = answer.lsn == 0 ? 0 : core_term_at(log->core, answer.lsn);
    answer_put(worker, pending->attachment, pending->serial, &answer, NULL);
}

/* The first answer to an append. */
void
answer_appended(struct worker *worker, struct node_log *log, const struct pending *pending)
{
    assert_costly(!pending->unplaced && !pending->repeated);
    count_latency(worker, log, pending, pending->ack);
    answer_trunk(worker, log, pending, false);
}

void
answer_branch(struct worker *worker, struct node_log *log, const struct pending *pending, uint32_t incarnation,
              uint64_t seq, bool repeated)
{
    struct answer answer = answer_to(worker, log, pending->token, CAIRN_OK);

    assert_costly(log->durable == NULL || branch_place(incarnation, seq) <= log->durable->held_branch);
    if (!repeated)
        count_latency(worker, log, pending, CAIRN_ACK_LOCAL);
    answer.ack = CAIRN_ACK_LOCAL;
    answer.flags = (uint8_t)(ANSWER_ON_BRANCH | repeat_flags(repeated, pending));
    answer.seq = seq;
    answer.incarnation = incarnation;
    answer.fork_lsn = core_commit_lsn(log->core);
    answer_put(worker, pending->attachment, pending->serial, &answer, NULL);
}
