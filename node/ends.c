#include "ends.h"

#include "space.h"
#include "state.h"
#include "worker.h"

#define WRITE_EVERY_NS 100000000u

static bool
is_later(const struct known_life *one, const struct known_life *other)
{
    return one->life.number > other->life.number ||
           (one->life.number == other->life.number && one->place > other->place);
}

/* Has any of them come further than was written, or is what was written in a file that may go? */
static bool
is_due(const struct worker *worker)
{
    const struct known_life *known = worker->node->introduction.lives.identity.known;
    bool later = false, any = false;

    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        later |= peer != worker->self && is_later(&known[peer], &worker->ends.written[peer]);
        any |= peer != worker->self && known[peer].place > 0;
    }
    return later || (any && worker->ends.written_file != worker->journal.file.number);
}

/* There is room for it. */
static void
put(struct worker *worker, const struct known_life *lives)
{
    struct journal_block block = {.type = JOURNAL_ENDS, .log = CATALOG_LOG};
    struct journal_end body[CAIRN_NODES_MAX] = {{{{0}}, 0, 0, 0}};
    struct ends *ends = &worker->ends;

    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        const struct known_life *known = &lives[peer];

        if (peer == worker->self)
            continue;
        ends->written[peer] = *known;
        body[peer] = (struct journal_end){.life = known->life.id, .place = known->place, .number = known->life.number};
    }
    journal_put(&worker->journal, &block, body, sizeof(body),
                &(struct journal_item){.owner = worker->logs[CATALOG_LOG]});
    ends->written_file = worker->journal.file.number;
}

void
ends_write(struct worker *worker, uint64_t now_ns)
{
    const struct node_log *catalog = worker->logs[CATALOG_LOG];
    size_t body_bytes = CAIRN_NODES_MAX * sizeof(struct journal_end);

    if (worker->disk == NULL || catalog->durable == NULL || worker->journal_failed ||
        now_ns - worker->ends.written_ns < WRITE_EVERY_NS || !is_due(worker) ||
        !journal_has_room(&worker->journal, body_bytes) ||
        durable_space(worker, catalog, body_bytes, USE_ORDER) != SPACE_YES)
        return;
    put(worker, worker->node->introduction.lives.identity.known);
    worker->ends.written_ns = now_ns;
}

bool
ends_write_restored(struct worker *worker)
{
    if (!journal_has_room(&worker->journal, CAIRN_NODES_MAX * sizeof(struct journal_end)))
        return false;
    put(worker, worker->ends.restored);
    return true;
}

void
ends_restore(struct worker *worker, const struct journal_end *ends)
{
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        struct known_life read = {.life = {.id = ends[peer].life, .number = ends[peer].number},
                                  .place = ends[peer].place};

        if (peer != worker->self && is_later(&read, &worker->ends.restored[peer]))
            worker->ends.restored[peer] = read;
    }
}

void
ends_merge(const struct ends *ends, struct identity *identity)
{
    for (uint8_t peer = 0; peer < identity->agreed.now.nodes; peer++) {
        struct known_life *known = &identity->known[peer];

        /* Of two lives of one number the one that was kept as the peer's counts. */
        if (peer == identity->self || !is_later(&ends->restored[peer], known) ||
            (known->life.number == ends->restored[peer].life.number &&
             !cairn_id_equal(&known->life.id, &ends->restored[peer].life.id)))
            continue;
        *known = ends->restored[peer];
    }
}

uint64_t
ends_place(const struct worker *worker)
{
    return worker->journal.durable < worker->ends.meant_place ? worker->journal.durable : worker->ends.meant_place;
}
