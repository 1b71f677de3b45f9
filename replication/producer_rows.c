/* What a trunk's producers have written, for a node whose trunk begins anew behind it.
 *
 * The base that such a node is sent does not tell which sequences its producers have on what is gone. Led by such a
 * node the log would take a branch's repeat of one of them for new. So it asks the leader for the table, a page at a
 * time, by rising id, and campaigns only once it has it all (or when nobody else has led for long). A page is what is
 * committed when it is sent: whatever follows the base in this node's own trunk it counts itself, and a row that is
 * ahead of that stands until the trunk has come there. */
#include "replication/producers.h"

#define PATIENCE 16u /* election timeouts without a leader, until half a table must do */

static struct producer_row
row_of(const struct producer *producer)
{
    return (struct producer_row){
        .id = producer->id,
        .seq = producer->seq,
        .lsn = producer->lsn,
        .former_seq = producer->former_seq,
        .epoch = producer->epoch,
        .former_epoch = producer->former_epoch,
    };
}

static struct producer
producer_of(const struct producer_row *row)
{
    return (struct producer){
        .id = row->id,
        .seq = row->seq,
        .lsn = row->lsn,
        .former_seq = row->former_seq,
        .epoch = row->epoch,
        .former_epoch = row->former_epoch,
        .run_seq = row->seq,
        .run_lsn = row->lsn,
    };
}

/* By slot first, so that what is not committed can be taken back without a search. Returns how many. */
static uint32_t
committed_rows(const struct core *core, struct producer_row *rows)
{
    const struct producers *producers = &core->producers;
    uint32_t count = 0;

    assert(producers->undo_tail - producers->undo_head <= producers->undo_mask + 1);
    for (uint32_t slot = 0; slot < producers->capacity; slot++)
        rows[slot] = row_of(&producers->slots[slot]);
    for (uint32_t i = producers->undo_tail; i != producers->undo_head; i--) {
        const struct undo *undo = &producers->undo[(i - 1) & producers->undo_mask];
        uint32_t slot = producers_slot(producers, undo->before.id);

        assert(undo->before.id != 0);
        /* A producer that was evicted since has no slot; nobody takes it for new, since the floor is above it. */
        if (producers->slots[slot].id == undo->before.id)
            rows[slot] = row_of(&undo->before);
    }
    for (uint32_t slot = 0; slot < producers->capacity; slot++) {
        if (rows[slot].id != 0 && rows[slot].seq != 0)
            rows[count++] = rows[slot];
        assert(count <= slot + 1);
    }
    assert(count <= producers->used);
    return count;
}

/* The rows with the lowest ids above after_id, in order. Returns how many. */
static uint32_t
page_of(const struct producer_row *rows, uint32_t count, uint64_t after_id, struct producer_row *page, uint32_t most,
        bool *last)
{
    uint32_t used = 0, above = 0;

    assert(most > 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = used;

        if (rows[i].id <= after_id)
            continue;
        above++;
        if (used == most && rows[i].id > page[used - 1].id)
            continue;
        if (used < most)
            used++;
        else
            place--;
        for (; place > 0 && page[place - 1].id > rows[i].id; place--)
            page[place] = page[place - 1];
        page[place] = rows[i];
        assert(place == 0 || page[place - 1].id < page[place].id);
        assert(place + 1 == used || page[place].id < page[place + 1].id);
    }
    assert(used <= above && used <= most);
    assert(used == 0 || page[0].id > after_id);
    *last = above == used;
    return used;
}

uint32_t
core_producers(const struct core *core, uint64_t after_id, struct producer_row *rows, struct producer_row *page,
               uint32_t most, bool *last)
{
    uint32_t count = page_of(rows, committed_rows(core, rows), after_id, page, most, last);

    /* A page that is not the last is full. */
    assert(*last || count == most);
    assert(count == 0 || page[count - 1].id <= producers_highest(&core->producers));
    return count;
}

bool
core_wants_producers(const struct core *core, uint8_t peer)
{
    assert_costly(core->role != ROLE_LEADER || !core->producers_partial);
    return core->role == ROLE_LEADER && core->progress[peer].producers_wanted;
}

void
core_producers_message(struct core *core, uint8_t peer, struct producer_row *rows, struct producer_row *page,
                       struct message *out)
{
    struct progress *progress = &core->progress[peer];

