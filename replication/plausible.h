/* What numbers can be: the one place that is asked about all that comes from outside, by the wire, from a disk or from a
 * client. A number that is not plausible is refused where it comes in: on the wire it is dropped and counted, in a journal
 * it is damage with its place, and a client is refused. So all that gets to the core may be reckoned with: nothing overflows,
 * and no assertion is reached from outside.
 *
 * Each limit is far above what a cluster can come to, and far below where sums of such numbers wrap round. */
#ifndef REPLICATION_PLAUSIBLE_H
#define REPLICATION_PLAUSIBLE_H

#include <assert.h>

#include "replication/core.h"

/* A thousand elections a second for nine thousand years. */
#define TERM_MAX ((1ull << 48) - 1)
/* A term may be so far ahead of the one that the receiver knows: nobody has missed more elections. A message of a term further
 * ahead is no leader's, and nobody could follow a node that followed it. */
#define TERM_STEP_MAX (1ull << 32)
/* A billion entries a second for two years; of positions, ten million for two centuries. Places on a branch are made of
 * a life and a sequence: branch_place(). */
#define LSN_MAX ((1ull << 56) - 1)
#define SEQ_MAX ((1ull << 40) - 1)
#define LIFE_MAX ((1u << 24) - 1)
/* Up to the year 2262. */
#define HLC_MAX ((1ull << 63) - 1)
/* A producer's sequences. */
#define PRODUCER_SEQ_MAX LSN_MAX
/* Ids begin with the time: up to the year 2109. Rows tell them in JSON, whose integers have a sign. */
#define PRODUCER_MAX ((1ull << 63) - 1)
#define MARKS_MAX 64u
/* Entries in one message. */
#define MESSAGE_ENTRIES_MAX 64u

_Static_assert((LSN_MAX & (LSN_MAX + 1)) == 0, "a union is within it where all are");
_Static_assert(LSN_MAX + LSN_MAX > LSN_MAX, "two lsns have a sum");
_Static_assert(TERM_MAX + TERM_STEP_MAX > TERM_MAX, "a term has one that is a step ahead of it");
_Static_assert(SEQ_MAX < 1ull << 40, "a place's life tells more than its sequence");
_Static_assert((uint64_t)LIFE_MAX << 40 >> 40 == LIFE_MAX, "each life has its places");
_Static_assert(SEQ_MAX < LSN_MAX && PRODUCER_SEQ_MAX <= LSN_MAX,
               "an entry's sequence is no higher than a trunk is long");
_Static_assert(HLC_MAX + UINT32_MAX > HLC_MAX, "a clock leaves room for a run's");
_Static_assert(PRODUCER_MAX <= INT64_MAX && PRODUCER_MAX < CORE_WRITER_NOBODY, "no producer is nobody");
_Static_assert(MARKS_MAX >= CAIRN_NODES_MAX, "a mark for each origin at least");

/* Lives are counted from 1. 0 becomes the highest of all. */
static inline bool
life_plausible(uint32_t life)
{
    return life - 1 < LIFE_MAX;
}

/* May one who is in term `own` believe a word of that term? */
static inline bool
term_plausible(uint64_t term, uint64_t own)
{
    return term <= TERM_MAX && (term <= own || term - own <= TERM_STEP_MAX);
}

/* The term in which an administrator's decision is carried out: above all terms that nodes can have come to while one of them is in
 * `term`. 0: there are no more. */
#define TERM_DECIDED_AHEAD (1ull << 20)
_Static_assert(TERM_DECIDED_AHEAD <= TERM_STEP_MAX, "whoever has missed it believes a decision's term");
static inline uint64_t
term_decided(uint64_t term)
{
    const uint64_t decided = term > TERM_MAX - TERM_DECIDED_AHEAD ? 0 : term + TERM_DECIDED_AHEAD;

    assert(decided <= TERM_MAX);
    assert(decided == 0 || (decided > term && term_plausible(decided, term)));
    return decided;
}

/* Somebody votes, nobody is both, and all are nodes that there can be. */
static inline bool
members_sane(const struct members *members)
{
    cairn_node_set all = ((cairn_node_set)1 << CAIRN_NODES_MAX) - 1;

    return members->voters != 0 && (members->voters & members->learners) == 0 &&
           ((members->voters | members->learners) & ~all) == 0;
}

static inline bool
origin_plausible(uint8_t origin, uint32_t incarnation, uint64_t seq)
{
    return origin < CAIRN_NODES_MAX && life_plausible(incarnation) && seq - 1 < SEQ_MAX;
}

static inline bool
mark_plausible(const struct mark *mark)
{
    return origin_plausible(mark->origin, mark->incarnation, mark->seq);
}

