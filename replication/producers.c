/* Exactly once: which sequence of each producer the log holds (Raft section 8).
 *
 * The table follows from the log alone, so every replica that holds the same entries has the same
 * table; a truncation takes back what its entries changed. Bounded: when it is full the producer
 * that has been silent longest is forgotten, and from then on no producer whose id is at or below
 * the forgotten one's is taken as new: ids rise with time (see client/session.c), so a forgotten
 * producer is refused rather than duplicated. */
#include "replication/producers.h"

uint32_t
producers_slot(const struct producers *producers, uint64_t id)
{
    return slot_find(producers, id);
}

static uint32_t
slot_of(const struct producers *producers, uint64_t id)
{
    assert_costly(producers->last_slot < producers->capacity);
    if (producers->slots[producers->last_slot].id == id)
        return producers->last_slot;
    return slot_find(producers, id);
}

/* Linear probing's removal: the chain behind the hole moves up. */
static void
slot_remove(struct producers *producers, uint32_t hole)
{
    const uint64_t id = producers->slots[hole].id;
    uint32_t mask = producers->capacity - 1, next = hole;

    assert(id != 0);
    assert(producers->used > 0);
    for (;;) {
        uint32_t home;

        next = (next + 1) & mask;
        if (producers->slots[next].id == 0)
            break;
        home = slot_hash(producers, producers->slots[next].id);
        if (((next - home) & mask) < ((next - hole) & mask))
            continue;
        producers->slots[hole] = producers->slots[next];
        hole = next;
    }
    producers->slots[hole] = (struct producer){0};
    producers->used--;
    assert_costly(producers->slots[slot_find(producers, id)].id == 0);
}

static uint32_t
oldest_slot(const struct producers *producers)
{
    uint32_t oldest = 0;

    for (uint32_t slot = 0; slot < producers->capacity; slot++) {
        const struct producer *producer = &producers->slots[slot];

        if (producer->id != 0 && (producers->slots[oldest].id == 0 || producer->lsn < producers->slots[oldest].lsn))
            oldest = slot;
    }
    assert(producers->used == 0 || producers->slots[oldest].id != 0);
    return oldest;
}

static struct producer
evict_one(struct producers *producers)
{
    uint32_t oldest = oldest_slot(producers);
    struct producer evicted;

    assert(producers->used > 0);
    evicted = producers->slots[oldest];
    assert(evicted.id != 0);
    slot_remove(producers, oldest);
    if (evicted.id > producers->evicted_floor)
        producers->evicted_floor = evicted.id;
    assert(evicted.id <= producers->evicted_floor);
    return evicted;
}

bool
producers_room(const struct producers *producers)
{
    assert_costly(producers->undo_tail - producers->undo_head <= producers->undo_mask + 1);
    return producers->undo_tail - producers->undo_head <= producers->undo_mask;
}

/* CAIRN_OK: new. CAIRN_AGAIN: a repeat; *known_lsn is its lsn, or 0 where that is not remembered.
 * *known_seq is the last sequence held. */
enum cairn_error
producers_check(const struct producers *producers, const struct entry_id *id, uint64_t *known_lsn, uint64_t *known_seq)
{
    const struct producer *producer;

    *known_lsn = *known_seq = 0;
    if (id->producer == 0)
        return CAIRN_OK;
    producer = &producers->slots[slot_of(producers, id->producer)];
    if (producer->id == 0) {
        if (id->producer <= producers->evicted_floor)
            return CAIRN_PRODUCER_EVICTED;
        return id->producer_seq == 1 ? CAIRN_OK : CAIRN_OUT_OF_ORDER;
    }
    /* A new holder of the id begins at 1; the former one is done with. */
    if (id->epoch < producer->epoch)
        return CAIRN_FENCED;
    if (id->epoch > producer->epoch)
        return id->producer_seq == 1 ? CAIRN_OK : CAIRN_OUT_OF_ORDER;
    assert_costly(producer->seq != 0 && producer->run_seq <= producer->seq);
    *known_seq = producer->seq;
    if (id->producer_seq > producer->seq)
        return id->producer_seq == producer->seq + 1 ? CAIRN_OK : CAIRN_OUT_OF_ORDER;
    if (id->producer_seq >= producer->run_seq)
        *known_lsn = producer->run_lsn + (id->producer_seq - producer->run_seq);
    assert_costly(*known_lsn <= producer->lsn);
    return CAIRN_AGAIN;
}