    assert(core->role == ROLE_LEADER && progress->producers_wanted);
    /* Half a table would be taken for a whole one. */
    assert(!core->producers_partial);
    assert(peer != core->config.self);
    *out = core_message(core, MESSAGE_PRODUCERS, peer);
    out->producers.after_id = progress->producers_after_id;
    out->producers.rows = page;
    out->producers.count = core_producers(core, progress->producers_after_id, rows, page, PRODUCER_ROWS_MAX, &out->yes);
    assert(out->producers.count <= PRODUCER_ROWS_MAX && (out->yes || out->producers.count > 0));
    progress->producers_wanted = false;
}

void
producers_lost(struct core *core, uint64_t now_ns)
{
    assert(core->role == ROLE_FOLLOWER);
    core->producers_partial = true;
    core->producers_after_id = 0;
    core->producers_asked_ns = 0;
    core->producers_until_ns = now_ns + PATIENCE * core->config.election_timeout_ns;
    assert(producers_forbid_lead(core, now_ns));
}

/* Are there others that had better lead? */
bool
producers_forbid_lead(const struct core *core, uint64_t now_ns)
{
    assert(core->role != ROLE_LEADER);
    return core->producers_partial && now_ns < core->producers_until_ns;
}

static void
ask(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    struct message message = core_message(core, MESSAGE_PRODUCERS_WANTED, core->leader);

    assert(core->producers_partial);
    assert(core->role == ROLE_FOLLOWER && core->leader != CAIRN_NODE_NONE);
    assert(core->leader != core->config.self);
    message.producers.after_id = core->producers_after_id;
    core->producers_asked_ns = now_ns;
    core_send(&message, sink);
}

void
producers_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert_costly(!core->producers_partial || core->role != ROLE_LEADER);
    /* A leader that was started anew is in reach, and leads no more. */
    if (!core->producers_partial || core->role != ROLE_FOLLOWER || !hears_leader(core, now_ns) ||
        !(core->reach & node_bit(core->leader)))
        return;
    core->producers_until_ns = now_ns + PATIENCE * core->config.election_timeout_ns;
    if (now_ns - core->producers_asked_ns >= core->config.retransmit_ns)
        ask(core, now_ns, sink);
}

void
receive_producers_wanted(struct core *core, const struct message *message)
{
    struct progress *progress = &core->progress[message->from];

    assert(message->from != core->config.self);
    assert(core->role != ROLE_LEADER || !core->producers_partial);
    if (core->role != ROLE_LEADER || core->producers_partial || message->term != core->term)
        return;
    progress->producers_wanted = true;
    progress->producers_after_id = message->producers.after_id;
}

static void
take_rows(struct core *core, const struct producer_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct producer producer = producer_of(&rows[i]);

        if (producer.id == 0 || producer.seq == 0)
            continue;
        producers_merge(&core->producers, &producer);
        /* This producer is known from now on, or refused: nobody takes its repeats for new. */
        assert(producers_last(&core->producers, producer.id).seq != 0 || producer.id <= core->producers.evicted_floor);
        if (core->producers_after_id < producer.id)
            core->producers_after_id = producer.id;
    }
}

void
receive_producers(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    if (!core->producers_partial || core->role != ROLE_FOLLOWER || message->from != core->leader ||
        message->term != core->term || message->producers.after_id != core->producers_after_id)
        return;
    assert(core->leader != core->config.self);
    take_rows(core, message->producers.rows, message->producers.count);
    if (message->yes)
        core->producers_partial = false;
    else if (message->producers.count > 0)
        ask(core, now_ns, sink);
    assert(core->role == ROLE_FOLLOWER);
}

void
core_restore_producers(struct core *core, const struct producer_row *rows, uint32_t count, bool all)
{
    assert(core->role == ROLE_FOLLOWER && core->leader == CAIRN_NODE_NONE);
    take_rows(core, rows, count);
    if (all)
        core->producers_partial = false;
    core->producers_after_id = 0;
}

bool
core_producers_partial(const struct core *core)
{
    assert(core->role != ROLE_LEADER || !core->producers_partial);
    return core->producers_partial;
}

uint64_t
core_producer_floor(const struct core *core)
{
    uint64_t trunk = core->producers.evicted_floor, branch = core->branch_producers.evicted_floor;

    producers_assert(&core->producers);
    producers_assert(&core->branch_producers);
    return trunk > branch ? trunk : branch;
}