/* Can a run's sequences be? What they say follows from its kind. */
static inline bool
run_seq_plausible(const struct run *run)
{
    struct members members;

    if (run->kind == ENTRY_DATA)
        return run->origin < CAIRN_NODES_MAX && life_plausible(run->incarnation) &&
               run->first_seq - 1 <= SEQ_MAX - run->count;
    if (run->count != 1 || run->origin >= CAIRN_NODES_MAX || !life_plausible(run->incarnation))
        return false;
    if (run->kind == ENTRY_CONFIG) {
        members = members_decode(run->first_seq);
        return members_sane(&members);
    }
    if (run->kind == ENTRY_MARK)
        return origin_plausible(run->origin, run->incarnation, run->first_seq);
    return run->kind == ENTRY_NOOP && run->first_seq == 0;
}

/* A run of at least one entry of a branch, which stands on no lsn, in no term. */
static inline bool
branch_run_plausible(const struct run *run)
{
    return run->kind == ENTRY_DATA && run->count >= 1 && run_seq_plausible(run);
}

/* A run of at least one entry of a trunk. */
static inline bool
trunk_run_plausible(const struct run *run)
{
    return run->count >= 1 && run->term >= 1 && run->term <= TERM_MAX && run->first_lsn >= 1 &&
           run->first_lsn <= LSN_MAX && run->count <= LSN_MAX - run->first_lsn + 1 && run_seq_plausible(run);
}

/* producer_max: the highest id that there can be now, producer_plausible_max(). Sequences are counted from 1; those of entries
 * that nobody produced do not count. */
static inline bool
producer_plausible(uint64_t producer, uint64_t producer_seq, uint64_t producer_max)
{
    return producer == 0 || (producer <= producer_max && producer_seq - 1 < PRODUCER_SEQ_MAX);
}

static inline bool
entry_id_plausible(const struct entry_id *id)
{
    return producer_plausible(id->producer, id->producer_seq, PRODUCER_MAX);
}

static inline bool
producer_row_plausible(const struct producer_row *row)
{
    return row->id - 1 < PRODUCER_MAX && row->seq >= 1 && row->seq <= PRODUCER_SEQ_MAX &&
           row->former_seq <= PRODUCER_SEQ_MAX && row->lsn >= 1 && row->lsn <= LSN_MAX;
}

/* As a trunk is begun anew whose history was given up: on disk alone, since no leader's trunk begins so. */
static inline bool
base_is_nothing(const struct core_base *base)
{
    return base->lsn == 0 && base->base_term == 0 && base->marks_lsn == 0 && base->marks_count == 0 &&
           base->producer_floor == 0 && members_sane(&base->members);
}

static inline bool
base_plausible(const struct core_base *base)
{
    /* The term of what is older than a trunk's history is not known: 0. */
    if (base->lsn < 1 || base->lsn > LSN_MAX || base->base_term > TERM_MAX || base->marks_lsn > LSN_MAX ||
        base->marks_count > MARKS_MAX || base->producer_floor > PRODUCER_MAX || !members_sane(&base->members))
        return false;
    for (uint32_t i = 0; i < base->marks_count; i++) {
        if (!mark_plausible(&base->marks[i]))
            return false;
    }
    assert(!base_is_nothing(base));
    return true;
}

/* What an entry was written after; all ones where its leader put it on the trunk at once. */
static inline bool
fork_plausible(uint64_t fork_lsn)
{
    return fork_lsn <= LSN_MAX || fork_lsn == UINT64_MAX;
}

/* An entry's clock, and the clocks of `count` that follow it. */
static inline bool
hlc_plausible(uint64_t hlc, uint32_t count)
{
    return hlc <= HLC_MAX - count;
}

/* Ids of producers hold the time they were made at, and rise with it (client/session.h): one of a day after `wall_ns`
 * was not. Once it was forgotten, every producer with a lower one would be taken for forgotten too. */
#define PRODUCER_TIME_SHIFT 21u /* of the milliseconds */
#define PRODUCER_AHEAD_NS (24ull * 3600 * 1000000000)
/* The highest that there can be now. */
static inline uint64_t
producer_plausible_max(uint64_t wall_ns)
{
    const uint64_t ms = (wall_ns / 1000000) + PRODUCER_AHEAD_NS / 1000000 + 1;
    const uint64_t most = ms > PRODUCER_MAX >> PRODUCER_TIME_SHIFT ? PRODUCER_MAX : (ms << PRODUCER_TIME_SHIFT) - 1;

    assert(most <= PRODUCER_MAX);
    assert(producer_plausible(most, 1, most) && !producer_plausible(most + 1, 1, most));
    return most;
}

/* All of a message's numbers, but for how its term goes with what the receiver knows: core_receive(). */
bool message_plausible(const struct message *message);

#endif
