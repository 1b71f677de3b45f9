#include "node/worker/ends.h"

#include <assert.h>
#include <string.h>

#include "node/state.h"
#include "node/worker/space.h"
#include "node/worker/worker.h"

#define WRITE_EVERY_NS 100000000u

static bool
is_later(const struct known_life *one, const struct known_life *other, uint32_t workers)
{
    bool further = false;

    assert(workers <= CAIRN_WORKERS_MAX);
    for (uint32_t worker = 0; worker < workers; worker++)
        further |= one->places[worker] > other->places[worker];
    return one->life.number > other->life.number || (one->life.number == other->life.number && further);
}

/* Has any of them come further than was written, or is what was written in a file that may go? */
static bool
is_due(const struct worker *worker)
{
    const struct known_life *known = worker->node->introduction.lives.identity.known;
    bool later = false, any = false;

    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        later |= peer != worker->self &&
                 is_later(&known[peer], &worker->ends.written[peer], worker->node->workers_count);
        any |= peer != worker->self && known[peer].places[0] > 0;
    }
    return later || (any && worker->ends.written_file != worker->journal.file.number);
}

static uint32_t
body_bytes(const struct worker *worker)
{
    return worker->node->workers_count * (uint32_t)JOURNAL_ENDS_BYTES;
}

/* There is room for it: its callers have looked. */
static void
put(struct worker *worker, const struct known_life *lives)
{
    struct journal_block block = {.type = JOURNAL_ENDS, .log = CATALOG_LOG};
    struct journal_end body[CAIRN_WORKERS_MAX][CAIRN_NODES_MAX];
    struct ends *ends = &worker->ends;

    assert(worker_is_first(worker) && body_bytes(worker) <= sizeof(body));
    memset(body, 0, sizeof(body));
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        const struct known_life *known = &lives[peer];

        if (peer == worker->self)
            continue;
        ends->written[peer] = *known;
        for (uint8_t number = 0; number < worker->node->workers_count; number++)
            body[number][peer] = (struct journal_end){
                .life = known->life.id, .place = known->places[number], .number = known->life.number};
    }
    journal_put(&worker->journal, &block, body, body_bytes(worker),
                &(struct journal_item){.owner = worker->logs[CATALOG_LOG]});
    /* A node is told of its own end by others alone. */
    assert(ends->written[worker->self].life.number == 0);
    ends->written_file = worker->journal.file.number;
}

void
ends_write(struct worker *worker, uint64_t now_ns)
{
    const struct node_log *catalog;

    if (!worker_is_first(worker) || worker->disk == NULL || worker->journal_failed ||
        now_ns - worker->ends.written_ns < WRITE_EVERY_NS)
        return;
    catalog = worker->logs[CATALOG_LOG];
    assert(catalog->id == CATALOG_LOG);
    if (catalog->durable == NULL || !is_due(worker) || !journal_has_room(&worker->journal, body_bytes(worker)) ||
        durable_space(worker, catalog, body_bytes(worker), USE_ORDER) != SPACE_YES)
        return;
    put(worker, worker->node->introduction.lives.identity.known);
    worker->ends.written_ns = now_ns;
}

bool
ends_write_restored(struct worker *worker)
{
    if (!worker_is_first(worker))
        return true;
    if (!journal_has_room(&worker->journal, body_bytes(worker)))
        return false;
    put(worker, worker->ends.restored);
    return true;
}

void
ends_restore(struct worker *worker, const struct journal_end *ends, uint32_t count)
{
    /* journal_check.c has looked at its size. */
    assert(count % CAIRN_NODES_MAX == 0 && count / CAIRN_NODES_MAX <= CAIRN_WORKERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t peer = (uint8_t)(i % CAIRN_NODES_MAX), number = (uint8_t)(i / CAIRN_NODES_MAX);
        struct known_life *known = &worker->ends.restored[peer];

        if (peer == worker->self || ends[i].number < known->life.number)
            continue;
        if (ends[i].number > known->life.number)
            *known = (struct known_life){.life = {.id = ends[i].life, .number = ends[i].number}};
        if (ends[i].place > known->places[number])
            known->places[number] = ends[i].place;
    }
}

void
ends_merge(const struct ends *ends, struct identity *identity)
{
    for (uint8_t peer = 0; peer < identity->agreed.now.nodes; peer++) {
        struct known_life *known = &identity->known[peer];
        const struct known_life *read = &ends->restored[peer];

        if (peer == identity->self || !is_later(read, known, CAIRN_WORKERS_MAX))
            continue;
        /* Of two lives of one number the one that was kept as the peer's counts. */
        if (known->life.number != read->life.number)
            *known = *read;
        else if (cairn_id_equal(&known->life.id, &read->life.id))
            known_life_further(known, read);
        assert(known->life.number >= read->life.number);
    }
}

uint64_t
ends_place(const struct worker *worker)
{
    return worker->journal.durable < worker->ends.meant_place ? worker->journal.durable : worker->ends.meant_place;
}
