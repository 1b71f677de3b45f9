/* Where an entry stands that a client repeats and whose place the core does not remember. The walk may be long, and a client may
 * ask for as many as it likes: so each is given a part of it in a turn, and nobody else waits for more than that. */
#include "node/worker/search.h"

#include <assert.h>

#include "node/worker/log.h"
#include "node/worker/worker.h"
#include "wire/record.h"

/* So many are looked at for one client in one turn: some fifty microseconds. */
#define SEARCH_ENTRIES 2048u

static bool
is_the_same(const struct search *search, const struct node_log *log, bool on_branch, const struct entry_id *id)
{
    return search->next != 0 && search->log == log->id && search->on_branch == on_branch &&
           search->id.producer == id->producer && search->id.producer_seq == id->producer_seq &&
           search->id.epoch == id->epoch;
}

static bool
is_of(const struct record *record, const struct entry_id *id)
{
    return record->producer == id->producer && record->producer_seq == id->producer_seq && record->epoch == id->epoch;
}

/* In a stretch of the store; 0: it is not there. */
static uint64_t
look_through(const struct stretch *stretch, const struct entry_id *id)
{
    const uint8_t *at = stretch->records;

    for (uint32_t i = 0; i < stretch->count; i++) {
        const struct record *record = (const struct record *)(const void *)at;

        if (is_of(record, id))
            return stretch->first + i;
        at += record_size(record);
    }
    assert(at == stretch->records + stretch->size_bytes);
    return 0;
}

uint64_t
node_find_entry(const struct store *store, const struct entry_id *id, uint64_t from)
{
    struct cursor cursor = {.position = from};
    struct stretch stretch;
    uint64_t place = 0;

    while (place == 0 && store_look(store, &cursor, UINT64_MAX, UINT32_MAX, SIZE_MAX, &stretch)) {
        place = look_through(&stretch, id);
        store_advance(&cursor, &stretch);
    }
    assert(place == 0 || (place >= from && place <= store->last));
    return place;
}

bool
search_entry(struct worker *worker, struct attachment *attachment, const struct node_log *log, bool on_branch,
             const struct entry_id *id, uint64_t from, uint64_t *place)
{
    const struct store *store = on_branch ? &log->own->store : &log->trunk;
    struct search *search = &attachment->search;
    struct cursor cursor = {.position = is_the_same(search, log, on_branch, id) ? search->next : from};
    struct stretch stretch;

    if (search->turn_ns != worker->task.now_ns) {
        search->turn_ns = worker->task.now_ns;
        search->left = SEARCH_ENTRIES;
    }
    assert(from > 0);
    assert(search->left <= SEARCH_ENTRIES);
    *place = 0;
    search->id = *id;
    search->log = log->id;
    search->on_branch = on_branch;
    while (search->left > 0 && *place == 0) {
        if (!store_look(store, &cursor, UINT64_MAX, search->left, SIZE_MAX, &stretch)) {
            search->next = 0;
            return true;
        }
        assert(stretch.count <= search->left);
        search->left -= stretch.count;
        *place = look_through(&stretch, id);
        store_advance(&cursor, &stretch);
    }
    search->next = *place != 0 ? 0 : cursor.position;
    /* Either it is found, or the next turn goes on. */
    assert((*place == 0) == (search->next != 0));
    if (*place == 0)
        worker->searched_ns = worker->task.now_ns;
    return *place != 0;
}