/* Does the log hold this very entry? */
bool
producers_holds(const struct producers *producers, const struct entry_id *id)
{
    struct producer producer = producers_last(producers, id->producer);

    if (id->producer == 0 || producer.seq == 0)
        return false;
    assert_costly(producer.id == id->producer);
    if (id->epoch == producer.epoch)
        return id->producer_seq <= producer.seq;
    return id->epoch == producer.former_epoch && id->producer_seq <= producer.former_seq;
}

/* May the log hold entries of this producer that the table no longer tells of? */
bool
producers_forgot(const struct producers *producers, const struct entry_id *id)
{
    struct producer producer = producers_last(producers, id->producer);

    if (id->producer == 0)
        return false;
    if (producer.seq == 0)
        return id->producer <= producers->evicted_floor;
    assert_costly(producer.id == id->producer);
    /* It tells of the last two holders of the id. A branch may bring entries of one before them. */
    return id->epoch < producer.epoch && id->epoch != producer.former_epoch;
}

static void
undo_push(struct producers *producers, const struct undo *undo)
{
    /* The branch's table keeps none: its single place is overwritten. */
    if (producers->undo_mask == 0)
        return;
    assert(producers_room(producers));
    assert_costly(undo->before.id != 0 && undo->evicted.id != undo->before.id);
    /* Changes are taken back by lsn, the newest first. */
    assert_costly(producers->undo_tail == producers->undo_head ||
                  undo_at(producers, producers->undo_tail - 1)->lsn +
                          undo_at(producers, producers->undo_tail - 1)->more <
                      undo->lsn);
    *undo_at(producers, producers->undo_tail++) = *undo;
    /* The place after is needed next, and cold: the ring is larger than a cache. */
    __builtin_prefetch(undo_at(producers, producers->undo_tail), 1);
    __builtin_prefetch((const char *)undo_at(producers, producers->undo_tail) + 64, 1);
}

/* What the table says of a producer once `lsn` holds its sequence `seq`. */
static struct producer
advanced(const struct producer *before, uint32_t epoch, uint64_t seq, uint64_t lsn)
{
    struct producer after = *before;

    assert_costly(seq != 0 && lsn != 0);
    if (before->seq != 0 && epoch > before->epoch) {
        after.former_epoch = before->epoch;
        after.former_seq = before->seq;
    }
    if (before->seq == 0 || epoch != before->epoch || seq != before->seq + 1 || lsn != before->lsn + 1) {
        after.run_seq = seq;
        after.run_lsn = lsn;
    }
    after.epoch = epoch;
    after.seq = seq;
    after.lsn = lsn;
    return after;
}

/* What the table said before the entry `nth` after the first; where a row that came with a base tells of more than that, the
 * row. */
static struct producer
before_nth(const struct undo *undo, uint64_t nth)
{
    struct producer after;

    assert(nth <= undo->more);
    if (nth == 0 || undo->lsn + nth <= undo->before.lsn)
        return undo->before;
    after = advanced(&undo->before, undo->epoch, undo->seq, undo->lsn);
    after.seq += nth - 1;
    after.lsn += nth - 1;
    assert(after.lsn < undo->lsn + nth);
    return after;
}

/* Does the entry follow the one noted last, of the same producer? Then that one's undo is good for it, too: most entries
 * come in such runs. An entry that pushed another producer out is taken back by itself. */
static bool
continues(const struct producers *producers, const struct entry_id *id, uint64_t lsn)
{
    const struct producer *producer = &producers->slots[producers->last_slot];
    const struct undo *undo = undo_at(producers, producers->undo_tail - 1);

    return producers->undo_tail != producers->undo_head && undo->before.id == id->producer &&
           undo->lsn + undo->more + 1 == lsn && undo->evicted.id == 0 && producer->id == id->producer &&
           producer->epoch == id->epoch && producer->seq + 1 == id->producer_seq && producer->lsn + 1 == lsn &&
           undo->seq + undo->more == producer->seq;
}

/* Makes a slot for a producer that the table does not tell of. Returns it. */
static uint32_t
slot_take(struct producers *producers, uint64_t id, struct producer *evicted)
{
    uint32_t slot;

    if (producers->used >= producers->capacity / 4 * 3)
        *evicted = evict_one(producers);
    slot = slot_find(producers, id);
    assert(producers->slots[slot].id == 0);
    assert_costly(id != evicted->id);
    producers->slots[slot].id = id;
    producers->used++;
    assert(producers->used <= producers->capacity / 4 * 3);
    return slot;
}

