/* Appends that wait: for their commit, for the medium, for whoever leads next. */
#include "node/worker/pending.h"

#include <assert.h>
#include <stdlib.h>

#include "assert_costly.h"
#include "node/look.h"
#include "node/worker/answers.h"
#include "node/worker/durable.h"
#include "node/worker/worker.h"
#include "wire/protocol.h"

/* What waits stands in the order of the trunk, and on it. */
static void
assert_waiting(const struct node_log *log, const struct pending_ring *ring)
{
    const struct pending *first = &ring->items[ring->head & ring->mask];
    const struct pending *second = &ring->items[(ring->head + 1) & ring->mask];
    const struct pending *last = &ring->items[(ring->tail - 1) & ring->mask];

    if (ring->head == ring->tail)
        return;
    assert_costly(ring->tail - ring->head <= ring->mask + 1);
    assert_costly(ring->tail - ring->head == 1 || first->lsn < second->lsn);
    assert_costly(first->lsn <= last->lsn && last->lsn <= core_last_lsn(log->core));
}

bool
waits_room(const struct node_log *log, const struct attachment *attachment)
{
    uint32_t kept = attachment->administrator ? 0 : WAITS_KEPT;

    assert(log->waits_count <= WAITS_MAX);
    assert(attachment->waits <= WAITS_EACH && attachment->waits <= attachment->in_flight);
    return log->waits_count < WAITS_MAX - kept && attachment->waits < WAITS_EACH;
}

void
waits_push(struct worker *worker, struct node_log *log, const struct pending *pending)
{
    struct attachment *attachment = worker->attachments[pending->attachment];

    assert(log->waits_count < WAITS_MAX);
    assert(attachment->serial == pending->serial);
    /* What is settled does not wait. */
    assert(pending->lsn > settled_lsn(log, (enum cairn_ack)pending->ack));
    attachment->waits++;
    assert(attachment->waits <= WAITS_EACH && attachment->waits <= attachment->in_flight);
    log->waits[log->waits_count++] = *pending;
}

static void
waits_end(struct worker *worker, const struct pending *pending)
{
    struct attachment *attachment = worker->attachments[pending->attachment];

    assert(attachment != NULL && attachment->serial == pending->serial && attachment->waits > 0);
    attachment->waits--;
}

void
waits_drop(struct worker *worker, const struct attachment *attachment)
{
    for (uint32_t i = 0; i < worker->logs_count && attachment->waits > 0; i++) {
        struct node_log *log = worker->logs[i];
        uint32_t kept = 0;

        for (uint32_t j = 0; j < log->waits_count; j++) {
            if (log->waits[j].attachment == attachment->index)
                waits_end(worker, &log->waits[j]);
            else
                log->waits[kept++] = log->waits[j];
        }
        log->waits_count = kept;
    }
    assert(attachment->waits == 0);
}

/* Acknowledged on this node's word: at once, or when its disk holds what stands on the branch up to there. */
void
answer_kept(struct worker *worker, struct node_log *log, struct pending *pending, uint32_t incarnation, uint64_t seq,
            bool repeated)
{
    uint64_t place = branch_place(incarnation, seq);

    /* What is new stands there already. */
    assert(repeated || place <= log->own->store.last);
    if (log->durable == NULL || place <= log->durable->held_branch) {
        answer_branch(worker, log, pending, incarnation, seq, repeated);
        return;
    }
    pending->lsn = place;
    pending->repeated = repeated;
    pending_push(&log->durable->branch_pending, pending);
}

static void
answer_up_to(struct worker *worker, struct node_log *log, struct pending_ring *ring, uint64_t lsn)
{
    while (ring->head != ring->tail) {
        const struct pending *pending = &ring->items[ring->head & ring->mask];

        assert_waiting(log, ring);
        if (pending->lsn > lsn)
            return;
        answer_appended(worker, log, pending);
        ring->head++;
    }
}

/* Up to where entries are held as the level asks. */
uint64_t
settled_lsn(const struct node_log *log, enum cairn_ack ack)
{
    assert_costly(core_role(log->core) != ROLE_LEADER || core_all_lsn(log->core) <= core_commit_lsn(log->core));
    return ack == CAIRN_ACK_ALL ? core_all_lsn(log->core) : core_commit_lsn(log->core);
}

void
pending_held(struct worker *worker, struct node_log *log)
{
    struct pending_ring *ring = &log->durable->branch_pending;

    assert_costly(log->durable->held_lsn <= core_last_lsn(log->core));
    answer_up_to(worker, log, &log->durable->local, log->durable->held_lsn);
    while (ring->head != ring->tail) {
        const struct pending *pending = &ring->items[ring->head & ring->mask];

        if (pending->lsn > log->durable->held_branch)
            return;
        answer_branch(worker, log, pending, branch_place_incarnation(pending->lsn), branch_place_seq(pending->lsn),
                      pending->repeated);
        ring->head++;
    }
}

static void
answer_unknown(struct worker *worker, struct node_log *log, struct pending_ring *ring)
{
    for (; ring->head != ring->tail; ring->head++) {
        const struct pending *pending = &ring->items[ring->head & ring->mask];
        struct answer answer = answer_to(worker, log, pending->token, CAIRN_UNKNOWN);

        answer_put(worker, pending->attachment, pending->serial, &answer, NULL);
    }
}

/* The disk has failed: nobody can tell whether what was on its way there is held. */
void
pending_fail(struct worker *worker, struct node_log *log)
{
    assert(worker->journal_failed);
    /* From here on nothing is acknowledged on this node's word. */
    assert(core_failed(log->core));
    answer_unknown(worker, log, &log->durable->local);
    answer_unknown(worker, log, &log->durable->branch_pending);
}

