/* The uncommitted end of the trunk by origin, and the marks that follow from it. */
#include "assert_costly.h"
#include "replication/state.h"

static struct run *
run_at(struct runs *runs, uint32_t index)
{
    return &runs->items[index & (RUNS_MAX - 1)];
}

/* What holds between any two events. */
static void
runs_assert(const struct runs *runs)
{
    assert_costly(runs->tail - runs->head <= RUNS_MAX);
    assert_costly(runs->tail == runs->head || runs->items[runs->head & (RUNS_MAX - 1)].count > 0);
    assert_costly(runs->tail == runs->head || runs->items[(runs->tail - 1) & (RUNS_MAX - 1)].count > 0);
    assert_costly(runs->tail == runs->head || runs->items[runs->head & (RUNS_MAX - 1)].first_lsn <=
                                                  runs->items[(runs->tail - 1) & (RUNS_MAX - 1)].first_lsn);
}

/* Is there no room for data? Some is kept for control entries, without which leadership could not change. */
bool
runs_full(const struct runs *runs)
{
    assert_costly(runs->tail - runs->head <= RUNS_MAX);
    return runs->tail - runs->head >= RUNS_MAX - RUNS_RESERVED;
}

bool
runs_exhausted(const struct runs *runs)
{
    assert_costly(runs->tail - runs->head <= RUNS_MAX);
    return runs->tail - runs->head >= RUNS_MAX;
}

static bool
extends(const struct run *before, const struct run *run)
{
    assert_costly(before->term <= run->term);
    assert_costly(before->kind == ENTRY_DATA || before->count == 1);
    return before->kind == ENTRY_DATA && run->kind == ENTRY_DATA && before->term == run->term &&
           before->origin == run->origin && before->incarnation == run->incarnation &&
           before->first_seq + before->count == run->first_seq;
}

void
runs_add(struct runs *runs, const struct run *run)
{
    assert(run->count > 0);
    assert(runs->tail - runs->head < RUNS_MAX);
    assert_costly(run->kind == ENTRY_DATA || run->count == 1);
    if (runs->tail != runs->head) {
        struct run *before = run_at(runs, runs->tail - 1);

        assert(before->first_lsn + before->count == run->first_lsn);
        if (extends(before, run)) {
            before->count += run->count;
            assert_costly(before->count > run->count);
            return;
        }
    }
    *run_at(runs, runs->tail++) = *run;
    runs_assert(runs);
}

void
runs_truncate(struct runs *runs, uint64_t from_lsn)
{
    assert(from_lsn > 0);
    assert(runs->tail - runs->head <= RUNS_MAX);
    while (runs->tail != runs->head) {
        struct run *run = run_at(runs, runs->tail - 1);

        if (run->first_lsn < from_lsn) {
            if (run->first_lsn + run->count > from_lsn)
                run->count = (uint32_t)(from_lsn - run->first_lsn);
            assert(run->first_lsn + run->count <= from_lsn);
            runs_assert(runs);
            return;
        }
        runs->tail--;
    }
}

/* The run that holds lsn; NULL: none. Nearly always it is the last. */
const struct run *
runs_find(const struct runs *runs, uint64_t lsn)
{
    runs_assert(runs);
    for (uint32_t i = runs->tail; i != runs->head; i--) {
        const struct run *run = &runs->items[(i - 1) & (RUNS_MAX - 1)];

        assert_costly(run->count > 0);

        if (run->first_lsn <= lsn)
            return lsn < run->first_lsn + run->count ? run : NULL;
    }
    return NULL;
}

/* Takes what is committed off the front and into the marks. */
void
runs_commit(struct runs *runs, uint64_t commit_lsn, struct marks *marks)
{
    runs_assert(runs);
    while (runs->tail != runs->head) {
        struct run *run = run_at(runs, runs->head);
        struct run done = *run;

        assert(run->count > 0);
        if (run->first_lsn > commit_lsn)
            return;
        if (run->first_lsn + run->count - 1 <= commit_lsn) {
            marks_apply(marks, run);
            runs->head++;
            continue;
        }
        /* Control entries stand alone, so it is data that the commit lsn divides. */
        assert_costly(run->kind == ENTRY_DATA);
        done.count = (uint32_t)(commit_lsn - run->first_lsn + 1);
        assert_costly(done.count < run->count);
        marks_apply(marks, &done);
        run->first_lsn += done.count;
        run->first_seq += done.count;
        run->count -= done.count;
        assert_costly(run->first_lsn == commit_lsn + 1);
        return;
    }
}

uint64_t
marks_get(const struct marks *marks, uint8_t origin, uint32_t incarnation)
{
    assert_costly(marks->count <= MARKS_MAX);
    for (uint32_t i = 0; i < marks->count; i++) {
        if (marks->items[i].origin == origin && marks->items[i].incarnation == incarnation)
            return marks->items[i].seq;
    }
    return 0;
}

/* The place for a new row; the oldest life of the same origin (or of the first) makes room. */
static struct mark *
mark_place(struct marks *marks, uint8_t origin)
{
    struct mark *oldest = &marks->items[0];

    assert(marks->count <= MARKS_MAX);
    if (marks->count < MARKS_MAX)
        return &marks->items[marks->count++];
    for (uint32_t i = 0; i < marks->count; i++) {
        struct mark *mark = &marks->items[i];

        if (mark->origin == origin && (oldest->origin != origin || mark->incarnation < oldest->incarnation))
            oldest = mark;
    }
    assert(oldest->origin == origin || oldest == &marks->items[0]);
    return oldest;
}

void
marks_raise(struct marks *marks, uint8_t origin, uint32_t incarnation, uint64_t seq)
{
    struct mark *mark;

    assert_costly(seq > 0);
    assert_costly(origin < CAIRN_NODES_MAX);
    for (uint32_t i = 0; i < marks->count; i++) {
        mark = &marks->items[i];
        if (mark->origin == origin && mark->incarnation == incarnation) {
            if (mark->seq < seq)
                mark->seq = seq;
            return;
        }
    }
    mark = mark_place(marks, origin);
    mark->origin = origin;
    mark->incarnation = incarnation;
    mark->seq = seq;
    /* Each life has one row, so the first that is found is the only one. */
    assert_costly(marks_get(marks, origin, incarnation) == seq);
}

void
marks_apply(struct marks *marks, const struct run *run)
{
    assert_costly(run->count > 0);
    assert_costly(run->kind == ENTRY_DATA || run->count == 1);
    if (run->kind == ENTRY_DATA)
        marks_raise(marks, run->origin, run->incarnation, run->first_seq + run->count - 1);
    else if (run->kind == ENTRY_MARK)
        marks_raise(marks, run->origin, run->incarnation, run->first_seq);
}

void
marks_rebuild(struct marks *marks, const struct marks *committed, const struct runs *runs)
{
    runs_assert(runs);
    *marks = *committed;
    for (uint32_t i = runs->head; i != runs->tail; i++)
        marks_apply(marks, &runs->items[i & (RUNS_MAX - 1)]);
    assert(marks->count >= committed->count);
}
