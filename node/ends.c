#include "ends.h"

#include "space.h"
#include "state.h"

#define WRITE_EVERY_NS 100000000u

static bool
is_later(const struct known_life *one, const struct known_life *other)
{
    return one->life.number > other->life.number ||
           (one->life.number == other->life.number && one->place > other->place);
}

/* Has any of them come further than was written, or is what was written in a file that may go? */
static bool
is_due(const struct node *node)
{
    const struct known_life *known = node->introduction.lives.identity.known;
    bool later = false, any = false;

    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        later |= peer != node->self && is_later(&known[peer], &node->ends.written[peer]);
        any |= peer != node->self && known[peer].place > 0;
    }
    return later || (any && node->ends.written_file != node->journal.file.number);
}

/* There is room for it. */
static void
put(struct node *node, const struct known_life *lives)
{
    struct journal_block block = {.type = JOURNAL_ENDS, .log = CATALOG_LOG};
    struct journal_end body[CAIRN_NODES_MAX] = {{{{0}}, 0, 0, 0}};
    struct ends *ends = &node->ends;

    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        const struct known_life *known = &lives[peer];

        if (peer == node->self)
            continue;
        ends->written[peer] = *known;
        body[peer] = (struct journal_end){.life = known->life.id, .place = known->place, .number = known->life.number};
    }
    journal_put(&node->journal, &block, body, sizeof(body), &(struct journal_item){.owner = node->logs[CATALOG_LOG]});
    ends->written_file = node->journal.file.number;
}

void
ends_write(struct node *node, uint64_t now_ns)
{
    const struct node_log *catalog = node->logs[CATALOG_LOG];
    size_t body_bytes = CAIRN_NODES_MAX * sizeof(struct journal_end);

    if (node->config.disk == NULL || catalog->durable == NULL || node->journal_failed ||
        now_ns - node->ends.written_ns < WRITE_EVERY_NS || !is_due(node) ||
        !journal_has_room(&node->journal, body_bytes) ||
        durable_space(node, catalog, body_bytes, USE_ORDER) != SPACE_YES)
        return;
    put(node, node->introduction.lives.identity.known);
    node->ends.written_ns = now_ns;
}

bool
ends_write_restored(struct node *node)
{
    if (!journal_has_room(&node->journal, CAIRN_NODES_MAX * sizeof(struct journal_end)))
        return false;
    put(node, node->ends.restored);
    return true;
}

void
ends_restore(struct node *node, const struct journal_end *ends)
{
    for (uint8_t peer = 0; peer < node->nodes; peer++) {
        struct known_life read = {.life = {.id = ends[peer].life, .number = ends[peer].number},
                                  .place = ends[peer].place};

        if (peer != node->self && is_later(&read, &node->ends.restored[peer]))
            node->ends.restored[peer] = read;
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
ends_place(const struct node *node)
{
    return node->journal.durable < node->ends.meant_place ? node->journal.durable : node->ends.meant_place;
}