void
pending_committed(struct worker *worker, struct node_log *log)
{
    uint64_t commit_lsn = core_commit_lsn(log->core);
    uint32_t kept = 0;

    /* Whoever waits for others waits at the leader, for what is not committed yet. */
    assert_costly(core_role(log->core) == ROLE_LEADER || log->pending.head == log->pending.tail);
    assert_costly(core_role(log->core) == ROLE_LEADER || log->pending_all.head == log->pending_all.tail);
    assert_costly(log->digest_lsn <= commit_lsn);
    answer_up_to(worker, log, &log->pending, commit_lsn);
    answer_up_to(worker, log, &log->pending_all, core_all_lsn(log->core));
    pending_relax(worker, log);
    for (uint32_t i = 0; i < log->waits_count; i++) {
        if (log->waits[i].lsn <= settled_lsn(log, (enum cairn_ack)log->waits[i].ack)) {
            waits_end(worker, &log->waits[i]);
            answer_trunk(worker, log, &log->waits[i], true);
        } else {
            log->waits[kept++] = log->waits[i];
        }
    }
    log->waits_count = kept;
}

/* A member was cut off, and the log goes on as `cp`: a client that asked for what the policy gives has that now, and hears
 * it. */
void
pending_relax(struct worker *worker, struct node_log *log)
{
    struct pending_ring *ring = &log->pending_all;
    struct mode_inputs inputs;
    uint32_t kept = ring->head;

    if (ring->head == ring->tail || !log->rules.falls_to_cp || core_role(log->core) != ROLE_LEADER)
        return;
    inputs = node_mode_inputs(worker, log);
    if (mode_policy_ack(&inputs, log->mode) != CAIRN_ACK_MAJORITY)
        return;
    for (uint32_t i = ring->head; i != ring->tail; i++) {
        struct pending pending = ring->items[i & ring->mask];

        if (pending.asked == CAIRN_ACK_POLICY && pending.lsn <= core_commit_lsn(log->core)) {
            pending.ack = CAIRN_ACK_MAJORITY;
            answer_appended(worker, log, &pending);
        } else {
            ring->items[kept++ & ring->mask] = pending;
        }
    }
    assert(kept - ring->head <= ring->tail - ring->head);
    ring->tail = kept;
    assert_waiting(log, ring);
}

/* The branch sequence of a deposed leader's own uncommitted entry, or 0 where it was not kept. */
static uint64_t
branch_seq_of(struct node_log *log, uint64_t lsn)
{
    struct cursor cursor = {.position = lsn};
    struct stretch stretch;

    if (log->own->entries == 0 || !store_look(&log->trunk, &cursor, lsn, 1, SIZE_MAX, &stretch))
        return 0;
    assert(stretch.first == lsn && stretch.count == 1);
    assert(stretch.block->origin == log->self && stretch.block->kind == ENTRY_DATA);
    return stretch.block->first_seq + stretch.index;
}

/* What the client hears of an append that its leader can no longer commit: where the policy keeps
 * accepting, the entry is on the branch now, and that is all it asked for; otherwise nobody knows. */
static void
settle_deposed(struct worker *worker, struct node_log *log, struct pending *pending)
{
    bool keeps = log->rules.policy == CAIRN_POLICY_ADAPTIVE || log->rules.policy == CAIRN_POLICY_AP;
    uint64_t seq = keeps && pending->asked <= CAIRN_ACK_LOCAL ? branch_seq_of(log, pending->lsn) : 0;
    struct answer answer;

    assert(seq == 0 || branch_place(worker->codec.incarnation, seq) <= log->own->store.last);
    if (seq != 0 && (log->durable == NULL || pending_room(&log->durable->branch_pending))) {
        answer_kept(worker, log, pending, worker->codec.incarnation, seq, false);
        return;
    }
    answer = answer_to(worker, log, pending->token, CAIRN_UNKNOWN);
    answer_put(worker, pending->attachment, pending->serial, &answer, NULL);
}

void
pending_deposed(struct worker *worker, struct node_log *log)
{
    struct pending_ring *rings[] = {&log->pending, &log->pending_all,
                                    log->durable == NULL ? NULL : &log->durable->local};

    assert(core_role(log->core) != ROLE_LEADER);
    /* Nobody is told of what is committed that nobody knows. */
    assert(log->pending.head == log->pending.tail ||
           log->pending.items[log->pending.head & log->pending.mask].lsn > core_commit_lsn(log->core));
    for (uint32_t i = 0; i < 3 && rings[i] != NULL; i++) {
        for (; rings[i]->head != rings[i]->tail; rings[i]->head++)
            settle_deposed(worker, log, &rings[i]->items[rings[i]->head & rings[i]->mask]);
    }
    for (uint32_t i = 0; i < log->waits_count; i++) {
        struct answer answer = answer_to(worker, log, log->waits[i].token, CAIRN_UNKNOWN);

        waits_end(worker, &log->waits[i]);
        answer_put(worker, log->waits[i].attachment, log->waits[i].serial, &answer, NULL);
    }
    log->waits_count = 0;
}

bool
pending_ring_init(struct pending_ring *ring, uint32_t entries)
{
    assert(entries > 0 && (entries & (entries - 1)) == 0);
    assert(ring->head == ring->tail);
    ring->mask = entries - 1;
    ring->items = malloc(entries * sizeof(*ring->items));
    return ring->items != NULL;
}