/* Kept out of the path of an entry that goes on with a run. */
__attribute__((noinline)) static void
note_apart(struct producers *producers, const struct entry_id *id, uint64_t lsn)
{
    struct undo undo = {
        .lsn = lsn, .seq = id->producer_seq, .epoch = id->epoch, .evicted_floor = producers->evicted_floor};
    uint32_t slot = slot_of(producers, id->producer);
    struct producer *producer = &producers->slots[slot];

    assert(producers->used < producers->capacity);
    producers_assert(producers);
    /* A row that came with a base tells of this entry already. */
    if (producers->undo_mask != 0 && producer->id != 0 && producer->lsn >= lsn)
        return;
    undo.before = *producer;
    undo.before.id = id->producer;
    if (producer->id == 0) {
        slot = slot_take(producers, id->producer, &undo.evicted);
        producer = &producers->slots[slot];
    }
    undo_push(producers, &undo);
    if (producer->seq != 0 && id->epoch < producer->epoch) {
        /* It came by a branch, from before another took the id over. */
        if (id->epoch == producer->former_epoch && id->producer_seq > producer->former_seq)
            producer->former_seq = id->producer_seq;
        return;
    }
    *producer = advanced(producer, id->epoch, id->producer_seq, lsn);
    producers->last_slot = slot;
    assert(producer->run_seq <= producer->seq);
    assert(producer->run_lsn <= producer->lsn);
    assert_costly(producer->id == id->producer && producer->lsn == lsn);
    producers_assert(producers);
}

/* An entry of this producer now stands at lsn. */
void
producers_note(struct producers *producers, const struct entry_id *id, uint64_t lsn)
{
    if (id->producer == 0)
        return;
    assert_costly(lsn > 0);
    if (!continues(producers, id, lsn)) {
        note_apart(producers, id, lsn);
        return;
    }
    producers->slots[producers->last_slot].seq++;
    producers->slots[producers->last_slot].lsn++;
    undo_at(producers, producers->undo_tail - 1)->more++;
    assert_costly(producers->slots[producers->last_slot].lsn == lsn);
    assert_costly(producers->slots[producers->last_slot].seq == id->producer_seq);
}

void
producers_truncate(struct producers *producers, uint64_t from_lsn)
{
    producers_assert(producers);
    while (producers->undo_tail != producers->undo_head) {
        struct undo *undo = undo_at(producers, producers->undo_tail - 1);
        uint64_t kept = from_lsn > undo->lsn ? from_lsn - undo->lsn : 0;
        uint32_t slot;

        if (kept > undo->more)
            return;
        slot = slot_find(producers, undo->before.id);
        assert(producers->slots[slot].id == undo->before.id);
        if (kept == 0 && undo->before.seq == 0)
            slot_remove(producers, slot);
        else
            producers->slots[slot] = before_nth(undo, kept);
        if (kept > 0) {
            undo->more = (uint32_t)kept - 1;
            return;
        }
        if (undo->evicted.id != 0) {
            assert(undo->more == 0 && undo->before.seq == 0);
            assert(producers->slots[slot_find(producers, undo->evicted.id)].id == 0);
            producers->slots[slot_find(producers, undo->evicted.id)] = undo->evicted;
            producers->used++;
        }
        assert(undo->evicted_floor <= producers->evicted_floor);
        producers->evicted_floor = undo->evicted_floor;
        producers->undo_tail--;
        producers_assert(producers);
    }
}

void
producers_commit(struct producers *producers, uint64_t commit_lsn)
{
    while (producers->undo_head != producers->undo_tail) {
        struct undo *undo = undo_at(producers, producers->undo_head);
        uint64_t settled = commit_lsn >= undo->lsn ? commit_lsn - undo->lsn + 1 : 0;

        if (settled > undo->more) {
            producers->undo_head++;
            continue;
        }
        if (settled > 0) {
            assert_costly(undo->evicted.id == 0);
            undo->before = before_nth(undo, settled);
            undo->lsn += settled;
            undo->seq += settled;
            undo->more -= (uint32_t)settled;
            assert_costly(undo->lsn == commit_lsn + 1);
            assert_costly(undo->before.lsn >= commit_lsn);
        }
        return;
    }
}

/* Is a change under way that a truncation may take back, of this producer or one that pushed it out? */
static bool
is_undecided(const struct producers *producers, uint64_t id)
{
    for (uint32_t i = producers->undo_head; i != producers->undo_tail; i++) {
        const struct undo *undo = undo_at(producers, i);

        assert(undo->before.id != 0);
        if (undo->before.id == id || undo->evicted.id == id)
            return true;
    }
    return false;
}

