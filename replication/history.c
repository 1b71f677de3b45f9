/* Which term an lsn belongs to. */
#include "replication/state.h"

/* Rows rise in both; true, for assert_costly(). */
bool
history_is_sound(const struct history *history)
{
    const struct term_row *rows = history->rows;
    const uint32_t count = history->count;

    assert(count <= HISTORY_TERMS_MAX);
    assert(count == 0 || (rows[0].first_lsn > 0 && rows[0].term > 0));
    assert(count < 2 || rows[count - 2].first_lsn < rows[count - 1].first_lsn);
    assert(count < 2 || rows[count - 2].term < rows[count - 1].term);
    return true;
}

void
history_add(struct history *history, uint64_t term, uint64_t first_lsn)
{
    assert(first_lsn > 0 && term > 0);
    assert_costly(history_is_sound(history));
    if (history->count > 0) {
        assert(history->rows[history->count - 1].first_lsn < first_lsn ||
               history->rows[history->count - 1].term == term);
        assert(history->rows[history->count - 1].term <= term);
        if (history->rows[history->count - 1].term == term)
            return;
    }
    if (history->count == HISTORY_TERMS_MAX) {
        memmove(history->rows, history->rows + 1, sizeof(history->rows[0]) * (HISTORY_TERMS_MAX - 1));
        history->count--;
    }
    history->rows[history->count].term = term;
    history->rows[history->count].first_lsn = first_lsn;
    history->count++;
    assert(history->count <= HISTORY_TERMS_MAX);
    assert_costly(history_is_sound(history) && history_term(history, first_lsn) == term);
}

void
history_truncate(struct history *history, uint64_t from_lsn)
{
    assert(from_lsn > 0);
    while (history->count > 0 && history->rows[history->count - 1].first_lsn >= from_lsn)
        history->count--;
    assert_costly(history_is_sound(history));
}

/* Index of the row that holds lsn, or count where none does. */
static uint32_t
find(const struct history *history, uint64_t lsn)
{
    uint32_t low = 0, high = history->count;

    assert(history->count <= HISTORY_TERMS_MAX);
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (history->rows[middle].first_lsn <= lsn)
            low = middle + 1;
        else
            high = middle;
    }
    assert_costly(low == 0 || history->rows[low - 1].first_lsn <= lsn);
    assert_costly(low == history->count || history->rows[low].first_lsn > lsn);
    return low == 0 ? history->count : low - 1;
}

/* 0 for lsn 0 and for entries that are older than the history. */
uint64_t
history_term(const struct history *history, uint64_t lsn)
{
    uint32_t row;

    /* Nearly every question is about the newest term. */
    if (history->count > 0 && history->rows[history->count - 1].first_lsn <= lsn)
        return history->rows[history->count - 1].term;
    row = find(history, lsn);
    /* The newest row was looked at first. */
    assert(history->count == 0 || row != history->count - 1);
    return row == history->count ? 0 : history->rows[row].term;
}

/* Of this trunk's last entry. */
uint64_t
last_term(const struct core *core)
{
    assert_costly(core->last_lsn > 0 || core->history.count == 0);
    return history_term(&core->history, core->last_lsn);
}

/* The first lsn of the term that lsn belongs to. */
uint64_t
history_first_lsn(const struct history *history, uint64_t lsn)
{
    uint32_t row = find(history, lsn);

    assert(row == history->count || history->rows[row].first_lsn <= lsn);
    return row == history->count ? 0 : history->rows[row].first_lsn;
}