/* No truncation brings a lower floor back. */
static void
raise_floor(struct producers *producers, uint64_t id)
{
    assert(id != 0);
    if (id > producers->evicted_floor)
        producers->evicted_floor = id;
    for (uint32_t i = producers->undo_head; i != producers->undo_tail; i++) {
        struct undo *undo = undo_at(producers, i);

        if (id > undo->evicted_floor)
            undo->evicted_floor = id;
        assert(undo->evicted_floor >= id && undo->evicted_floor <= producers->evicted_floor);
    }
}

/* Makes room, or says that the row is the oldest of all. */
static bool
merge_room(struct producers *producers, const struct producer *row)
{
    uint32_t oldest;

    if (producers->used < producers->capacity / 4 * 3)
        return true;
    oldest = oldest_slot(producers);
    if (producers->slots[oldest].lsn >= row->lsn || is_undecided(producers, producers->slots[oldest].id))
        return false;
    raise_floor(producers, producers->slots[oldest].id);
    slot_remove(producers, oldest);
    assert(producers->used < producers->capacity / 4 * 3);
    return true;
}

/* Somebody else tells what is committed of a producer. Where that is more than is known here it stands, also when what is not
 * committed here is cut off. */
void
producers_merge(struct producers *producers, const struct producer *row)
{
    uint32_t slot = slot_find(producers, row->id);
    struct producer *known = &producers->slots[slot];

    assert(row->id != 0);
    producers_assert(producers);
    for (uint32_t i = producers->undo_head; i != producers->undo_tail; i++) {
        struct undo *undo = undo_at(producers, i);

        if (undo->before.id != row->id || undo->before.lsn >= row->lsn)
            continue;
        /* If this entry is cut off, the producer that it pushed out comes back, and there is no room for both: this one is then
         * refused. */
        if (undo->evicted.id != 0)
            raise_floor(producers, row->id);
        else
            undo->before = *row;
    }
    if (known->id == row->id) {
        if (known->lsn < row->lsn)
            *known = *row;
        return;
    }
    if (is_undecided(producers, row->id) || !merge_room(producers, row)) {
        raise_floor(producers, row->id);
        return;
    }
    slot = slot_find(producers, row->id);
    assert(producers->slots[slot].id == 0);
    producers->slots[slot] = *row;
    producers->used++;
    producers_assert(producers);
}

/* What is known of id; seq 0: nothing. */
struct producer
producers_last(const struct producers *producers, uint64_t id)
{
    return producers->slots[slot_of(producers, id)];
}

/* The same, of what is committed: what the oldest uncommitted change found. */
struct producer
producers_committed(const struct producers *producers, uint64_t id)
{
    for (uint32_t i = producers->undo_head; i != producers->undo_tail; i++) {
        const struct undo *undo = undo_at(producers, i);

        assert(undo->before.id != 0);
        if (undo->before.id == id)
            return undo->before;
    }
    return producers_last(producers, id);
}

/* Entries at [first_lsn, first_lsn + count), uncommitted, stand on the branch too, from first_seq. */
void
producers_copy(const struct producers *from, uint64_t first_lsn, uint32_t count, struct producers *to,
               uint64_t first_seq)
{
    assert(count > 0 && first_lsn > 0 && first_seq > 0);
    assert(to->undo_mask == 0);
    for (uint32_t i = from->undo_head; i != from->undo_tail; i++) {
        const struct undo *undo = undo_at(from, i);
        struct entry_id id = {.producer = undo->before.id, .epoch = undo->epoch};

        for (uint64_t lsn = undo->lsn; lsn <= undo->lsn + undo->more; lsn++) {
            id.producer_seq = undo->seq + (lsn - undo->lsn);
            if (lsn >= first_lsn && lsn < first_lsn + count)
                producers_note(to, &id, first_seq + (lsn - first_lsn));
        }
    }
}

void
producers_clear(struct producers *producers)
{
    memset(producers->slots, 0, sizeof(*producers->slots) * producers->capacity);
    producers->used = producers->last_slot = 0;
    producers->undo_head = producers->undo_tail = 0;
    producers_assert(producers);
}

/* No producer with a higher id was ever met. */
uint64_t
producers_highest(const struct producers *producers)
{
    uint64_t highest = producers->evicted_floor;

    for (uint32_t slot = 0; slot < producers->capacity; slot++) {
        if (producers->slots[slot].id > highest)
            highest = producers->slots[slot].id;
    }
    assert(highest >= producers->evicted_floor);
    assert(highest != 0 || producers->used == 0);
    return highest;
}
